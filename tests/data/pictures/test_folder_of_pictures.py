"""Real files of every kind, read one by one and as folders."""

from __future__ import annotations

import os
import struct
import sys
import threading
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from epochal.data import load_data
from epochal.data.pictures.class_folders import has_picture_classes, is_picture, read_picture, read_picture_folder
from epochal.data.pictures.file import MOST_PIXELS
from epochal.errors import DataError
from epochal.words.language import speaking
from epochal.words.phrases import translate

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def quarters(side: int = 32) -> Image.Image:
    """Red and green above blue and white: no turn and no mirror leaves it as it is."""
    image = Image.new("RGB", (side, side), RED)
    for colour, corner in ((GREEN, (side // 2, 0)), (BLUE, (0, side // 2)), (WHITE, (side // 2, side // 2))):
        image.paste(colour, (*corner, corner[0] + side // 2, corner[1] + side // 2))
    return image


def colours(array: np.ndarray) -> list[str]:
    """The nearest of the four colours in the middle of each quarter, row by row."""
    names = {"red": RED, "green": GREEN, "blue": BLUE, "white": WHITE}
    height, width = array.shape[:2]
    spots = [array[y, x].astype(int) for y in (height // 4, 3 * height // 4) for x in (width // 4, 3 * width // 4)]
    return [min(names, key=lambda name: np.abs(spot - names[name]).sum()) for spot in spots]


UPRIGHT = ["red", "green", "blue", "white"]


def saved(path: Path, image: Image.Image | None = None, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    (quarters() if image is None else image).save(path, **options)
    return path


def shade(path: Path, grey: int, side: int = 8) -> Path:
    return saved(path, Image.new("L", (side, side), grey))


def promising(width: int, height: int) -> bytes:
    """A PNG of some bytes that claims to be that large."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


# ---- one picture


@pytest.mark.parametrize("name", ["a.png", "a.PNG", "a.b.JpEg", "猫.webp", "a.tiff", "a.bmp", "a.gif"])
def test_names_of_pictures(name: str) -> None:
    assert is_picture(Path(name))


@pytest.mark.parametrize("name", ["a.txt", "png", "a.png.gz", ".png", "a.heic", "a.svg"])
def test_names_of_other_files(name: str) -> None:
    assert not is_picture(Path(name))


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "webp", "bmp", "tif", "TIFF"])
def test_every_kind_of_file(tmp_path: Path, suffix: str) -> None:
    path = saved(tmp_path / f"图片.{suffix}")
    picture = read_picture(path, grey=False)
    assert (picture.shape, picture.dtype) == ((32, 32, 3), np.uint8)
    assert colours(picture) == UPRIGHT
    assert read_picture(path, size=(16, 8), grey=False).shape == (16, 8, 3)
    assert read_picture(path, size=(16, 8), grey=True).shape == (16, 8)


def test_the_content_decides_and_not_the_suffix(tmp_path: Path) -> None:
    assert colours(read_picture(saved(tmp_path / "a.png").rename(tmp_path / "a.jpg"), grey=False)) == UPRIGHT


@pytest.mark.parametrize("kind", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_turned_upright(tmp_path: Path, kind: str, orientation: int) -> None:
    turn = {
        2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }  # fmt: skip
    upright = quarters().resize((48, 32))
    stored = upright if orientation == 1 else upright.transpose(turn[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(tmp_path / f"a.{kind}", stored, exif=exif)
    assert colours(read_picture(path, grey=False)) == UPRIGHT
    assert read_picture(path, grey=False).shape == (32, 48, 3)
    assert colours(read_picture(path, grey=False, size=(20, 20))) == UPRIGHT

    # without the tag the same pixels lie as they are stored
    plain = read_picture(saved(tmp_path / "plain.png", stored), grey=False)
    assert (colours(plain) == UPRIGHT) == (orientation == 1)


@pytest.mark.parametrize("orientation", [0, 9, 700])
def test_an_orientation_that_does_not_exist_turns_nothing(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert colours(read_picture(saved(tmp_path / "a.jpg", exif=exif), grey=False)) == UPRIGHT


def test_damaged_exif_data_do_not_matter(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.jpg", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\xfe" * 40)
    assert colours(read_picture(path, grey=False)) == UPRIGHT


def test_the_first_frame_of_an_animation(tmp_path: Path) -> None:
    other = Image.new("RGB", (32, 32), BLUE)
    for kind in ("gif", "webp", "png", "tif"):
        path = saved(tmp_path / f"a.{kind}", save_all=True, append_images=[other, other])
        assert colours(read_picture(path, grey=False)) == UPRIGHT


def test_transparent_pixels_are_white(tmp_path: Path) -> None:
    clear = quarters().convert("RGBA")
    clear.putalpha(0)
    half = Image.new("LA", (4, 4), (0, 128))
    palette = Image.new("P", (4, 4), 0)
    palette.putpalette([0, 0, 0, 9, 9, 9])
    grey = Image.new("L", (4, 4), 7)
    assert read_picture(saved(tmp_path / "clear.png", clear), grey=False).min() == 255
    assert read_picture(saved(tmp_path / "clear.webp", clear, lossless=True), grey=True).min() == 255
    assert np.unique(read_picture(saved(tmp_path / "half.png", half), grey=True)) == pytest.approx([127], abs=1)
    assert read_picture(saved(tmp_path / "palette.png", palette, transparency=0), grey=False).min() == 255
    assert read_picture(saved(tmp_path / "palette.gif", palette, transparency=0), grey=False).min() == 255
    assert read_picture(saved(tmp_path / "key.png", grey, transparency=7), grey=True).min() == 255
    assert read_picture(saved(tmp_path / "solid.png", palette), grey=False).max() == 0
    assert read_picture(saved(tmp_path / "other.png", grey, transparency=8), grey=True).max() == 7


def test_sixteen_bits_become_eight(tmp_path: Path) -> None:
    ramp = np.array([[0, 257, 32768, 65535]], np.uint16)
    for kind in ("png", "tif"):
        picture = read_picture(saved(tmp_path / f"ramp.{kind}", Image.fromarray(ramp)), grey=True)
        assert picture.tolist() == [[0, 1, 128, 255]]
    wide = saved(tmp_path / "wide.tif", Image.fromarray(ramp.astype(np.int32)))
    assert read_picture(wide, grey=True).tolist() == [[0, 1, 128, 255]]
    dark = saved(tmp_path / "dark.png", Image.fromarray(np.full((2, 2), 600, np.uint16)))
    assert read_picture(dark, grey=False).tolist() == [[[2, 2, 2]] * 2] * 2  # not stretched to white


def test_pixels_beyond_sixteen_bits_are_refused(tmp_path: Path) -> None:
    huge = saved(tmp_path / "huge.tif", Image.fromarray(np.array([[0, 70_000]], np.int32)))
    with pytest.raises(DataError, match=r"huge.tif: its pixels reach from 0 to 70,000, beyond 16 bits"):
        read_picture(huge, grey=True)
    real = saved(tmp_path / "real.tif", Image.fromarray(np.zeros((2, 2), np.float32)))
    with pytest.raises(DataError, match="floating-point numbers"):
        read_picture(real, grey=True)


@pytest.mark.parametrize(("mode", "kind"), [("CMYK", "jpg"), ("CMYK", "tif"), ("YCbCr", "tif"), ("P", "png")])
def test_other_colours(tmp_path: Path, mode: str, kind: str) -> None:
    path = saved(tmp_path / f"a.{kind}", quarters().convert(mode))
    assert colours(read_picture(path, grey=False)) == UPRIGHT
    assert read_picture(path, size=(8, 8), grey=True).shape == (8, 8)


def test_one_bit(tmp_path: Path) -> None:
    image = Image.new("1", (8, 4), 1)
    image.putpixel((0, 0), 0)
    for kind in ("png", "tif", "bmp", "gif"):
        picture = read_picture(saved(tmp_path / f"bit.{kind}", image), grey=True)
        assert (picture[0, 0], picture.sum()) == (0, 31 * 255)


def test_scaling_covers_the_size_and_cuts_the_rest_off_evenly(tmp_path: Path) -> None:
    stripes = Image.new("L", (90, 30), 0)
    stripes.paste(255, (30, 0, 60, 30))
    path = saved(tmp_path / "wide.png", stripes)
    assert (
        read_picture(path, size=(10, 10), grey=True).min() > 230
    )  # the middle third; all of it would be 85 on average
    assert read_picture(path, size=(10, 30), grey=True).mean() == pytest.approx(85, abs=3)
    high = saved(tmp_path / "high.png", stripes.transpose(Image.Transpose.ROTATE_90))
    assert read_picture(high, size=(10, 10), grey=True).min() > 230


@pytest.mark.parametrize("kind", ["png", "jpg"])
def test_scaling_down_does_not_alias(tmp_path: Path, kind: str) -> None:
    board = Image.fromarray((np.indices((400, 400)).sum(0) % 2 * 255).astype(np.uint8))
    small = read_picture(saved(tmp_path / f"board.{kind}", board), size=(20, 20), grey=True)
    assert np.abs(small.astype(int) - 128).max() < 6
    picked = np.asarray(board.resize((20, 20), Image.Resampling.NEAREST))
    assert set(np.unique(picked)) <= {0, 255}  # what single pixels would give


def test_a_picture_of_the_size_is_not_touched(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (12, 9, 3), np.uint8)
    path = saved(tmp_path / "a.png", Image.fromarray(pixels))
    assert np.array_equal(read_picture(path, size=(12, 9), grey=False), pixels)


def test_extreme_shapes(tmp_path: Path) -> None:
    path = saved(tmp_path / "line.png", Image.new("L", (5000, 1), 9))
    assert np.unique(read_picture(path, size=(3, 7), grey=True)) == [9]
    assert read_picture(saved(tmp_path / "dot.png", Image.new("L", (1, 1), 9)), size=(64, 64), grey=True).max() == 9


@pytest.mark.parametrize("kind", ["png", "jpg", "gif", "webp", "bmp", "tif"])
def test_truncated_files(tmp_path: Path, kind: str, capfd: pytest.CaptureFixture[str]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    whole = saved(tmp_path / f"whole.{kind}", Image.fromarray(noise)).read_bytes()
    path = tmp_path / f"cut.{kind}"
    for length in (1, 5, 20, 50, len(whole) // 2, len(whole) * 3 // 4):
        path.write_bytes(whole[:length])
        with pytest.raises(DataError, match=rf"cut.{kind}: .*; save or get it again") as caught:
            read_picture(path, grey=True)
        assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_flipped_bytes_never_surprise(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    numbers = np.random.default_rng(1)
    for kind in ("png", "jpg", "gif", "webp", "bmp", "tif"):
        whole = saved(tmp_path / f"whole.{kind}").read_bytes()
        for _ in range(40):
            damaged = bytearray(whole)
            for place in numbers.integers(0, min(len(damaged), 200), 3):
                damaged[place] = numbers.integers(256)
            (tmp_path / "damaged").write_bytes(damaged)
            with suppress(DataError):
                assert read_picture(tmp_path / "damaged", size=(8, 8), grey=True).shape == (8, 8)
    assert capfd.readouterr() == ("", "")


def test_what_is_no_picture(tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    with pytest.raises(DataError, match=r"cannot read the picture .*empty.png: empty; "):
        read_picture(tmp_path / "empty.png", grey=True)
    (tmp_path / "text.png").write_text("no picture at all, whatever its name says")
    with pytest.raises(DataError, match=r"text.png: no PNG, JPEG, .* or cut off in its header"):
        read_picture(tmp_path / "text.png", grey=True)
    (tmp_path / "phone.jpg").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0")
    with pytest.raises(DataError, match="HEIC or AVIF"):
        read_picture(tmp_path / "phone.jpg", grey=True)
    with pytest.raises(DataError, match="No such file"):
        read_picture(tmp_path / "none.png", grey=True)
    with pytest.raises(DataError, match="no file"):
        read_picture(tmp_path, grey=True)
    (tmp_path / "page.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")  # would start a program
    with pytest.raises(DataError, match="no PNG"):
        read_picture(tmp_path / "page.png", grey=True)


@pytest.mark.parametrize(("width", "height"), [(10_001, 10_000), (14_000, 14_000), (2**30, 2**30)])
def test_a_bomb(tmp_path: Path, width: int, height: int) -> None:
    (tmp_path / "bomb.png").write_bytes(promising(width, height))
    with pytest.raises(DataError, match="more than 100 million pixels"):
        read_picture(tmp_path / "bomb.png", size=(8, 8), grey=True)


def test_a_picture_just_below_the_limit_is_read(tmp_path: Path) -> None:
    side = int(MOST_PIXELS**0.5)
    noise = np.random.default_rng(0).bytes(side * -(-side // 8))  # of one colour, it would be refused as a trap
    path = saved(tmp_path / "large.png", Image.frombytes("1", (side, side), noise))
    np.testing.assert_allclose(read_picture(path, size=(4, 4), grey=True), 127, atol=3)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_named_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    answers: list[str] = []

    def read() -> None:
        with pytest.raises(DataError, match="it is no file") as caught:
            read_picture(tmp_path / "pipe.png", grey=True)
        answers.append(str(caught.value))

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    thread.join(20)
    assert answers


@pytest.mark.parametrize("size", [(0, 5), (5, -1), (20_000, 20_000)])
def test_sizes_that_no_picture_has(tmp_path: Path, size: tuple[int, int]) -> None:
    with pytest.raises(DataError, match=r"\(height, width\) in pixels such as \(64, 64\), got"):
        read_picture(saved(tmp_path / "a.png"), size=size, grey=True)
    with pytest.raises(DataError, match=r"\(height, width\)"):
        read_picture_folder(tmp_path, size=size)


def test_without_pillow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = shade(tmp_path / "a" / "1.png", 1)
    shade(tmp_path / "b" / "1.png", 1)
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(DataError, match=r"needs Pillow, which is not installed; run: pip install 'epochal\[images\]'"):
        read_picture(path, grey=True)
    with pytest.raises(DataError, match=r"pip install 'epochal\[images\]'"):
        read_picture_folder(tmp_path)
    assert is_picture(path)
    assert has_picture_classes(tmp_path)


# ---- folders


def two_classes(folder: Path, names: tuple[str, str] = ("a", "b")) -> Path:
    """Three pictures of each class, as grey as their number says."""
    for at, name in enumerate(names):
        for i in range(3):
            shade(folder / name / f"{i}.png", 100 * at + i)
    return folder


def test_a_folder_of_classes(tmp_path: Path) -> None:
    pictures = read_picture_folder(two_classes(tmp_path, ("猫", "cats")))
    assert pictures.class_names == ("cats", "猫")
    assert (pictures.x_train.shape, pictures.x_train.dtype) == ((6, 8, 8), np.uint8)
    assert pictures.y_train.tolist() == [0, 0, 0, 1, 1, 1]
    assert pictures.y_train.dtype == np.int32
    assert pictures.x_train[:, 0, 0].tolist() == [100, 101, 102, 0, 1, 2]
    assert (pictures.x_test, pictures.y_test, pictures.x_validation, pictures.y_validation) == (None,) * 4
    assert (pictures.size, pictures.grey, pictures.broken, pictures.notes) == ((8, 8), True, (), ())


def test_files_deeper_inside_count_for_their_class(tmp_path: Path) -> None:
    two_classes(tmp_path)
    shade(tmp_path / "a" / "more" / "deep" / "9.PNG", 50)
    pictures = read_picture_folder(tmp_path)
    assert pictures.class_names == ("a", "b")
    assert pictures.x_train[pictures.y_train == 0][:, 0, 0].tolist() == [0, 1, 2, 50]


@pytest.mark.parametrize(("train", "test"), [("train", "test"), ("Training", "Testing"), ("train", "val")])
def test_folders_for_training_and_test(tmp_path: Path, train: str, test: str) -> None:
    two_classes(tmp_path / train)
    shade(tmp_path / test / "b" / "x.png", 200)
    pictures = read_picture_folder(tmp_path)
    assert pictures.x_test is not None
    assert pictures.y_test is not None
    assert pictures.x_test[:, 0, 0].tolist() == [200]
    assert pictures.y_test.tolist() == [1]
    assert len(pictures.x_train) == 6
    assert "no test pictures of: a" in pictures.notes
    assert ("there is no test folder: val is the test set" in pictures.notes) == (test == "val")


@pytest.mark.parametrize("name", ["val", "valid", "validation"])
def test_a_validation_folder_beside_a_test_folder(tmp_path: Path, name: str) -> None:
    two_classes(tmp_path / "train")
    two_classes(tmp_path / "test")
    shade(tmp_path / name / "a" / "x.png", 222)
    pictures = read_picture_folder(tmp_path)
    assert pictures.x_test is not None
    assert pictures.x_validation is not None
    assert pictures.y_validation is not None
    assert (len(pictures.x_test), pictures.x_validation[0, 0, 0], pictures.y_validation.tolist()) == (6, 222, [0])


def test_a_train_folder_alone_needs_no_test(tmp_path: Path) -> None:
    two_classes(tmp_path / "train")
    pictures = read_picture_folder(tmp_path)
    assert (len(pictures.x_train), pictures.x_test) == (6, None)


def test_train_can_be_a_class(tmp_path: Path) -> None:
    pictures = read_picture_folder(two_classes(tmp_path, ("train", "car")))
    assert pictures.class_names == ("car", "train")
    shade(tmp_path / "train" / "steam" / "9.png", 9)
    assert read_picture_folder(tmp_path).class_names == ("car", "train")


def test_splits_that_do_not_fit(tmp_path: Path) -> None:
    two_classes(tmp_path / "train")
    shade(tmp_path / "test" / "c" / "1.png", 0)
    with pytest.raises(DataError, match=r"test holds the class 'c', which has no training pictures"):
        read_picture_folder(tmp_path)
    (tmp_path / "test" / "c").rename(tmp_path / "test" / "a")
    assert read_picture_folder(tmp_path).class_names == ("a", "b")
    (tmp_path / "testing").mkdir()
    with pytest.raises(DataError, match=r"test and testing would both be the test set"):
        read_picture_folder(tmp_path)
    (tmp_path / "testing").rmdir()
    (tmp_path / "test" / "a" / "1.png").rename(tmp_path / "test" / "1.png")
    with pytest.raises(DataError, match=r"test holds no pictures in class subfolders; remove it, or: "):
        read_picture_folder(tmp_path)


def test_broken_files_are_named_and_counted(tmp_path: Path) -> None:
    two_classes(tmp_path)
    (tmp_path / "a" / "1.png").write_bytes((tmp_path / "a" / "1.png").read_bytes()[:45])  # sound header, cut pixels
    (tmp_path / "b" / "0.png").write_bytes(b"")
    pictures = read_picture_folder(tmp_path)
    assert [name for name, _ in pictures.broken] == ["a/1.png", "b/0.png"]
    assert pictures.broken[1][1] == "empty"
    assert pictures.x_train[:, 0, 0].tolist() == [0, 2, 101, 102]
    assert pictures.y_train.tolist() == [0, 0, 1, 1]
    assert pictures.notes[0].startswith("2 pictures could not be read: a/1.png (")
    assert pictures.notes[0].endswith("), b/0.png (empty)")


def test_a_class_without_a_sound_picture(tmp_path: Path) -> None:
    two_classes(tmp_path)
    for path in (tmp_path / "b").iterdir():
        path.write_text("text")
    with pytest.raises(
        DataError, match=r"no train picture of the class 'b' can be read; the first is b/0.png \(no PNG"
    ):
        read_picture_folder(tmp_path)
    for path in (tmp_path / "a").iterdir():
        path.write_text("text")
    with pytest.raises(DataError, match=r"of the class 'a' can be read"):
        read_picture_folder(tmp_path)


def test_other_files_are_said_and_hidden_ones_ignored(tmp_path: Path) -> None:
    two_classes(tmp_path)
    for name in (".DS_Store", "Thumbs.db", "._0.png", "desktop.ini"):
        (tmp_path / "a" / name).touch()
    shade(tmp_path / "__MACOSX" / "a" / "1.png", 0)
    shade(tmp_path / ".git" / "1.png", 0)
    assert read_picture_folder(tmp_path).notes == ()

    for i in range(5):
        (tmp_path / "b" / f"notes-{i}.txt").touch()
    shade(tmp_path / "loose.png", 0)
    (tmp_path / "docs").mkdir()
    assert read_picture_folder(tmp_path).notes == (
        "5 files left out, no pictures by their names: b/notes-0.txt, b/notes-1.txt, b/notes-2.txt and 2 more",
        "1 picture left out, in no class subfolder: loose.png",
        "1 subfolder left out, without pictures: docs",
    )


def test_names_cannot_upset_a_terminal(tmp_path: Path) -> None:
    two_classes(tmp_path)
    (tmp_path / "a" / "\x1b[31m\n.png").touch()
    pictures = read_picture_folder(tmp_path)
    assert pictures.broken == (("a/\\x1b[31m\\n.png", "empty"),)
    assert all(note.isprintable() for note in pictures.notes)


def test_links_that_lead_out_are_left_out(tmp_path: Path) -> None:
    folder = two_classes(tmp_path / "set")
    outside = shade(tmp_path / "outside.png", 250)
    (folder / "a" / "out.png").symlink_to(outside)
    (folder / "a" / "in.png").symlink_to(folder / "b" / "0.png")
    (folder / "c").symlink_to(folder / "b", target_is_directory=True)
    (folder / "a" / "circle").symlink_to(folder, target_is_directory=True)
    (folder / "b" / "loop.png").symlink_to(folder / "b" / "loop.png")
    pictures = read_picture_folder(folder)
    assert pictures.class_names == ("a", "b")
    assert pictures.x_train[:, 0, 0].tolist() == [0, 1, 2, 100, 100, 101, 102]
    assert [name for name, _ in pictures.broken] == ["b/loop.png"]
    assert "3 links left out, leading to a folder or out of this one: a/circle, a/out.png, c" in pictures.notes
    (tmp_path / "link").symlink_to(folder, target_is_directory=True)
    assert len(read_picture_folder(tmp_path / "link").x_train) == 7  # the folder itself may be reached by one


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_named_pipe_in_a_folder_is_a_broken_file(tmp_path: Path) -> None:
    two_classes(tmp_path)
    os.mkfifo(tmp_path / "a" / "pipe.jpg")
    assert read_picture_folder(tmp_path).broken == (("a/pipe.jpg", "it is no file"),)


def test_the_default_size(tmp_path: Path) -> None:
    def with_sizes(name: str, *sizes: tuple[int, int]) -> Any:
        for i, size in enumerate(sizes):
            for label in ("a", "b"):
                saved(tmp_path / name / label / f"{i}.png", Image.new("L", size))
        return read_picture_folder(tmp_path / name)

    small = with_sizes("small", (30, 64), (30, 64))
    assert (small.size, small.notes) == ((64, 30), ())
    large = with_sizes("large", (65, 30))
    assert large.size == (64, 64)
    assert large.notes == ("all pictures are 65×30, made 64×64 (scaled, and cut at two sides to keep the proportions)",)
    mixed = with_sizes("mixed", (640, 480), (12, 9), (64, 64))
    assert mixed.size == (64, 64)
    assert mixed.notes == (
        "sizes from 12×9 to 640×480, all made 64×64 (scaled, and cut at two sides to keep the proportions)",
    )
    assert with_sizes("square", (128, 128)).notes == ("all pictures are 128×128, made 64×64 (scaled)",)
    chosen = read_picture_folder(tmp_path / "mixed", size=(20, 10))
    assert (chosen.size, chosen.x_train.shape) == ((20, 10), (6, 20, 10))


def test_grey_by_default_where_all_are(tmp_path: Path) -> None:
    two_classes(tmp_path)
    saved(tmp_path / "a" / "grey.jpg", Image.new("RGB", (8, 8), (90, 90, 90)))
    pictures = read_picture_folder(tmp_path)
    assert (pictures.grey, pictures.x_train.shape, pictures.notes) == (True, (7, 8, 8), ())
    as_rgb = read_picture_folder(tmp_path, grey=False)
    assert (as_rgb.grey, as_rgb.x_train.shape) == (False, (7, 8, 8, 3))
    assert np.array_equal(as_rgb.x_train[..., 2], pictures.x_train)

    saved(tmp_path / "a" / "red.png", Image.new("RGB", (8, 8), RED))
    coloured = read_picture_folder(tmp_path)
    assert (coloured.grey, coloured.x_train.shape) == (False, (8, 8, 8, 3))
    assert coloured.notes == ("7 of 8 pictures are grey, made RGB",)
    assert read_picture_folder(tmp_path, grey=True).x_train.shape == (8, 8, 8)


def test_the_same_arrays_every_time_and_alone(tmp_path: Path) -> None:
    numbers = np.random.default_rng(0)
    for i in range(150):
        pixels = Image.fromarray(numbers.integers(0, 256, (40, 70, 3), np.uint8))
        saved(tmp_path / "ab"[i % 2] / f"{i}.jpg", pixels, quality=80)
    first, second = (read_picture_folder(tmp_path, size=(16, 16)) for _ in range(2))
    assert np.array_equal(first.x_train, second.x_train)
    for row, path in enumerate(sorted(tmp_path.glob("?/*"), key=Path.as_posix)):
        assert np.array_equal(first.x_train[row], read_picture(path, size=(16, 16), grey=False))


def test_progress(tmp_path: Path) -> None:
    two_classes(tmp_path)
    told: list[tuple[str, int, int]] = []
    read_picture_folder(tmp_path, progress=lambda *what: told.append(what))
    assert told == [("headers of pictures", 6, 6), ("pictures", 6, 6)]


def test_an_interrupt_does_not_wait_for_the_rest(tmp_path: Path) -> None:
    two_classes(tmp_path)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        read_picture_folder(tmp_path, progress=interrupt)


def build(*names: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        for name in names:
            shade(folder / name, 0) if name.endswith("png") else (folder / name).mkdir(parents=True)

    return make


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (
            build(),
            r"holds no pictures; each class needs a subfolder of its own, such as .*/cats/1.jpg and .*/dogs/2.jpg",
        ),
        (build("a", "b"), r"holds no pictures \(2 subfolders left out, without pictures: a, b\); each class needs"),
        (build("1.png", "2.png"), r"2 pictures \(such as 1.png\) in no class subfolder; each class needs a subfolder"),
        (build("a/1.png"), r"holds a single class, 'a', but a classifier needs two; each class needs a subfolder"),
        (build("set/a/1.png", "set/b/1.png"), r"a single class, 'set', .* is .*/set the folder that you mean\?"),
        (
            build("train/a/1.png", "test/a/1.png"),
            r"a single class, 'a', .* such as .*/train/cats/1.jpg and .*/test/cats",
        ),
    ],
)
def test_structures_that_cannot_be_taken(tmp_path: Path, make: Callable[[Path], None], text: str) -> None:
    (tmp_path / "set").mkdir()
    make(tmp_path / "set")
    with pytest.raises(DataError, match=text) as caught:
        read_picture_folder(tmp_path / "set")
    assert "\n" not in str(caught.value)


def test_what_is_no_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        read_picture_folder(tmp_path / "none")
    with pytest.raises(DataError, match="no folder"):
        read_picture_folder(shade(tmp_path / "a.png", 0))


def test_a_quick_look_tells_folders_of_classes(tmp_path: Path) -> None:
    assert has_picture_classes(two_classes(tmp_path / "plain"))
    two_classes(tmp_path / "split" / "train")
    assert has_picture_classes(tmp_path / "split")
    shade(tmp_path / "deep" / "train" / "cats" / "kittens" / "1.png", 0)
    assert has_picture_classes(tmp_path / "deep")

    shade(tmp_path / "flat" / "1.png", 0)
    shade(tmp_path / "flat" / ".hidden" / "1.png", 0)
    assert not has_picture_classes(tmp_path / "flat")
    (tmp_path / "idx").mkdir()
    (tmp_path / "idx" / "train-images-idx3-ubyte.gz").touch()
    assert not has_picture_classes(tmp_path / "idx")
    assert not has_picture_classes(tmp_path / "none")


def test_a_class_whose_folder_has_no_name_in_utf8_is_refused(tmp_path: Path) -> None:
    """Such as one of GBK, out of an archive of Windows."""
    gbk = os.fsencode(tmp_path) + b"/" + "\u72d7".encode("gbk")
    try:
        os.mkdir(gbk)
    except OSError:
        pytest.skip("this file system takes names in UTF-8 alone")
    for folder in (Path(os.fsdecode(gbk)), tmp_path / "dog"):
        folder.mkdir(exist_ok=True)
        for number in range(6):
            shade(folder / f"{number}.png", 10 * number)

    with pytest.raises(DataError, match=r"the class '.*' has a name whose bytes are no UTF-8"):
        load_data(tmp_path)
    with speaking("zh"), pytest.raises(DataError) as refused:
        load_data(tmp_path)
    assert "\u7c7b\u522b '" in translate(str(refused.value), "zh")
