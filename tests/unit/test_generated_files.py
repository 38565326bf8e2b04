"""The files beside the settings: what is in them, and what `upgrade` makes of them."""

from __future__ import annotations

import ast
import re
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from haybale.adoption.generated_files import Repository, advise, generate_files
from haybale.adoption.plan import find_forge, plan_files, plan_upgrade
from haybale.adoption.proposal import Origin
from haybale.adoption.survey import survey_repository
from haybale.files import is_as_stamped
from haybale.verbs import VERBS

if TYPE_CHECKING:
    from haybale.version import Tool

REPOSITORY = Repository(version="1.2.3", main="trunk", forge="github", publishes=True)
GITHUB = ".github/workflows/haybale.yml"
MOST_LINES = 40


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")


def written(root: Path, version: str = "1.2.3") -> dict[str, str]:
    survey = survey_repository(root)
    origin = Origin(url="https://github.com/a/b")
    return dict(plan_files(survey, origin, version, find_forge(survey, origin), {}).files)


def test_generated_files_carry_a_stamp_with_the_version() -> None:
    files = generate_files(REPOSITORY)
    assert set(files) == {"noxfile.py", "justfile", GITHUB}
    for text in files.values():
        assert is_as_stamped(text)
        assert "haybale init 1.2.3." in text.splitlines()[0]
        assert not re.search(r"@[a-z_]+@", text)


