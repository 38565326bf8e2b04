"""What `init` finds in repositories of different shapes, what it proposes, and that haybale takes it."""

from __future__ import annotations

import re
import sqlite3
import tomllib
from typing import TYPE_CHECKING, Any

import pytest

from haybale import config
from haybale.adoption.description import describe_survey
from haybale.adoption.dumps import find_dumps
from haybale.adoption.plan import Plan, find_forge, plan_files
from haybale.adoption.proposal import Origin
from haybale.adoption.settings_reader import read_settings
from haybale.adoption.site_requirements import declared_packages, package_names, system_packages
from haybale.adoption.solr_files import find_configurations, match_cores
from haybale.adoption.survey import survey_repository
from haybale.adoption.toml_text import render_table
from haybale.adoption.unsupported import check_database
from haybale.adoption.variables import to_service
from haybale.adoption.written_in import WrittenIn, find_written_in
from haybale.errors import ConfigError

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
HAYSTACK_CONNECTIONS = {
    "default": {
        "ENGINE": "haystack.backends.solr_backend.SolrEngine",
        "URL": os.environ.get("SOLR_URL", "http://127.0.0.1:8983/solr/books/"),
    },
    "local": {"ENGINE": "haystack.backends.simple_backend.SimpleEngine"},
}
"""

GITHUB = Origin(url="git@github.com:Owner/Books.git", branch="trunk")
SOLR = "haystack.backends.solr_backend.SolrEngine"
INSTALLED = "FROM python:3.13\nRUN pip install x\n"


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


def test_survey_of_a_site_at_the_root(tmp_path: Path) -> None:
    plant_database(tmp_path / "data/2026-01-01.db")
    (tmp_path / "data/latest.db").symlink_to("2026-01-01.db")
    plant(
        tmp_path,
        {
            "manage.py": MANAGE.format("books.settings"),
            "books/settings.py": SETTINGS,
            "books/search_indexes.py": "",
            "books/urls.py": (
                '# path("old/", include("haystack.urls")),\n'
                'path("healthz", health),\nurl(r"^search/$", include("haystack.urls")),\n'
            ),
            "requirements.txt": "django==5.2\n",
            "Dockerfile": "FROM python:3.11-slim as base\nFROM base as web\nRUN pip install -r a.txt",
            "docker-compose.yml": "services: {solr: {image: 'solr:8.11'}, web: {build: .}}\n",
            "solr/conf/schema.xml": "<schema/>",
            "solr/conf/solrconfig.xml": "<config/>",
            "node_modules/x/manage.py": MANAGE.format("other.settings"),
            ".venv/lib/manage.py": MANAGE.format("other.settings"),
        },
    )
    found = survey_repository(tmp_path)
    assert found.site
    assert (found.site.value, found.site.place, found.settings_files) == (
        ".", "manage.py", ("books/settings.py",),
    )  # fmt: skip
    assert [(each.alias, each.core, each.is_solr) for each in found.settings.connections] == [
        ("default", "books", True), ("local", None, False),
    ]  # fmt: skip
    assert [each.folder for each in found.solr_configurations] == ["solr/conf"]
    assert [each.path for each in found.dumps] == ["data/latest.db", "data/2026-01-01.db"]
    assert found.dockerfile
    assert found.dockerfile.release.name == "web"
    assert found.site_service
    assert [(each.path, each.tool) for each in found.requirements] == [("requirements.txt", "pip")]
    assert found.python
    assert (found.python.value, found.python.place) == ("3.11", "Dockerfile:2")
    assert found.health
    assert (found.health.value, found.health.place) == ("/healthz", "books/urls.py:2")
    assert found.search
    assert (found.search.value, found.search.place) == ("/search/", "books/urls.py:3")
    assert found.solr_version
    assert found.solr_version.value == "8.11"


def test_survey_of_a_monorepo(tmp_path: Path) -> None:
    """Of several manage.py that of the site with Haystack counts; settings take everything from others."""
    plant(
        tmp_path,
        {
            "admin/manage.py": MANAGE.format("admin.settings"),
            "admin/admin/settings.py": "DEBUG = False\n",
            "services/shop/manage.py": MANAGE.format("shop.settings.local"),
            "services/shop/shop/wsgi.py": MANAGE.format("shop.settings.production"),
            "services/shop/shop/settings/base.py": SETTINGS,
            "services/shop/shop/settings/local.py": "from .base import *\n",
            "services/shop/shop/settings/production.py": "from .base import *\nX = env('MAIL')\n",
            "services/shop/uv.lock": "version = 1\n",
            "services/shop/pyproject.toml": (
                '[project]\nrequires-python = ">=3.12"\n'
                '[tool.pytest.ini_options]\nDJANGO_SETTINGS_MODULE = "shop.settings.local"\n'
            ),
        },
    )
    found = survey_repository(tmp_path)
    assert found.site
    assert found.site.value == "services/shop"
    assert found.settings_module
    assert (found.settings_module.value, found.manage_module) == (
        "shop.settings.production", "shop.settings.local",
    )  # fmt: skip
    assert found.settings_files == (
        "services/shop/shop/settings/base.py", "services/shop/shop/settings/production.py",
    )  # fmt: skip
    assert [each.name for each in found.settings.variables] == ["SECRET_KEY", "SOLR_URL", "MAIL"]
    assert [each.tool for each in found.requirements] == ["uv"]
    assert found.python
    assert found.python.place == "services/shop/pyproject.toml:2"
    assert found.tests
    assert (found.tests.runner, found.tests.settings, found.tests.folder) == (
        "pytest", "shop.settings.local", "services/shop",
    )  # fmt: skip


def test_survey_takes_the_settings_that_the_image_or_compose_names(tmp_path: Path) -> None:
    """As in repositories with settings_docker.py beside settings.py."""
    files = {
        "manage.py": MANAGE.format("qi.settings"),
        "qi/settings.py": SETTINGS,
        "qi/settings_docker.py": "from .settings import *\n",
        "docker-compose.yml": (
            "services: {web: {build: ., environment: {DJANGO_SETTINGS_MODULE: qi.settings_docker, KEY: a}}}\n"
        ),
        "Dockerfile": "FROM python:3.8\nCOPY manage.py /app\n",
    }
    found = survey_repository(plant(tmp_path, files))
    assert found.settings_module
    assert found.settings_module.place == "docker-compose.yml, service web"
    assert found.settings_files == ("qi/settings.py", "qi/settings_docker.py")
    plant(tmp_path, {"Dockerfile": files["Dockerfile"] + "ENV DJANGO_SETTINGS_MODULE=qi.settings\n"})
    again = survey_repository(tmp_path).settings_module
    assert again
    assert (again.value, again.place) == ("qi.settings", "Dockerfile:1")


def test_survey_reads_variables_of_shared_files_only(tmp_path: Path) -> None:
    plant(tmp_path, {".env": "A=secret\n", ".env.example": "# x\nexport B='2'\n", "manage.py": ""})
    found = survey_repository(tmp_path, lambda file: file != ".env")
    assert found.env_files == (".env.example",)
    assert {name: each.value for name, each in found.values.items()} == {"B": "2"}


@pytest.mark.parametrize(
    ("files", "runner"),
    [
        ({"shop/tests.py": ""}, "django"),
        ({"shop/tests/test_x.py": "", "requirements.txt": "pytest-django\n"}, "pytest"),
        ({"setup.cfg": "[tool:pytest]\ntestpaths = tests\n"}, "pytest"),
        ({"setup.cfg": "[flake8]\n", "tox.ini": "[tox]\n"}, None),
        ({"pyproject.toml": "[tool.pytest.ini_options]\n"}, "pytest"),
    ],
)
def test_survey_finds_how_a_site_is_tested(tmp_path: Path, files: dict[str, str], runner: str | None) -> None:
    found = survey_repository(plant(tmp_path, {"manage.py": "", **files})).tests
    assert (found.runner if found else None) == runner


def test_survey_finds_tests_that_drive_a_browser(tmp_path: Path) -> None:
    plant(
        tmp_path, {"manage.py": "", "web/test_a.py": "from selenium import webdriver\n", "web/tests.py": ""}
    )
    found = survey_repository(tmp_path).tests
    assert found
    assert found.browser == ("web/test_a.py",)


def test_find_dumps_begins_with_a_link_and_ends_with_somebodys_own_database(tmp_path: Path) -> None:
    for name in ("db.sqlite3", "backups/a-2025-01-01.db", "backups/a-2026-01-01.db"):
        plant_database(tmp_path / name)
    names = ["backups/a-2025-01-01.db", "backups/a-2026-01-01.db", "db.sqlite3"]
    assert [each.path for each in find_dumps(tmp_path, names)] == [names[1], names[0], names[2]]
    (tmp_path / "backups/latest.db").symlink_to("gone.db")
    found = find_dumps(tmp_path, [*names, "backups/latest.db"])[0]
    assert (found.path, found.is_link, found.database) == ("backups/latest.db", True, None)


@pytest.mark.parametrize(
    ("files", "cores", "expected"),
    [
        (["solr/conf/solrconfig.xml", "solr/conf/schema.xml"], ["books"], "solr/conf"),
        # A core's instance folder, and one with more in its folder conf.
        (["s/books/conf/solrconfig.xml", "s/books/conf/managed-schema"], ["books"], "s/books/conf"),
        (["solr/solrconfig.xml", "solr/schema.xml", "solr/conf/elevate.xml"], [], "solr"),
        (
            ["s/en/solrconfig.xml", "s/en/schema.xml", "s/de/solrconfig.xml", "s/de/schema.xml"],
            ["en", "de"],
            {"en": "s/en", "de": "s/de"},
        ),
        (["solr/solrconfig.xml", "solr/managed-schema.xml"], ["daisy", "daisy_test"], "solr"),
        (["a/solrconfig.xml", "b/solrconfig.xml", "b/schema.xml"], [], "b"),
        ([], ["books"], None),
        # Its libraries are beside conf, and a schema that is none of Solr's lies about.
        (["s/conf/solrconfig.xml", "s/conf/schema.xml", "s/lib/icu.jar", "docs/schema.xml"], ["books"], "s"),
        # A Solr home: what all cores share is above them.
        (
            ["s/solr.xml", "s/en/conf/solrconfig.xml", "s/en/conf/schema.xml", "s/de/conf/solrconfig.xml",
             "s/de/conf/schema.xml"],
            ["en", "de"],
            "s",
        ),
        (["s/lib/icu.jar", "s/en/conf/solrconfig.xml", "s/en/conf/schema.xml"], ["en"], "s"),
        # No core here says that it has that configset.
        (["s/configsets/en/conf/solrconfig.xml", "s/configsets/en/conf/schema.xml"], ["en"],
         "s/configsets/en/conf"),
    ],
)  # fmt: skip
def test_match_cores(files: list[str], cores: list[str], expected: object) -> None:
    assert match_cores(find_configurations(files, lambda _: ""), cores) == expected


def test_find_configurations_takes_the_core_of_core_properties() -> None:
    files = ["solr/a/conf/solrconfig.xml", "solr/a/conf/schema.xml", "solr/a/core.properties"]
    (found,) = find_configurations(files, lambda _: "# x\nname = books\n")
    assert (found.core, found.folder, found.layout) == ("books", "solr/a", "instance folder, schema.xml")


def test_find_configurations_takes_the_home_of_a_core_with_a_configset() -> None:
    files = ["solr/configsets/all/conf/solrconfig.xml", "solr/configsets/all/conf/managed-schema.xml",
             "solr/a/core.properties", "solr/b/core.properties"]  # fmt: skip
    found = find_configurations(files, lambda file: f"name={file[5]}s\nconfigSet=all\n")
    assert [(each.folder, each.core, each.schema, each.layout) for each in found] == [
        ("solr", core, "managed-schema.xml", "Solr home, managed-schema.xml") for core in ("as", "bs")
    ]


def test_package_names_of_requirements_and_of_locks() -> None:
    assert package_names("-r base.txt\nDjango_X[a]==1 # c\n# no\n") == {"django-x": "a"}
    assert package_names('version = 1\n[[package]]\nname = "Redis"\n') == {"redis": ""}
    declared = '[project]\ndependencies = ["a>=1"]\n[dependency-groups]\ndev = ["b", {include-group = "x"}]\n'
    assert declared_packages(declared) == {"a": "", "b": ""}
    poetry = (
        '[tool.poetry.dependencies]\npython = "3"\nc = "*"\n[tool.poetry.group.dev.dependencies]\nd = "*"\n'
    )
    assert declared_packages(poetry) == {"c": "", "d": ""}


def test_system_packages_of_what_is_built() -> None:
    assert system_packages({"psycopg2": ""})[1] == ("libpq5",)
    assert system_packages({"psycopg2-binary": "", "psycopg": "binary"}) == ((), ())


def test_describe_survey_says_where_and_how_sure(tmp_path: Path) -> None:
    plant(tmp_path, {"manage.py": MANAGE.format("a.settings"), "a/settings.py": SETTINGS})
    described = describe_survey(survey_repository(tmp_path))
    found = {each.subject: each for each in reversed(described)}
    assert found["site"].text == ". (manage.py)"
    assert found["variables"].text == "SECRET_KEY, required (a/settings.py:3)"
    assert found["dump"].certainty == "absent"


# Proposals for whole repositories --------------------------------------------------------------------------


def plan(root: Path, origin: Origin = GITHUB, **answers: str) -> Plan:
    survey = survey_repository(root)
    return plan_files(survey, origin, "1.2.3", find_forge(survey, origin), answers)


def proposed(found: Plan) -> dict[str, Any]:
    table: dict[str, Any] = tomllib.loads(found.files["pyproject.toml"])["tool"]["haybale"]
    return table


def propose(root: Path) -> dict[str, Any]:
    """Return the proposed table, which haybale takes as it is."""
    found = plan(root)
    file = root / "pyproject.toml"
    file.write_text(found.files["pyproject.toml"], encoding="utf-8")
    config.load(root, {})
    file.unlink()
    return proposed(found)


def settings(*lines: str, url: str = '"http://solr:8983/solr/books"') -> str:
    connection = f'HAYSTACK_CONNECTIONS = {{"default": {{"ENGINE": "{SOLR}", "URL": {url}}}}}'
    return "\n".join(["import os, dj_database_url", *lines, connection, ""])


def plant_site(root: Path, text: str, files: dict[str, str] | None = None) -> Path:
    return plant(
        root, {"manage.py": MANAGE.format("books.settings"), "books/settings.py": text} | (files or {})
    )


def test_propose_for_a_site_at_the_root(tmp_path: Path) -> None:
    plant_database(tmp_path / "data/2026-01-01.db")
    (tmp_path / "data/latest.db").symlink_to("2026-01-01.db")
    files = {
        "Dockerfile": "FROM python:3.11-slim as web\nRUN pip install -r x.txt\nCMD gunicorn x\n",
        "requirements.txt": "django\npytest\n",
        "pytest.ini": "[pytest]\n",
        "solr/conf/schema.xml": "",
        "solr/conf/solrconfig.xml": "",
    }
    assert propose(plant_site(tmp_path, SETTINGS, files)) == {
        "name": "books", "registry": "ghcr.io/owner/books", "core": "books", "main": "trunk",
        "dump": "data/latest.db", "solr_conf": "solr/conf", "dockerfile": "Dockerfile",
        "images": {"python": "python:3.11-slim"}, "requirements": {"production": "requirements.txt"},
        "test": {"suites": {"site": {"command": ["pytest", "--junit-xml={report}"]}}},
    }  # fmt: skip


def test_propose_for_a_monorepo_with_several_cores_and_a_lock(tmp_path: Path) -> None:
    text = settings(
        'BASE = env.str("SOLR_BASE_URL", default="http://localhost:8983/solr")',
        'DATABASES = {"default": env.db("DATABASE_URL", default="sqlite:///x")}',
        'CACHE = env.str("REDIS_URL", default="redis://localhost:6379/0")',
        url='f"{BASE}/en"',
    )
    text += f'HAYSTACK_CONNECTIONS["de"] = {{"ENGINE": "{SOLR}", "URL": f"{{BASE}}/de"}}\n'
    files = {
        "apps/web/manage.py": MANAGE.format("shop.settings.local"),
        "apps/web/shop/wsgi.py": MANAGE.format("shop.settings.production"),
        "apps/web/shop/settings/production.py": text,
        "apps/web/poetry.lock": '[[package]]\nname = "gunicorn"\n',
        "apps/web/pytest.ini": "[pytest]\nDJANGO_SETTINGS_MODULE = shop.settings.test\n",
        "infra/compose.services.yml": "services: {redis: {image: redis:7}}\n",
    }
    solr = {f"infra/solr/{core}/{name}.xml": "" for core in ("en", "de") for name in ("schema", "solrconfig")}
    table = propose(plant(tmp_path, files | solr))
    assert table["core"] == ["en", "de"]
    assert table["solr_conf"] == {"en": "infra/solr/en", "de": "infra/solr/de"}
    assert table["site"] == {
        "folder": "apps/web", "settings": "shop.settings.production",
        "environment": {"REDIS_URL": "redis://redis:6379/0"},
        "test": {"settings": "shop.settings.test"},
    }  # fmt: skip
    assert table["compose"] == dict.fromkeys(["solr", "ci"], "infra/compose.services.yml")
    assert table["requirements"] == {"production": "apps/web/poetry.lock"}
    assert "install" not in table["test"]


def test_propose_for_an_old_site_with_a_file_of_variables(tmp_path: Path) -> None:
    plant_database(tmp_path / "backups/a.db")
    text = settings(
        "ALLOWED_HOSTS = os.environ['HOSTS'].split()",
        "NAME = os.environ['SITE_NAME']",
        "DEBUG = os.environ.get('SITE_DEBUG') == 'yes'",
        "DATABASES = {'default': {'ENGINE': 'django.db.backends.sqlite3', 'NAME': os.environ['DB_FILE']}}",
        url="'http://%(SOLR_HOST)s:%(SOLR_PORT)s/solr/%(SOLR_CORE)s' % os.environ",
    )
    dockerfile = (
        "from python:3.11 as live\nRUN pip install x\nEXPOSE 8080\nCMD gunicorn x\nfrom live as dev\n"
    )
    values = (
        "SITE_NAME=Books\nDB_FILE=/x\nHOSTS=a\nSITE_DEBUG=yes\nSOLR_HOST=solr\nSOLR_PORT=80\nSOLR_CORE=b\n"
    )
    table = propose(
        plant_site(tmp_path, text, {"Dockerfile": dockerfile, ".env": values, "books/tests.py": ""})
    )
    assert table["core"] == "b"
    assert table["stages"] == {"release": "live"}
    # SOLR_HOST and SOLR_CORE are in the file as haybale would set them.
    assert table["site"] == {
        "port": 8080, "environment_files": [".env"],
        "environment": {
            "DB_FILE": "{sqlite_path}", "HOSTS": "*", "SITE_DEBUG": "0", "SOLR_PORT": "{solr_port}",
        },
    }  # fmt: skip
    assert table["test"]["suites"]["site"]["command"] == ["python", "manage.py", "test", "--noinput"]


def test_propose_keeps_what_is_there_and_has_nothing_to_do_the_second_time(tmp_path: Path) -> None:
    plant(tmp_path, {"manage.py": "", "pyproject.toml": "[tool.ruff]\nline-length = 99\n"})
    first = plan(tmp_path, Origin())
    assert first.files["pyproject.toml"].startswith("[tool.ruff]\nline-length = 99\n\n[tool.haybale]\nname =")
    assert "local = true" in first.files["pyproject.toml"]
    plant(tmp_path, dict(first.files))
    again = plan(tmp_path, Origin())
    assert (again.files, again.notes, again.questions) == ({}, (), ())


def test_propose_notes_what_is_not_there(tmp_path: Path) -> None:
    assert [each.partition(":")[0] for each in plan(tmp_path, Origin()).notes] == [
        "registry", "HAYSTACK_CONNECTIONS", "solr_conf", "dump", "site.command", "site.folder",
        "requirements.production", "test.suites",
    ]  # fmt: skip


# The environment -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ('env("SEARCH_AT")', {"SEARCH_AT": "{solr_url}"}),
        ('env("SOLR_URL")', {}),  # haybale sets it by itself
        ('env("SEARCH_AT") + "/books"', {"SEARCH_AT": "{solr_base_url}"}),
        ('env("SEARCH_AT") + "/solr/books"', {"SEARCH_AT": "http://{solr_host}:{solr_port}"}),
        ("f\"http://{env('SEARCH_AT')}/solr/books\"", {"SEARCH_AT": "{solr_host}:{solr_port}"}),
        (
            '"http://%s:%s/solr/%s" % (env("SEARCH_AT"), env("PORT_AT"), env("COLLECTION"))',
            {"SEARCH_AT": "{solr_host}", "PORT_AT": "{solr_port}", "COLLECTION": "{core}"},
        ),
        ('"http://solr:8983/solr/books"', {}),
    ],
)
def test_propose_tells_where_solr_is(tmp_path: Path, url: str, expected: dict[str, str]) -> None:
    table = propose(plant_site(tmp_path, settings(url=url)))
    assert table.get("site", {}).get("environment", {}) == expected


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (['DATABASES = {"default": dj_database_url.config(env="PG_URL")}'], {"PG_URL": "{database_url}"}),
        (
            [
                'E = "django.db.backends." + env("KIND")',
                'DATABASES = {"default": {"ENGINE": E, "NAME": env("DB")}}',
            ],
            {"KIND": "postgresql", "DB": "{database_name}"},
        ),
        (
            ['DATABASES = {"default": {"ENGINE": env("DB_KIND"), "NAME": "x"}}'],
            {"DB_KIND": "{database_engine}"},
        ),
        (['SECRET_KEY = env("DJANGO_SECRET_KEY")'], {"DJANGO_SECRET_KEY": "only-for-tests"}),
        (['SECRET_KEY = env("DJANGO_SECRET_KEY", default="x")'], {}),
        (['SECRET_KEY = env("SECRET_KEY")'], {}),
        (['ALLOWED_HOSTS = env.list("HOSTS")'], {"HOSTS": "*"}),
        (['CSRF_TRUSTED_ORIGINS = env.list("ORIGINS")'], {"ORIGINS": "{site_url}"}),
        (['DEBUG = env.bool("DEBUG")'], {"DEBUG": "0"}),
        (['BASE_DIR = env("BASE_DIR")'], {"BASE_DIR": "/app"}),
        (['AWS = env("AWS_SECRET_KEY", default="")'], {}),
    ],
)
def test_propose_gives_each_variable_what_it_is_for(
    tmp_path: Path, lines: list[str], expected: dict[str, str]
) -> None:
    table = propose(plant_site(tmp_path, settings(*lines)))
    assert table.get("site", {}).get("environment", {}) == expected


def test_propose_asks_for_what_only_a_person_knows(tmp_path: Path) -> None:
    plant_site(tmp_path, settings('A = env("API_KEY")', 'B = env("API_URL")'))
    found = plan(tmp_path, API_URL="http://api")
    assert [(each.variable, each.place) for each in found.questions] == [("API_KEY", "books/settings.py:2")]
    assert any("site.environment.API_KEY" in each for each in found.notes)
    assert proposed(found)["site"]["environment"] == {"API_KEY": "only-for-tests", "API_URL": "http://api"}


def test_propose_takes_values_that_compose_has(tmp_path: Path) -> None:
    compose = (
        "services: {web: {build: ., environment: {API_KEY: a-b, SEARCH: 'http://solr:8983/solr/books'}}}\n"
    )
    text = settings('A = env("API_KEY")', url='env("SEARCH")')
    found = plan(plant_site(tmp_path, text, {"compose.yml": compose, "Dockerfile": INSTALLED}))
    assert found.questions == ()
    assert proposed(found)["core"] == "books"
    assert proposed(found)["site"]["environment"] == {"API_KEY": "a-b", "SEARCH": "{solr_url}"}


def test_propose_notes_a_dump_of_another_database(tmp_path: Path) -> None:
    plant_database(tmp_path / "dumps/a_latest.db")
    text = settings(
        'DATABASES = {"default": {"ENGINE": "django.db.backends.postgresql", "HOST": "db", "NAME": "x"}}',
        url='"http://127.0.0.1:8983/solr/books"',
    )
    notes = "\n".join(plan(plant_site(tmp_path, text)).notes)
    assert "dumps/a_latest.db: the dump is of sqlite" in notes


def test_propose_has_services_where_settings_have_them_written_in(tmp_path: Path) -> None:
    """As in most old repositories: the settings of the developer's machine, written down."""
    (tmp_path / "dumps").mkdir()
    (tmp_path / "dumps/a_latest.sql").write_text("--\n-- PostgreSQL database dump\n--\n", encoding="utf-8")
    text = settings(
        "NAME = 'books'",
        "DATABASES = {'default': {'ENGINE': 'django.db.backends.postgresql', 'HOST': 'db', 'NAME': NAME,"
        " 'USER': 'postgres', 'PASSWORD': 'a$b', 'PORT': ''}}",
        url='"http://127.0.0.1:8080/solr/" + os.environ.get("CORE", "books")',
    )
    table = propose(plant_site(tmp_path, text))
    assert table["site"]["aliases"] == {"db": "database", "127.0.0.1:8080": "solr"}
    assert table["database"] == {"name": "books", "user": "postgres", "password": "a$b"}


