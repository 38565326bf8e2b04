from __future__ import annotations

import pytest

from haybale.config import RequirementsSettings
from haybale.errors import RequirementsError
from haybale.requirements.compile import output_heading
from haybale.requirements.pins import (
    describe_changes,
    differing_pins,
    option_lines,
    other_lines,
    raise_if_not_subset,
    raise_if_unpinned,
    read_pins,
    stale_lines,
    stale_options,
    stale_pins,
)

EVERYTHING = """\
# heading
django==5.2.1 \\
    --hash=sha256:aa \\
    --hash=sha256:bb
    # via -r requirements.in
Sql_Parse==0.5 \\
    --hash=sha256:cc
    # via django
pytest==9.0 \\
    --hash=sha256:dd
"""
ASKED = {"django": "django>=5.2 in a.in:3", "pytest": "pytest in a.in:7"}


MARKED = """\
own @ https://files.example/own-1.0.zip#egg=own \\
    --hash=sha256:11 \\
    --hash=sha256:22
    # via -r requirements.in
django==5.2.1 ; python_version >= "3.13" and sys_platform == "linux" \\
    --hash=sha256:aa
bare==1.0
"""


def test_read_pins_has_addresses_and_markers() -> None:
    pins = read_pins(MARKED)
    assert (pins["own"].version, pins["own"].is_address) == (
        "https://files.example/own-1.0.zip#egg=own",
        True,
    )
    assert pins["own"].hashes == {"sha256:11", "sha256:22"}
    assert pins["django"].version == "5.2.1"
    assert pins["django"].marker == 'python_version >= "3.13" and sys_platform == "linux"'
    assert pins["bare"].hashes == frozenset()
    assert [str(pin) for pin in pins.values()][::2] == [
        "own @ https://files.example/own-1.0.zip#egg=own",
        "bare==1.0",
    ]
    assert other_lines(MARKED) == []


def test_read_pins_gives_a_hash_to_its_own_pin_only() -> None:
    pins = read_pins("a==1\n-e ./b\n    --hash=sha256:bb\n")
    assert pins["a"].hashes == frozenset()


@pytest.mark.parametrize(
    "line",
    [
        "requests>=2",
        "-e ./here",
        "--index-url https://index.example/simple",
        "./here",
        "requests",
        "-r x.txt",
    ],
)
def test_stale_lines_has_what_is_no_pin(line: str) -> None:
    first = "# heading\n"
    assert stale_lines(EVERYTHING, first) == []
    assert stale_lines(f"{EVERYTHING}{line}\n", first) == [f":11: {line!r} is not a pin"]


def test_stale_lines_has_the_heading_of_another_python() -> None:
    old = output_heading(RequirementsSettings(source="a.in"), "3.12")
    (reason,) = stale_lines(old + EVERYTHING, output_heading(RequirementsSettings(source="a.in"), "3.13"))
    assert reason.startswith(":1: ")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("bare==1.0\n", "bare==1.0"),
        ("django==5.2\n", r"django>=5\.2 in a\.in:3"),
        ("own @ file:///home/me/own \\\n    --hash=sha256:11\n", "own"),
        ("-e file:///home/me/own\n", "-e file"),
    ],
)
def test_raise_if_unpinned_names_what_has_no_archive_with_a_hash(text: str, words: str) -> None:
    with pytest.raises(RequirementsError, match=words) as raised:
        raise_if_unpinned(text, ASKED)
    assert raised.value.hint
    raise_if_unpinned(EVERYTHING, ASKED)


def test_read_pins_has_version_hashes_and_line_under_the_normal_name() -> None:
    pins = read_pins(EVERYTHING)
    assert set(pins) == {"django", "sql-parse", "pytest"}
    assert pins["django"].version == "5.2.1"
    assert pins["django"].hashes == {"sha256:aa", "sha256:bb"}
    assert (pins["django"].line, pins["sql-parse"].line, pins["pytest"].line) == (2, 6, 9)


def test_raise_if_not_subset_accepts_a_part_of_everything() -> None:
    raise_if_not_subset(EVERYTHING.partition("pytest==")[0], EVERYTHING)


