"""Models: linear, mlp, cnn, lenet, rnn as pairs of pure functions, and `from_functions` for the user's own."""

from epochal.models.build import MODELS, build_model
from epochal.models.model import Model, from_functions

__all__ = ["MODELS", "Model", "build_model", "from_functions"]
