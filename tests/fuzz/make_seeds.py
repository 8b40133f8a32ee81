"""Makes the seeds: small good files of each kind, as Epochal and other programs write them.

python tests/fuzz/make_seeds.py

Their bytes differ from one making to the next, so the repository has those of one making.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
import struct
import sys
import tarfile
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from readers import BESIDE, SEEDS

sys.path.insert(0, str(Path(__file__).parents[1]))

_X = np.random.default_rng(5).normal(size=(34, 5)).astype(np.float32)
_Y = np.arange(34, dtype=np.int32) % 3
_CSV = "size,colour,when,price\n" + "".join(
    f"{n}.5,{('red', 'green', 'NA')[n % 3]},2020-01-{n + 1:02},{n * 7 % 5}\n" for n in range(12)
)


def main() -> None:
    for folder in (SEEDS, BESIDE):
        shutil.rmtree(folder, ignore_errors=True)
    _arrays()
    _tables()
    _pictures()
    with tempfile.TemporaryDirectory() as place:
        os.chdir(place)
        _archives()
        _trainings()
        _packs()
    total = sum(path.stat().st_size for folder in (SEEDS, BESIDE) for path in folder.rglob("*") if path.is_file())
    print(f"{total / 1e3:.0f} kB of seeds")


def _put(target: str, name: str, content: bytes | Path) -> None:
    path = SEEDS / target / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.read_bytes())


def _saved(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def _arrays() -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (4, 5, 3), np.uint8)
    idx = bytes([0, 0, 8, 3]) + struct.pack(">3I", 4, 5, 3) + pictures.tobytes()
    _put("idx", "images", idx)
    _put("idx", "images.gz", gzip.compress(idx, mtime=0))
    _put("idx", "floats", bytes([0, 0, 0x0E, 1]) + struct.pack(">I", 3) + np.arange(3, dtype=">f8").tobytes())

    for name, array in {"bytes": pictures, "columns": np.asfortranarray(pictures / 255), "texts": np.array(["a", "bc"]),
                        "times": np.zeros(3, "M8[s]"), "truths": pictures > 9}.items():  # fmt: skip
        _put("npy", name, _saved(array))

    texts = np.array([("a", "bc", "d")[n % 3] for n in range(34)])
    for name, save, arrays in (
        ("plain", np.savez, {"x": _X, "y": _Y}),
        ("packed", np.savez_compressed, {"x_train": _X[:23], "y_train": _Y[:23], "x_test": _X[23:], "y_test": _Y[23:]}),
        ("texts", np.savez, {"x": _X.astype(np.float64).reshape(34, 5, order="F"), "y": texts}),
    ):
        file = io.BytesIO()
        save(file, **arrays)
        _put("npz", name, file.getvalue())


def _tables() -> None:
    import polars as pl

    _put("csv", "commas", _CSV.encode())
    _put("csv", "commas.gz", gzip.compress(_CSV.encode(), mtime=0))
    _put("csv", "semicolons", b"a;b;c\n" + b"".join(b"%d,5;x;%d\r\n" % (n, n % 2) for n in range(9)))
    _put("csv", "quotes", b'a,"b ""c""",d\n' + b"".join(b'%d,"x\ny, z",%d\n' % (n, n % 2) for n in range(9)))
    _put("csv", "no-names", b"".join(b"%d\t%d\t%d\n" % (n, n * n, n % 2) for n in range(9)))
    _put(
        "csv", "utf16", "名,b,c\n".encode("utf-16") + "".join(f"{n},é,{n % 2}\n" for n in range(9)).encode("utf-16-le")
    )

    frame = pl.read_csv(_CSV.encode(), null_values=["NA"], try_parse_dates=True)
    wide = frame.with_columns(
        flag=pl.Series([n % 2 == 0 for n in range(12)]), kind=pl.Series(["u", "v"] * 6, dtype=pl.Categorical),
        price=pl.col("price").cast(pl.Int8),
    )  # fmt: skip
    for name, one in {"plain": frame, "wide": wide.select("size", "flag", "kind", "when", "price")}.items():
        file = io.BytesIO()
        one.write_parquet(file)
        _put("parquet", name, file.getvalue())
        file = io.BytesIO()
        one.write_ipc(file)
        _put("feather", name, file.getvalue())
    file = io.BytesIO()
    frame.write_ipc_stream(file)
    _put("feather", "stream", file.getvalue())


