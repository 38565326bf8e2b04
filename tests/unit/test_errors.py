from __future__ import annotations

import ast
import functools
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


@functools.cache
def calls() -> list[tuple[str, ast.Call]]:
    """Every call in the package, with the name of its file."""
    return [
        (file.name, node)
        for file in SOURCE.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
    ]


def raised() -> set[str]:
    """The names that are called anywhere in the package: an error is made before it is raised."""
    return {getattr(node.func, "attr", getattr(node.func, "id", "")) for _, node in calls()}


def test_usage_and_dump_errors_always_have_a_cause_or_a_hint() -> None:
    """These are what people meet first."""
    silent = [
        f"{file}:{node.lineno}"
        for file, node in calls()
        if getattr(node.func, "id", "") in {"UsageError", "DumpError"}
        and not {keyword.arg for keyword in node.keywords} & {"cause", "hint"}
    ]
    assert silent == []