@pytest.mark.parametrize(
    ("database", "aliases", "proposed"),
    [
        ("'NAME': 'x', 'HOST': '', 'PORT': ''", {}, {"name": "x"}),
        ("'NAME': 'site', 'HOST': 'localhost', 'PORT': 5433", {"localhost:5433": "database"}, {}),
        ("'NAME': 'x', 'PORT': '5433'", {"postgres:5433": "database"}, {"name": "x"}),
        ("'NAME': 'x', 'HOST': os.environ['DB'], 'USER': 'y'", {}, {"name": "x", "user": "y"}),
    ],
)
def test_find_written_in_reads_a_database(
    database: str, aliases: dict[str, str], proposed: dict[str, str]
) -> None:
    found = written_in(f"{{'ENGINE': 'django.db.backends.postgresql', {database}}}", kind="postgresql")
    assert (found.aliases, found.database, found.notes) == (aliases, proposed, [])


@pytest.mark.parametrize(
    ("database", "note"),
    [
        (
            "'NAME': 'x', 'HOST': '/run/postgresql'",
            "web/books/settings.py:3: .* at the socket /run/postgresql",
        ),
        ("'NAME': 'x', 'HOST': '10.0.0.1'", "web/books/settings.py:3: 10.0.0.1 is written in"),
        ("'NAME': 'x', 'HOST': 'localhost', 'PORT': '8000'", "site.aliases: the port 8000"),
        ("'NAME': find()", "web/books/settings.py:3: nothing that can be read"),
    ],
)
def test_find_written_in_notes_what_no_setting_helps(database: str, note: str) -> None:
    found = written_in(f"{{'ENGINE': 'django.db.backends.postgresql', {database}}}", kind="postgresql")
    (line,) = found.notes
    assert re.match(note, line)
    assert found.aliases == {}


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("os.path.join(BASE_DIR, 'db.sqlite3')", "/app/db.sqlite3"),
        ("str(BASE_DIR / 'data' / 'db.sqlite3')", "/app/data/db.sqlite3"),
        ("Path(__file__).parents[0].joinpath('db')", "/app/books/db"),
        ("BASE_DIR + '/db.sqlite3'", "/app/db.sqlite3"),
        ("f'{BASE_DIR}/db.sqlite3'", "/app/db.sqlite3"),
        ("os.path.join(os.path.dirname(__file__), os.pardir, os.pardir, 'x.db')", "/x.db"),
        ("(environ.Path(__file__) - 2)('x.db')", None),
        ("ROOT('x.db')", "/app/x.db"),
        ("'db.sqlite3'", "/app/db.sqlite3"),
        ("'/srv/x.db'", "/srv/x.db"),
        ("os.path.join(BASE_DIR, find())", None),
        ("'/data/db.sqlite3'", ""),
    ],
)
def test_find_written_in_reads_where_a_file_is_in_the_image(name: str, path: str | None) -> None:
    found = written_in(f"{{'ENGINE': 'django.db.backends.sqlite3', 'NAME': {name}}}", kind="sqlite")
    assert found.database == ({"path": path} if path else {})
    assert bool(found.notes) == (path is None)


