"""What is measured: one training problem per row, the numbers to reach, and how long each part may take."""

from __future__ import annotations

from dataclasses import dataclass

MODELS = ("linear", "mlp", "cnn", "rnn")
BATCH_SIZES: tuple[int | str, ...] = (1, 10, 100, 1000, "N")


@dataclass(frozen=True, slots=True)
class Work:
    """One training problem; the same for every contender.

    Attributes:
        model: linear (784-10), mlp (784-128-10), cnn (two 5×5 convolutions) or rnn (28 rows, 128 units).
        batch_size: samples an update, or ``"N"``.
        optimizer: sgd, momentum (0.9) or adam.
        lr: the learning rate.
        updates: length of the short training from fresh weights after which accuracies are compared.
        samples: use only the first so many training samples; ``None`` for all.
    """

    model: str
    batch_size: int | str
    optimizer: str
    lr: float
    updates: int
    samples: int | None = None

    @property
    def name(self) -> str:
        samples = f", N={self.samples}" if self.samples else ""
        return f"{self.model}, {self.optimizer}, B={self.batch_size}{samples}"

    def batch(self, samples: int) -> int:
        """Return the batch size as a number."""
        return samples if self.batch_size == "N" else int(self.batch_size)


@dataclass(frozen=True, slots=True)
class Target:
    """The least ratios of times (theirs to Epochal's) to reach."""

    loader: float
    best_peer: float
    floor: float


_RATES = {"sgd": 0.1, "momentum": 0.02, "adam": 0.001}
_UPDATES: dict[int | str, int] = {1: 2000, 10: 1000, 100: 300, 1000: 60, "N": 15}
_CNN_UPDATES: dict[int | str, int] = {1: 600, 10: 200, 100: 50, 1000: 20, "N": 2}
_CNN_SAMPLES = 6_000  # for B = N: 60,000 take most contenders minutes an update, and some more memory than there is
_RNN_UPDATES: dict[int | str, int] = {1: 2000, 10: 1000, 100: 500, 1000: 150, "N": 5}


def work_of(model: str, batch_size: int | str, optimizer: str = "sgd") -> Work:
    """Return the row's problem, with the learning rate scaled by √(B/100) and a short training that fits."""
    scale = 4.0 if batch_size == "N" else min(4.0, (int(batch_size) / 100) ** 0.5)
    updates = {"cnn": _CNN_UPDATES, "rnn": _RNN_UPDATES}.get(model, _UPDATES)[batch_size]
    samples = _CNN_SAMPLES if (model, batch_size) == ("cnn", "N") else None
    return Work(model, batch_size, optimizer, float(f"{_RATES[optimizer] * scale:.3g}"), updates, samples)


TARGETS = {
    work_of("mlp", 1): Target(12, 3, 0.9),
    work_of("mlp", 100): Target(3.5, 1.7, 0.95),
    work_of("mlp", "N"): Target(8, 2, 0.95),
    work_of("mlp", 1, "momentum"): Target(8, 2, 0.9),
    work_of("mlp", 1, "adam"): Target(8, 2, 0.9),
    work_of("cnn", 1): Target(2.5, 2, 0.9),
    work_of("cnn", 100): Target(1.2, 1.05, 0.95),
    work_of("rnn", 100): Target(2, 1.5, 0.9),
}


def all_works() -> list[Work]:
    """Return every row of the full measurement: those with a target first."""
    works = dict.fromkeys(TARGETS)
    works.update(dict.fromkeys(work_of(model, size) for model in MODELS for size in BATCH_SIZES))
    works.update(dict.fromkeys(work_of("mlp", size, name) for name in ("momentum", "adam") for size in BATCH_SIZES))
    return list(works)


@dataclass(frozen=True, slots=True)
class Effort:
    """How long to measure.

    Attributes:
        repetitions: the most measurements of each contender for each row that has a target; three more at B = 1,
            where a moment's disturbance weighs the most. Other rows get five. A row ends before where it has settled
            (`measure.is_settled`), but not before the fourth, and other rows the third.
        seconds: about how long one measurement lasts; never less than one iteration.
        works: the rows.
    """

    repetitions: int
    seconds: float
    works: tuple[Work, ...]

    def repetitions_of(self, work: Work) -> int:
        """Return how many measurements a row gets."""
        return self.repetitions + 3 * (work.batch_size == 1) if work in TARGETS else min(5, self.repetitions)

    def fewest_of(self, work: Work) -> int:
        """Return how many measurements a row gets at least."""
        return 4 if work in TARGETS else 3

    @classmethod
    def quick(cls) -> Effort:
        return cls(5, 0.1, tuple(TARGETS))

    @classmethod
    def full(cls) -> Effort:
        return cls(7, 0.4, tuple(all_works()))
