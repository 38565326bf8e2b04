from __future__ import annotations

from pathlib import Path

import pytest

from haybale.config import Project, RequirementsSettings, Settings
from haybale.errors import ConfigError, PrerequisiteError, RequirementsError, UsageError
from haybale.requirements.compile import (
    included_files,
    input_files,
    output_files,
    production_part,
    raise_if_heading,
    raise_if_unknown,
    read_direct_requirements,
    regenerate_requirements,
    replace_all,
)
from haybale.requirements.compiler import (
    explain_failure,
    files_beside,
    holds_setuptools,
    rename_in_comments,
)
from haybale.requirements.lines import logical_lines
from haybale.requirements.pins import read_pins

FILE = Path("/site/web/requirements.in")


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
    with pytest.raises(RequirementsError, match=words) as raised:
        production_part(FILE, text, "# Dev")
    assert raised.value.message.startswith(f"{FILE}{place}")


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


def test_raise_if_unknown_suggests_a_pinned_package() -> None:
    raise_if_unknown(["Django", "sql_parse==0.6"], {"django", "sql-parse"})
    with pytest.raises(UsageError, match="'djang'") as raised:
        raise_if_unknown(["djang"], {"django", "sql-parse"})
    assert "'django'" in raised.value.hint


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


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "web").mkdir()
    (tmp_path / "web/requirements.in").write_text(
        "# The site\ndjango>=5.2,<5.3\nDjango_Haystack[x]>=3 # search\n-r other.in\n# Dev\npytest\n",
        encoding="utf-8",
    )
    requirements = RequirementsSettings(
        source="web/requirements.in",
        production="web/requirements.prod.txt",
        development="web/requirements.txt",
    )
    return Project(
        root=tmp_path, settings=Settings(name="s", registry="r", core="c", requirements=requirements)
    )


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


def test_input_files_names_a_missing_file(project: Project) -> None:
    project.path("web/requirements.in").unlink()
    with pytest.raises(RequirementsError, match=r"web/requirements\.in does not exist"):
        input_files(project)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (RequirementsSettings(source="a.in"), r"requirements\.development is not"),
        (RequirementsSettings(source="a.txt", production="a.txt", development="b.txt"), "same file: a.txt"),
    ],
)
def test_output_files_names_the_setting_that_is_wrong(
    tmp_path: Path, settings: RequirementsSettings, words: str
) -> None:
    project = Project(root=tmp_path, settings=Settings(name="s", registry="r", requirements=settings))
    with pytest.raises(ConfigError, match=words):
        output_files(project)


def test_files_beside_are_beside_their_inputs_and_are_removed(project: Project) -> None:
    source = project.path("web/requirements.in")
    with files_beside({source: "django\n"}) as made:
        assert (source.parent / made[source].name).read_text(encoding="utf-8") == "django\n"
    assert [file.name for file in source.parent.iterdir()] == [source.name]


def test_replace_all_replaces_none_where_one_cannot_be_written(tmp_path: Path) -> None:
    first, second = tmp_path / "a.txt", tmp_path / "folder" / "b.txt"
    first.write_text("old", encoding="utf-8")
    with pytest.raises(PrerequisiteError, match="No such file"):
        replace_all({first: "new", second: "new"})
    assert first.read_text(encoding="utf-8") == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["a.txt"]


def test_replace_all_gives_the_first_its_text_back_where_the_second_fails(tmp_path: Path) -> None:
    first, second, third = tmp_path / "a.txt", tmp_path / "b.txt", tmp_path / "c.txt"
    first.write_text("old", encoding="utf-8")
    third.mkdir()
    with pytest.raises(PrerequisiteError, match=r"c\.txt"):
        replace_all({first: "new", second: "new", third: "new"})
    assert first.read_text(encoding="utf-8") == "old"
    assert not second.exists()


def test_regenerate_explains_files_that_cannot_be_written(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.path("web/requirements.prod.txt").mkdir()
    files = [project.path("web/requirements.txt"), project.path("web/requirements.prod.txt")]
    texts = dict.fromkeys(files, "django==5.2.1\n")
    monkeypatch.setattr("haybale.requirements.compile.compile_both", lambda *_, **__: texts)
    with pytest.raises(PrerequisiteError, match="cannot be written") as raised:
        regenerate_requirements(project, upgrade=False, upgrade_packages=[], env={}, say=print)
    assert "all files are as they were" in raised.value.cause
    assert not project.path("web/requirements.txt").exists()


@pytest.mark.parametrize(
    ("present", "upgrade", "holds"),
    [
        ("", [], True),
        ("setuptools==69.0\n", [], True),
        ("setuptools==82.0.1\n", [], False),
        ("setuptools==69.0\n", ["Setuptools<85"], False),
        ("setuptools==69.0\n", ["django"], True),
    ],
)
def test_holds_setuptools_unless_its_upgrade_is_asked_for(
    present: str, upgrade: list[str], *, holds: bool
) -> None:
    assert holds_setuptools(read_pins(present), upgrade) is holds


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("a \\\n  >=1\nb\n", [(1, "a   >=1"), (3, "b")]),
        ("# a \\\nb\n", [(2, "b")]),
        ("a # why \\\n  b\n", [(1, "a")]),
        ("a \\", [(1, "a")]),
        ("https://h/a#egg=x\n", [(1, "https://h/a#egg=x")]),
        ("\n\na==1 \\\n    --hash=sha256:00 # b\n", [(3, "a==1     --hash=sha256:00")]),
    ],
)
def test_logical_lines_are_joined_as_pip_joins_them(text: str, lines: list[tuple[int, str]]) -> None:
    assert list(logical_lines(text)) == lines


def test_included_files_are_those_of_requirements_and_constraints(project: Project) -> None:
    (project.root / "web/other.in").write_text("-c limits.txt\n--requirement=more.in\n", encoding="utf-8")
    for name in ("limits.txt", "more.in"):
        (project.root / "web" / name).write_text("", encoding="utf-8")
    names = [file.name for file in included_files(project)]
    assert names == ["requirements.in", "other.in", "limits.txt", "more.in"]


def test_explain_failure_does_not_blame_the_input_for_what_another_package_needs(project: Project) -> None:
    said = "No matching distribution found for setuptools>=40.8.0\n"
    cause, _ = explain_failure(said, read_direct_requirements(project))
    assert cause == "nothing on the package index fits setuptools, which another package needs"
