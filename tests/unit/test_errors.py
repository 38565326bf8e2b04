from __future__ import annotations

import ast
from pathlib import Path

import pytest

from haybale import errors

SOURCE = Path(errors.__file__).parent
KINDS = {kind.__name__: kind for kind in errors.HaybaleError.__subclasses__()}


def test_error_has_message_cause_hint_and_log() -> None:
    error = errors.DumpError("it failed", cause="because", hint="do this", log="a\nb")
    assert str(error) == "it failed"
    assert (error.message, error.cause, error.hint, error.log) == ("it failed", "because", "do this", "a\nb")


def test_error_parts_are_empty_by_default() -> None:
    error = errors.PrerequisiteError("it failed")
    assert (error.cause, error.hint, error.log) == ("", "", "")


def test_exit_codes_are_not_those_of_shells_and_signals() -> None:
    """0 and 1 belong to Python, 126 and more to the shell."""
    assert all(1 < kind.exit_code < 126 for kind in KINDS.values())
    assert errors.UsageError.exit_code == 2


@pytest.mark.parametrize("kind", KINDS)
def test_error_kind_is_raised_somewhere(kind: str) -> None:
    assert kind in raised()


def raised() -> set[str]:
    """The names that are called anywhere in the package: an error is made before it is raised."""
    names = set()
    for file in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                names.add(getattr(node.func, "attr", getattr(node.func, "id", "")))
    return names


def test_usage_and_dump_errors_always_have_a_cause_or_a_hint() -> None:
    """These are what people meet first."""
    silent = []
    for file in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in {"UsageError", "DumpError"}:
                given = {keyword.arg for keyword in node.keywords}
                if not given & {"cause", "hint"}:
                    silent.append(f"{file.name}:{node.lineno}")
    assert silent == []
