"""Integration tests use the real engine; where there is none they are skipped visibly, in CI they fail."""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import docker
import pytest
import requests

from haybale import config

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def bump2version(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The executable, in an environment of its own: the session's where that is named, else a new one."""
    if os.environ.get("HAYBALE_BUMP2VERSION"):
        return os.environ["HAYBALE_BUMP2VERSION"]
    place = tmp_path_factory.mktemp("bump2version")
    lock = (ROOT / "requirements/bump.txt").read_text(encoding="utf-8")
    own = re.search(r"^bump2version==.*(?:\n    --hash=.*)+", lock, re.MULTILINE)
    assert own
    (place / "bump.txt").write_text(own[0].rstrip("\\ \n") + "\n", encoding="utf-8")
    subprocess.run([sys.executable, "-m", "venv", place / "venv"], check=True)
    pip = [str(place / "venv/bin/python"), "-m", "pip", "install", "-q", "--require-hashes", "-r"]
    subprocess.run([*pip, str(place / "bump.txt")], check=True)
    return str(place / "venv/bin/bumpversion")


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


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    """A repository at version 0.4.11 on main, and its remote, which has that too."""
    made = Clone(path=tmp_path / "clone", remote=tmp_path / "remote.git")
    made.path.mkdir()
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", made.remote], check=True)
    made.git("init", "-q", "-b", "main")
    made.git("remote", "add", "origin", f"file://{made.remote}")
    text = (ROOT / ".bumpversion.cfg").read_text(encoding="utf-8")
    own = re.sub(r"^current_version = .*$", "current_version = 0.4.11", text, flags=re.MULTILINE)
    made.commit(".bumpversion.cfg", own)
    made.git("push", "-q", "--set-upstream", "origin", "main")
    return made


@pytest.fixture(scope="session")
def engine() -> None:
    """Make sure that a container engine answers."""
    try:
        found = subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        found = False
    if not found:
        message = "no container engine answers (./noxw -s engine)"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)


@dataclass(frozen=True)
class Leftovers:
    """What is on the engine: containers, volumes, networks and image names."""

    containers: frozenset[str]
    volumes: frozenset[str]
    networks: frozenset[str]
    images: frozenset[str]


@pytest.fixture(scope="session")
def on_engine(engine: None) -> Callable[[], Leftovers]:  # noqa: ARG001 - it must answer
    """Give a function that says what is on the engine now."""
    return look


