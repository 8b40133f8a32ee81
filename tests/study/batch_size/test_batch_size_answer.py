"""The answer: a range before a point, marks, the rule of the rates, and what is not known."""

from __future__ import annotations

import dataclasses
import json
import shlex

import pytest

from epochal.cli.arguments import parse
from epochal.cli.train import TrainCommand
from epochal.study.batch_size.answer import AS_FAST, Answer
from epochal.study.batch_size.rate_rule import RateRule
from epochal.study.batch_size.sentences import about, answer_sentences, caveats
from epochal.study.batch_size.trials import BatchSizes, LeftOut
from epochal.study.target import Target
from measured_sizes import FLAT, MEASURED, measured_row, measured_study, with_rows


def answered(study: BatchSizes) -> Answer:
    return Answer.of(study)


def said(study: BatchSizes, language: str = "en") -> str:
    return " ".join(one.texts[language] for one in (*answer_sentences(answered(study)), *caveats(answered(study))))


class TestWhich:
    def test_the_fastest_size_and_those_that_are_about_as_fast(self) -> None:
        answer = answered(measured_study())
        assert answer.best == 64
        assert answer.range == (64, 256)
        slower = {row.batch_size: answer.slower(row) for row in answer.rows}
        assert slower[64] == 1
        assert slower[256] == pytest.approx(1.5, abs=0.02)
        assert (slower[16] or 0) > AS_FAST

    def test_a_slow_size_between_fast_ones_ends_the_range(self) -> None:
        study = measured_study()
        rows = [dataclasses.replace(row, microseconds=600.0) if row.batch_size == 64 else row for row in study.rows]
        answer = answered(dataclasses.replace(study, rows=tuple(rows)))
        assert answer.best == 256
        assert answer.range == (256, 256)  # 16 is within 1.5 times, but 64 between them is not

    def test_a_small_batch_that_took_longer_than_a_large_one_says_that_the_machine_was_busy(self) -> None:
        study = measured_study()
        rows = [dataclasses.replace(row, microseconds=5_000.0) if row.batch_size == 64 else row for row in study.rows]
        assert "an iteration of batch size 64 took longer than one of 256" in said(
            dataclasses.replace(study, rows=tuple(rows))
        )
        assert "unsteady" not in said(study)

    def test_without_speeds_the_fewest_updates_count(self) -> None:
        study = measured_study()
        rows = tuple(dataclasses.replace(row, microseconds=None) for row in study.rows)
        answer = answered(dataclasses.replace(study, rows=rows))
        assert answer.best == 4_096
        assert answer.range == (4_096, 4_096)
        assert "speeds were not measured" in said(answer.study)

    def test_where_none_reached_the_target_it_says_how_near_they_came(self) -> None:
        study = measured_study()
        rows = tuple(measured_row(size, None, []) for size in (16, 64))
        answer = answered(dataclasses.replace(study, rows=rows, all_trials=()))
        assert answer.best is None
        assert answer.range is None
        assert answer.next_command is None
        assert "no batch size that was tried reaches 97\N{NO-BREAK SPACE}% accuracy" in said(answer.study)
        assert "with 95.3\N{NO-BREAK SPACE}% accuracy" in said(answer.study)

    def test_a_loss_is_a_target_too(self) -> None:
        study = dataclasses.replace(measured_study(), target=Target("loss", 0.25))
        assert "reach a loss of 0.25 soonest" in said(study)

    @pytest.mark.parametrize(("reach", "is_near"), [(None, False), (0.98, False), (0.9725, True), (0.97, True)])
    def test_a_target_near_the_best_in_reach_is_said_to_be(self, reach: float | None, is_near: bool) -> None:
        study = dataclasses.replace(measured_study(), reach=reach)
        assert answered(study).is_near_the_best is is_near
        assert ("97\N{NO-BREAK SPACE}% accuracy is near the best that is in reach" in said(study)) is is_near
        assert BatchSizes.from_dict(study.to_dict()) == study


