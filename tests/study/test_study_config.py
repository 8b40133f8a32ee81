"""A comparison's configuration: which runs it means, what they are called, and what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from epochal.config.options import listed
from epochal.config.study_config import STUDY, StudyConfig
from epochal.config.train_config import TrainConfig
from epochal.errors import OptionError, PlanError
from epochal.record.study_record import migrate_study


def config(**options: Any) -> StudyConfig:
    return StudyConfig(**{"shared": TrainConfig(epochs=5), **options})


def test_without_a_list_of_optimizers_each_run_has_its_models_own() -> None:
    optimizers = {m.config.optimizer for m in config(models=("mlp", "rnn"), batch_sizes=(10,)).members()}
    assert optimizers == {None}, "the model says which, where it is built"
    given = config(models=("mlp", "rnn"), optimizers=("momentum",), batch_sizes=(10,)).members()
    assert {member.config.optimizer for member in given} == {"momentum"}


def test_an_option_goes_to_the_optimizers_that_read_it() -> None:
    def momenta(*optimizers: str) -> list[float | None]:
        shared = TrainConfig(momentum=0.5)
        members = config(shared=shared, optimizers=optimizers, batch_sizes=(10,)).members()
        return [member.config.momentum for member in members]

    assert momenta("sgd", "momentum", "adam", "nesterov") == [None, 0.5, None, 0.5]
    assert momenta("sgd") == [0.5], "where no optimizer reads it, the training refuses it"
    assert momenta() == [0.5]


def test_every_combination_is_a_run_with_a_name_of_its_own() -> None:
    members = config(models=("mlp", "cnn"), optimizers=("sgd", "adam"), batch_sizes=(1, "all"), seeds=(0, 7)).members()
    assert len({member.name for member in members}) == len(members) == 16
    assert members[1].name == "mlp-sgd-batch-1-seed-7"
    last = members[-1].config
    assert (last.model, last.optimizer, last.batch_size, last.seed) == ("cnn", "adam", "all", 7)
    assert all(member.config.epochs == 5 for member in members)


def test_names_say_only_what_varies() -> None:
    assert [member.name for member in config(batch_sizes=(1, "all")).members()] == ["batch-1", "batch-all"]


def test_one_rate_serves_all_and_several_belong_to_one_batch_size_each() -> None:
    def rates(**options: Any) -> list[tuple[Any, Any]]:
        return [(member.config.batch_size, member.config.lr) for member in config(**options).members()]

    assert rates(batch_sizes=(1, 2)) == [(1, None), (2, None)]
    assert rates(batch_sizes=(1, 2), lrs=(0.5,)) == [(1, 0.5), (2, 0.5)]
    assert rates(batch_sizes=(1, 2), lrs=(0.5, 0.5)) == [(1, 0.5), (2, 0.5)]
    assert rates(batch_sizes=(1, 2), lrs=(0.1, 0.5)) == [(1, 0.1), (2, 0.5)]
    assert rates(batch_sizes=(8,), lrs=(0.1, 0.2, 0.3)) == [(8, 0.1), (8, 0.2), (8, 0.3)]


def test_a_tuned_rate_takes_the_place_of_the_default_and_names_stay() -> None:
    found = {("mlp", "sgd", 1): 0.25, ("mlp", "adam", 2): 0.5}
    for optimizers, rates in (((), [0.25, 0.5]), (("sgd",), [0.25, None]), (("adam",), [None, 0.5])):
        members = config(batch_sizes=(1, 2), optimizers=optimizers, tune_lr=True).members(found)
        assert [member.name for member in members] == ["batch-1", "batch-2"]
        assert [member.config.lr for member in members] == rates


def test_a_budget_of_seconds_is_that_of_each_run() -> None:
    member = config(shared=TrainConfig(), seconds=2.5).members()[0]
    assert member.config.budget == "2.5s"
    assert member.config.plan(10).is_open


@pytest.mark.parametrize(("budget", "updates"), [({"iterations": 5}, [5, 5]), ({"budget": "130sa"}, [19, 2])])
def test_budgets_of_iterations_and_samples_are_the_same_for_all(budget: dict[str, Any], updates: list[int]) -> None:
    members = config(shared=TrainConfig(**budget), batch_sizes=(7, "all")).members()
    assert [member.config.plan(60).updates for member in members] == updates


def test_it_survives_a_file() -> None:
    original = config(
        batch_sizes=(1, "all"), lrs=(0.1, 0.5), seeds=(3, 2**64 - 1), shared=TrainConfig(hidden=(8, 4), iterations=7)
    )
    assert StudyConfig.from_dict(original.to_dict()) == original


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"batch_sizes": ()}, "batch sizes: the list is empty"),
        ({"batch_sizes": (1, 1)}, "batch sizes: 1 is listed twice"),
        ({"seeds": (4, 4)}, "seeds: 4 is listed twice"),
        ({"batch_sizes": (8,), "lrs": (0.1, 0.1)}, "lrs: 0.1 is listed twice"),
        ({"lrs": (0.1, 0.2)}, "2 learning rates for 3 batch sizes: give one for all, or one for each"),
        ({"lrs": (0.1,), "tune_lr": True}, "not both"),
        ({"target_accuracy": 95.0}, "at most 1 (0.95 for 95 %), got 95.0"),
        ({"seconds": 3.0}, "give one budget"),
        ({"seconds": 0.0, "shared": TrainConfig()}, "seconds must be a finite number above 0, got 0.0"),
    ],
)
def test_it_refuses_what_cannot_be_meant(options: dict[str, Any], says: str) -> None:
    with pytest.raises(OptionError) as caught:
        config(**options)
    assert says in str(caught.value)


def test_an_unknown_option_in_a_file_is_named() -> None:
    with pytest.raises(OptionError, match="unknown option of a study 'batchsizes': did you mean 'batch_sizes'"):
        StudyConfig.from_dict({**config().to_dict(), "batchsizes": [1]})


def test_lists_are_text_sequences_or_single_values() -> None:
    def read(name: str, value: Any) -> Any:
        return STUDY[name].read(name, value)

    assert listed(" 1, 100 ,all,") == ("1", "100", "all")
    assert read("batch_sizes", "1,100,all") == read("batch_sizes", [1, 100, "all"]) == (1, 100, "all")
    assert read("batch_sizes", 9_007_199_254_740_993) == (9_007_199_254_740_993,)
    assert read("batch_sizes", np.array([1, 100])) == (1, 100)
    assert read("lrs", "0.5,1e-3") == (0.5, 0.001)
    assert read("seeds", "0,18446744073709551615") == (0, 2**64 - 1)
    assert read("models", "mlp,cnn") == read("models", ("mlp", "cnn")) == ("mlp", "cnn")


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("batch_sizes", "1,x", "batch_sizes must be a whole number, got 'x'; write 'all' for the whole training set"),
        ("batch_sizes", [0], "batch_sizes must be at least 1"),
        ("batch_sizes", [2.0], "batch_sizes must be a whole number"),
        ("seeds", [-1], "seeds must be 0 to 2**64 - 1, got -1"),
        ("lrs", "fast", "lrs must be a finite number above 0, got 'fast'"),
        ("lrs", [0.1, -1.0], "above 0, got -1.0"),
        ("lrs", [float("nan")], "got nan"),
        (
            "optimizers",
            [print],
            "optimizers must be an optimizer's name, got a value of type builtin_function_or_method",
        ),
    ],
)
def test_entries_that_are_none_are_named(name: str, value: Any, says: str) -> None:
    with pytest.raises((OptionError, PlanError)) as caught:
        STUDY[name].read(name, value)
    assert says in str(caught.value)


def test_a_study_of_format_1_keeps_only_what_its_optimizers_read() -> None:
    """Format 1 always recorded momentum and weight decay."""
    recorded = {"batch_sizes": [1], "shared": {"data": "digits", "momentum": 0.9, "weight_decay": 1e-4}}
    for optimizers, kept in (
        ((), {}),
        (["sgd", "nesterov"], {"momentum": 0.9}),
        (["adamw"], {"weight_decay": 1e-4}),
        (["sgd", "adamw"], {}),
    ):
        compare = {**recorded, "optimizers": optimizers}
        shared = StudyConfig.from_dict(migrate_study({"format": 1, "compare": compare})).shared
        assert shared == TrainConfig(data="digits", **kept)
        assert migrate_study({"format": 2, "compare": compare}) == compare
