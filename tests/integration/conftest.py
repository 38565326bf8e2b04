"""Integration tests use the real engine; where there is none they are skipped visibly, in CI they fail.

Several workers run them side by side (pytest-xdist), on an engine that others use meanwhile: all that a test
creates has the run's id in its name or in a label, and tests look at nothing else, and remove nothing else.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import re
import secrets
import shlex
import shutil
import sqlite3
import subprocess
import sys
import tarfile
import time
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import docker
import pytest
import requests
from docker.errors import DockerException, NotFound

from haybale import config
from haybale.image_ref import ImageRef
from haybale.images.bases.base_image import ensure_base_image

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    Once = Callable[[str, Callable[[], str]], str]

ROOT = Path(__file__).parents[2]

# The id of this run: the first process chooses it, the workers inherit it.
RUN = os.environ.setdefault("HAYBALE_TEST_RUN", secrets.token_hex(4))
TEST_LABEL = "io.haybale.test"
LABELS = {TEST_LABEL: RUN}

# The slowest files, the slowest first: they start first, so that no worker is left with one at the end.
SLOWEST = (
    "test_sites", "test_pipeline", "test_databases", "test_bench", "test_deploy", "test_loader",
    "test_regenerate", "test_publish", "test_flux", "test_compile", "test_bases",
)  # fmt: skip

# Where it cannot run an engine of its own, it removes its steps from the build cache. The engine then forgets
# what it has just made for others ("failed to solve: not found"; 26.1, containerd's store): so it runs when
# they have built.
LAST = "test_building"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with the slowest files, and end with the quick tests of tests/unit."""
    place = {name: number for number, name in enumerate(SLOWEST)}
    ours = Path(__file__).parent
    items.sort(
        key=lambda item: (
            item.path.parent != ours, item.path.stem == LAST, place.get(item.path.stem, len(place))
        )
    )  # fmt: skip


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Remove what the run left on the engine, when all workers have ended or were killed."""
    if not hasattr(session.config, "workerinput") and is_engine_there():
        with contextlib.suppress(DockerException):
            remove_named(RUN)


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Once:
    """Return a function that calls another once for all workers and returns its text: (name, function)."""
    base = tmp_path_factory.getbasetemp()
    folder = base if worker_id == "master" else base.parent

    def call_once(name: str, function: Callable[[], str]) -> str:
        result = folder / f"{name}.txt"
        with (folder / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not result.is_file():
                result.write_text(function(), encoding="utf-8")
        return result.read_text(encoding="utf-8")

    return call_once


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def bump2version(tmp_path_factory: pytest.TempPathFactory, once: Once) -> str:
    """The executable, in an environment of its own: the session's where that is named, else a new one."""

    def install() -> str:
        place = tmp_path_factory.mktemp("bump2version")
        lock = (ROOT / "requirements/bump.txt").read_text(encoding="utf-8")
        own = re.search(r"^bump2version==.*(?:\n    --hash=.*)+", lock, re.MULTILINE)
        assert own
        (place / "bump.txt").write_text(own[0].rstrip("\\ \n") + "\n", encoding="utf-8")
        subprocess.run([sys.executable, "-m", "venv", place / "venv"], check=True)
        pip = [str(place / "venv/bin/python"), "-m", "pip", "install", "-q", "--require-hashes", "-r"]
        subprocess.run([*pip, str(place / "bump.txt")], check=True)
        return str(place / "venv/bin/bumpversion")

    return os.environ.get("HAYBALE_BUMP2VERSION") or once("bump2version", install)


