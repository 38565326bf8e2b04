"""What `init` reads in repositories of different shapes, and what it proposes for them."""

from __future__ import annotations

import sqlite3
import tomllib
from typing import TYPE_CHECKING

import pytest

from haybale import config
from haybale.adoption.proposal import propose
from haybale.adoption.site_settings import find_connections, find_settings_module, find_variables
from haybale.adoption.survey import survey_repository

if TYPE_CHECKING:
    from pathlib import Path

MANAGE = """
import os
def main():
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "{}")
"""
SETTINGS = """
import os
SECRET_KEY = os.environ["SECRET_KEY"]
DEBUG = os.environ.get("DEBUG", "0") == "1"
HAYSTACK_CONNECTIONS = {
    "default": {
        "ENGINE": "haystack.backends.solr_backend.SolrEngine",
        "URL": os.environ.get("SOLR_URL", "http://127.0.0.1:8983/solr/books/"),
    },
    "local": {"ENGINE": "haystack.backends.simple_backend.SimpleEngine"},
}
"""


def plant(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return root


def plant_database(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with sqlite3.connect(file) as database:
        database.execute("CREATE TABLE page (id INTEGER PRIMARY KEY)")
    database.close()


@pytest.fixture
def flat(tmp_path: Path) -> Path:
    """A site at the root: its manage.py, one requirements.txt, a dump behind a link."""
    plant_database(tmp_path / "data/2026-01-01.db")
    (tmp_path / "data/latest.db").symlink_to("2026-01-01.db")
    return plant(
        tmp_path,
        {
            "manage.py": MANAGE.format("books.settings"),
            "books/settings.py": SETTINGS,
            "books/search_indexes.py": "",
            "requirements.txt": "django==5.2\n",
            "Dockerfile": "FROM python:3.11-slim as base\nFROM base as web\n",
            "docker-compose.yml": "services: {}\n",
            "solr/conf/schema.xml": "<schema/>",
            "solr/conf/solrconfig.xml": "<config/>",
            "node_modules/x/manage.py": MANAGE.format("other.settings"),
            ".venv/lib/manage.py": MANAGE.format("other.settings"),
        },
    )


def test_survey_of_a_site_at_the_root(flat: Path) -> None:
    found = survey_repository(flat)
    assert (found.site and found.site.value, found.settings_file) == (".", "books/settings.py")
    assert [(each.alias, each.core, each.is_solr) for each in found.connections] == [
        ("default", "books", True), ("local", None, False),
    ]  # fmt: skip
    assert found.solr_configurations == ("solr/conf",)
    assert [each.value for each in found.dumps] == ["data/latest.db", "data/2026-01-01.db"]
    assert found.dockerfiles == (("Dockerfile", ("base", "web")),)
    assert found.compose_files == ("docker-compose.yml",)
    assert [(each.value, each.place) for each in found.requirements] == [("requirements.txt", "pip")]
    assert found.python
    assert (found.python.value, found.python.place) == ("3.11", "Dockerfile:1")


def test_survey_of_a_monorepo(tmp_path: Path) -> None:
    plant(
        tmp_path,
        {
            "services/shop/manage.py": MANAGE.format("shop.settings.local"),
            "services/shop/shop/settings/base.py": SETTINGS,
            "services/shop/shop/settings/local.py": "from .base import *\n",
            "services/shop/uv.lock": "version = 1\n",
            "services/shop/pyproject.toml": '[project]\nrequires-python = ">=3.12"\n',
            "Dockerfile": "FROM scratch\n",
        },
    )
    found = survey_repository(tmp_path)
    assert found.site
    assert found.site.value == "services/shop"
    assert found.settings_file == "services/shop/shop/settings/base.py"
    assert [each.place for each in found.requirements] == ["uv"]
    assert found.python
    assert found.python.place == "services/shop/pyproject.toml:2"


def test_propose_is_read_by_load_and_complete_the_second_time(flat: Path) -> None:
    proposal = propose(survey_repository(flat), "git@github.com:Owner/Books.git", "trunk")
    assert proposal.questions == ()
    table = tomllib.loads(proposal.files["pyproject.toml"])["tool"]["haybale"]
    assert table == {
        "name": "books", "registry": "ghcr.io/owner/books", "core": "books", "main": "trunk",
        "dockerfile": "Dockerfile",
        "dump": "data/latest.db", "solr_conf": "solr/conf", "images": {"python": "python:3.11-slim"},
    }  # fmt: skip
    assert proposal.files[".gitignore"] == "/.haybale/\n/reports/\n"
    plant(flat, dict(proposal.files))
    assert config.load(flat, {}).settings.core == "books"
    assert propose(survey_repository(flat), None, None).files == {}


def test_propose_keeps_what_is_there(flat: Path) -> None:
    plant(flat, {"pyproject.toml": "[tool.ruff]\nline-length = 99\n", ".gitignore": "*.pyc\n.haybale"})
    files = propose(survey_repository(flat), None, None).files
    assert files["pyproject.toml"].startswith("[tool.ruff]\nline-length = 99\n\n[tool.haybale]\n")
    assert 'registry = "localhost:5000/' in files["pyproject.toml"]
    assert "local = true" in files["pyproject.toml"]
    assert files[".gitignore"] == "*.pyc\n.haybale\n/reports/\n"


def test_propose_asks_for_what_is_not_there(tmp_path: Path) -> None:
    questions = propose(survey_repository(tmp_path), None, None).questions
    assert [each.partition(":")[0] for each in questions] == ["core", "site", "dump", "solr_conf"]


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ('os.environ["KEY"]', {"KEY": True}),
        ('os.environ.get("KEY")', {"KEY": False}),
        ('os.getenv("KEY")', {"KEY": False}),
        ('env("KEY")', {"KEY": True}),
        ('env("KEY", default=None)', {"KEY": False}),
        ('env.str("KEY")', {"KEY": True}),
        ('env.bool("KEY", False)', {"KEY": False}),
        ('config("KEY", default="x", cast=bool)', {"KEY": False}),
        ('dj_database_url.config(env="OTHER_URL")', {"OTHER_URL": False}),
        ('env("KEY", default=env("OTHER"))', {"KEY": False, "OTHER": True}),
        ('d["key"]', {}),
        ('d["KEY"]', {}),
        ("os.environ[name]", {}),
    ],
)
def test_find_variables(line: str, names: dict[str, bool]) -> None:
    assert {each.name: each.is_required for each in find_variables(f"X = {line}\n")} == names


@pytest.mark.parametrize(
    ("url", "core"),
    [
        ('"http://solr:8983/solr/books"', "books"),
        ('env("SOLR", default="http://solr:8983/solr/books/")', "books"),
        ('f"http://{HOST}:8983/solr/books"', "books"),
        ('env("SOLR")', None),
        ('"http://solr:8983/solr"', None),
    ],
)
def test_find_connections_takes_the_core_as_far_as_it_is_written(url: str, core: str | None) -> None:
    text = f'HAYSTACK_CONNECTIONS: dict = {{"default": {{"ENGINE": "x.SolrEngine", "URL": {url}}}}}\n'
    (found,) = find_connections(text)
    assert (found.alias, found.core, found.line) == ("default", core, 1)


def test_find_settings_module_in_both_forms() -> None:
    assert find_settings_module(MANAGE.format("a.b")) == "a.b"
    assert find_settings_module('import os\nos.environ["X"] = "y"\n') is None
