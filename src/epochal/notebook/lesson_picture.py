"""A lesson's picture: its panels side by side on Matplotlib's axes, in a file."""

from __future__ import annotations

import itertools
import re
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from epochal.errors import OptionError
from epochal.web.static_chart import COLOURS
from epochal.words.catalogue import Words
from epochal.words.language import present_language, speaking

if TYPE_CHECKING:
    from epochal.study.lessons.lesson_result import LessonCurve, LessonPanel, LessonResult

_CHINESE_FONTS: Final = (
    "Noto Sans CJK SC", "Noto Sans CJK JP", "Source Han Sans SC", "Microsoft YaHei", "PingFang SC", "Heiti SC",
    "WenQuanYi Micro Hei", "SimHei",
)  # fmt: skip
_DASHES: Final = ("-", "--", "-.", ":")
_GUIDES: Final = (":", (0, (6, 3)))
_LOOKS: Final[dict[str, dict[str, Any]]] = {
    "line": {},
    "marked": {"marker": "o", "markersize": 4},
    "points": {"marker": "o", "markersize": 4, "linestyle": ""},
    "guide": {"color": "0.5", "linewidth": 1.0},
}
# text stays text: a file is half as large, and a browser has the letters
_PATH: Final = re.compile(rb' d="[^"]*"')
_LONG: Final = re.compile(rb"(\.\d\d)\d+")
_SETTINGS: Final = {"svg.hashsalt": "epochal", "svg.fonttype": "none", "axes.unicode_minus": False, "font.size": 9}


def draw_lesson(result: LessonResult, file: Path) -> Path:
    """Draw a lesson's panels into a file, whose ending says the format; return its path.

    In Chinese where that is spoken and a font that has it is installed, else in English. Raises `OptionError` where
    Matplotlib is not installed or does not write such files, and where the file cannot be written.
    """
    try:
        import matplotlib
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise OptionError(
            "a picture needs Matplotlib, which is not installed: pip install 'epochal[pictures]'"
        ) from error

    font = _chinese_font() if present_language() == "zh" else None
    settings: Any = {**_SETTINGS, **({} if font is None else {"font.family": font})}
    # a figure of its own, without pyplot's: it opens no window and leaves nothing behind
    with matplotlib.rc_context(settings), speaking("en" if font is None else "zh"):
        figure = Figure(figsize=(4.6 * len(result.panels) + 0.6, 3.8), layout="constrained")
        canvas = FigureCanvasAgg(figure)
        known = canvas.get_supported_filetypes()
        if file.suffix.removeprefix(".").lower() not in known:
            raise OptionError(f"cannot draw {file}: its name must end in one of {', '.join(sorted(known))}")

        for axes, panel in zip(figure.subplots(1, len(result.panels), squeeze=False)[0], result.panels, strict=True):
            _draw(axes, panel)
        figure.suptitle(_plain(result.title), fontsize="large")
        content = _drawn(figure, file.suffix.removeprefix(".").lower())
    try:
        file.write_bytes(content)
    except OSError as error:
        raise OptionError(f"cannot write {file}: {error.strerror}") from error
    return file


def _drawn(figure: Any, kind: str) -> bytes:
    """Return a figure as a file's content, the same for the same numbers; an SVG to a hundredth of a point."""
    with BytesIO() as stream:
        # no date
        figure.savefig(stream, format=kind, dpi=120, metadata={"Date": None} if kind == "svg" else None)
        content = stream.getvalue()
    # the paths alone: a text keeps its numbers
    return _PATH.sub(lambda path: _LONG.sub(rb"\1", path[0]), content) if kind == "svg" else content


def _draw(axes: Any, panel: LessonPanel) -> None:
    """Draw a panel's curves, name its axes and choose their scales."""
    styles = {is_guide: itertools.count() for is_guide in (False, True)}
    for curve in panel.curves:
        style = next(styles[curve.look == "guide"])
        if curve.x:
            _draw_curve(axes, curve, style)
    for axis in panel.log:
        getattr(axes, f"set_{axis}scale")("log")
    if panel.ticks:
        axes.set_xticks(range(len(panel.ticks)), panel.ticks)
    elif "x" not in panel.log:
        axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_title(_plain(panel.title), fontsize="medium")
    axes.set_xlabel(_plain(panel.x_name))
    axes.set_ylabel(_plain(panel.y_name))
    axes.grid(alpha=0.2)
    axes.legend(frameon=False, fontsize="small")


def _draw_curve(axes: Any, curve: LessonCurve, style: int) -> None:
    dashes = _GUIDES if curve.look == "guide" else _DASHES
    look = {"color": COLOURS[style % len(COLOURS)], "linestyle": dashes[style % len(dashes)], "linewidth": 1.6}
    if curve.low:
        axes.fill_between(curve.x, curve.low, curve.high, color=look["color"], alpha=0.2, linewidth=0)
    axes.plot(curve.x, curve.y, label=_plain(curve.name), **{**look, **_LOOKS[curve.look]})


def _plain(text: Words | str) -> str:
    """Return a text as it is, without what Matplotlib would take for a formula."""
    return str(text).replace("$", r"\$")


def _chinese_font() -> str | None:
    """Return an installed font that has Chinese; ``None`` where none is known."""
    from matplotlib import font_manager

    installed = {entry.name for entry in font_manager.fontManager.ttflist}
    return next((name for name in _CHINESE_FONTS if name in installed), None)