@pytest.fixture(scope="session")
def tutorial() -> Sequence[tuple[str, str]]:
    """What docs/tutorial.md has a reader do, in order: a command (sh), or lines of pyproject.toml (toml)."""
    text = (ROOT / "docs/tutorial.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```(sh|toml)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [
        (kind, each) for kind, block in blocks for each in (block.splitlines() if kind == "sh" else [block])
    ]


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory, once: Once) -> Path:
    """The wheel, built from a copy of what the sdist has of the repository."""

    def build() -> str:
        folder = tmp_path_factory.mktemp("package")
        source = folder / "source"
        shutil.copytree(
            ROOT / "src", source / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info")
        )
        for name in ("pyproject.toml", ".bumpversion.cfg", "LICENSE", "README.md", "CHANGELOG.md"):
            shutil.copy(ROOT / name, source)
        command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
        subprocess.run(command, cwd=source, capture_output=True, check=True)
        (found,) = folder.glob("*.whl")
        return str(found)

    return Path(once("wheel", build))


@pytest.fixture(scope="session")
def installed(
    wheel: Path, tutorial: Sequence[tuple[str, str]], tmp_path_factory: pytest.TempPathFactory, once: Once
) -> Path:
    """The folder with haybale's executable, installed as the tutorial says into an environment of its own.

    The package is the wheel; what it asks for has the versions that this repository is tested with.
    """

    def install() -> str:
        folder = tmp_path_factory.mktemp("installed")
        lines = (ROOT / "requirements/haybale.txt").read_text(encoding="utf-8").splitlines()
        pins = [line.rstrip(" \\") for line in lines if "--hash=" not in line]
        constraints = folder / "constraints.txt"
        constraints.write_text("\n".join([f"haybale @ {wheel.as_uri()}", *pins]), encoding="utf-8")
        subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
        programs = folder / "venv/bin"
        env = {**outside_environment(programs), "PIP_CONSTRAINT": str(constraints)}
        subprocess.run(shlex.split(tutorial[0][1]), cwd=folder, env=env, capture_output=True, check=True)
        return str(programs)

    return Path(once("installed", install))


@pytest.fixture(scope="session")
def outside(installed: Path) -> Mapping[str, str]:
    """The variables of somebody who has installed haybale, and nothing of this repository."""
    return outside_environment(installed)


def outside_environment(programs: Path) -> dict[str, str]:
    """Return the variables of somebody who has these programs, and nothing of this repository."""
    env = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    return {**env, "PATH": f"{programs}{os.pathsep}{env['PATH']}"}


# Somebody who commits: CI machines have no identity of their own.
PERSON = {
    "GIT_AUTHOR_NAME": "Ada", "GIT_AUTHOR_EMAIL": "ada@example.org",
    "GIT_COMMITTER_NAME": "Ada", "GIT_COMMITTER_EMAIL": "ada@example.org",
}  # fmt: skip


@pytest.fixture
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, bump2version: str) -> None:
    """Nothing that this machine or its CI system has configured for git or for a run counts."""
    for name in list(os.environ):
        if name.startswith(("GIT_", "GH_", "GITHUB_", "GITLAB_", "GITEA_", "FORGEJO_", "CI_")):
            monkeypatch.delenv(name)
    for name, value in PERSON.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "nobody").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("HAYBALE_BUMP2VERSION", bump2version)


