"""Sites that know nothing of haybale (tests/sites), adopted as docs/tutorial.md says, word for word.

haybale is installed from its wheel, and used outside of this repository.
"""

from __future__ import annotations

import gzip
import os
import re
import shlex
import shutil
import sqlite3
import subprocess
import tomllib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest
import requests

from haybale.image_ref import ImageRef
from haybale.images import host
from haybale.images.bases.base_image import ensure_base_image
from haybale.index import bake
from haybale.tools.engine import sdk
from haybale.tools.solr import Solr

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from tests.integration.conftest import Once, Watch

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("engine")]

# The run of these tests (conftest.py).
RUN = os.environ["HAYBALE_TEST_RUN"]
LABELS = {"io.haybale.test": RUN}

# From `pip install` to the verified image: at most so many commands, lines of TOML, and answers to `init`.
COMMANDS, LINES, ANSWERS = 10, 30, 2
VERIFIED = "haybale regen-solr-image"

# From here on to its end the tutorial makes releases, with the site that it is about.
RELEASE = "haybale pipeline"

# Redis from Debian's packages, on a base that is on the engine anyway: there need not be an image hub. As
# Redis's own image does, it lets everybody in who reaches it.
REDIS_DOCKERFILE = """\
FROM {base}
RUN apt-get update && apt-get install -y --no-install-recommends redis-server \\
 && rm -rf /var/lib/apt/lists /var/cache/apt
RUN echo 'exec /usr/bin/redis-server "$@" --protected-mode no' >/usr/local/bin/redis-server \\
 && sed -i '1i #!/bin/sh' /usr/local/bin/redis-server && chmod +x /usr/local/bin/redis-server
USER redis
"""

# A company's own base image: how packages are reached from here is in it. A Dockerfile that was not written
# for haybale has no other way.
PYTHON_DOCKERFILE = """\
FROM {base}
COPY . /etc/packages/
RUN if [ -e /etc/packages/pip ]; then cp /etc/packages/pip /etc/pip.conf; fi; \\
    if [ -e /etc/packages/ca ]; then pip config --global set global.cert /etc/packages/ca; fi
"""


@dataclass(frozen=True, kw_only=True)
class Case:
    """A site of tests/sites.

    `documents` has for each core and model what counts its documents in the dump (SQL). `tests` says how many
    the site has. `stems` has for each core a word, and what it makes of it in its language. `page` is one of
    search results, and what must be on it, which only a person knows.
    `written_in` has texts of the file `settings` that read a variable, and what is written there instead.
    """

    site: str
    dump: str
    documents: Mapping[str, Mapping[str, str]]
    tests: int
    stems: Mapping[str, tuple[str, str]]
    page: tuple[str, str]
    settings: str = ""
    written_in: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_in_tutorial(self) -> bool:
        """Whether it is the site whose names stand in the tutorial."""
        return self.site == "bookshop"


CASES = (
    Case(
        site="bookshop",
        dump="database/bookshop.sql.gz",
        documents={
            "catalogue": {
                "catalogue.author": "SELECT count(*) FROM catalogue_author",
                "catalogue.book": "SELECT count(*) FROM catalogue_book WHERE withdrawn = 'f'",
            }
        },
        tests=10,
        stems={"catalogue": ("houses", "hous")},
        page=("/search/?q=lighthouse", "Lighthouse"),
    ),
    Case(
        site="museum",
        dump="data/museum.sqlite3.gz",
        documents={
            "objects": {
                "collection.item": "SELECT count(*) FROM collection_item",
                "collection.maker": "SELECT count(*) FROM collection_maker",
            },
            "letters": {
                "letters.letter": "SELECT count(*) FROM letters_letter WHERE closed_until IS NULL",
            },
        },
        tests=8,
        stems={"objects": ("houses", "hous"), "letters": ("Häuser", "haus")},
        page=("/search/?q=vase", "Vase in"),
        settings="apps/website/museum/settings/base.py",
        written_in={
            'env.str("SOLR_BASE_URL", default="http://localhost:8983/solr")': '"http://localhost:8983/solr"'
        },
    ),
    Case(
        site="parish",
        dump="backups/latest.sql.gz",
        documents={
            "parish": {
                "notices.notice": "SELECT count(*) FROM notices_notice",
                "people.member": "SELECT count(*) FROM people_member WHERE is_listed AND is_active",
            }
        },
        tests=9,
        stems={"parish": ("houses", "hous")},
        page=("/find/?q=choir", "Choir practice"),
        settings="parish/settings.py",
        written_in={"os.environ['PARISH_DATABASE']": "os.path.join(BASE_DIR, 'db', 'parish.sqlite3')"},
    ),
)


