"""`doctor` compares what settings have written in with what haybale's services are called."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from haybale import config
from haybale.doctor.addresses import check_addresses
from haybale.doctor.site import list_site_files

if TYPE_CHECKING:
    from pathlib import Path

    from haybale.doctor.finding import Finding

SITE = """\
DATABASES = {"default": {
    "ENGINE": "django.db.backends.postgresql", "HOST": "db", "NAME": "shop",
    "USER": "site", "PASSWORD": "a\\"b",
}}
HAYSTACK_CONNECTIONS = {"default": {
    "ENGINE": "haystack.backends.solr_backend.SolrEngine", "URL": "http://127.0.0.1:8983/solr/shop",
}}
"""
ALIASES = '[tool.haybale.site.aliases]\n"db:5432" = "database"\n"127.0.0.1" = "solr"\n'
NAMES = '[tool.haybale.database]\nname = "shop"\npassword = \'a"b\'\n'


def findings(folder: Path, settings: str, more: str = "") -> list[Finding]:
    manage = 'import os\nos.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")\n'
    table = '[tool.haybale]\nname = "shop"\nregistry = "r/shop"\n'
    files = {"manage.py": manage, "shop/settings.py": settings, "pyproject.toml": table + more}
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return list(check_addresses(list_site_files(config.load(folder, {}))))


def test_check_addresses_names_the_line_of_each_and_what_to_write(tmp_path: Path) -> None:
    found = findings(tmp_path, SITE)
    assert [(each.what.partition(": ")[0], each.fix) for each in found] == [
        ("shop/settings.py:5", '"127.0.0.1" = "solr" in [tool.haybale.site.aliases]'),
        ("shop/settings.py:1", 'db = "database" in [tool.haybale.site.aliases]'),
        ("shop/settings.py:1", 'name = "shop" in [tool.haybale.database]'),
        ("shop/settings.py:1", 'password = "..." in [tool.haybale.database]'),
    ]


def test_check_addresses_has_nothing_against_what_the_settings_say(tmp_path: Path) -> None:
    assert findings(tmp_path, SITE, ALIASES + NAMES) == []


def test_check_addresses_leaves_alone_what_comes_from_a_variable(tmp_path: Path) -> None:
    options = '"ENGINE": "x.postgresql", "NAME": os.environ["A"], "HOST": os.environ["B"]'
    assert findings(tmp_path, f'DATABASES = {{"default": {{{options}}}}}') == []


def test_check_addresses_leaves_alone_what_a_compose_file_of_theirs_has(tmp_path: Path) -> None:
    (tmp_path / "ci.yml").write_text("services: {x: {hostname: db}}\n", encoding="utf-8")
    own = 'compose.ci = "ci.yml"\n'
    assert [each.fix for each in findings(tmp_path, SITE, own + NAMES)] == [
        '"127.0.0.1" = "solr" in [tool.haybale.site.aliases]'
    ]


@pytest.mark.parametrize(
    ("more", "count"),
    [
        ("", 1),
        ('database.path = "/app/db.sqlite3"\n', 0),
        ('database.path = "/app/other"\n', 1),
        # Where the site is in an image of theirs is in their Dockerfile.
        ('dockerfile = "Dockerfile"\n', 0),
    ],
)
def test_check_addresses_looks_at_where_a_file_is(tmp_path: Path, more: str, count: int) -> None:
    text = 'DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "db.sqlite3"}}\n'
    found = findings(tmp_path, text, more)
    assert len(found) == count
    assert {each.fix for each in found} <= {'path = "/app/db.sqlite3" in [tool.haybale.database]'}
