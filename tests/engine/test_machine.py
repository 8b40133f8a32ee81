"""The machine that programs are compiled for: programs of one with more instructions are never executed on another."""

from __future__ import annotations

import re
from pathlib import Path

import jax
import pytest
from jax.experimental import serialize_executable

from epochal.engine import machine
from epochal.engine.kept_programs import KeptPrograms

CORE = """processor	: 0
vendor_id	: AuthenticAMD
cpu family	: 26
model		: 2
model name	: AMD EPYC
stepping	: 1
microcode	: 0x1000065
cpu MHz		: 2596.124
cache size	: 1024 KB
apicid		: 0
flags		: fpu sse4_2 avx2 avx512f
bogomips	: 5192.24

"""


def said_of(cpuinfo: str) -> list[str]:
    return list(machine.processor_lines(cpuinfo.splitlines(keepends=True)))


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        (" avx512f", ""),
        ("AMD EPYC", "AMD EPYC 9"),
        ("model\t\t: 2", "model\t\t: 17"),
        ("26", "25"),
        ("AMD\n", "Intel\n"),
    ],
)
def test_instructions_and_models_tell_processors_apart(was: str, becomes: str) -> None:
    """Virtual machines have one name for processors of several kinds."""
    other = CORE.replace(was, becomes)
    assert other != CORE
    assert said_of(other) != said_of(CORE)


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        ("2596.124", "3300.000"),
        ("processor\t: 0", "processor\t: 7"),
        ("5192.24", "1.0"),
        ("apicid\t\t: 0", "apicid\t\t: 3"),
    ],
)
def test_what_changes_from_moment_to_moment_does_not(was: str, becomes: str) -> None:
    other = CORE.replace(was, becomes)
    assert other != CORE
    assert said_of(other) == said_of(CORE)
    assert said_of(CORE + other) == said_of(CORE), "the first core is enough"


def test_processors_of_other_makers_are_told_apart() -> None:
    arm = "processor\t: 0\nBogoMIPS\t: 243.75\nFeatures\t: fp asimd sve\nCPU implementer\t: 0x41\nCPU part\t: 0xd40\n\n"
    power = "processor\t: 0\ncpu\t\t: POWER9, altivec supported\nclock\t\t: 2900.000000MHz\n\n"
    risc = "processor\t: 0\nhart\t\t: 2\nisa\t\t: rv64imafdcv\nuarch\t\t: sifive,u74-mc\n\n"
    assert [len(said_of(one)) for one in (arm, power, risc)] == [3, 1, 2]


def test_numpy_is_asked_for_instructions_too() -> None:
    """On a system without /proc, and under an emulator that shows the host's."""
    assert {"SSE2", "NEON", "VX", "VSX"} & set(machine._features())


def test_a_program_for_other_cores_is_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its loops are cut for so many, and would leave the others idle."""
    kept, cores = KeptPrograms(tmp_path), machine.available_cores()
    kept.put("key", b"for all of them")
    with monkeypatch.context() as fewer:
        fewer.setattr(machine, "available_cores", lambda: cores + 1)
        assert kept.get("key") is None
    assert kept.get("key") == b"for all of them"


def test_every_instruction_of_a_compiled_program_is_among_what_is_said() -> None:
    """XLA writes into a program what it may use: each is known of this machine, so that one without it is another."""
    program = serialize_executable.serialize(jax.jit(lambda x: x * 2).lower(1.0).compile())[0]
    found = re.search(rb"(?:[+-][a-z0-9.-]+,){20,}", program)
    if found is None:
        pytest.skip("this compiler writes no list of instructions")

    used = {one[1:] for one in found.group().decode().split(",") if one.startswith("+")}
    said = re.sub(r"[^a-z0-9]", "", machine.machine().lower())
    unknown = {one for one in used if one.startswith(("avx", "sse", "amx", "fma")) and one.replace(".", "") not in said}
    assert {"sse2"} <= used
    assert unknown == set()
