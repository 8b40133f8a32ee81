"""Optimizers and learning-rate schedules by Optax, all measured in updates of the plan.

A named optimizer is one small function of its learning rate; its options are its keyword arguments. The rate is no part
of a compiled program: it is an argument, from which the train step makes the Optax transformation.
"""

from __future__ import annotations

import dataclasses
import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import jax
import jax.numpy as jnp
import optax

from epochal.clock import Lengths
from epochal.errors import OptionError, unknown_name

ScheduleName: TypeAlias = Literal["constant", "cosine", "linear", "one-cycle"]
Rate: TypeAlias = Any  # a number or a scalar array
Decay: TypeAlias = float | jax.Array | None  # None for none at all; an array within a compiled function
Rule: TypeAlias = Callable[..., optax.GradientTransformation]

SCHEDULES: tuple[str, ...] = get_args(ScheduleName)
_KNEE, _POWER = 1_500.0, 0.5  # the root of the batch (Krizhevsky 2014, section 5), to four times the rate at 100


# --- the named optimizers -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DefaultRate:
    """A learning rate by batch size: ``largest · (B / (B + B₀)) ^ power``, but at most ``most``.

    Attributes:
        largest: what it comes near to where batches are large.
        knee: B₀, the batch size from which on it grows ever less.
        power: by which it grows below.
        most: where curvature allows no more, however large the batch.
    """

    largest: float
    knee: float = _KNEE
    power: float = _POWER
    most: float = math.inf

    def of(self, batch_size: int) -> float:
        """Return the rate for batches of this size, to three digits."""
        growth = batch_size / (batch_size + self.knee)
        return float(f"{min(self.most, self.largest * growth**self.power):.3g}")

    def steeper(self, times: float) -> DefaultRate:
        """Return one that is so many times as large for small batches, and the same for large ones."""
        return dataclasses.replace(self, knee=self.knee * times ** (-1 / self.power))

    def higher(self, times: float) -> DefaultRate:
        """Return one that is the same for small batches, and so many times as large for large ones, without a limit."""
        knee = self.knee * times ** (1 / self.power)
        return DefaultRate(self.largest * times, knee, self.power)


@dataclass(frozen=True, slots=True)
class NamedOptimizer:
    """An optimizer that has a name.

    Attributes:
        rule: ``(rate, *, option=default, …) -> optax.GradientTransformation``, for a rate or an Optax schedule.
        rate: its learning rate where none is given.
    """

    rule: Rule
    rate: DefaultRate

    @property
    def defaults(self) -> dict[str, Any]:
        """Its options and their defaults."""
        parameters = inspect.signature(self.rule).parameters.values()
        return {one.name: one.default for one in parameters if one.kind is one.KEYWORD_ONLY}


OPTIMIZERS: dict[str, NamedOptimizer] = {}
"""The named optimizers."""


def register(
    name: str, *, rate_at_100: float, knee: float = _KNEE, power: float = _POWER, most: float = math.inf
) -> Callable[[Rule], Rule]:
    """Return a decorator that gives a function of a learning rate and options a name, and a default rate.

    >>> @register("clipped-sgd", rate_at_100=0.1)  # doctest: +SKIP
    ... def clipped_sgd(rate, *, clip: float = 1.0):
    ...     return optax.chain(optax.clip_by_global_norm(clip), optax.sgd(rate))
    """
    largest = rate_at_100 * (1 + knee / 100) ** power

    def keep(rule: Rule) -> Rule:
        OPTIMIZERS[name] = NamedOptimizer(rule, DefaultRate(largest, knee, power, most))
        return rule

    return keep


@register("sgd", rate_at_100=0.4, knee=25.0, power=1.0, most=0.4)  # above it swings in the first 20 updates of B = N
def _sgd(rate: optax.ScalarOrSchedule, *, weight_decay: Decay = None) -> optax.GradientTransformation:
    return _descent(rate, optax.identity(), weight_decay)


