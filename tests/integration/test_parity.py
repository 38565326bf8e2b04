"""Sessions, recipes and verbs are one list under three names."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from haybale.cli import haybale
from haybale.verbs import VERBS

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration

# Sessions that look after this repository run a tool, not haybale.
TOOLS = {"unit", "package", "lint", "typecheck", "workflows", "lock", "bench"}


def output(*command: str, cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def sessions(root: Path) -> set[str]:
    listed = json.loads(output("./noxw", "--list", "--json", cwd=root))
    # Plain `nox` selects the default sessions only; every one is asked for by its name.
    names = output("./noxw", "--list", cwd=root)
    found = {line.split()[1] for line in names.splitlines() if line[:2] in {"* ", "- "}}
    assert {each["session"] for each in listed} <= found
    return found


@pytest.fixture(scope="module")
def recipes(root: Path) -> dict[str, Any]:
    dumped = json.loads(output("./noxw", "just", "--dump", "--dump-format", "json", cwd=root))
    return {name: recipe for name, recipe in dumped["recipes"].items() if not recipe["private"]}


def test_every_session_has_its_recipe(sessions: set[str], recipes: dict[str, Any]) -> None:
    assert {name.replace("_", "-") for name in sessions} == set(recipes)


def test_every_session_has_its_verb(sessions: set[str]) -> None:
    assert {name.replace("_", "-") for name in sessions} - TOOLS == set(haybale.commands)


def test_every_recipe_says_what_it_does(recipes: dict[str, Any]) -> None:
    assert [name for name, recipe in recipes.items() if not recipe["doc"]] == []


def test_recipes_are_listed_in_the_groups_of_the_verbs(recipes: dict[str, Any]) -> None:
    groups = {name: [each["group"] for each in recipe["attributes"]] for name, recipe in recipes.items()}
    expected = {verb.name: [verb.group] for verb in VERBS}
    assert groups == {name: expected.get(name, ["repository"]) for name in recipes}


def test_plain_nox_checks_and_runs_unit_tests(root: Path) -> None:
    listed = output("./noxw", "--list", cwd=root)
    selected = {line.split()[1] for line in listed.splitlines() if line.startswith("* ")}
    assert selected == {"lint", "typecheck", "unit"}


def test_plain_just_lists_the_recipes(root: Path, recipes: dict[str, Any]) -> None:
    listed = output("./noxw", "just", cwd=root)
    assert [name for name in recipes if f"    {name}" not in listed] == []


def test_the_card_s_targets_are_there(recipes: dict[str, Any]) -> None:
    expected = {
        "build", "push", "test", "regen-solr-image", "regen-requirements", "solr-dc", "ci-dc",
        "layers", "registry", "tag", "version", "engine", "unit", "lint", "typecheck",
    }  # fmt: skip
    assert expected <= set(recipes)


@pytest.mark.parametrize(
    ("verb", "printed"),
    [
        ("registry", "localhost:5000/sotu\n"),
        ("layers", "runner\nbuilder\nrelease\ntester\nsolr\n"),
        ("version", "v{version}\n"),
        ("tag", "localhost:5000/sotu:v{version}\n"),
    ],
)
@pytest.mark.parametrize("way", ["nox", "just"])
def test_printing_sessions_print_just_that(root: Path, way: str, verb: str, printed: str) -> None:
    cfg = (root / ".bumpversion.cfg").read_text(encoding="utf-8")
    version = next(
        line.split("=")[1].strip() for line in cfg.splitlines() if line.startswith("current_version")
    )
    command = ["./noxw", "just", verb] if way == "just" else ["./noxw", "-s", verb]
    assert output(*command, cwd=root) == printed.format(version=version)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["build", "tester", "--load", ""], ["build", "--", "tester", "--load", ""]),
        (["build"], ["build", "--", "release", "--load", "1"]),
        (["push", "release"], ["push", "--", "release"]),
        (["ci-dc"], ["ci_dc", "--", "ps"]),
        (["ci-dc", "ps", "--all"], ["ci_dc", "--", "ps", "--all"]),
        (["solr-dc", "logs", "-f", "solr"], ["solr_dc", "--", "logs", "-f", "solr"]),
        (
            ["ci-dc", "exec", "web", "sh", "-c", "echo \"a  b\" $HOME; 'c'"],
            ["ci_dc", "--", "exec", "web", "sh", "-c", "echo \"a  b\" $HOME; 'c'"],
        ),
    ],
)
def test_recipes_hand_arguments_on_unharmed(
    root: Path, tmp_path: Path, arguments: list[str], expected: list[str]
) -> None:
    """A stand-in for nox writes down what it was given."""
    received = tmp_path / "received.json"
    stand_in = tmp_path / "nox"
    stand_in.write_text(
        f"#!{sys.executable}\nimport json, sys\n"
        f"json.dump(sys.argv[1:], open({str(received)!r}, 'w', encoding='utf-8'))\n",
        encoding="utf-8",
    )
    stand_in.chmod(0o755)
    subprocess.run(
        ["./noxw", "just", *arguments], cwd=root, check=True, env={"NOX": str(stand_in), "PATH": path()}
    )
    assert json.loads(received.read_text(encoding="utf-8")) == ["-s", *expected]


def path() -> str:
    python = shutil.which("python3")
    assert python
    return f"{python.rpartition('/')[0]}:/usr/bin:/bin"


def test_version_imports_neither_the_engine_s_sdk_nor_rich(root: Path) -> None:
    program = (
        "import sys; from haybale.cli import haybale; haybale.main(['version'], standalone_mode=False);"
        "print(*sys.modules)"
    )
    imported = set(output(sys.executable, "-c", program, cwd=root).split())
    assert "haybale.commands.project" in imported
    assert {"docker", "rich", "requests"} & imported == set()
