"""The same three networks in Keras, Flax NNX and PyTorch.

- ``cnn``: 5×5×32, pool, 5×5×64, pool, 256, 10, for images of 28×28: what the built-in `cnn` is.
- ``resnet``: 3×3×16, then three residual blocks of two 3×3 convolutions with batch normalization, of 16, 32 and 64
  features, the last two with stride 2, the mean over all pixels, 10; for images of 32×32×3.
- ``mobile``: 3×3×32 with stride 2, then two blocks of a depthwise 3×3 and a 1×1 convolution with batch normalization,
  to 64 and 128 features, the last with stride 2, the mean over all pixels, 10; for images of 32×32×3.
"""

from __future__ import annotations

from typing import Any

SHAPES = {"cnn": (28, 28, 1), "resnet": (32, 32, 3), "mobile": (32, 32, 3)}
RESIDUAL = ((16, 1), (32, 2), (64, 2))  # features and stride of each block
SEPARABLE = ((64, 1), (128, 2))


# --- Keras ------------------------------------------------------------------------------------------------------------


def keras_network(name: str) -> Any:
    """Return the network as a Keras model; the environment must say ``KERAS_BACKEND=jax``."""
    import keras
    from keras import layers

    def normal(x: Any) -> Any:
        return layers.BatchNormalization()(x)

    def conv(x: Any, features: int, side: int, stride: int = 1) -> Any:
        return layers.Conv2D(features, side, stride, padding="same", use_bias=False)(x)

    inputs = x = layers.Input(SHAPES[name])
    if name == "cnn":
        for features in (32, 64):
            x = layers.Conv2D(features, 5, padding="same", activation="relu")(x)
            x = layers.MaxPooling2D(2)(x)
        x = layers.Dense(256, activation="relu")(layers.Flatten()(x))
    if name == "resnet":
        x = layers.ReLU()(normal(conv(x, 16, 3)))
        for features, stride in RESIDUAL:
            y = normal(conv(layers.ReLU()(normal(conv(x, features, 3, stride))), features, 3))
            x = layers.ReLU()(y + (x if stride == 1 else normal(conv(x, features, 1, stride))))
        x = layers.GlobalAveragePooling2D()(x)
    if name == "mobile":
        x = layers.ReLU()(normal(conv(x, 32, 3, 2)))
        for features, stride in SEPARABLE:
            x = layers.DepthwiseConv2D(3, stride, padding="same", use_bias=False)(x)
            x = layers.ReLU()(normal(conv(layers.ReLU()(normal(x)), features, 1)))
        x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(10)(x))


# --- Flax NNX ---------------------------------------------------------------------------------------------------------


def nnx_network(name: str) -> Any:
    """Return the network as an NNX module."""
    from flax import nnx

    rngs = nnx.Rngs(0)

    def conv(before: int, after: int, side: int, stride: int = 1, groups: int = 1) -> list[Any]:
        convolution = nnx.Conv(
            before, after, (side, side), stride, feature_group_count=groups, use_bias=False, rngs=rngs
        )
        return [convolution, nnx.BatchNorm(after, rngs=rngs)]

    class Residual(nnx.Module):
        """A residual block."""

        def __init__(self, before: int, after: int, stride: int) -> None:
            self.main = nnx.Sequential(*conv(before, after, 3, stride), nnx.relu, *conv(after, after, 3))
            self.side = nnx.Sequential(*(conv(before, after, 1, stride) if stride > 1 else [lambda x: x]))

        def __call__(self, x: Any) -> Any:
            return nnx.relu(self.main(x) + self.side(x))

    def pool(x: Any) -> Any:
        return nnx.max_pool(x, (2, 2), (2, 2))

    def mean(x: Any) -> Any:
        return x.mean((1, 2))

    parts: list[Any] = []
    if name == "cnn":
        parts += [
            nnx.Conv(1, 32, (5, 5), rngs=rngs),
            nnx.relu,
            pool,
            nnx.Conv(32, 64, (5, 5), rngs=rngs),
            nnx.relu,
            pool,
        ]
        parts += [lambda x: x.reshape(len(x), -1), nnx.Linear(3136, 256, rngs=rngs), nnx.relu]
        return nnx.Sequential(*parts, nnx.Linear(256, 10, rngs=rngs))
    if name == "resnet":
        parts += [*conv(3, 16, 3), nnx.relu]
        for before, (after, stride) in zip((16, 16, 32), RESIDUAL, strict=True):
            parts.append(Residual(before, after, stride))
        return nnx.Sequential(*parts, mean, nnx.Linear(64, 10, rngs=rngs))
    parts += [*conv(3, 32, 3, 2), nnx.relu]
    for before, (after, stride) in zip((32, 64), SEPARABLE, strict=True):
        parts += [*conv(before, before, 3, stride, before), nnx.relu, *conv(before, after, 1), nnx.relu]
    return nnx.Sequential(*parts, mean, nnx.Linear(128, 10, rngs=rngs))


# --- PyTorch ----------------------------------------------------------------------------------------------------------


def torch_network(name: str) -> Any:
    """Return the network as a PyTorch module."""
    from torch import Tensor, nn

    def conv(before: int, after: int, side: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
        convolution = nn.Conv2d(before, after, side, stride, side // 2, groups=groups, bias=False)
        return [convolution, nn.BatchNorm2d(after)]

    class Residual(nn.Module):
        """A residual block."""

        def __init__(self, before: int, after: int, stride: int) -> None:
            super().__init__()
            self.main = nn.Sequential(*conv(before, after, 3, stride), nn.ReLU(), *conv(after, after, 3))
            self.side = nn.Sequential(*(conv(before, after, 1, stride) if stride > 1 else []))

        def forward(self, x: Tensor) -> Tensor:
            return nn.functional.relu(self.main(x) + self.side(x))

    parts: list[nn.Module] = []
    if name == "cnn":
        parts += [nn.Conv2d(1, 32, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)]
        parts += [nn.Conv2d(32, 64, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)]
        return nn.Sequential(*parts, nn.Flatten(), nn.Linear(3136, 256), nn.ReLU(), nn.Linear(256, 10))
    if name == "resnet":
        parts += [*conv(3, 16, 3), nn.ReLU()]
        for before, (after, stride) in zip((16, 16, 32), RESIDUAL, strict=True):
            parts.append(Residual(before, after, stride))
        return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))
    parts += [*conv(3, 32, 3, 2), nn.ReLU()]
    for before, (after, stride) in zip((32, 64), SEPARABLE, strict=True):
        parts += [*conv(before, before, 3, stride, before), nn.ReLU(), *conv(before, after, 1), nn.ReLU()]
    return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, 10))
