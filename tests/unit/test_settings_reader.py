"""What is read in settings, in the ways in which people write them."""

from __future__ import annotations

import pytest

from haybale.adoption.settings_reader import read_settings
from haybale.adoption.site_settings import (
    Purpose,
    Reference,
    SiteSettings,
    as_text,
    core_of,
    find_settings_module,
    imported_modules,
)

SOLR = "haystack.backends.solr_backend.SolrEngine"


def read(text: str) -> SiteSettings:
    return read_settings([("settings.py", text)])


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
        ('get_env_setting("KEY")', {"KEY": True}),
        ('environment.required("KEY", "what it is for")', {}),
        ('dj_database_url.config(env="OTHER_URL")', {"OTHER_URL": False}),
        ("dj_database_url.config()", {"DATABASE_URL": False}),
        ("env.db()", {"DATABASE_URL": True}),
        ('env("KEY", default=env("OTHER"))', {"KEY": False, "OTHER": True}),
        ('os.environ.get("KEY") or os.environ["OTHER"]', {"KEY": False, "OTHER": False}),
        ('os.environ["KEY"] if x else 1', {"KEY": False}),
        ('"1" if DEBUG else os.environ["KEY"]', {"KEY": True}),
        ('"%(HOST)s:%(PORT)s" % os.environ', {"HOST": True, "PORT": True}),
        ('"{HOST}".format(**os.environ)', {"HOST": True}),
        ('parser.get("SECTION", "KEY")', {}),
        ('d["key"]', {}),
        ('d["KEY"]', {}),
        ("os.environ[name]", {}),
    ],
)
def test_read_settings_finds_variables(line: str, names: dict[str, bool]) -> None:
    found = read(f"import os, dj_database_url\nX = {line}\n").variables
    assert {each.name: each.is_required for each in found} == names


@pytest.mark.parametrize(
    ("text", "is_required"),
    [
        ('try:\n    X = os.environ["KEY"]\nexcept KeyError:\n    X = 1\n', False),
        ('if SENTRY:\n    X = os.environ["KEY"]\n', False),
        ('if not DEBUG:\n    X = os.environ["KEY"]\n', True),
        ('if DEBUG:\n    X = 1\nelse:\n    X = os.environ["KEY"]\n', True),
        ('def later():\n    return os.environ["KEY"]\n', False),
        ('class Production:\n    X = os.environ["KEY"]\n', True),
        ('X = os.environ.get("KEY", "x")\nY = os.environ["KEY"]\n', False),
    ],
)
def test_read_settings_takes_only_what_is_always_read_for_required(text: str, *, is_required: bool) -> None:
    (found,) = read(text).variables
    assert (found.name, found.is_required) == ("KEY", is_required)


def test_read_settings_knows_the_defaults_that_django_environ_declares() -> None:
    found = read('env = environ.Env(KEY=(str, "x"), OTHER=str)\nA = env("KEY")\nB = env("OTHER")\n')
    assert {each.name: (each.is_required, each.default) for each in found.variables} == {
        "KEY": (False, "x"), "OTHER": (True, None),
    }  # fmt: skip


def test_read_settings_puts_the_prefix_of_environs_before_names() -> None:
    found = read('with env.prefixed("SITE_"):\n    with env.prefixed("MAIL_"):\n        X = env("HOST")\n')
    assert [each.name for each in found.variables] == ["SITE_MAIL_HOST"]


def test_read_settings_tells_variables_by_the_settings_that_they_go_into() -> None:
    text = """
import os
HOST = os.environ["PG_SERVER"]
SECRET_KEY = os.environ["SALT"]
ALLOWED_HOSTS = os.environ["NAMES"].split()
DATABASES = {"default": {"ENGINE": "django.db.backends.postgresql", "HOST": HOST, "NAME": env("PG")}}
DATABASES["default"]["PORT"] = os.environ["PG_PORT"]
"""
    assert {each.name: each.purpose for each in read(text).variables} == {
        "PG_SERVER": Purpose.DATABASE_HOST, "SALT": Purpose.SECRET_KEY, "NAMES": Purpose.HOSTS,
        "PG": Purpose.DATABASE_NAME, "PG_PORT": Purpose.DATABASE_PORT,
    }  # fmt: skip


