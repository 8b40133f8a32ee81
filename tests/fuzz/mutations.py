"""Alters a file as accidents and strangers do: bytes anywhere, or values in their places, with checksums that fit."""

from __future__ import annotations

import gzip
import io
import json
import sqlite3
import struct
import tempfile
import tomllib
import zipfile
import zlib
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from random import Random
from typing import Any, TypeAlias

import tomli_w

from epochal.record.schema import checksum

Mutation: TypeAlias = Callable[[bytes, Random], bytes]

LONGEST = 1 << 16
"""Bytes of an input at most: what matters is what it says, not how long it is."""

_NUMBERS = (
    0,
    1,
    2,
    7,
    8,
    127,
    128,
    255,
    256,
    32767,
    65535,
    65536,
    2**20,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**53,
    2**63 - 1,
)
_VALUES: tuple[Any, ...] = (
    0, 1, -1, 2**31, 2**53, 2**63 - 1, -(2**63), 0.5, -0.0, float("inf"), float("nan"), 1e308, True, False,
    "", "abc", "nan", "../..", "/dev/zero", "\x1b[31m", "\u202e", "a" * 5000, "9" * 500,
    [], [[]], [1], ["a"], {}, {"a": 1},
)  # fmt: skip


def altered(content: bytes, random: Random, tokens: Sequence[bytes] = (), others: Sequence[bytes] = ()) -> bytes:
    """Return a content with one to eight changes of its bytes."""
    data = bytearray(content)
    for _ in range(random.choice((1, 1, 1, 2, 3, 8))):
        _change(data, random, tokens, others)
    return bytes(data[:LONGEST])


def damaged(content: bytes, random: Random) -> bytes:
    """Return a content as a disk or a cable returns it: a few bits flipped, a block of zeros, or its end missing."""
    data = bytearray(content)
    place = random.randrange(len(data))
    match random.choice(("bit", "bit", "byte", "zeros", "end", "exchange")):
        case "bit":
            data[place] ^= 1 << random.randrange(8)
        case "byte":
            data[place] = random.randrange(256)
        case "zeros":
            data[place : place + 512] = bytes(len(data[place : place + 512]))
        case "end":
            del data[place:]
        case "exchange":
            other = random.randrange(len(data))
            data[place], data[other] = data[other], data[place]
    return bytes(data)


def _change(data: bytearray, random: Random, tokens: Sequence[bytes], others: Sequence[bytes]) -> None:
    """Change some bytes in place."""
    place = random.randrange(len(data) + 1)
    length = min(len(data) - place, random.choice((1, 2, 4, 16, 64, 256)))
    kind = random.randrange(10)
    if kind == 0 and data:
        data[place % len(data)] ^= 1 << random.randrange(8)
    elif kind == 1 and data:
        data[place % len(data)] = random.randrange(256)
    elif kind == 2:
        size, order = random.choice((1, 2, 4, 8)), random.choice(("little", "big"))
        number = random.choice(_NUMBERS) * random.choice((1, 1, -1)) % 256**size
        data[place : place + size] = number.to_bytes(size, order)  # type: ignore[arg-type]
    elif kind == 3:
        del data[place : place + length]
    elif kind == 4:
        data[place:place] = data[place : place + length] * random.choice((1, 2, 50))
    elif kind == 5:
        data[place:place] = random.randbytes(random.choice((1, 4, 16)))
    elif kind == 6 and tokens:
        token = random.choice(tokens)
        data[place : place + random.choice((0, len(token)))] = token
    elif kind == 7:
        del data[place:]
    elif kind == 8 and others:
        other = random.choice(others)
        data[place:] = other[random.randrange(len(other) + 1) :]
    else:
        data[place : place + length] = bytes(length)


# --- inside what has checksums or a form of its own ------------------------------------------------------------


def in_gzip(content: bytes, random: Random) -> bytes:
    """Change what a gzip file unpacks to, or pack a plain file."""
    inner = gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content
    return gzip.compress(altered(inner, random), compresslevel=1, mtime=0)


