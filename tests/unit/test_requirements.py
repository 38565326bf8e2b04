from __future__ import annotations

from pathlib import Path

import pytest

from haybale.config import Project, RequirementsSettings, Settings
from haybale.errors import PrerequisiteError, RequirementsError, UsageError
from haybale.requirements.compile import (
    explain_failure,
    file_beside,
    heading,
    inputs,
    production_part,
    raise_if_heading,
    raise_if_unknown,
    read_direct_requirements,
    regenerate_requirements,
    rename_in_comments,
    replace_all,
)
from haybale.requirements.pins import (
    describe_changes,
    differing_pins,
    other_lines,
    raise_if_not_subset,
    raise_if_unpinned,
    read_pins,
    stale_lines,
    stale_pins,
)
from haybale.requirements.target import marker_environment, wheel_platforms

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
ASKED = {"django": "django>=5.2 in a.in:3", "pytest": "pytest in a.in:7"}


def test_production_part_is_what_stands_before_the_heading() -> None:
    text = "django>=5.2\n# a comment about Dev things\n# Dev\npytest\n"
    assert production_part(FILE, text, "# Dev") == "django>=5.2\n# a comment about Dev things\n"


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
        ("django\n# Dev:\npytest\n", ":2:", "is not the heading"),
        ("django\n# --- Dev requirements ---\npytest\n", ":2:", "is not the heading"),
        ("django # Dev\npytest\n", ":2:", "is missing"),
    ],
)
def test_production_part_names_the_line_of_a_wrong_heading(text: str, place: str, words: str) -> None:
    with pytest.raises(RequirementsError, match=words) as told:
        production_part(FILE, text, "# Dev")
    assert told.value.message.startswith(f"{FILE}{place}")


def test_production_part_knows_another_heading_by_its_misspellings() -> None:
    assert production_part(FILE, "django\n## Tests\npytest\n", "## Tests") == "django\n"
    with pytest.raises(RequirementsError, match="'# tests' is not the heading '## Tests'"):
        production_part(FILE, "django\n# tests\npytest\n", "## Tests")


def test_production_part_takes_no_other_comment_for_a_heading() -> None:
    text = "# Development happens elsewhere\ndjango\n# Dev\n# dev tools, see the wiki\npytest\n"
    assert production_part(FILE, text, "# Dev") == "# Development happens elsewhere\ndjango\n"


def test_raise_if_heading_names_its_line() -> None:
    raise_if_heading(FILE, "django\n# Development\n", "# Dev")
    with pytest.raises(RequirementsError, match=r":2: the heading '# Dev' has no meaning"):
        raise_if_heading(FILE, "django\n# Dev\npytest\n", "# Dev")


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
    old = heading(RequirementsSettings(python="3.12"))
    (reason,) = stale_lines(old + EVERYTHING, heading(RequirementsSettings()))
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
    with pytest.raises(RequirementsError, match=words) as told:
        raise_if_unpinned(text, ASKED)
    assert told.value.hint
    raise_if_unpinned(EVERYTHING, ASKED)


def test_raise_if_unknown_suggests_a_pinned_package() -> None:
    raise_if_unknown(["Django", "sql_parse==0.6"], {"django", "sql-parse"})
    with pytest.raises(UsageError, match="'djang'") as told:
        raise_if_unknown(["djang"], {"django", "sql-parse"})
    assert "'django'" in told.value.hint


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


def test_rename_in_comments_removes_what_belongs_to_this_machine() -> None:
    text = "a==1\n    # via\n    #   -c /tmp/x/e.txt\n    #   -r -\nb==2\n    # via -r -\n"
    text += "c==3\n    # via\n    #   -c /tmp/x/e.txt\n    #   a\n    #   b\n"
    renamed = {"-r -": "-r requirements.in", "-c /tmp/x/e.txt": None}
    assert rename_in_comments(text, renamed).splitlines() == [
        "a==1",
        "    # via -r requirements.in",
        "b==2",
        "    # via -r requirements.in",
        "c==3",
        "    # via",
        "    #   a",
        "    #   b",
    ]


def test_differing_pins_names_both_lines() -> None:
    production = read_pins(EVERYTHING.replace("5.2.1", "5.2.2").replace("cc", "c1"))
    assert differing_pins(production, read_pins(EVERYTHING), "all.txt") == [
        ":2: django==5.2.2 is not as in all.txt:2",
        ":6: sql-parse==0.5 is not as in all.txt:6",
    ]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "web").mkdir()
    (tmp_path / "web/requirements.in").write_text(
        "# The site\ndjango>=5.2,<5.3\nDjango_Haystack[x]>=3 # search\n-r other.in\n# Dev\npytest\n",
        encoding="utf-8",
    )
    return Project(root=tmp_path, settings=Settings(name="s", registry="r", core="c"))


