"""A comparison's configuration: which runs it means, what they are called, and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest

from epochal.config import TrainConfig
from epochal.errors import OptionError, PlanError
from epochal.study.config import StudyConfig, listed, parse_batch_sizes, parse_names, parse_rates, parse_seeds


def config(**options: Any) -> StudyConfig:
    return StudyConfig(**{"shared": TrainConfig(epochs=5), **options})


def test_each_model_has_its_usual_optimizer_unless_one_is_given():
    optimizers = {
        m.config.model: m.config.optimizer for m in config(models=("mlp", "rnn"), batch_sizes=(10,)).members()
    }
    assert optimizers == {"mlp": "sgd", "rnn": "adam"}
    given = config(models=("mlp", "rnn"), optimizers=("momentum",), batch_sizes=(10,)).members()
    assert {member.config.optimizer for member in given} == {"momentum"}


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
    found = {("mlp", "sgd", 1): 0.25}
    tuned, other = config(batch_sizes=(1, 2), tune_lr=True).members(found)
    assert (tuned.name, tuned.config.lr, other.config.lr) == ("batch-1", 0.25, None)


def test_a_budget_of_seconds_leaves_the_plan_without_a_limit() -> None:
    member = config(shared=TrainConfig(), seconds=2.5).members()[0]
    assert member.config.plan(10).full_epochs >= 10**9


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
        ({"target_accuracy": 95.0}, "at most 1 (0.95 for 95 %), got 95"),
        ({"seconds": 3.0}, "give one budget"),
        ({"seconds": 0.0, "shared": TrainConfig()}, "seconds must be above 0, got 0"),
        ({"seconds": 3.0, "shared": TrainConfig(schedule="cosine")}, "needs a known number of updates"),
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
    assert listed(" 1, 100 ,all,") == ("1", "100", "all")
    assert parse_batch_sizes("1,100,all") == parse_batch_sizes([1, 100, "all"]) == (1, 100, "all")
    assert parse_batch_sizes(9_007_199_254_740_993) == (9_007_199_254_740_993,)
    assert parse_rates("0.5,1e-3") == (0.5, 0.001)
    assert parse_seeds("0,18446744073709551615") == (0, 2**64 - 1)
    assert parse_names("model", "mlp,cnn") == ("mlp", "cnn")


@pytest.mark.parametrize(
    ("read", "value", "says"),
    [
        (parse_batch_sizes, "1,x", "batch size must be a whole number, got 'x'; write batch sizes as 1,100,all"),
        (parse_batch_sizes, [0], "batch size must be at least 1"),
        (parse_batch_sizes, [2.0], "batch size must be a whole number"),
        (parse_seeds, [-1], "seed must be at least 0"),
        (parse_rates, "fast", "a learning rate must be a finite number, got 'fast'"),
        (parse_rates, [0.1, -1.0], "above 0, got -1"),
        (parse_rates, [float("nan")], "got nan"),
        (lambda names: parse_names("optimizer", names), [print], "a comparison takes optimizers by name"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_entries_that_are_none_are_named(read: Any, value: Any, says: str) -> None:
    with pytest.raises((OptionError, PlanError)) as caught:
        read(value)
    assert says in str(caught.value)
