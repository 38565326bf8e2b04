"""What `init` prints, at the width of a terminal: short, in order, and nothing cut."""

from __future__ import annotations

from haybale.adoption.description import LIKELY, Described
from haybale.adoption.rendering import file_lines, fitted, found_lines, note_lines
from haybale.files import add_stamp

URL = "https://registry.example.org/a/long/path/that-no-line-of-forty/can/hold"


def test_found_lines_say_a_kind_once_and_keep_words_whole() -> None:
    found = [
        Described(subject="dump", value=URL, place="Makefile:3", certainty=LIKELY),
        Described(subject="dump", value="sql", place="a/b.sql"),
        Described(subject="tests", value="pytest"),
    ]
    assert [*found_lines(found, 40)] == [
        f"  dump          {URL}", "                (Makefile:3), likely", "                sql (a/b.sql)",
        "  tests         pytest",
    ]  # fmt: skip


def test_fitted_keeps_lines_apart_and_indented() -> None:
    assert [*fitted(["  a b c d e f\n\n  g"], 9)] == ["  a b c d", "      e f", "", "  g"]


def test_note_lines_are_wrapped_under_a_heading() -> None:
    assert [*note_lines(["dump: no file here is one", "b"], 20)] == [
        "", "For you to look at:", "  - dump: no file", "    here is one", "  - b",
    ]  # fmt: skip
    assert [*note_lines([], 20)] == []


def test_file_lines_show_what_is_of_this_repository_and_name_what_is_haybales() -> None:
    files = {
        "noxfile.py": add_stamp("a\n", "x"), "pyproject.toml": "[a]\n[b]\n",
        "justfile": add_stamp("b\n", "x"), "new.yml": "c\n",
    }  # fmt: skip
    before = {"pyproject.toml": "[a]\n", "justfile": "old\n"}
    lines = [*file_lines(files, before, 80, shows_all=False)]
    assert [line for line in lines if line.startswith("---")] == [
        "--- pyproject.toml", "--- justfile", "--- /dev/null",
    ]  # fmt: skip
    assert "+[b]" in lines
    assert "+c" in lines
    assert lines[-1] == "+++ noxfile.py (2 lines): new, haybale's own (--diff shows them)"
    assert "+a" in [*file_lines(files, before, 80, shows_all=True)]
