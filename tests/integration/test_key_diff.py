"""Who changed the index, in real git repositories; and what an image says that it is of."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import docker
import pytest

from haybale import config
from haybale.checkout import read_checkout
from haybale.errors import UsageError
from haybale.images.build import REVISION
from haybale.index.image import index_labels
from haybale.index.key import compute_key
from haybale.index.key_diff import explain, remember_key
from haybale.index.rendering import explanation_lines
from haybale.index.verification import VerificationReport

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.integration

# The run of these tests (conftest.py).
RUN = os.environ["HAYBALE_TEST_RUN"]

FILES = {
    "pyproject.toml": (
        '[tool.haybale]\nname = "why"\nregistry = "why.example/site-'
        + RUN
        + '"\ncore = "site"\nlocal = true\n'
        'solr_conf = "solr_conf"\n'
        'dockerfile = "Dockerfile"\nsite.folder = "web"\nstages = {release = "release", solr = "solr"}\n'
        'compose.solr = "docker-compose.solr.yml"\nrequirements.production = "web/requirements.prod.txt"\n'
    ),
    ".bumpversion.cfg": "[bumpversion]\ncurrent_version = 1.2.3\n",
    "Dockerfile": "FROM python AS release\nCOPY web /app\nFROM solr AS solr\n",
    "docker-compose.solr.yml": "services: {}\n",
    "README.md": "words\n",
    "solr_conf/schema.xml": "<schema/>\n",
    "web/requirements.prod.txt": "django==5.2\n",
    "web/app/search_indexes.py": "x = 1\n",
}
ENV = {
    "GIT_AUTHOR_NAME": "Ada", "GIT_AUTHOR_EMAIL": "ada@example.org", "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.org", "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_SYSTEM": "/dev/null",
}  # fmt: skip


@dataclass(frozen=True)
class Repository:
    """A repository whose first commit was indexed."""

    root: Path

    @property
    def project(self) -> config.Project:
        return config.load(self.root, {})

    def git(self, *arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments], cwd=self.root, env={**os.environ, **ENV}, capture_output=True, text=True,
            check=True,
        )  # fmt: skip
        return done.stdout.strip()

    def write(self, path: str, text: str) -> None:
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text, encoding="utf-8")

    def commit(self, message: str) -> str:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)
        return self.git("rev-parse", "HEAD")

    def indexed(self) -> None:
        remember_key(self.project, compute_key(self.project), self.git("rev-parse", "HEAD"))

    def explained(self, name: str | None = None) -> dict[str, Any]:
        return dict(json.loads(json.dumps(explain(self.project, name).to_dict())))

    def blamed(self) -> dict[str, str]:
        """Return what each changed file is put down to: a commit's subject, or why there is none."""
        files = [file for change in self.explained()["changes"] for file in change["files"]]
        return {file["path"]: (file["commit"] or {}).get("subject", file["blame"]) for file in files}

    def blames(self) -> dict[str, str]:
        """Return how each changed file is put down to somebody."""
        return {
            file["path"]: file["blame"] for change in self.explained()["changes"] for file in change["files"]
        }


def database(file: Path, text: str) -> None:
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE word (text)")
        connection.execute("INSERT INTO word VALUES (?)", [text])
    connection.close()


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(root=tmp_path / "site")
    for path, text in FILES.items():
        made.write(path, text)
    made.write(".gitignore", "/.haybale/\n")
    (made.root / "dumps").mkdir()
    database(made.root / "dumps/site_1.sqlite3", "first")
    (made.root / "dumps/site_latest.sqlite3").symlink_to("site_1.sqlite3")
    made.git("init", "--quiet", "--initial-branch=main")
    made.commit("The first commit")
    made.indexed()
    return made


def test_explain_finds_no_change_outside_of_inputs(repository: Repository) -> None:
    repository.write("README.md", "other words\n")
    repository.commit("Reword")
    assert repository.explained()["same"] is True


