"""The noise scale of a run's gradients as its page shows it: a curve with a band, and a table of the same numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from epochal.formats import count, decimal
from epochal.gradient_noise import LargeGradient, ScaleEstimate
from epochal.noise_words import noise_scale
from epochal.record.run_record import RunRecord
from epochal.web.fragment import Fragment
from epochal.web.static_chart import Curve, chart
from epochal.words.catalogue import Words, say
from epochal.words.language import LANGUAGES

_ROWS = 14


@dataclass(frozen=True, slots=True)
class NoiseView:
    """What a run measured of its gradients' noise.

    Attributes:
        name: the run's.
        chart: the curve, in every language; empty where no evaluation tells it.
        rows: for some evaluations the iteration, the scale, S, ‖G‖² and the window.
        over_run: the scale over the whole run; ``None`` where too little was measured.
    """

    name: str
    chart: Markup
    rows: list[tuple[str, Words | str, str, str, str]]
    over_run: Words | None

    @classmethod
    def of(cls, name: str, run: RunRecord) -> NoiseView | None:
        """Return it, or ``None`` for a run that measured none."""
        if not run.history.noise:
            return None
        curve, whole = run.noise_curve(), run.noise_over_run()
        over_run = None
        if whole is not None:
            over_run = say("noise.over_run", scale=noise_scale(whole), measured=count(whole.measured))
        shown = sorted({round(place) for place in np.linspace(0, len(curve) - 1, _ROWS)}) if curve else []
        return cls(name, _charts(curve), [_row(*curve[place]) for place in shown], over_run)


def _row(gradient: LargeGradient, scale: ScaleEstimate) -> tuple[str, Words | str, str, str, str]:
    square = f"{decimal(scale.square)} ± {decimal(scale.square_error)}"
    window = f"{count(scale.start)} … {count(scale.end - 1)} ({count(scale.measured)})"
    return count(gradient.iteration), noise_scale(scale), decimal(scale.trace), square, window


def _charts(curve: list[tuple[LargeGradient, ScaleEstimate]]) -> Markup:
    """Return the picture in every language; the page's style shows the one that it is in."""
    pictures = []
    for code in LANGUAGES:
        drawn = chart(
            Fragment(code), say("noise.curve"), _curves(curve), x_name=say("noise.iteration"), y_name="S/‖G‖²"
        )
        pictures.append(Markup('<div lang="{}" class="drawing">{}</div>').format(code, drawn))
    return Markup("").join(pictures) if curve else Markup("")


def _curves(curve: list[tuple[LargeGradient, ScaleEstimate]]) -> list[Curve]:
    """Return the estimates with their errors, and the lower bounds for themselves: those have no upper end."""
    x = np.array([gradient.iteration for gradient, _ in curve], np.float64)
    told = np.array([not scale.is_bound for _, scale in curve], np.bool_)

    def where(wanted: np.ndarray, values: list[float]) -> np.ndarray:
        return np.where(wanted & np.isfinite(values), values, np.nan)

    values, low, high = ([getattr(scale, end) for _, scale in curve] for end in ("value", "low", "high"))
    floor = [max(one, value / 10) for one, value in zip(low, values, strict=True)]  # a logarithmic axis has no zero
    estimates = Curve(say("noise.estimate"), x, where(told, values), 0, where(told, floor), where(told, high))
    bounds = Curve(say("noise.bound"), x, where(~told, values), 1)
    return [one for one in (estimates, bounds) if any(map(math.isfinite, one.y))]
