"""`compare` and `resume_study`: what Python calls; the work itself is in `runner`."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from typing import Any

from epochal.data import load_data
from epochal.errors import RunError
from epochal.models import Model
from epochal.run.run import DataSource
from epochal.study.config import listed
from epochal.study.planning import plan_study, with_budget
from epochal.study.runner import Parts, StudyCallback, work
from epochal.study.study import Study


def compare(
    data: DataSource | None = None,
    *,
    batch_sizes: Any = None,
    models: Any = None,
    optimizers: Any = None,
    lrs: Any = None,
    seeds: Any = None,
    seconds: int | float | None = None,
    tune_lr: bool | None = None,
    target_accuracy: int | float | None = None,
    loss: str | Callable[..., Any] | None = None,
    run: str | os.PathLike[str] | None = None,
    callback: StudyCallback | None = None,
    should_stop: Callable[[], bool] | None = None,
    **options: Any,
) -> Study:
    """Train with several batch sizes (or models, optimizers, learning rates, seeds), side by side.

    >>> study = compare("mnist", batch_sizes=[1, 100, "all"], epochs=5)  # doctest: +SKIP

    All runs have the same budget; runs of one seed visit the samples in the same order, and those of one model start
    from the same weights. Each is an ordinary run in a folder of its own under the study's. The same call on the same
    folder finishes what is unfinished and leaves alone what is finished; what is left out is then taken from the study.

    Args:
        data: as for `epochal.train`; digits where not given.
        batch_sizes: 1 to N or ``"all"`` each; 1, 100 and all where not given.
        models: one or more, as for `epochal.train`.
        optimizers: one or more, by name; each model's usual one where not given.
        seeds: one or more; 0 where not given.
        lrs: learning rates: one for all, or one for each batch size; one that suits each where not given.
        seconds: the budget of each run in seconds of training, in place of epochs.
        tune_lr: search each learning rate first; `epochal.study.tuning` says how.
        target_accuracy: to which updates and seconds are counted; 0.95 where not given.
        loss: as for `epochal.train`.
        run: the study's folder; ``runs/compare-DATA-1`` (or the next free number) where not given.
        callback: follows the searches and runs (`epochal.study.StudyCallback`).
        should_stop: asked again and again; a true answer ends the work there.
        options: other fields of `TrainConfig`, the same for all runs, such as ``epochs=5``.

    Raises:
        EpochalError: for anything that the user can mend, before anything is written.
    """
    name = os.fspath(data) if isinstance(data, (str, os.PathLike)) else None
    own_data = data is not None and name is None
    given_models = None if models is None else listed(models)
    given = {
        **options,
        "data": name,
        "batch_sizes": batch_sizes,
        "models": models if given_models is None else [getattr(model, "name", model) for model in given_models],
        "optimizers": optimizers,
        "lrs": lrs,
        "seeds": seeds,
        "seconds": seconds,
        "tune_lr": tune_lr,
        "target_accuracy": target_accuracy,
        "loss": loss if isinstance(loss, str) else None,
    }
    config = plan_study(given, run)
    shared = config.shared
    dataset = load_data(
        shared.data if data is None or name is not None else data, target=shared.target, task=shared.task
    )
    if own_data:
        config = dataclasses.replace(config, shared=dataclasses.replace(shared, data=dataset.name))
    own_models = {model.name: model for model in given_models or () if isinstance(model, Model)}
    return work(
        config, Parts(dataset, own_data, own_models, loss if callable(loss) else None), run, callback, should_stop
    )


def resume_study(
    path: str | os.PathLike[str],
    *,
    callback: StudyCallback | None = None,
    should_stop: Callable[[], bool] | None = None,
    **budget: Any,
) -> Study:
    """Finish a study that was stopped or killed; a finished one is returned as it is.

    Args:
        path: the study's folder.
        callback: as for `compare`.
        should_stop: as for `compare`.
        budget: a larger one for all runs: ``epochs``, ``iterations``, ``budget`` or ``seconds``.

    Raises:
        RunError: where the folder is no study or is damaged, or its data or models only Python can give.
    """
    study = Study.open(path)
    if study.data.own:
        raise RunError(
            f"{path} was made from Python with its own data; go on there: epochal.compare(data, run='{path}')"
        )
    config = with_budget(study, budget) if budget else study.config
    data = load_data(config.shared.data, target=config.shared.target, task=config.shared.task)
    return work(config, Parts(data), path, callback, should_stop)
