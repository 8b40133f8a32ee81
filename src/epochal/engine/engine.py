"""The engine: the only place that compiles. It turns a state and a position into later ones."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np
import optax
from jaxtyping import Float

from epochal.audit import Audit
from epochal.clock import Position
from epochal.data import Dataset, Split
from epochal.engine.chunk import CAPACITY, Chunk, Record, build_chunk, place_at
from epochal.engine.evaluation import Evaluation, build_evaluate, build_predict, to_evaluation
from epochal.engine.memory import Trial, device_memory, fast_micro_batch, memory_limit, next_micro_batch
from epochal.engine.objective import Objective
from epochal.engine.samples import Samples, put_on_device
from epochal.engine.shards import Shards, cut, in_one_piece
from epochal.engine.state import State, initial_state
from epochal.engine.update import Program
from epochal.errors import DataError, ModelError
from epochal.models import Model
from epochal.order import Order

Losses = Float[np.ndarray, " iterations"]


@dataclass(frozen=True, slots=True)
class Chunked:
    """What a chunk of iterations did: each one's loss, the audit of their samples, and the seconds that they took."""

    losses: Losses
    audit: Audit
    seconds: float


@dataclass(frozen=True, slots=True)
class _Compiled:
    chunk: Chunk
    micro_batch: int
    shards: Shards