class TestLargerBatches:
    def test_marks_are_perfect_scaling_then_less_then_none(self) -> None:
        answer = answered(measured_study("momentum, 10,000 samples"))
        assert answer.marked("scaling") == (1, 4, 16, 64)
        assert answer.marked("diminishing") == (256,)
        assert answer.marked("flat") == (1_024, 4_096, 10_000)

    def test_a_size_that_never_reached_the_target_is_missed(self) -> None:
        study = measured_study()
        answer = answered(dataclasses.replace(study, rows=(*study.rows, measured_row(60_000, None, []))))
        assert answer.marked("missed") == (60_000,)
        assert answer.best == 64

    def test_the_critical_size_has_an_interval_that_is_said_with_it(self) -> None:
        answer = answered(measured_study())
        assert answer.critical is not None
        value, low, high = answer.critical
        assert 90 < low < value < high < 210
        assert f"Up to about {about(value)} ({about(low)} to {about(high)}), the critical batch size, twice" in said(
            answer.study
        )
        assert "knee exponent α = 1.8" in said(answer.study)

    def test_four_sizes_show_no_fit(self) -> None:
        study = with_rows(measured_study(), 1, 16, 256, 4_096)
        answer = answered(study)
        assert (answer.curve, answer.critical, answer.alpha) == (None, None, None)
        assert "Up to 16, twice the batch needs about half the updates, as far as so few sizes can tell" in said(study)
        assert "Fit over" not in said(study)

    def test_sizes_that_all_scale_bound_the_critical_size_from_below(self) -> None:
        study = measured_study("momentum, 10,000 samples")
        rows = tuple(measured_row(size, 0.01 * size, [18_000 // size]) for size in (1, 2, 4, 8, 16))
        study = dataclasses.replace(study, rows=rows, all_trials=())
        assert "Up to 16, the largest size that was tried" in said(study)
        assert answered(study).extrapolated == ()

    def test_an_interval_that_leaves_the_sizes_is_a_bound(self) -> None:
        study = with_rows(measured_study("momentum, 10,000 samples"), 1, 4, 16, 64, 256)
        answer = answered(study)
        assert answer.critical is not None
        if answer.curve is not None and answer.curve.has_knee and answer.critical[2] > 256:
            assert "to more than 256)" in said(study)

    def test_sizes_that_were_left_out_are_extrapolated_and_said(self) -> None:
        study = measured_study(left_out=FLAT)
        answer = answered(study)
        assert [size for size, _ in answer.extrapolated] == [16_384, 60_000]
        assert all(steps == pytest.approx(645, rel=0.05) for _, steps in answer.extrapolated)
        assert "Not tried: 16,384, 60,000, as larger batches no longer save updates" in said(study)
        assert "16,384、60,000" in said(study, "zh")

    def test_predicted_updates_are_said_to_be(self) -> None:
        answer = answered(measured_study(is_predicted=True))
        assert answer.critical is not None
        value, low, high = answer.critical
        assert (low, high) == pytest.approx((value / 2, 2 * value))
        assert "predicted from the noise of the gradients" in answer_sentences(answer)[1].texts["en"]
        assert "best learning rate" not in said(answer.study)

    def test_a_branched_study_answers_for_the_training_from_there(self) -> None:
        assert "from iteration 1,200 of runs/a on" in said(measured_study(branched_from=("runs/a", 1_200)))

    @pytest.mark.parametrize(("why", "words"), [("budget", "--within"), ("scaling", "no longer save samples")])
    def test_each_reason_of_leaving_out_has_its_words(self, why: str, words: str) -> None:
        assert words in said(measured_study(left_out=(LeftOut(2, why),)))


class TestRates:
    @pytest.mark.parametrize(
        ("rates", "growth", "until"),
        [
            ((0.02, 0.08, 0.16, 0.64, 0.64, 0.64, 0.64, 1.28), "linear", 64),
            ((0.002, 0.008, 0.016, 0.128, 0.256, 0.512, 0.512, 0.512), "linear", 256),
            ((0.01, 0.04, 0.16, 0.64, 0.64, 0.64, 1.28, 0.64), "linear", 64),
            ((0.0008, 0.0016, 0.0064, 0.0064, 0.0128, 0.0256, 0.0128), "root", 256),
            ((0.1, 0.1, 0.1, 0.2, 0.1), "none", 256),
        ],
    )
    def test_measured_rates_follow_the_rules_that_were_read_from_them(
        self, rates: tuple[float, ...], growth: str, until: int
    ) -> None:
        sizes = (1, 4, 16, 64, 256, 1_024, 4_096, 10_000)
        rule = RateRule.of(dict(zip(sizes, rates, strict=False)))
        assert rule is not None
        assert (rule.growth, rule.until) == (growth, until)
        assert rule.then == pytest.approx(rates[-2], rel=0.6)

    def test_two_sizes_are_no_rule(self) -> None:
        assert RateRule.of({1: 0.1, 4: 0.4}) is None

    def test_a_rate_that_was_given_is_no_rule(self) -> None:
        study = measured_study(is_rate_given=True)
        assert answered(study).rates is None
        assert "as given" in said(study)


class TestNext:
    def test_the_next_command_has_the_size_the_rate_and_the_options(self) -> None:
        study = measured_study(data="my data.csv", options={"model": "mlp", "hidden": [64, 32], "optimizer": "sgd"})
        command = answered(study).next_command
        assert command is not None
        assert shlex.split(command) == [
            "epochal", "train", "my data.csv", "--model", "mlp", "--hidden", "64,32", "--optimizer", "sgd",
            "--batch-size", "64", "--lr", "0.64",
        ]  # fmt: skip

    def test_a_branched_study_resumes_its_run(self) -> None:
        command = answered(measured_study(branched_from=("runs/a b", 1_200))).next_command
        assert (
            command == "epochal resume 'runs/a b' --batch-size 64 --lr 0.64 --iterations 2643"
        )  # 1,200 and 1,443 more

    def test_a_name_like_an_option_is_none(self) -> None:
        command = answered(measured_study(data="--help")).next_command
        assert command is not None
        assert shlex.split(command)[2] == "./--help"

    def test_it_is_understood_as_a_training_with_that_size_and_rate(self) -> None:
        study = measured_study("sgd, digits", options={"model": "linear", "optimizer": "sgd"})
        command = answered(study).next_command
        assert command is not None
        given = parse(TrainCommand, "train", shlex.split(command)[2:]).given
        assert (given["batch_size"], given["lr"], given["model"]) == (64, 1.28, "linear")


@pytest.mark.parametrize("name", MEASURED)
def test_programs_get_the_same_numbers_as_json(name: str) -> None:
    answer = answered(measured_study(name))
    values = json.loads(json.dumps(answer.to_dict(), allow_nan=False))
    assert values["best"] == answer.best
    assert tuple(values["range"]) == answer.range
    assert values["critical"]["low"] < values["critical"]["value"] < values["critical"]["high"]
    assert [row["mark"] for row in values["rows"]] == [answer.mark(row) for row in answer.rows]
    assert values["next"] == answer.next_command


def test_every_sentence_is_in_both_languages() -> None:
    for study in (measured_study(left_out=FLAT), with_rows(measured_study(), 64)):
        for sentence in (*answer_sentences(answered(study)), *caveats(answered(study))):
            assert sentence.texts["en"] != sentence.texts["zh"]
            assert "{" not in sentence.texts["en"] + sentence.texts["zh"]
