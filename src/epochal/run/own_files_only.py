"""Which files a run may name: those that this user named, and no others.

A run folder from anywhere can name any file of the user's as its data; what is read of it could stand in a report. So
a run that names files keeps the marks of the users who named them on a command line or in Python: an HMAC of the files
and their fingerprint under a key that lies in the user's own folder and that nobody else can read. A run without the
mark of this user is shown and predicts as any other; its data are read once they are named again, which adds the mark.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import stat
from collections.abc import Iterable
from contextlib import suppress

from epochal.config.train_config import TrainConfig
from epochal.data.load_options import as_file
from epochal.data.registry import DATA_SETS
from epochal.errors import RunError
from epochal.held_folder import HeldFolder

_KEY, _KEY_BYTES = "own-runs.key", 32
_MOST_MARKS = 16


def files_of(config: TrainConfig) -> dict[str, str]:
    """Return the files that a configuration names, by the option that names them: known data sets are none."""
    named = {"data": config.data} if config.data not in DATA_SETS else {}
    parts = {name: getattr(config, name) for name in ("test", "validation")}
    return named | {name: value for name, value in parts.items() if value and as_file(value) is not None}


def marked(config: TrainConfig, fingerprint: str, marks: Iterable[str] = ()) -> tuple[str, ...]:
    """Return a run's marks with this user's, who named its files just now; none where it names no files."""
    mark = _mark(config, fingerprint)
    if not files_of(config) or mark is None:
        return ()
    return (*[one for one in marks if one != mark][1 - _MOST_MARKS :], mark)


def is_marked(config: TrainConfig, fingerprint: str, marks: Iterable[str]) -> bool:
    """Return whether this user named the files of a run."""
    known = list(marks)
    mark = _mark(config, fingerprint) if known else None
    return mark is not None and any(hmac.compare_digest(mark, one) for one in known)


def check_named(config: TrainConfig, fingerprint: str, marks: Iterable[str], name: str, given: Iterable[str]) -> None:
    """Raise `RunError` for files that a run or study names, and that neither this user did nor a caller just now.

    Args:
        config: which names them.
        fingerprint: of the data.
        marks: of those who named them.
        name: of the run or study.
        given: the options whose files are given anew.
    """
    unasked = {option: file for option, file in files_of(config).items() if option not in given}
    if not unasked or is_marked(config, fingerprint, marks):
        return
    if "data" in unasked:
        raise RunError(
            f"{name} was not made here by you, so {unasked['data']}, which it names as its data, is not read unasked; "
            "say where its data are: --data FILE, or data=…"
        )
    option, file = next(iter(unasked.items()))
    raise RunError(
        f"{name} was not made here by you, so {file}, which it names as its {option} samples, is not read unasked; "
        f"load its data yourself: epochal.resume(…, data=epochal.load_data(FILE, {option}=FILE))"
    )


def _mark(config: TrainConfig, fingerprint: str) -> str | None:
    """Return this user's mark of these files; ``None`` where no key can be kept."""
    key = _key()
    if key is None:
        return None
    content = json.dumps([files_of(config), fingerprint], sort_keys=True)
    return hmac.new(key, content.encode(), hashlib.sha256).hexdigest()


def _key() -> bytes | None:
    """Return the user's key, made at its first use; ``None`` where it cannot be kept, or others could know it."""
    import platformdirs

    place = platformdirs.user_state_path("epochal", appauthor=False)
    with suppress(OSError):
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        with HeldFolder.open(place) as folder:
            if folder.kind(_KEY) is None:
                _make_key(folder)
            with folder.open_file(_KEY) as file:
                about, key = os.fstat(file.fileno()), file.read(_KEY_BYTES + 1)
        return key if len(key) == _KEY_BYTES and _is_private(about) else None
    return None


def _make_key(folder: HeldFolder) -> None:
    """Make a key that its owner alone can read; one that another process makes at the same time stays."""
    with suppress(FileExistsError):
        descriptor = folder.descriptor_of(_KEY, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(_KEY_BYTES))


def _is_private(about: os.stat_result) -> bool:
    """Return whether nobody else can read or own a file; on Windows, a user's folder is private without modes."""
    if not hasattr(os, "getuid"):
        return True
    return about.st_uid == os.getuid() and not about.st_mode & (stat.S_IRWXG | stat.S_IRWXO)
