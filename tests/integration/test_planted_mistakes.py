"""Mistakes that people make, planted one at a time: each is named, with its place and what mends it.

`doctor` names it, or the command that fails of it before anything was started.
"""

from __future__ import annotations

import gzip
import json
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from haybale.cli import chain_of_failures, haybale
from haybale.errors import HaybaleError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("engine")]


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """Something wrong in a repository: how it comes there, and the `command` that names it.

    That says where it is (`place`), what is wrong (`said`), and how that is mended (`fix`), in one finding.
    """

    name: str
    plant: Callable[[Path], None]
    place: str
    said: tuple[str, ...]
    fix: str
    command: str = "doctor"
    variables: Mapping[str, str] = field(default_factory=dict)


def replace(file: str, old: str, new: str) -> Callable[[Path], None]:
    """Replace what stands once in a file."""

    def plant(root: Path) -> None:
        text = (root / file).read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{old} stands {text.count(old)} times in {file}"
        (root / file).write_text(text.replace(old, new), encoding="utf-8")

    return plant


def setting(old: str, new: str) -> Callable[[Path], None]:
    return replace("pyproject.toml", old, new)


def append(file: str, text: str) -> Callable[[Path], None]:
    """Write at the end of a file, which need not be there."""

    def plant(root: Path) -> None:
        (root / file).parent.mkdir(exist_ok=True)
        with (root / file).open("a", encoding="utf-8") as stream:
            stream.write(text)

    return plant


def write(file: str, content: bytes) -> Callable[[Path], None]:
    return lambda root: _write(root / file, content)


def _write(file: Path, content: bytes) -> None:
    file.unlink(missing_ok=True)
    file.write_bytes(content)


def remove(*files: str) -> Callable[[Path], None]:
    def plant(root: Path) -> None:
        for file in files:
            shutil.rmtree(root / file) if (root / file).is_dir() else (root / file).unlink()

    return plant


def both(*plants: Callable[[Path], None]) -> Callable[[Path], None]:
    def plant(root: Path) -> None:
        for each in plants:
            each(root)

    return plant


def link(name: str, target: str) -> Callable[[Path], None]:
    return lambda root: (root / name).symlink_to(target)


def cut(file: str) -> Callable[[Path], None]:
    """Cut a file off in its middle, as a download that broke does."""
    return lambda root: _write(root / file, (root / file).read_bytes()[:9000])


DUMP = "database/bookshop.sql.gz"
TABLE = "[tool.haybale.site.environment]\n"
SUITE = 'command = ["pytest", "--junit-xml={report}"]\n'
MYSQL = b"-- MySQL dump 10.13  Distrib 8.0.36\n--\nCREATE TABLE `a` (`b` int);\n"
DOCKERFILE = 'solr_conf = "solr/conf"\n'
IMAGES = 'python = "python:3.11-slim"\n'

