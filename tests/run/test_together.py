"""What `as_one` does where a process is gone before all of them know each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

import jax
import pytest

from epochal.engine.cluster import Cluster, Failure, Peer
from epochal.engine.joining import GONE
from epochal.run import together

LOST = ["UNAVAILABLE: recvmsg:Connection reset by peer", "UNKNOWN: Socket closed", "ABORTED: the leader has gone"]


class Left(BaseException):
    """The end of this process, with its status."""


@dataclass(frozen=True, slots=True)
class Bereft(Cluster):
    """The second of two processes, of which the first is killed while they look for each other."""

    processes: int = 2
    rank: int = 1
    said: str = LOST[0]

    def peers(self) -> tuple[Peer, ...]:
        raise jax.errors.JaxRuntimeError(self.said)

    def failure(self) -> Failure | None:
        return None


@pytest.mark.parametrize("said", LOST)
def test_a_process_gone_before_all_know_each_other_ends_the_others(
    said: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def leave(status: int) -> NoReturn:
        raise Left(status)

    monkeypatch.setattr(together, "join", lambda: Bereft(said=said))
    monkeypatch.setattr(together, "_leave", leave)

    with pytest.raises(Left) as end, together.as_one():
        pass

    assert end.value.args == (GONE,)
    assert capfd.readouterr().err == (
        "epochal: another process of the training is gone; resume goes on from the last checkpoint\n"
    )
