"""Notebooks in a real kernel: the examples run as they stand, progress is one output, and stopping gives the run."""

from __future__ import annotations

import re
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from epochal import Run

EXAMPLES = Path(__file__).parents[2] / "examples"
STARTING = """
import pathlib, time
from epochal import Callback, Plan, compare, load_data, resume, train

class Ready(Callback):
    def on_chunk(self, chunk):
        pathlib.Path("ready").touch()

class Slow(Ready):
    def on_chunk(self, chunk):
        super().on_chunk(chunk)
        time.sleep(60)
"""

KernelClient = Callable[..., Any]


@pytest.fixture
def kernel_client(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> KernelClient:
    """Return a function that makes a client for these cells, not yet run."""
    nbclient = pytest.importorskip("nbclient", reason="needs nbclient: pip install '.[dev]'")
    nbformat = pytest.importorskip("nbformat", reason="needs nbformat: pip install '.[dev]'")
    pytest.importorskip("ipykernel", reason="needs ipykernel: pip install '.[dev]'")
    monkeypatch.setenv("IPYTHONDIR", str(workplace / "ipython"))

    def client(*cells: str, notebook: Any = None, folder: Path = workplace) -> Any:
        if notebook is None:
            notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        resources = {"metadata": {"path": str(folder)}}
        return nbclient.NotebookClient(notebook, timeout=180, kernel_name="python3", resources=resources)

    return client


def shown(cell: Any, kind: str = "text/html") -> str:
    """Return what a cell shows of one kind, without the style."""
    found = [output["data"][kind] for output in cell.outputs if kind in output.get("data", {})]
    return re.sub("<style>.*?</style>", "", "\n".join(found), flags=re.DOTALL)


def printed(cell: Any) -> str:
    return "".join(output.text for output in cell.outputs if output.output_type == "stream")


def example(name: str, workplace: Path) -> Any:
    nbformat = pytest.importorskip("nbformat", reason="needs nbformat: pip install '.[dev]'")
    path = EXAMPLES / "notebooks" / f"{name}.ipynb"
    if not path.is_file():
        pytest.skip("needs the repository's examples")
    shutil.copytree(EXAMPLES, workplace / "examples")
    notebook = nbformat.read(path, 4)
    assert not [cell for cell in notebook.cells if cell.get("outputs")], "it is kept without outputs"
    return notebook


@pytest.mark.parametrize(
    "name", ["epoch-batch-iteration", pytest.param("epoch-batch-iteration.zh-CN", marks=pytest.mark.slow)]
)
def test_the_articles_story(name: str, kernel_client: KernelClient, workplace: Path) -> None:
    pytest.importorskip("matplotlib", reason="needs Matplotlib: pip install '.[dev]'")
    client = kernel_client(notebook=example(name, workplace), folder=workplace / "examples" / "notebooks")
    cells = {cell.source.splitlines()[0]: cell for cell in client.execute().cells if cell.cell_type == "code"}
    is_english = "zh" not in name

    plan = shown(cells["plan = Plan(samples=60_000, batch_size=100, iterations=30_000)"])
    assert "600" in plan
    assert ("batches per epoch" in plan) is is_english
    assert ("每轮批数" in plan) is not is_english
    assert any("[1, 60000, 600]" in shown(cell, "text/plain") for cell in cells.values())

    study = shown(cells["study"])
    assert all(f"batch-{size}" in study for size in ("1", "100", "all"))
    assert study.count("<svg class") == 3
    progress = next(cell for line, cell in cells.items() if line.startswith("study = compare"))
    assert len(progress.outputs) == 1
    assert shown(progress).count("<b>batch-") == 3
    assert shown(cells['axes = study.plot("accuracy")'], "image/png")


def test_a_table_of_ones_own(kernel_client: KernelClient, workplace: Path) -> None:
    pytest.importorskip("matplotlib", reason="needs Matplotlib: pip install '.[dev]'")
    folder = workplace / "examples" / "notebooks"
    notebook = kernel_client(notebook=example("your-own-table", workplace), folder=folder).execute()
    cells = {cell.source.splitlines()[-1]: cell for cell in notebook.cells if cell.cell_type == "code"}

    assert "validation" in shown(cells["data"])
    assert "epoch 40 / 40" in shown(cells['run = train(data, epochs=40, patience="20ep", run="runs/flats")'])
    assert "validation" in shown(cells["run"])
    assert "<iframe" in shown(cells["run.report()"])
    assert (folder / "runs" / "flats" / "report.html").is_file()
    assert len(cells["axes = run.plot()"].outputs) == 1
    predicted = shown(cells['best.predict("../offers.csv")'], "text/plain")
    assert len(re.findall(r"\d+\.\d+", predicted)) == 5


@contextmanager
def interrupted(client: Any, ready: Path, *, times: int = 1) -> Iterator[None]:
    """Interrupt the kernel, as its stop button does, once the training in the block has begun."""
    ready.unlink(missing_ok=True)

    def interrupt() -> None:
        limit = time.monotonic() + 60
        while not ready.exists() and time.monotonic() < limit:
            time.sleep(0.02)
        for _ in range(times):
            time.sleep(0.3)
            client.km.provisioner.process.send_signal(signal.SIGINT)  # what interrupt_kernel does

    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def test_the_stop_button_gives_the_stopped_run(kernel_client: KernelClient, workplace: Path) -> None:
    client = kernel_client(
        STARTING,
        "run = train('digits', budget='60s', run='one', callbacks=Ready())",
        "run",
        "more = resume(run.path, iterations=run.position.iteration + 10); more.status",
        "kept = train('digits', budget='60s', run=False, callbacks=Ready())",
        "len(kept.predict(kept.data.test.x)), kept.status",
        "study = compare('digits', batch_sizes=[1, 'all'], seconds=60, run='study')",
        "train('digits', epochs=30, run='two', callbacks=Slow())",
    )
    cells = client.nb.cells
    ready = workplace / "ready"
    with client.setup_kernel():
        client.execute_cell(cells[0], 0)

        # in a folder
        with interrupted(client, ready):
            client.execute_cell(cells[1], 1)
        assert "go on with: epochal.resume('one')" in printed(cells[1])
        assert "stopped" in shown(cells[1])
        run = Run.open(workplace / "one")
        assert run.status == "stopped"
        assert run.position.iteration == run.history.iterations > 0
        client.execute_cell(cells[2], 2)
        assert "epochal.resume(&#39;one&#39;)" in shown(cells[2])
        client.execute_cell(cells[3], 3)
        assert "finished" in shown(cells[3], "text/plain")

        # in memory
        with interrupted(client, ready):
            client.execute_cell(cells[4], 4)
        assert "it cannot be resumed" in printed(cells[4])
        client.execute_cell(cells[5], 5)
        assert shown(cells[5], "text/plain") == "(360, 'stopped')"

        # a study
        (workplace / "study").mkdir()
        with interrupted(client, workplace / "study" / "batch-1" / "history.db"):
            client.execute_cell(cells[6], 6)
        assert "go on with: epochal.compare(run='study')" in printed(cells[6])

        # and twice: at once
        begun = time.monotonic()
        with interrupted(client, ready, times=2), pytest.raises(Exception, match="KeyboardInterrupt"):
            client.execute_cell(cells[7], 7)
        assert time.monotonic() - begun < 30
    assert Run.open(workplace / "two").status == "interrupted"