@dataclass(slots=True)
class Engine:
    """Trains and evaluates one model on one data set, with any batch size.

    It compiles once for each batch size that it meets, and holds the data on the device as they are stored.

    Attributes:
        micro_batch: the most samples computed at once; ``None`` lets the engine choose, from cache and memory.
        shards: into how many equal parts a batch is cut for the devices; ``None`` for the model's own number on a CPU,
            and 1 elsewhere.
        compile_seconds: time spent in compilation so far.
    """

    model: Model
    data: Dataset
    objective: Objective
    optimizer: optax.GradientTransformation
    order: Order
    seed: int = 0
    micro_batch: int | None = None
    shards: int | None = None
    compile_seconds: float = 0.0
    _chunks: dict[int, _Compiled] = field(default_factory=dict, init=False, repr=False)
    _splits: dict[tuple[str, tuple[jax.Device, ...]], Samples] = field(default_factory=dict, init=False, repr=False)
    _functions: dict[Any, Callable[..., Any]] = field(default_factory=dict, init=False, repr=False)

    def initial_state(self) -> State:
        """Return the state before the first iteration. Raises `ModelError` where the model does not fit the data."""
        with _must_fit(f"model '{self.model.name}' does not fit samples of shape {self.data.sample_shape}"):
            state = initial_state(self.model, self.optimizer, self.seed)
            x = jax.ShapeDtypeStruct((1, *self.data.sample_shape), np.float32)
            noise = jax.random.key(0)
            outputs, _ = jax.eval_shape(lambda x: self.model.apply(state.params, state.model_state, x, noise, True), x)
        if outputs.shape != (1, self.data.outputs):
            raise ModelError(
                f"model '{self.model.name}' returns shape {outputs.shape} for one sample of '{self.data.name}'; "
                f"(1, {self.data.outputs}) is needed"
            )
        self._check_loss()
        return state

    def _check_loss(self) -> None:
        """Try the loss on the shapes of two samples, before anything is compiled or written."""
        outputs = jax.ShapeDtypeStruct((2, self.data.outputs), np.float32)
        targets = jax.ShapeDtypeStruct((2, *self.data.train.y.shape[1:]), self.data.train.y.dtype)
        shapes = f"outputs of shape {outputs.shape} and targets of shape {targets.shape}"
        with _must_fit(f"loss '{self.objective.name}' does not fit {shapes}"):
            jax.eval_shape(self.objective.losses, outputs, targets)

    def count_parameters(self) -> int:
        """Return how many numbers training adjusts.

        Raises `ModelError` where the model does not fit the data, or the memory.
        """
        state = jax.eval_shape(self.initial_state)
        count: int = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(state.params))
        needed = sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(state))
        memory = device_memory()
        if memory is not None and needed > memory:
            raise ModelError(
                f"model '{self.model.name}' has {count:,} parameters and needs {needed / 1e9:,.0f} GB with its "
                f"optimizer, more than the {memory / 1e9:,.0f} GB there are; make it smaller"
            )
        return count

    def cut(self, batch_size: int) -> Shards:
        """Return how batches of this size are cut, and the devices that compute them."""
        if self.shards is not None:
            return cut(batch_size, self.shards)
        return cut(batch_size, self.model.shards if jax.default_backend() == "cpu" else 1)

    def prepare(self, state: State, batch_size: int) -> int:
        """Compile for this batch size if that is still to do; return the micro-batch that is used."""
        return self._compiled(state, batch_size).micro_batch

    def run(self, state: State, position: Position, batch_size: int, count: int) -> tuple[State, Chunked]:
        """Run ``count`` iterations (1 to `CAPACITY`) of ``batch_size`` samples from ``position``, within its epoch.

        ``state`` is used up: its arrays are overwritten by the new state's.
        """
        if not 1 <= count <= CAPACITY:
            raise ValueError(f"a chunk has 1 to {CAPACITY} iterations, not {count}")
        if position.offset + count * batch_size > self.order.samples:
            raise ValueError(f"{count} batches of {batch_size} from {position} leave the epoch")
        compiled = self._compiled(state, batch_size)
        started = time.perf_counter()
        place = place_at(self.order, position, count, compiled.shards)
        state, samples = compiled.shards.place(state), self._on_device(self.data.train, compiled.shards)
        state, record = compiled.chunk(state, samples, place)
        chunked = _read(record, count, started)
        return state, chunked

    def evaluate(self, state: State, split: Split) -> Evaluation:
        """Evaluate each sample of the split once. Raises `DataError` where its targets are not of the model's kind."""
        self._check_targets(split)
        state = in_one_piece().place(state)
        evaluate = self._function("evaluate", split, state, lambda: build_evaluate(self.model, self.objective))
        sums = evaluate(state.params, state.model_state, self._on_device(split))
        return to_evaluation(sums, self.objective)

    def predict(self, state: State, split: Split) -> Float[np.ndarray, "n outputs"]:
        """Return the model's outputs for each sample of the split, before any softmax."""
        state = in_one_piece().place(state)
        predict = self._function("predict", split, state, lambda: build_predict(self.model))
        return np.asarray(predict(state.params, state.model_state, self._on_device(split)))

    def _check_targets(self, split: Split) -> None:
        """Refuse what would give a number without a meaning: other classes, or another number of targets."""
        kind, wanted = split.y.dtype.kind, self.data.train.y
        if kind != wanted.dtype.kind or split.y.shape[1:] != wanted.shape[1:]:
            raise DataError(
                f"targets of type {split.y.dtype} and shape {split.y.shape[1:]} do not fit this model, "
                f"trained on {wanted.dtype} and {wanted.shape[1:]}"
            )
        if (
            self.data.class_names is not None
            and len(split)
            and not 0 <= split.y.min() <= split.y.max() < self.data.outputs
        ):
            raise DataError(f"class {split.y.max()} is none of the {self.data.outputs} classes of '{self.data.name}'")

    def _compiled(self, state: State, batch_size: int) -> _Compiled:
        if batch_size not in self._chunks:
            started = time.perf_counter()
            self._chunks[batch_size] = self._compile_to_fit(state, batch_size)
            self.compile_seconds += time.perf_counter() - started
        return self._chunks[batch_size]

    def _compile_to_fit(self, state: State, batch_size: int) -> _Compiled:
        """Compile, with smaller micro-batches until the predicted memory fits."""
        shards = self.cut(batch_size)
        if shards.count > 1:
            self._check_shards(state, shards.count)
        most = batch_size // shards.count
        micro_batch = min(self.micro_batch or self._first_micro_batch(most), most)
        if self.model.couples_samples and micro_batch < batch_size:
            raise ModelError(
                f"model '{self.model.name}' couples the samples of a batch (batch statistics), so a batch of "
                f"{batch_size} cannot be split into micro-batches of {micro_batch} exactly; leave micro_batch out"
            )
        settled = self.micro_batch is not None or self.model.couples_samples
        trials: list[Trial] = []
        while True:
            chunk, predicted = self._compile(state, batch_size, micro_batch)
            trials.append(Trial(micro_batch, predicted))
            smaller = None if settled else next_micro_batch(trials, memory_limit())
            if smaller is None:
                return _Compiled(chunk, micro_batch, shards)
            micro_batch = smaller

    def _check_shards(self, state: State, count: int) -> None:
        """Refuse to cut the batches of a model that needs to see them whole, or their samples one after another."""
        model = f"model '{self.model.name}'"
        if self.model.couples_samples:
            problem = f"{model} couples the samples of a batch (batch statistics)"
        elif jax.tree.leaves(state.model_state):
            problem = f"{model} has a state of its own, which goes from samples to samples"
        else:
            return
        raise ModelError(f"{problem}, so a batch cannot be cut into {count} shards exactly; leave shards out")

    def _first_micro_batch(self, batch_size: int) -> int:
        """Return the micro-batch to try first where the user gave none."""
        if self.model.couples_samples:
            return batch_size
        return fast_micro_batch(batch_size, math.prod(self.data.sample_shape))

    def _compile(self, state: State, batch_size: int, micro_batch: int) -> tuple[Chunk, int]:
        """Return the compiled chunk and the bytes of one memory that it needs for intermediate values."""
        shards = self.cut(batch_size)
        program = Program(self.model, self.objective, self.optimizer, self.order, batch_size, micro_batch, shards)
        chunk = jax.jit(shards.spread(build_chunk(program, self.seed)), donate_argnums=0)
        place = place_at(self.order, Position(), 1, shards)
        compiled = chunk.lower(shards.place(state), self._on_device(self.data.train, shards), place).compile()
        memory = compiled.memory_analysis()
        sharing = len(shards.devices) if shards.share_memory else 1
        return compiled, 0 if memory is None else sharing * int(memory.temp_size_in_bytes)

    def _function(self, name: str, split: Split, state: State, build: Callable[[], Callable[..., Any]]) -> Any:
        """Return the compiled evaluation or prediction for a split of this shape."""
        key = (name, split.x.shape, split.x.dtype, split.y.shape)
        if key not in self._functions:
            started = time.perf_counter()
            lowered = jax.jit(build()).lower(state.params, state.model_state, self._on_device(split))
            self._functions[key] = lowered.compile()
            self.compile_seconds += time.perf_counter() - started
        return self._functions[key]

    def _on_device(self, split: Split, shards: Shards | None = None) -> Samples:
        """Keep the data set's own splits on the devices; put any other there for this once."""
        shards = shards or in_one_piece()
        name = {id(self.data.train): "train", id(self.data.test): "test"}.get(id(split))
        if name is None:
            return shards.place(put_on_device(split, self.data.recipe))
        if (name, shards.devices) not in self._splits:
            self._splits[name, shards.devices] = shards.place(put_on_device(split, self.data.recipe))
        return self._splits[name, shards.devices]


def _read(record: Record, count: int, started: float) -> Chunked:
    """Wait for the chunk and read its record."""
    losses = np.asarray(record.losses).reshape(-1)[:count]
    audit = Audit(int(record.samples), int(record.hash_low), int(record.hash_high))
    return Chunked(losses, audit, time.perf_counter() - started)


@contextmanager
def _must_fit(problem: str) -> Iterator[None]:
    """Turn what JAX says of shapes that do not fit into a `ModelError` of one line."""
    try:
        yield
    except ModelError:
        raise
    except (TypeError, ValueError) as error:
        first_line = str(error).strip().split("\n", 1)[0]
        raise ModelError(f"{problem}: {first_line}") from error
