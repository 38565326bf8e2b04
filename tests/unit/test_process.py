from __future__ import annotations

import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from haybale.errors import PrerequisiteError
from haybale.tools import process

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def test_completed_output_leaves_out_empty_streams() -> None:
    said = process.Completed(code=0, stdout="out\n\n", stderr=" \n")
    assert said.output == "out"
    assert said.ok
    assert process.Completed(code=1, stdout="out", stderr="err\n").output == "out\nerr"
    assert not process.Completed(code=-9).ok


def test_child_environment_is_cleaned_and_laid_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEPT", "1")
    monkeypatch.setenv("CHANGED", "1")
    monkeypatch.setenv("TAKEN", "1")
    monkeypatch.setenv("GIT_DIR", "/elsewhere")
    given = process.child_environment({"CHANGED": "2", "NEW": "3", "TAKEN": None, "GIT_INDEX_FILE": "index"})
    names = ("KEPT", "CHANGED", "NEW", "TAKEN", "GIT_DIR", "GIT_INDEX_FILE")
    assert [given.get(name) for name in names] == ["1", "2", "3", None, None, "index"]
    assert "GIT_DIR" not in process.child_environment(None)


def test_require_executable_finds_it_on_path_or_raises_with_a_hint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = tmp_path / "tool"
    tool.write_text("#!/bin/sh\n", encoding="utf-8")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PrerequisiteError, match="tool is not installed") as caught:
        process.require_executable("tool")
    assert "install tool" in caught.value.hint
    tool.chmod(0o755)
    assert process.require_executable("tool") == str(tool)
    with pytest.raises(PrerequisiteError) as caught:
        process.require_executable("docker")
    assert "engine" in caught.value.hint


class Stubborn:
    """A process that ends when it is asked, when it is killed, or before either."""

    def __init__(self, ends: str) -> None:
        self.ends, self.asked, self.stdout = ends, list[str](), None

    def poll(self) -> int | None:
        return 0 if self.ends == "before" else None

    def terminate(self) -> None:
        self.asked.append("terminate")

    def kill(self) -> None:
        self.asked.append("kill")

    def wait(self, timeout: float | None = None) -> int:
        if timeout is not None and self.ends == "killed":
            raise subprocess.TimeoutExpired("tool", timeout)
        return 0


@pytest.mark.parametrize(
    ("ends", "asked"), [("before", []), ("asked", ["terminate"]), ("killed", ["terminate", "kill"])]
)
def test_stop_process_asks_before_it_kills(ends: str, asked: list[str]) -> None:
    stubborn = Stubborn(ends)
    process.stop_process(stubborn)  # type: ignore[arg-type]
    assert stubborn.asked == asked


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Python's own answer to Ctrl-C, which a shell's background job is started without."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_uninterrupted_restores_signals_afterwards() -> None:
    before = signal.getsignal(signal.SIGINT)
    with process.uninterrupted():
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize(
    ("output", "line"),
    [
        (
            "Get:1 lists\nW: old\nE: Unable to locate package solr\nE: Broken\n",
            "E: Unable to locate package solr",
        ),
        ("#5 ERROR\nERROR: failed to solve: a\n", "ERROR: failed to solve: a"),
        ("a\n\nb\n\n", "b"),
        ("", "it printed nothing"),
    ],
)
def test_error_line_is_the_first_of_an_error_else_the_last(output: str, line: str) -> None:
    assert process.Completed(code=1, stdout=output).error_line == line