def written_in(database: str, *, kind: str) -> WrittenIn:
    text = (
        "BASE_DIR = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))\n"
        "ROOT = environ.Path(__file__) - 2\n"
        f"DATABASES = {{'default': {database}}}\n"
    )
    read = read_settings([("web/books/settings.py", text)])
    return find_written_in(read, kind=kind, folder="web", workdir="/app", port=8000)


def test_find_written_in_notes_further_databases() -> None:
    text = "DATABASES = {'default': {'NAME': 'x'}}\nDATABASES['legacy'] = {'NAME': 'y'}\n"
    settings = read_settings([("s.py", text)])
    assert settings.further_databases == {"legacy": "s.py:2"}
    found = find_written_in(settings, kind="postgresql", folder=".", workdir="/app", port=8000)
    (note,) = found.notes
    assert note.startswith("s.py:2: DATABASES has legacy as well")


def test_find_written_in_knows_addresses_of_solr() -> None:
    def found(url: str) -> WrittenIn:
        text = f"HAYSTACK_CONNECTIONS = {{'default': {{'ENGINE': '{SOLR}', 'URL': {url}}}}}\n"
        settings = read_settings([("s.py", text)])
        return find_written_in(settings, kind="sqlite", folder=".", workdir="/app", port=8000)

    assert found("'http://solr:8983/solr/x'").aliases == {}
    assert found("'http://SOLR/solr/x'").aliases == {"solr:80": "solr"}
    assert found("'http://me:secret@search:8983/solr/x'").aliases == {"search": "solr"}
    assert found("os.environ['URL']").aliases == {}
    assert found("'http://%s:8983/solr/x' % os.environ['HOST']").aliases == {}
    (note,) = found("'https://search/solr/x'").notes
    assert "speaks no TLS" in note


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("redis://localhost:6379/0", "redis://cache-redis:6379/0"),
        ("localhost:11211", None),
        ("127.0.0.1:6379", "cache-redis:6379"),
        ("amqp://guest:guest@localhost//", "amqp://guest:guest@mq//"),
        ("redis://elsewhere:6379", None),
        ("text", None),
    ],
)
def test_to_service(value: str, expected: str | None) -> None:
    assert to_service(value, ["cache-redis", "mq"]) == expected


