"""The next step that an error names is taken, word for word, and helps: at least one for each exit code.

It is read from what the command printed. What failed tests and unknown inputs name is taken where their
services and their Solr are started anyway: in test_pipeline.py and test_loader.py.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import docker
import pytest

from haybale import config, errors
from haybale.errors import HaybaleError
from haybale.index.key import compute_key

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.conftest import Clone, Registry

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("_alone", "engine")]

# The run of these tests (conftest.py); all that is made has it in its name.
RUN = os.environ["HAYBALE_TEST_RUN"]
REGISTRY = f"localhost:5000/steps-{RUN}"

# A command in a next step, up to where its clause ends; what stands behind "or" is another way, and a session
# that has a tool is another one.
COMMAND = re.compile(r"(?:^|(?<=[\s(]))(?<!or )(?<!has it \()(?:haybale|git|docker|cd) [^;,()\n]*[^;,()\n ]")
# A variable that is to be set, or not.
VARIABLE = re.compile(r"\b(?P<name>HAYBALE_[A-Z0-9_]+)=(?P<value>\S+?)(?=[;,]|$)|\bunset (?P<unset>[A-Z_]+)")
# A line of pyproject.toml, with its table before or behind it; or a table alone.
LINE_IN = re.compile(
    r"(?P<line>\b[a-z_]+ = (?:\"[^\"]*\"|\[[^\]]*\])).* in (?P<table>\[tool\.haybale[^\]]*\])"
)
LINES_OF = re.compile(r"^(?P<table>\[tool\.haybale[^\]]*\])\n(?P<line>(?:.+\n?)+)", re.MULTILINE)
ADDED = re.compile(r"\badd (?P<table>\[tool\.haybale[^\]]*\])")


@dataclass(kw_only=True)
class Repository:
    """Where commands are given, as in a terminal; `words` are what stands for a name in a next step."""

    path: Path
    env: dict[str, str]
    words: dict[str, str] = field(default_factory=dict)

    def give(self, command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["sh", "-c", command],
            cwd=self.path, env=self.env, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            check=False,
        )  # fmt: skip

    def write(self, name: str, text: str) -> None:
        (self.path / name).parent.mkdir(parents=True, exist_ok=True)
        (self.path / name).write_text(text, encoding="utf-8")

    def add_setting(self, table: str, line: str = "") -> None:
        """Write a line into a table of pyproject.toml, in place of its old one; the table may be missing."""
        text = (self.path / "pyproject.toml").read_text(encoding="utf-8")
        key = line.partition(" = ")[0]
        head, has_table, body = text.partition(f"{table}\n")
        own, bracket, others = body.partition("\n[")
        own = re.sub(rf"^{key} = .*\n?", "", own, flags=re.MULTILINE) if line else own
        if has_table:
            self.write("pyproject.toml", f"{head}{table}\n{line}\n{own}{bracket}{others}")
        else:
            self.write("pyproject.toml", f"{text.rstrip()}\n\n{table}\n{line}\n")

    def take(self, step: str) -> int:
        """Do what a next step says, and return how many things that were: lines, variables, commands."""
        for name, value in self.words.items():
            step = re.sub(rf"\b{name}\b", value, step)
        lines = [
            (found["table"], line) for found in LINES_OF.finditer(step) for line in found["line"].split("\n")
        ]
        lines += [(found["table"], found["line"]) for found in LINE_IN.finditer(step)]
        lines += [(found["table"], "") for found in ADDED.finditer(step)]
        for table, line in lines:
            self.add_setting(table, line)
        variables = list(VARIABLE.finditer(step))
        for found in variables:
            if found["unset"]:
                self.env.pop(found["unset"], None)
            else:
                self.env[found["name"]] = found["value"]
        commands = COMMAND.findall(step)
        for command in commands:
            done = self.give(command)
            assert done.returncode == 0, f"{command}: {done.stderr}"
        return len(lines) + len(variables) + len(commands)


@dataclass(frozen=True, kw_only=True)
class Case:
    """A command that fails with these `codes`, one after the other, each time mended by its own next step.

    `plant` makes it fail in the repository of the fixture `home`. `mend` is what a person does besides, such
    as to correct a file that the error names. `then` is the code in the end, which is of another failure.
    """

    name: str
    command: str
    codes: tuple[type[HaybaleError], ...]
    plant: Callable[[Repository], None]
    home: str = "bookshop"
    mend: Callable[[Repository], None] | None = None
    then: int = 0


def last_failure(printed: str) -> tuple[str, str]:
    """Return the message of the last failure that was printed, and its next step."""
    _, _, last = printed.rpartition("haybale: ")
    message, _, step = last.partition("\n  next:  ")
    return message.partition("\n  cause:")[0], step.strip()


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """What commands see: haybale on PATH, nobody's logins, and a registry's name that is only ours."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "REGISTRY": REGISTRY, "DOCKER_CONFIG": str(tmp_path / "docker")}


