"""State, pure train step, compiled chunk, evaluation, micro-batches, shards. Nothing else compiles."""

from epochal.engine.chunk import CAPACITY
from epochal.engine.engine import ChunkResult, Engine
from epochal.engine.evaluation import Evaluation
from epochal.engine.machine import available_cores
from epochal.engine.metrics import METRICS, Metric
from epochal.engine.noise_scale import measure_large_gradient, measure_noise
from epochal.engine.optimizer import OPTIMIZERS, Optimizer, build_optimizer, check_warmup, default_learning_rate
from epochal.engine.placement import check_shards
from epochal.engine.runtime import (
    check_jax,
    check_process,
    keep_compiled_programs,
    offer_cores,
    present_settings,
)
from epochal.engine.state import State, named_leaves
from epochal.engine.task import Task, build_task
from epochal.gradient_noise import NoiseScale

__all__ = [
    "CAPACITY",
    "METRICS",
    "OPTIMIZERS",
    "ChunkResult",
    "Engine",
    "Evaluation",
    "Metric",
    "NoiseScale",
    "Optimizer",
    "State",
    "Task",
    "available_cores",
    "build_optimizer",
    "build_task",
    "check_jax",
    "check_process",
    "check_shards",
    "check_warmup",
    "default_learning_rate",
    "keep_compiled_programs",
    "measure_large_gradient",
    "measure_noise",
    "named_leaves",
    "offer_cores",
    "present_settings",
]