def in_zip(content: bytes, random: Random) -> bytes:
    """Change a member of an archive, its name or how it is packed."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {one.filename: archive.read(one) for one in archive.infolist()}
    name = random.choice(list(members))
    if random.random() < 0.8:
        members[name] = altered(members[name], random)
    else:
        odd = ("x.npy", "y_test.npy", "\x1b.npy", "../a.npy", ".npy", "\u202e.npy", "Y.npy")
        members[random.choice(odd)] = members.pop(name)

    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", random.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as archive:
        for one, inner in members.items():
            archive.writestr(one, inner)
    return written.getvalue()


def in_png(content: bytes, random: Random) -> bytes:
    """Change a chunk of a PNG, and make its checksum good; the pixels before they are packed, too."""
    if not content.startswith(b"\x89PNG"):
        return altered(content, random)
    chunks, place = [], 8
    while place + 8 <= len(content):
        (length,) = struct.unpack_from(">I", content, place)
        chunks.append((content[place + 4 : place + 8], content[place + 8 : place + 8 + length]))
        place += 12 + length

    at = random.randrange(len(chunks))
    kind, inner = chunks[at]
    inner = zlib.compress(altered(zlib.decompress(inner), random)) if kind == b"IDAT" else altered(inner, random)
    chunks[at] = (kind, inner)
    return content[:8] + b"".join(
        struct.pack(">I", len(part)) + name + part + struct.pack(">I", zlib.crc32(name + part)) for name, part in chunks
    )


def in_toml(content: bytes, random: Random) -> bytes:
    """Put another value somewhere into a TOML file."""
    return tomli_w.dumps(_with_another(tomllib.loads(content.decode()), random)).encode()


def in_json(content: bytes, random: Random) -> bytes:
    """Put another value somewhere into a JSON file."""
    return json.dumps(_with_another(json.loads(content), random)).encode()


def in_few_bytes(content: bytes, random: Random) -> bytes:
    """Change a few bytes that are not zero, in a file that is zeros for the most part."""
    changed = bytearray(content)
    places = [place for place, one in enumerate(content) if one]
    for _ in range(random.randint(1, 6)):
        changed[random.choice(places)] = random.choice((0, 1, 255, random.randrange(256)))
    return bytes(changed)


def in_records(content: bytes, random: Random) -> bytes:
    """Change a record of an ArrayRecord file, or which ones there are, and have its library make the checksums good."""
    if find_spec("array_record") is None or random.random() < 0.2:
        return in_few_bytes(content, random)
    from array_record.python.array_record_module import ArrayRecordReader, ArrayRecordWriter

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "old")
        path.write_bytes(content)
        reader = ArrayRecordReader(str(path))
        records = list(reader.read_all())
        reader.close()

        at = random.randrange(len(records))
        match random.randrange(8):
            case 0:
                del records[at:]
            case 1:
                records.insert(at, random.choice((b"", b"PK", records[at], random.randbytes(64))))
            case 2 | 3:
                records[at] = altered(records[at], random)
            case _:
                records[at] = in_zip(records[at], random)

        changed = Path(folder, "new")
        writer = ArrayRecordWriter(str(changed), random.choice(("group_size:1,uncompressed", "group_size:4")))
        for record in records:
            writer.write(record)
        writer.close()
        return changed.read_bytes()


def in_json_lines(content: bytes, random: Random) -> bytes:
    """Put another value somewhere into a line of JSON."""
    lines = content.splitlines()
    at = random.randrange(len(lines))
    lines[at] = in_json(lines[at], random)
    return b"\n".join(lines) + b"\n"


def in_safetensors(content: bytes, random: Random) -> bytes:
    """Put another value somewhere into a safetensors header, or into Epochal's part of it."""
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    if random.random() < 0.6:
        about = json.loads(header["__metadata__"]["epochal"])
        header["__metadata__"]["epochal"] = json.dumps(_with_another(about, random))
    else:
        header = _with_another(header, random)
    written = json.dumps(header).encode()
    return len(written).to_bytes(8, "little") + written + content[8 + length :]


