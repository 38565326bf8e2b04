"""The sessions: names and environments, a few lines each.

Every session has an environment of its own, made once from a lock in requirements/ and kept until the lock
changes. Sessions that are haybale's verbs hand their arguments on (`nox -s build -- tester --load ''`).
Needs only nox and the standard library.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import ssl
import sys
from pathlib import Path

import nox

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_venv = "yes"
nox.options.sessions = ["lint", "typecheck", "unit"]

ROOT = Path(__file__).parent

# In an environment: the digest of what was installed into it.
STAMP = "haybale-lock"


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
    haybale(session, "test", *session.posargs, lock="tests", env=bump2version(session))


@nox.session
def regen_solr_image(session: nox.Session) -> None:
    """Index the reference dump, bake the index into the Solr image, prove it."""
    haybale(session, "regen-solr-image", *session.posargs)


@nox.session
def pipeline(session: nox.Session) -> None:
    """Take a push the whole way: [--plan] [--publish] [--resume] [--strategy key|head] and more."""
    haybale(session, "pipeline", *session.posargs, lock="tests", env=bump2version(session))


@nox.session
def why(session: nox.Session) -> None:
    """Tell what the index key is made of, and what changed since: [KEY or IMAGE] [--json]."""
    haybale(session, "why", *session.posargs)


@nox.session
def inspect(session: nox.Session) -> None:
    """Tell what an index image holds and how that was verified: [KEY or IMAGE] [--json]."""
    haybale(session, "inspect", *session.posargs)


@nox.session
def bump(session: nox.Session) -> None:
    """Make the next version with bump2version: [PART=build] [its options] [--offline]."""
    haybale(session, "bump", *session.posargs, lock="bump")


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


@nox.session
def deploy(session: nox.Session) -> None:
    """Deploy a version: ENVIRONMENT [VERSION=the one checked out] [--plan]."""
    haybale(session, "deploy", *session.posargs)


@nox.session
def rollback(session: nox.Session) -> None:
    """Give an environment back what it had before: ENVIRONMENT [--plan]."""
    haybale(session, "rollback", *session.posargs)


@nox.session
def status(session: nox.Session) -> None:
    """Tell what runs in each environment: [--json] [--html FILE]."""
    haybale(session, "status", *session.posargs)


@nox.session
def verify_release(session: nox.Session) -> None:
    """Ask git and the registry whether a release is what its record says: VERSION [--json]."""
    haybale(session, "verify-release", *session.posargs)


@nox.session
def prune(session: nox.Session) -> None:
    """List the images that nothing refers to, or remove them: [--yes]."""
    haybale(session, "prune", *session.posargs)


@nox.session
def flux(session: nox.Session) -> None:
    """Write what Flux needs of each environment: [--into FOLDER]."""
    haybale(session, "flux", *session.posargs)


@nox.session
def rehearse_deploy(session: nox.Session) -> None:
    """Deploy to an environment on a scratch remote, and tell what Flux would do: ENVIRONMENT [--json]."""
    haybale(session, "rehearse-deploy", *session.posargs, lock="rehearse")


@nox.session
def notes(session: nox.Session) -> None:
    """Write release notes: [FROM] [TO] [--json]."""
    haybale(session, "notes", *session.posargs)


# Looking after this repository --------------------------------------------------------------------------


@nox.session
def unit(session: nox.Session) -> None:
    """Run the unit tests: no engine, no network, no processes."""
    prepare(session, "tests")
    session.run("pytest", "tests/unit", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, formatting, and that imports point down only."""
    prepare(session, "lint", package=False)
    session.run("ruff", "check", *session.posargs)
    session.run("ruff", "format", "--check")
    session.run("lint-imports", "--no-cache", env={"PYTHONPATH": str(ROOT / "src")})


@nox.session
def typecheck(session: nox.Session) -> None:
    """Check types."""
    prepare(session, "typecheck")
    session.run("mypy", *session.posargs)


