"""How fast the learn page is answered: ``python bench/learning.py [PROBLEM …]``, over HTTP as a browser asks.

Each line is the median and the 99th percentile of the answers to one question, in milliseconds.
"""

from __future__ import annotations

import http.client
import json
import math
import statistics
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from epochal.learn.lab import Lab
from epochal.web.server import PageServer, Site

TOKEN = "bench"
STEPS = 200


def serve(lab: Lab) -> PageServer:
    questions = {path: (lambda body, path=path: lab.answer(path, body)) for path in lab.paths}
    server = PageServer.open(Site({}, questions, TOKEN))
    threading.Thread(target=server.run, daemon=True).start()
    return server


def asker(server: PageServer) -> Callable[..., dict[str, Any]]:
    def ask(name: str, **body: Any) -> dict[str, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", server.server.server_address[1])
        connection.request("POST", f"/api/{name}", json.dumps(body), {"X-Epochal-Token": TOKEN})
        answer: dict[str, Any] = json.loads(connection.getresponse().read())
        connection.close()
        if not answer["ok"]:
            raise SystemExit(answer["error"]["en"])
        return answer

    return ask


def timed(call: Callable[..., Any], *names: str, **body: Any) -> tuple[Any, float]:
    started = time.perf_counter()
    return call(*names, **body), 1000 * (time.perf_counter() - started)


def show(what: str, times: list[float]) -> None:
    ordered = sorted(times)
    print(f"{what:44} {statistics.median(ordered):9.1f} {ordered[math.ceil(0.99 * len(ordered)) - 1]:9.1f}")


def measure(problem: str, **wish: Any) -> None:
    lab = Lab(problem)
    lab.load(problem)
    ask = asker(serve(lab))
    about, seconds = timed(ask, "start", problem=problem, **wish)
    name = about["id"]
    title = f"{problem} {' '.join(f'{key}={value}' for key, value in wish.items())}".strip()
    show(f"{title}: start", [seconds])
    show("  first iteration (may compile)", [timed(ask, "go", id=name, lane="mbgd", to=1)[1]])

    # while the landscape is computed, which must not slow the steps down
    started, at, times = time.perf_counter(), 1, []
    while not ask("landscape", id=name)["ready"]:
        at += 1
        times.append(timed(ask, "go", id=name, lane="mbgd", to=at)[1])
        time.sleep(0.06)
    show(f"  landscape, with {len(times)} steps meanwhile", [1000 * (time.perf_counter() - started)])
    if times:
        show("  one iteration meanwhile, main lane", times)

    for lane, steps in (("mbgd", STEPS), ("sgd", STEPS), ("bgd", 20 if about["problem"]["samples"] < 10_000 else 3)):
        size = about["lanes"][lane]["batch_size"]
        ask("go", id=name, lane=lane, to=1)
        forth = [timed(ask, "go", id=name, lane=lane, to=to)[1] for to in range(2, steps + 2)]
        back = [timed(ask, "go", id=name, lane=lane, to=to)[1] for to in range(steps, 1, -1)]
        show(f"  one iteration, B={size:,}", forth)
        show(f"  one back, B={size:,}", back)
    lab.close()


if __name__ == "__main__":
    print(f"{'milliseconds':44} {'median':>9} {'p99':>9}")
    for one in sys.argv[1:] or ["line", "points", "digits"]:
        measure(one)
