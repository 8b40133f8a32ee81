"""Damaged files are recognised, named, and passed over for the ones before or refused in a line; never believed."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from children import ChildServer
from outcome import Outcome
from sabotage import sabotaged

from epochal import Run, resume, train
from epochal.errors import EpochalError, RunError
from epochal.record import history as history_module
from epochal.record.checkpoint_file import checkpoint_files, iteration_of, newest_checkpoint
from epochal.record.history import History, read_history
from little import LITTLE, Warnings

OPTIONS: dict[str, Any] = {**LITTLE["ragged B, adam, dropout"], "checkpoint_every": 0.0}


@pytest.fixture
def run(little_data: Path, quick_path: Path) -> Path:
    """A finished run with three checkpoints."""
    path = quick_path / "run"
    train(little_data, run=path, **{**OPTIONS, "iterations": 11, "epochs": None, "warmup": None})
    resume(path, iterations=17)
    resume(path, iterations=24)
    assert len(checkpoint_files(path / "checkpoints")) >= 3
    return path


def flipped(content: bytes, bit: int) -> bytes:
    """Return the content with one bit the other way."""
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def some_bits(content: bytes, count: int, seed: int = 0) -> list[int]:
    """Return positions of bits: the first and the last, and others at random."""
    bits = 8 * len(content)
    return [0, bits - 1, *random.Random(seed).sample(range(bits), min(count, bits) - 2)]


def not_passed_over(folder: Path, damages: list[bytes]) -> Iterator[str]:
    """Put each damaged content under the newest checkpoint's name; yield those that were not passed over and named."""
    newest, before = checkpoint_files(folder)[:2]
    whole = newest.read_bytes()
    for number, content in enumerate(damages):
        newest.write_bytes(content)
        warnings: list[str] = []
        restored = newest_checkpoint(folder, lambda: 1 << 40, warnings.append)
        assert restored is not None
        if restored.position.iteration != iteration_of(before) or str(newest) not in " ".join(warnings):
            yield f"damage {number}: {restored.position}, {warnings}"
    newest.write_bytes(whole)


def test_bits_flipped_in_the_newest_checkpoint(run: Path, counted: Callable[[str, object], None]) -> None:
    whole = checkpoint_files(run / "checkpoints")[0].read_bytes()
    damages = [flipped(whole, bit) for bit in some_bits(whole, 200)]
    assert len(set(damages)) == 200
    counted("times", len(damages))
    assert list(not_passed_over(run / "checkpoints", damages)) == []


