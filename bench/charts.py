"""Measure how soon a report of 300,000 losses is on the screen, and how long a zoom takes, in Chromium.

python bench/charts.py [uPlot.iife.min.js]

With uPlot's file (`npm pack uplot`), one bare line of the same losses by uPlot is measured in turns with it.
"""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from epochal.report import render
from epochal.report.series import encode

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "report"))
from made_records import made_losses, made_page, made_run

PAINTED = "await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));"
ZOOM = "document.querySelector('[data-chart=every] [data-do=in]').click();"
BARE_ZOOM = "chart.setScale('x', {min: 75000, max: 225000});"
BARE_PAGE = """<!doctype html><meta charset="utf-8"><div id="plot"></div><script>%s</script><script>
const y = new Float32Array(Uint8Array.from(atob("%s"), (letter) => letter.charCodeAt(0)).buffer);
const scales = {x: {time: false}, y: {distr: 3}}, series = [{}, {stroke: "blue"}];
const chart = new uPlot({width: 1000, height: 400, scales, series}, [y.map((_, place) => place + 1), y], plot);
</script>"""


def measure(browser: Any, file: Path, zoom: str) -> tuple[float, float]:
    """Return the milliseconds from the start of loading to the picture, and from a zoom to its picture."""
    page = browser.new_page()
    page.goto(file.as_uri())
    opened: float = page.evaluate(f"async () => {{ {PAINTED} return performance.now(); }}")
    timed = f"const begun = performance.now(); {zoom} {PAINTED} return performance.now() - begun;"
    zoomed: float = page.evaluate(f"async () => {{ {timed} }}")
    page.close()
    return opened, zoomed


pages = {"report": (render(made_page(made_run(samples=60_000, iterations=300_000))), ZOOM)}
for library in sys.argv[1:]:
    pages["bare uPlot"] = (BARE_PAGE % (Path(library).read_text(), encode(made_losses(300_000))), BARE_ZOOM)
with sync_playwright() as driver, tempfile.TemporaryDirectory() as folder:
    chrome = shutil.which("chromium") or shutil.which("google-chrome")
    browser = driver.chromium.launch(executable_path=chrome, args=["--no-sandbox", "--disable-gpu"])
    for name, (html, _) in pages.items():
        Path(folder, f"{name}.html").write_text(html, encoding="utf-8")
    turns = [
        [measure(browser, Path(folder, f"{name}.html"), zoom) for name, (_, zoom) in pages.items()] for _ in range(9)
    ]
    for (name, (html, _)), times in zip(pages.items(), zip(*turns, strict=True), strict=True):
        opened, zoomed = (statistics.median(column) for column in zip(*times, strict=True))
        print(f"{name}: {len(html) / 1000:,.0f} KB, opens in {opened:.0f} ms, zooms in {zoomed:.0f} ms")
