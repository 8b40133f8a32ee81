from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from epochal import Run, TrainConfig
from epochal.errors import RunError
from epochal.record.folder import RunFolder, create_run_folder, no_run_folder
from epochal.record.run_toml import (
    Change,
    DataFacts,
    DeviceFacts,
    ModelFacts,
    RunFile,
    present_versions,
    read_run_toml,
    write_run_toml,
)

FILE = RunFile(
    TrainConfig(lr=0.1, hidden=(3, 4), budget="5ep", batch_size=10),
    DataFacts("d", "ab", train=50, test=5, sample_shape=[3], task="regression", outputs=1),
    ModelFacts("mlp", 31, {"hidden": [3, 4]}),
    present_versions(),
    DeviceFacts("cpu", "cpu", 1),
    ("loss",),
    (Change(20, {"lr": 0.01}), Change(30, {"batch_size": 5})),
)


def test_run_toml_gives_back_what_was_written(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    write_run_toml(folder.run_toml, FILE)
    assert read_run_toml(folder.run_toml) == FILE
    assert tomllib.loads(folder.run_toml.read_text())["config"]["lr"] == 0.1


def test_the_configuration_of_each_iteration() -> None:
    assert [FILE.config_at(i).lr for i in (0, 19, 20, 40)] == [0.1, 0.1, 0.01, 0.01]
    assert [FILE.config_at(i).batch_size for i in (29, 30)] == [10, 5]
    assert FILE.present_config == FILE.config_at(30)
    assert [FILE.next_change(i) for i in (0, 20, 30)] == [20, 30, None]


def test_a_checkpoint_belongs_to_the_changes_before_it() -> None:
    for iteration in (0, 20, 21, 31):
        FILE.check_origin(FILE.origin(iteration), FILE.position_after(iteration))
    before = dataclasses.replace(FILE, changes=FILE.changes[:1])
    FILE.check_origin(before.origin(30), FILE.position_after(30))
    with pytest.raises(RunError, match=r"iteration 31 was made with changes = .* but run.toml says .*batch_size"):
        FILE.check_origin(before.origin(31), FILE.position_after(31))


@pytest.mark.parametrize(
    ("other", "named"),
    [
        (dataclasses.replace(FILE, config=dataclasses.replace(FILE.config, seed=7)), "seed = 7"),
        (dataclasses.replace(FILE, config=dataclasses.replace(FILE.config, lr=0.3)), "lr = 0.3"),
        (dataclasses.replace(FILE, config=dataclasses.replace(FILE.config, budget="6ep")), 'budget = "6ep"'),
        (dataclasses.replace(FILE, data=dataclasses.replace(FILE.data, fingerprint="cd")), 'data fingerprint = "cd"'),
        (dataclasses.replace(FILE, model=dataclasses.replace(FILE.model, parameters=32)), "model parameters = 32"),
        (dataclasses.replace(FILE, custom=()), r"custom = \[\]"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(other: RunFile, named: str) -> None:
    with pytest.raises(RunError, match=rf"was made with {named}, but run.toml says"):
        FILE.check_origin(other.origin(5), FILE.position_after(5))


def test_versions_device_and_the_place_of_the_data_may_differ() -> None:
    config = dataclasses.replace(FILE.config, data="moved/data.csv")
    data = dataclasses.replace(FILE.data, name="renamed")
    elsewhere = dataclasses.replace(FILE, config=config, data=data, versions={}, device=DeviceFacts("gpu", "H100", 8))
    FILE.check_origin(elsewhere.origin(5), FILE.position_after(5))


def renamed(name: str) -> Callable[[str], str]:
    return lambda text: text.replace(f"{name} = ", f"{name}x = ")


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda text: text[:50], "damaged"),
        (lambda text: text.replace("[config]", "[config"), "damaged"),
        (renamed("fingerprint"), r"damaged: .*data has no fingerprint"),
        (renamed("parameters"), r"damaged: .*model has no parameters"),
        (renamed("lr"), "damaged: unknown option 'lrx'"),
        (lambda text: text.replace("format = 3", "format = 4"), "has format 4; this Epochal reads up to 3"),
        (
            lambda text: text.replace("train = 50", 'train = "50"'),
            "damaged: data.train is '50', not a whole number of at least 0",
        ),
        (lambda text: text + "\0", "damaged"),
    ],
)
def test_a_damaged_run_toml_is_refused_in_a_line(tmp_path: Path, damage: Callable[[str], str], why: str) -> None:
    folder = RunFolder(tmp_path)
    write_run_toml(folder.run_toml, FILE)
    folder.run_toml.write_text(damage(folder.run_toml.read_text()))
    with pytest.raises(RunError, match=f"run.toml.* {why}" if "format" in why else why) as caught:
        read_run_toml(folder.run_toml)
    assert "\n" not in str(caught.value)


def test_a_folder_that_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"is no run folder: it has no run\.toml"):
        Run.open(tmp_path)
    with pytest.raises(RunError, match="there is no run folder"):
        Run.open(tmp_path / "none")


def test_a_new_folder_is_numbered(tmp_path: Path) -> None:
    made = [create_run_folder(None, "my data! mlp", tmp_path / "runs").path.name for _ in range(3)]
    assert made == ["my-data-mlp-1", "my-data-mlp-2", "my-data-mlp-3"]


@pytest.mark.parametrize(
    ("stem", "name"),
    [
        ("我的数据-mlp", "我的数据-mlp-1"),
        ("मेरा डेटा", "मेरा-डेटा-1"),
        ('a<b>c:d"e/f\\g|h?i*j', "a-b-c-d-e-f-g-h-i-j-1"),
        ("bell\x07 and \u202eturn\x1b[31m", "bell-and-turn-31m-1"),
        ("🐱 cats", "🐱-cats-1"),
        ("…/..", "…-1"),
        ("???", "run-1"),
        ("名" * 300, "名" * 66 + "-1"),
    ],
)
def test_only_what_file_systems_or_shells_forbid_is_replaced(stem: str, name: str, tmp_path: Path) -> None:
    assert create_run_folder(None, stem, tmp_path).path == tmp_path / name


def test_a_folder_with_something_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(RunError, match="is not empty, and holds no run; choose another folder"):
        create_run_folder(tmp_path, "x")
    (tmp_path / "run.toml").touch()
    with pytest.raises(RunError, match="is not empty; choose another folder, or continue its run: epochal resume"):
        create_run_folder(tmp_path, "x")


def test_a_run_that_is_not_there_names_the_one_that_may_be_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("runs/digits-mlp-1", "my first run", "noise"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "run.toml").touch()
    (tmp_path / "noise" / "run.toml").unlink()

    assert no_run_folder(Path("digits-mlp-1")).endswith("did you mean runs/digits-mlp-1?")
    assert no_run_folder(Path("runs/digit-mlp-1")).endswith("did you mean runs/digits-mlp-1?")
    assert no_run_folder(Path("my first ran")).endswith("did you mean 'my first run'?")
    assert no_run_folder(Path("nois")).endswith("`epochal runs` lists the runs here")
    assert no_run_folder(Path("nowhere/x")).endswith("`epochal runs` lists the runs here")


def test_a_folder_whose_run_was_lost_before_it_began_is_as_good_as_empty(tmp_path: Path) -> None:
    for name in ("run.lock", "run.toml.1a2b3c4d.tmp"):
        (tmp_path / name).touch()
    assert create_run_folder(tmp_path, "x").path == tmp_path


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match=r"cannot make the run folder .*file"):
        create_run_folder(tmp_path / "file" / "run", "x")
