"""`batch_sizes`: what Python calls to ask which batch size to use; the work itself is in `work`."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from epochal.data import Dataset, load_data
from epochal.errors import RunError
from epochal.run.anew import DataSource
from epochal.run.custom import Custom
from epochal.run.interrupts import stop_on_interrupt
from epochal.study.batch_size.answer import Answer
from epochal.study.batch_size.kept import BatchSizeRecord
from epochal.study.batch_size.preparing import Prepared, prepare
from epochal.study.batch_size.request import Request
from epochal.study.batch_size.work import BatchSizesCallback, plan_request, work


def batch_sizes(
    data: DataSource | None = None,
    *,
    model: Any = None,
    loss: str | Callable[..., Any] | None = None,
    run: str | os.PathLike[str] | None = None,
    callback: BatchSizesCallback | None = None,
    should_stop: Callable[[], bool] | None = None,
    **options: Any,
) -> Answer:
    """Answer which batch size to use, with evidence: train to one target with several, each at its own best rate.

    >>> answer = epochal.batch_sizes("mnist", target_accuracy=0.97)  # doctest: +SKIP
    >>> answer.best, answer.range, answer.critical  # doctest: +SKIP
    (64, (64, 256), (134.0, 97.0, 181.0))

    Every trial is recorded in the study's folder; the same call on the same folder goes on where it was stopped.

    Args:
        data: as for `epochal.train`. Default: digits.
        model: as for `epochal.train`.
        loss: as for `epochal.train`.
        run: the study's folder. Default: ``runs/batch-size-DATA-1``, or the next free number.
        callback: follows the trials (`epochal.study.batch_size.work.BatchSizesCallback`).
        should_stop: asked again and again; a true answer ends the work there.
        options: fields of `epochal.study.batch_size.request.Request`, such as ``target_accuracy=0.97``,
            ``target_loss=0.1``, ``judge="test"``, ``batch_sizes=[1, 64, "all"]``, ``within="2m"``, ``seeds=3``,
            ``quick=True`` or ``branch="runs/mnist-mlp-1"``, and of `TrainConfig` that say what is trained, such as
            ``optimizer="adam"``.

    Raises:
        EpochalError: for anything that the user can fix.
    """
    name = os.fspath(data) if isinstance(data, (str, os.PathLike)) else None
    own_data = data is not None and name is None
    own_model = None if model is None or isinstance(model, str) else model
    given = {
        **options,
        "data": name,
        "model": model if isinstance(model, str) else None,
        "loss": None if callable(loss) else loss,
    }

    request = plan_request(given, run)
    custom = Custom(model=own_model, loss=loss if callable(loss) else None, data=own_data)
    prepared = prepare_all(request, custom, data if own_data else None)
    with stop_on_interrupt() as interrupt:
        record = work(
            prepared, run, callback, lambda: interrupt.is_asked or (should_stop is not None and should_stop())
        )
    if interrupt.is_asked and not record.is_finished:
        again = "data, " if own_data else ""
        interrupt.tell(f"stopped, and saved; go on with: epochal.batch_sizes({again}run={str(record.path)!r})")
    return Answer.of(record.results)


def prepare_all(
    request: Request,
    custom: Custom | None = None,
    data: DataSource | None = None,
    load: Callable[..., Any] = load_data,
) -> Prepared:
    """Load the data and set up what a request needs, a branch included."""
    custom = custom or Custom()
    if request.branch is not None:
        from epochal.study.batch_size.branching import prepare_branch

        return prepare_branch(request, data)
    more = {"as_given": True} if custom.model is not None else {}
    source = request.shared.data if data is None else data
    dataset: Dataset = load(source, **request.shared.loading, **more)
    if custom.data:
        request = request.with_data(dataset.name)
    return prepare(request, dataset, custom)


def continue_study(
    path: Path, within: float | str | None = None, callback: BatchSizesCallback | None = None, **more: Any
) -> BatchSizeRecord:
    """Finish a study of batch sizes that was stopped or killed; a finished one is returned as it is.

    Raises `RunError` where the folder is none, or its data only Python can give.
    """
    record = BatchSizeRecord.read(path)
    if record.data.own:
        raise RunError(
            f"{path} was made from Python with its own data; continue there: epochal.batch_sizes(data, run='{path}')"
        )
    request = plan_request({"within": within}, path)
    return work(prepare_all(request), path, callback, **more)
