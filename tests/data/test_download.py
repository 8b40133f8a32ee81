"""Downloads from a server on this machine that misbehaves on request."""

from __future__ import annotations

import hashlib
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from idx_writer import idx_bytes

from epochal.data.download import download, fetch
from epochal.data.registry import Description, RemoteFile
from epochal.errors import DataError

CONTENT = np.random.default_rng(0).bytes(300_000)
FILE = RemoteFile("file.gz", len(CONTENT), hashlib.sha256(CONTENT).hexdigest())


class Mirror:
    """A server that answers request after request in the ways of ``script``, then soundly."""

    def __init__(self, script: list[str]) -> None:
        self.script = script
        self.asked: list[str | None] = []  # the Range of each request
        self.sent = 0
        mirror = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                mirror.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        way = self.script.pop(0) if self.script else "sound"
        wanted = request.headers["Range"]
        self.asked.append(wanted)
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and way != "no range" else 0
        if way.isdigit():
            request.send_error(int(way))
            return
        body = {"wrong": CONTENT[::-1], "page": b"<html>Please log in", "endless": CONTENT * 2}.get(way, CONTENT)[
            start:
        ]
        request.send_response(206 if start else 200)
        if start:
            shown = 0 if way == "wrong part" else start
            request.send_header("Content-Range", f"bytes {shown}-{len(CONTENT) - 1}/{len(CONTENT)}")
        if way != "endless":
            request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        body = body[: len(body) // 2] if way == "breaks off" else body
        self.sent += len(body)  # before they leave: the client may be done before this thread goes on
        with suppress(OSError):
            request.wfile.write(body)


@pytest.fixture
def mirrors() -> Iterator[list[Mirror]]:
    """Mirrors made by a test, closed at its end."""
    made: list[Mirror] = []
    yield made
    for mirror in made:
        mirror.server.shutdown()
        mirror.server.server_close()


class Pauses(list[float]):
    """Stands in for `time.sleep`: tests never sleep."""

    def __call__(self, seconds: float) -> None:
        self.append(seconds)


def get(folder: Path, mirrors: list[Mirror], *scripts: list[str], pauses: Pauses | None = None) -> Path:
    mirrors.extend(Mirror(script) for script in scripts)
    pauses = Pauses() if pauses is None else pauses
    return fetch(FILE, [mirror.url for mirror in mirrors], folder, timeout=5.0, pause=pauses)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_arrives_whole_and_is_not_fetched_again(tmp_path: Path, mirrors: list[Mirror]) -> None:
    path = get(tmp_path / "new", mirrors, [])
    assert path.read_bytes() == CONTENT
    assert names(path.parent) == ["file.gz"]
    fetch(FILE, [mirrors[0].url], path.parent)
    assert len(mirrors[0].asked) == 1


def test_progress_is_reported_to_the_last_byte(tmp_path: Path, mirrors: list[Mirror]) -> None:
    heard: list[tuple[str, int, int]] = []
    mirrors.append(Mirror(["breaks off"]))
    fetch(FILE, [mirrors[0].url], tmp_path, progress=lambda *news: heard.append(news), pause=Pauses())
    assert heard[-1] == ("file.gz", len(CONTENT), len(CONTENT))
    assert [done for _, done, _ in heard] == sorted({done for _, done, _ in heard})


def test_a_broken_download_goes_on_where_it_stopped(tmp_path: Path, mirrors: list[Mirror]) -> None:
    pauses = Pauses()
    path = get(tmp_path, mirrors, ["breaks off", "breaks off"], pauses=pauses)
    assert path.read_bytes() == CONTENT
    assert mirrors[0].asked == [None, "bytes=150000-", "bytes=225000-"]
    assert mirrors[0].sent == len(CONTENT), "no byte twice"
    assert pauses == [1, 2]


def test_a_part_left_by_a_killed_process_is_used(tmp_path: Path, mirrors: list[Mirror]) -> None:
    (tmp_path / "file.gz.part").write_bytes(CONTENT[:1000])
    assert get(tmp_path, mirrors, []).read_bytes() == CONTENT
    assert mirrors[0].asked == ["bytes=1000-"]
    assert names(tmp_path) == ["file.gz"]


@pytest.mark.parametrize("part", [b"x" * 1000, CONTENT + b"x", b"x" * len(CONTENT)])
def test_a_bad_part_costs_a_round_but_not_the_file(tmp_path: Path, mirrors: list[Mirror], part: bytes) -> None:
    (tmp_path / "file.gz.part").write_bytes(part)
    assert get(tmp_path, mirrors, []).read_bytes() == CONTENT


def test_a_server_without_ranges_starts_again(tmp_path: Path, mirrors: list[Mirror]) -> None:
    assert get(tmp_path, mirrors, ["breaks off", "no range"]).read_bytes() == CONTENT
    assert mirrors[0].asked == [None, "bytes=150000-"]


def test_a_range_that_the_server_refuses_starts_again(tmp_path: Path, mirrors: list[Mirror]) -> None:
    assert get(tmp_path, mirrors, ["breaks off", "416"]).read_bytes() == CONTENT
    assert mirrors[0].asked == [None, "bytes=150000-", None]


def test_the_next_mirror_goes_on_where_the_first_stopped(tmp_path: Path, mirrors: list[Mirror]) -> None:
    assert get(tmp_path, mirrors, ["breaks off"], []).read_bytes() == CONTENT
    assert mirrors[1].asked == ["bytes=150000-"]


@pytest.mark.parametrize("way", ["404", "403", "page", "endless"])
def test_a_useless_mirror_is_asked_once(tmp_path: Path, mirrors: list[Mirror], way: str) -> None:
    pauses = Pauses()
    assert get(tmp_path, mirrors, [way] * 9, ["503"], pauses=pauses).read_bytes() == CONTENT
    assert len(mirrors[0].asked) == 1
    assert pauses == [1]


def test_the_wrong_part_is_never_appended(tmp_path: Path, mirrors: list[Mirror]) -> None:
    (tmp_path / "file.gz.part").write_bytes(CONTENT[:1000])
    assert get(tmp_path, mirrors, ["wrong part"], []).read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("way", "reason"),
    [
        ("404", "HTTP status 404"),
        ("500", "HTTP status 500"),
        ("page", "offers 19 bytes of text/plain, expected 300,000"),
        ("endless", "sends more than the expected 300,000 bytes"),
        ("wrong", "wrong content: SHA-256 [0-9a-f]{16}…, expected"),
    ],
)
def test_when_no_mirror_helps_the_reason_is_told(tmp_path: Path, mirrors: list[Mirror], way: str, reason: str) -> None:
    with pytest.raises(DataError, match=rf"no mirror gave file.gz \(127.0.0.1:\d+: {reason}"):
        get(tmp_path, mirrors, [way] * 9)
    assert names(tmp_path) == [], "nothing wrong or half-written stays"


