"""Train neural networks in exact epochs, batches and iterations."""

__version__ = "0.1.0"
