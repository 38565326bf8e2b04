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
def test_whatever_way_a_module_is_imported_it_belongs_to_the_index(tmp_path: Path, statement: str) -> None:
    write(tmp_path, "helpers/__init__.py")
    write(tmp_path, "helpers/text.py")
    write(tmp_path, "helpers/unused.py")
    write(tmp_path, "app/__init__.py")
    site = make(tmp_path, app__search_indexes=statement)
    assert inputs.find_index_code(site) == {
        "app/__init__.py", "app/search_indexes.py", "helpers/__init__.py", "helpers/text.py",
    }  # fmt: skip


def test_imports_are_followed_as_far_as_they_go_and_in_circles(tmp_path: Path) -> None:
    site = make(
        tmp_path,
        app__search_indexes="from a import x",
        a="import b",
        b="import c",
        c="import a",
        unused="import a",
    )  # fmt: skip
    assert inputs.find_index_code(site) == {"app/search_indexes.py", "a.py", "b.py", "c.py"}


def test_a_name_in_a_module_is_not_a_module(tmp_path: Path) -> None:
    site = make(tmp_path, app__search_indexes="from a import b", a="b = 1", other__b="")
    assert inputs.find_index_code(site) == {"app/search_indexes.py", "a.py"}


def test_packages_of_indexes_count_whole(tmp_path: Path) -> None:
    site = make(
        tmp_path, app__search_indexes__PACKAGE="", app__search_indexes__one="from . import two",
        app__search_indexes__two="from ...shared import x", shared="",
    )  # fmt: skip
    assert inputs.find_index_code(site) == {
        "app/search_indexes/__init__.py", "app/search_indexes/one.py", "app/search_indexes/two.py",
        "shared.py",
    }  # fmt: skip


def test_with_models_come_migrations_and_the_app_and_what_they_import(tmp_path: Path) -> None:
    site = make(
        tmp_path, app__search_indexes="from app.models import A", app__models="", app__apps="import signals",
        app__migrations__PACKAGE="", app__migrations__m1="import cleaning", cleaning="", signals="",
        app__views="", app__admin="", other__models="", other__migrations__m1="",
    )  # fmt: skip
    assert inputs.find_index_code(site) == {
        "app/search_indexes.py", "app/models.py", "app/apps.py", "app/migrations/__init__.py",
        "app/migrations/m1.py", "cleaning.py", "signals.py",
    }  # fmt: skip


def test_a_package_of_models_has_its_app_s_migrations(tmp_path: Path) -> None:
    site = make(
        tmp_path, app__search_indexes="from app.models.a import A", app__models__PACKAGE="from .a import A",
        app__models__a="", app__migrations__m1="",
    )  # fmt: skip
    assert "app/migrations/m1.py" in inputs.find_index_code(site)


def test_a_module_with_an_error_counts_and_is_not_followed(tmp_path: Path) -> None:
    site = make(tmp_path, app__search_indexes="import broken", broken="import a\ndef (", a="")
    assert inputs.find_index_code(site) == {"app/search_indexes.py", "broken.py"}


def test_a_site_without_indexes_has_no_index_code(tmp_path: Path) -> None:
    assert inputs.find_index_code(make(tmp_path, app__models="", research_indexes="")) == set()


def test_the_templates_of_documents_bring_what_they_are_made_of(tmp_path: Path) -> None:
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


def test_templates_that_include_each_other_end(tmp_path: Path) -> None:
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
def test_the_settings_are_those_that_manage_py_names(tmp_path: Path, line: str) -> None:
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
def test_what_the_site_s_container_says_goes_before_manage_py(tmp_path: Path, said: str) -> None:
    write(tmp_path, "manage.py", 'os.environ.setdefault("DJANGO_SETTINGS_MODULE", "conf.dev")')
    site = make(tmp_path, conf__prod="import base", conf__dev="", base="")
    assert inputs.find_settings(site, ["FROM python AS release", said]) == {"conf/prod.py", "base.py"}


def test_settings_that_are_not_the_site_s_are_not_its_files(tmp_path: Path) -> None:
    write(tmp_path, "manage.py", 'os.environ.setdefault("DJANGO_SETTINGS_MODULE", "conf.dev")')
    site = make(tmp_path, conf__dev="")
    said = "ENV DJANGO_SETTINGS_MODULE=installed.settings"
    assert inputs.find_settings(site, [said]) == {"conf/dev.py"}
    assert inputs.find_settings(site, ["ENV DJANGO_SETTINGS_MODULE=$(which)"]) == {"conf/dev.py"}


def test_without_a_name_there_are_no_settings(tmp_path: Path) -> None:
    assert inputs.find_settings(make(tmp_path, settings="")) == set()
    write(tmp_path, "manage.py", "print()")
    assert inputs.find_settings(make(tmp_path, settings="")) == set()


def test_what_python_compiles_is_no_file_of_the_site(tmp_path: Path) -> None:
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


def test_a_link_to_a_folder_counts_as_what_it_leads_to(tmp_path: Path) -> None:
    write(tmp_path, "site/real/a.py")
    write(tmp_path, "shared/deep/b.py")
    write(tmp_path, "shared/node_modules/c.js")
    (tmp_path / "site/near").symlink_to("real")
    (tmp_path / "site/far").symlink_to("../shared")
    (tmp_path / "site/node_modules").symlink_to("real")
    assert inputs.read_site(tmp_path / "site").files == {"real/a.py", "near/a.py", "far/deep/b.py"}


def test_links_that_lead_back_end(tmp_path: Path) -> None:
    write(tmp_path, "site/a/x.py")
    write(tmp_path, "site/b/y.py")
    for link, target in (("site/a/b", "../b"), ("site/b/a", "../a"), ("site/a/up", ".."), ("site/top", "/")):
        (tmp_path / link).symlink_to(target)
    assert inputs.read_site(tmp_path / "site").files == {"a/x.py", "b/y.py", "a/b/y.py", "b/a/x.py"}


def test_links_that_lead_nowhere_are_there_to_be_named(tmp_path: Path) -> None:
    (tmp_path / "gone.py").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to("loop")
    assert inputs.read_site(tmp_path).files == {"gone.py", "loop"}


def test_a_site_s_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no folder .*/web"):
        inputs.read_site(tmp_path / "web")


def test_globs_add_files_and_whole_folders(tmp_path: Path) -> None:
    for path in ("web/data/a.json", "web/data/b.csv", "web/deep/er/c.txt", "other.json"):
        write(tmp_path, path)
    assert inputs.match_globs(tmp_path, ["web/data/*.json", "web/deep", "*.json"]) == {
        "web/data/a.json", "web/deep/er/c.txt", "other.json",
    }  # fmt: skip


@pytest.mark.parametrize("pattern", ["web/data/*.json", "/etc/passwd", ""])
def test_a_glob_that_matches_nothing_or_is_none_is_named(tmp_path: Path, pattern: str) -> None:
    with pytest.raises(ConfigError, match=r"^index\.inputs: ") as refused:
        inputs.match_globs(tmp_path, [pattern])
    assert repr(pattern) in refused.value.message