# Images, services, tests -----------------------------------------------------------------------------------


def test_propose_uses_no_dockerfile_with_a_context_of_its_own(tmp_path: Path) -> None:
    files = {
        "web/manage.py": MANAGE.format("books.settings"),
        "web/books/settings.py": settings(),
        "web/Dockerfile": "FROM python:3.11\nCOPY requirements.txt /app/\nRUN pip install x\n",
        "web/requirements.txt": "django\npsycopg2\n",
    }
    found = plan(plant(tmp_path, files))
    table = proposed(found)
    start = "dockerfile: web/Dockerfile is built with the context web"
    assert any(each.startswith(start) for each in found.notes)
    assert "dockerfile" not in table
    assert table["image"]["packages"] == ["libpq5"]
    assert table["image"]["collectstatic"] is False
    assert table["site"]["command"][:2] == ["python", "manage.py"]


def test_propose_says_where_the_site_is_in_the_image_of_a_whole_repository(tmp_path: Path) -> None:
    files = {
        "web/manage.py": MANAGE.format("books.settings"),
        "web/books/settings.py": settings(),
        "Dockerfile": f"{INSTALLED}WORKDIR /code\nCOPY . .\nCMD gunicorn -b :9000 x\n",
    }
    found = propose(plant(tmp_path, files))["site"]
    assert (found["folder"], found["workdir"], found["port"]) == ("web", "/code/web", 9000)


