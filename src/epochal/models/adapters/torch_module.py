"""PyTorch modules, computed by JAX through torchax."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from types import MethodType, ModuleType
from typing import Any

import jax
import numpy as np
import torch

from epochal.errors import EpochalError, ModelError
from epochal.models.adapters.recognise import Spec, copied, first_line, name_of
from epochal.models.model import Key, Model, ModelState, Outputs, Params, Samples

TESTED = {"torch": "2.13.0", "torchax": "0.0.13"}
_NEAR = 1e-3  # of the largest output, between two libraries
_INSTALL = "pip install " + " ".join(f"{name}=={number}" for name, number in TESTED.items())


def adapt(module: torch.nn.Module, samples: Spec) -> Model:
    """Return a module as a model; its parameters now are those that training starts from.

    Parameters that need no gradient, and buffers, are the model's state: frozen ones stay what they are.
    """
    name = name_of(module)
    _check(module, name)
    torchax = _torchax()
    from torchax.interop import jax_view, torch_view

    parameters = {key: one for key, one in module.named_parameters() if one.requires_grad}
    others = {key: one for key, one in module.named_parameters() if not one.requires_grad}
    others |= dict(module.named_buffers())
    weights, state = ({key: _array(one) for key, one in part.items()} for part in (parameters, others))

    def init(key: Key) -> tuple[Params, ModelState]:
        return copied(weights), copied(state)

    def apply(params: Params, state: ModelState, x: Samples, key: Key | None, training: bool) -> tuple[Outputs, Any]:
        environment = torchax.default_env()
        values = torch_view({**params, **state})
        with _mode(module, training), environment:
            if key is not None:
                environment.manual_seed(jax.random.bits(key, ()))
            try:
                outputs = torch.func.functional_call(module, values, (torch_view(x),))
            except EpochalError:
                raise
            except Exception as error:
                raise ModelError(f"the PyTorch module {name} cannot be computed: {_cause(error, x)}") from error
            finally:
                if key is not None:
                    environment.manual_seed(0)  # no value of this call may be left there

        # buffers that a call changes are changed in the dictionary that it was given
        return jax_view(outputs), jax_view({key: values[key] for key in state}) if training else state

    def trained(params: Params, state: ModelState) -> torch.nn.Module:
        with torch.no_grad():
            for key, one in {**parameters, **others}.items():
                values = params[key] if key in params else state[key]
                one.copy_(torch.from_numpy(np.array(values)))
        return module.eval()

    needs_rng = any(_is_random(part) for part in module.modules())
    _compare(module, apply, (copied(weights), copied(state)), samples, training=not needs_rng)
    return Model(
        name,
        init,
        apply,
        needs_rng=needs_rng,
        uses_batch_statistics=any("BatchNorm" in type(part).__name__ for part in module.modules()),
        packages=("torch", "torchax"),
        trained=trained,
    )


def _check(module: torch.nn.Module, name: str) -> None:
    """Raise `ModelError` for parameters that are not there yet, or not on the CPU."""
    for key, one in [*module.named_parameters(), *module.named_buffers()]:
        if torch.nn.parameter.is_lazy(one):
            raise ModelError(
                f"the PyTorch module {name} is lazy, and '{key}' has no shape yet; call it once with a sample before"
            )
        if one.device.type != "cpu":
            raise ModelError(
                f"'{key}' of the PyTorch module {name} is on {one.device}; move it to the CPU first (module.cpu()): "
                "Epochal puts a copy on its own device"
            )


def _is_random(part: torch.nn.Module) -> bool:
    """Return whether a layer draws random numbers while training."""
    kind = type(part).__name__
    return "Dropout" in kind or kind == "RReLU" or bool(getattr(part, "dropout", 0))


def _compare(module: torch.nn.Module, apply: Any, begun: tuple[Any, Any], samples: Spec, *, training: bool) -> None:
    """Refuse a module that torchax computes otherwise than PyTorch does, in evaluation and, without noise, in training.

    Outputs are compared, and buffers such as running averages. Raises `ModelError`.
    """
    drawn = np.random.default_rng(0)

    def some(leaf: jax.ShapeDtypeStruct) -> np.ndarray:
        is_float = np.issubdtype(leaf.dtype, np.floating)
        return drawn.normal(size=leaf.shape).astype(leaf.dtype) if is_float else np.zeros(leaf.shape, leaf.dtype)

    x = jax.tree.map(some, samples)
    for mode in (False, True)[: 1 + training]:
        outputs, state = apply(*begun, jax.tree.map(jax.numpy.asarray, x), None, mode)
        own = copy.deepcopy(module).train(mode)
        with torch.no_grad():
            try:
                wanted = own(jax.tree.map(torch.from_numpy, x))
            except Exception as error:
                raise ModelError(f"the PyTorch module {name_of(module)} fails: {_cause(error, x)}") from error
        buffers = dict(own.named_buffers()) if mode else {}
        pairs = [*zip(jax.tree.leaves(outputs), jax.tree.leaves(wanted), strict=True)]
        pairs += [(state[key], one) for key, one in buffers.items()]
        worst = max(float(np.abs(np.asarray(one) - other.numpy()).max(initial=0)) for one, other in pairs)
        largest = max(float(np.abs(other.numpy()).max(initial=1)) for _, other in pairs)
        if not worst <= _NEAR * largest:
            raise ModelError(
                f"the PyTorch module {name_of(module)} has other outputs or running averages under torchax than under "
                f"PyTorch (by {worst:.2g}), so it cannot be trained here"
            )


def _array(parameter: torch.Tensor) -> Any:
    return jax.numpy.array(parameter.detach().numpy(), copy=True)


@contextmanager
def _mode(module: torch.nn.Module, training: bool) -> Iterator[None]:
    """Put a module into training or evaluation mode for a while; afterwards each part is what it was again.

    Meanwhile batch normalizations are computed in plain operations: torchax leaves their running averages as they are.
    """
    before = [(part, part.training) for part in module.modules()]
    normalizations = [part for part in module.modules() if isinstance(part, torch.nn.modules.batchnorm._BatchNorm)]
    module.train(training)
    for part in normalizations:
        part.forward = MethodType(_normalize, part)
    try:
        yield
    finally:
        for part in normalizations:
            del part.forward
        for layer, mode in before:
            layer.training = mode


def _normalize(self: Any, x: torch.Tensor) -> torch.Tensor:
    """Return what `torch.nn.BatchNorm1d`, `BatchNorm2d` and `BatchNorm3d` return, and update their running averages."""
    axes = [0, *range(2, x.ndim)]
    shape = [1, -1] + [1] * (x.ndim - 2)

    if self.training or self.running_mean is None:
        mean = x.mean(axes)
        variance = ((x - mean.reshape(shape)) ** 2).mean(axes)
        if self.training and self.track_running_stats:
            self.num_batches_tracked.add_(1)
            rate = 1.0 / self.num_batches_tracked if self.momentum is None else self.momentum
            count = x.numel() // x.shape[1]
            unbiased = variance * (count / max(1, count - 1))
            self.running_mean.copy_(self.running_mean * (1 - rate) + mean * rate)
            self.running_var.copy_(self.running_var * (1 - rate) + unbiased * rate)
    else:
        mean, variance = self.running_mean, self.running_var

    normal = (x - mean.reshape(shape)) / torch.sqrt(variance.reshape(shape) + self.eps)
    return normal if self.weight is None else normal * self.weight.reshape(shape) + self.bias.reshape(shape)


def _cause(error: Exception, x: Any) -> str:
    """Return why a module could not be computed, with what to do where that is known."""
    if isinstance(error, jax.errors.ConcretizationTypeError):
        return "it decides by the values of its samples (if, while, int(…), .item()); write it with torch.where"
    shape = tuple(getattr(x, "shape", ()))[1:]
    cause = first_line(error)
    if len(shape) == 3 and shape[-1] in (1, 3, 4):
        return f"{cause}; samples are {shape}, channels last: PyTorch's layers want them first (permute)"
    if len(shape) == 2:
        return f"{cause}; samples are {shape}: convolutions want a channel before (torch.nn.Unflatten)"
    return cause


@cache
def _torchax() -> ModuleType:
    """Return torchax. Raises `ModelError` where it is missing, or does not fit the PyTorch that is installed."""
    try:
        found = version("torchax")
    except PackageNotFoundError:
        raise ModelError(f"PyTorch modules are computed through torchax, which is not installed: {_INSTALL}") from None
    try:
        with _tolerant():
            import torchax

            torchax.default_env()  # which registers most operations
    except Exception as error:
        raise ModelError(
            f"torchax {found} does not work with torch {torch.__version__}: {first_line(error, 80)}; the tested pair: "
            f"{_INSTALL}"
        ) from error
    module: ModuleType = torchax
    return module


@contextmanager
def _tolerant() -> Iterator[None]:
    """Let torchax register operations that this PyTorch no longer has, while it is imported; nothing can call them."""
    packets = torch._ops.OpOverloadPacket
    strict = packets.__getattr__

    def tolerant(packet: Any, name: str) -> Any:
        try:
            return strict(packet, name)
        except AttributeError:
            if name.startswith("__"):
                raise
            return object()

    packets.__getattr__ = tolerant
    try:
        yield
    finally:
        packets.__getattr__ = strict
