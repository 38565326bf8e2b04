from __future__ import annotations

from pathlib import Path

import pytest

from haybale.config import Project, Settings
from haybale.config import Requirements as RequirementSettings
from haybale.errors import PrerequisiteError, RequirementsError, UsageError
from haybale.requirements import compile as requirements
from haybale.requirements import target as pipcompile

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
        ("django\n# Dev:\npytest\n", ":2:", "is not the heading"),
        ("django\n# --- Dev requirements ---\npytest\n", ":2:", "is not the heading"),
        ("django # Dev\npytest\n", ":2:", "is missing"),
    ],
)
def test_a_wrong_heading_is_named_with_its_line(text: str, place: str, words: str) -> None:
    with pytest.raises(RequirementsError, match=words) as told:
        requirements.split(FILE, text, "# Dev")
    assert told.value.message.startswith(f"{FILE}{place}")


def test_another_heading_is_known_by_its_own_misspellings() -> None:
    assert requirements.split(FILE, "django\n## Tests\npytest\n", "## Tests") == "django\n"
    with pytest.raises(RequirementsError, match="'# tests' is not the heading '## Tests'"):
        requirements.split(FILE, "django\n# tests\npytest\n", "## Tests")


def test_a_comment_that_only_mentions_development_is_no_heading() -> None:
    text = "# Development happens elsewhere\ndjango\n# Dev\n# dev tools, see the wiki\npytest\n"
    assert requirements.split(FILE, text, "# Dev") == "# Development happens elsewhere\ndjango\n"


def test_a_heading_has_no_place_where_there_is_a_second_input() -> None:
    requirements.check_no_heading(FILE, "django\n# Development\n", "# Dev")
    with pytest.raises(RequirementsError, match=r":2: the heading '# Dev' has no meaning"):
        requirements.check_no_heading(FILE, "django\n# Dev\npytest\n", "# Dev")


MARKED = """\
own @ https://files.example/own-1.0.zip#egg=own \\
    --hash=sha256:11 \\
    --hash=sha256:22
    # via -r requirements.in
django==5.2.1 ; python_version >= "3.13" and sys_platform == "linux" \\
    --hash=sha256:aa
bare==1.0
"""


def test_addresses_and_markers_are_part_of_a_pin() -> None:
    pins = requirements.pins(MARKED)
    assert (pins["own"].version, pins["own"].address) == ("https://files.example/own-1.0.zip#egg=own", True)
    assert pins["own"].hashes == {"sha256:11", "sha256:22"}
    assert pins["django"].version == "5.2.1"
    assert pins["django"].marker == 'python_version >= "3.13" and sys_platform == "linux"'
    assert pins["bare"].hashes == frozenset()
    assert [str(pin) for pin in pins.values()][::2] == [
        "own @ https://files.example/own-1.0.zip#egg=own",
        "bare==1.0",
    ]
    assert requirements.strange(MARKED) == []


def test_a_hash_belongs_to_its_own_pin_only() -> None:
    pins = requirements.pins("a==1\n-e ./b\n    --hash=sha256:bb\n")
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
def test_a_line_that_is_no_pin_is_stale(line: str) -> None:
    heading = "# heading\n"
    assert requirements.foreign(EVERYTHING, heading) == []
    assert requirements.foreign(f"{EVERYTHING}{line}\n", heading) == [f":11: {line!r} is no pin"]


def test_what_was_compiled_for_another_python_is_stale() -> None:
    old = requirements.heading(RequirementSettings(python="3.12"))
    (reason,) = requirements.foreign(old + EVERYTHING, requirements.heading(RequirementSettings()))
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
def test_what_has_no_archive_with_a_hash_can_t_be_pinned(text: str, words: str) -> None:
    with pytest.raises(RequirementsError, match=words) as told:
        requirements.check_pinned(text, ASKED)
    assert told.value.hint
    requirements.check_pinned(EVERYTHING, ASKED)


def test_only_a_pinned_package_can_be_upgraded() -> None:
    requirements.check_known(["Django", "sql_parse==0.6"], {"django", "sql-parse"})
    with pytest.raises(UsageError, match="'djang'") as told:
        requirements.check_known(["djang"], {"django", "sql-parse"})
    assert "'django'" in told.value.hint


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
def test_a_stale_line_is_told_with_its_reason(change: tuple[str, str], reason: str) -> None:
    present = requirements.pins(EVERYTHING.replace(*change))
    assert reason in requirements.stale_lines(present, requirements.pins(EVERYTHING), ASKED)


def test_what_is_up_to_date_is_not_stale() -> None:
    pins = requirements.pins(EVERYTHING)
    assert requirements.stale_lines(pins, pins, ASKED) == []


def test_a_hash_that_appeared_since_does_not_make_a_pin_stale() -> None:
    later = requirements.pins(EVERYTHING.replace("sha256:cc", "sha256:cc --hash=sha256:c2"))
    assert requirements.stale_lines(requirements.pins(EVERYTHING), later, ASKED) == []