@dataclass(frozen=True)
class Clone:
    """A repository with a version file, and its bare remote."""

    path: Path
    remote: Path

    def git(self, *arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=self.path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def commit(self, name: str, text: str = "", message: str = "") -> str:
        (self.path / name).write_text(text or name, encoding="utf-8")
        self.git("add", name)
        self.git("commit", "-q", "-m", message or f"Write {name}")
        return self.git("rev-parse", "HEAD")

    def another(self, name: str, *options: str) -> Clone:
        """Clone the remote once more."""
        path = self.path.with_name(name)
        subprocess.run(["git", "clone", "-q", *options, f"file://{self.remote}", path], check=True)
        return Clone(path=path, remote=self.remote)

    def state(self) -> tuple[str, ...]:
        """Everything that is not touched where something is refused: refs, HEAD, files."""
        return (
            self.git("for-each-ref"), self.git("rev-parse", "HEAD"), self.git("status", "--porcelain"),
            *(file.read_text(encoding="utf-8") for file in sorted(self.path.iterdir()) if file.is_file()),
        )  # fmt: skip

    def remote_refs(self) -> dict[str, str]:
        """The remote's refs: full name -> hash."""
        listed = subprocess.run(
            ["git", "for-each-ref", "--format=%(refname) %(objectname)"],
            cwd=self.remote, capture_output=True, text=True, check=True,
        )  # fmt: skip
        return {
            name: found for name, _, found in (line.partition(" ") for line in listed.stdout.splitlines())
        }


@pytest.fixture(scope="session")
def first_version(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A repository at version 0.4.11 on main, and its remote, which has that too: to be copied."""
    folder = tmp_path_factory.mktemp("first-version")
    made = Clone(path=folder / "clone", remote=folder / "remote.git")
    # Without the samples of hooks, which are most of its files.
    new = ["git", "init", "-q", "--template=", "-b", "main"]
    subprocess.run([*new, "--bare", made.remote], check=True)
    subprocess.run([*new, made.path], check=True)
    for hooks in (made.remote / "hooks", made.path / ".git/hooks"):
        hooks.mkdir()
    made.git("remote", "add", "origin", f"file://{made.remote}")
    for name in ("maintenance.auto", "receive.autogc"):
        # Else each commit, fetch and push starts another git to look whether there is something to pack.
        for path in (made.path, made.remote):
            subprocess.run(["git", "-C", path, "config", name, "false"], check=True)
    text = (ROOT / ".bumpversion.cfg").read_text(encoding="utf-8")
    own = re.sub(r"^current_version = .*$", "current_version = 0.4.11", text, flags=re.MULTILINE)
    (made.path / ".bumpversion.cfg").write_text(own, encoding="utf-8")
    made.git("add", ".bumpversion.cfg")
    made.git("-c", "user.name=Ada", "-c", "user.email=ada@example.org", "commit", "-q", "-m", "Begin")
    made.git("push", "-q", "--set-upstream", "origin", "main")
    return made


@pytest.fixture
def clone(tmp_path: Path, first_version: Clone) -> Clone:
    """A repository at version 0.4.11 on main, and its remote, which has that too."""
    made = Clone(path=tmp_path / "clone", remote=tmp_path / "remote.git")
    shutil.copytree(first_version.path, made.path)
    shutil.copytree(first_version.remote, made.remote)
    made.git("remote", "set-url", "origin", f"file://{made.remote}")
    return made


def is_engine_there() -> bool:
    """Whether a container engine answers. Docker's package leaves a socket open where none does."""
    try:
        return subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


@pytest.fixture(scope="session")
def engine() -> None:
    """Make sure that a container engine answers."""
    if not is_engine_there():
        message = "no container engine answers (./noxw -s engine)"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)


@dataclass(frozen=True)
class Leftovers:
    """Containers by id; volumes, networks and images by name."""

    containers: frozenset[str] = frozenset()
    volumes: frozenset[str] = frozenset()
    networks: frozenset[str] = frozenset()
    images: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return any((self.containers, self.volumes, self.networks, self.images))


class Watch:
    """Watches the engine for whatever has one of the words in its name, its labels or its image's name.

    The anonymous volumes of such containers count too.
    """

    def __init__(self, *words: str) -> None:
        self._words = words
        self._client = docker.from_env()
        self._events = self._client.events(
            decode=True, filters={"type": ["container", "volume"], "event": ["create", "mount"]}
        )
        self._containers: set[str] = set()
        self._volumes: set[str] = set()

    def close(self) -> None:
        self._events.close()
        self._client.close()

    def leftovers(self) -> Leftovers:
        """Return what exists now."""
        self._read()
        existing = {each["Name"] for each in self._client.api.volumes()["Volumes"] or ()}
        found = find_named(self._client, *self._words)
        return replace(found, volumes=found.volumes | existing & self._volumes)

    def container_count(self) -> int:
        """Return how many containers were created since, also those that are gone."""
        self._read()
        return len(self._containers)

    def _read(self) -> None:
        """Read the events until now, which is where the engine reports a volume that is created here."""
        mark = self._client.volumes.create(labels=LABELS)
        for event in self._events:
            actor, attributes = event["Actor"]["ID"], event["Actor"]["Attributes"]
            if actor == mark.id:
                break
            if event["Type"] == "container" and any(word in str(attributes) for word in self._words):
                self._containers.add(actor)
            elif event["Action"] == "mount" and attributes["container"] in self._containers:
                self._volumes.add(actor)
        mark.remove()


def find_named(client: docker.DockerClient, *words: str) -> Leftovers:
    """Return all that has one of the words in its name, its labels or its image's name."""
    api = client.api

    def matching(listed: list[dict[str, Any]] | None, *keys: str) -> list[dict[str, Any]]:
        texts = ((each, str([each.get(key) for key in keys])) for each in listed or ())
        return [each for each, text in texts if any(word in text for word in words)]

    return Leftovers(
        frozenset(each["Id"] for each in matching(api.containers(all=True), "Names", "Image", "Labels")),
        frozenset(each["Name"] for each in matching(api.volumes()["Volumes"], "Name", "Labels")),
        frozenset(each["Name"] for each in matching(api.networks(), "Name", "Labels")),
        frozenset(
            # A base image that is not the tests' may have one name that is.
            name
            for each in list_images(api, *words)
            for name in each.get("RepoTags") or [each["Id"]]
            if any(word in f"{name} {each.get('Labels')}" for word in words)
        ),
    )


def list_images(api: docker.APIClient, *words: str, attempts: int = 5) -> list[dict[str, Any]]:
    """Return the images that have one of the words in a name; `io.haybale.NAME[=VALUE]` may be a label.

    Only those: of each image that it lists the engine adds up all files, which takes a second for forty.
    """
    # A star stands for what is between two slashes.
    sides = [(before, after) for before in ("", "*/", "*/*/") for after in ("", "/*", "/*/*")]
    patterns = [f"{before}*{word}*{after}" for before, after in sides for word in words]
    wanted: list[dict[str, Any]] = [{"reference": patterns}]
    wanted += [{"label": word} for word in words if word.startswith("io.haybale.")]
    return [each for filters in wanted for each in _listed_images(api, filters, attempts)]


def _listed_images(api: docker.APIClient, filters: dict[str, Any], attempts: int) -> list[dict[str, Any]]:
    """Return images; where one is removed meanwhile, the engine answers 404 (moby issue 52688)."""
    for _ in range(attempts - 1):
        with contextlib.suppress(NotFound):
            return list(api.images(filters=filters))
    return list(api.images(filters=filters))


@pytest.fixture(scope="session")
def image_names(engine: None) -> Callable[..., dict[str, str]]:  # noqa: ARG001 - it must answer
    """Return a function that lists the engine's images with one of some words in a name: name -> id."""

    def names(*words: str) -> dict[str, str]:
        with contextlib.closing(docker.from_env()) as client:
            images = list_images(client.api, *words)
        return {name: each["Id"] for each in images for name in each.get("RepoTags") or ()}

    return names


def remove_named(word: str) -> None:
    """Remove all that has a word in its name, its labels or its image's name."""
    with contextlib.closing(docker.from_env()) as client:
        found = find_named(client, word, f"{TEST_LABEL}={word}")
        for remove, names, options in (
            (client.api.remove_container, found.containers, {"force": True, "v": True}),
            (client.api.remove_volume, found.volumes, {}),
            (client.api.remove_network, found.networks, {}),
            (client.api.remove_image, found.images, {"force": True}),
        ):
            for name in names:
                with contextlib.suppress(NotFound):
                    remove(name, **options)


# How many of the reference dump's 233 addresses a test's site has: with 5,624 passages, enough for several
# partitions and workers, a third of all.
ADDRESSES = 72

FEWER = """
CREATE TEMP TABLE few AS SELECT id FROM archive_address ORDER BY sequence LIMIT NUMBER;
DELETE FROM archive_passage WHERE address_id NOT IN few;
DELETE FROM archive_passage_topics WHERE passage_id NOT IN (SELECT id FROM archive_passage);
DELETE FROM archive_address_topics WHERE address_id NOT IN few;
DELETE FROM archive_address WHERE id NOT IN few;
DELETE FROM archive_president WHERE id NOT IN (SELECT president_id FROM archive_address);
DELETE FROM archive_term WHERE president_id NOT IN (SELECT id FROM archive_president);
VACUUM;
"""


def shrink(clone: Path, addresses: int) -> None:
    """Give a clone a dump with a few addresses, under a name of its own."""
    whole = (ROOT / "dumps/sotu_latest.sqlite3.zip").resolve()
    with zipfile.ZipFile(whole) as archive:
        (member,) = archive.namelist()
        archive.extract(member, clone)
    with contextlib.closing(sqlite3.connect(clone / member)) as database:
        database.executescript(FEWER.replace("NUMBER", str(addresses)))
    link = clone / "dumps/sotu_latest.sqlite3.zip"
    link.resolve().unlink()
    link.unlink()
    small = clone / f"dumps/small_{addresses}.sqlite3.zip"
    with zipfile.ZipFile(small, "w") as archive:
        # No date of the moment: two clones are to have the same file.
        archive.writestr(zipfile.ZipInfo("db.sqlite3"), (clone / member).read_bytes())
    (clone / member).unlink()
    link.symlink_to(small.name)


@pytest.fixture(scope="session")
def shrink_dump() -> Callable[[Path, int], None]:
    """Return a function that gives a clone a dump with a few addresses: (clone, how many)."""
    return shrink


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory, once: Once) -> Path:
    """A copy of this work tree with a smaller dump, without what git ignores; tests copy it once more."""

    def copy() -> str:
        folder = tmp_path_factory.mktemp("template")
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT, capture_output=True, check=True,
        )  # fmt: skip
        tar = ["tar", "--null", "--files-from=-", "--create"]
        packed = subprocess.run(tar, cwd=ROOT, input=listed.stdout, capture_output=True, check=True)
        subprocess.run(["tar", "--extract"], cwd=folder, input=packed.stdout, check=True)
        shrink(folder, ADDRESSES)
        return str(folder)

    return Path(once("template", copy))


