"""The sessions: names and environments, a few lines each.

Every session has an environment of its own, made once from a lock in requirements/ and kept until the lock
changes. Sessions that are haybale's verbs pass their arguments on (`nox -s build -- tester --load ''`).
Needs only nox and the standard library.
"""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
import ssl
import sys
from pathlib import Path

import nox

ROOT = Path(__file__).parent

sys.path.insert(0, str(ROOT / "src"))
from haybale.tools.environment import is_harmless  # noqa: E402
from haybale.verbs import VERBS, Verb  # noqa: E402

# Sessions see nothing of an activated environment, of PYTHONPATH, or of pip's, uv's and nox's other settings.
for name in [name for name in os.environ if not is_harmless(name)]:
    del os.environ[name]

# Bytecode is kept here, also where it must not be written beside the sources: to compile everything again
# takes longer than what most commands do.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
os.environ.setdefault("PYTHONPYCACHEPREFIX", str(ROOT / ".nox/bytecode"))

nox.needs_version = ">=2025.2.9"
# Here and not as an option: NOX_DEFAULT_VENV_BACKEND, which may say "none", is stronger than that one.
session = functools.partial(nox.session, venv_backend="uv|virtualenv")
nox.options.reuse_venv = "yes"
nox.options.sessions = ["lint", "typecheck", "unit"]

# The file in an environment with the digest of what was installed into it.
STAMP = "haybale-lock"


# The verbs of haybale -----------------------------------------------------------------------------------


def add_session(verb: Verb) -> None:
    """Make the session of a verb, which passes its arguments on."""

    def run_verb(session: nox.Session) -> None:
        install(session, verb.lock)
        # The repository's own tests make versions, with bump2version.
        env = bump2version_variable(session) if verb.lock == "tests" else None
        arguments = session.posargs if verb.passes_arguments else ()
        # The error stream stays apart from the output, so that `$(just tag)` is only the tag; after an
        # interrupt the verb has the time to remove its containers.
        session.run("haybale", verb.name, *arguments, env=env, stderr=None, interrupt_timeout=None)

    run_verb.__doc__ = f"{verb.summary}."
    session(name=verb.identifier)(run_verb)


for each in VERBS:
    add_session(each)


# Looking after this repository --------------------------------------------------------------------------


@session()
def unit(session: nox.Session) -> None:
    """Run the unit tests: no engine, no network, no processes."""
    install(session, "tests")
    session.run("pytest", "tests/unit", *session.posargs)


@session()
def package(session: nox.Session) -> None:
    """Build the package and run it as others get it: needs no engine."""
    install(session, "tests")
    session.run("pytest", "tests/integration/test_package.py", *session.posargs)


@session()
def lint(session: nox.Session) -> None:
    """Check style, formatting, and that imports point down only."""
    install(session, "lint", package=False)
    session.run("ruff", "check", *session.posargs)
    session.run("ruff", "format", "--check")
    session.run("lint-imports", "--no-cache", env={"PYTHONPATH": str(ROOT / "src")})


@session()
def typecheck(session: nox.Session) -> None:
    """Check types."""
    install(session, "typecheck")
    session.run("mypy", *session.posargs)


@session()
def workflows(session: nox.Session) -> None:
    """Check the files that CI systems read: [FOLDER that has them]."""
    install(session, "workflows", package=False)
    folder = Path(session.posargs[0] if session.posargs else ROOT).resolve()
    # What other repositories use of this one, where it is there.
    offered = [file for name in ("action.yml", ".pre-commit-hooks.yaml") if (file := folder / name).is_file()]
    zizmor = ("zizmor", "--offline", "--no-progress", "--persona=pedantic", "--strict-collection")
    session.run(*zizmor, str(folder / ".github"), *map(str, offered))
    jobs = [folder / ".gitlab-ci.yml", *sorted((folder / "templates").glob("*.gitlab-ci.yml"))]
    session.run("check-jsonschema", "--builtin-schema=vendor.gitlab-ci", *map(str, jobs))
    if (folder / "action.yml").is_file():
        action = str(folder / "action.yml")
        session.run("check-jsonschema", "--builtin-schema=vendor.github-actions", action)
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


@session()
def bench(session: nox.Session) -> None:
    """Measure the loader against Haystack's: [DOCUMENTS ...] [--site] [--rounds N]."""
    install(session, "tests")
    session.run("python", "-m", "bench", *session.posargs, interrupt_timeout=None)


@session()
def lock(session: nox.Session) -> None:
    """Compile the locks of the sessions' environments: [NAME ...]."""
    install(session, "requirements")
    session.run("python", "requirements/compile.py", *session.posargs)


def install(session: nox.Session, lock: str, *, package: bool = True) -> None:
    """Install a lock (and this package) into the session's environment, unless that has been done."""
    if session.venv_backend == "none":
        session.error("each session needs an environment of its own: leave out --no-venv")
    stamp = Path(session.virtualenv.location, STAMP)
    wanted = lock_digest(lock, package=package)
    if stamp.is_file() and stamp.read_text(encoding="ascii") == wanted:
        return
    env = uv_settings()
    session.install("--require-hashes", "-r", str(lock_file(lock)), env=env)
    if package:
        session.install("--no-deps", "--no-build-isolation", "--editable", str(ROOT), env=env)
    stamp.write_text(wanted, encoding="ascii")


def lock_file(lock: str) -> Path:
    """Return where a lock is."""
    return ROOT / "requirements" / f"{lock}.txt"


def lock_digest(lock: str, *, package: bool = True) -> str:
    """Return the digest of what is installed into an environment."""
    own = [ROOT / "pyproject.toml", ROOT / ".bumpversion.cfg"] if package else []
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in [lock_file(lock), *own])).hexdigest()


def bump2version_variable(session: nox.Session) -> dict[str, str]:
    """Return the variable that names bump2version's executable, in the environment of the session `bump`.

    That environment is made where it is missing or old.
    """
    folder = Path(session.virtualenv.location).parent
    stamp = folder / "bump" / STAMP
    if not stamp.is_file() or stamp.read_text(encoding="ascii") != lock_digest("bump"):
        session.run(
            sys.executable, "-m", "nox", "--noxfile", str(ROOT / "noxfile.py"), "--envdir", str(folder),
            "-s", "bump", "--install-only", external=True, silent=True,
        )  # fmt: skip
    return {"HAYBALE_BUMP2VERSION": str(folder / "bump/bin/bumpversion")}


def uv_settings() -> dict[str, str]:
    """Return this machine's settings of pip, which uv does not read, as variables for uv."""
    pairs = {
        "UV_DEFAULT_INDEX": "PIP_INDEX_URL",
        "UV_INDEX": "PIP_EXTRA_INDEX_URL",
        "UV_FIND_LINKS": "PIP_FIND_LINKS",
        "SSL_CERT_FILE": "PIP_CERT",
    }
    found = {ours: os.environ[theirs] for ours, theirs in pairs.items() if os.environ.get(theirs)}
    if ssl.get_default_verify_paths().cafile:
        # The system's certificates know a company's proxy; those in uv's wheel do not.
        found["UV_SYSTEM_CERTS"] = "true"
    return {name: value for name, value in found.items() if name not in os.environ}


if __name__ == "__main__":
    nox.main()
