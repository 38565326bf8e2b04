from __future__ import annotations

from pathlib import Path

import pytest

from haybale.requirements.pins import Pin, read_all_pins
from haybale.requirements.written import bound, describe, freed_names, loosen, move_pins

FILE = Path("/site/requirements.txt")
TEXT = """\
# The site
Django==4.2.1
coverage[toml] == 7.2.2  # for reports
pysolr>=3.9
old==1 ; python_version < "3.9"
old==2 ; python_version >= "3.9"
hashed==1 \\
    --hash=sha256:00 \\
    --hash=sha256:01
    # via nothing
-r more.txt
"""


def pin(name: str, version: str, *hashes: str) -> Pin:
    return Pin(name=name, version=version, hashes=frozenset(hashes), line=1)


def test_freed_names_are_those_asked_for_that_are_pinned_once() -> None:
    texts = {FILE: TEXT}
    assert freed_names(texts, upgrade=False, upgrade_packages=[]) == set()
    asked = ["Django<5", "pysolr", "old"]
    assert freed_names(texts, upgrade=False, upgrade_packages=asked) == {"django"}
    assert freed_names(texts, upgrade=True, upgrade_packages=[]) == {"django", "coverage", "hashed"}


def test_loosen_frees_only_the_named_and_takes_hashes_out() -> None:
    assert loosen(TEXT, {"coverage": "<8"}) == (
        "Django==4.2.1\ncoverage[toml]<8\npysolr>=3.9\n"
        'old==1 ; python_version < "3.9"\nold==2 ; python_version >= "3.9"\nhashed==1\n-r more.txt\n'
    )


@pytest.mark.parametrize(
    ("package", "expected"), [("django", ""), ("Django<5", "<5"), ("a[x] >=1,<2", ">=1,<2")]
)
def test_bound_is_what_stands_after_the_name(package: str, expected: str) -> None:
    assert bound(package) == expected


def test_move_pins_changes_versions_and_hashes_and_nothing_else() -> None:
    moved = {
        "django": pin("django", "5.2", "sha256:aa"),
        "coverage": pin("coverage", "8.0"),
        "hashed": pin("hashed", "2", "sha256:02", "sha256:03"),
        "absent": pin("absent", "1"),
    }
    expected = (
        TEXT.replace("4.2.1", "5.2")
        .replace("7.2.2", "8.0")
        .replace("hashed==1", "hashed==2")
        .replace("sha256:00", "sha256:02")
        .replace("sha256:01", "sha256:03")
    )
    assert move_pins(TEXT, moved) == expected
    windows = TEXT.replace("\n", "\r\n")
    assert move_pins(windows, moved) == expected.replace("\n", "\r\n")


def test_move_pins_gives_back_what_does_not_move() -> None:
    text = "a==1 --hash=sha256:00  # why\nb==1"
    assert move_pins(text, {"a": pin("a", "1", "sha256:09")}) == text


def test_describe_names_what_is_not_pinned() -> None:
    resolved = read_all_pins("django==4.2.1\npysolr==3.11\nsqlparse==1\nasgiref==1\n")
    assert describe({FILE: TEXT}, resolved) == [
        f"{FILE}:4: pysolr>=3.9 is not pinned: each build takes what is newest then",
        "not pinned, but needed by what is: asgiref, sqlparse",
    ]