@nox.session
def workflows(session: nox.Session) -> None:
    """Check the files that CI systems read: [FOLDER that has them]."""
    prepare(session, "workflows", package=False)
    folder = Path(session.posargs[0] if session.posargs else ROOT).resolve()
    session.run("zizmor", "--offline", "--no-progress", "--persona=pedantic", str(folder / ".github"))
    session.run("check-jsonschema", "--builtin-schema=vendor.gitlab-ci", str(folder / ".gitlab-ci.yml"))
    if shutil.which("go") is None:
        # GitLab's jobs have no Go, and GitLab does not read what actionlint checks.
        if os.environ.get("CI") and not os.environ.get("GITLAB_CI"):
            session.error("actionlint is built with Go, which is not installed here")
        session.warn("actionlint did NOT run: it is built with Go, which is not installed here")
        return
    actionlint = Path(session.bin, "actionlint")
    with session.chdir(ROOT / "requirements" / "actionlint"):
        package = "github.com/rhysd/actionlint/cmd/actionlint"
        session.run("go", "build", "-o", str(actionlint), package, external=True)
    # Not with the linters of scripts that some machine happens to have.
    files = sorted((folder / ".github" / "workflows").glob("*.yml"))
    session.run(str(actionlint), "-shellcheck=", "-pyflakes=", *map(str, files))


@nox.session
def bench(session: nox.Session) -> None:
    """Measure the loader against Haystack's: [DOCUMENTS ...] [--site] [--rounds N]."""
    prepare(session, "tests")
    session.run("python", "-m", "bench", *session.posargs, interrupt_timeout=None)


@nox.session
def lock(session: nox.Session) -> None:
    """Compile the locks of the sessions' environments: [NAME ...]."""
    prepare(session, "requirements")
    session.run("python", "requirements/compile.py", *session.posargs)


def haybale(
    session: nox.Session, verb: str, *arguments: str, lock: str = "haybale", env: dict[str, str] | None = None
) -> None:
    """Run a verb of haybale in the session's environment.

    Its error stream stays apart from its output, so that `$(just tag)` holds nothing else; an interrupt gives
    it the time to take its containers down.
    """
    prepare(session, lock)
    session.run("haybale", verb, *arguments, env=env, stderr=None, interrupt_timeout=None)


def prepare(session: nox.Session, lock: str, *, package: bool = True) -> None:
    """Install a lock (and this package) into the session's environment, unless just that is in it."""
    stamp = Path(session.virtualenv.location, STAMP)
    wanted = contents(lock, package=package)
    if stamp.is_file() and stamp.read_text(encoding="ascii") == wanted:
        return
    env = package_index()
    session.install("--require-hashes", "-r", str(lock_file(lock)), env=env)
    if package:
        session.install("--no-deps", "--no-build-isolation", "--editable", str(ROOT), env=env)
    stamp.write_text(wanted, encoding="ascii")


def lock_file(lock: str) -> Path:
    """Return where a lock is."""
    return ROOT / "requirements" / f"{lock}.txt"


def contents(lock: str, *, package: bool = True) -> str:
    """Return the digest of what belongs into an environment."""
    own = [ROOT / "pyproject.toml", ROOT / ".bumpversion.cfg"] if package else []
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in [lock_file(lock), *own])).hexdigest()


def bump2version(session: nox.Session) -> dict[str, str]:
    """Return the variable that names bump2version's executable, in the environment of the session `bump`.

    That environment is made where it is missing or old.
    """
    folder = Path(session.virtualenv.location).parent
    stamp = folder / "bump" / STAMP
    if not stamp.is_file() or stamp.read_text(encoding="ascii") != contents("bump"):
        session.run(
            sys.executable, "-m", "nox", "--noxfile", str(ROOT / "noxfile.py"), "--envdir", str(folder),
            "-s", "bump", "--install-only", external=True, silent=True,
        )  # fmt: skip
    return {"HAYBALE_BUMP2VERSION": str(folder / "bump/bin/bumpversion")}


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