def test_explain_names_the_commit_that_changed_a_file(repository: Repository) -> None:
    repository.write("solr_conf/schema.xml", "<schema><field/></schema>\n")
    repository.commit("Add a field")
    repository.write("README.md", "other words\n")
    repository.commit("Reword")
    assert repository.blamed() == {"solr_conf/schema.xml": "Add a field"}


def test_explain_names_the_commit_in_a_merge(repository: Repository) -> None:
    repository.git("switch", "--quiet", "--create", "topic")
    repository.write("web/app/search_indexes.py", "x = 2\n")
    repository.commit("Index more")
    repository.git("switch", "--quiet", "main")
    repository.write("README.md", "other words\n")
    repository.commit("Reword")
    repository.git("merge", "--quiet", "--no-edit", "topic")
    assert repository.blamed() == {"web/app/search_indexes.py": "Index more"}


def test_explain_knows_uncommitted_files(repository: Repository) -> None:
    repository.write("solr_conf/schema.xml", "<other/>\n")
    repository.write("solr_conf/new.txt", "new\n")
    (repository.root / "web/requirements.prod.txt").write_text("django==6\n", encoding="utf-8")
    assert set(repository.blamed().values()) == {"uncommitted"}
    assert len(repository.blamed()) == 3


def test_explain_calls_ignored_files_uncommitted(repository: Repository) -> None:
    with (repository.root / ".git/info/exclude").open("a", encoding="utf-8") as excluded:
        excluded.write("*.local\n")
    repository.write("solr_conf/words.local", "a\n")
    assert repository.git("status", "--porcelain") == ""
    assert repository.blamed() == {"solr_conf/words.local": "uncommitted"}


def test_explain_follows_links(repository: Repository) -> None:
    repository.write("shared/words.txt", "a\n")
    repository.write("shared/de/stop.txt", "der\n")
    repository.write("shared/fr/stop.txt", "le\n")
    for link, target in (("words.txt", "../shared/words.txt"), ("lang", "../shared/de")):
        (repository.root / "solr_conf" / link).symlink_to(target)
    repository.commit("Share words")
    repository.indexed()
    repository.write("shared/words.txt", "b\n")
    repository.commit("Change the words")
    (repository.root / "solr_conf/lang").unlink()
    (repository.root / "solr_conf/lang").symlink_to("../shared/fr")
    repository.commit("Speak French")
    assert repository.blamed() == {
        "solr_conf/words.txt": "Change the words", "solr_conf/lang/stop.txt": "Speak French",
    }  # fmt: skip
    repository.write("shared/fr/stop.txt", "la\n")
    assert repository.blamed()["solr_conf/lang/stop.txt"] == "uncommitted"


def test_explain_takes_a_site_in_a_folder_of_its_repository(repository: Repository, tmp_path: Path) -> None:
    (tmp_path / "outer").mkdir()
    inner = Repository(root=tmp_path / "outer/site")
    repository.root.rename(inner.root)
    shutil.rmtree(inner.root / ".git")
    Repository(root=tmp_path / "outer").git("init", "--quiet")
    inner.commit("The first commit")
    inner.indexed()
    inner.write("solr_conf/schema.xml", "<other/>\n")
    assert inner.blamed() == {"solr_conf/schema.xml": "uncommitted"}
    inner.commit("Change the schema")
    assert inner.blamed() == {"solr_conf/schema.xml": "Change the schema"}


def test_explain_names_the_commit_that_removed_a_file(repository: Repository) -> None:
    repository.write("solr_conf/words.txt", "a\n")
    repository.commit("Add words")
    repository.indexed()
    (repository.root / "solr_conf/words.txt").unlink()
    repository.commit("Remove words")
    assert repository.blamed() == {"solr_conf/words.txt": "Remove words"}


def test_explain_names_the_commits_of_another_dump(repository: Repository) -> None:
    database(repository.root / "dumps/site_2.sqlite3", "second")
    repository.commit("Fetch the dump")
    (repository.root / "dumps/site_latest.sqlite3").unlink()
    (repository.root / "dumps/site_latest.sqlite3").symlink_to("site_2.sqlite3")
    repository.commit("Use it")
    assert repository.blamed() == {
        "dumps/site_2.sqlite3": "Fetch the dump", "dumps/site_latest.sqlite3": "Use it",
    }  # fmt: skip