def test_a_refused_connection(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/"
    with pytest.raises(DataError, match="Connection refused"):
        fetch(FILE, [url, url], tmp_path, pause=Pauses())


def test_a_silent_server_is_given_up(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        with pytest.raises(DataError, match="no answer in time"):
            fetch(FILE, [url], tmp_path, rounds=1, timeout=0.05)


def test_without_a_network_it_says_where_files_can_be_put(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    about = Description(
        "thing", "a thing", 1, 1, (1,), ("a",), "", "", files=(FILE,), mirrors=("http://one.test/", "http://two.test/")
    )
    with pytest.raises(DataError) as refusal:
        download(about, tmp_path / "thing")
    said = str(refusal.value)
    assert said.startswith(
        "cannot download thing: no mirror gave file.gz (one.test, two.test: unknown host, or no network). "
    )
    assert f"put file.gz into {tmp_path / 'thing'}" in said
    assert "EPOCHAL_DATA=FOLDER" in said


def test_two_downloads_at_once_fetch_once(tmp_path: Path, mirrors: list[Mirror]) -> None:
    mirrors.append(Mirror([]))
    threads = [threading.Thread(target=fetch, args=(FILE, [mirrors[0].url], tmp_path)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(mirrors[0].asked) == 1
    assert names(tmp_path) == ["file.gz"]


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path: Path, mirrors: list[Mirror]) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    (tmp_path / "file.gz.part").symlink_to("/dev/full")
    with pytest.raises(DataError, match=r"file.gz.part: the disk is full; free some space"):
        get(tmp_path, mirrors, [])
    assert names(tmp_path) == []


def test_a_folder_that_cannot_be_made(tmp_path: Path, mirrors: list[Mirror]) -> None:
    (tmp_path / "cache").write_text("a file, not a folder")
    with pytest.raises(DataError, match=r"cannot write .*cache/thing"):
        get(tmp_path / "cache" / "thing", mirrors, [])


def test_a_public_set_is_downloaded_checked_and_loaded(
    cache: Path, mirrors: list[Mirror], monkeypatch: pytest.MonkeyPatch
) -> None:
    from epochal.data import loading, registry

    parts = {
        "train-images-idx3-ubyte.gz": np.zeros((9, 5, 4), np.uint8),
        "train-labels-idx1-ubyte.gz": np.arange(9, dtype=np.uint8) % 3,
        "t10k-images-idx3-ubyte.gz": np.ones((6, 5, 4), np.uint8),
        "t10k-labels-idx1-ubyte.gz": np.arange(6, dtype=np.uint8) % 3,
    }
    served = {name: idx_bytes(array) for name, array in parts.items()}

    class Four(Mirror):
        def answer(self, request: BaseHTTPRequestHandler) -> None:
            body = served[request.path.rsplit("/")[-1]]
            request.send_response(200)
            request.send_header("Content-Length", str(len(body)))
            request.end_headers()
            request.wfile.write(body)

    mirrors.append(Four([]))
    files = tuple(RemoteFile(name, len(body), hashlib.sha256(body).hexdigest()) for name, body in served.items())
    about = Description(
        "small", "a small set", 9, 6, (5, 4), ("a", "b", "c"), "", "", files=files, mirrors=(f"{mirrors[0].url}sub/",)
    )
    for module in (loading, registry):
        monkeypatch.setattr(module, "DATA_SETS", {"small": about})
    data = loading.load_data("small")
    assert data.class_names == ("a", "b", "c")
    assert (len(data.train), len(data.test)) == (9, 6)
    assert names(cache / "small") == sorted(served)
