"""The answer to "which batch size?" in sentences of both languages, for the terminal and the page."""

from __future__ import annotations

from collections.abc import Iterator

from epochal.formats import count
from epochal.study.batch_size.answer import AS_FAST, Answer
from epochal.study.batch_size.curve import Curve
from epochal.study.batch_size.law import BLUNTEST, SHARPEST
from epochal.study.batch_size.trials import SizeRow
from epochal.words.catalogue import Words, duration, say

_SHORT = 0.1  # seconds
_LEFT_OUT = {"flat": "sizes.left_flat", "scaling": "sizes.left_scaling", "budget": "sizes.left_budget"}
_GROWING = {"linear": "sizes.linear", "root": "sizes.root"}
_GROWING_TO_THE_END = {"linear": "sizes.linear_all", "root": "sizes.root_all"}


def answer_sentences(answer: Answer) -> list[Words]:
    """Return the answer: which sizes, what larger ones bring, and at which learning rate."""
    first, *beside = _which(answer)
    if answer.study.is_predicted:  # the rates are the prediction's own rule, and nothing was found of them
        return [first, say("sizes.predicted"), *beside, *_larger(answer), *_samples(answer)]
    return [first, *beside, *_larger(answer), *_samples(answer), *_rates(answer)]


def caveats(answer: Answer) -> list[Words]:
    """Return how sure the answer is, and what it does not tell."""
    study = answer.study
    said = []
    if (unsteady := answer.unsteady) is not None:
        said.append(say("sizes.unsteady", size=count(unsteady[0].batch_size), larger=count(unsteady[1].batch_size)))
    if answer.is_near_the_best and study.reach is not None:
        said.append(say("sizes.near_best", target=target(answer), best=measured(answer, study.reach)))
    if study.judge == "test":
        said.append(say("sizes.judged_by_test"))
    if study.branched_from is not None:
        run, iteration = study.branched_from
        said.append(say("sizes.branched", run=run, iteration=count(iteration)))
    if answer.curve is not None and not study.is_predicted:
        said.append(_fit(answer, answer.curve))
    said.extend(_left_out(answer))
    return [*said, say("sizes.limits")]


def subject(answer: Answer) -> Words:
    """Return what was trained, and where."""
    study = answer.study
    cores = say("sizes.cores_one") if study.cores == 1 else say("sizes.cores", count=study.cores)
    return say("sizes.subject", model=study.model, data=study.data, optimizer=study.optimizer, cores=cores)


def target(answer: Answer) -> Words:
    """Return the target in words."""
    return measured(answer, answer.study.target.value)


def measured(answer: Answer, value: float) -> Words:
    """Return a value of the target's metric in words."""
    if answer.study.target.metric == "accuracy":
        return say("sizes.accuracy", value=f"{100 * value:.4g}\N{NO-BREAK SPACE}%")
    return say("sizes.loss", value=f"{value:.3g}")


def brief(seconds: float) -> Words:
    """Write a time; a short one in milliseconds.

    >>> brief(0.0042).texts["en"], brief(0.37).texts["en"]
    ('4.2 ms', '0.37 s')
    """
    if seconds >= _SHORT:
        return duration(seconds)
    return say("sizes.milliseconds", milliseconds=f"{1000 * seconds:.2g}")


def about(number: float) -> str:
    """Write a number that is known roughly: two digits of it.

    >>> about(136.2), about(8.4), about(17_104.0)
    ('140', '8.4', '17,000')
    """
    rough = float(f"{number:.2g}")
    return f"{rough:,.0f}" if rough >= 10 else f"{rough:g}"


# --- which sizes ----------------------------------------------------------------------------------------------------


def _which(answer: Answer) -> Iterator[Words]:
    best, between, fastest = answer.best, answer.range, answer.study.fastest
    named: dict[str, Words | str] = {"subject": subject(answer), "target": target(answer)}
    if best is None or between is None or fastest is None:
        yield _none(answer, named)
        return
    named["best"] = count(best)
    if fastest.seconds is None:
        yield say("sizes.fewest", steps=count(round(fastest.steps or 0)), **named)
        return

    named |= {"seconds": brief(fastest.seconds), "times": f"{AS_FAST:g}"}
    low, high = between
    if low != high:
        yield say("sizes.range", low=count(low), high=count(high), **named)
    else:
        yield say("sizes.one" if sum(row.seconds is not None for row in answer.rows) > 1 else "sizes.only", **named)
    yield from _beside(answer, low, high)


def _none(answer: Answer, named: dict[str, Words | str]) -> Words:
    """Say how near the trials came to a target that none of them reached."""
    goal = answer.study.target
    tried = [trial for row in answer.rows for trial in row.trials]
    nearest = min(tried, key=lambda trial: goal.distance(trial.nearest), default=None)
    if nearest is None:
        return say("sizes.none", size="–", nearest="–", **named)
    return say("sizes.none", size=count(nearest.batch_size), nearest=measured(answer, nearest.nearest), **named)


