"""What is written beside a run's strips: how long it is, and what one of its epochs holds."""

from __future__ import annotations

from epochal.clock import Plan, Position
from epochal.record.run_record import RunRecord
from epochal.report.timeline import Timeline
from epochal.words.catalogue import Words, counted, duration, say


def strip_epoch(plan: Plan) -> Words:
    """Say what an epoch of a plan holds; the first one of a schedule, which may differ from later ones."""
    batches = plan.iterations_left_in_epoch(Position())
    samples = plan.samples_after(iterations=batches)
    dropped = plan.samples - samples
    key = "plan.strip_epoch_drop" if dropped else "plan.strip_epoch_one" if batches == 1 else "plan.strip_epoch"
    return say(
        key,
        samples=counted(samples, "sample"),
        batches=counted(batches, "batch"),
        dropped=counted(dropped, "sample"),
    )


def strip_run(run: RunRecord, timeline: Timeline) -> Words:
    """Say how long the run is, and how much of it is done where that is not all."""
    plan, end = run.plan, timeline.end
    if plan.is_open:
        length = say("plan.open", seconds=duration(plan.budget.amount / 1000))
    else:
        rest = timeline.iterations - timeline.first_iteration(end.epoch) if end.offset else 0
        length = say(
            "plan.strip_rest" if rest else "plan.strip_run",
            iterations=counted(timeline.iterations, "iteration"),
            epochs=counted(end.epoch, "full_epoch"),
            rest=counted(rest, "iteration"),
        )

    # and how much of it is done
    if timeline.done == timeline.iterations and not plan.is_open:
        return length
    iterations, epochs = counted(timeline.done, "iteration"), counted(run.recorded.epoch, "full_epoch")
    return say("plan.strip_done", length=length, iterations=iterations, epochs=epochs)
