"""`render`: a page's model in, one HTML page out, with its style, its script and its numbers inside."""

from __future__ import annotations

from functools import cache
from typing import Any

from jinja2 import Environment

from epochal.formats import count, decimal
from epochal.record.landscape_record import LandscapeRecord
from epochal.report import png, series, views
from epochal.report.page_model import Page
from epochal.report.strip_numbers import pack_samples, pack_strip
from epochal.web.epochs_table import shown_epochs
from epochal.web.one_file import Sources, render_in_one, templates_of
from epochal.words.catalogue import duration, known, messages, metric, metric_word, percent, say
from epochal.words.language import LANGUAGES

_SOURCES = Sources(
    package="epochal.report",
    styles=("page",),
    scripts=(
        "numbers",
        "canvas",
        "terrain",
        "order",
        "series",
        "chart",
        "landscape",
        "strip",
        "vector",
        "save",
        "print",
        "page",
        "watch",
    ),
)

_PRINTED_RUNS, _PRINTED_EPOCHS = 16, 14  # rows of a table on paper


def render(page: Page, lang: str = "en", *, watch: bool = False) -> str:
    """Return the page: one self-contained HTML document that needs neither files nor a network.

    Args:
        page: what to show (`epochal.report.read` reads it from folders).
        lang: the language that the page opens in: ``en`` or ``zh``; it can be switched on the page.
        watch: whether the page asks the server that it came from for updates.

    Raises:
        OptionError: for an unknown language.
    """
    run_views = [views.RunView.of(run) for run in page.runs]
    unfinished = ("unfinished", "unfinished_open")

    return render_in_one(
        _environment().get_template("page.html.j2"),
        _SOURCES,
        lang,
        _payload(page, watch),
        page=page,
        notices=[notice for notice in page.notices if not (watch and notice.key in unfinished)],
        subject=views.subject(page),
        watch=watch,
        # the runs, and what they have in common
        views=run_views,
        metrics=views.metrics_of(page),
        comparison=views.comparison(page),
        bands=views.band_rows(page),
        page_commands=views.page_commands(page),
        noise=views.noise_views(page),
        curve_notes=list(views.curve_notes(page, watch)),
        maps=[_map_words(landscape) for landscape in page.landscapes],
        map_with_lines=next((place for place, one in enumerate(page.landscapes) if one.lines), None),
        landscape_command=views.landscape_command(page),
        # the two pages of paper
        printed_runs=_PRINTED_RUNS,
        printed_epochs=_PRINTED_EPOCHS,
        audited=views.audited(page),
        printed_environment=views.printed_environment(page),
    )


@cache
def _environment() -> Environment:
    environment = templates_of("epochal.report")
    environment.filters.update(count=count, decimal=decimal, percent=percent, duration=duration, png=png.png_address)

    environment.globals.update(
        say=say,
        messages=messages,
        metric=metric,
        metric_word=metric_word,
        shown_epochs=shown_epochs,
        notice_words=views.notice_words,
    )

    return environment


def _payload(page: Page, watch: bool) -> dict[str, Any]:
    """Return what the page's script draws."""
    buckets = series.buckets(page.runs, growing=watch)
    return {
        "words": {code: _script_words(code) for code in LANGUAGES},
        "runs": [
            {**series.pack_run(run, size, growing=watch), "strip": pack_strip(run)}
            for run, size in zip(page.runs, buckets, strict=True)
        ],
        "samples": pack_samples(page),
        "landscapes": [_pack_landscape(landscape, page) for landscape in page.landscapes],
        "watch": watch,
    }


def _script_words(code: str) -> dict[str, str]:
    return {key.removeprefix("script."): text for key, text in messages(code).items() if key.startswith("script.")}


def _pack_landscape(landscape: LandscapeRecord, page: Page) -> dict[str, Any]:
    names = [run.name for run in page.runs]
    return {
        # the grid
        "x": landscape.x.tolist(),
        "y": landscape.y.tolist(),
        "loss": [[series.finite(value) for value in row] for row in landscape.loss],
        # what lies in it
        "trajectories": [
            {
                "run": one.run,
                "style": names.index(one.run) if one.run in names else len(names) + place,
                "iteration": one.iteration.tolist(),
                "epoch": one.epoch.tolist(),
                "x": one.x.tolist(),
                "y": one.y.tolist(),
                "loss": [series.finite(value) for value in one.loss],
            }
            for place, one in enumerate(landscape.trajectories)
        ],
        # between weights
        "lines": [
            {
                "start": (line.start.run, line.start.epoch),
                "end": (line.end.run, line.end.epoch),
                "t": line.t.tolist(),
                "loss": [series.finite(value) for value in line.loss],
            }
            for line in landscape.lines
        ],
    }


def _map_words(landscape: LandscapeRecord) -> dict[str, Any]:
    """Return what is written around a landscape."""
    kind = landscape.kind if known(f"land.heading_{landscape.kind}") else "random"
    first, second = (*landscape.explained, 0.0, 0.0)[:2]
    both = percent(first + second, 1)

    is_pca = kind == "pca"
    about = (
        say("land.pca", share=both, first=percent(first, 1), second=percent(second, 1))
        if is_pca
        else say("land.random")
    )

    # what is written around the map
    return {
        "heading": say(f"land.heading_{kind}"),
        "about": about,
        "over": say(
            "land.over",
            samples=count(landscape.samples),
            of=count(landscape.of),
            split=say(f"split.{landscape.split}") if known(f"split.{landscape.split}") else landscape.split,
            points=count(landscape.loss.size),
        ),
        "x": say(f"land.{kind}_x", share=percent(first, 1)),
        "y": say(f"land.{kind}_y", share=percent(second, 1)),
        "explained": say("land.explained", share=both) if is_pca else None,
    }
