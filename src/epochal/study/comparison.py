"""`compare` and `resume_study`: what Python calls; the work itself is in `runner`."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterable
from typing import Any

from epochal.config.options import listed
from epochal.config.study_config import StudyConfig
from epochal.data import load_data
from epochal.engine import Metric
from epochal.errors import RunError
from epochal.models import Model
from epochal.models.adapters.recognise import check_known, library_of, name_of
from epochal.run.anew import DataSource
from epochal.run.api import listed_metrics
from epochal.run.interrupts import stop_on_interrupt
from epochal.run.own_files_only import check_named
from epochal.study.cell_callback import cell_callback
from epochal.study.planning import plan_study, with_budget
from epochal.study.runner import Parts, StudyCallback, work
from epochal.study.study import Study


def compare(
    data: DataSource | None = None,
    *,
    models: Any = None,
    loss: str | Callable[..., Any] | None = None,
    metrics: str | Metric | Iterable[str | Metric] | None = None,
    run: str | os.PathLike[str] | None = None,
    callback: StudyCallback | None = None,
    should_stop: Callable[[], bool] | None = None,
    at_once: int | None = None,
    **options: Any,
) -> Study:
    """Train with several batch sizes (or models, optimizers, learning rates, seeds), side by side.

    >>> study = compare("mnist", batch_sizes=[1, 100, "all"], epochs=5)  # doctest: +SKIP

    All runs have the same budget; runs of one seed visit the samples in the same order, and those of one model start
    from the same weights. Each is an ordinary run in a folder of its own under the study's. The same call on the same
    folder finishes what is unfinished and leaves alone what is finished; what is left out is then taken from the study.
    `epochal.study.landscape_of` adds the loss landscape around them, which the command line's comparison ends with.

    Args:
        data: as for `epochal.train`. Default: digits.
        models: one or a list, as for `epochal.train`; every run starts from a module's weights at the call, and the
            module stays what it is. Two of one name are numbered.
        loss: as for `epochal.train`.
        metrics: as for `epochal.train`.
        run: the study's folder. Default: ``runs/compare-DATA-1``, or the next free number.
        callback: follows the searches and runs (`epochal.study.StudyCallback`). Default: in a notebook, shows them.
        should_stop: asked again and again; a true answer ends the work there.
        at_once: how many runs that differ in their seed or learning rate alone are trained side by side, each with the
            bits that it has alone. Default: as many as there are processors, at most 8 and what the memory holds, on a
            CPU; one where models, losses or metrics are your own, or the budget is of seconds.
        options: the lists and other fields of `epochal.config.StudyConfig`, such as ``batch_sizes=[1, 100]``,
            ``optimizers="adam"``, ``lrs=0.1``, ``seeds=[0, 1]`` or ``repeat=8``, ``seconds=10`` or
            ``tune_lr=True``, and fields of `TrainConfig` that are the same for all runs, such as ``epochs=5``.

    Raises:
        EpochalError: for anything that the user can fix, before anything is written.
    """
    name = os.fspath(data) if isinstance(data, (str, os.PathLike)) else None
    own_data = data is not None and name is None
    given_models, own_models = _named(models)

    given = {
        **options,
        "data": name,
        "models": given_models or None,
        "loss": None if callable(loss) else loss,
        "metrics": [one for one in listed_metrics(metrics) if isinstance(one, str)] or None,
    }

    config = plan_study(given, run)

    shared = config.shared
    source = shared.data if data is None or name is not None else data
    dataset = load_data(source, **shared.loading, as_given=bool(own_models))
    if own_data:
        config = dataclasses.replace(config, shared=dataclasses.replace(shared, data=dataset.name))
    own_loss = loss if callable(loss) else None
    parts = Parts(dataset, own_data, own_models, own_loss, listed_metrics(metrics) or None)
    return _work(config, parts, run, callback, should_stop, at_once)


def _named(models: Any) -> tuple[list[str], dict[str, Any]]:
    """Return the names of one model or several, and those that are objects by their names."""
    is_one = models is not None and (isinstance(models, Model) or library_of(models) is not None)
    names: list[str] = []
    own: dict[str, Any] = {}
    for model in (models,) if is_one else () if models is None else listed(models):
        if isinstance(model, str):
            names.append(model)
            continue
        check_known(model)
        name = name_of(model)
        taken = sum(known == name or known.startswith(f"{name}-") for known in own)
        names.append(f"{name}-{taken + 1}" if taken else name)
        own[names[-1]] = model
    return names, own


def resume_study(
    path: str | os.PathLike[str],
    *,
    callback: StudyCallback | None = None,
    should_stop: Callable[[], bool] | None = None,
    at_once: int | None = None,
    **budget: Any,
) -> Study:
    """Finish a study that was stopped or killed; a finished one is returned as it is.

    Args:
        path: the study's folder.
        callback: as for `compare`.
        should_stop: as for `compare`.
        at_once: as for `compare`.
        budget: a larger one for all runs: ``epochs``, ``iterations``, ``budget`` or ``seconds``.

    Raises:
        RunError: where the folder is no study or is damaged, or its data or models only Python can give.
    """
    study = Study.open(path)
    if study.data.own:
        raise RunError(
            f"{path} was made from Python with its own data; continue there: epochal.compare(data, run='{path}')"
        )
    check_named(study.config.shared, study.data.fingerprint, study.named_by, str(path), given=())
    config = with_budget(study, budget) if budget else study.config
    data = load_data(config.shared.data, **config.shared.loading)
    return _work(config, Parts(data), path, callback, should_stop, at_once)


def _work(
    config: StudyConfig,
    parts: Parts,
    path: str | os.PathLike[str] | None,
    callback: StudyCallback | None,
    should_stop: Callable[[], bool] | None,
    at_once: int | None,
) -> Study:
    """Work on a study where a person may look on, and interrupt it."""
    with stop_on_interrupt() as interrupt:
        study = work(
            config,
            parts,
            path,
            callback or cell_callback(),
            lambda: interrupt.is_asked or (should_stop is not None and should_stop()),
            at_once,
        )
    if interrupt.is_asked and not study.is_finished:
        data = "data, " if study.data.own else ""
        interrupt.tell(f"stopped, and saved; go on with: epochal.compare({data}run={str(study.path)!r})")
    return study