def test_changes_are_told_by_package() -> None:
    after = requirements.pins(EVERYTHING.replace("5.2.1", "5.2.2").replace("pytest==", "coverage=="))
    assert requirements.changes(requirements.pins(EVERYTHING), after) == [
        "+ coverage==9.0",
        "  django==5.2.1 -> 5.2.2",
        "- pytest==9.0",
    ]
    assert requirements.changes(after, after) == ["no pin changed"]


def test_comments_lose_what_belongs_to_this_machine() -> None:
    text = "a==1\n    # via\n    #   -c /tmp/x/e.txt\n    #   -r -\nb==2\n    # via -r -\n"
    text += "c==3\n    # via\n    #   -c /tmp/x/e.txt\n    #   a\n    #   b\n"
    renamed = {"-r -": "-r requirements.in", "-c /tmp/x/e.txt": ""}
    assert requirements.tidy(text, renamed).splitlines() == [
        "a==1",
        "    # via -r requirements.in",
        "b==2",
        "    # via -r requirements.in",
        "c==3",
        "    # via",
        "    #   a",
        "    #   b",
    ]


def test_production_that_differs_is_told_with_both_lines() -> None:
    production = requirements.pins(EVERYTHING.replace("5.2.1", "5.2.2").replace("cc", "c1"))
    assert requirements.differing(production, requirements.pins(EVERYTHING), "all.txt") == [
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


def test_the_inputs_of_a_conflict_are_pointed_at(project: Project) -> None:
    said = (
        "warning: pytest is only in this line\n"
        "  asgiref<3 is asked for by django 5.2 (django<5.3->-r requirements.in (line 2))\n"
        "  asgiref>4 is asked for by xyz 3.4 (xyz->django-haystack[x]>=3->-r requirements.in (line 3))\n"
    )
    cause, _ = requirements.advice(said, requirements.asked_for(project))
    file = project.root / "web/requirements.in"
    assert f"django>=5.2,<5.3 in {file}:2" in cause
    assert f"Django_Haystack[x]>=3 in {file}:3" in cause
    assert "pytest in" not in cause


def test_what_the_index_has_not_is_no_conflict(project: Project) -> None:
    said = "No matching distribution found for pytest>=99\n  pytest>=99 is asked for by the input\n"
    cause, step = requirements.advice(said, requirements.asked_for(project))
    assert cause == f"nothing on the package index fits pytest in {project.root / 'web/requirements.in'}:6"
    assert "index" in step


def test_what_an_included_file_asks_for_is_known_by_its_own_line(project: Project) -> None:
    (project.root / "web/other.in").write_text("-r requirements.in\n\nrequests>=2\n", encoding="utf-8")
    asked = requirements.asked_for(project)
    assert asked["requests"] == f"requests>=2 in {project.root}/web/other.in:3"
    assert asked["pytest"].endswith("requirements.in:6")


def test_a_file_in_another_encoding_is_named(project: Project) -> None:
    project.path("web/requirements.in").write_bytes("# für\n".encode("latin-1"))
    with pytest.raises(RequirementsError, match=r"requirements\.in is not UTF-8"):
        requirements.asked_for(project)


def test_a_missing_input_is_named(project: Project) -> None:
    project.path("web/requirements.in").unlink()
    with pytest.raises(RequirementsError, match=r"web/requirements\.in does not exist"):
        requirements.inputs(project)


def test_the_part_for_production_lies_beside_its_input_and_goes(project: Project) -> None:
    source = project.path("web/requirements.in")
    with requirements.beside(source, "django\n") as name:
        assert (source.parent / name).read_text(encoding="utf-8") == "django\n"
    assert [file.name for file in source.parent.iterdir()] == [source.name]


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


def test_files_that_can_t_be_written_are_explained(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.path("web/requirements.prod.txt").mkdir()
    texts = requirements.Compiled(everything=EVERYTHING, production=EVERYTHING)
    monkeypatch.setattr(requirements, "compile_both", lambda *_: texts)
    with pytest.raises(PrerequisiteError, match="can't be written") as told:
        requirements.regenerate(project, upgrade=False, upgrade_packages=[], say=print)
    assert "both files are as they were" in told.value.cause
    assert not project.path("web/requirements.txt").exists()


@pytest.mark.parametrize(
    ("python", "short", "full"),
    [("3.13", "3.13", "3.13.0"), ("3.13.4", "3.13", "3.13.4"), ("3.9", "3.9", "3.9.0")],
)
def test_markers_are_read_for_the_image_s_python(python: str, short: str, full: str) -> None:
    found = pipcompile.environment(python, "aarch64")
    assert (found["python_version"], found["python_full_version"]) == (short, full)
    assert found["implementation_version"] == full
    assert (found["sys_platform"], found["platform_machine"]) == ("linux", "aarch64")


def test_wheels_of_every_older_glibc_are_taken_newest_first() -> None:
    tags = pipcompile.platforms("x86_64")
    assert tags.index("manylinux_2_28_x86_64") < tags.index("manylinux_2_17_x86_64")
    assert {"manylinux2014_x86_64", "manylinux1_x86_64", "linux_x86_64"} <= set(tags)