@pytest.mark.parametrize(
    ("image", "compose", "command"),
    [
        ("CMD gunicorn x", "manage.py runserver", None),
        ("ENTRYPOINT /entry.sh", "manage.py runserver", None),
        ("", "gunicorn -w 2 -b :8000 x.wsgi", ["gunicorn", "-w", "2", "-b", ":8000", "x.wsgi"]),
        ("CMD manage.py runserver", "gunicorn $A x", ["sh", "-c", "gunicorn $A x"]),
    ],
)
def test_propose_starts_the_site_as_it_is_deployed(
    tmp_path: Path, image: str, compose: str, command: list[str] | None
) -> None:
    files = {
        "Dockerfile": INSTALLED + image,
        "compose.yml": f"services: {{web: {{build: ., command: {compose}}}}}\n",
    }
    assert propose(plant_site(tmp_path, settings(), files)).get("site", {}).get("command") == command


def test_propose_writes_the_services_that_have_no_file_of_their_own(tmp_path: Path) -> None:
    compose = (
        "services: {web: {build: .}, solr: {image: solr}, redis: {image: redis, ports: ['6379:6379']}}\n"
    )
    found = plan(plant_site(tmp_path, settings(), {"docker-compose.yml": compose}))
    assert proposed(found)["compose"] == dict.fromkeys(["solr", "ci"], "compose.haybale.yml")
    assert found.files["compose.haybale.yml"].endswith("services:\n  redis:\n    image: redis\n")


