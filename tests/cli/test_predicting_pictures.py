"""Pictures on the command line: a folder of classes, a photographed digit, and what the model saw."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from epochal.cli import main
from epochal.cli.picture_blocks import draw, in_colours, in_shades, shrink

image_module = pytest.importorskip("PIL.Image")


def save(path: Path, array: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image_module.fromarray(array).save(path)
    return path


@pytest.fixture
def pets(workplace: Path) -> Path:
    """Red cats and blue dogs, and a file that is broken."""
    rng = np.random.default_rng(0)
    for name, colour in (("猫", (200, 60, 60)), ("dog", (60, 60, 200))):
        for number in range(20):
            noise = rng.normal(0, 20, (20 + number, 24, 3))
            save(workplace / "pets" / name / f"{number}.png", np.clip(colour + noise, 0, 255).astype(np.uint8))
    (workplace / "pets" / "dog" / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    return workplace / "pets"


def run(capsys: pytest.CaptureFixture[str], *words: str | Path) -> str:
    assert main([str(word) for word in words]) == 0
    return capsys.readouterr().out


def test_a_folder_of_pictures_from_training_to_prediction(pets: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = run(capsys, "train", pets, "--image-size", "16", "--run", "run")
    assert "16×16, red, green and blue" in said
    assert "2 classes: dog, 猫" in said
    assert "1 picture could not be read: dog/broken.jpg" in said

    kept = [save(Path("new") / f"{name}.png", np.full((30, 30, 3), colour, np.uint8)) for name, colour in
            (("red", (210, 50, 50)), ("blue", (50, 50, 210)))]  # fmt: skip
    pets.rename("gone")
    said = run(capsys, "predict", "run", *kept)
    assert [line.split("\t")[2] for line in said.splitlines()] == ["猫", "dog"]
    assert len(run(capsys, "predict", "run", "new").splitlines()) == 2

    (Path("gone") / "dog" / "broken.jpg").unlink()
    result = json.loads(run(capsys, "evaluate", "run", "--data", "gone", "--json"))
    assert (result["samples"], result["accuracy"]) == (8, 1.0)  # the run's own, moved: its test split
    save(Path("gone") / "dog" / "another.png", np.full((30, 30, 3), (50, 50, 210), np.uint8))
    result = json.loads(run(capsys, "evaluate", "run", "--data", "gone", "--json"))
    assert (result["samples"], result["accuracy"]) == (41, 1.0)


def test_a_photographed_digit(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """For a model of scikit-learn's digits, a one in ink on paper is a one; the picture that the model saw is kept."""
    run(capsys, "train", "digits", "--epochs", "30", "--run", "run")
    photo = np.full((240, 200), 210, np.uint8)
    photo[50:190, 92:112] = 40
    save(workplace / "one.png", photo)
    said = run(capsys, "predict", "run", "one.png", "--save-input", "saw.png")
    assert "made like the digits of the training" in said
    assert said.splitlines()[-1].split("\t")[2] == "1"
    saw = np.asarray(image_module.open("saw.png"))
    assert saw.shape == (8, 8)
    assert saw.max() == 255

    assert main(["predict", "run", "one.png", "--save-input", "nowhere/saw.png"]) == 2
    assert "cannot write nowhere" in capsys.readouterr().err

    save(workplace / "blank.png", np.full((240, 200), 210, np.uint8))
    assert main(["predict", "run", "blank.png"]) == 2
    assert "blank.png: no digit stands out" in capsys.readouterr().err


def test_predictions_go_into_a_table(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = "".join(f"{i % 9},{('=1', 'a')[i % 2]}\n" for i in range(40))
    (workplace / "t.csv").write_text("a,y\n" + lines)
    run(capsys, "train", "t.csv", "--epochs", "2", "--run", "run")
    said = run(capsys, "predict", "run", "t.csv", "--out", "predicted.csv")
    assert "predictions: predicted.csv (40 samples)" in said
    rows = (workplace / "predicted.csv").read_text().splitlines()
    assert rows[0] == "file,sample,prediction,probability,p(=1),p(a)"
    assert len(rows) == 41
    assert all(row.split(",")[2] in ("'=1", "a") for row in rows[1:]), "a spreadsheet takes no text for a formula"
    assert main(["predict", "run", "t.csv", "--out", "predicted.txt"]) == 2


# --- drawing ---------------------------------------------------------------------------------------------------


def test_two_pixels_are_a_character() -> None:
    grey = np.array([[255, 0], [255, 0], [0, 255]], np.uint8)
    assert in_shades(grey) == ["█ ", " ▒"]
    (first, second) = in_colours(grey)
    assert first.plain == second.plain == "▀▀"
    assert "rgb(255,255,255) on rgb(255,255,255)" in str(first.spans[0].style)
    assert "on rgb(0,0,0)" in str(second.spans[1].style)


@pytest.mark.parametrize("shape", [(1, 1), (28, 28), (300, 200, 3), (65, 64)])
def test_it_fits_a_terminal(shape: tuple[int, ...]) -> None:
    assert max(shrink(np.zeros(shape, np.uint8)).shape[:2]) <= 64


def test_without_colours_it_is_shades() -> None:
    picture = np.full((4, 4), 255, np.uint8)
    plain, coloured = io.StringIO(), io.StringIO()
    draw(picture, Console(file=plain))
    draw(picture, Console(file=coloured, force_terminal=True, color_system="truecolor"))
    assert "\x1b" not in plain.getvalue()
    assert "█" in plain.getvalue()
    assert "\x1b[38;2;255;255;255;48;2;255;255;255m▀" in coloured.getvalue()
