"""Which fast form an operation has, if any."""

from __future__ import annotations

from jax.extend.core import JaxprEqn

from epochal.engine.fast_forms.conv_forms import conv_form
from epochal.engine.fast_forms.pool_forms import pool_form
from epochal.engine.fast_forms.rewriting import Form


def choose_form(equation: JaxprEqn) -> Form | None:
    """Return the fast form of an operation, or ``None`` where it has none or needs none."""
    return conv_form(equation) or pool_form(equation)