# Solr's base image for tests. Most of what Solr takes to start is its JVM, which loads and compiles classes.
# Here it skips the second compiler, as no Solr runs for long, and G1 with its threads, as none holds much. It
# finds in an archive the classes that a Solr had loaded when its core answered (java(1), "Application Class
# Data Sharing").
SOLR_DOCKERFILE = r"""
ARG BASE
FROM ${BASE}
ENV GC_TUNE="-XX:+UseSerialGC"
COPY --from=conf --chown=8983:8983 . /opt/archive/core/conf/
RUN <<'END'
#!/bin/bash
set -eu
touch /opt/archive/core/core.properties
export JAVA_TOOL_OPTIONS='-XX:TieredStopAtLevel=1 -XX:ArchiveClassesAtExit=/opt/archive/classes.jsa'
SOLR_HOME=/opt/archive SOLR_HEAP=512m solr-foreground >/tmp/log 2>&1 &
answers() {
    exec 3<>/dev/tcp/127.0.0.1/8983
    printf 'GET /solr/core/admin/ping HTTP/1.0\r\n\r\n' >&3
    head -n 1 <&3 | grep -q ' 200 '
}
until (answers) 2>/dev/null; do
    kill -0 $! && [ $SECONDS -lt 120 ] || { cat /tmp/log; exit 1; }
    sleep 0.2
done
kill $!
wait || test -s /opt/archive/classes.jsa
rm -r /opt/archive/core /tmp/log
END
ENV JAVA_TOOL_OPTIONS="-XX:TieredStopAtLevel=1 -XX:SharedArchiveFile=/opt/archive/classes.jsa"
"""


