"""The versions of Docker's tools: what they say of themselves, and which of them are refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from haybale.errors import PrerequisiteError
from haybale.tools import process
from haybale.tools.engine import versions

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _unasked() -> Iterator[None]:
    """Nothing is known of the tools yet, and nothing afterwards."""
    versions.require_version.cache_clear()
    yield
    versions.require_version.cache_clear()


@pytest.mark.parametrize(
    ("said", "number", "text"),
    [
        ("26.1.5+dfsg1", (26, 1, 5), "26.1.5+dfsg1"),
        ("v2.40.3-desktop.1", (2, 40, 3), "v2.40.3-desktop.1"),
        ("2.26.1-4", (2, 26, 1), "2.26.1-4"),
        ("20.10", (20, 10, 0), "20.10"),
        ("github.com/docker/buildx v0.12.1 30feaa1a915b", (0, 12, 1), "v0.12.1"),
        ("github.com/docker/buildx 0.13.1+ds1 0.13.1+ds1-3", (0, 13, 1), "0.13.1+ds1"),
        ("dev", None, "dev"),
        ("", None, "?"),
    ],
)
def test_tool_version_reads_what_the_tools_print(
    said: str, number: versions.Version | None, text: str
) -> None:
    found = versions.ToolVersion(tool=versions.BUILDX, said=said)
    assert (found.number, found.text) == (number, text)


@pytest.mark.parametrize(
    ("tool", "old", "new"),
    [
        (versions.ENGINE, "20.10.24", "23.0.0"),
        (versions.COMPOSE, "2.20.1", "v2.20.2"),
        (
            versions.BUILDX,
            "github.com/docker/buildx v0.9.1 ed00243",
            "github.com/docker/buildx v0.10.0 876",
        ),
    ],
)
def test_require_version_refuses_what_is_older_than_its_minimum(
    monkeypatch: pytest.MonkeyPatch, tool: versions.Tool, old: str, new: str
) -> None:
    monkeypatch.setattr(process, "run", lambda _: process.Completed(code=0, stdout=f"{new}\n"))
    versions.require_version(tool)
    versions.require_version.cache_clear()
    monkeypatch.setattr(process, "run", lambda _: process.Completed(code=0, stdout=f"{old}\n"))
    with pytest.raises(PrerequisiteError, match=r"is too old: haybale needs .* or newer") as refused:
        versions.require_version(tool)
    assert old.split()[-1 if tool is not versions.BUILDX else 1] in refused.value.message


def test_require_version_takes_a_tool_that_says_no_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "run", lambda _: process.Completed(code=1, stdout="dev\n"))
    versions.require_version(versions.COMPOSE)


def test_require_version_asks_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def run(command: object) -> process.Completed:
        asked.append(command)
        return process.Completed(code=0, stdout="v2.40.3\n")

    monkeypatch.setattr(process, "run", run)
    for _ in range(3):
        versions.require_version(versions.COMPOSE)
    assert asked == [versions.COMPOSE.command]