@pytest.mark.parametrize(
    ("files", "install"),
    [
        ({"requirements.txt": "django\npytest\n"}, None),
        ({"requirements.txt": "django\n"}, "pip install pytest pytest-django"),
        ({"requirements/base.txt": "django\n", "requirements/test.txt": "pytest\n"}, None),
        ({"poetry.lock": ""}, None),
        ({"requirements.txt": "django\n", "Dockerfile": INSTALLED}, "pip install pytest pytest-django"),
        (
            {"requirements/base.txt": "a\n", "requirements/dev.txt": "b\n", "Dockerfile": INSTALLED},
            "pip install -r requirements/dev.txt",
        ),
        ({"Dockerfile": f"{INSTALLED}FROM a AS test\nRUN pip install pytest\n"}, None),
    ],
)
def test_propose_installs_pytest_where_the_image_lacks_it(
    tmp_path: Path, files: dict[str, str], install: str | None
) -> None:
    table = propose(plant_site(tmp_path, settings(), {"pytest.ini": "[pytest]\n"} | files))
    assert table["test"].get("install") == install


SIGNALS = 'HAYSTACK_SIGNAL_PROCESSOR = "haystack.signals.{}SignalProcessor"\n'


@pytest.mark.parametrize(
    ("name", "text", "place"),
    [
        ("books/settings.py", SETTINGS + SIGNALS.format("Realtime"), "books/settings.py:11 (RealtimeSig"),
        ("books/settings.py", SETTINGS + SIGNALS.format("Base"), None),
        ("books/tests.py", 'call_command("rebuild_index")', "books/tests.py:1 (rebuild_index)"),
        ("books/tests.py", 'call_command("migrate")', None),
        ("books/views.py", "\nindex.update_object(book)", "books/views.py:2 (update_object)"),
        ("books/search_indexes.py", "class I:\n def f(self):\n  super().update_object()", None),
        ("books/management/commands/x.py", 'call_command("update_index")', None),
        ("books/old.py", "print 'update_index'", None),
        ("docs/conf.txt", 'call_command("update_index")', None),
    ],
)
def test_propose_opens_solr_to_a_site_that_changes_its_index(
    tmp_path: Path, name: str, text: str, place: str | None
) -> None:
    plant(tmp_path, {"manage.py": MANAGE.format("books.settings"), "books/settings.py": SETTINGS, name: text})
    found = plan(tmp_path)
    assert (proposed(found).get("index") == {"serve": "open"}) == (place is not None)
    notes = [each for each in found.notes if each.startswith("index.serve: ")]
    assert [each for each in notes if place and each.startswith(f"index.serve: {place}")] == notes