@pytest.fixture(scope="session")
def solr_image(engine: None, once: Once) -> str:  # noqa: ARG001 - it must answer
    """Solr's base image for tests, which starts in a third of the time."""

    def build() -> str:
        name, base = f"haybale-test-solr:{RUN}", config.load(ROOT, os.environ).settings.images.solr
        ensure_base_image(ImageRef.parse(base), "solr", os.environ, print)
        subprocess.run(
            [
                "docker", "buildx", "build", "--quiet", "--load", "--tag", name,
                "--build-arg", f"BASE={base}", "--build-context", f"conf={ROOT / 'solr_conf'}", "-",
            ],
            input=SOLR_DOCKERFILE.encode(), capture_output=True, check=True,
        )  # fmt: skip
        return name

    return once("solr-image", build)


@pytest.fixture
def site(tmp_path: Path, template: Path, solr_image: str) -> Iterator[Path]:
    """A repository like this work tree, for a test to change; its images are removed afterwards."""
    clone, name = tmp_path / "site", f"spoiled-{RUN}-{secrets.token_hex(4)}"
    shutil.copytree(template, clone, symlinks=True)
    give_own_names(clone / "pyproject.toml", name, solr_image)
    for command in (
        ["init", "--quiet"],
        ["add", "--all"],
        ["-c", "user.name=a", "-c", "user.email=a@b.example", "commit", "--quiet", "-m", "all"],
    ):
        subprocess.run(["git", *command], cwd=clone, check=True)
    yield clone
    remove_named(name)