def test_explain_leaves_out_an_unchanged_link_to_the_dump(repository: Repository) -> None:
    (repository.root / "dumps/site_1.sqlite3").unlink()
    database(repository.root / "dumps/site_1.sqlite3", "second")
    assert repository.blamed() == {"dumps/site_1.sqlite3": "uncommitted"}
    repository.commit("Fetch it again")
    assert repository.blamed() == {"dumps/site_1.sqlite3": "Fetch it again"}


def test_explain_names_the_commit_of_a_changed_stage(repository: Repository) -> None:
    repository.write("Dockerfile", FILES["Dockerfile"].replace("COPY web", "RUN more\nCOPY web"))
    repository.commit("Install more")
    assert repository.blamed() == {"Dockerfile": "Install more"}


SOLR = '[tool.haybale.images]\nsolr = "solr:9.11"\n'


def test_explain_names_the_commit_of_another_base(repository: Repository) -> None:
    repository.write("pyproject.toml", FILES["pyproject.toml"] + SOLR)
    (change,) = repository.explained()["changes"]
    assert (change["before"], change["after"]) == (
        "python:3.13-slim solr:9.10.1-slim", "python:3.13-slim solr:9.11",
    )  # fmt: skip
    assert repository.blamed() == {"pyproject.toml": "uncommitted"}
    repository.commit("Take the new Solr")
    repository.write("pyproject.toml", FILES["pyproject.toml"] + SOLR + "[tool.other]\n")
    assert repository.blamed() == {"pyproject.toml": "Take the new Solr"}
    repository.commit("Configure something else")
    assert repository.blamed() == {"pyproject.toml": "Take the new Solr"}


def test_explain_names_the_commit_that_removed_a_base(
    repository: Repository,
) -> None:
    repository.write("pyproject.toml", FILES["pyproject.toml"] + SOLR)
    repository.commit("Take the new Solr")
    repository.indexed()
    repository.write("pyproject.toml", FILES["pyproject.toml"])
    repository.commit("Take the default")
    assert repository.blamed() == {"pyproject.toml": "Take the default"}


def test_explain_takes_a_star_in_a_name_literally(repository: Repository) -> None:
    repository.write("solr_conf/stop*.txt", "a\n")
    repository.commit("Add a star")
    repository.write("solr_conf/stopwords.txt", "b\n")
    assert repository.blamed() == {
        "solr_conf/stop*.txt": "Add a star", "solr_conf/stopwords.txt": "uncommitted",
    }  # fmt: skip


def test_explain_names_the_commit_that_renamed_a_file(repository: Repository) -> None:
    repository.write("solr_conf/words.txt", "a\n")
    repository.commit("Add words")
    repository.indexed()
    repository.git("mv", "solr_conf/words.txt", "solr_conf/more.txt")
    assert repository.blamed() == {"solr_conf/more.txt": "uncommitted"}
    repository.commit("Call them more")
    (file,) = repository.explained()["changes"][0]["files"]
    assert (file["kind"], file["was"], file["commit"]["subject"]) == (
        "renamed", "solr_conf/words.txt", "Call them more",
    )  # fmt: skip


def test_explain_calls_a_half_committed_rename_uncommitted(repository: Repository) -> None:
    repository.write("solr_conf/words.txt", "a\n")
    repository.commit("Add words")
    repository.indexed()
    repository.write("solr_conf/more.txt", "a\n")
    repository.commit("Copy them")
    (repository.root / "solr_conf/words.txt").unlink()
    assert repository.blamed() == {"solr_conf/more.txt": "uncommitted"}


