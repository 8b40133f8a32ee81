"""A learner in a browser: does what a lesson's step says, answers its question, and looks at what is shown."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from epochal.clock import Plan
from epochal.learn.lessons import EXAMPLE, Lesson

SECONDS = 120  # for any one thing, on a machine that does many others
LATIN = re.compile(r"[A-Za-z][A-Za-z-]*[A-Za-z]")
FINGERPRINT = re.compile(r"\b[0-9a-f]{8,}\b")
VISIBLE_TEXT = """() => {
  const lines = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const parent = node.parentElement;
    if (!node.textContent.trim() || parent.closest("script, style, kbd, code, [lang=en]")) continue;
    if (parent.checkVisibility({visibilityProperty: true})) lines.push(node.textContent.trim());
  }
  for (const element of document.querySelectorAll("[aria-label], [title], [placeholder], [alt]"))
    for (const name of ["aria-label", "title", "placeholder", "alt"])
      if (element.hasAttribute(name) && element.checkVisibility() && !element.closest("code, [lang=en]"))
        lines.push(element.getAttribute(name));
  return lines;
}"""

LISTEN = """
const heard = globalThis.heard = {world: null, views: {}};
const real = globalThis.fetch;
globalThis.fetch = async (...request) => {
  const response = await real(...request);
  const answer = await response.clone().json().catch(() => ({}));
  if (answer.lanes) heard.world = answer.id;
  if (answer.position) heard.views[answer.lane] = answer;
  return response;
};
"""
"""Keeps what the server answered, for comparison with what the page shows."""


@contextmanager
def learn_server(folder: Path, *arguments: str) -> Iterator[str]:
    """Run ``epochal learn`` as people do, and give the address that it prints."""
    environment = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache"), "PYTHONUNBUFFERED": "1"}
    said = folder / "said"
    with said.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "epochal", "learn", *arguments, "--no-browser"],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            yield _printed_address(process, said)
        finally:
            process.terminate()
            process.wait(20)


def _printed_address(process: subprocess.Popen[bytes], said: Path) -> str:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if address := re.search(r"http://127\.0\.0\.1:\d+/\?token=\S+(?=\s)", said.read_text(encoding="utf-8")):
            return address[0]
        time.sleep(0.1)
    raise AssertionError(f"epochal learn printed no address: {said.read_text(encoding='utf-8')}")


def ask(address: str, path: str, body: Mapping[str, Any]) -> Any:
    """Ask the server itself, as the page does."""
    parts = urlsplit(address)
    token = parse_qs(parts.query)["token"][0]
    request = urllib.request.Request(
        f"{parts.scheme}://{parts.netloc}{path}",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json", "X-Epochal-Token": token},
    )
    with urllib.request.urlopen(request, timeout=SECONDS) as answer:
        return json.load(answer)


@dataclass
class Learner:
    """A page in a browser, with somebody before it.

    Attributes:
        page: Playwright's.
        problems: what should not have happened: errors of the script, and requests to anywhere else.
    """

    page: Any
    address: str
    problems: list[str] = field(default_factory=list)

    def listen(self) -> None:
        """Note errors, requests and answers from now on."""
        self.page.on("console", lambda message: self.problems.append(f"console: {message.text}"))
        self.page.on("pageerror", lambda error: self.problems.append(f"error: {error}"))
        self.page.on("request", self._judge)
        self.page.add_init_script(LISTEN)

    def _judge(self, request: Any) -> None:
        own, asked = urlsplit(self.address), urlsplit(request.url)
        if (
            asked.scheme not in ("data", "blob")
            and asked._replace(fragment="") != own
            and (asked.scheme, asked.netloc) != (own.scheme, own.netloc)
        ):
            self.problems.append(f"request: {request.url}")

    @property
    def world(self) -> str:
        """The id of the training that the page shows, as the server named it."""
        return str(self.page.evaluate("heard.world"))

    def view(self, lane: str = "mbgd") -> Any:
        """Return the server's last answer for a lane."""
        return self.page.evaluate(f"heard.views[{lane!r}]")

    def at(self, selector: str) -> Any:
        """Return what a selector finds that can be seen."""
        return self.page.locator(f"{selector}:visible")

    def settle(self) -> None:
        """Wait until the page has shown what it asked for."""
        self.page.wait_for_selector("html[data-ready]:not([data-busy])", state="attached", timeout=1000 * SECONDS)

    def press(self, do: str, lane: str | None = None) -> None:
        """Click a button by what it does; in the main controls, or in a lane's own."""
        within = "" if lane is None else f"[data-lane={lane}] "
        self.page.click(f"{within}[data-do={do}]")
        self.settle()

    def set(self, name: str, value: object) -> None:
        """Type a value into a field of the settings, and press Enter."""
        self.page.fill(f"[data-set={name}]", str(value))
        self.page.press(f"[data-set={name}]", "Enter")
        self.settle()

    def go_to(self, iteration: int) -> None:
        """Type an iteration to go to."""
        self.page.fill("[data-goto-number]", str(iteration))
        self.press("goto")

    def number(self, name: str) -> int:
        """Return a counter's number."""
        return int(self.page.inner_text(f"[data-count={name}]").replace(",", ""))

    def sha(self) -> str:
        """Return the fingerprint of the weights that is shown."""
        return str(self.page.inner_text("[data-sha]"))

    def choose(self, lesson: str) -> None:
        """Begin a lesson."""
        self.page.click(f"[data-lesson={lesson}]")
        self.settle()

    def speak(self, language: str) -> None:
        """Change the page's language."""
        self.page.click(f"[data-language={language}]")
        self.page.wait_for_selector(f"html[lang={language}]", state="attached")

    def is_done(self, step: int) -> bool:
        """Return whether a step is ticked."""
        return bool(self.page.locator("[data-step]").nth(step).evaluate("node => 'done' in node.dataset"))

    def follow(self, goal: Mapping[str, Any], lesson: Lesson) -> None:
        """Do what a step asks for."""
        match goal["type"]:
            case "iterations_done" if goal["count"] > 20:
                self.go_to(goal["count"])
            case "iterations_done":
                for _ in range(goal["count"] - self.number("iteration")):
                    self.press("iteration")
            case "reach":
                self._reach(goal, lesson)
            case "lanes_epoch":
                self.press("lane-epoch", "mbgd")
                self.press("lane-epoch", "sgd")
            case "back":
                self.press("back")
            case "open_sample":
                self.page.locator("[data-sample]").first.click()
                self.settle()
            case "set":
                for name in goal.keys() - {"type"}:
                    self.set(name, goal[name])
            case "micro":
                self.page.fill("[data-micro-size]", str(goal["micro_batch"]))
                self.press("micro")
            case "compare_orders":
                self.press("orders")

    def _reach(self, goal: Mapping[str, Any], lesson: Lesson) -> None:
        if goal["lane"] != "mbgd":
            self.press("lane-iteration", goal["lane"])
            return
        plan = Plan(lesson.start.get("samples", EXAMPLE["samples"]), lesson.start["batch_size"])
        due = goal["epoch"] * plan.batches_per_epoch + goal["batch"]
        if goal["epoch"] > 5:
            self.go_to(due)
        while goal["epoch"] and self.number("iteration") < due:
            self.press("epoch")
        for _ in range(due - self.number("iteration")):
            self.press("iteration")

    def answer(self, goal: Mapping[str, Any], wrong: bool = False) -> None:
        """Answer a question, rightly or by one too many."""
        if goal["type"] == "answer":
            for box, value in enumerate(goal["values"]):
                self.page.locator("[data-answer]").nth(box).fill(f"{value + wrong:,}")
            self.page.click("[data-check]")
        elif goal["type"] == "set":
            self.set("batch_size", goal["batch_size"] + wrong)
        elif goal["type"] == "epoch_loss":
            for _ in range(1 if wrong else 40):
                if not self.at("[data-right]").count():
                    self.press("epoch")

    def width_on_a_phone(self) -> int:
        """Return how wide the page is, in pixels, where the window is as wide as a phone's."""
        self.page.set_viewport_size({"width": 390, "height": 844})
        self.page.wait_for_timeout(100)
        width = self.page.evaluate("document.documentElement.scrollWidth")
        self.page.set_viewport_size({"width": 1280, "height": 900})
        return int(width)

    def english(self, allowed: frozenset[str]) -> set[str]:
        """Return the English words that can be seen, or that a screen reader says, but for those allowed."""
        lines = (FINGERPRINT.sub("", line) for line in self.page.evaluate(VISIBLE_TEXT))
        words = {word for line in lines for word in LATIN.findall(line)}
        return {word for word in words if word.lower() not in allowed}