def test_a_newest_checkpoint_cut_short_or_grown(run: Path) -> None:
    whole = checkpoint_files(run / "checkpoints")[0].read_bytes()
    damages = [whole[: len(whole) * part // 60] for part in range(60)]
    damages += [whole[:-1], whole + b"\0", whole + whole, bytes(len(whole))]
    assert list(not_passed_over(run / "checkpoints", damages)) == []


def test_that_a_checksum_left_out_is_caught(run: Path) -> None:
    whole = checkpoint_files(run / "checkpoints")[0].read_bytes()
    with sabotaged("checksum_is_not_compared"):
        assert list(not_passed_over(run / "checkpoints", [flipped(whole, bit) for bit in some_bits(whole, 50)]))


def test_training_goes_on_from_the_checkpoint_before_and_says_so(run: Path) -> None:
    whole = Outcome.of(run)
    newest, before = checkpoint_files(run / "checkpoints")[:2]
    newest.write_bytes(newest.read_bytes()[:-5])
    heard = Warnings()
    resume(run, callbacks=heard)
    assert Outcome.of(run).differences(whole) == []
    warnings = heard.messages
    assert len(warnings) == 1
    assert str(newest) in warnings[0]
    events = Run.open(run).history.events
    assert [event.detail["message"] for event in events if event.kind == "warned"] == warnings
    assert [event.iteration for event in events if event.kind == "resumed"][-1] == iteration_of(before)


def test_a_run_whose_checkpoints_are_all_damaged_is_not_begun_anew(run: Path) -> None:
    for path in checkpoint_files(run / "checkpoints"):
        path.write_bytes(b"")
    losses = Run.open(run).history.losses
    with pytest.raises(RunError, match=r"none of the checkpoints in .* can be used: .* is damaged"):
        resume(run)
    assert Run.open(run).history.losses.tobytes() == losses.tobytes()


def test_a_checkpoint_of_another_run_is_refused(run: Path, little_data: Path) -> None:
    other = train(little_data, run=run.with_name("other"), **{**OPTIONS, "seed": 1})
    stranger = checkpoint_files(other.folder.checkpoints)[0]
    checkpoint_files(run / "checkpoints")[0].unlink()
    shutil.copy(stranger, run / "checkpoints")
    with pytest.raises(RunError, match=r"iteration 24 was made with .* = .*, but run.toml says"):
        resume(run, iterations=30)


def tables_of(history: History) -> tuple[Any, ...]:
    """Read everything."""
    return (
        history.losses.tobytes(),
        history.iterations,
        history.epochs,
        history.evaluations,
        history.sessions,
        history.events,
    )


def unnoticed(path: Path, bits: list[int]) -> Iterator[str]:
    """Flip each bit of a history in turn; yield those that change what is read, or are refused in another way."""
    whole, right = path.read_bytes(), tables_of(read_history(path, check=True))
    for bit in bits:
        path.write_bytes(flipped(whole, bit))
        try:
            found = tables_of(read_history(path, check=True))
        except Exception as error:
            if not is_clear(error, path):
                yield f"bit {bit}: {error!r}"
            continue
        if found != right:
            yield f"bit {bit} changed what is read"
    path.write_bytes(whole)


def is_clear(error: Exception, path: Path) -> bool:
    """Return whether the error is one line for the user, with the file's name."""
    return isinstance(error, EpochalError) and str(path) in str(error) and "\n" not in str(error)


def test_bits_flipped_in_the_history_never_change_it_unnoticed(
    run: Path, counted: Callable[[str, object], None]
) -> None:
    content = (run / "history.db").read_bytes()
    counted("times", 1500)
    assert list(unnoticed(run / "history.db", some_bits(content, 1500))) == []


def test_that_row_checksums_left_out_are_caught(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Agrees(int):
        def __ne__(self, other: object) -> bool:
            return False

    monkeypatch.setattr(history_module, "checksum", lambda values: Agrees())
    monkeypatch.setattr(history_module, "crc32", lambda content: Agrees())
    content = (run / "history.db").read_bytes()
    assert list(unnoticed(run / "history.db", some_bits(content, 1500)))


def test_bits_flipped_in_run_toml_never_change_the_training(run: Path, counted: Callable[[str, object], None]) -> None:
    path, whole = run / "run.toml", Outcome.of(run)
    content = path.read_bytes()
    answered = 0  # or without a meaning, as in a comment
    for bit in some_bits(content, 150):
        path.write_bytes(flipped(content, bit))
        try:
            resume(run)
        except EpochalError as error:
            answered += "\n" not in str(error)
            continue
        assert Outcome.of(run).differences(whole) == [], bit
        answered += 1
    assert answered == 150
    counted("times", answered)


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def made_garbage(path: Path) -> None:
    path.write_bytes(random.Random(1).randbytes(5000))


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("damage", [emptied, made_garbage, cut_short, Path.unlink])
@pytest.mark.parametrize("name", ["run.toml", "history.db"])
def test_the_command_line_says_it_in_a_line(
    damage: Callable[[Path], None], name: str, run: Path, children: ChildServer
) -> None:
    damage(run / name)
    for command in ("show", "resume", "rerun"):
        status, text = children.run(command, run)
        assert status == 2, text
        assert text.startswith("epochal: "), text
        assert text.count("\n") == 1, text
        assert name in text, text
    assert children.run("runs", run.parent)[0] == 0