def test_generated_noxfile_is_short_and_has_every_verb() -> None:
    text = generate_files(REPOSITORY)["noxfile.py"]
    assert len(text.splitlines()) <= MOST_LINES
    tree = ast.parse(text)
    imported = {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    assert imported == {"nox"}
    assert "==1.2.3" in text
    verbs = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    (listed,) = [
        each.split() for each in verbs if isinstance(each, str) and "regen_solr_image" in each.split()
    ]
    assert listed == [verb.identifier for verb in VERBS]
    assert set(REPOSITORY.extras) <= set(listed)


@pytest.mark.parametrize(
    ("tool", "extra"), [(None, None), ("bump2version", "bump"), ("bump-my-version", "bump-my-version")]
)
def test_generated_noxfile_installs_what_makes_versions_here(tool: Tool | None, extra: str | None) -> None:
    repository = replace(REPOSITORY, version_tool=tool)
    assert [repository.extras.get(verb) for verb in ("bump", "pipeline")] == [extra, extra]
    text = generate_files(repository)["noxfile.py"]
    assert (f'"bump": "[{extra}]"' in text) is (extra is not None)
    assert len(text.splitlines()) <= MOST_LINES
    with (Path(__file__).parents[2] / "pyproject.toml").open("rb") as file:
        offered = tomllib.load(file)["project"]["optional-dependencies"]
    assert {*repository.extras.values()} <= {*offered}


@pytest.mark.parametrize(
    ("files", "tool", "command"),
    [
        ({".bumpversion.toml": '[tool.bumpversion]\ncurrent_version = "1.0.0"\n'}, "bump-my-version", None),
        (
            {".bumpversion.cfg": "[bumpversion]\ncurrent_version = 1.0.0\n", "uv.lock": ""},
            "bump2version",
            "uv",
        ),
        ({"requirements.txt": "django==5.2 --hash=sha256:a\n"}, None, "pip-tools"),
    ],
)
def test_noxfile_is_by_how_a_repository_makes_versions_and_locks(
    tmp_path: Path, files: dict[str, str], tool: str | None, command: str | None
) -> None:
    write(tmp_path, files)
    survey = survey_repository(tmp_path)
    plan = plan_files(survey, Origin(), "1.2.3", "none", {})
    assert ("[bump-my-version]" in plan.files["noxfile.py"]) is (tool == "bump-my-version")
    assert ('"[bump]"' in plan.files["noxfile.py"]) is (tool == "bump2version")
    assert ("uv pip compile --universal" in plan.files["noxfile.py"]) is (command == "uv")
    assert any(each.startswith("haybale.lock.txt: ") for each in plan.notes) is (command is not None)
    write(tmp_path, dict(plan.files))
    assert plan_upgrade(tmp_path, "1.2.3", "main", publishes=False).files == {}


def test_generated_justfile_has_every_verb_and_calls_the_noxfile() -> None:
    for noxfile, option in ((None, ""), ("noxfile.py", " -f haybale_noxfile.py")):
        text = generate_files(replace(REPOSITORY, noxfile=noxfile))["justfile"]
        recipes = re.findall(r"^([a-z-]+)[^:\n]*:$", text, re.MULTILINE)
        assert recipes == [verb.name for verb in VERBS]
        assert f'env("NOX", "nox") + "{option}"' in text


@pytest.mark.parametrize("publishes", [True, False])
def test_generated_workflow_publishes_only_where_there_is_a_registry(*, publishes: bool) -> None:
    text = generate_files(replace(REPOSITORY, publishes=publishes))[GITHUB]
    workflow: dict[str, Any] = yaml.safe_load(text)
    assert set(workflow["jobs"]) == ({"pipeline", "publish"} if publishes else {"pipeline"})
    rights = {right for job in workflow["jobs"].values() for right in job["permissions"].values()}
    assert rights == ({"read", "write"} if publishes else {"read"})
    assert ("refs/heads/trunk" in text) is publishes
    assert workflow["permissions"] == {}
    assert "# publish" not in text
    (command,) = [step["run"] for step in workflow["jobs"]["pipeline"]["steps"] if "run" in step]
    assert command == "pipx run nox -s engine pipeline"


@pytest.mark.parametrize("publishes", [True, False])
def test_generated_jobs_of_gitlab(*, publishes: bool) -> None:
    files = generate_files(replace(REPOSITORY, forge="gitlab", publishes=publishes))
    jobs: dict[str, Any] = yaml.safe_load(files[".gitlab-ci.yml"])
    assert set(jobs) == {".haybale", "haybale-pipeline", *(["haybale-publish"] if publishes else [])}
    assert jobs["haybale-pipeline"]["script"] == [".haybale/nox/bin/nox -s engine pipeline"]


def test_files_of_their_own_stay_and_get_haybales_beside_them(tmp_path: Path) -> None:
    own = {
        "noxfile.py": "import nox\n", "Justfile": "test:\n    pytest\n", ".gitlab-ci.yml": "a: {}\n",
    }  # fmt: skip
    write(tmp_path, own)
    survey = survey_repository(tmp_path)
    plan = plan_files(survey, Origin(), "1.2.3", find_forge(survey, Origin()), {})
    assert set(plan.files) == {
        "pyproject.toml", "haybale_noxfile.py", "haybale.just", ".gitlab/haybale.yml",
    }  # fmt: skip
    assert "nox -f haybale_noxfile.py" in plan.files[".gitlab/haybale.yml"]
    assert any(
        "mod haybale 'haybale.just' (not import: there is a test already)" in each for each in plan.notes
    )
    write(tmp_path, dict(plan.files))
    assert plan_files(survey_repository(tmp_path), Origin(), "1.2.3", "gitlab", {}).files == {}


def test_advice_is_to_import_where_no_name_is_doubled() -> None:
    repository = replace(REPOSITORY, justfile="justfile")
    lines = advise(repository, {"haybale.just": ""}, "set x := true\nserve port='1':\n    a\n")
    assert lines == ["justfile: the line import 'haybale.just' gives it haybale's recipes"]


def test_files_that_use_haybale_already_are_enough(tmp_path: Path) -> None:
    write(
        tmp_path,
        {"noxfile.py": "# haybale\n", "justfile": "# haybale\n", ".github/workflows/a.yml": "# haybale\n"},
    )
    assert set(written(tmp_path)) == {"pyproject.toml"}


def test_upgrade_replaces_what_nobody_changed(tmp_path: Path) -> None:
    write(tmp_path, written(tmp_path))
    assert plan_upgrade(tmp_path, "1.2.3", "main", publishes=True).files == {}
    justfile = tmp_path / "justfile"
    justfile.write_text(justfile.read_text(encoding="utf-8") + "\nmine:\n", encoding="utf-8")
    plan = plan_upgrade(tmp_path, "1.3.0", "main", publishes=True)
    assert set(plan.files) == {"noxfile.py", GITHUB}
    assert "haybale{extras}==1.3.0" in plan.files["noxfile.py"]
    assert set(plan.left) == {"justfile"}
    assert plan.notes[0].startswith("justfile: somebody changed it")


def test_upgrade_leaves_what_it_did_not_write(tmp_path: Path) -> None:
    write(tmp_path, {"noxfile.py": "import nox\n"})
    plan = plan_upgrade(tmp_path, "1.3.0", "main", publishes=True)
    assert (plan.files, plan.left) == ({}, {})