def _pictures() -> None:
    from PIL import Image

    across, down = np.meshgrid(np.arange(24), np.arange(20))
    ink = (np.hypot(across - 12, down - 10) < 7).astype(np.uint8) * 200 + 20
    grey = Image.fromarray(ink)
    colours = Image.fromarray(np.stack([ink, 255 - ink, ink // 2], -1))
    clear = colours.convert("RGBA")
    clear.putalpha(grey)
    exif = Image.Exif()
    exif[0x0112] = 6

    def save(image: Any, name: str, **options: Any) -> None:
        file = io.BytesIO()
        image.save(file, **options)
        _put("picture", name, file.getvalue())

    save(grey, "grey.png", format="PNG")
    save(clear, "clear.png", format="PNG")
    save(colours.quantize(8), "palette.png", format="PNG", transparency=0)
    save(Image.fromarray(ink.astype(np.uint16) * 256), "deep.png", format="PNG")
    save(colours, "turned.jpg", format="JPEG", exif=exif)
    save(colours.convert("CMYK"), "cmyk.jpg", format="JPEG", progressive=True)
    save(colours.quantize(8), "moving.gif", format="GIF", save_all=True, append_images=[grey])
    save(colours, "small.webp", format="WEBP")
    save(colours, "plain.bmp", format="BMP")
    save(grey, "packed.tiff", format="TIFF", compression="tiff_lzw")
    save(Image.fromarray(ink.astype(np.float32)), "floats.tiff", format="TIFF")


def _archives() -> None:
    from PIL import Image

    def member(archive: Any, name: str, content: bytes) -> None:
        about = tarfile.TarInfo(name)
        about.size = len(content)
        archive.addfile(about, io.BytesIO(content))

    for name, mode in {"pictures": "w", "pictures.gz": "w:gz", "arrays": "w", "arrays.xz": "w:xz"}.items():
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode=mode, format=tarfile.PAX_FORMAT) as archive:  # type: ignore[call-overload]
            for number in range(8):
                content = io.BytesIO()
                if name.startswith("arrays"):
                    np.save(content, _X[number])
                else:
                    Image.fromarray(np.full((4, 5), 30 * number, np.uint8)).save(content, format="PNG")
                ending = "npy" if name.startswith("arrays") else "png"
                member(archive, f"{number:03}.{ending}", content.getvalue())
                member(archive, f"{number:03}.cls", b"%d" % (number % 2))
        _put("tar", name, file.getvalue())

    if find_spec("array_record") is not None:
        from array_record.python.array_record_module import ArrayRecordWriter

        for name, options in {"plain": "group_size:1,uncompressed", "packed": "group_size:4"}.items():
            writer = ArrayRecordWriter(f"{name}.array_record", options)
            for number in range(8):
                content = io.BytesIO()
                np.savez(content, x=_X[number], y=_Y[number])
                writer.write(content.getvalue())
            writer.close()
            _put("array-record", name, Path(f"{name}.array_record"))

    from epochal.data.packed.manifest import FORMAT, Shard

    shards = [Shard(f"train-{n:05}.rows", 10, 400, "5" * 64, 1, 2, 3, None).to_plain() for n in range(2)]
    lines: list[dict[str, Any]] = [
        {"format": FORMAT, "what": "small", "name": "small", "record": {"x": "int8"}, "rows": 10}
    ]
    lines.append({"split": "train", "source": {"samples": 25, "fingerprint": "3" * 64}})
    lines += [{"split": "train", "shard": shard} for shard in shards]
    _put("packing-log", "log", b"".join(json.dumps(line).encode() + b"\n" for line in lines))


def _trainings() -> None:
    import jax.numpy as jnp

    from epochal import batch_sizes, compare, from_functions, train
    from epochal.landscape import LandscapeOptions
    from epochal.study.landscapes import landscape_of

    given: dict[str, Any] = {"progress": False, "batch_size": 4}
    arrays = (_X[:23], _Y[:23], _X[23:], _Y[23:])
    run = train(arrays, run="run", model="linear", epochs=4, optimizer="momentum", measure="noise", **given)
    folder = run.path
    (newest, *_) = sorted(folder.joinpath("checkpoints").iterdir(), reverse=True)
    _put("run-toml", "run", folder / "run.toml")
    _put("history", "history", folder / "history.db")
    _put("checkpoint", "momentum", newest)
    shutil.copytree(folder, BESIDE / "run", ignore=shutil.ignore_patterns("history.db*", "*.lock"))
    Path("table.csv").write_text(_CSV)
    table = train("table.csv", run="table", model="linear", epochs=1, target="colour", drop=("when",), **given)
    _put("schema", "table", table.path / "preprocessing.json")
    _put("schema", "arrays", folder / "preprocessing.json")

    def init(key: Any) -> Any:
        return {"w": jnp.zeros((5, 3))}

    own = train(arrays, run="own", model=from_functions(init, lambda w, x: x @ w["w"]), epochs=1, **given)
    _put("form", "own", own.path / "model.stablehlo")
    _put("run-toml", "own", own.path / "run.toml")

    np.savez("little.npz", x_train=_X[:23], y_train=_Y[:23], x_test=_X[23:], y_test=_Y[23:])
    study = compare("little.npz", run="study", models=["linear"], batch_sizes=[4, "all"], epochs=2, tune_lr=True)
    text = (study.path / "study.toml").read_text().replace(f"{Path.cwd()}/", "")  # no place of this machine
    _put("study-toml", "study", text.encode())
    landscape_of(study, LandscapeOptions(grid=4))
    _put("landscape", "pca", next(study.path.glob("*.json")))
    more = (np.tile(_X, (3, 1)), np.tile(_Y, 3), _X, _Y)
    batch_sizes(more, run="sizes", model="linear", batch_sizes=[4, 8], target_loss=1.0, quick=True)
    _put("batch-size-toml", "sizes", Path("sizes/batch-size.toml"))


def _packs() -> None:
    from epochal.data.arrays import from_arrays
    from epochal.data.packed.pack_writer import write_pack

    random = np.random.default_rng(0)
    x, y = random.integers(0, 256, (30, 5, 3), np.uint8), random.integers(0, 3, 30)
    data = from_arrays(x[:20], y[:20], test=(x[20:], y[20:]), name="small", class_names=["a", "b", "c"])
    write_pack(BESIDE / "pack", data, what="small", shard_bytes=10 * 40)
    _put("pack", "pack", BESIDE / "pack" / "data.toml")
    _put("pack-rows", "rows", BESIDE / "pack" / "train-00000.rows")
    _put("schema", "pictures", BESIDE / "pack" / "preprocessing.json")


if __name__ == "__main__":
    main()
