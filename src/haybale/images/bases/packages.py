"""Base images from the distribution's packages and Maven Central, where no image hub can be reached.

An image is made under a temporary name and gets its own only after it has shown that it works.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shlex
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from haybale.errors import BuildError
from haybale.tools import apt, process
from haybale.tools.engine import sdk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

# Says of an image, and of what is made from it, that its base was built here.
LABEL = "io.haybale.base"

# The names that can be built, by kind.
BUILDABLE = {
    "python": ("python:3.13-slim", "python:3.13-slim-trixie"),
    "solr": ("solr:9.10.1-slim",),
    "postgres": ("postgres:17", "postgres:17-trixie"),
}

# What Solr's image and PostgreSQL's are built from.
SOLR_CONTEXT = Path(__file__).parent / "solr"
POSTGRES_CONTEXT = Path(__file__).parent / "postgres"

# Files get this time (2025-12-01), so that the same packages give the same layer.
EPOCH = 1764547200

# Seconds that Solr gets to answer, between two looks, and to stop, when it is tried.
PATIENCE = 120
PAUSE = 0.2
GRACE = 60

# The exit code of a JVM that SIGTERM ended in good order.
STOPPED_CLEANLY = 143

# What of the environment a build needs where the network is behind a proxy.
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")

# Works in Solr's own image as well, which has no curl either.
HEALTH = (
    "exec 3<>/dev/tcp/127.0.0.1/8983 && "
    r"printf 'GET /solr/admin/info/health HTTP/1.0\r\n\r\n' >&3 && "
    "head -n 1 <&3 | grep -q ' 200 '"
)

# mmdebstrap hooks; "$1" is the root of the new system. What only describes packages goes, licences stay, and
# nothing of this machine's name or network comes along. The folders of man pages stay: packages want them.
_TRIM = (
    'rm -rf "$1"/etc/resolv.conf "$1"/etc/hostname "$1"/usr/share/locale/*',
    'rm -rf "$1"/var/log/*.log "$1"/var/log/apt/* "$1"/var/cache/ldconfig/* "$1"/var/cache/apt/*.bin',
    'find "$1"/usr/share/man "$1"/usr/share/info ! -type d -delete',
    'find "$1"/usr/share/doc ! -type d ! -name copyright -delete',
)


@dataclass(frozen=True, kw_only=True)
class System:
    """A root file system from Debian packages: release, packages, mmdebstrap hooks, image configuration."""

    suite: str
    packages: tuple[str, ...]
    hooks: tuple[str, ...] = _TRIM
    changes: tuple[str, ...] = ()


PYTHON = System(
    suite="trixie",
    packages=("ca-certificates", "python3", "python3-venv", "python3-pip", "python-is-python3"),
    # As in Python's own image, pip installs where it is told.
    hooks=('rm "$1"/usr/lib/python3*/EXTERNALLY-MANAGED', *_TRIM),
    changes=('CMD ["python3"]', "ENV LANG=C.UTF-8"),
)
JAVA = System(
    suite="trixie",
    packages=("ca-certificates", "openjdk-21-jre-headless"),
    changes=("ENV LANG=C.UTF-8",),
)
POSTGRES = System(
    suite="trixie",
    packages=("ca-certificates", "postgresql-17"),
    hooks=(
        # What compiles queries while they run is more than half of it all, and slow queries are not ours.
        'rm -rf "$1"/usr/lib/postgresql/17/lib/bitcode "$1"/usr/lib/postgresql/17/lib/llvmjit*',
        'rm -rf "$1"/usr/lib/*/libLLVM* "$1"/usr/lib/llvm-*',
        # The cluster that installing it made, with keys of its own.
        'rm -rf "$1"/var/lib/postgresql/* "$1"/etc/postgresql/* "$1"/etc/ssl/private/*',
        *_TRIM,
    ),
    changes=("ENV LANG=C.UTF-8",),
)


def buildable(kind: str) -> tuple[str, ...]:
    """Return the images of a kind that can be built."""
    return BUILDABLE.get(kind, ())


def can_build(ref: str, kind: str) -> bool:
    """Return whether this very image can be built."""
    return ref.removeprefix("docker.io/").removeprefix("library/") in buildable(kind)


def build(ref: str, kind: str, ca: Path | None, say: Callable[[str], None]) -> None:
    """Build an image that `can_build` and name it `ref`; raises `BuildError`, `PrerequisiteError`.

    `ca` is a certificate bundle for downloads.
    """
    with _temporary_names() as name:
        made = name(kind)
        _MAKERS[kind](name, made, ca, say)
        sdk.tag_image(made, ref)


def _python(_name: Callable[[str], str], made: str, _ca: Path | None, say: Callable[[str], None]) -> None:
    say("  Python from Debian's packages")
    system(PYTHON, made)
    try_python(made)


def _solr(name: Callable[[str], str], made: str, ca: Path | None, say: Callable[[str], None]) -> None:
    say("  Java from Debian's packages")
    system(JAVA, name("java"))
    say("  Solr from Maven Central")
    settings = Path.home() / ".m2/settings.xml"
    given = {"ca": ca, "maven": settings if settings.is_file() else None}
    over(SOLR_CONTEXT, name("java"), made, given)
    say("  starting and stopping it once")
    try_solr(made)


def _postgres(name: Callable[[str], str], made: str, _ca: Path | None, say: Callable[[str], None]) -> None:
    say("  PostgreSQL from Debian's packages")
    system(POSTGRES, name("postgresql"))
    over(POSTGRES_CONTEXT, name("postgresql"), made, {})
    say("  starting and stopping it once")
    try_postgres(made)


# What makes an image of each kind.
_MAKERS: Mapping[str, Callable[[Callable[[str], str], str, Path | None, Callable[[str], None]], None]] = {
    "python": _python,
    "solr": _solr,
    "postgres": _postgres,
}


@contextlib.contextmanager
def _temporary_names() -> Iterator[Callable[[str], str]]:
    """Give a function that names temporary images; after the block nothing has such a name."""
    token = secrets.token_hex(4)
    given: set[str] = set()

    def name(part: str) -> str:
        given.add(f"haybale-base-{part}:{token}")
        return f"haybale-base-{part}:{token}"

    try:
        yield name
    except BaseException:
        with process.uninterrupted():
            for each in given:
                # The first failure is the one to tell: an engine that is gone removes nothing either.
                with contextlib.suppress(Exception):
                    sdk.remove_image(each)
        raise
    with process.uninterrupted():
        for each in given:
            sdk.remove_image(each)


def system(wanted: System, name: str) -> None:
    """Make an image of a root file system from packages; raises `BuildError`."""
    _need_mmdebstrap()
    with tempfile.TemporaryDirectory(prefix="haybale-") as folder:
        tarball = Path(folder) / "root.tar"
        sources = Path(folder) / "debian.sources"
        sources.write_text(package_sources(wanted.suite), encoding="utf-8")
        _run(
            mmdebstrap(wanted, tarball, sources if sources.stat().st_size else None),
            f"the packages of {wanted.suite} could not be put together",
            "the package mirror can't be reached, or has no such packages",
            env={"SOURCE_DATE_EPOCH": str(EPOCH)},
        )
        # By way of a file: a pipe would make an image of nothing where mmdebstrap fails.
        _run(import_command(wanted, tarball, name), f"{name} could not be imported", "the engine refused it")


def package_sources(suite: str) -> str:
    """Return sources of a Debian release (deb822) where this machine finds its own packages.

    Empty where it is no Debian: mmdebstrap then takes Debian's own address.
    """
    release = apt.read_os_release()
    if release.get("ID") != "debian":
        return ""
    codename = release.get("VERSION_CODENAME", "")
    found = apt.sources_of_suite(apt.package_sources(), codename, suite, ("", "-updates", "-security"))
    return "\n".join(source.stanza() for source in found)


def mmdebstrap(wanted: System, tarball: Path, sources: Path | None) -> list[str]:
    """Return the command line that makes the root file system."""
    return [
        "mmdebstrap", "--variant=minbase", f"--include={','.join(wanted.packages)}",
        *(f"--customize-hook={hook}" for hook in wanted.hooks), wanted.suite, str(tarball),
        *([str(sources)] if sources else []),
    ]  # fmt: skip


def import_command(wanted: System, tarball: Path, name: str) -> list[str]:
    """Return the command line that makes an image of the root file system."""
    changes = (f"LABEL {LABEL}=packages", *wanted.changes)
    return ["docker", "import", *(f"--change={change}" for change in changes), str(tarball), name]


def _need_mmdebstrap() -> None:
    if process.find_executable("mmdebstrap"):
        return
    if not (apt.is_root() and process.find_executable("apt-get")):
        raise BuildError(
            "base images can't be built here: mmdebstrap is not installed",
            cause="only root can install it"
            if process.find_executable("apt-get")
            else "this is no Debian or Ubuntu",
            hint="install mmdebstrap (Debian, Ubuntu: apt-get install mmdebstrap debian-archive-keyring), "
            "or load the image (docker load)",
        )
    # Ubuntu has Debian's keys in a package of their own.
    apt.install_packages("mmdebstrap", "debian-archive-keyring")


def over(context: Path, below: str, name: str, given: Mapping[str, Path | None]) -> None:
    """Build the Dockerfile in `context` over the image `below`; raises `BuildError`."""
    builder = process.run(["docker", "context", "show"]).stdout.strip() or "default"
    _run(
        over_command(context, below, name, builder, given, os.environ),
        f"{name} could not be built",
        "Maven Central or the package mirror can't be reached, or has other files than it had",
        env={"SOURCE_DATE_EPOCH": str(EPOCH)},
    )


def over_command(  # noqa: PLR0917 - what a build has
    context: Path,
    below: str,
    name: str,
    builder: str,
    given: Mapping[str, Path | None],
    env: Mapping[str, str],
) -> list[str]:
    """Return the buildx command line; `given` are secrets (id -> file).

    `builder` is the engine's own: any other does not see its images.
    """
    parts = [
        "docker", "buildx", "build", "--builder", builder, "--load", "--provenance=false",
        "--progress=plain", "--tag", name, "--build-arg", f"BASE={below}",
    ]  # fmt: skip
    for variable in PROXIES:
        if env.get(variable):
            parts += ["--build-arg", variable]
    for secret, file in given.items():
        if file is not None:
            parts += ["--secret", f"id={secret},src={file}"]
    return [*parts, str(context)]


def _run(command: Sequence[str], what: str, cause: str, *, env: Mapping[str, str] | None = None) -> None:
    """Run a command to its end; raises `BuildError` with the end of what it said."""
    done = process.run_merged(command, env=env)
    if not done.ok:
        log = "\n".join(done.stdout.splitlines()[-25:])
        raise BuildError(what, cause=f"{cause} (see the log)", hint="try again", log=log)


def try_python(image: str) -> None:
    """Make sure that an image has Python with pip and venv; raises `BuildError`."""
    for command in (
        [
            "python3",
            "-c",
            "import ensurepip, ssl, sqlite3, sys, venv; sys.exit(sys.version_info[:2] != (3, 13))",
        ],
        ["python", "-m", "pip", "--version"],
        ["pip", "--version"],
    ):
        code, log = sdk.run_container(image, command)
        if code:
            raise BuildError(
                f"the Python image that was built does not work: {shlex.join(command)} exited with {code}",
                cause="the distribution's packages are not what they were",
                hint="use another PYTHON_IMAGE",
                log=log,
            )


def try_solr(image: str) -> None:
    """Start Solr, wait until it answers, and stop it in good order; raises `BuildError` with its log."""
    _try("Solr", image, ["bash", "-c", HEALTH], stopped=STOPPED_CLEANLY)


def try_postgres(image: str) -> None:
    """Start PostgreSQL with an empty database, wait until it answers, and stop it in good order."""
    ready = ["psql", "--host", "127.0.0.1", "--username", "site", "--command", "SELECT 1", "site"]
    environment = {"POSTGRES_USER": "site", "POSTGRES_PASSWORD": "tried", "PGPASSWORD": "tried"}
    _try("PostgreSQL", image, ready, stopped=0, environment=environment)


def _try(
    what: str, image: str, ready: Sequence[str], *, stopped: int, environment: Mapping[str, str] | None = None
) -> None:
    with sdk.started_container(image, environment=environment) as container:
        end = time.monotonic() + PATIENCE
        while sdk.execute_in_container(container, ready) != 0:
            if not sdk.is_container_running(container) or time.monotonic() > end:
                raise _useless(what, f"it did not answer within {PATIENCE} s, or ended", container)
            time.sleep(PAUSE)
        code = sdk.stop_container(container, GRACE)
        if code != stopped:
            raise _useless(what, f"asked to stop, it exited with {code}, not {stopped}", container)


def _useless(what: str, why: str, container: str) -> BuildError:
    return BuildError(
        f"the {what} image that was built does not work: {why}",
        cause="see the end of its log",
        hint="use another image (docs/configuration.md)",
        log=sdk.container_log_tail(container),
    )
