from __future__ import annotations

from typing import TYPE_CHECKING

from click.testing import CliRunner

from haybale.commands.deploy import deploy_command
from haybale.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_deploy_refuses_an_undeclared_environment_before_git_is_asked_for_the_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[tool.haybale]\nname = "site"\nregistry = "r.example/site"\ncore = "site"\n'
        '[tool.haybale.environments.dev]\nhost = "dev.example"\n'
    )
    monkeypatch.chdir(tmp_path)

    result = CliRunner().invoke(deploy_command, ["nowhere"])

    assert isinstance(result.exception, UsageError)
    assert result.exception.cause == "declared are: dev"