def in_history(content: bytes, random: Random) -> bytes:
    """Change a value, a row or a table of a history, with a checksum that fits."""
    with sqlite3.connect(":memory:") as database:
        database.deserialize(content)
        try:
            random.choice((_change_value, _change_value, _change_rows, _change_schema))(database, random)
        except (sqlite3.Error, OverflowError):
            database.rollback()
        database.commit()
        written = database.serialize()
    database.close()
    return written


def _tables(database: sqlite3.Connection) -> list[str]:
    return [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]


def _change_value(database: sqlite3.Connection, random: Random) -> None:
    table = random.choice(_tables(database))
    columns = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
    rows = database.execute(f"SELECT rowid, * FROM {table}").fetchall()
    if not rows:
        return
    rowid, *values = random.choice(rows)
    row = dict(zip(columns, values, strict=True))
    name = random.choice(columns)
    odd = random.choice(
        (*(one for one in _VALUES if not isinstance(one, list | dict)), None, b"", b"\0" * 7, b"\xff" * 64)
    )
    row[name] = odd
    if "crc32" in columns and name != "crc32" and "losses" not in columns and "sums" not in columns:
        hashed = [value for key, value in row.items() if key not in ("id", "crc32")]
        row["crc32"] = checksum(hashed) if not any(isinstance(one, bytes) for one in hashed) else 0
    elif "losses" in columns and isinstance(row["losses"], bytes):
        row["crc32"] = zlib.crc32(row["losses"])
    changes = ", ".join(f'"{one}" = ?' for one in columns)
    database.execute(f"UPDATE {table} SET {changes} WHERE rowid = ?", (*row.values(), rowid))


def _change_rows(database: sqlite3.Connection, random: Random) -> None:
    table = random.choice(_tables(database))
    if random.random() < 0.5:
        rows = [row for (row,) in database.execute(f"SELECT rowid FROM {table}")]
        database.execute(f"DELETE FROM {table} WHERE rowid = ?", (random.choice(rows or [0]),))
    else:
        columns = [row[1] for row in database.execute(f"PRAGMA table_info({table})") if row[1] != "id"]
        names = ", ".join(columns)
        database.execute(f"INSERT INTO {table} ({names}) SELECT {names} FROM {table} LIMIT 1")


def _change_schema(database: sqlite3.Connection, random: Random) -> None:
    endless = "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r)"
    table = random.choice(_tables(database))
    database.execute(
        random.choice(
            (
                f"CREATE VIEW v AS {endless} SELECT n FROM r",
                f"DROP TABLE {table}",
                f"ALTER TABLE {table} RENAME TO former",
                f"CREATE TRIGGER t AFTER INSERT ON {table} BEGIN SELECT 1; END",
                f"CREATE INDEX i ON {table} (abs(rowid))",
                f"ALTER TABLE {table} ADD COLUMN more INTEGER",
                "CREATE TABLE more (a, b)",
                "CREATE TABLE sqlite_stat9 (a)",
                "PRAGMA user_version = -1",
            )
        )
    )


def _with_another(content: Any, random: Random) -> Any:
    """Return plain values in which one place holds something else, nothing, or one thing more."""
    places = list(_places(content))
    if not places:
        return content
    holder, key = random.choice(places)
    match random.randrange(8):
        case 0:
            del holder[key]
        case 1 if isinstance(holder, dict):
            holder[random.choice(("more", "", "format", "\x1b[2J"))] = random.choice(_VALUES)
        case 2 if isinstance(holder, list):
            holder.extend(holder[:1] * random.choice((1, 40)))
        case 3:
            other, place = random.choice(places)
            holder[key] = other[place] if (other is not holder and not isinstance(other[place], list | dict)) else 1
        case _:
            holder[key] = random.choice(_VALUES)
    return content


def _places(content: Any) -> Any:
    """Yield each place of plain values, with what holds it."""
    pairs = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in list(pairs)[:200]:
        yield content, key
        yield from _places(value)