def test_explain_tells_commits_of_another_branch(repository: Repository) -> None:
    repository.git("switch", "--quiet", "--create", "topic")
    repository.write("solr_conf/schema.xml", "<other/>\n")
    repository.commit("Change the schema")
    repository.indexed()
    repository.git("switch", "--quiet", "main")
    assert repository.blamed() == {"solr_conf/schema.xml": "Change the schema"}
    assert repository.blames() == {"solr_conf/schema.xml": "elsewhere"}
    repository.write("solr_conf/schema.xml", "<third/>\n")
    repository.commit("Change it otherwise")
    assert repository.blamed() == {"solr_conf/schema.xml": "Change it otherwise"}
    assert repository.blames() == {"solr_conf/schema.xml": "commit"}


def test_explain_knows_a_baseline_of_uncommitted_files(repository: Repository) -> None:
    repository.write("solr_conf/schema.xml", "<other/>\n")
    revision = repository.git("rev-parse", "HEAD")
    remember_key(repository.project, compute_key(repository.project), f"{revision}-dirty")
    repository.git("checkout", "--quiet", "solr_conf/schema.xml")
    told = repository.explained()
    assert (told["other_revision"], told["other_dirty"]) == (revision, True)
    assert repository.blames() == {"solr_conf/schema.xml": "untouched"}


def test_explain_calls_a_file_that_counts_only_now_untouched(repository: Repository) -> None:
    repository.write("web/app/words.py", "y = 1\n")
    repository.commit("Write a module that nothing imports")
    repository.indexed()
    repository.write("web/app/search_indexes.py", "from app import words\n")
    repository.write("web/app/__init__.py", "")
    repository.commit("Import it")
    assert repository.blamed()["web/app/search_indexes.py"] == "Import it"
    assert repository.blamed()["web/app/words.py"] == "untouched"


def test_explain_names_a_merge_with_a_resolution_of_its_own(repository: Repository) -> None:
    for branch in ("one", "two"):
        repository.git("switch", "--quiet", "--create", branch, "main")
        repository.write("solr_conf/schema.xml", f"<{branch}/>\n")
        repository.commit(f"Make it {branch}")
    repository.git("merge", "--quiet", "--strategy=ours", "--no-commit", "one")
    repository.write("solr_conf/schema.xml", "<both/>\n")
    repository.commit("Make it both")
    assert repository.blamed() == {"solr_conf/schema.xml": "Make it both"}


def test_explain_outside_of_a_git_repository(repository: Repository) -> None:
    repository.write("solr_conf/schema.xml", "<other/>\n")
    shutil.rmtree(repository.root / ".git")
    assert repository.blames() == {"solr_conf/schema.xml": "unknown"}