def test_propose_asks_pages_of_hosts_that_the_site_answers_for(tmp_path: Path) -> None:
    urls = {"books/urls.py": 'path("search/", include("haystack.urls")),\n'}
    table = propose(plant_site(tmp_path, settings('ALLOWED_HOSTS = [".books.example"]'), urls))
    assert table["site"]["health_headers"] == {"Host": "books.example"}
    assert table["test"]["pages"] == [{"path": "/search/?q=a", "headers": {"Host": "books.example"}}]


def test_propose_asks_no_page_behind_a_login(tmp_path: Path) -> None:
    urls = {"books/urls.py": 'path("search/", include("haystack.urls")),\n'}
    text = settings('MIDDLEWARE = ["django.contrib.auth.middleware.LoginRequiredMiddleware"]')
    assert "test" not in propose(plant_site(tmp_path, text, urls))


# Other layouts ---------------------------------------------------------------------------------------------

STAGED = "FROM python:3.13 AS python\nFROM python AS run\nWORKDIR /app\nRUN pip install x\n"
# As projects made by cookiecutter-django have it: a Dockerfile and a compose file for each place; scripts.
SCRIPTS = (
    "COPY ./compose/production/entrypoint /entrypoint\nCOPY ./compose/production/start /start\nCOPY . /app\n"
    'ENTRYPOINT ["/entrypoint"]\n'
)
COMPOSE = (
    "services:\n  django: &django\n    build: {{context: ., dockerfile: ./compose/{0}/Dockerfile}}\n"
    "    env_file: [./.envs/.{0}/.postgres]\n    command: /start\n    ports: ['8000:8000']\n"
    "  redis: {{image: 'docker.io/redis:6'}}\n"
)


def test_propose_takes_what_is_deployed_of_several_places(tmp_path: Path) -> None:
    files = {
        "compose/local/Dockerfile": STAGED,
        "compose/production/Dockerfile": STAGED + SCRIPTS,
        "compose/production/entrypoint": (
            '#!/bin/bash\nset -o nounset\nexport DATABASE_URL="postgres://$POSTGRES_USER@${POSTGRES_HOST}/"\n'
            'echo "$THEME"\nexec "$@"\n'
        ),
        "compose/production/start": "#!/bin/sh\nexec gunicorn site.wsgi --bind 0.0.0.0:5000\n",
        "docker-compose.local.yml": COMPOSE.format("local"),
        "docker-compose.production.yml": COMPOSE.format("production"),
        ".envs/.local/.postgres": "THEME=dark\nPOSTGRES_HOST=postgres\n",
    }
    table = propose(plant_site(tmp_path, settings(), files))
    assert table["dockerfile"] == "compose/production/Dockerfile"
    assert (table["site"]["command"], table["site"]["port"]) == (["/start"], 5000)
    assert table["site"]["environment"] == {
        "POSTGRES_HOST": "{database_host}", "POSTGRES_USER": "{database_user}", "THEME": "dark",
    }  # fmt: skip


def test_propose_mounts_the_example_of_a_module_that_git_has_not(tmp_path: Path) -> None:
    files = {
        "books/settings.py": "from books.local_settings import *\n",
        "books/local_settings.example.py": settings(),
        "Dockerfile": f"{INSTALLED}WORKDIR /code\nCOPY . .\n",
    }
    found = plan(plant_site(tmp_path, "", files), Origin())
    assert proposed(found)["site"]["mounts"] == [
        "books/local_settings.example.py:/code/books/local_settings.py"
    ]
    assert proposed(found)["core"] == "books"
    (tmp_path / "books/local_settings.example.py").unlink()
    assert any("books/settings.py:1 imports" in each for each in plan(tmp_path, Origin()).notes)


