from __future__ import annotations

import json

from epochal.web.one_file import Sources, embedded_json, policy_hash

REPORT = Sources(package="epochal.report", styles=("page",), scripts=("numbers", "chart"))


def test_a_page_takes_its_own_files_and_the_shared_ones() -> None:
    script, style = REPORT.script(), REPORT.style()
    assert "class Scale" in script  # of web
    assert "class Chart" in script  # of the report
    assert style.index("--paper") < style.index(".keys")


def test_no_name_of_a_script_leaks() -> None:
    script = REPORT.script()
    assert script.startswith('"use strict";\n(() => {')
    assert script.endswith("start();\n})();\n")


def test_dark_colours_are_for_dark_systems_for_who_asks_and_for_pictures() -> None:
    learn = Sources(package="epochal.learn", styles=(), scripts=()).style()
    assert learn.count("--hand:") == 3  # its own dark colours
    assert learn.count("--paper: #131516") == 3  # and the shared ones


def test_a_hash_names_one_script_alone() -> None:
    assert policy_hash("a") == "sha256-ypeBEsobvcr6wjGzmiPcTaeG7/gUfE5yuYB3ha/uSLs="
    assert policy_hash("a") != policy_hash("b")


def test_embedded_json_reads_back_and_ends_no_element() -> None:
    value = {"text": "</script><!-- & 一轮"}
    text = embedded_json(value)
    assert json.loads(text) == value
    assert "<" not in text