def give_own_names(file: Path, name: str, solr_image: str) -> None:
    """Give the clone names of its own for images and compose projects, and Solr's image for tests."""
    text = file.read_text(encoding="utf-8")
    text = text.replace('\nname = "sotu"', f'\nname = "{name}"')
    text = text.replace('registry = "localhost:5000/sotu"', f'registry = "localhost:5000/{name}"')
    file.write_text(f'{text}\n[tool.haybale.images]\nsolr = "{solr_image}"\n', encoding="utf-8")


# The bookshop of tests/sites, adopted.
BOOKSHOP = """\
[tool.haybale]
name = "bookshop"
registry = "localhost:5000/bookshop"
local = true
core = "catalogue"
dump = "database/bookshop.sql.gz"
solr_conf = "solr/conf"

[tool.haybale.site.environment]
POSTGRES_DB = "{database_name}"
POSTGRES_HOST = "{database_host}"

[tool.haybale.images]
python = "python:3.11-slim"

[tool.haybale.requirements]
production = "requirements.txt"

[tool.haybale.test.suites.site]
command = ["pytest", "--junit-xml={report}"]

[[tool.haybale.test.pages]]
path = "/search/?q=lighthouse"
contains = "Lighthouse"

[tool.haybale.index]
serve = "open"
"""


