"""What several processes compare, share and deal; of one process alone, which needs nobody."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys

import numpy as np
import pytest

from epochal.engine.cluster import ALONE, Cluster, Peer, differences, lost_peer, present_cluster
from epochal.engine.evaluation import Evaluation, dealt_rows, together


def test_one_process_agrees_with_itself() -> None:
    assert present_cluster() == ALONE
    assert ALONE.owns_folder
    assert ALONE.agree(1, 2**40) == [(1, 2**40)]
    assert ALONE.share(b"all") == b"all"
    assert ALONE.gather(b"mine") == [b"mine"]
    ALONE.check_same("anything", {"a": 1})
    assert ALONE.hosts() == {socket.gethostname(): 1}


def test_a_difference_is_named_with_its_process() -> None:
    facts = [json.dumps({"jax": "0.10.2", "lr": lr}) for lr in ("0.1", "0.1", "0.5")]
    assert differences(facts) == ["lr", "0.1", "0.5", 2]
    assert differences(facts[:2]) == []


def test_a_fact_that_one_process_lacks_is_a_difference() -> None:
    assert differences([json.dumps({"a": "1"}), json.dumps({})]) == ["a", "1", "nothing", 1]


def test_a_process_of_this_host_that_is_gone_is_named() -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    host = socket.gethostname()
    peers = (Peer(0, host, os.getpid()), Peer(1, host, gone.pid), Peer(2, "elsewhere", 1))
    assert lost_peer(peers, 0) == peers[1]
    assert lost_peer((peers[0], peers[2]), 0) is None


@pytest.mark.parametrize("samples", [0, 1, 999, 1000, 3999, 4000, 10_000, 10_001])
@pytest.mark.parametrize("processes", [1, 2, 3, 4, 8])
def test_slices_are_dealt_once_each_and_never_one_alone(samples: int, processes: int) -> None:
    dealt = [dealt_rows(samples, 1000, Cluster(processes, rank)) for rank in range(processes)]
    assert [row for rows in dealt for row in rows] == list(range(samples))
    assert all(rows.start % 1000 == 0 for rows in dealt if rows)
    if sum(map(bool, dealt)) > 1:
        assert min(len(rows) // 1000 for rows in dealt if rows) >= 2


def test_sums_of_slices_survive_their_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first process sees the sums of all, in their order and to the last bit."""
    parts = [(np.array(-0.0), np.array([number, 2**60])) for number in range(3)]
    others = b"".join(leaf.tobytes() for part in parts[2:] for leaf in part)
    monkeypatch.setattr(Cluster, "gather", lambda self, content: [content, others])
    monkeypatch.setattr(Cluster, "share", lambda self, content=b"": content)

    seen = []
    together(parts[:2], Cluster(2, 0), lambda found: seen.extend(found) or Evaluation(3, {"loss": 0.5}))
    assert [(part[0].tobytes(), part[1].tolist()) for part in seen] == [
        (part[0].tobytes(), part[1].tolist()) for part in parts
    ]