def test_explain_without_git(repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository.write("solr_conf/schema.xml", "<other/>\n")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert repository.blames() == {"solr_conf/schema.xml": "unknown"}


@pytest.fixture
def shallow(repository: Repository, tmp_path: Path) -> Repository:
    """A clone of the last two of three commits after the index, of which the first changed the schema."""
    old, revision = compute_key(repository.project), repository.git("rev-parse", "HEAD")
    for path, text, message in (
        ("solr_conf/schema.xml", "<other/>\n", "Change the schema"),
        ("README.md", "other words\n", "Reword"),
        ("web/app/search_indexes.py", "x = 2\n", "Index more"),
    ):
        repository.write(path, text)
        repository.commit(message)
    clone = Repository(root=tmp_path / "shallow")
    subprocess.run(
        ["git", "clone", "--quiet", "--depth=2", f"file://{repository.root}", clone.root], check=True
    )
    remember_key(clone.project, old, revision)
    return clone


def test_explain_in_a_shallow_clone(shallow: Repository) -> None:
    assert shallow.blames() == {"web/app/search_indexes.py": "commit", "solr_conf/schema.xml": "earlier"}
    assert shallow.blamed()["web/app/search_indexes.py"] == "Index more"
    told = " ".join(" ".join(explanation_lines(explain(shallow.project))).split())
    assert "Ada: Reword (or one before it, which this shallow clone does not have)" in told


REPORT = VerificationReport(
    seed=1, whole=False, models=(), cores=(), wrong=0, differences=(), not_comparable=()
)


@contextlib.contextmanager
def baked(repository: Repository) -> Iterator[str]:
    """An image on the engine that says that it is the index of what is checked out."""
    made, project = compute_key(repository.project), repository.project
    name = str(read_checkout(project, {}).index_image(made.value))
    labels = {
        **index_labels(made, {"site": {"app.note": 1}}, REPORT),
        REVISION: repository.git("rev-parse", "HEAD"),
    }
    options = [word for label, value in labels.items() for word in ("--label", f"{label}={value}")]
    subprocess.run(
        ["docker", "buildx", "build", "--quiet", "--load", "--tag", name, *options, "-"],
        input=b"FROM scratch\n", capture_output=True, check=True,
    )  # fmt: skip
    try:
        yield name
    finally:
        docker.from_env().images.remove(name, force=True)


@pytest.fixture
def image(repository: Repository, engine: None) -> Iterator[str]:  # noqa: ARG001 - it must answer
    with baked(repository) as name:
        yield name


def test_explain_finds_an_image_in_the_registry_by_its_key(repository: Repository, registry: str) -> None:
    settings = FILES["pyproject.toml"].replace(f"why.example/site-{RUN}", f"{registry}/why")
    repository.write("pyproject.toml", settings.replace("local = true", ""))
    repository.commit("Use a registry")
    first = compute_key(repository.project).value
    with baked(repository) as name:
        subprocess.run(["docker", "push", "--quiet", name], check=True, capture_output=True)
    repository.write("solr_conf/schema.xml", "<other/>\n")
    repository.commit("Change the schema")
    for other in (first, name):
        told = repository.explained(other)
        assert (told["other"], told["other_source"]) == (first, name)
        assert told["changes"][0]["files"][0]["commit"]["subject"] == "Change the schema"
    with pytest.raises(UsageError, match=r"there is no image .* on this engine or in the registry"):
        repository.explained("0" * 32)


def test_explain_takes_an_image_or_the_beginning_of_its_key(repository: Repository, image: str) -> None:
    first = compute_key(repository.project).value
    repository.write("solr_conf/schema.xml", "<other/>\n")
    repository.commit("Change the schema")
    for other in (image, first, first[:6]):
        told = repository.explained(other)
        assert (told["other"], told["same"]) == (first, False)
        assert told["changes"][0]["files"][0]["commit"]["subject"] == "Change the schema"


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("other", ["abcdef", "0" * 32, "why.example/site:solr-no"])
def test_explain_names_a_missing_image(repository: Repository, other: str) -> None:
    with pytest.raises(UsageError, match=r"there is no image|no index images") as error:
        repository.explained(other)
    assert error.value.cause == "this engine has no index image"


def test_explain_lists_the_keys_of_the_engine(repository: Repository, image: str) -> None:
    with pytest.raises(UsageError) as error:
        repository.explained("0" * 32)
    assert error.value.cause == f"this engine has the keys {image.rpartition('-')[2]}"


def test_explain_without_a_note_takes_the_newest_image(repository: Repository, image: str) -> None:
    (repository.project.scratch / "indexed.json").unlink()
    repository.write("solr_conf/schema.xml", "<other/>\n")
    told = repository.explained()
    assert (told["other"], told["other_source"]) == (
        image.rpartition("-")[2], "the newest index image on this engine",
    )  # fmt: skip
    assert repository.blames() == {"solr_conf/schema.xml": "uncommitted"}


@pytest.mark.usefixtures("engine")
def test_explain_without_a_baseline_lists_components(repository: Repository) -> None:
    (repository.project.scratch / "indexed.json").unlink()
    told = repository.explained()
    assert (told["other"], told["same"], told["changes"]) == (None, False, [])
    assert "solr-conf" in told["components"]


@pytest.mark.usefixtures("engine")
def test_explain_refuses_an_image_without_the_label(repository: Repository) -> None:
    with pytest.raises(UsageError, match="is not an index image"):
        repository.explained(repository.project.settings.images.solr)