def test_propose_notes_files_that_a_deployment_brings(tmp_path: Path) -> None:
    found = plan(plant_site(tmp_path, settings("config.read('/run/secrets/site')")), Origin())
    assert any("books/settings.py:2 reads /run/secrets/site" in each for each in found.notes)


def test_survey_finds_compose_files_of_other_names_at_the_top(tmp_path: Path) -> None:
    files = {
        "Dockerfile": INSTALLED,
        "base.yml": "version: '3'\nservices:\n  redis: {image: redis}\n  web: {environment: {A: b}}\n",
        "dev.yml": "services:\n  web:\n    build: .\n    environment: {DJANGO_SETTINGS_MODULE: books.dev}\n",
        "mkdocs.yml": "nav:\n  services: x\n",
    }
    survey = survey_repository(plant_site(tmp_path, settings(), files))
    assert survey.compose_files == ("base.yml", "dev.yml")
    assert [each.name for each in survey.needed_services] == ["redis"]
    # What developers run says nothing about what is deployed.
    assert survey.settings_module
    assert survey.settings_module.value == "books.settings"


@pytest.mark.parametrize(
    ("project", "install"),
    [
        ('[project.optional-dependencies]\ntests = ["pytest", "factory-boy"]\n', "pip install -e '.[tests]'"),
        ('[project.optional-dependencies]\ndocs = ["sphinx"]\n', "pip install pytest pytest-django"),
    ],
)
def test_propose_installs_the_extra_of_a_package_for_its_tests(
    tmp_path: Path, project: str, install: str
) -> None:
    package = f'[project]\nname = "books"\nversion = "1"\ndependencies = ["django"]\n{project}'
    files = {"Dockerfile": INSTALLED, "pytest.ini": "[pytest]\n", "pyproject.toml": package}
    found = plan(plant_site(tmp_path, settings(), files), Origin())
    assert proposed(found)["test"]["install"] == install
    assert not any(each.startswith("requirements.production") for each in found.notes)


def test_propose_installs_requirements_of_a_folder_of_tests(tmp_path: Path) -> None:
    files = {
        "Dockerfile": INSTALLED, "pytest.ini": "[pytest]\n", "requirements.txt": "django\n",
        "tests/requirements.txt": "pytest\npytest-mock\n",
    }  # fmt: skip
    table = propose(plant_site(tmp_path, settings(), files))
    assert table["test"]["install"] == "pip install -r tests/requirements.txt"


def test_propose_counts_files_that_settings_read(tmp_path: Path) -> None:
    text = settings('VERSION = open("version.txt").read()', 'open("made-later.txt")')
    table = propose(plant_site(tmp_path, text, {"version.txt": "1\n"}))
    assert table["index"]["inputs"] == ["version.txt"]


def test_propose_notes_what_a_script_cannot_do_before_it_serves(tmp_path: Path) -> None:
    files = {
        "Dockerfile": f"{INSTALLED}COPY start /start\nCMD /start\n",
        "start": "manage.py collectstatic\n# manage.py clear_index\npython /app/manage.py rebuild_index\n",
        "requirements.txt": "django-storages[s3]==1.14\n",
    }
    notes = plan(plant_site(tmp_path, settings(), files), Origin()).notes
    said = [each.partition(",")[0].partition(";")[0] for each in notes if each.startswith("site.command")]
    assert said == [
        "site.command: start:1 runs collectstatic", "site.command: start:3 runs rebuild_index",
    ]  # fmt: skip


def test_propose_gives_sentry_no_address(tmp_path: Path) -> None:
    text = settings('DSN, KEY = os.environ["SENTRY_DSN"], os.environ["MAPS_KEY"]')
    table = propose(plant_site(tmp_path, text))
    assert table["site"]["environment"] == {"MAPS_KEY": "only-for-tests", "SENTRY_DSN": ""}


def test_propose_takes_no_configuration_of_solr_without_a_schema(tmp_path: Path) -> None:
    found = plan(plant_site(tmp_path, settings(), {"solr/solrconfig.xml": "<config/>"}), Origin())
    assert "solr_conf" not in proposed(found)
    assert any("solr has no schema" in each for each in found.notes)


def test_check_database_refuses_what_cannot_be_restored(tmp_path: Path) -> None:
    mysql = 'DATABASES = {"default": {"ENGINE": "django.db.backends.mysql", "NAME": "x"}}'
    plant_site(tmp_path, settings(mysql))
    with pytest.raises(ConfigError, match=r"books/settings\.py:2: the site's database is MySQL"):
        check_database(survey_repository(tmp_path))
    plant_database(tmp_path / "data/latest.db")
    check_database(survey_repository(tmp_path))


@pytest.mark.parametrize(
    "engine", ['"django.db.backends.postgresql"', 'os.environ.get("E", "django.db.backends.mysql")']
)
def test_check_database_takes_what_can_be_restored(tmp_path: Path, engine: str) -> None:
    database = f'DATABASES = {{"default": {{"ENGINE": {engine}, "NAME": "x"}}}}'
    check_database(survey_repository(plant_site(tmp_path, settings(database))))


def test_render_table_reads_alone_and_back() -> None:
    table = {
        "a": 'x"\\', "b": ["é", "y"], "c": True, "solr_conf": {"en": "x", "d e": "y"}, "d": {"e": {"f": 1}},
        "g": [{"h": "i", "headers": {"Host": "j"}}, {"h": "k"}],
    }  # fmt: skip
    text = render_table(table, "tool.haybale")
    assert tomllib.loads(text)["tool"]["haybale"] == table
    assert text.startswith('[tool.haybale]\na = "x')
    assert 'solr_conf = { en = "x", "d e" = "y" }' in text
    assert "[tool.haybale.d]" not in text