def look() -> Leftovers:

    def listed(*command: str) -> frozenset[str]:
        done = subprocess.run(["docker", *command], capture_output=True, text=True, check=True)
        return frozenset(done.stdout.splitlines())

    return Leftovers(
        containers=listed("ps", "--all", "--format", "{{.Names}}"),
        volumes=listed("volume", "ls", "--format", "{{.Name}}"),
        networks=listed("network", "ls", "--format", "{{.Name}}"),
        images=listed("image", "ls", "--format", "{{.Repository}}:{{.Tag}}"),
    )


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A clone of this repository as it is in the work tree, for a test to spoil."""
    clone = tmp_path / "site"
    clone.mkdir()
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, check=True,
    )  # fmt: skip
    subprocess.run(
        ["tar", "--create", "--null", "--files-from=-", "--file", str(tmp_path / "site.tar")],
        cwd=ROOT, input=listed.stdout, check=True,
    )  # fmt: skip
    subprocess.run(["tar", "--extract", "--file", str(tmp_path / "site.tar")], cwd=clone, check=True)
    _rename(clone / "pyproject.toml", "spoiled")
    for command in (
        ["init", "--quiet"],
        ["add", "--all"],
        ["-c", "user.name=a", "-c", "user.email=a@b.example", "commit", "--quiet", "-m", "all"],
    ):
        subprocess.run(["git", *command], cwd=clone, check=True)
    return clone


def _rename(file: Path, name: str) -> None:
    """Give the clone images and projects of its own."""
    text = file.read_text(encoding="utf-8")
    text = text.replace('\nname = "sotu"', f'\nname = "{name}"')
    text = text.replace('registry = "localhost:5000/sotu"', f'registry = "localhost:5000/{name}"')
    file.write_text(text, encoding="utf-8")


@pytest.fixture
def before(on_engine: Callable[[], Leftovers]) -> Iterator[Leftovers]:
    """What was on the engine; what the clone built besides is removed after the test."""
    was = on_engine()
    yield was
    made = on_engine().images - was.images
    if made:
        subprocess.run(["docker", "image", "rm", "--force", *made], capture_output=True, check=True)


# A registry server of the distribution, over the Python base, which is on the engine anyway.
REGISTRY_IMAGE = "haybale-test-registry:latest"
REGISTRY_DOCKERFILE = """\
FROM {base}
RUN apt-get update && apt-get install -y --no-install-recommends docker-registry
CMD ["docker-registry", "serve", "/registry/config.yml"]
"""
REGISTRY_CONFIG = (
    "version: 0.1\nstorage: {filesystem: {rootdirectory: /tmp/registry}, delete: {enabled: true}}\n"
    "http:\n  addr: ':5000'\n"
)


@dataclass(frozen=True)
class Registry:
    """A registry server on loopback: HOST:PORT, and its container."""

    address: str
    container: str

    def log(self) -> str:
        return docker.from_env().containers.get(self.container).logs().decode(errors="replace")


@pytest.fixture(scope="session")
def serve_registry(
    engine: None,  # noqa: ARG001 - it must answer
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[..., AbstractContextManager[Registry]]]:
    """Give a function that runs a registry: (more configuration, files beside it, how to ask it)."""
    folder = tmp_path_factory.mktemp("registry")
    base = config.load(ROOT, {}).settings.images.python
    (folder / "Dockerfile").write_text(REGISTRY_DOCKERFILE.format(base=base), encoding="utf-8")

    @contextlib.contextmanager
    def serve(
        more: str = "", files: Mapping[str, bytes] | None = None, scheme: str = "http", **ask: object
    ) -> Iterator[Registry]:
        client = docker.from_env()
        # Each time: whoever removes what came since may have taken the image for theirs. Mostly it is cached.
        subprocess.run(
            ["docker", "buildx", "build", "--quiet", "--load", "--tag", REGISTRY_IMAGE, folder],
            capture_output=True, check=True,
        )  # fmt: skip
        container = client.containers.create(
            REGISTRY_IMAGE, labels={"io.haybale.test": "registry"}, ports={"5000/tcp": ("127.0.0.1", 0)}
        )
        try:
            beside = {"config.yml": (REGISTRY_CONFIG + more).encode(), **(files or {})}
            container.put_archive("/", _tar("registry", beside))
            container.start()
            container.reload()
            address = f"127.0.0.1:{(container.ports['5000/tcp'] or [{}])[0]['HostPort']}"
            _await(f"{scheme}://{address}/v2/", ask)
            yield Registry(address=address, container=str(container.id))
        finally:
            container.remove(force=True, v=True)

    yield serve
    subprocess.run(["docker", "image", "rm", "--force", REGISTRY_IMAGE], capture_output=True, check=False)


@pytest.fixture(scope="session")
def registry_server(serve_registry: Callable[..., AbstractContextManager[Registry]]) -> Iterator[Registry]:
    """Run a registry that everybody may read and write."""
    with serve_registry() as server:
        yield server


@pytest.fixture(scope="session")
def registry(registry_server: Registry) -> str:
    """Return HOST:PORT of a registry that everybody may read and write."""
    return registry_server.address


def _tar(folder: str, files: Mapping[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def _await(url: str, ask: Mapping[str, object]) -> None:
    for _ in range(3000):
        with contextlib.suppress(requests.ConnectionError):
            if requests.get(url, timeout=10, **ask).status_code in {200, 401}:  # type: ignore[arg-type]
                return
    pytest.fail("the registry does not answer")
