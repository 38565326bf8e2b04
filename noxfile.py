"""The sessions: names and environments, a few lines each.

Every session has an environment of its own, made once from a lock in requirements/ and kept until the lock
changes. Sessions that are haybale's verbs hand their arguments on (`nox -s build -- tester --load ''`).
Needs only nox and the standard library.
"""

from __future__ import annotations

import hashlib
import os
import ssl
from pathlib import Path

import nox

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_venv = "yes"
nox.options.sessions = ["lint", "typecheck", "unit"]

ROOT = Path(__file__).parent


# The verbs of haybale -----------------------------------------------------------------------------------


@nox.session
def engine(session: nox.Session) -> None:
    """Make sure that a container engine with compose and buildx answers."""
    # Runs before other sessions on one command line, whose arguments are not its own.
    haybale(session, "engine")


@nox.session
def build(session: nox.Session) -> None:
    """Build a layer: [step=release] [action=--load|--push] [verbosity=1, '' is quiet]."""
    haybale(session, "build", *session.posargs)


@nox.session
def push(session: nox.Session) -> None:
    """Build a layer and push it: [step=release]."""
    haybale(session, "push", *session.posargs)


@nox.session
def test(session: nox.Session) -> None:
    """Bring up the site with the baked index and run every test."""
    haybale(session, "test", *session.posargs, lock="tests")


@nox.session
def regen_solr_image(session: nox.Session) -> None:
    """Index the reference dump, bake the index into the Solr image, prove it."""
    haybale(session, "regen-solr-image", *session.posargs)


@nox.session
def regen_requirements(session: nox.Session) -> None:
    """Compile the site's requirements: [--check] [--upgrade] [--upgrade-package NAME]."""
    haybale(session, "regen-requirements", *session.posargs, lock="requirements")


@nox.session
def solr_dc(session: nox.Session) -> None:
    """Run docker compose on the environment that indexes: ARGS (default: ps)."""
    haybale(session, "solr-dc", *session.posargs)


@nox.session
def ci_dc(session: nox.Session) -> None:
    """Run docker compose on the environment that tests: ARGS (default: ps)."""
    haybale(session, "ci-dc", *session.posargs)


@nox.session
def layers(session: nox.Session) -> None:
    """Print the Dockerfile's stages."""
    haybale(session, "layers", *session.posargs)


@nox.session
def registry(session: nox.Session) -> None:
    """Print the repository that images belong to."""
    haybale(session, "registry", *session.posargs)


@nox.session
def tag(session: nox.Session) -> None:
    """Print REGISTRY:VERSION."""
    haybale(session, "tag", *session.posargs)


@nox.session
def version(session: nox.Session) -> None:
    """Print the version."""
    haybale(session, "version", *session.posargs)


# Looking after this repository --------------------------------------------------------------------------


@nox.session
def unit(session: nox.Session) -> None:
    """Run the unit tests: no engine, no network, no processes."""
    prepare(session, "tests")
    session.run("pytest", "tests/unit", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and formatting."""
    prepare(session, "lint", package=False)
    session.run("ruff", "check", *session.posargs)
    session.run("ruff", "format", "--check")


@nox.session
def typecheck(session: nox.Session) -> None:
    """Check types."""
    prepare(session, "typecheck")
    session.run("mypy", *session.posargs)


@nox.session
def lock(session: nox.Session) -> None:
    """Compile the locks of the sessions' environments: [NAME ...]."""
    prepare(session, "requirements")
    session.run("python", "requirements/compile.py", *session.posargs)


def haybale(session: nox.Session, verb: str, *arguments: str, lock: str = "haybale") -> None:
    """Run a verb of haybale in the session's environment.

    Its error stream stays apart from its output, so that `$(just tag)` holds nothing else; an interrupt gives
    it the time to take its containers down.
    """
    prepare(session, lock)
    session.run("haybale", verb, *arguments, stderr=None, interrupt_timeout=None)


def prepare(session: nox.Session, lock: str, *, package: bool = True) -> None:
    """Install a lock (and this package) into the session's environment, unless just that is in it."""
    file = ROOT / "requirements" / f"{lock}.txt"
    sources = [file, ROOT / "pyproject.toml", ROOT / ".bumpversion.cfg"] if package else [file]
    wanted = hashlib.sha256(b"\0".join(source.read_bytes() for source in sources)).hexdigest()
    stamp = Path(session.virtualenv.location, "haybale-lock")
    if stamp.is_file() and stamp.read_text(encoding="ascii") == wanted:
        return
    env = package_index()
    session.install("--require-hashes", "-r", str(file), env=env)
    if package:
        session.install("--no-deps", "--no-build-isolation", "--editable", str(ROOT), env=env)
    stamp.write_text(wanted, encoding="ascii")


def package_index() -> dict[str, str]:
    """Give uv what this machine has configured for pip, which uv does not read."""
    pairs = {
        "UV_DEFAULT_INDEX": "PIP_INDEX_URL",
        "UV_INDEX": "PIP_EXTRA_INDEX_URL",
        "UV_FIND_LINKS": "PIP_FIND_LINKS",
        "SSL_CERT_FILE": "PIP_CERT",
    }
    found = {ours: os.environ[theirs] for ours, theirs in pairs.items() if os.environ.get(theirs)}
    if ssl.get_default_verify_paths().cafile:
        # The system's certificates know a company's proxy, the ones in the wheel don't.
        found["UV_SYSTEM_CERTS"] = "true"
    return {name: value for name, value in found.items() if name not in os.environ}


if __name__ == "__main__":
    nox.main()
