"""Two network namespaces stand for two hosts: same bits, a cut cable, and a host whose name leads to itself."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from children import ChildServer
from outcome import Outcome

from epochal import Run

HEARTBEAT = 10.0
TRAIN = "--model mlp --hidden 16 --batch-size 128 --shards 2 --evaluate-every 50 --checkpoint-every 0"
NAMES = ("epochal-test-a", "epochal-test-b")
ADDRESSES = ("10.77.13.1", "10.77.13.2")
LINKS = ("eptest-a", "eptest-b")
pytestmark = pytest.mark.slow


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


def say_hosts(host: int, address: str) -> None:
    """Let a host's own name stand for an address there."""
    folder = Path("/etc/netns") / NAMES[host]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "hosts").write_text(f"127.0.0.1 localhost\n{address} {os.uname().nodename}\n")


@pytest.fixture
def hosts() -> Iterator[None]:
    """Two hosts and a cable."""
    try:
        for name in NAMES:
            ip("netns", "add", name)
        ip("link", "add", LINKS[0], "type", "veth", "peer", "name", LINKS[1])
        for name, link, address in zip(NAMES, LINKS, ADDRESSES, strict=True):
            ip("link", "set", link, "netns", name)
            ip("-n", name, "addr", "add", f"{address}/24", "dev", link)
            ip("-n", name, "link", "set", "lo", "up")
            ip("-n", name, "link", "set", link, "up")
        for host, address in enumerate(ADDRESSES):
            say_hosts(host, address)
    except (OSError, subprocess.CalledProcessError) as error:
        forget_hosts()
        pytest.skip(f"needs network namespaces, as root: {error}")
    yield
    forget_hosts()


def forget_hosts() -> None:
    for name in NAMES:
        subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)
        hosts = Path("/etc/netns") / name / "hosts"
        hosts.unlink(missing_ok=True)
        if hosts.parent.is_dir():
            hosts.parent.rmdir()


def start(host: int, *words: object, **settings: str) -> subprocess.Popen[str]:
    launched = {
        "JAX_COORDINATOR_ADDRESS": f"{ADDRESSES[0]}:4321",
        "JAX_NUM_PROCESSES": "2",
        "JAX_PROCESS_ID": str(host),
        "JAX_NUM_CPU_DEVICES": "1",
        "EPOCHAL_HEARTBEAT": f"{HEARTBEAT:.0f}",
        **settings,
    }
    command = ["ip", "netns", "exec", NAMES[host], sys.executable, "-m", "epochal", *map(str, words)]
    return subprocess.Popen(
        command, env={**os.environ, **launched}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


@pytest.mark.usefixtures("hosts")
def test_two_hosts_have_the_bits_of_one(children: ChildServer, images: Path, tmp_path: Path) -> None:
    command = ["train", images, *TRAIN.split(), "--epochs", 20, "--run"]
    assert children.run(*command, tmp_path / "whole")[0] == 0
    processes = [start(host, *command, tmp_path / "run") for host in (1, 0)]
    texts = [process.communicate(timeout=120)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], texts
    assert Outcome.of(tmp_path / "run").differences(Outcome.of(tmp_path / "whole")) == []


@pytest.mark.usefixtures("hosts")
def test_a_cut_cable_ends_both_within_the_heartbeat(images: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    processes = [start(host, "train", images, *TRAIN.split(), "--epochs", 10**6, "--run", run) for host in (1, 0)]
    deadline = time.monotonic() + 120
    while len(list((run / "checkpoints").glob("*.safetensors"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)

    ip("-n", NAMES[0], "link", "set", LINKS[0], "down")
    cut = time.monotonic()
    texts = [process.communicate(timeout=120)[0] for process in processes]
    assert time.monotonic() - cut < HEARTBEAT + 5
    assert [process.returncode for process in processes] == [75, 75], texts
    assert all("resume goes on from the last checkpoint" in text for text in texts)
    assert Run.open(run).position.iteration > 0


@pytest.mark.usefixtures("hosts")
def test_a_host_whose_name_leads_to_itself_is_told_so(images: Path, tmp_path: Path) -> None:
    say_hosts(1, "127.0.1.1")
    process = start(1, "train", images, *TRAIN.split(), "--run", tmp_path / "run", EPOCHAL_JOIN_TIMEOUT="5")
    text = process.communicate(timeout=120)[0]
    assert process.returncode == 2
    assert text.count("\n") == 1
    assert "stands for 127.0.1.1, where other hosts find only themselves" in text