def _beside(answer: Answer, low: int, high: int) -> Iterator[Words]:
    """Say how much longer the sizes on either side of the range take."""
    timed = [row for row in answer.rows if row.seconds is not None]
    below = max((row for row in timed if row.batch_size < low), key=_size, default=None)
    above = min((row for row in timed if row.batch_size > high), key=_size, default=None)
    if below is not None and above is not None:
        yield say(
            "sizes.beside_two",
            low=count(below.batch_size), low_times=_times(answer, below),
            high=count(above.batch_size), high_times=_times(answer, above),
        )  # fmt: skip
    elif (only := below or above) is not None:
        yield say("sizes.beside", size=count(only.batch_size), times=_times(answer, only))


def _size(row: SizeRow) -> int:
    return row.batch_size


def _times(answer: Answer, row: SizeRow) -> str:
    return f"{answer.slower(row) or 1:.2g}"


# --- what larger batches bring --------------------------------------------------------------------------------------


def _larger(answer: Answer) -> Iterator[Words]:
    curve, scaling, flat = answer.curve, answer.marked("scaling"), answer.marked("flat")
    if curve is None:
        yield say("sizes.few", size=count(scaling[-1])) if len(scaling) > 1 else say("sizes.no_scaling")
    elif curve.has_knee:
        yield say("sizes.knee", critical=about(curve.critical), **interval(answer))
    elif curve.critical >= curve.largest:
        yield say("sizes.above", largest=count(curve.largest))
    else:
        yield say("sizes.below", smallest=count(curve.smallest))
    if flat and flat[-1] == answer.rows[-1].batch_size:
        yield say("sizes.flat", size=count(_first_of_last(answer, flat)))


def _first_of_last(answer: Answer, flat: tuple[int, ...]) -> int:
    """Return the first of the flat sizes that only flat ones follow."""
    first = flat[-1]
    for row in reversed(answer.rows):
        if row.batch_size not in flat:
            break
        first = row.batch_size
    return first


def interval(answer: Answer) -> dict[str, Words | str]:
    """Return the ends of the critical size's interval; one outside the measured sizes is only a bound."""
    curve = answer.curve
    if curve is None:
        return {}
    low: Words | str = about(curve.critical_low)
    high: Words | str = about(curve.critical_high)
    if curve.critical_low < curve.smallest:
        low = say("sizes.less_than", size=count(curve.smallest))
    if curve.critical_high > curve.largest:
        high = say("sizes.more_than", size=count(curve.largest))
    return {"low": low, "high": high}


def _samples(answer: Answer) -> Iterator[Words]:
    scaling = answer.marked("scaling")
    if len(scaling) > 1:
        yield say("sizes.samples", low=count(scaling[0]), high=count(scaling[-1]))
    elif scaling and len(answer.rows) > 1:
        yield say("sizes.samples_one", low=count(scaling[0]))


# --- the learning rate ----------------------------------------------------------------------------------------------


def _rates(answer: Answer) -> Iterator[Words]:
    rule = answer.rates
    tried = sorted({row.trials[0].lr for row in answer.rows if row.trials})
    if answer.study.branched_from is not None and len(tried) > 1:
        yield say("sizes.branch_rates", low=f"{tried[0]:g}", high=f"{tried[-1]:g}")
    elif answer.is_rate_given:
        yield say("sizes.given_rate", rate=f"{tried[0]:g}")
    elif rule is not None and rule.growth == "none":
        yield say("sizes.same_rate", rate=f"{rule.factor:.2g}")
    elif rule is not None:
        key = (_GROWING_TO_THE_END if rule.is_to_the_end else _GROWING)[rule.growth]
        yield say(key, factor=f"{rule.factor:.2g}", until=count(rule.until), then=f"{rule.then:.2g}")


# --- how sure -------------------------------------------------------------------------------------------------------


def _fit(answer: Answer, curve: Curve) -> Words:
    return say(
        "sizes.fit",
        count=sum(row.steps is not None for row in answer.rows),
        s_min=about(curve.s_min), e_min=about(curve.e_min),
        alpha=f"α {_exponent(curve.alpha, '= ')}", low=_exponent(curve.alpha_low), high=_exponent(curve.alpha_high),
        size=count(curve.residual_at), away=f"{100 * curve.residual:.0f}\N{NO-BREAK SPACE}%",
    )  # fmt: skip


def _exponent(alpha: float, sign: str = "") -> str:
    """Write a knee's exponent behind a sign; one at the end of those that are looked for is a bound."""
    if alpha > 0.99 * SHARPEST:
        return f"≥ {SHARPEST:g}"
    return f"≤ {BLUNTEST:g}" if alpha < 1.01 * BLUNTEST else f"{sign}{alpha:.2g}"


def _left_out(answer: Answer) -> Iterator[Words]:
    """Say which sizes were not tried, and why."""
    for why, key in _LEFT_OUT.items():
        sizes = [count(one.batch_size) for one in answer.study.left_out if one.why == why]
        if sizes:
            yield say(key, sizes=Words({"en": ", ".join(sizes), "zh": "、".join(sizes)}))