def test_explain_failure_points_at_the_inputs_of_a_conflict(project: Project) -> None:
    said = (
        "warning: pytest is only in this line\n"
        "  asgiref<3 is asked for by django 5.2 (django<5.3->-r requirements.in (line 2))\n"
        "  asgiref>4 is asked for by xyz 3.4 (xyz->django-haystack[x]>=3->-r requirements.in (line 3))\n"
    )
    cause, _ = explain_failure(said, read_direct_requirements(project))
    file = project.root / "web/requirements.in"
    assert f"django>=5.2,<5.3 in {file}:2" in cause
    assert f"Django_Haystack[x]>=3 in {file}:3" in cause
    assert "pytest in" not in cause


def test_explain_failure_names_what_the_index_has_not(project: Project) -> None:
    said = "No matching distribution found for pytest>=99\n  pytest>=99 is asked for by the input\n"
    cause, step = explain_failure(said, read_direct_requirements(project))
    assert cause == f"nothing on the package index fits pytest in {project.root / 'web/requirements.in'}:6"
    assert "index" in step


def test_read_direct_requirements_has_the_lines_of_included_files(project: Project) -> None:
    (project.root / "web/other.in").write_text("-r requirements.in\n\nrequests>=2\n", encoding="utf-8")
    asked = read_direct_requirements(project)
    assert asked["requests"] == f"requests>=2 in {project.root}/web/other.in:3"
    assert asked["pytest"].endswith("requirements.in:6")


def test_read_direct_requirements_names_a_file_in_another_encoding(project: Project) -> None:
    project.path("web/requirements.in").write_bytes("# für\n".encode("latin-1"))
    with pytest.raises(RequirementsError, match=r"requirements\.in is not UTF-8"):
        read_direct_requirements(project)


def test_inputs_names_a_missing_file(project: Project) -> None:
    project.path("web/requirements.in").unlink()
    with pytest.raises(RequirementsError, match=r"web/requirements\.in does not exist"):
        inputs(project)


def test_file_beside_is_beside_its_input_and_is_removed(project: Project) -> None:
    source = project.path("web/requirements.in")
    with file_beside(source, "django\n") as name:
        assert (source.parent / name).read_text(encoding="utf-8") == "django\n"
    assert [file.name for file in source.parent.iterdir()] == [source.name]


def test_replace_all_replaces_none_where_one_cannot_be_written(tmp_path: Path) -> None:
    first, second = tmp_path / "a.txt", tmp_path / "folder" / "b.txt"
    first.write_text("old", encoding="utf-8")
    with pytest.raises(FileNotFoundError):
        replace_all({first: "new", second: "new"})
    assert first.read_text(encoding="utf-8") == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["a.txt"]


def test_replace_all_gives_the_first_its_text_back_where_the_second_fails(tmp_path: Path) -> None:
    first, second, third = tmp_path / "a.txt", tmp_path / "b.txt", tmp_path / "c.txt"
    first.write_text("old", encoding="utf-8")
    third.mkdir()
    with pytest.raises(OSError, match=r"c\.txt"):
        replace_all({first: "new", second: "new", third: "new"})
    assert first.read_text(encoding="utf-8") == "old"
    assert not second.exists()


def test_regenerate_explains_files_that_cannot_be_written(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.path("web/requirements.prod.txt").mkdir()
    texts = dict.fromkeys(
        map(project.path, ("web/requirements.txt", "web/requirements.prod.txt")), EVERYTHING
    )
    monkeypatch.setattr("haybale.requirements.compile.compile_both", lambda *_: texts)
    with pytest.raises(PrerequisiteError, match="cannot be written") as told:
        regenerate_requirements(project, upgrade=False, upgrade_packages=[], say=print)
    assert "both files are as they were" in told.value.cause
    assert not project.path("web/requirements.txt").exists()


@pytest.mark.parametrize(
    ("python", "short", "full"),
    [("3.13", "3.13", "3.13.0"), ("3.13.4", "3.13", "3.13.4"), ("3.9", "3.9", "3.9.0")],
)
def test_marker_environment_is_that_of_the_image_s_python(python: str, short: str, full: str) -> None:
    found = marker_environment(python, "aarch64")
    assert (found["python_version"], found["python_full_version"]) == (short, full)
    assert found["implementation_version"] == full
    assert (found["sys_platform"], found["platform_machine"]) == ("linux", "aarch64")


def test_wheel_platforms_has_every_older_glibc_newest_first() -> None:
    tags = wheel_platforms("x86_64")
    assert tags.index("manylinux_2_28_x86_64") < tags.index("manylinux_2_17_x86_64")
    assert {"manylinux2014_x86_64", "manylinux1_x86_64", "linux_x86_64"} <= set(tags)
