"""Commands in messages, as the repository that they are read in has them."""

from __future__ import annotations

import ast
import io
import re
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from haybale.adoption.generated_files import Repository, generate_files
from haybale.errors import BuildError
from haybale.invocation import Invocation, find_invocation
from haybale.terminal import Terminal
from haybale.verbs import VERBS

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "src/haybale"
REPOSITORY = Repository(version="1.2.3", main="main", forge="none", publishes=False)
WITHOUT = Invocation(recipes={}, sessions={})


def plant(root: Path, files: dict[str, str]) -> Path:
    for name, text in {"pyproject.toml": "[tool.haybale]\n", **files}.items():
        (root / name).write_text(text, encoding="utf-8")
    return root


@pytest.mark.parametrize(
    ("recipes", "sessions", "expected"),
    [
        ({}, {}, "haybale deploy dev v1, or haybale status"),
        ({"deploy": "just deploy"}, {}, "just deploy dev v1, or haybale status"),
        (
            {},
            {"deploy": "nox -s deploy", "status": "nox -s status"},
            "nox -s deploy -- dev v1, or nox -s status",
        ),
        ({"deploy": "just d"}, {"deploy": "nox -s deploy"}, "just d dev v1, or haybale status"),
    ],
)
def test_render_takes_a_recipe_then_a_session_then_haybale(
    recipes: dict[str, str], sessions: dict[str, str], expected: str
) -> None:
    found = Invocation(recipes=recipes, sessions=sessions)
    assert found.render("`haybale deploy dev v1`, or `haybale status`") == expected


@pytest.mark.parametrize(
    ("installed", "expected"),
    [({"just", "nox"}, "just why"), ({"nox"}, "nox -s why"), ({"just"}, "just why"), (set(), "haybale why")],
)
def test_find_invocation_takes_what_is_on_this_machine(
    tmp_path: Path, installed: set[str], expected: str
) -> None:
    plant(tmp_path, generate_files(REPOSITORY))
    assert find_invocation(tmp_path, installed.__contains__).command("why") == expected


def test_render_leaves_other_text() -> None:
    text = "set `core` in [tool.haybale], which haybale flux reads"
    assert WITHOUT.render(text) == text


def test_find_invocation_of_this_repository() -> None:
    found = find_invocation(ROOT / "src", lambda _: True)
    assert {found.command(verb.name) for verb in VERBS} == {f"just {verb.name}" for verb in VERBS}
    assert found.sessions["why"] == "./noxw -s why"


def test_find_invocation_of_what_init_writes(tmp_path: Path) -> None:
    plant(tmp_path, generate_files(REPOSITORY))
    (tmp_path / "deep").mkdir()
    assert find_invocation(tmp_path / "deep", lambda _: True).command("ci-dc", " up -d") == "just ci-dc up -d"
    (tmp_path / "justfile").unlink()
    assert find_invocation(tmp_path, lambda _: True).command("ci-dc", " up -d") == "nox -s ci_dc -- up -d"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("import 'haybale.just'", "just why"),
        ('import? "haybale.just"', "just why"),
        ("mod haybale 'haybale.just'", "just haybale why"),
        ("", "nox -f haybale_noxfile.py -s why"),
    ],
)
def test_find_invocation_beside_files_of_their_own(tmp_path: Path, line: str, expected: str) -> None:
    own = {"justfile": f"{line}\n\ntest:\n    pytest\n", "noxfile.py": "import nox\n"}
    wanted = generate_files(replace(REPOSITORY, noxfile="noxfile.py", justfile="justfile"))
    assert find_invocation(plant(tmp_path, own | wanted), lambda _: True).command("why") == expected


def test_find_invocation_takes_no_recipe_that_does_something_else(tmp_path: Path) -> None:
    justfile = "test:\n    pytest\n\nwhy *args:\n    uvx haybale why {{ args }}\n\nstatus := 'x'\n"
    files = {"justfile": justfile, "noxfile.py": "def test(): pass\n"}
    found = find_invocation(plant(tmp_path, files), lambda _: True)
    assert (found.recipes, found.sessions) == ({"why": "just why"}, {})


def test_find_invocation_outside_of_a_repository(tmp_path: Path) -> None:
    (tmp_path / "justfile").write_text("why:\n    haybale why\n", encoding="utf-8")
    assert find_invocation(tmp_path, lambda _: True) == WITHOUT


def test_terminal_shows_commands_as_they_are_here() -> None:
    told = io.StringIO()
    terminal = Terminal(
        Console(file=told, soft_wrap=True), invocation=Invocation(recipes={"why": "just why"}, sessions={})
    )
    error = BuildError("`haybale why`: a", cause="`haybale why`: b", hint="`haybale why`: c")
    terminal.error(error)
    terminal.say("`haybale why`: d")
    assert re.findall(r"just why: (\w)", told.getvalue()) == ["a", "b", "c", "d"]
    assert "`" not in told.getvalue()


def test_messages_name_verbs_that_exist_in_one_form_only() -> None:
    """A recipe or a session that only some repositories have, or a verb that there is not, helps nobody."""
    names = {verb.name for verb in VERBS}
    identifiers = names | {verb.identifier for verb in VERBS}
    wrong = []
    for file in SOURCES.rglob("*.py"):
        if file.name in {"verbs.py", "generated_files.py", "invocation.py"}:
            continue
        tree = ast.parse(file.read_text(encoding="utf-8"))
        documented = {
            id(node.body[0].value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
            and node.body
            and isinstance(node.body[0], ast.Expr)
        }
        for node in ast.walk(tree):
            text = node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
            if id(node) in documented:
                continue
            there = f"{file.name}:{getattr(node, 'lineno', 0)}: {text}"
            others = re.findall(r"\bjust ([a-z-]+)|-s ([a-z_]+)", text)
            wrong += [there for found in others if identifiers & set(found)]
            wrong += [there for verb in re.findall(r"`haybale ([a-z-]+)", text) if verb not in names]
    assert wrong == []