@pytest.mark.parametrize(
    "line",
    [
        'DATABASES = {"default": env.db("BOOKS_URL", default=f"sqlite:///{BASE_DIR}/db.sqlite3")}',
        'DATABASES = {"default": dj_database_url.config(env="BOOKS_URL", conn_max_age=600)}',
        'DATABASES = {}\nDATABASES["default"] = dj_database_url.parse(env("BOOKS_URL"), engine="x")',
        'DATABASES = {"default": env.db("BOOKS_URL")}\nDATABASES["default"]["CONN_MAX_AGE"] = 60',
        'URL = config("BOOKS_URL")\nDATABASES = {"default": dj_database_url.parse(URL)}',
    ],
)
def test_read_settings_finds_the_url_of_a_database(line: str) -> None:
    found = read(f"import dj_database_url\n{line}\n")
    purposes = {each.name: each.purpose for each in found.variables}
    assert purposes == {"BOOKS_URL": Purpose.DATABASE_URL}
    assert found.database is not None


@pytest.mark.parametrize(
    ("url", "core"),
    [
        ('"http://solr:8983/solr/books"', "books"),
        ('env("SOLR", default="http://solr:8983/solr/books/")', "books"),
        ('os.environ.get("SOLR", "http://solr:8983/solr") + "/books"', "books"),
        ('"http://{}:{}/solr/{}".format(env("HOST_OF_SOLR", default="h"), 1, "books")', "books"),
        ('"http://{host}/solr/books".format(host=env("HOST_OF_SOLR", default="h"))', "books"),
        ('"http://%s/solr/%s" % (env("HOST_OF_SOLR", default="h"), env("CORE", default="books"))', "books"),
        ('f"http://{HOST}:8983/solr/books"', "books"),
        ('f"http://{UNKNOWN}:8983/solr/books"', "books"),
        ('f"http://solr:8983/solr/{UNKNOWN}"', None),
        ('env("SOLR")', None),
        ('"http://solr:8983/solr"', None),
    ],
)
def test_read_settings_takes_the_core_as_far_as_it_is_written(url: str, core: str | None) -> None:
    text = (
        f'HOST = "solr"\nHAYSTACK_CONNECTIONS: dict = {{"default": {{"ENGINE": "{SOLR}", "URL": {url}}}}}\n'
    )
    (found,) = read(text).connections
    assert (found.alias, found.core, found.is_solr, found.place) == ("default", core, True, "settings.py:2")


def test_read_settings_follows_what_is_assigned_to_connections_later() -> None:
    """As in a museum's repository that has one Solr on developers' machines and another in containers."""
    text = f"""
HAYSTACK_CONNECTIONS = {{"default": {{"ENGINE": "{SOLR}", "URL": "http://127.0.0.1:8983/solr/x"}}}}
if os.environ.get("DOCKERIZED"):
    HAYSTACK_CONNECTIONS["default"]["URL"] = "http://solr:8983/solr/x"
"""
    (found,) = read(text).connections
    assert as_text(found.url) == "http://solr:8983/solr/x"


def test_read_settings_follows_a_function_that_makes_connections() -> None:
    text = f"""
def connect(lang):
    return {{"ENGINE": "{SOLR}", "URL": env("SOLR_BASE") + "/" + lang}}
HAYSTACK_CONNECTIONS = {{"default": connect("en"), "de": connect("de")}}
"""
    found = read(text).connections
    assert [(each.alias, each.url[0]) for each in found] == [
        ("default", Reference(variable="SOLR_BASE")), ("de", Reference(variable="SOLR_BASE")),
    ]  # fmt: skip


def test_read_settings_leaves_out_files_that_are_not_python() -> None:
    found = read_settings([("a.py", "SECRET_KEY = ("), ("b.py", 'X = os.environ["KEY"]')])
    assert [each.place for each in found.variables] == ["b.py:1"]


def test_read_settings_knows_hosts_that_are_written_down() -> None:
    assert read('ALLOWED_HOSTS = (".shop.example", "shop")\n').hosts == (".shop.example", "shop")


@pytest.mark.parametrize(
    ("text", "module"),
    [
        ('os.environ.setdefault("DJANGO_SETTINGS_MODULE", "a.b")', "a.b"),
        ('os.environ.setdefault("DJANGO_SETTINGS_MODULE", config("MODULE", default="a.b"))', "a.b"),
        ('os.environ.setdefault("OTHER", "a.b")', None),
        ('os.environ["X"] = "y"', None),
    ],
)
def test_find_settings_module(text: str, module: str | None) -> None:
    assert find_settings_module(text) == module


def test_imported_modules_are_those_that_everything_is_taken_from() -> None:
    text = "from .base import *\nfrom ..x import y\nfrom a.b import *\n"
    text += 'include("parts/db.py", optional("local.py"))\n'
    assert imported_modules(text) == [".base", "a.b", ".parts.db", ".local"]


@pytest.mark.parametrize(
    ("url", "core"),
    [("http://h/solr/a/", "a"), ("http://h/solr", None), ("http://h/solr/a/select", None), ("a", None)],
)
def test_core_of(url: str, core: str | None) -> None:
    assert core_of(url) == core
