"""What the page's script needs to show an epoch as its batches: positions, the order's seed, samples with labels."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Shaped

from epochal.report.page_model import Notice, Page, PageRun, TrainingSamples
from epochal.report.png import png_address
from epochal.report.series import encode
from epochal.report.timeline import Timeline
from epochal.report.training_samples import atlas
from epochal.report.views import notice_words


def pack_strip(run: PageRun) -> dict[str, Any]:
    """Return a run's plans by iteration, and what decides the order of its samples; the 64-bit seed is text."""
    file, timeline = run.record.file, Timeline.of(run.record)

    return {
        "samples": timeline.samples,
        "seed": str(file.config.seed),
        "order": file.config.order,
        "data": file.data.fingerprint,
        # each change of options begins one, and each batch size of a schedule
        "stretches": [
            {
                "iteration": stretch.start.iteration,
                "epoch": stretch.start.epoch,
                "offset": stretch.start.offset,
                "end": stretch.end,
                "batch": stretch.batches.size,
                "drop": stretch.batches.last == "drop",
                "micro": file.config_at(stretch.start.iteration).micro_batch,
            }
            for stretch in timeline.stretches
        ],
    }


def pack_samples(page: Page) -> dict[str, Any]:
    """Return the training sets of a page by their fingerprints."""
    return {name: _pack(one) for name, one in page.samples.items()}


def _pack(samples: TrainingSamples | Notice) -> dict[str, Any]:
    if isinstance(samples, Notice):
        return {"reason": dict(notice_words(samples).texts)}

    packed: dict[str, Any] = {"number": samples.number, "names": list(samples.class_names)}
    if samples.labels is not None:
        packed["labels"] = {
            "of": _numbers(samples.labelled, "<u4"),
            "classes" if samples.labels.dtype == np.uint16 else "values": _numbers(
                samples.labels, "<u2" if samples.labels.dtype == np.uint16 else "<f4"
            ),
        }

    if samples.images is not None:
        number, height, width = samples.images.shape[:3]
        packed["images"] = {
            "of": _numbers(samples.indices, "<u4"),
            "number": number,
            "width": width,
            "height": height,
            "atlas": png_address(atlas(samples.images)),
        }
    return packed


def _numbers(values: Shaped[np.ndarray, " n"] | None, kind: str) -> str | None:
    """Return numbers, little-endian, as base64."""
    return None if values is None else encode(values, kind)
