from __future__ import annotations

from pathlib import Path

import pytest

from haybale import pipcompile, requirements
from haybale.errors import RequirementsError

FILE = Path("/site/web/requirements.in")
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


def test_production_is_what_stands_before_the_heading() -> None:
    text = "django>=5.2\n# a comment about Dev things\n# Dev\npytest\n"
    assert requirements.split(FILE, text, "# Dev") == "django>=5.2\n# a comment about Dev things\n"


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("django\npytest\n", ":2:", "is missing"),
        ("", ":1:", "is missing"),
        ("django\n# Dev\npytest\n# Dev\nruff\n", ":4:", "already, in line 2"),
        ("django\n#Dev\npytest\n", ":2:", "is not the heading"),
        ("django\n# dev\npytest\n", ":2:", "is not the heading"),
        ("django\n\n## Development\npytest\n", ":3:", "is not the heading"),
        ("django\n# Dev\npytest\n# DEV\n", ":4:", "looks like the heading in line 2"),
    ],
)
def test_a_wrong_heading_is_named_with_its_line(text: str, place: str, words: str) -> None:
    with pytest.raises(RequirementsError, match=words) as told:
        requirements.split(FILE, text, "# Dev")
    assert told.value.what.startswith(f"{FILE}{place}")


def test_pins_have_version_hashes_and_line_under_their_normal_name() -> None:
    pins = requirements.pins(EVERYTHING)
    assert set(pins) == {"django", "sql-parse", "pytest"}
    assert pins["django"].version == "5.2.1"
    assert pins["django"].hashes == {"sha256:aa", "sha256:bb"}
    assert (pins["django"].line, pins["sql-parse"].line, pins["pytest"].line) == (2, 6, 9)


def compiled(production: str) -> requirements.Compiled:
    return requirements.Compiled(everything=EVERYTHING, production=production)


def test_a_part_of_everything_may_be_production() -> None:
    requirements.check_subset(compiled(EVERYTHING.partition("pytest==")[0]))


@pytest.mark.parametrize(
    ("change", "strange"),
    [
        (("5.2.1", "5.2.2"), "django==5.2.2"),
        (("sha256:bb", "sha256:ff"), "django==5.2.1"),
        (("pytest==", "coverage=="), "coverage==9.0"),
    ],
)
def test_production_has_nothing_that_everything_has_not(change: tuple[str, str], strange: str) -> None:
    with pytest.raises(RequirementsError, match=strange):
        requirements.check_subset(compiled(EVERYTHING.replace(*change)))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("5.2.1", "5.1"), ":2: django==5.1 does not fit any more; 5.2.1 does"),
        (("pytest==", "coverage=="), ":9: coverage==9.0 is not asked for any more"),
        (("    --hash=sha256:dd\n", ""), ":9: pytest==9.0 has no hashes"),
        (("sha256:cc", "sha256:ee"), ":6: sql-parse==0.5 has a hash that the package index does not know"),
        (("pytest==9.0", "# pytest"), ": pytest==9.0 is asked for and missing"),
    ],
)
def test_a_stale_line_is_told_with_its_reason(change: tuple[str, str], reason: str) -> None:
    present = requirements.pins(EVERYTHING.replace(*change))
    assert reason in requirements.stale_lines(present, requirements.pins(EVERYTHING))


def test_what_is_up_to_date_is_not_stale() -> None:
    pins = requirements.pins(EVERYTHING)
    assert requirements.stale_lines(pins, pins) == []


def test_a_hash_that_appeared_since_does_not_make_a_pin_stale() -> None:
    later = requirements.pins(EVERYTHING.replace("sha256:cc", "sha256:cc --hash=sha256:c2"))
    assert requirements.stale_lines(requirements.pins(EVERYTHING), later) == []


def test_changes_are_told_by_package() -> None:
    after = requirements.pins(EVERYTHING.replace("5.2.1", "5.2.2").replace("pytest==", "coverage=="))
    assert requirements.changes(requirements.pins(EVERYTHING), after) == [
        "+ coverage==9.0",
        "  django==5.2.1 -> 5.2.2",
        "- pytest==9.0",
    ]
    assert requirements.changes(after, after) == ["no pin changed"]


def test_comments_lose_what_belongs_to_this_machine() -> None:
    text = "a==1\n    # via\n    #   -c /tmp/x/everything.txt\n    #   -r -\nb==2\n    # via -r -\n"
    renamed = {"-r -": "-r requirements.in", "-c /tmp/x/everything.txt": ""}
    assert requirements.tidy(text, renamed).splitlines() == [
        "a==1",
        "    # via",
        "    #   -r requirements.in",
        "b==2",
        "    # via -r requirements.in",
    ]


def test_the_inputs_of_a_conflict_are_pointed_at() -> None:
    text = "# The site\ndjango>=5.2,<5.3\nDjango_Haystack[x]>=3 # search\n-r other.in\n# Dev\npytest\n"
    said = "The user requested django<5.3,>=5.2\n    django-haystack 3.4 depends on Django>=6\n"
    assert requirements.conflicting(FILE, text, said) == [f"{FILE}:2 (django)", f"{FILE}:3 (Django_Haystack)"]


def test_both_files_are_replaced_or_neither_is(tmp_path: Path) -> None:
    first, second = tmp_path / "a.txt", tmp_path / "folder" / "b.txt"
    first.write_text("old", encoding="utf-8")
    with pytest.raises(FileNotFoundError):
        requirements.replace_both({first: "new", second: "new"})
    assert first.read_text(encoding="utf-8") == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["a.txt"]


def test_where_the_second_can_t_be_replaced_the_first_gets_its_text_back(tmp_path: Path) -> None:
    first, second, third = tmp_path / "a.txt", tmp_path / "b.txt", tmp_path / "c.txt"
    first.write_text("old", encoding="utf-8")
    third.mkdir()
    with pytest.raises(OSError, match=r"c\.txt"):
        requirements.replace_both({first: "new", second: "new", third: "new"})
    assert first.read_text(encoding="utf-8") == "old"
    assert not second.exists()


def test_wheels_of_every_older_glibc_are_taken_newest_first() -> None:
    tags = pipcompile.platforms("x86_64")
    assert tags.index("manylinux_2_28_x86_64") < tags.index("manylinux_2_17_x86_64")
    assert {"manylinux2014_x86_64", "manylinux1_x86_64", "linux_x86_64"} <= set(tags)
