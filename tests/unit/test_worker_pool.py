"""How a worker's process ended, as it is told. What a pool does is in tests/integration/test_loader.py."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from haybale.loader.worker_pool import count_oom_kills, explain_death

if TYPE_CHECKING:
    from pathlib import Path

EVENTS = "low 0\nhigh 0\nmax 3\noom 2\noom_kill 2\noom_group_kill 0\n"
CONTROL = "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n"


@pytest.mark.parametrize(
    ("texts", "count"), [([EVENTS], 2), ([CONTROL], 1), ([None, CONTROL], 1), (["low 0\n"], None), ([], None)]
)
def test_count_oom_kills_reads_either_version_of_control_groups(
    tmp_path: Path, texts: list[str | None], count: int | None
) -> None:
    files = [tmp_path / str(number) for number in range(len(texts))]
    for file, text in zip(files, texts, strict=True):
        if text is not None:
            file.write_text(text, encoding="ascii")
    assert count_oom_kills(map(str, files)) == count


@pytest.mark.parametrize(
    ("code", "before", "now", "cause", "hint"),
    [
        (-9, 0, 1, "memory ran out", "memory"),
        (-9, 1, 1, "memory did not run out", "try again"),
        (-9, None, None, "whether memory ran out is not known", "memory"),
        (-11, 0, 0, "that signal", "workers = 1"),
        (3, 0, 0, "ended it", "workers = 1"),
    ],
)
def test_explain_death_says_of_memory_only_what_was_counted(
    code: int, before: int | None, now: int | None, cause: str, hint: str
) -> None:
    error = explain_death(code, before, now)
    assert cause in error.cause
    assert hint in error.hint
