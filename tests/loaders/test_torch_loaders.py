"""The batch sampler in PyTorch's and torchdata's loaders: workers, kills, ranks."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from epochal import Order
from epochal.loaders import BatchSampler

torch = pytest.importorskip("torch", reason="needs PyTorch")
data = pytest.importorskip("torch.utils.data", reason="needs PyTorch")

pytestmark = [
    pytest.mark.filterwarnings("ignore:.set_vital. is deprecated"),  # torchdata 0.11 asks torch 2.13 for it
    pytest.mark.filterwarnings("ignore:os.fork"),  # of workers, which do without JAX; other tests have loaded it
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded"),
]

N, B = 65_537, 512


class Rows:
    """A data set whose samples are their own numbers."""

    def __init__(self, samples: int = N) -> None:
        self.samples = samples

    def __len__(self) -> int:
        return self.samples

    def __getitem__(self, index: int) -> int:
        return index


def seen(batches: Any) -> np.ndarray:
    return np.concatenate([batch.numpy() for batch in batches])


def order(epoch: int, samples: int = N) -> np.ndarray:
    return Order(samples, 7).indices(epoch, 0, samples)


@pytest.mark.parametrize("options", [{}, {"num_workers": 2}, {"num_workers": 2, "persistent_workers": True}], ids=str)
def test_a_loader_hands_out_each_sample_once_in_every_epoch(options: dict[str, Any]) -> None:
    loader = data.DataLoader(Rows(), batch_sampler=BatchSampler(N, B, seed=7), **options)
    for epoch in range(2):
        assert np.array_equal(seen(loader), order(epoch))


def test_with_workers_a_broken_off_epoch_is_followed_by_a_whole_one() -> None:
    loader = data.DataLoader(Rows(), batch_sampler=BatchSampler(N, B, seed=7), num_workers=2)
    list(islice(iter(loader), 5))
    assert np.array_equal(seen(loader), order(1))


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("done", [1, 57, 128, 129])
def test_a_stateful_loader_continues_after_any_batch(workers: int, done: int) -> None:
    stateful = pytest.importorskip("torchdata.stateful_dataloader", reason="needs torchdata")

    def make() -> Any:
        return stateful.StatefulDataLoader(Rows(), batch_sampler=BatchSampler(N, B, seed=7), num_workers=workers)

    first = make()
    before = list(islice(iter(first), done))
    second = make()
    second.load_state_dict(first.state_dict())
    rest = list(second)
    if done < 129:
        assert np.array_equal(seen(before + rest), order(0))
    else:  # after an epoch's last batch comes the next epoch
        assert np.array_equal(seen(before), order(0))
        assert np.array_equal(seen(rest), order(1))
    assert np.array_equal(seen(second), order(1 if done < 129 else 2))


_KILLED = """
import json, os, signal, sys
import torch
from torchdata.stateful_dataloader import StatefulDataLoader
from epochal.loaders import BatchSampler
loader = StatefulDataLoader(range(5_000), batch_sampler=BatchSampler(5_000, 64, seed=7), num_workers=1)
for number, batch in enumerate(loader, 1):
    print(*batch.tolist(), flush=True)
    if number == 40:
        torch.save(loader.state_dict(), sys.argv[1])
    if number == 43:
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_process_is_continued_by_another(tmp_path: Path) -> None:
    stateful = pytest.importorskip("torchdata.stateful_dataloader", reason="needs torchdata")
    state = tmp_path / "state.pt"
    killed = subprocess.run([sys.executable, "-c", _KILLED, str(state)], capture_output=True, text=True, check=False)
    assert killed.returncode == -9, killed.stderr
    before = [int(word) for line in killed.stdout.splitlines()[:40] for word in line.split()]

    sampler = BatchSampler(5_000, 64, seed=7)
    loader = stateful.StatefulDataLoader(range(5_000), batch_sampler=sampler, num_workers=1)
    loader.load_state_dict(torch.load(state, weights_only=True))
    assert before + list(seen(loader)) == list(order(0, 5_000))


def test_ranks_share_each_batch_and_torchs_own_sampler_doubles_samples() -> None:
    samples, ranks = 1_003, 4

    def epoch(make: Any) -> np.ndarray:
        return np.concatenate([seen(data.DataLoader(Rows(samples), **make(rank))) for rank in range(ranks)])

    ours = epoch(lambda rank: {"batch_sampler": BatchSampler(samples, 99, seed=7, rank=rank, ranks=ranks)})
    assert np.array_equal(np.sort(ours), np.arange(samples))

    theirs = epoch(lambda rank: {"sampler": data.DistributedSampler(range(samples), ranks, rank), "batch_size": 25})
    assert theirs.size == samples + 1  # the negative control: padded with a sample that comes twice


_RANK = """
import json, sys
import torch, torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader
from epochal.loaders import BatchSampler
rank, port = int(sys.argv[1]), sys.argv[2]
dist.init_process_group("gloo", init_method=f"file://{port}", rank=rank, world_size=2)
sampler = BatchSampler(203, 20, seed=7, rank=rank, ranks=2)
torch.manual_seed(0)
model = DistributedDataParallel(torch.nn.Linear(1, 1))
numbers, sizes = [], []
for batch in DataLoader(range(203), batch_sampler=sampler):
    model(batch[:, None].float() / 203).mean().backward()
    numbers.append(batch.tolist())
dist.barrier()
print(json.dumps(numbers))
"""


@pytest.mark.slow
def test_two_processes_train_together(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _RANK]
    meeting = str(tmp_path / "meeting")
    ranks = [
        subprocess.Popen([*command, str(rank), meeting], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for rank in range(2)
    ]
    told = [rank.communicate(timeout=120) for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0, 0], told
    first, second = (json.loads(out) for out, _ in told)
    whole = list(BatchSampler(203, 20, seed=7))
    assert [sorted(a + b) for a, b in zip(first, second, strict=True)] == [sorted(batch) for batch in whole]