MISTAKES = (
    # pyproject.toml -----------------------------------------------------------------------------------------
    Mistake(
        name="misspelt-setting",
        plant=setting('core = "catalogue"', 'coer = "catalogue"'),
        place="pyproject.toml:5",
        said=("unknown setting 'coer'",),
        fix="core",
    ),
    Mistake(
        name="text-for-a-number",
        plant=setting(TABLE, f'[tool.haybale.site]\nport = "8000"\n\n{TABLE}'),
        place="pyproject.toml:10",
        said=("site.port is a whole number",),
        fix="port",
    ),
    Mistake(
        name="missing-setting",
        plant=setting('registry = "localhost:5000/bookshop"\n', ""),
        place="pyproject.toml",
        said=("'registry' is missing",),
        fix="registry",
    ),
    Mistake(
        name="misspelt-placeholder",
        plant=setting("{database_host}", "{databse_host}"),
        place="pyproject.toml:11",
        said=("{databse_host}",),
        fix="did you mean {database_host}",
    ),
    Mistake(
        name="address-written-in",
        plant=replace("bookshop/settings.py", 'os.environ.get("POSTGRES_HOST", "localhost")', '"db"'),
        place="bookshop/settings.py:49",
        said=("db:5432", "the database", "nothing is called so"),
        fix='db = "database" in [tool.haybale.site.aliases]',
    ),
    Mistake(
        name="broken-toml",
        plant=setting('core = "catalogue"', 'core = "catalogue'),
        place="pyproject.toml",
        said=("line 5",),
        fix="TOML",
    ),
    Mistake(
        name="name-of-an-image",
        plant=setting(IMAGES, 'python = "Python:3.11 slim"\n'),
        place="pyproject.toml:14",
        said=("images.python",),
        fix="image",
    ),
    Mistake(
        name="core-twice",
        plant=setting('core = "catalogue"', 'core = ["catalogue", "catalogue"]'),
        place="pyproject.toml:5",
        said=("core has each name once",),
        fix="core",
    ),
    Mistake(
        name="configuration-of-another-core",
        plant=setting('solr_conf = "solr/conf"', 'solr_conf = { katalog = "solr/conf" }'),
        place="pyproject.toml:7",
        said=("catalogue",),
        fix="solr_conf",
    ),
    Mistake(
        name="solr-folder-elsewhere",
        plant=setting('"solr/conf"', '"solr/config"'),
        place="pyproject.toml:7",
        said=("solr_conf names solr/config",),
        fix="correct solr_conf in [tool.haybale]",
    ),
    Mistake(
        name="site-elsewhere",
        plant=setting(TABLE, f'[tool.haybale.site]\nfolder = "shop"\n\n{TABLE}'),
        place="pyproject.toml:10",
        said=("site.folder names shop",),
        fix="correct site.folder in [tool.haybale]",
    ),
    Mistake(
        name="dockerfile-elsewhere",
        plant=setting(DOCKERFILE, f'dockerfile = "docker/Dockerfile"\n{DOCKERFILE}'),
        place="pyproject.toml:7",
        said=("dockerfile names docker/Dockerfile",),
        fix="correct dockerfile in [tool.haybale]",
    ),
    Mistake(
        name="compose-file-elsewhere",
        plant=setting(TABLE, f'[tool.haybale.compose]\nci = "compose.yml"\n\n{TABLE}'),
        place="pyproject.toml:10",
        said=("compose.ci names compose.yml",),
        fix="correct compose.ci in [tool.haybale]",
    ),
    Mistake(
        name="variables-elsewhere",
        plant=setting(TABLE, f'[tool.haybale.site]\nenvironment_files = [".env"]\n\n{TABLE}'),
        place="pyproject.toml:10",
        said=("site.environment_files names .env",),
        fix="site.environment_files",
    ),
    Mistake(
        name="line-of-variables",
        plant=both(
            setting(TABLE, f'[tool.haybale.site]\nenvironment_files = ["shop.env"]\n\n{TABLE}'),
            append("shop.env", "SHOP=Harbour\nmy-variable\n"),
        ),
        place="shop.env:2",
        said=("my-variable",),
        fix="NAME=VALUE",
    ),
    Mistake(
        name="secret-not-on-this-machine",
        plant=setting(TABLE, f'[tool.haybale.site.secrets]\nKEY = "variable:NO_SUCH_SECRET"\n\n{TABLE}'),
        place="pyproject.toml:10",
        said=("site.secrets.KEY", "no variable NO_SUCH_SECRET"),
        fix="export NO_SUCH_SECRET=...",
    ),
    Mistake(
        name="secret-in-no-file",
        plant=setting(TABLE, f'[tool.haybale.site.secrets]\nKEY = "file:key.txt"\n\n{TABLE}'),
        place="pyproject.toml:10",
        said=("site.secrets.KEY", "key.txt cannot be read"),
        fix="the setting",
    ),
    Mistake(
        name="secret-in-the-settings",
        plant=setting(TABLE, f'[tool.haybale.site.secrets]\nKEY = "abc"\n\n{TABLE}'),
        place="pyproject.toml:10",
        said=("site.secrets",),
        fix="variable:NAME or file:PATH",
    ),
    Mistake(
        name="place-of-tests",
        plant=setting(SUITE, f'{SUITE}where = "container"\n'),
        place="pyproject.toml:21",
        said=("where",),
        fix="tester|web|host",
    ),
    Mistake(
        name="form-of-a-mount",
        plant=setting(SUITE, f'{SUITE}mounts = ["tests"]\n'),
        place="pyproject.toml:21",
        said=("mounts",),
        fix="PATH:/PATH",
    ),
    Mistake(
        name="mount-of-nothing",
        plant=setting(SUITE, f'{SUITE}mounts = ["checks:/app/checks"]\n'),
        place="pyproject.toml:21",
        said=("checks",),
        fix="mounts",
    ),
    Mistake(
        name="page-without-a-slash",
        plant=setting('path = "/search', 'path = "search'),
        place="pyproject.toml:23",
        said=("path",),
        fix="a path, from /",
    ),
    Mistake(
        name="tests-set-aside-without-pytest",
        plant=setting(SUITE, 'command = ["python", "manage.py", "test"]\nset_aside = ["tests.A"]\n'),
        place="pyproject.toml",
        said=("set_aside needs pytest",),
        fix="leave set_aside out",
    ),
    Mistake(
        name="index-changed-while-read-only",
        plant=setting('serve = "open"', 'serve = "read-only"'),
        place="bookshop/settings.py:69",
        said=("RealtimeSignalProcessor", "the baked Solr refuses"),
        fix='serve = "open" in [tool.haybale.index]',
    ),
    Mistake(
        name="input-outside",
        plant=setting('serve = "open"', 'serve = "open"\ninputs = ["/etc/*"]'),
        place="pyproject.toml:28",
        said=("index.inputs",),
        fix="glob",
    ),
    Mistake(
        name="fixture-elsewhere",
        plant=setting(DOCKERFILE, f'{DOCKERFILE}fixtures = ["fixtures/subjects.json"]\n'),
        place="pyproject.toml:8",
        said=("fixtures names fixtures/subjects.json",),
        fix="fixtures",
    ),
    Mistake(
        name="settings-module-of-no-site",
        plant=setting(TABLE, f'[tool.haybale.site]\nsettings = "bookshop.setings"\n\n{TABLE}'),
        place="pyproject.toml:10",
        said=("site.settings names bookshop.setings",),
        fix="correct site.settings",
    ),
    # The dump -----------------------------------------------------------------------------------------------
    Mistake(
        name="no-dump",
        plant=remove(DUMP),
        place=DUMP,
        said=("no dump matches",),
        fix="ln -s FILE",
    ),
    Mistake(
        name="link-to-nothing",
        plant=both(remove(DUMP), link(DUMP, "bookshop-2026-11-01.sql.gz")),
        place=DUMP,
        said=("bookshop-2026-11-01.sql.gz, which does not exist",),
        fix="point the link",
    ),
    Mistake(
        name="two-dumps",
        plant=both(setting(DUMP, "database/*.sql.gz"), write("database/old.sql.gz", b"")),
        place="database",
        said=("several dumps match", "bookshop.sql.gz, old.sql.gz"),
        fix="leave one",
    ),
    Mistake(
        name="dump-cut-off",
        plant=cut(DUMP),
        place=DUMP,
        said=("cut off",),
        fix="again",
        command="regen-solr-image",
    ),
    Mistake(
        name="dump-still-in-lfs",
        plant=write(DUMP, b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 23580\n"),
        place=DUMP,
        said=("Git LFS",),
        fix="git lfs pull",
    ),
    Mistake(
        name="empty-dump",
        plant=write(DUMP, b""),
        place=DUMP,
        said=("empty",),
        fix="again",
    ),
    Mistake(
        name="dump-of-another-database",
        plant=write(DUMP, gzip.compress(MYSQL)),
        place=DUMP,
        said=("is a MySQL dump",),
        fix="dump the site's data from PostgreSQL or SQLite",
    ),
    # Solr ---------------------------------------------------------------------------------------------------
    Mistake(
        name="broken-schema",
        plant=replace(
            "solr/conf/schema.xml", '<field name="born" type="long" ', '<field name="born" type="long '
        ),
        place="solr/conf/schema.xml:45",
        said=("XML",),
        fix="schema.xml",
    ),
    Mistake(
        name="no-solrconfig",
        plant=remove("solr/conf/solrconfig.xml"),
        place="solr/conf",
        said=("solrconfig.xml",),
        fix="solr_conf",
    ),
    Mistake(
        name="field-of-no-type",
        plant=replace("solr/conf/schema.xml", 'name="born" type="long"', 'name="born" type="year"'),
        place="solr/conf/schema.xml:45",
        said=("year",),
        fix="fieldType",
    ),
    Mistake(
        name="words-elsewhere",
        plant=remove("solr/conf/synonyms.txt"),
        place="solr/conf/schema.xml:20",
        said=("synonyms.txt",),
        fix="synonyms.txt",
    ),
    Mistake(
        name="cache-of-solr-8",
        plant=replace("solr/conf/solrconfig.xml", "<filterCache ", '<filterCache class="solr.FastLRUCache" '),
        place="solr/conf/solrconfig.xml:21",
        said=("FastLRUCache",),
        fix="CaffeineCache",
    ),
    Mistake(
        name="writer-of-solr-8",
        plant=replace(
            "solr/conf/solrconfig.xml",
            "</config>",
            '<queryResponseWriter name="xslt" class="solr.XSLTResponseWriter"/>\n</config>',
        ),
        place="solr/conf/solrconfig.xml:47",
        said=("XSLTResponseWriter",),
        fix="remove it",
    ),
    Mistake(
        name="class-of-a-module",
        plant=replace(
            "solr/conf/schema.xml",
            'StandardTokenizerFactory"/>\n      <filter class="solr.StopFilterFactory"',
            'ICUTokenizerFactory"/>\n      <filter class="solr.StopFilterFactory"',
        ),
        place="solr/conf/schema.xml:12",
        said=("ICUTokenizerFactory",),
        fix="analysis-extras",
    ),
    Mistake(
        name="default-field-in-the-schema",
        plant=replace(
            "solr/conf/schema.xml", "</schema>", "<defaultSearchField>text</defaultSearchField>\n</schema>"
        ),
        place="solr/conf/schema.xml:46",
        said=("defaultSearchField",),
        fix="df",
    ),
    # What the site is built of ------------------------------------------------------------------------------
    Mistake(
        name="requirements-elsewhere",
        plant=setting('production = "requirements.txt"', 'production = "requirements/production.txt"'),
        place="requirements.production",
        said=("requirements/production.txt",),
        fix='production = "',
    ),
    Mistake(
        name="no-stage-of-that-name",
        plant=both(
            setting(DOCKERFILE, f'dockerfile = "Dockerfile"\n{DOCKERFILE}'),
            setting(TABLE, f'[tool.haybale.stages]\nrelease = "production"\n\n{TABLE}'),
            append("Dockerfile", "FROM python:3.11-slim AS web\nCOPY . /app\n"),
        ),
        place="Dockerfile",
        said=("no stage 'production'", "there are web"),
        fix="stages.release",
    ),
    Mistake(
        name="stage-twice",
        plant=both(
            setting(DOCKERFILE, f'dockerfile = "Dockerfile"\n{DOCKERFILE}'),
            append("Dockerfile", "FROM python:3.11-slim AS web\nFROM web AS web\n"),
        ),
        place="Dockerfile:2",
        said=("'web' already exists, in line 1",),
        fix="another name",
    ),
    Mistake(
        name="nothing-to-start",
        plant=remove("bookshop/wsgi.py"),
        place="site.command",
        said=("not known how the site",),
        fix="set command",
    ),
    Mistake(
        name="site-without-manage",
        plant=remove("manage.py"),
        place="there is no manage.py",
        said=("commands are run by it",),
        fix="set folder",
    ),
    # The machine and git ------------------------------------------------------------------------------------
    Mistake(
        name="broken-version",
        plant=write(".bumpversion.cfg", b"[bumpversion]\ncurrent_version = one\n"),
        place=".bumpversion.cfg",
        said=("one",),
        fix="current_version",
    ),
    Mistake(
        name="no-repository",
        plant=remove(".git"),
        place="",
        said=("is no git repository",),
        fix="git init",
    ),
    Mistake(
        name="variable-that-says-neither",
        plant=lambda _: None,
        place="HAYBALE_LOCAL",
        said=("local is true or false",),
        fix="fix these settings",
        variables={"HAYBALE_LOCAL": "maybe"},
    ),
)


def give(command: str) -> list[str]:
    """Give a command here; return what is wrong by it, a text each: what it is, why, and what mends it."""
    arguments = [command, "--json"] if command == "doctor" else [command]
    result = CliRunner().invoke(haybale, arguments, standalone_mode=False)
    error = result.exception
    if error is not None and not isinstance(error, HaybaleError):
        raise error
    if command == "doctor":
        diagnoses = json.loads(result.stdout)["diagnoses"]
        parts = [[each["what"], each["why"], each["fix"]] for one in diagnoses for each in one["findings"]]
    else:
        failures = chain_of_failures(error) if error is not None else []
        parts = [[each.message, each.cause, each.hint] for each in failures]
    return [" | ".join(part for part in each if part) for each in parts]


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda each: each.name)
def test_mistake_is_named_with_its_place_and_what_mends_it(
    mistake: Mistake, sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "bookshop"
    shutil.copytree(sound, root, symlinks=True)
    mistake.plant(root)
    for name, value in mistake.variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(root)
    found = give(mistake.command)
    wanted = (mistake.place, *mistake.said, mistake.fix)
    assert any(all(words in each for words in wanted) for each in found), "\n".join(
        map(str, [wanted, *found])
    )


def test_doctor_finds_nothing_wrong_with_what_mistakes_are_planted_in(
    sound: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(sound)
    assert [each for each in give("doctor") if "no remote" not in each] == []
