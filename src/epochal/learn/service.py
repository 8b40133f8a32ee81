"""The learn page as a site: the page itself, and the questions that it asks the lab."""

from __future__ import annotations

from functools import partial

from epochal.learn.lab import Lab
from epochal.learn.learn_page import render_page
from epochal.web.server import Site
from epochal.words.language import present_language


def site_of(lab: Lab, token: str) -> Site:
    """Return the site of a lab, which answers those alone who bring the token."""
    questions = {path: partial(lab.answer, path) for path in lab.paths}
    return Site({"/": lambda query: page_of(lab, token)}, questions, token)


def page_of(lab: Lab, token: str) -> str:
    """Return the page, with the lessons that fit this machine's data."""
    from epochal.learn.lessons import lessons_for_page

    return render_page(
        token, lang=present_language(), lessons=lessons_for_page(lab.worked_example), problem=lab.problem
    )
