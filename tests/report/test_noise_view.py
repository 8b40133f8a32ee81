"""The noise of gradients on a run's page: a curve, its numbers, bounds that say so, and no negative number."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest
from made_records import made_page, made_run

from epochal.gradient_noise import LargeGradient, NoiseBlock
from epochal.report import render
from epochal.report.noise_view import NoiseView
from epochal.report.page_model import PageRun


def with_noise(run: PageRun, square: float, error: float = 0.0, count: int = 30) -> PageRun:
    """The same run, with S = 20 and an ‖G‖² as measured at two evaluations."""
    sums = np.stack([np.linspace(0.7, 0.9, count), np.full(count, 0.3)], axis=1).astype(np.float32)
    gradients = tuple(LargeGradient(at, 1_000, square, error) for at in (400, 600))
    history = dataclasses.replace(run.record.history, noise=(NoiseBlock(0, 20, 100, sums),), gradients=gradients)
    return dataclasses.replace(run, record=dataclasses.replace(run.record, history=history))


def section(run: PageRun) -> str:
    (found,) = re.findall(r'<section id="noise">.*?</section>', render(made_page(run)), re.DOTALL)
    return str(found)


def test_a_run_that_measured_nothing_has_no_such_part() -> None:
    run = made_run("plain", iterations=600)
    assert NoiseView.of("plain", run.record) is None
    assert 'id="noise"' not in render(made_page(run))


def test_a_curve_with_its_numbers_in_both_languages() -> None:
    html = section(with_noise(made_run("noisy", iterations=600), square=0.05))
    assert html.count('<svg class="curves"') == 2
    assert html.count('fill-opacity=".18"') == 2, "the band of each"
    assert re.search(r"<td>4\d\d[.\d]* ± [\d.]+</td>", html), "about 20 / 0.05"
    assert "梯度的噪声" in html


@pytest.mark.parametrize(("square", "error"), [(-0.02, 0.01), (0.0, 0.0), (0.01, 0.02)])
def test_what_cannot_be_told_is_more_than_a_bound_and_never_negative(square: float, error: float) -> None:
    html = section(with_noise(made_run("noisy", iterations=600), square, error))
    scales = re.findall(r'<th scope="row">\d+</th><td>(.*?)</td>', html)
    assert len(scales) == 2
    assert all("more than" in scale and "大于" in scale for scale in scales)
    assert not re.search(r">[-−]\d", "".join(scales))
    assert "more than this" in html or square == error == 0


def test_too_few_measurements_are_no_curve() -> None:
    html = section(with_noise(made_run("short", iterations=600), 0.05, count=4))
    assert "<svg" not in html
    assert "Too few iterations were measured" in html
