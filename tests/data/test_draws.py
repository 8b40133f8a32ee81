from __future__ import annotations

import numpy as np
import pytest

from epochal.data.draws import bits, permutation, signed_units


def test_the_stream_never_changes() -> None:
    assert [hex(word) for word in bits(3, 0, "golden")] == [
        "0x751fa3784fed0d8e",
        "0x145f231803c3d33f",
        "0xdf7352e99e790974",
    ]


def test_a_longer_draw_begins_with_the_shorter_one() -> None:
    np.testing.assert_array_equal(bits(1000, 7, "a")[:10], bits(10, 7, "a"))


@pytest.mark.parametrize("other", [(1, "split"), (0, "warps"), ("0", "split"), (0, "split", 0)])
def test_different_keys_give_unrelated_bits(other: tuple[int | str, ...]) -> None:
    same = np.bitwise_count(bits(4096, 0, "split") ^ bits(4096, *other)).mean()
    assert abs(same - 32) < 0.5  # 32 of 64 bits differ; the deviation of this mean is 4 / 64


def test_signed_units_fill_their_range_evenly() -> None:
    values = signed_units(100_000, "range")
    assert values.min() >= -1
    assert values.max() < 1
    counts = np.histogram(values, 20, (-1, 1))[0]
    assert np.abs(counts - 5000).max() < 5 * np.sqrt(5000)


def test_a_permutation_holds_each_number_once() -> None:
    assert sorted(permutation(1000, 3)) == list(range(1000))
    assert list(permutation(1000, 3)) != list(permutation(1000, 4))
