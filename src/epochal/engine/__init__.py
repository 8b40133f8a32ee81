"""The engine room: state, pure update, compiled chunk, evaluation, micro-batches, shards. Nothing else compiles."""

from epochal.audit import Audit, ExpectedAudit
from epochal.engine.chunk import CAPACITY
from epochal.engine.compilation import keep_compiled_programs
from epochal.engine.engine import Chunked, Engine
from epochal.engine.engine import Chunked as ChunkResult
from epochal.engine.evaluation import Evaluation
from epochal.engine.objective import Objective, build_objective
from epochal.engine.optimizer import OptimizerOptions, build_optimizer, default_learning_rate, warmup_updates
from epochal.engine.shards import available_processors, check_shards, offer_processors
from epochal.engine.state import State, named_leaves, weights_sha256

__all__ = [
    "CAPACITY",
    "Audit",
    "ChunkResult",
    "Chunked",
    "Engine",
    "Evaluation",
    "ExpectedAudit",
    "Objective",
    "OptimizerOptions",
    "State",
    "available_processors",
    "build_objective",
    "build_optimizer",
    "check_shards",
    "default_learning_rate",
    "keep_compiled_programs",
    "named_leaves",
    "offer_processors",
    "warmup_updates",
    "weights_sha256",
]
