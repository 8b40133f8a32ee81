"""Downloads that can be trusted: several mirrors, resumed where they broke off, checked by hash, whole or not there."""

from __future__ import annotations

import hashlib
import http.client
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from epochal.data.registry import Description, RemoteFile
from epochal.data.storage import VARIABLE, Progress, alone, writing
from epochal.errors import DataError
from epochal.files import replace, sync_file
from epochal.version import __version__

_CHUNK = 1 << 16
_WORTH_RETRYING = (408, 416, 425, 429)


class _UselessError(Exception):
    """A mirror that will not give this file, however often it is asked."""


class _BrokenError(Exception):
    """A failure that may not happen the next time."""


class _NoMirrorError(DataError):
    """Every mirror was tried and none gave the file."""


def download(description: Description, folder: Path, *, progress: Progress | None = None) -> None:
    """Bring all files of a data set into ``folder``; those that are there and sound stay as they are.

    Raises:
        DataError: if a file cannot be had or written; it names the files and where they can be put by hand.
    """
    try:
        for file in description.files:
            fetch(file, description.mirrors, folder, progress=progress)
    except _NoMirrorError as error:
        names = ", ".join(file.name for file in description.files)
        raise DataError(
            f"cannot download {description.name}: {error}. "
            f"Without a network, put {names} into {folder}, or into FOLDER/{description.name} with "
            f"{VARIABLE}=FOLDER; digits and digits-60k need none."
        ) from error


def fetch(
    file: RemoteFile,
    mirrors: Sequence[str],
    folder: Path,
    *,
    progress: Progress | None = None,
    rounds: int = 3,
    timeout: float = 10.0,
    pause: Callable[[float], None] = time.sleep,
) -> Path:
    """Return the path of ``file`` in ``folder``, downloaded unless it is there with the right content.

    Two processes may call this at once: one downloads, the other waits and finds the file.

    Args:
        file: name, size and SHA-256.
        mirrors: addresses to which the name is appended, tried in turn.
        folder: where it goes; made if need be. A part of the file stays there when a download breaks off.
        progress: called with the name, the bytes so far and all bytes.
        rounds: how often the mirrors are gone through, after 1, 2, 4, … seconds.
        timeout: seconds without an answer after which a connection counts as broken.
        pause: waits that many seconds.

    Raises:
        DataError: if no mirror gave the file, or it could not be written.
    """
    path = folder / file.name
    if is_sound(path, file):
        return path
    with alone(folder):
        if not is_sound(path, file):
            _from_any(file, mirrors, path, progress or _quietly, rounds, timeout, pause)
    return path


