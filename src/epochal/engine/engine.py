"""The engine: one model, one task, one data set. It turns a state and a position into later ones."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Hashable, Iterator
from dataclasses import KW_ONLY, dataclass, field
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, PyTree, Shaped, UInt32

from epochal.audit import Audit
from epochal.clock import Position
from epochal.data import Dataset, Split
from epochal.data.row_source import AnySplit, ArraySource, StoredSplit
from epochal.engine import checks, door, exported
from epochal.engine.beginning import begun
from epochal.engine.chunk import (
    CAPACITY,
    Chunk,
    build_chunk,
    chunk_arguments,
    count_measured,
    training_key_data,
)
from epochal.engine.cluster import ALONE, Cluster
from epochal.engine.compile import PROGRAMS, Program, Programs, key_of
from epochal.engine.evaluation import (
    SLICE,
    Evaluation,
    all_metrics,
    build_evaluate,
    build_predict,
    dealt_rows,
    sums_of_slices,
    to_evaluation,
    together,
)
from epochal.engine.feed import EVERYWHERE, Feed, put_on_device
from epochal.engine.micro_batch import fast_micro_batch, search_micro_batch
from epochal.engine.optimizer import Optimizer
from epochal.engine.placement import Residence, Shards, cut, in_one_piece
from epochal.engine.row_windows import WINDOW_BYTES, HeldFeed, WindowReader
from epochal.engine.runtime import check_process
from epochal.engine.state import Params, State, initial_state
from epochal.engine.step import StepConfig
from epochal.engine.task import Task
from epochal.gradient_noise import NoiseBlock
from epochal.models import Model
from epochal.order import EpochOrder, Order

_TRIED = 5


@dataclass(frozen=True, slots=True)
class ChunkResult:
    """What a chunk of iterations did: each one's loss, the audit of their samples, and the seconds that they took.

    Attributes:
        noise: what was measured of the gradients' noise; ``None`` where that is not wanted, or batches have one sample.
    """

    losses: Float[np.ndarray, " iterations"]
    audit: Audit
    seconds: float
    noise: NoiseBlock | None = None


@dataclass(frozen=True, slots=True)
class _Chunk:
    """The compiled chunk for a batch size, and how it computes a batch."""

    program: Program
    micro_batch: int
    shards: Shards
    noise_every: int | None

    def block(self, position: Position, batch_size: int, sums: Float[np.ndarray, "measured 2"]) -> NoiseBlock:
        """Return what iterations from a position on measured."""
        assert self.noise_every is not None
        first = position.iteration + -position.iteration % self.noise_every
        halved = batch_size // self.shards.count // 2 * 2 * self.shards.count
        return NoiseBlock(first, self.noise_every, halved, sums)


@dataclass(slots=True)
class Engine:
    """Trains and evaluates one model on one data set, with any batch size.

    What it compiles is shared by all engines of the process whose trainings have the same shape, whatever their data,
    learning rate and seed. It holds the data on the device as they are stored, or a window of them at a time.

    Attributes:
        rate: the learning rate's peak; an optimizer of the user's own has its own and ignores it.
        micro_batch: the most samples computed at once; ``None`` lets the engine choose, from cache and memory.
        shards: into how many equal parts a batch is cut for the devices; ``None`` for the model's own number on a CPU,
            and 1 elsewhere.
        slice_size: how many samples are evaluated at once.
        at_once: how many trainings share the processors; where several do, one device alone computes each of them.
        noise_every: every which iteration the noise of the gradients is measured, counted over the whole training;
            ``None``: never. Batches of one sample cannot be halved and are left out. The weights have the same bits.
        is_built_in: whether model and optimizer are the package's own, whose state nobody else holds.
        programs: where compiled programs are kept.
        compile_seconds: time spent in compilation so far.
    """

    model: Model
    data: Dataset
    task: Task
    optimizer: Optimizer
    order: EpochOrder
    _: KW_ONLY
    rate: float = 1.0
    seed: int = 0
    micro_batch: int | None = None
    shards: int | None = None
    slice_size: int = SLICE
    at_once: int = 1
    noise_every: int | None = None
    is_built_in: bool = False
    programs: Programs = PROGRAMS
    compile_seconds: float = field(default=0.0, init=False)
    _residence: Residence = field(init=False, repr=False)
    _reader: WindowReader | None = field(default=None, init=False, repr=False)
    _chunks: dict[int, _Chunk] = field(default_factory=dict, init=False, repr=False)
    _key_data: UInt32[np.ndarray, " words"] | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.task.scales_targets:
            self.data = dataclasses.replace(self.data, target_scaling=None)
        self._residence = Residence(self.data)
        train = self.data.train
        if isinstance(train, StoredSplit):
            self._reader = WindowReader(train.source, self.order, self.data)
        elif not isinstance(self.order, Order):  # the compiled loop knows no other
            self._reader = WindowReader(ArraySource(train), self.order, self.data)

    def take_over(self, other: Engine) -> None:
        """Use what another engine holds of the same data on the device, and what it compiled: as after a change.

        Nothing is copied twice. Engines of other data share nothing.
        """
        if all(getattr(self.data, name) is getattr(other.data, name) for name in ("train", "test", "target_scaling")):
            self._residence, self.programs = other._residence, other.programs

    def initial_state(self) -> State:
        """Return the state before the first iteration.

        Raises `ModelError` where model, task and data do not fit, and `OptionError` for an optimizer that is of no use.
        """
        with checks.must_fit(f"model '{self.model.name}' does not fit samples of shape {self.task.sample_shape}"):
            state = initial_state(self.model, self.optimizer, self.seed, is_checked=self.is_built_in)
            outputs = checks.check_outputs(self.model, self.task, state)
        checks.check_optimizer(self.optimizer, state)
        checks.check_task(self.task, outputs)
        return state

    def begin(self) -> State:
        """Return `initial_state`, sooner on a CPU where model and optimizer are built in: with the same bits."""
        if not self.is_built_in or jax.default_backend() != "cpu":
            return self.initial_state()
        check_process()
        return begun(self.model, self.optimizer, self.seed, self.programs)

    def try_own_parts(self, batch_size: int, *, loss: bool) -> door.Findings:
        """Try a model or a loss of the user's own on real samples; ``loss`` says whether that is one.

        What is slow in batches of ``batch_size`` is measured, where something may be.

        Raises `ModelError` for what cannot be trained, and where the memory does not hold the model.
        """
        self.count_parameters()
        samples = door.try_samples(self.data)
        if samples is None:
            return door.Findings()
        state = self.initial_state()
        if loss:
            door.try_loss(self.task, samples, checks.check_outputs(self.model, self.task, state))
        found = door.try_model(self.model, self.task, state, samples)
        if self.model.is_built_in:
            return found
        return found._replace(slow=door.slow_operations_of(self.model, self.task, state, samples, batch_size))

    def count_parameters(self) -> int:
        """Return how many numbers training adjusts.

        Raises `ModelError` where the model does not fit the data, or the memory.
        """
        return checks.count_parameters(self.model, jax.eval_shape(self.initial_state))

    def cut(self, batch_size: int) -> Shards:
        """Return how batches of this size are cut, and the devices that compute them."""
        usual = self.model.shards if jax.default_backend() == "cpu" else 1
        shards = cut(batch_size, usual if self.shards is None else self.shards)
        return shards if self.at_once == 1 else dataclasses.replace(shards, devices=shards.devices[:1])

    def prepare(self, state: State, batch_size: int) -> int:
        """Compile for this batch size if that is still to do; return the micro-batch that is used."""
        return self._chunk(state, batch_size).micro_batch

    def exchange_seconds(self, state: State, batch_size: int) -> float:
        """Return how long the devices take to add up one iteration's shards, measured by trying it a few times."""
        shards = self.cut(batch_size)
        if len(shards.devices) == 1:
            return 0.0

        def exchange(params: Params, each: jax.Array, times: jax.Array) -> Params:
            def once(_: jax.Array, params: Params) -> Params:
                added: Params = shards.add_up(lambda number: (params, jnp.uint32(0)), each)[0]
                return added

            return jax.lax.fori_loop(jnp.int32(0), times, once, params)

        arguments = shards.place((state.params, np.array(shards.each, np.int32), np.array(_TRIED, np.int32)))
        build = partial(shards.spread, exchange, EVERYWHERE, EVERYWHERE, EVERYWHERE)
        program = self.programs.get(("exchange", shards), build, *arguments)
        jax.block_until_ready(program.run(*arguments))
        started = time.perf_counter()
        jax.block_until_ready(program.run(*arguments))
        return (time.perf_counter() - started) / _TRIED

    def run(self, state: State, position: Position, batch_size: int, count: int) -> tuple[State, ChunkResult]:
        """Run ``count`` iterations (1 to `CAPACITY`) of ``batch_size`` samples from ``position``, within its epoch.

        ``state`` is used up: its arrays are overwritten by the new state's.
        """
        if not 1 <= count <= CAPACITY:
            raise ValueError(f"a chunk has 1 to {CAPACITY} iterations, not {count}")
        if position.offset + count * batch_size > self.order.samples:
            raise ValueError(f"{count} batches of {batch_size} from {position} leave the epoch")

        # Compiling comes before the clock starts: it is no time of training.
        chunk = self._chunk(state, batch_size)
        started = time.perf_counter()
        state, keys, shards = chunk.shards.place(state), self.order.keys(position.epoch), chunk.shards
        losses, noise, audit = [], [np.zeros((0, 2), np.float32)], Audit()
        offset, end, every = position.offset, position.offset + count * batch_size, chunk.noise_every

        # one part where the samples lie on the device; else a window at a time
        while offset < end:
            feed, first, stop = self._feed(Position(position.iteration, position.epoch, offset), batch_size, shards)
            done, some = (offset - position.offset) // batch_size, (min(stop, end) - offset) // batch_size
            start = Position(position.iteration + done, position.epoch, offset)
            arguments = chunk_arguments(keys, start, some, self.rate, self._training_key(), shards, first, every)
            state, record = chunk.program.run(state, feed, arguments)

            # waits for the part: only then may the next window take the place of this one
            losses.append(np.asarray(record.losses).reshape(-1)[:some])
            if every is not None:
                noise.append(np.asarray(record.noise)[: count_measured(start, some, every)])
            audit += Audit(int(record.samples), int(record.hash_low), int(record.hash_high))
            offset += some * batch_size
        seconds = time.perf_counter() - started
        block = None if every is None else chunk.block(position, batch_size, np.concatenate(noise))
        return state, ChunkResult(np.concatenate(losses), audit, seconds, block)

    def evaluate(self, state: State, split: AnySplit, cluster: Cluster = ALONE) -> Evaluation:
        """Evaluate each sample of the split once. Raises `DataError` where its targets are not of the task's kind.

        The processes of a cluster, which must all be here, share the work: the figures are the same.
        """
        metrics, size = all_metrics(self.task), self.slice_size
        what = ("evaluate", self.model, *map(key_of, metrics), size)
        rows, parts = dealt_rows(len(split), size, cluster), []
        for piece in self._pieces(split, rows):
            self.task.check_targets(piece)
            sums = self._over(what, lambda: build_evaluate(self.model, metrics, size), state, piece)
            parts += sums_of_slices(sums, len(piece), size)
        return together(parts, cluster, lambda parts: to_evaluation(parts, metrics, len(split)))

    def predict(self, state: State, split: AnySplit) -> PyTree[Shaped[np.ndarray, "n ..."]]:
        """Return the model's outputs for each sample of the split, before any softmax: ``(n, outputs)`` float32.

        A model of the user's own may return other shapes, or a tree of arrays.
        """
        what = ("predict", self.model, self.slice_size)
        parts = [
            self._over(what, lambda: build_predict(self.model, self.slice_size), state, piece)
            for piece in self._pieces(split)
        ]
        return jax.tree.map(lambda *rows: np.concatenate([np.asarray(one) for one in rows]), *parts)

    def exported_form(self) -> bytes:
        """Return the model's function for a run to keep. Raises `exported.NoFormError` where it cannot be exported."""
        shapes = jax.eval_shape(self.initial_state)
        try:
            return exported.keep(self.model, shapes, self.task.inputs)
        except exported.NoFormError:
            # what is cut into slices of a fixed size, and filled up, must not look at the others of its slice
            if self.model.uses_batch_statistics and not door.predicts_apart(
                self.model, self.initial_state(), door.try_samples(self.data)
            ):
                raise
        return exported.keep(self.model, shapes, self.task.inputs, exported.FIXED)

    def exported_prediction(self, state: State) -> bytes:
        """Return the whole prediction as StableHLO, from stored samples to outputs in the targets' own units.

        Raises `ModelError` where the model cannot be exported for any number of samples.
        """
        nothing = put_on_device(self.data.train.layout, self.data)
        return exported.export_predict(self.model, state, nothing.preprocess, nothing.in_units, nothing.x)

    def _feed(self, position: Position, batch_size: int, shards: Shards) -> HeldFeed:
        """Return what holds the batch at a position, and which positions of its epoch it holds."""
        if self._reader is not None:
            return self._reader.window(position, batch_size, shards)
        return HeldFeed(self._residence.of(self._in_memory, shards), 0, self.order.samples)

    @property
    def _in_memory(self) -> Split:
        assert isinstance(self.data.train, Split)
        return self.data.train

    def _pieces(self, split: AnySplit, rows: range | None = None) -> Iterator[Split]:
        """Yield a split as it is, or those rows of it, or pieces of whole slices where it is read from where it is."""
        if rows is not None and not rows:
            return
        if isinstance(split, Split):
            yield split if rows is None or len(rows) == len(split) else split.take(np.array(rows))
        else:
            slices = WINDOW_BYTES // (self.slice_size * max(1, split.source.row_bytes))
            yield from split.pieces(max(1, slices) * self.slice_size, rows)

    def _over(self, what: Hashable, build: Callable[[], Callable[..., Any]], state: State, split: Split) -> Any:
        """Return what a function of weights and a whole split computes, on the first device."""
        check_process()
        whole = in_one_piece()
        state, resident = whole.place(state), self._residence.of(split, whole)

        started, before = time.perf_counter(), self.programs.compilations
        program = self.programs.get((what, whole), build, state.params, state.model_state, resident)
        if self.programs.compilations > before:
            self.compile_seconds += time.perf_counter() - started
        return program.run(state.params, state.model_state, resident)

    def _chunk(self, state: State, batch_size: int) -> _Chunk:
        check_process()
        if batch_size not in self._chunks:
            started = time.perf_counter()
            self._chunks[batch_size] = self._compile(state, batch_size)
            self.compile_seconds += time.perf_counter() - started
        return self._chunks[batch_size]

    def _compile(self, state: State, batch_size: int) -> _Chunk:
        """Compile for a batch size, with smaller micro-batches until the predicted memory fits."""
        shards = self.cut(batch_size)
        if shards.count > 1:
            checks.check_shards(self.model, state, shards.count)
        most = batch_size // shards.count
        every = self.noise_every if most > 1 else None
        placed = shards.place(state)
        reader = self._reader
        feed = self._residence.of(self._in_memory, shards) if reader is None else reader.shapes(batch_size, shards)

        def compile_for(micro_batch: int) -> tuple[Program, int]:
            program = self._program(placed, feed, batch_size, micro_batch, shards, every)
            return program, program.temporary_bytes * (len(shards.devices) if shards.share_memory else 1)

        # What is cut changes statistics of the batch, and a state that the model updates slice by slice.
        in_one_piece = self.model.uses_batch_statistics or bool(jax.tree.leaves(state.model_state))
        if self.micro_batch is not None or in_one_piece:
            micro_batch = min(self.micro_batch or most, most)
            checks.check_micro_batch(self.model, batch_size, micro_batch)
            return _Chunk(compile_for(micro_batch)[0], micro_batch, shards, every)

        first = min(fast_micro_batch(most, self.task.values), most)
        micro_batch, program = search_micro_batch(first, compile_for)
        return _Chunk(program, micro_batch, shards, every)

    def _program(
        self, state: State, feed: Feed, batch_size: int, micro_batch: int, shards: Shards, every: int | None
    ) -> Program:
        """Return the compiled chunk. Nothing of the seed, the rate or the data's values is compiled in."""
        order = None
        if self._reader is None and isinstance(self.order, Order):
            order = dataclasses.replace(self.order, seed=0)
        config = StepConfig(
            self.model, self.task.training_losses, self.optimizer, order, batch_size, micro_batch, shards, every
        )
        arguments = chunk_arguments(
            self.order.keys(0), Position(), 1, self.rate, self._training_key(), shards, noise_every=every
        )

        def build() -> Chunk:
            return shards.spread(build_chunk(config), EVERYWHERE, feed.specs, EVERYWHERE)

        return self.programs.get(config, build, state, feed, arguments, donate=(0,))

    def _training_key(self) -> UInt32[np.ndarray, " words"]:
        if self._key_data is None:
            # what no program reads need not be computed, which at a start takes as long as reading the data
            has_noise = self.model.needs_rng
            self._key_data = training_key_data(self.seed) if has_noise else np.zeros(2, np.uint32)
        return self._key_data
