"""Which files determine an index, seen in sites of every shape."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from haybale.errors import ConfigError
from haybale.index import inputs

if TYPE_CHECKING:
    from pathlib import Path


def make(folder: Path, **files: str) -> inputs.Site:
    """Write files (a__b for a/b.py, a__PACKAGE for a/__init__.py) and look at the site."""
    for name, text in files.items():
        write(folder, name.replace("__", "/").replace("PACKAGE", "__init__") + ".py", text)
    return inputs.read_site(folder)


def write(folder: Path, path: str, text: str = "") -> None:
    file = folder / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


@pytest.mark.parametrize(
    "statement",
    [
        "import helpers.text",
        "import helpers.text as t",
        "from helpers import text",
        "from helpers.text import clean",
        "from helpers import text as t, numbers",
        "def prepare():\n    from helpers.text import clean",
        "try:\n    import helpers.text\nexcept ImportError:\n    pass",
        "if True:\n    import os, helpers.text",
        "class A:\n    from helpers import text",
        "from ..helpers import text",
        "from ..helpers.text import clean",
        "from .. import helpers\nfrom ..helpers import text",
    ],
)
def test_find_index_code_follows_every_kind_of_import(tmp_path: Path, statement: str) -> None:
    write(tmp_path, "helpers/__init__.py")
    write(tmp_path, "helpers/text.py")
    write(tmp_path, "helpers/unused.py")
    write(tmp_path, "app/__init__.py")
    site = make(tmp_path, app__search_indexes=statement)
    assert inputs.find_index_code(site) == {
        "app/__init__.py", "app/search_indexes.py", "helpers/__init__.py", "helpers/text.py",
    }  # fmt: skip


def test_find_index_code_follows_circular_imports(tmp_path: Path) -> None:
    site = make(
        tmp_path,
        app__search_indexes="from a import x",
        a="import b",
        b="import c",
        c="import a",
        unused="import a",
    )  # fmt: skip
    assert inputs.find_index_code(site) == {"app/search_indexes.py", "a.py", "b.py", "c.py"}


def test_find_index_code_tells_names_from_modules(tmp_path: Path) -> None:
    site = make(tmp_path, app__search_indexes="from a import b", a="b = 1", other__b="")
    assert inputs.find_index_code(site) == {"app/search_indexes.py", "a.py"}


def test_find_index_code_takes_packages_of_indexes_whole(tmp_path: Path) -> None:
    site = make(
        tmp_path, app__search_indexes__PACKAGE="", app__search_indexes__one="from . import two",
        app__search_indexes__two="from ...shared import x", shared="",
    )  # fmt: skip
    assert inputs.find_index_code(site) == {
        "app/search_indexes/__init__.py", "app/search_indexes/one.py", "app/search_indexes/two.py",
        "shared.py",
    }  # fmt: skip


def test_find_index_code_adds_migrations_and_the_app_of_models(tmp_path: Path) -> None:
    site = make(
        tmp_path, app__search_indexes="from app.models import A", app__models="", app__apps="import signals",
        app__migrations__PACKAGE="", app__migrations__m1="import cleaning", cleaning="", signals="",
        app__views="", app__admin="", other__models="", other__migrations__m1="",
    )  # fmt: skip
    assert inputs.find_index_code(site) == {
        "app/search_indexes.py", "app/models.py", "app/apps.py", "app/migrations/__init__.py",
        "app/migrations/m1.py", "cleaning.py", "signals.py",
    }  # fmt: skip


def test_find_index_code_knows_packages_of_models(tmp_path: Path) -> None:
    site = make(
        tmp_path, app__search_indexes="from app.models.a import A", app__models__PACKAGE="from .a import A",
        app__models__a="", app__migrations__m1="",
    )  # fmt: skip
    assert "app/migrations/m1.py" in inputs.find_index_code(site)


def test_find_index_code_does_not_follow_a_broken_module(tmp_path: Path) -> None:
    site = make(tmp_path, app__search_indexes="import broken", broken="import a\ndef (", a="")
    assert inputs.find_index_code(site) == {"app/search_indexes.py", "broken.py"}


def test_find_index_code_of_a_site_without_indexes(tmp_path: Path) -> None:
    assert inputs.find_index_code(make(tmp_path, app__models="", research_indexes="")) == set()


def test_find_templates_follows_tags(tmp_path: Path) -> None:
    folder = "app/templates/search/indexes/app"
    write(tmp_path, f"{folder}/note_text.txt", '{% extends "search/base.txt" %}{% load words from more %}')
    write(
        tmp_path,
        "app/templates/search/base.txt",
        "{%- include 'search/part.txt' with a=1 -%}{% include name %}",
    )
    write(tmp_path, "templates/search/part.txt", "{% load numbers static %}")
    write(tmp_path, "templates/search/search.html", "the page, not a document")
    write(tmp_path, "app/templatetags/more.py", "import shared")
    write(tmp_path, "app/templatetags/words.py")
    write(tmp_path, "app/templatetags/numbers.py")
    site = make(tmp_path, shared="")
    assert inputs.find_templates(site) == {
        f"{folder}/note_text.txt", "app/templates/search/base.txt", "templates/search/part.txt",
        "app/templatetags/more.py", "app/templatetags/numbers.py", "shared.py",
    }  # fmt: skip


def test_find_templates_follows_circular_includes(tmp_path: Path) -> None:
    write(tmp_path, "templates/search/indexes/a/a_text.txt", '{% include "b.txt" %}')
    write(tmp_path, "templates/b.txt", '{% include "search/indexes/a/a_text.txt" %}')
    assert len(inputs.find_templates(inputs.read_site(tmp_path))) == 2


@pytest.mark.parametrize(
    "line",
    [
        'os.environ.setdefault("DJANGO_SETTINGS_MODULE", "conf.settings.prod")',
        "os.environ.setdefault('DJANGO_SETTINGS_MODULE' , 'conf.settings.prod')",
        'os.environ.setdefault(\n    "DJANGO_SETTINGS_MODULE",\n    "conf.settings.prod",\n)',
    ],
)
def test_find_settings_reads_manage_py(tmp_path: Path, line: str) -> None:
    write(tmp_path, "manage.py", line)
    site = make(
        tmp_path, conf__settings__PACKAGE="", conf__settings__prod="from .base import *",
        conf__settings__dev="", conf__settings__base="from environment import secret", environment="",
    )  # fmt: skip
    assert inputs.find_settings(site) == {
        "conf/settings/__init__.py", "conf/settings/prod.py", "conf/settings/base.py", "environment.py",
    }  # fmt: skip


@pytest.mark.parametrize(
    "said",
    [
        "ENV A=1 DJANGO_SETTINGS_MODULE=conf.prod B=2",
        'ENV DJANGO_SETTINGS_MODULE="conf.prod"',
        "ENV DJANGO_SETTINGS_MODULE conf.prod",
        "    environment:\n      DJANGO_SETTINGS_MODULE: conf.prod\n",
        "      - DJANGO_SETTINGS_MODULE=conf.prod",
        "      DJANGO_SETTINGS_MODULE: ${DJANGO_SETTINGS_MODULE:-conf.prod}",
    ],
)
def test_find_settings_prefers_the_container(tmp_path: Path, said: str) -> None:
    write(tmp_path, "manage.py", 'os.environ.setdefault("DJANGO_SETTINGS_MODULE", "conf.dev")')
    site = make(tmp_path, conf__prod="import base", conf__dev="", base="")
    assert inputs.find_settings(site, ["FROM python AS release", said]) == {"conf/prod.py", "base.py"}


def test_find_settings_ignores_modules_of_others(tmp_path: Path) -> None:
    write(tmp_path, "manage.py", 'os.environ.setdefault("DJANGO_SETTINGS_MODULE", "conf.dev")')
    site = make(tmp_path, conf__dev="")
    said = "ENV DJANGO_SETTINGS_MODULE=installed.settings"
    assert inputs.find_settings(site, [said]) == {"conf/dev.py"}
    assert inputs.find_settings(site, ["ENV DJANGO_SETTINGS_MODULE=$(which)"]) == {"conf/dev.py"}


def test_find_settings_without_a_name(tmp_path: Path) -> None:
    assert inputs.find_settings(make(tmp_path, settings="")) == set()
    write(tmp_path, "manage.py", "print()")
    assert inputs.find_settings(make(tmp_path, settings="")) == set()


def test_read_site_leaves_out_compiled_python(tmp_path: Path) -> None:
    for path in (
        "a.py",
        "a.pyc",
        "__pycache__/a.cpython-313.pyc",
        ".venv/lib/b.py",
        "node_modules/c.py",
        "d/e.txt",
    ):
        write(tmp_path, path)
    assert inputs.read_site(tmp_path).files == {"a.py", "d/e.txt"}


def test_read_site_follows_links_to_folders(tmp_path: Path) -> None:
    write(tmp_path, "site/real/a.py")
    write(tmp_path, "shared/deep/b.py")
    write(tmp_path, "shared/node_modules/c.js")
    (tmp_path / "site/near").symlink_to("real")
    (tmp_path / "site/far").symlink_to("../shared")
    (tmp_path / "site/node_modules").symlink_to("real")
    assert inputs.read_site(tmp_path / "site").files == {"real/a.py", "near/a.py", "far/deep/b.py"}


def test_read_site_stops_at_circular_links(tmp_path: Path) -> None:
    write(tmp_path, "site/a/x.py")
    write(tmp_path, "site/b/y.py")
    for link, target in (("site/a/b", "../b"), ("site/b/a", "../a"), ("site/a/up", ".."), ("site/top", "/")):
        (tmp_path / link).symlink_to(target)
    assert inputs.read_site(tmp_path / "site").files == {"a/x.py", "b/y.py", "a/b/y.py", "b/a/x.py"}


def test_read_site_lists_broken_links(tmp_path: Path) -> None:
    (tmp_path / "gone.py").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to("loop")
    assert inputs.read_site(tmp_path).files == {"gone.py", "loop"}


def test_read_site_names_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no folder .*/web"):
        inputs.read_site(tmp_path / "web")


def test_match_globs_takes_files_and_whole_folders(tmp_path: Path) -> None:
    for path in ("web/data/a.json", "web/data/b.csv", "web/deep/er/c.txt", "other.json"):
        write(tmp_path, path)
    assert inputs.match_globs(tmp_path, ["web/data/*.json", "web/deep", "*.json"]) == {
        "web/data/a.json", "web/deep/er/c.txt", "other.json",
    }  # fmt: skip


@pytest.mark.parametrize("pattern", ["web/data/*.json", "/etc/passwd", ""])
def test_match_globs_refuses_what_matches_nothing(tmp_path: Path, pattern: str) -> None:
    with pytest.raises(ConfigError, match=r"^index\.inputs: ") as refused:
        inputs.match_globs(tmp_path, [pattern])
    assert repr(pattern) in refused.value.message


def test_mounted_files_are_those_of_files_and_folders(tmp_path: Path) -> None:
    write(tmp_path, "conf/a.ini")
    write(tmp_path, "conf/more/b.ini")
    found = inputs.mounted_files(tmp_path, ["conf:/etc/site", "local.py:/app/local.py"])
    assert found == {
        "conf/a.ini": "/etc/site/a.ini",
        "conf/more/b.ini": "/etc/site/more/b.ini",
        "local.py": "/app/local.py",
    }