@pytest.fixture
def small(clone: Clone, environment: dict[str, str]) -> Repository:
    """A repository at v0.4.11, with hardly more than its version file, and its remote."""
    settings = '[tool.haybale]\nname = "steps"\nregistry = "r.example/steps"\ncore = "steps"\n'
    clone.commit("pyproject.toml", settings)
    clone.git("push", "-q")
    return Repository(path=clone.path, env=environment)


@pytest.fixture
def bookshop(sound: Path, tmp_path: Path, environment: dict[str, str]) -> Repository:
    """A site that could be indexed."""
    shutil.copytree(sound, tmp_path / "bookshop", symlinks=True)
    return Repository(path=tmp_path / "bookshop", env=environment)


# What is wrong -------------------------------------------------------------------------------------------


def git(repository: Repository, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments],
        cwd=repository.path,
        env=repository.env,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def colleague(repository: Repository) -> Repository:
    """Another clone of the same remote, which is one commit ahead."""
    path = repository.path.with_name("colleague")
    subprocess.run(["git", "clone", "-q", git(repository, "remote", "get-url", "origin"), path], check=True)
    other = Repository(path=path, env=repository.env)
    other.write("news.txt", "news")
    git(other, "add", "news.txt")
    git(other, "commit", "-q", "-m", "Bring news")
    git(other, "push", "-q")
    return other


def publish_elsewhere(repository: Repository) -> None:
    other = colleague(repository)
    git(other, "tag", "--annotate", "v0.4.12", "--message", "Release v0.4.12")
    git(other, "push", "-q", "origin", "v0.4.12")


def cut_history(repository: Repository) -> None:
    """A shallow clone of a repository whose versions are its tags."""
    other = colleague(repository)
    git(other, "tag", "--annotate", "v0.5.0", "--message", "Release v0.5.0")
    git(other, "rm", "-q", ".bumpversion.cfg")
    git(other, "commit", "-q", "-m", "Take versions from tags")
    git(other, "push", "-q", "--follow-tags")
    shutil.rmtree(repository.path)
    remote = git(other, "remote", "get-url", "origin")
    subprocess.run(["git", "clone", "-q", "--depth=1", "--no-tags", remote, repository.path], check=True)


def prevent_bump(repository: Repository) -> None:
    """Fall behind the remote, and forget who works here and which tool makes versions."""
    colleague(repository)
    for name in [each for each in repository.env if each.startswith(("GIT_AUTHOR_", "GIT_COMMITTER_"))]:
        del repository.env[name]
    tool = repository.env.pop("HAYBALE_BUMP2VERSION")
    repository.words |= {"FILE": tool, "NAME": "Ada", "ADDRESS": "ada@example.org"}


def turn_to_no_engine(repository: Repository) -> None:
    repository.env["DOCKER_HOST"] = f"unix://{repository.path}/none.sock"


def misplace_dump(repository: Repository) -> None:
    dump = repository.path / "database/bookshop.sql.gz"
    repository.words["FILE"] = str(dump.rename(repository.path / "database/2026.sql.gz"))


def copy_nothing(repository: Repository) -> None:
    text = (repository.path / "pyproject.toml").read_text(encoding="utf-8")
    repository.write("pyproject.toml", text.replace("dump =", 'dockerfile = "Dockerfile"\ndump =', 1))
    repository.write("Dockerfile", "FROM scratch AS web\nCOPY nothing /\n")


def copy_something(repository: Repository) -> None:
    repository.write("Dockerfile", "FROM scratch AS web\nCOPY manage.py /\n")


def name_something_else_an_index(repository: Repository) -> None:
    key = compute_key(config.load(repository.path, repository.env)).value
    empty = b"\0" * 1024  # an archive without a member (tar's own form)
    docker.from_env().api.import_image_from_data(empty, repository=REGISTRY, tag=f"solr-{key}")


def forget_requirements(repository: Repository) -> None:
    repository.add_setting("[tool.haybale.requirements]", 'source = "site.in"')


def write_requirements(repository: Repository) -> None:
    repository.write("site.in", "django\n# Dev\npytest\n")


def lose_hook(repository: Repository) -> None:
    repository.add_setting("[tool.haybale.hooks.onPush]", 'before = ["./ci/check", "false"]')


def write_hook(repository: Repository) -> None:
    repository.write("ci/check", "#!/bin/sh\n")
    (repository.path / "ci/check").chmod(0o755)