@register("momentum", rate_at_100=0.1, knee=200.0, power=1.0)
def _momentum(
    rate: optax.ScalarOrSchedule, *, momentum: float = 0.9, weight_decay: Decay = None
) -> optax.GradientTransformation:
    return _descent(rate, optax.trace(_checked_momentum(momentum)), weight_decay)


@register("nesterov", rate_at_100=0.1, knee=200.0, power=1.0)
def _nesterov(
    rate: optax.ScalarOrSchedule, *, momentum: float = 0.9, weight_decay: Decay = None
) -> optax.GradientTransformation:
    return _descent(rate, optax.trace(_checked_momentum(momentum), nesterov=True), weight_decay)


@register("adam", rate_at_100=0.0055, knee=100.0, power=0.5)
def _adam(rate: optax.ScalarOrSchedule, *, weight_decay: Decay = None) -> optax.GradientTransformation:
    return _descent(rate, _scale_by_adam(), weight_decay)


@register("adamw", rate_at_100=0.0055, knee=100.0, power=0.5)
def _adamw(rate: optax.ScalarOrSchedule, *, weight_decay: Decay = 1e-4) -> optax.GradientTransformation:
    return _descent(rate, _scale_by_adam(), weight_decay)


@register("rmsprop", rate_at_100=0.00275, knee=100.0, power=0.5)
def _rmsprop(rate: optax.ScalarOrSchedule, *, weight_decay: Decay = None) -> optax.GradientTransformation:
    """Divide by the root of the squared gradient's running mean (Tieleman and Hinton 2012)."""
    return _descent(rate, optax.scale_by_rms(), weight_decay)


@register("adagrad", rate_at_100=0.15)
def _adagrad(rate: optax.ScalarOrSchedule, *, weight_decay: Decay = None) -> optax.GradientTransformation:
    """Divide by the root of the sum of all squared gradients (Duchi, Hazan and Singer 2011)."""
    return _descent(rate, optax.scale_by_rss(), weight_decay)


@register("lion", rate_at_100=0.0005)
def _lion(rate: optax.ScalarOrSchedule, *, weight_decay: Decay = None) -> optax.GradientTransformation:
    """Follow the sign of a momentum (Chen et al. 2023)."""
    return _descent(rate, optax.scale_by_lion(), weight_decay)


@register("adafactor", rate_at_100=0.04)
def _adafactor(rate: optax.ScalarOrSchedule, *, weight_decay: Decay = None) -> optax.GradientTransformation:
    """Keep row and column means of a matrix's squared gradient; the rate is relative to the weights' size.

    Shazeer and Stern (2018), without momentum.
    """
    scaled = optax.chain(optax.scale_by_factored_rms(), optax.clip_by_block_rms(1.0), optax.scale_by_param_block_rms())
    return _descent(rate, scaled, weight_decay)


def _descent(
    rate: optax.ScalarOrSchedule, direction: optax.GradientTransformation, weight_decay: Decay
) -> optax.GradientTransformation:
    """Return the steps against a direction, at a rate.

    Weights decay apart from the direction, at the same scheduled rate (Loshchilov and Hutter 2019).
    """
    down = optax.scale_by_learning_rate(rate)
    if weight_decay is None:
        return optax.chain(direction, down)

    if not isinstance(weight_decay, jax.Array) and not (math.isfinite(weight_decay) and weight_decay >= 0):
        raise OptionError(f"weight decay must be a finite number of at least 0, got {weight_decay}")
    return optax.chain(direction, optax.add_decayed_weights(weight_decay), down)


def _checked_momentum(momentum: float) -> float:
    if not 0 <= momentum < 1:
        raise OptionError(f"momentum must be at least 0 and below 1, got {momentum}")
    return momentum