@pytest.fixture(scope="session")
def sound(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bookshop, adopted and without a mistake; tests copy it."""
    path = tmp_path_factory.mktemp("sound") / "bookshop"
    shutil.copytree(root / "tests/sites/bookshop", path)
    (path / "pyproject.toml").write_text(BOOKSHOP, encoding="utf-8")
    person = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
    for command in (["init", "--quiet", "--template="], ["add", "--all"], ["commit", "--quiet", "-m", "All"]):
        subprocess.run(["git", *person, *command], cwd=path, check=True)
    return path


@pytest.fixture
def watch_engine(engine: None) -> Iterator[Callable[..., Watch]]:  # noqa: ARG001 - it must answer
    """Return a function that watches the engine for some words."""
    with contextlib.ExitStack() as stack:
        yield lambda *words: stack.enter_context(contextlib.closing(Watch(*words)))


@pytest.fixture
def watch(site: Path, watch_engine: Callable[..., Watch]) -> Watch:
    """A watch over what the site's runs create."""
    return watch_engine(config.load(site, {}).settings.name)


# A registry server of the distribution, over the Python base, which is on the engine anyway.
REGISTRY_IMAGE = f"haybale-test-registry:{RUN}"
REGISTRY_DOCKERFILE = """\
FROM {base}
RUN apt-get update && apt-get install -y --no-install-recommends docker-registry \\
 && rm -rf /var/lib/apt/lists /var/cache/apt
CMD ["docker-registry", "serve", "/registry/config.yml"]
"""
REGISTRY_CONFIG = (
    "version: 0.1\nstorage: {filesystem: {rootdirectory: /tmp/registry}, delete: {enabled: true}}\n"
    "http:\n  addr: ':5000'\n"
)


# Seconds that it gets to answer.
PATIENCE = 60


@dataclass(frozen=True)
class Registry:
    """A registry server on loopback: HOST:PORT, and its container."""

    address: str
    container: str

    def log(self) -> str:
        return docker.from_env().containers.get(self.container).logs().decode(errors="replace")


@pytest.fixture(scope="session")
def registry_image(engine: None, tmp_path_factory: pytest.TempPathFactory, once: Once) -> str:  # noqa: ARG001 - it must answer
    """The name of a registry server's image."""

    def build() -> str:
        folder = tmp_path_factory.mktemp("registry")
        base = config.load(ROOT, {}).settings.images.python
        (folder / "Dockerfile").write_text(REGISTRY_DOCKERFILE.format(base=base), encoding="utf-8")
        subprocess.run(
            ["docker", "buildx", "build", "--quiet", "--load", "--tag", REGISTRY_IMAGE, folder],
            capture_output=True, check=True,
        )  # fmt: skip
        return REGISTRY_IMAGE

    return once("registry-image", build)


@pytest.fixture(scope="session")
def serve_registry(registry_image: str) -> Callable[..., AbstractContextManager[Registry]]:
    """Return a function that runs a registry: (more configuration, more files, scheme, options)."""

    @contextlib.contextmanager
    def serve(
        more: str = "", files: Mapping[str, bytes] | None = None, scheme: str = "http", **options: object
    ) -> Iterator[Registry]:
        container = docker.from_env().containers.create(
            registry_image, labels=LABELS, ports={"5000/tcp": ("127.0.0.1", 0)}
        )
        try:
            beside = {"config.yml": (REGISTRY_CONFIG + more).encode(), **(files or {})}
            container.put_archive("/", pack("registry", beside))
            container.start()
            container.reload()
            address = f"127.0.0.1:{(container.ports['5000/tcp'] or [{}])[0]['HostPort']}"
            wait_for_registry(f"{scheme}://{address}/v2/", options)
            yield Registry(address=address, container=str(container.id))
        finally:
            container.remove(force=True, v=True)

    return serve


@pytest.fixture(scope="module")
def registry_server(serve_registry: Callable[..., AbstractContextManager[Registry]]) -> Iterator[Registry]:
    """Run a registry that everybody may read and write; each file has its own."""
    with serve_registry() as server:
        yield server


@pytest.fixture(scope="module")
def registry(registry_server: Registry) -> str:
    """Return HOST:PORT of a registry that everybody may read and write."""
    return registry_server.address


# bcrypt, which is all that the registry takes (htpasswd -nbB ada not-to-be-seen).
LOGIN = "ada:$2y$04$LIrROEE.1lzFeePNNZeG0eyazNYpXajn61OFuT.M1.So6jeY26vyG\n"


@pytest.fixture(scope="module")
def guarded(serve_registry: Callable[..., AbstractContextManager[Registry]]) -> Iterator[Registry]:
    """A registry that lets in only ada, with the password not-to-be-seen."""
    more = "auth:\n  htpasswd:\n    realm: haybale\n    path: /registry/htpasswd\n"
    with serve_registry(more, {"htpasswd": LOGIN.encode()}) as server:
        yield server


def pack(folder: str, files: Mapping[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def wait_for_registry(url: str, options: Mapping[str, object]) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        with contextlib.suppress(requests.ConnectionError):
            if requests.get(url, timeout=10, **options).status_code in {200, 401}:  # type: ignore[arg-type]
                return
        time.sleep(0.05)
    pytest.fail("the registry does not answer")
