"""The shape of LeNet-5 (LeCun et al., "Gradient-based learning applied to document recognition", 1998)."""

from __future__ import annotations

import dataclasses

from epochal.models.cnn import build_cnn
from epochal.models.model import Model


def build_lenet(sample_shape: tuple[int, ...], outputs: int, *, dropout: float = 0.0) -> Model:
    """Return a cnn of LeNet-5's sizes: 6 and 16 features of 5×5, then 120 and 84 units.

    Its shape alone is of 1998: units are ReLU, pools take the maximum, and images keep their edges (`build_cnn`).
    """
    cnn = build_cnn(sample_shape, outputs, channels=(6, 16), kernel=5, hidden=(120, 84), dropout=dropout)
    return dataclasses.replace(cnn, name="lenet")