@dataclass(frozen=True, kw_only=True)
class Adopted:
    """A site's new repository, and the commands that were given in it, with what they printed."""

    case: Case
    path: Path
    env: Mapping[str, str]
    commands: list[str] = field(default_factory=list)
    outputs: dict[str, str] = field(default_factory=dict)
    # What a person has to say besides.
    answers: list[str] = field(default_factory=list)

    def run(self, command: str) -> str:
        """Give a command, as somebody would in a terminal."""
        self.commands.append(command)
        done = subprocess.run(
            shlex.split(command), cwd=self.path, env=self.env, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{command} exited with {done.returncode}:\n{done.stdout}"
        self.outputs[command] = done.stdout
        return done.stdout

    def add_settings(self, text: str) -> None:
        """Add lines to pyproject.toml, which only a person knows."""
        self.answers.append(text)
        with (self.path / "pyproject.toml").open("a", encoding="utf-8") as file:
            file.write(f"\n{text}")

    def git(self, *arguments: str) -> str:
        """Ask git for something that is no part of adopting."""
        command = ["git", *arguments]
        return subprocess.run(command, cwd=self.path, capture_output=True, text=True, check=True).stdout

    @property
    def toml(self) -> list[str]:
        """The lines of haybale's tables in pyproject.toml, without empty ones and comments."""
        text = (self.path / "pyproject.toml").read_text(encoding="utf-8")
        tables = re.findall(r"^\[+tool\.haybale(?:[^\n]*\n(?!\[))*", f"{text}\n", re.MULTILINE)
        lines = (line.strip() for table in tables for line in table.splitlines())
        return [line for line in lines if line and not line.startswith("#")]


@pytest.fixture(scope="module")
def redis_image(once: Once) -> str:
    base = ensure_base_image(ImageRef.parse("python:3.13-slim"), "python", os.environ, print)
    return once("redis-image", lambda: build("redis", REDIS_DOCKERFILE.format(base=base.name)))


@pytest.fixture(scope="module")
def python_image(once: Once, tmp_path_factory: pytest.TempPathFactory) -> str:
    def build_python() -> str:
        folder = tmp_path_factory.mktemp("packages")
        for name, file in host.write_secrets(folder, os.environ).items():
            if file != folder / name:
                shutil.copyfile(file, folder / name)
        base = ensure_base_image(ImageRef.parse("python:3.11-slim"), "python", os.environ, print)
        return build("python", PYTHON_DOCKERFILE.format(base=base.name), folder)

    return once("python-image", build_python)


def build(name: str, dockerfile: str, context: Path | None = None) -> str:
    """Build an image for these tests; return its name."""
    image = f"haybale-test-{name}:{RUN}"
    source = ["--file", "-", str(context)] if context else ["-"]
    command = ["docker", "buildx", "build", "--quiet", "--load", "--tag", image, *source]
    subprocess.run(command, input=dockerfile, text=True, capture_output=True, check=True)
    return image


@pytest.fixture(scope="module", params=CASES, ids=lambda case: case.site)
def adopted(  # noqa: PLR0917
    request: pytest.FixtureRequest, root: Path, tmp_path_factory: pytest.TempPathFactory,
    tutorial: Sequence[tuple[str, str]], outside: Mapping[str, str],
    solr_image: str, redis_image: str, python_image: str, image_names: Callable[..., dict[str, str]],
) -> Iterator[Adopted]:  # fmt: skip
    """A site after its adoption; what that made on the engine is removed afterwards."""
    case: Case = request.param
    folder = tmp_path_factory.mktemp(case.site)
    path = folder / f"{case.site}-{RUN}"
    shutil.copytree(root / "tests/sites" / case.site, path, symlinks=True)
    for read, written in case.written_in.items():
        text = (path / case.settings).read_text(encoding="utf-8")
        assert read in text
        (path / case.settings).write_text(text.replace(read, written), encoding="utf-8")
    images = {"SOLR_IMAGE": solr_image, "REDIS_IMAGE": redis_image}
    if (path / "Dockerfile").exists():
        images["PYTHON_IMAGE"] = python_image
    site = Adopted(case=case, path=path, env={**outside, **images})
    begin_repository(site, folder / "remote.git")
    try:
        (_, installing), *steps = tutorial
        site.commands.append(installing)
        for kind, text in steps:
            if not case.is_in_tutorial and text.startswith(RELEASE):
                site.run("haybale test")
                break
            if kind == "sh":
                site.run(text)
            elif case.is_in_tutorial:
                site.add_settings(text)
            else:
                ask_for_page(site)
        yield site
    finally:
        for name in image_names(path.name):
            sdk.remove_image(name)


def begin_repository(site: Adopted, remote: Path) -> None:
    """Make a repository of a site as its authors have it, with a remote."""
    subprocess.run(["git", "init", "--quiet", "--bare", "--template=", str(remote)], check=True)
    for command in (
        ("init", "--quiet", "--template=", "--initial-branch=main"),
        ("config", "user.name", "Ada"),
        ("config", "user.email", "ada@example.org"),
        ("remote", "add", "origin", remote.as_uri()),
        ("add", "--all"),
        ("commit", "--quiet", "--message", "The site as it was"),
        ("tag", "before"),
        ("push", "--quiet", "--set-upstream", "origin", "main"),
    ):
        site.git(*command)


def ask_for_page(site: Adopted) -> None:
    """Have the site asked for a page with results: `init` knows which one, and no word that is found."""
    file = site.path / "pyproject.toml"
    text = file.read_text(encoding="utf-8")
    pages = tomllib.loads(text)["tool"]["haybale"]["test"]["pages"]
    path, wanted = site.case.page
    assert [page["path"].partition("?")[0] for page in pages] == [path.partition("?")[0]]
    proposed = f'path = "{pages[0]["path"]}"\n'
    assert proposed in text
    site.answers.append(wanted)
    file.write_text(text.replace(proposed, f'path = "{path}"\ncontains = "{wanted}"\n'), encoding="utf-8")


def test_adoption_takes_few_commands_lines_and_answers(adopted: Adopted) -> None:
    assert adopted.commands.index(VERIFIED) + 1 <= COMMANDS
    assert 0 < len(adopted.toml) <= LINES, "\n".join(adopted.toml)
    assert 0 < len(adopted.answers) <= ANSWERS


def test_adoption_changes_nothing_of_the_site(adopted: Adopted) -> None:
    changes = adopted.git("diff", "--name-status", "before").splitlines()
    assert changes
    assert [line for line in changes if not line.startswith("A\t")] == []
    assert adopted.git("status", "--porcelain") == ""


def test_second_init_has_nothing_to_do(adopted: Adopted) -> None:
    before = (adopted.git("rev-parse", "HEAD"), adopted.git("status", "--porcelain"))
    assert adopted.run("haybale init --yes").startswith("There is nothing to do. ")
    assert (adopted.git("rev-parse", "HEAD"), adopted.git("status", "--porcelain")) == before


def test_index_has_what_the_dump_has(adopted: Adopted, image_names: Callable[..., dict[str, str]]) -> None:
    database = read_dump(adopted.path / adopted.case.dump)
    expected = {
        core: {model: database.execute(count).fetchone()[0] for model, count in models.items()}
        for core, models in adopted.case.documents.items()
    }
    (image,) = image_names(f"{adopted.path.name}:solr-")
    with sdk.started_container(
        image, labels=LABELS, port=8983, user=bake.USER, written=bake.WRITTEN
    ) as container:
        url = f"http://{sdk.published_address(container, 8983)}"
        found, stems = {}, {}
        for core in expected:
            solr = Solr(url, core)
            solr.wait_ready(120, lambda: sdk.is_container_running(container))
            found[core] = solr.counts()
            stems[core] = stem(f"{url}/solr/{core}", adopted.case.stems[core][0])
    assert found == expected
    assert stems == {core: expected_stem for core, (_, expected_stem) in adopted.case.stems.items()}


def stem(core: str, word: str) -> str:
    """Return what is searched for in the field `text` of a core for a word, as Solr parses the query."""
    query = {"q": f"text:{word}", "rows": "0", "wt": "json", "debugQuery": "true"}
    parsed = requests.get(f"{core}/select", params=query, timeout=60).json()["debug"]["parsedquery"]
    return str(parsed).rpartition(":")[2]


def test_every_test_of_the_site_ran(adopted: Adopted) -> None:
    reports = [file for file in (adopted.path / "reports").glob("*.xml") if file.stem != "pages"]
    if not reports:
        # Django's own runner writes none.
        assert f"Ran {adopted.case.tests} tests in " in adopted.outputs["haybale test"]
        return
    (report,) = reports
    assert outcome(report) == {"tests": adopted.case.tests, "failures": 0, "errors": 0, "skipped": 0}


def test_released_site_shows_results(adopted: Adopted) -> None:
    # That the text is there was looked at by the run, which passed.
    pages = sum("[[tool.haybale.test.pages]]" in line for line in adopted.toml)
    assert outcome(adopted.path / "reports/pages.xml") == {"tests": pages, "failures": 0, "skipped": 0}


def test_tutorial_ends_with_the_first_version_again(adopted: Adopted) -> None:
    if not adopted.case.is_in_tutorial:
        assert not any(command.startswith(RELEASE) for command in adopted.commands)
        return
    assert any(command.startswith("haybale rollback ") for command in adopted.commands)
    first, second = adopted.git("tag", "--list", "v*", "--sort=creatordate").split()
    deployed = adopted.git("ls-remote", "origin", "refs/tags/dev/deploy^{}").split()[0]
    assert deployed == adopted.git("rev-parse", f"{first}^{{commit}}").strip()
    assert deployed != adopted.git("rev-parse", f"{second}^{{commit}}").strip()


def outcome(report: Path) -> dict[str, int]:
    """Return what a report in JUnit XML says of its only suite."""
    (suite,) = ET.parse(report).iter("testsuite")  # noqa: S314 - our own
    names = ("tests", "failures", "errors", "skipped")
    return {name: int(suite.attrib[name]) for name in names if name in suite.attrib}


def test_init_confirms_what_it_read_by_starting_django(adopted: Adopted, tmp_path: Path) -> None:
    """The site as it was, with a variable that reading does not show, and without Solr's configuration."""
    if not adopted.case.is_in_tutorial:
        return
    name = adopted.path.name
    path = tmp_path / name
    subprocess.run(["git", "clone", "--quiet", "--branch", "before", adopted.path, path], check=True)
    shutil.rmtree(path / "solr")
    with (path / "bookshop/settings.py").open("a", encoding="utf-8") as settings:
        settings.write('TAX = os.environ["BOOKSHOP" + "_TAX"]\n')
    site = Adopted(case=adopted.case, path=path, env={**adopted.env, "COLUMNS": "80"})
    shown = site.run("haybale init --dry-run --confirm")
    assert "Django  starts; its connections have the cores catalogue, with 12 fields" in shown
    assert "! Django does not start without the variable BOOKSHOP_TAX" in shown
    assert '+BOOKSHOP_TAX = "only-for-tests"' in shown
    assert "Solr's configuration  haybale makes it of the search indexes:\n" in shown
    schema = ET.parse(path / ".haybale/solr_conf/catalogue/schema.xml")  # noqa: S314 - our own
    assert {"text", "title", "authors_exact"} <= {each.get("name") for each in schema.iter("field")}
    assert site.git("status", "--porcelain").splitlines() == [
        " M bookshop/settings.py", *(f" D {each}" for each in site.git("ls-files", "--deleted").splitlines()),
    ]  # fmt: skip


def test_nothing_is_left_running(adopted: Adopted, watch_engine: Callable[..., Watch]) -> None:
    left = watch_engine(adopted.path.name, str(adopted.path)).leftovers()
    assert (left.containers, left.volumes, left.networks) == (frozenset(), frozenset(), frozenset())


def read_dump(file: Path) -> sqlite3.Connection:
    """Return what a dump has, in SQLite whatever it is of; pg_dump's tables as texts."""
    content = gzip.decompress(file.read_bytes())
    database = sqlite3.connect(":memory:")
    if content.startswith(b"SQLite format 3\0"):
        database.deserialize(content)
    elif b"-- PostgreSQL database dump" not in content[:200]:
        database.executescript(content.decode())
    else:
        copies = r"^COPY public\.(\w+) \(([^)]*)\) FROM stdin;\n(.*?)^\\\.$"
        for table, columns, rows in re.findall(copies, content.decode(), re.MULTILINE | re.DOTALL):
            names = columns.split(", ")
            database.execute(f"CREATE TABLE {table} ({columns})")
            marks = ", ".join("?" * len(names))
            insert = f"INSERT INTO {table} VALUES ({marks})"  # noqa: S608 - our own dump
            database.executemany(insert, [row.split("\t") for row in rows.splitlines()])
    return database