def is_sound(path: Path, file: RemoteFile) -> bool:
    """Return whether ``path`` holds exactly the published bytes."""
    return path.is_file() and path.stat().st_size == file.size and sha256_of(path) == file.sha256


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal."""
    try:
        with path.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error


def _from_any(
    file: RemoteFile,
    mirrors: Sequence[str],
    path: Path,
    progress: Progress,
    rounds: int,
    timeout: float,
    pause: Callable[[float], None],
) -> None:
    partial = path.with_name(f"{path.name}.part")
    reasons: dict[str, str] = {}
    left = list(mirrors)

    # a mirror that cannot have the file is asked once, one that broke off in each round
    for turn in range(rounds):
        if turn and left:
            pause(2.0 ** (turn - 1))
        for mirror in tuple(left):
            try:
                _receive(mirror + file.name, partial, file, progress, timeout)
                _check(partial, file)
            except _UselessError as reason:
                left.remove(mirror)
                reasons[mirror] = str(reason)
            except _BrokenError as reason:
                reasons[mirror] = str(reason)
            else:
                # whole and checked: from here on it has its name
                with writing(path):
                    sync_file(partial)
                    replace(partial, path)
                return
    raise _NoMirrorError(f"no mirror gave {file.name} ({_told(reasons)})")


def _told(reasons: dict[str, str]) -> str:
    """Return each reason once, with the hosts it holds for."""
    hosts: dict[str, list[str]] = {}
    for mirror, reason in reasons.items():
        hosts.setdefault(reason, []).append(urlsplit(mirror).netloc)
    return "; ".join(f"{', '.join(dict.fromkeys(names))}: {reason}" for reason, names in hosts.items())


def _receive(url: str, partial: Path, file: RemoteFile, progress: Progress, timeout: float) -> None:
    """Bring ``partial`` to its full size, going on from what is there if the server can."""
    done = partial.stat().st_size if partial.is_file() else 0
    if done > file.size:
        _discard(partial)
        done = 0
    if done == file.size:
        return
    with _ask(url, done, partial, timeout) as answer:
        done = done if answer.status == 206 else 0
        _check_announced(answer, file, done)
        _append(answer, partial, file, done, progress)


def _ask(url: str, done: int, partial: Path, timeout: float) -> http.client.HTTPResponse:
    """Ask for the file from byte ``done`` on."""
    headers = {"User-Agent": f"epochal/{__version__}"} | ({"Range": f"bytes={done}-"} if done else {})
    try:
        answer: http.client.HTTPResponse = urlopen(Request(url, headers=headers), timeout=timeout)
        return answer

    except HTTPError as error:
        error.close()
        if error.code == 416:
            _discard(partial)
        kind = _BrokenError if error.code in _WORTH_RETRYING or error.code >= 500 else _UselessError
        raise kind(f"HTTP status {error.code}") from error

    except URLError as error:
        if isinstance(error.reason, socket.gaierror):
            raise _UselessError("unknown host, or no network") from error
        raise _BrokenError(_in_words(error.reason)) from error
    except (OSError, http.client.HTTPException) as error:
        raise _BrokenError(_in_words(error)) from error


def _check_announced(answer: http.client.HTTPResponse, file: RemoteFile, done: int) -> None:
    """Refuse an answer of another size, such as the page of a hotel's network, before it is read."""
    if answer.length is not None and done + answer.length != file.size:
        kind = answer.headers.get_content_type()
        raise _UselessError(f"offers {done + answer.length:,} bytes of {kind}, expected {file.size:,}")
    start = answer.headers.get("Content-Range", f"bytes {done}-")
    if not start.startswith(f"bytes {done}-"):
        raise _UselessError(f"answered with the wrong part ({start})")


def _append(answer: http.client.HTTPResponse, partial: Path, file: RemoteFile, done: int, progress: Progress) -> None:
    """Write the answer to ``partial`` from byte ``done`` on; only a disk that takes no more leaves nothing behind."""
    with writing(partial):
        try:
            with partial.open("r+b" if done else "wb") as target:
                target.seek(done)
                while done <= file.size and (piece := _piece(answer)):
                    target.write(piece)
                    done += len(piece)
                    progress(file.name, min(done, file.size), file.size)
        except OSError:
            partial.unlink(missing_ok=True)
            raise

    # what was received is kept only where it can be continued
    if done > file.size:
        _discard(partial)
        raise _UselessError(f"sends more than the expected {file.size:,} bytes")
    if done < file.size:
        raise _BrokenError(f"broke off after {done:,} of {file.size:,} bytes")


def _piece(answer: http.client.HTTPResponse) -> bytes:
    try:
        return answer.read(_CHUNK)
    except (OSError, http.client.HTTPException) as error:
        raise _BrokenError(_in_words(error)) from error


def _check(partial: Path, file: RemoteFile) -> None:
    found = sha256_of(partial)
    if found != file.sha256:
        _discard(partial)
        raise _BrokenError(f"wrong content: SHA-256 {found[:16]}…, expected {file.sha256[:16]}…")


def _discard(partial: Path) -> None:
    with writing(partial):
        partial.unlink(missing_ok=True)


def _in_words(reason: object) -> str:
    """Return what went wrong in the fewest words that help."""
    if isinstance(reason, TimeoutError):
        return "no answer in time"
    if isinstance(reason, OSError) and reason.strerror:
        return reason.strerror
    return str(reason) or type(reason).__name__


def _quietly(_name: str, _done: int, _size: int) -> None:
    """Report nothing."""
