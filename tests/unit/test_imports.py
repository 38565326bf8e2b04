"""Modules of haybale are imported under their own names, at the top of a file."""

from __future__ import annotations

import ast
import functools
from pathlib import Path

ROOT = Path(__file__).parents[2]


@functools.cache
def imports_of(folder: str) -> list[tuple[str, ast.Import | ast.ImportFrom, ast.AST]]:
    """Return each import in a folder with its file and what it stands in."""
    return [
        (f"{file.relative_to(ROOT)}:{node.lineno}", node, parent)
        for file in sorted((ROOT / folder).rglob("*.py"))
        for parent in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        for node in ast.iter_child_nodes(parent)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]


def test_no_import_of_an_own_module_has_another_name() -> None:
    found = [
        place
        for folder in ("src", "tests", "bench")
        for place, node, _ in imports_of(folder)
        for name in node.names
        if name.asname and f"{getattr(node, 'module', None) or name.name}.".startswith("haybale.")
    ]
    assert found == []


def test_no_function_imports() -> None:
    found = [
        place
        for place, _, parent in imports_of("src")
        if isinstance(parent, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    assert found == []