@pytest.mark.parametrize(
    ("change", "strange"),
    [
        (("5.2.1", "5.2.2"), "django==5.2.2"),
        (("sha256:bb", "sha256:ff"), "django==5.2.1"),
        (("pytest==", "coverage=="), "coverage==9.0"),
    ],
)
def test_raise_if_not_subset_names_what_everything_has_not(change: tuple[str, str], strange: str) -> None:
    with pytest.raises(RequirementsError, match=strange):
        raise_if_not_subset(EVERYTHING.replace(*change), EVERYTHING)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("5.2.1", "5.1"), ":2: django==5.1 does not fit django>=5.2 in a.in:3; 5.2.1 does"),
        (
            ("Parse==0.5", "Parse==0.4"),
            ":6: sql-parse==0.4 does not fit what the other packages ask for; 0.5 does",
        ),
        (("pytest==", "coverage=="), ":9: coverage==9.0 is not needed any more"),
        (("    --hash=sha256:dd\n", ""), ":9: pytest==9.0 has no hashes"),
        (("sha256:cc", "sha256:ee"), ":6: sql-parse==0.5 has a hash that the package index does not know"),
        (("pytest==9.0", "# pytest"), ": pytest==9.0 is missing, needed for pytest in a.in:7"),
        (
            ("5.2.1 ", '5.2.1 ; sys_platform == "win32" '),
            ':2: django==5.2.1 is for another case: sys_platform == "win32", not always',
        ),
        (("Sql_Parse==0.5", "# x"), ": sql-parse==0.5 is missing, needed for another package"),
    ],
)
def test_stale_pins_has_each_pin_with_its_reason(change: tuple[str, str], reason: str) -> None:
    present = read_pins(EVERYTHING.replace(*change))
    assert reason in stale_pins(present, read_pins(EVERYTHING), ASKED)


def test_stale_pins_is_empty_where_nothing_changed() -> None:
    pins = read_pins(EVERYTHING)
    assert stale_pins(pins, pins, ASKED) == []


def test_stale_pins_ignores_a_hash_that_appeared_since() -> None:
    later = read_pins(EVERYTHING.replace("sha256:cc", "sha256:cc --hash=sha256:c2"))
    assert stale_pins(read_pins(EVERYTHING), later, ASKED) == []


def test_describe_changes_has_a_line_for_each_package() -> None:
    after = read_pins(EVERYTHING.replace("5.2.1", "5.2.2").replace("pytest==", "coverage=="))
    assert describe_changes(read_pins(EVERYTHING), after) == [
        "+ coverage==9.0",
        "  django==5.2.1 -> 5.2.2",
        "- pytest==9.0",
    ]
    assert describe_changes(after, after) == ["no pin changed"]


def test_differing_pins_names_both_lines() -> None:
    production = read_pins(EVERYTHING.replace("5.2.1", "5.2.2").replace("cc", "c1"))
    assert differing_pins(production, read_pins(EVERYTHING), "all.txt") == [
        ":2: django==5.2.2 is not as in all.txt:2",
        ":6: sql-parse==0.5 is not as in all.txt:6",
    ]


OPTIONS = "--only-binary :all:\n--no-binary psycopg,lxml\n\na==1 \\\n    --hash=sha256:aa\n"


def test_options_of_archives_are_kept() -> None:
    assert option_lines(OPTIONS) == ["--only-binary :all:", "--no-binary psycopg,lxml"]
    assert other_lines(OPTIONS) == []
    raise_if_unpinned(OPTIONS, {})


def test_stale_options_names_what_is_missing_and_what_is_too_much() -> None:
    assert stale_options(OPTIONS, OPTIONS) == []
    wanted = OPTIONS.replace("psycopg,lxml", "psycopg")
    assert stale_options(OPTIONS, wanted) == [
        ": '--no-binary psycopg' is missing",
        ": '--no-binary psycopg,lxml' is not asked for any more",
    ]


@pytest.mark.parametrize(
    "line", ["--index-url https://h/", "--no-binary", "-e ./own", "--only-binary :all: x"]
)
def test_other_options_are_not_kept(line: str) -> None:
    assert other_lines(f"{line}\n") == [(1, line)]
