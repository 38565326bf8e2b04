from __future__ import annotations

from pathlib import Path

import pytest

from haybale.config import Project, RequirementsSettings, Settings
from haybale.errors import RequirementsError
from haybale.requirements.locks import check_lock, lock_command
from haybale.tools import process


def project(lock: str) -> Project:
    settings = Settings(name="s", registry="r", requirements=RequirementsSettings(production=lock))
    return Project(root=Path("/site"), settings=settings)


@pytest.mark.parametrize(
    ("lock", "plain", "upgraded"),
    [
        ("uv.lock", "uv lock", "uv lock --upgrade"),
        ("poetry.lock", "poetry lock", "poetry update --lock"),
        ("web/pdm.lock", "(cd web && pdm lock --update-reuse)", "(cd web && pdm update --no-sync)"),
        ("Pipfile.lock", "pipenv lock", "pipenv update --lock-only"),
    ],
)
def test_lock_command_is_the_tool_s_own(lock: str, plain: str, upgraded: str) -> None:
    assert lock_command(project(lock)) == plain
    assert lock_command(project(lock), upgrade=True) == upgraded


def test_lock_command_names_the_packages() -> None:
    packages = ["django", "pysolr"]
    found = lock_command(project("uv.lock"), packages=packages)
    assert found == "uv lock --upgrade-package django --upgrade-package pysolr"
    found = lock_command(project("poetry.lock"), packages=packages)
    assert found == "poetry update --lock django pysolr"


def test_check_lock_says_that_nothing_was_checked_without_the_tool(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "find_executable", lambda _: None)
    said: list[str] = []
    assert check_lock(project("web/poetry.lock"), said.append) is False
    assert said == ["web/poetry.lock was NOT checked: poetry, which does that, is not installed here"]


def test_check_lock_shows_what_the_tool_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "find_executable", lambda _: "/bin/uv")
    monkeypatch.setattr(process, "run", lambda *_, **__: process.Completed(code=1, stderr="needs an update"))
    with pytest.raises(RequirementsError, match="`uv lock --check` fails") as raised:
        check_lock(project("uv.lock"), print)
    assert (raised.value.hint, raised.value.log) == ("uv lock", "needs an update")
