"""Base images from the distribution's packages and Maven Central, where no registry can be reached.

An image is made under a temporary name and gets its own only after it was tried.
"""

from __future__ import annotations

import contextlib
import functools
import secrets
import shlex
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from haybale.errors import BuildError
from haybale.images.host import find_ca_bundle, proxy_variables
from haybale.tools import apt, process
from haybale.tools.engine import sdk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from haybale.image_ref import ImageRef

# Says of an image, and of what is made from it, that its base was built here.
LABEL = "io.haybale.base"

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

# Works in Solr's own image as well, which has no curl either.
SOLR_HEALTH = (
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
    """A root file system from Debian packages: packages, release, mmdebstrap hooks, image configuration."""

    packages: tuple[str, ...]
    suite: str = "trixie"
    hooks: tuple[str, ...] = _TRIM
    changes: tuple[str, ...] = ()


# Pythons by the Debian release that has them as its own. No release has 3.10 or 3.12, and that with 3.14 is
# not out yet.
PYTHON_SUITES = {"3.9": "bullseye", "3.11": "bookworm", "3.13": "trixie"}


def python_system(suite: str) -> System:
    """Return a system with a Debian release's own Python."""
    return System(
        packages=("ca-certificates", "python3", "python3-venv", "python3-pip", "python-is-python3"),
        suite=suite,
        # As in Python's own image, pip installs where it is told. (Releases before bookworm let it anyway.)
        hooks=('rm -f "$1"/usr/lib/python3*/EXTERNALLY-MANAGED', *_TRIM),
        changes=('CMD ["python3"]', "ENV LANG=C.UTF-8"),
    )


JAVA = System(packages=("ca-certificates", "openjdk-21-jre-headless"), changes=("ENV LANG=C.UTF-8",))
POSTGRES = System(
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


def build_base_image(name: ImageRef, kind: str, env: Mapping[str, str], say: Callable[[str], None]) -> None:
    """Build one of the `buildable_images`; `env` says how this machine reaches packages.

    Raises `BuildError`, `PrerequisiteError`.
    """
    recipe = next(each for each in RECIPES[kind] if str(name) in each.images)
    token = secrets.token_hex(4)
    made, system = (f"haybale-base-{part}:{token}" for part in (kind, "system"))
    with _removing(made, system):
        say(f"  {', '.join(recipe.system.packages[1:])} from Debian's packages")
        import_system(recipe.system, system if recipe.context else made)
        if recipe.context:
            say(f"  {kind} on top of it")
            build_on(recipe.context, system, made, env, target=recipe.target)
        say("  trying it")
        recipe.check(made)
        sdk.tag_image(made, name)


@contextlib.contextmanager
def _removing(*names: str) -> Iterator[None]:
    """Remove the images of these names after the block."""
    # The first failure is the one to report: an engine that is gone removes nothing either.
    hidden: tuple[type[Exception], ...] = (Exception,)
    try:
        yield
        hidden = ()
    finally:
        with process.uninterrupted():
            for name in names:
                with contextlib.suppress(*hidden):
                    sdk.remove_image(name)


def import_system(wanted: System, name: str) -> None:
    """Make an image of a root file system from packages; raises `BuildError`."""
    _need_mmdebstrap()
    with tempfile.TemporaryDirectory(prefix="haybale-") as folder:
        tarball = Path(folder) / "root.tar"
        sources = Path(folder) / "debian.sources"
        sources.write_text(package_sources(wanted.suite), encoding="utf-8")
        command = mmdebstrap(wanted, tarball, sources if sources.stat().st_size else None)
        message = f"the packages of {wanted.suite} could not be installed"
        hint = "correct what it names (apt's sources and proxies are those of this machine), and try again"
        _run(command, message, hint, env={"SOURCE_DATE_EPOCH": str(EPOCH)})
        # By way of a file: a pipe would make an image of nothing where mmdebstrap fails.
        changes = (f"--change={change}" for change in (f"LABEL {LABEL}=packages", *wanted.changes))
        command = ["docker", "import", *changes, str(tarball), name]
        _run(command, f"{name} could not be imported", "correct what the engine says, and try again")


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


def _need_mmdebstrap() -> None:
    if process.find_executable("mmdebstrap"):
        return
    has_apt = process.find_executable("apt-get")
    if not (apt.is_root() and has_apt):
        raise BuildError(
            "base images cannot be built here: mmdebstrap is not installed",
            cause="only root can install it" if has_apt else "this is no Debian or Ubuntu",
            hint="install mmdebstrap (Debian, Ubuntu: apt-get install mmdebstrap debian-archive-keyring), "
            "or load the image (docker load)",
        )
    # Ubuntu has Debian's keys in a package of their own.
    apt.install_packages("mmdebstrap", "debian-archive-keyring")


def build_on(
    context: Path, base: str, name: str, env: Mapping[str, str], *, target: str | None = None
) -> None:
    """Build the Dockerfile in `context` on the image `base`, or its stage `target`; raises `BuildError`."""
    # The engine's own builder: any other does not see its images.
    builder = process.run(["docker", "context", "show"]).stdout.strip() or "default"
    maven = Path.home() / ".m2/settings.xml"
    files = {"ca": find_ca_bundle(env), "maven": maven if maven.is_file() else None}
    command = [
        "docker", "buildx", "build", "--builder", builder, "--load", "--provenance=false",
        "--progress=plain", "--tag", name, "--build-arg", f"BASE={base}",
        *(("--target", target) if target else ()), *buildx_options(files, env), str(context),
    ]  # fmt: skip
    hint = "correct what it names, and try again (~/.m2/settings.xml may name a mirror of Maven Central)"
    _run(command, f"{name} could not be built", hint, env={"SOURCE_DATE_EPOCH": str(EPOCH)})


def buildx_options(files: Mapping[str, Path | None], env: Mapping[str, str]) -> list[str]:
    """Return the options of buildx that pass proxies and secrets (id -> file, None for no such secret)."""
    proxies = [word for variable in proxy_variables(env) for word in ("--build-arg", variable)]
    given = [(secret, file) for secret, file in files.items() if file]
    return [*proxies, *(word for secret, file in given for word in ("--secret", f"id={secret},src={file}"))]


def _run(command: Sequence[str], message: str, hint: str, *, env: Mapping[str, str] | None = None) -> None:
    """Run a command to its end; raises `BuildError` with what it said, and the end of its output."""
    done = process.run_merged(command, env=env)
    if not done.ok:
        cause = f"{command[0]} exited with {done.code}: {done.error_line}"
        log = "\n".join(done.stdout.splitlines()[-25:])
        raise BuildError(message, cause=cause, hint=hint, log=log)


def check_python(version: str, image: str) -> None:
    """Make sure that an image has a Python (such as 3.13) with pip and venv; raises `BuildError`."""
    found = "'.'.join(map(str, sys.version_info[:2]))"
    script = f"import ensurepip, ssl, sqlite3, sys, venv; sys.exit({found} != {version!r})"
    for command in (["python3", "-c", script], ["python", "-m", "pip", "--version"], ["pip", "--version"]):
        code, log = sdk.run_container(image, command)
        if code:
            said = (log.splitlines() or ["nothing"])[-1]
            raise BuildError(
                f"the Python image that was built does not work: {shlex.join(command)} exited with {code}",
                cause=f"made of the distribution's packages, it said: {said}",
                hint="load an image that works (docker load), or name another one: PYTHON_IMAGE",
                log=log,
            )


def check_solr(image: str) -> None:
    """Start Solr, wait until it answers, and stop it in good order; raises `BuildError` with its log."""
    _check_server("Solr", image, ["bash", "-c", SOLR_HEALTH], stopped=STOPPED_CLEANLY)


def check_postgres(image: str) -> None:
    """Start PostgreSQL with an empty database, wait until it answers, and stop it in good order."""
    ready = ["psql", "--host", "127.0.0.1", "--username", "site", "--command", "SELECT 1", "site"]
    variables = {"POSTGRES_USER": "site", "POSTGRES_PASSWORD": "tried", "PGPASSWORD": "tried"}
    _check_server("PostgreSQL", image, ready, stopped=0, variables=variables)


def _check_server(
    server: str, image: str, ready: Sequence[str], *, stopped: int, variables: Mapping[str, str] | None = None
) -> None:
    with sdk.started_container(image, environment=variables) as container:
        end = time.monotonic() + PATIENCE
        while sdk.execute_in_container(container, ready) != 0:
            if not sdk.is_container_running(container):
                raise _not_working(server, "it ended before it answered", container)
            if time.monotonic() > end:
                raise _not_working(server, f"it did not answer within {PATIENCE} s", container)
            time.sleep(PAUSE)
        code = sdk.stop_container(container, GRACE)
        if code != stopped:
            raise _not_working(server, f"asked to stop, it exited with {code}, not {stopped}", container)


def _not_working(server: str, reason: str, container: str) -> BuildError:
    log = sdk.container_log_tail(container)
    return BuildError(
        f"the {server} image that was built does not work: {reason}",
        cause=f"the end of its log is all that was seen; {sdk.container_state(container).memory}",
        hint="load an image that works (docker load), or name another one in [tool.haybale.images]",
        log=log,
    )


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How base images are built: the system, what is built on it, and what shows that they work.

    `images` are their names, as Docker prints them; `target` is the stage in `context`, None for its last.
    """

    images: tuple[str, ...]
    system: System
    context: Path | None = None
    target: str | None = None
    check: Callable[[str], None]


# By kind: the name of the setting in `images` that has such an image.
RECIPES: Mapping[str, Sequence[Recipe]] = {
    "python": [
        Recipe(
            images=(f"python:{version}-slim", f"python:{version}-slim-{suite}"),
            system=python_system(suite),
            check=functools.partial(check_python, version),
        )
        for version, suite in PYTHON_SUITES.items()
    ],
    "solr": [
        Recipe(images=(name,), system=JAVA, context=SOLR_CONTEXT, target=target, check=check_solr)
        for name, target in (("solr:9.10.1-slim", "solr"), ("solr:9.10.1", "solr-with-modules"))
    ],
    "postgres": [
        Recipe(
            images=("postgres:17", "postgres:17-trixie"),
            system=POSTGRES,
            context=POSTGRES_CONTEXT,
            check=check_postgres,
        )
    ],
}


def buildable_images(kind: str) -> tuple[str, ...]:
    """Return the images of a kind that can be built, as Docker prints their names."""
    return tuple(name for recipe in RECIPES.get(kind, ()) for name in recipe.images)