def _scale_by_adam(b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8) -> optax.GradientTransformation:
    """Return `optax.scale_by_adam` (Kingma and Ba 2015) with its corrections of bias taken out of the arrays.

    ``(m / c₁) / (√(v / c₂) + ε) = (√c₂ / c₁) · m / (√v + ε √c₂)``: one division a parameter, not three, as at the
    end of the paper's section 2. The state is the same.
    """
    init = optax.scale_by_adam(b1, b2, eps).init

    def update(gradient: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        count = optax.safe_increment(state.count)
        first = jax.tree.map(lambda m, g: b1 * m + (1 - b1) * g, state.mu, gradient)
        second = jax.tree.map(lambda v, g: b2 * v + (1 - b2) * (g * g), state.nu, gradient)

        root = jnp.sqrt(1 - jnp.float32(b2) ** count)
        scale, floor = root / (1 - jnp.float32(b1) ** count), eps * root
        changes = jax.tree.map(lambda m, v: scale * m / (jnp.sqrt(v) + floor), first, second)
        return changes, state._replace(count=count, mu=first, nu=second)

    return optax.GradientTransformation(init, update)


# --- an optimizer as a value ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Schedule:
    """How the learning rate changes with updates.

    Attributes:
        name: ``constant``; ``cosine`` and ``linear`` fall to 0 at the plan's end; ``one-cycle`` rises for the first
            30 % and falls to almost 0 (Smith and Topin 2018).
        warmup: updates of linear warm-up before it (none for ``one-cycle``, which has its own): the first of w updates
            has the w-th part of the peak, the last one the peak.
        updates: all of the training's, from its beginning; 0 where they do not matter.
    """

    name: str = "constant"
    warmup: int = 0
    updates: int = 0

    def of(self, peak: Rate) -> optax.ScalarOrSchedule:
        """Return the learning rate by update: a number where it never changes, so that no counter is carried."""
        falling = max(1, self.updates - self.warmup)

        match self.name:
            case "cosine":
                main: optax.ScalarOrSchedule = optax.cosine_decay_schedule(peak, falling)
            case "linear":
                main = optax.linear_schedule(peak, 0.0, falling)
            case "one-cycle":
                return optax.cosine_onecycle_schedule(self.updates, peak)
            case _:
                main = peak
        if not self.warmup:
            return main

        rising = optax.linear_schedule(0.0, peak, self.warmup)
        after = main if callable(main) else optax.constant_schedule(main)
        return optax.join_schedules([lambda update: rising(update + 1), after], [self.warmup])


@dataclass(frozen=True, slots=True)
class Optimizer:
    """How the weights move, but for the learning rate. Equal optimizers share compiled programs.

    Attributes:
        rule: a named optimizer's function; ``None`` for one of the user's own.
        options: the rule's, all of them.
        schedule: of the learning rate.
        own: the user's Optax transformation, which knows its rate itself.
        clip_norm: the largest global norm of a batch's gradient; a longer one is shortened to it before the rule.
    """

    rule: Rule | None = None
    options: tuple[tuple[str, Any], ...] = ()
    schedule: Schedule = Schedule()
    own: optax.GradientTransformation | None = None
    clip_norm: float | None = None

    @property
    def is_built_in(self) -> bool:
        """Whether its rule stands in this module, and not with the user."""
        return self.rule is not None and self.rule.__module__ == __name__

    def with_rate(self, rate: Rate, **traced: Any) -> optax.GradientTransformation:
        """Return the Optax transformation for this peak of the learning rate, a number or a traced scalar.

        ``traced`` are traced scalars in place of some of the rule's options, such as ``weight_decay``.
        """
        if self.rule is None:
            return self.own
        rule = self.rule(self.schedule.of(rate), **(dict(self.options) | traced))
        return rule if self.clip_norm is None else optax.chain(optax.clip_by_global_norm(self.clip_norm), rule)

    def init(self, params: optax.Params) -> optax.OptState:
        """Return the state before the first update, whatever the rate."""
        return self.with_rate(1.0).init(params)


def build_optimizer(
    name: str,
    options: Mapping[str, Any] | None = None,
    *,
    schedule: str = "constant",
    warmup: int = 0,
    updates: int = 0,
    clip_norm: float | None = None,
) -> Optimizer:
    """Return a named optimizer for a training of this many updates.

    Args:
        name: one of `OPTIMIZERS`.
        options: its keyword arguments that are not to be the default.
        schedule: one of `SCHEDULES`.
        warmup: updates of linear warm-up.
        updates: all of the training's, where the schedule is not constant.
        clip_norm: the largest norm of a gradient, above 0 (Pascanu, Mikolov and Bengio 2013).

    Raises `OptionError` for unknown names, options that this optimizer does not have, and values out of range.
    """
    given = dict(options or {})
    defaults = _named(name).defaults
    for option in given:
        if option not in defaults:
            having = [other for other, one in OPTIMIZERS.items() if option in one.defaults]
            if not having:
                raise OptionError(unknown_name(f"option of {name}", option, defaults))
            raise OptionError(f"{option} has no effect with {name}; it is an option of {' and '.join(having)}")

    if schedule not in SCHEDULES:
        raise OptionError(unknown_name("schedule", schedule, SCHEDULES))
    if warmup and schedule == "one-cycle":
        raise OptionError("one-cycle has its own warm-up; leave out warmup")

    if clip_norm is not None and not (math.isfinite(clip_norm) and clip_norm > 0):
        raise OptionError(f"the norm to clip to must be a finite number above 0, got {clip_norm}")

    length = 0 if schedule == "constant" else updates
    rates = Schedule(schedule, warmup, length)
    optimizer = Optimizer(_named(name).rule, tuple((defaults | given).items()), rates, clip_norm=clip_norm)
    optimizer.with_rate(1.0)  # a value out of range is refused here, and not when a training starts
    return optimizer


def _named(name: str) -> NamedOptimizer:
    if name not in OPTIMIZERS:
        raise OptionError(unknown_name("optimizer", name, OPTIMIZERS))
    return OPTIMIZERS[name]


def option_names() -> tuple[str, ...]:
    """Return the names of all options that any named optimizer has."""
    return tuple(dict.fromkeys(option for one in OPTIMIZERS.values() for option in one.defaults))


# --- rates and warm-up ----------------------------------------------------------------------------------------------


def check_rate(rate: float) -> float:
    """Return a learning rate. Raises `OptionError` unless it is finite and above 0."""
    if not (math.isfinite(rate) and rate > 0):
        raise OptionError(f"the learning rate must be a finite number above 0, got {rate}")
    return rate


def default_learning_rate(optimizer: str, batch_size: int) -> float:
    """Return the learning rate that is used where none is given: it grows with the batch, and ever less beyond B₀.

    Below its knee B₀ a batch of twice the size allows, for plain descent and momentum, twice the rate, as gradients'
    noise is what limits it (Goyal et al. 2017, section 2.1), and for Adam and its kin √2 times (Malladi et al. 2022);
    above it curvature does, and more samples allow no more (McCandlish et al. 2018, section 2.2, whose
    ε = ε_max / (1 + B₀/B) this is). The numbers are about half of what is fastest for mlp on MNIST; `run.defaults` says
    what they are for other models and data, `docs/default-rates.md` has the measurements, and
    `python bench/default_rates.py` takes them.

    >>> [default_learning_rate("sgd", b) for b in (1, 100, 60_000)]
    [0.0192, 0.4, 0.4]
    """
    return _named(optimizer).rate.of(batch_size)


def check_warmup(warmup: str | None, lengths: Lengths) -> None:
    """Refuse a warm-up that the training would end in: raises `OptionError`."""
    if lengths.updates is not None and lengths.warmup > lengths.updates:
        raise OptionError(
            f"a warm-up of {warmup} is {lengths.warmup:,} updates, more than the plan's {lengths.updates:,}; "
            "take a shorter one, or a larger budget"
        )
