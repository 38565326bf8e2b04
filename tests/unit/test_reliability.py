"""Each promise in docs/reliability.md has tests, and they are there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROMISE = re.compile(r"^\| (?!promise )(?P<promise>[^|-][^|]*) \| (?P<tests>[^|]*) \|$", re.MULTILINE)


def test_promises_name_tests_that_there_are() -> None:
    text = (ROOT / "docs/reliability.md").read_text(encoding="utf-8")
    known = {
        name
        for file in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)\(", file.read_text(encoding="utf-8"), re.MULTILINE)
    }
    promises = {found["promise"]: re.findall(r"`(\w+)`", found["tests"]) for found in PROMISE.finditer(text)}
    assert promises
    assert not [promise for promise, tests in promises.items() if not tests]
    missing = {test for tests in promises.values() for test in tests} - known
    assert not missing