CASES = (
    Case(
        name="version-of-the-remote",
        home="small",
        plant=publish_elsewhere,
        command="haybale notes v0.4.12",
        codes=(errors.UsageError,),
    ),
    Case(
        name="no-environment-and-no-url",
        home="small",
        plant=lambda _: None,
        command="haybale flux",
        codes=(errors.ConfigError, errors.ConfigError),
    ),
    Case(
        name="shallow-clone",
        home="small",
        plant=cut_history,
        command="haybale version",
        codes=(errors.ConfigError,),
    ),
    Case(
        name="no-engine",
        home="small",
        plant=turn_to_no_engine,
        command="haybale engine",
        codes=(errors.PrerequisiteError,),
    ),
    Case(
        name="no-dump",
        plant=misplace_dump,
        command="haybale why",
        codes=(errors.DumpError,),
    ),
    Case(
        name="failing-instruction",
        plant=copy_nothing,
        command="haybale build release",
        codes=(errors.BuildError,),
        mend=copy_something,
    ),
    Case(
        name="image-of-another-key",
        plant=name_something_else_an_index,
        command="haybale ci-dc up -d",
        codes=(errors.VerifyError,),
        then=errors.BuildError.exit_code,
    ),
    Case(
        name="no-requirements",
        plant=forget_requirements,
        command="haybale regen-requirements --check",
        codes=(errors.RequirementsError, errors.ConfigError),
        mend=write_requirements,
        then=errors.PrerequisiteError.exit_code,
    ),
    Case(
        name="no-tool-no-author-and-behind",
        home="small",
        plant=prevent_bump,
        command="haybale bump patch",
        codes=(errors.PrerequisiteError, errors.ReleaseError, errors.ReleaseError),
    ),
    Case(
        name="no-hook",
        plant=lose_hook,
        command="haybale pipeline",
        codes=(errors.HookError,),
        mend=write_hook,
        then=errors.HookError.exit_code,
    ),
)


def fail_and_follow(repository: Repository, case: Case) -> None:
    """Give the command, do what its failure says, and so on, until it fails no longer with these."""
    done = repository.give(case.command)
    for kind in case.codes:
        assert done.returncode == kind.exit_code, done.stderr
        message, step = last_failure(done.stderr)
        assert step, done.stderr
        if case.mend:
            case.mend(repository)
        assert repository.take(step) or case.mend, step
        done = repository.give(case.command)
        assert message not in done.stderr
    assert done.returncode == case.then, done.stderr


@pytest.mark.parametrize("case", CASES, ids=lambda each: each.name)
def test_next_step_helps(case: Case, request: pytest.FixtureRequest) -> None:
    repository: Repository = request.getfixturevalue(case.home)
    case.plant(repository)
    fail_and_follow(repository, case)


def test_next_step_after_a_registry_that_wants_a_login(bookshop: Repository, guarded: Registry) -> None:
    bookshop.env |= {"REGISTRY": f"{guarded.address}/bookshop", "HAYBALE_LOCAL": "false"}
    failed = bookshop.give("haybale pipeline --plan")
    assert failed.returncode == errors.RegistryError.exit_code, failed.stderr
    _, step = last_failure(failed.stderr)
    (command,) = COMMAND.findall(step)
    subprocess.run(
        ["sh", "-c", f"{command} --username ada --password-stdin"],
        env=bookshop.env, input=b"not-to-be-seen", capture_output=True, check=True,
    )  # fmt: skip
    again = bookshop.give("haybale pipeline --plan")
    assert again.returncode == 0, again.stderr


# At the end of a site's settings: it does not start without a variable.
FAULTY = """
if "SITE_BUILD" not in os.environ:
    NEEDED = os.environ["NEEDED"]
"""


def test_next_steps_after_a_site_and_a_service_that_do_not_start(
    site: Path, environment: dict[str, str]
) -> None:
    repository = Repository(path=site, env=environment)
    del repository.env["REGISTRY"]
    # Commands are named as they are without recipes and sessions.
    for name in ("justfile", "noxfile.py"):
        (site / name).unlink()
    with (site / "web/sotu/settings.py").open("a", encoding="utf-8") as settings:
        settings.write(f"\nimport os\n{FAULTY}")
    text = (site / "pyproject.toml").read_text(encoding="utf-8")
    # Made by haybale: then the site is asked before any service is started.
    repository.write("pyproject.toml", text.replace('\nsolr_conf = "solr_conf"\n', "\n"))
    repository.add_setting("[tool.haybale.database]", 'commands = ["no_such_command"]')
    failed = repository.give("haybale regen-solr-image")
    assert failed.returncode == errors.LoadError.exit_code, failed.stderr
    message, step = last_failure(failed.stderr)
    assert "KeyError: 'NEEDED'" in message
    (table,) = re.findall(r"variables: (\[tool\.haybale[^\]]*\])", step)
    repository.add_setting(table, 'NEEDED = "x"')

    failed = repository.give("haybale regen-solr-image")
    assert failed.returncode == errors.ServiceError.exit_code, failed.stderr
    message, step = last_failure(failed.stderr)
    assert "the service database" in message
    (logs,) = re.findall(r"the services' logs are in (\S+)$", step)
    assert "Unknown command: 'no_such_command'" in Path(logs, "database.log").read_text(encoding="utf-8")


def test_every_exit_code_has_a_next_step_that_is_taken() -> None:
    """In the table, or in a test of its own, where its services or its Solr are started anyway."""
    here = {errors.RegistryError, errors.LoadError, errors.ServiceError}
    elsewhere = {
        errors.TestsFailedError: ("pipeline", "next_step_after_failed_tests_starts_the_same_services"),
        errors.InputsError: ("loader", "audit_finds_whatever_else_is_read"),
    }
    for file, test in elsewhere.values():
        assert f"def test_{test}(" in Path(__file__).with_name(f"test_{file}.py").read_text(encoding="utf-8")
    taken = {kind for case in CASES for kind in case.codes} | here | {*elsewhere}
    assert taken == {*HaybaleError.__subclasses__()}
