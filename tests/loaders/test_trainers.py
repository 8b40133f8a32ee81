"""Lightning and the Hugging Face Trainer with the batch sampler: the real ones, and quick ones that call as they do."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from epochal import Order, Plan
from epochal.loaders import BatchSampler

SAMPLES, BATCH = 143, 10


class Rows:
    """Samples that carry their numbers."""

    def __len__(self) -> int:
        return SAMPLES

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"x": np.float32([index]), "number": index}


def orders(epochs: int) -> np.ndarray:
    return np.concatenate([Order(SAMPLES, 7).indices(epoch, 0, SAMPLES) for epoch in range(epochs)])


def test_a_loop_that_sets_epochs_and_never_asks_for_the_end() -> None:
    sampler = BatchSampler(SAMPLES, BATCH, seed=7)
    seen: list[int] = []
    for epoch in range(3):  # as Lightning does: it counts len(loader) batches
        sampler.sampler.set_epoch(epoch)
        batches = iter(sampler)
        for _ in range(len(sampler)):
            seen += next(batches)
    assert np.array_equal(seen, orders(3))
    assert sampler.position == Plan(SAMPLES, BATCH, epochs=3).end


def test_a_loop_that_reads_one_batch_ahead_and_sets_the_epoch_meanwhile() -> None:
    sampler = BatchSampler(SAMPLES, BATCH, seed=7)
    seen: list[int] = []
    for epoch in range(3):  # as accelerate does, to know the last batch
        sampler.set_epoch(epoch)
        batches = iter(sampler)
        ahead = next(batches)
        sampler.set_epoch(epoch)
        for batch in batches:
            seen += ahead
            ahead = batch
        seen += ahead
    assert np.array_equal(seen, orders(3))


def loader(**options: Any) -> Any:
    data = pytest.importorskip("torch.utils.data", reason="needs PyTorch")
    return data.DataLoader(Rows(), batch_sampler=BatchSampler(SAMPLES, BATCH, seed=7), **options)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("accumulate", [1, 4])
def test_lightning(accumulate: int, tmp_path: Path) -> None:
    lightning = pytest.importorskip("lightning", reason="needs Lightning")
    torch = pytest.importorskip("torch", reason="needs PyTorch")

    class Module(lightning.LightningModule):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(1, 1)
            self.seen: list[int] = []

        def training_step(self, batch: Any, _: int) -> Any:
            self.seen += batch["number"].tolist()
            return self.layer(batch["x"] / SAMPLES).mean()

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), 0.01)

    module = Module()
    trainer = lightning.Trainer(
        max_epochs=3, accumulate_grad_batches=accumulate, accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, default_root_dir=tmp_path,
    )  # fmt: skip
    trainer.fit(module, loader())
    assert np.array_equal(module.seen, orders(3))
    updates = 3 * -(-len(loader()) // accumulate)
    assert trainer.global_step == updates
    assert updates == Plan(SAMPLES, BATCH * accumulate, epochs=3).iterations


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_hugging_face_trainer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    torch = pytest.importorskip("torch", reason="needs PyTorch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        transformers = pytest.importorskip("transformers", reason="needs transformers")
        pytest.importorskip("accelerate", reason="needs accelerate")

    class Model(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(1, 1)
            self.seen: list[int] = []

        def forward(self, x: Any, number: Any) -> dict[str, Any]:
            self.seen += number.tolist()
            return {"loss": self.layer(x / SAMPLES).mean()}

    class Trainer(transformers.Trainer):  # type: ignore[misc, name-defined]
        def get_train_dataloader(self) -> Any:
            return self.accelerator.prepare(loader())

    def run(folder: Path, resume: str | None = None, **options: Any) -> Any:
        arguments = transformers.TrainingArguments(
            str(folder), num_train_epochs=2, gradient_accumulation_steps=4, report_to=[], use_cpu=True,
            disable_tqdm=True, remove_unused_columns=False, logging_strategy="no", save_steps=5, **options,
        )  # fmt: skip
        model = Model()
        trainer = Trainer(model, arguments)
        trainer.train(resume_from_checkpoint=resume)
        return model.seen, trainer.state.global_step

    seen, updates = run(tmp_path / "run")
    assert np.array_equal(seen, orders(2))
    assert updates == Plan(SAMPLES, BATCH * 4, epochs=2).iterations

    rest, _ = run(tmp_path / "again", str(tmp_path / "run" / "checkpoint-5"))
    assert np.array_equal(rest, seen[SAMPLES + 40 :])
