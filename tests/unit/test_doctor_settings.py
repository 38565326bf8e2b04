"""Settings that name what is not there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from haybale import config
from haybale.doctor.settings import examine_settings
from haybale.tools import process

if TYPE_CHECKING:
    from pathlib import Path

    from haybale.doctor.finding import Finding

HEAD = '[tool.haybale]\nname = "shop"\nregistry = "registry.test/shop"\nsolr_conf = "conf"\n'


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for folder in ("conf", "tests"):
        (tmp_path / folder).mkdir()
    (tmp_path / "notify").write_text("#!/bin/sh\n", encoding="utf-8")
    monkeypatch.setattr(process, "find_executable", lambda name: f"/bin/{name}" if name == "pytest" else None)
    return tmp_path


def found_with(root: Path, more: str) -> list[Finding]:
    (root / "pyproject.toml").write_text(HEAD + more, encoding="utf-8")
    project, settings = config.load(root, {}), config.explain_settings(root, {})
    return list(examine_settings(project, settings, {}).findings)


SUITE = '[tool.haybale.test.suites.site]\ncommand = ["pytest"]\n'


@pytest.mark.parametrize(
    ("more", "what"),
    [
        (
            '[tool.haybale.compose]\nci = "other.yml"',
            "pyproject.toml:6: compose.ci names other.yml, which is",
        ),
        (
            '[tool.haybale.site]\nfolder = "web"',
            "pyproject.toml:6: site.folder names web, which is not there",
        ),
        (
            '[tool.haybale.site]\nenvironment_files = [".env.example"]',
            "site.environment_files names .env.exam",
        ),
        (
            '[tool.haybale.site]\nmounts = ["tests:/tests", "local.py:/app/local.py"]',
            "pyproject.toml:6: site.mounts names local.py, which is not there",
        ),
        (
            '[tool.haybale.requirements]\nsource = "deps.in"',
            "pyproject.toml:6: requirements.source names deps",
        ),
        (f'{SUITE}mounts = ["tests:/t", "data:/data"]', "test.suites.site.mounts names data, which is not"),
        (f'{SUITE}where = "host"\nfolder = "e2e"', "pyproject.toml:8: test.suites.site.folder names e2e"),
        (
            SUITE.replace("pytest", "npx") + 'where = "host"',
            "pyproject.toml:6: test.suites.site.command runs npx, which is not on PATH",
        ),
        (
            '[tool.haybale.hooks.regenSolr]\nafter = ["./notify done", "./other"]',
            "pyproject.toml:6: hooks.regenSolr.after runs ./other, which is not there",
        ),
        (
            '[tool.haybale.database]\nfetch = ["aws", "s3", "{file}"]',
            "pyproject.toml:6: database.fetch runs aws, which is not on PATH",
        ),
        (
            '[tool.haybale.site.secrets]\nKEY = "variable:SHOP_KEY"',
            "pyproject.toml:6: site.secrets.KEY: there is no variable SHOP_KEY here",
        ),
        ('[tool.haybale.site.secrets]\nKEY = "file:key.txt"', "pyproject.toml:6: site.secrets.KEY: "),
    ],
)
def test_examine_settings_names_a_planted_mistake(root: Path, more: str, what: str) -> None:
    (found,) = found_with(root, more)
    assert what in found.what
    assert found.level == "error"
    assert found.fix


def test_examine_settings_names_the_line_of_a_file_that_is_no_variable(root: Path) -> None:
    (root / ".env").write_text("# for all\nDEBUG=1\nSECRET KEY\n", encoding="utf-8")
    (found,) = found_with(root, '[tool.haybale.site]\nenvironment_files = [".env"]')
    assert found.what.endswith("/.env:3: this is no variable: SECRET KEY")


def test_examine_settings_takes_what_is_there(root: Path) -> None:
    more = f'{SUITE}where = "host"\nfolder = "tests"\n[tool.haybale.hooks.regenSolr]\nbefore = ["./notify"]\n'
    assert found_with(root, more) == []


def test_examine_settings_leaves_folders_of_containers_alone(root: Path) -> None:
    assert found_with(root, f'{SUITE}where = "tester"\nfolder = "/app"\n') == []
