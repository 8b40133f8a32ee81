"""The search over a law that is known: the sizes and rates that it tries, where it stops, and its failures."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from epochal.study.batch_size.search import Question, Search, Wish
from epochal.study.target import Target, Trial

TARGET = Target("accuracy", 0.97)


@dataclass
class Law:
    """Steps = S_min (1 + B_crit/B) at the best rate, lr* = lr_max/(1 + B_crit/B); another rate costs its distance."""

    s_min: float = 600.0
    critical: float = 128.0
    lr_max: float = 0.8
    diverges: float = math.inf
    reaches: bool = True
    wishes: list[Wish] = field(default_factory=list)

    def steps(self, size: int) -> float:
        return self.s_min * (1 + self.critical / size)

    def rate(self, size: int) -> float:
        return self.lr_max / (1 + self.critical / size)

    def __call__(self, wishes: Sequence[Wish]) -> list[Trial]:
        return [self.one(wish) for wish in wishes]

    def one(self, wish: Wish) -> Trial:
        self.wishes.append(wish)
        if wish.lr > self.diverges * self.rate(wish.batch_size):
            return Trial(wish.batch_size, wish.lr, wish.seed, None, "diverged", 0.1, 3)
        octaves = math.log2(wish.lr / self.rate(wish.batch_size))
        steps = self.steps(wish.batch_size) * math.exp(0.3 * octaves**2) * (1 + 0.1 * wish.seed)
        if self.reaches and steps <= wish.limit:
            return Trial(wish.batch_size, wish.lr, wish.seed, steps, "reached", 0.971, math.ceil(steps))
        nearest = 0.97 - 0.001 * abs(octaves) - 0.0001
        return Trial(wish.batch_size, wish.lr, wish.seed, None, "cut" if wish.is_race else "limit", nearest, wish.limit)


POWERS = (1, 4, 16, 64, 256, 1024, 4096, 16384, 50000)


def question(**more: object) -> Question:
    given = {"target": TARGET, "sizes": POWERS, "start": 64, "rate": 0.3, "limit": 100_000, **more}
    return Question(**given)  # type: ignore[arg-type]


def search(law: Law, **more: object) -> Search:
    one = Search(question(**more), law)
    list(one.run())
    return one


def test_the_rows_are_the_laws() -> None:
    law = Law()
    found = search(law, stops=False)
    assert sorted(found.rows) == list(POWERS)
    for size, row in found.rows.items():
        assert row.steps == pytest.approx(law.steps(size), rel=0.09)  # half a factor of 2
        assert row.lr == pytest.approx(law.rate(size), rel=0.35)
        assert not row.is_edge


def test_sizes_are_tried_from_the_middle_outward() -> None:
    law = Law()
    search(law, stops=False)
    order = list(dict.fromkeys(wish.batch_size for wish in law.wishes))
    assert order == [64, 256, 16, 1024, 4, 4096, 1, 16384, 50000]


def test_it_stops_where_more_batch_saves_nothing_and_less_batch_no_samples() -> None:
    flat = search(Law(critical=30.0))
    assert {one.why for one in flat.left} == {"flat"}
    assert {16384, 50000} <= {one.batch_size for one in flat.left} <= {4096, 16384, 50000}
    scaling = search(Law(critical=5_000.0))
    assert {one.batch_size: one.why for one in scaling.left} == {1: "scaling"}
    assert search(Law(critical=128.0), sizes=POWERS[:6]).left == ()  # it was not flat twice


def test_given_sizes_are_all_tried() -> None:
    found = search(Law(critical=1.0), sizes=(1, 64, 1024, 4096, 50000), stops=False)
    assert (sorted(found.rows), found.left) == ([1, 64, 1024, 4096, 50000], ())


def test_a_trial_is_cut_off_at_1_3_times_the_best() -> None:
    law = Law()
    search(law)
    for wish in (one for one in law.wishes if one.is_race):
        assert wish.limit <= 1.3 * law.steps(wish.batch_size) * math.exp(0.3 * 4) + 2
    tries = [wish for wish in law.wishes if wish.batch_size == 256 and wish.seed == 0]
    assert 3 <= len(tries) <= 5


def test_other_seeds_repeat_the_best_rate_alone() -> None:
    law = Law()
    found = search(law, seeds=(0, 1, 2))
    row = found.rows[64]
    assert [trial.seed for trial in row.trials] == [0, 1, 2]
    assert {trial.lr for trial in row.trials} == {row.lr}
    assert row.steps == pytest.approx(law.steps(64) * (1 * 1.1 * 1.2) ** (1 / 3), rel=0.03)
    assert {wish.lr for wish in law.wishes if wish.batch_size == 64 and wish.seed} == {row.lr}


def test_a_rate_at_which_the_first_seed_alone_had_luck_is_halved() -> None:
    @dataclass
    class Brink(Law):
        """Above the best rate the first seed needs little, and the others four times as much."""

        def one(self, wish: Wish) -> Trial:
            trial = Law.one(self, wish)
            if wish.lr <= self.rate(wish.batch_size) * 1.1 or trial.steps is None:
                return trial
            return dataclasses.replace(trial, steps=trial.steps * (0.6 if wish.seed == 0 else 4.0))

    law = Brink()
    row = search(law, seeds=(0, 1, 2), rate=2 * law.rate(64)).rows[64]
    assert row.lr == pytest.approx(law.rate(64), rel=0.1)
    assert [trial.seed for trial in row.trials] == [0, 1, 2]
    assert row.steps == pytest.approx(law.steps(64) * (1 * 1.1 * 1.2) ** (1 / 3), rel=0.03)

    # a rate that was given is kept, whatever the seeds do
    given = search(law, seeds=(0, 1, 2), rate=2 * law.rate(64), is_rate_given=True).rows[64]
    assert given.lr == pytest.approx(2 * law.rate(64), rel=1e-5)


def test_half_of_a_rate_is_kept_only_where_it_is_better() -> None:
    @dataclass
    class Uneven(Law):
        """The other seeds need twice as much, at every rate."""

        def one(self, wish: Wish) -> Trial:
            trial = Law.one(self, wish)
            if trial.steps is None or wish.seed == 0:
                return trial
            return dataclasses.replace(trial, steps=2 * trial.steps)

    law = Uneven()
    row = search(law, seeds=(0, 1, 2)).rows[64]
    assert row.lr == pytest.approx(law.rate(64), rel=0.35)
    assert {wish.lr for wish in law.wishes if wish.batch_size == 64 and wish.seed} == {row.lr, row.lr / 2}


def test_a_given_rate_is_the_only_one() -> None:
    law = Law()
    search(law, is_rate_given=True, rate=0.3)
    assert {wish.lr for wish in law.wishes} == {0.3}


def test_divergence_leads_to_smaller_rates() -> None:
    found = search(Law(diverges=1.5), rate=100.0)
    assert found.rows[64].lr == pytest.approx(Law().rate(64), rel=0.5)


def test_a_climb_finds_rates_that_are_far_away() -> None:
    assert search(Law(), rate=0.003).rows[64].lr == pytest.approx(Law().rate(64), rel=0.35)


def test_what_is_never_reached_says_how_near_it_came() -> None:
    found = search(Law(reaches=False), sizes=(16, 64, 256))
    assert found.rows[64].lr is None
    assert found.rows[64].steps is None
    assert found.rows[64].trials[0].nearest == pytest.approx(0.9699, abs=0.0005)


def test_what_the_budget_refuses_is_left_out_with_all_beyond() -> None:
    law = Law()
    one = Search(question(), law, may_try=lambda size, neighbour: 4 <= size <= 256)
    list(one.run())
    assert sorted(one.rows) == [4, 16, 64, 256]
    assert {left.batch_size for left in one.left} == {1, 1024, 4096, 16384, 50000}
    assert {left.why for left in one.left} == {"budget"}


def test_the_same_law_is_searched_the_same_way() -> None:
    one, other = Law(), Law()
    search(one, seeds=(0, 1))
    search(other, seeds=(0, 1))
    assert one.wishes == other.wishes
