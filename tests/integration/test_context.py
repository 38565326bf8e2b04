"""What gets into an image besides what is in git: secrets do not, and other files are no clean revision."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from haybale import config
from haybale.checkout import read_checkout
from haybale.errors import BuildError
from haybale.image_ref import RELEASE
from haybale.images.build import build_stage, ignored_lines, untracked_in_context
from haybale.images.stages import find_stage

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration

SETTINGS = """
[tool.haybale]
name = "site"
registry = "localhost:1/site"
site.command = ["true"]
"""
TRACKED = (
    "pyproject.toml",
    ".bumpversion.cfg",
    "requirements.txt",
    ".gitignore",
    "web/app.py",
    "web/.env.example",
)
IGNORED = ("local_settings.py", "web/.env", "keys/a b.pem", "od[d]*.txt")
SECRET = (".ssh/id_rsa", "web/.env.local", "web/local_settings.py")
NEW = ("web/new.py",)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    contents = {
        "pyproject.toml": SETTINGS,
        ".bumpversion.cfg": "[bumpversion]\ncurrent_version = 1.2.3\n",
        ".gitignore": "/local_settings.py\nweb/.env\nkeys/\nod*.txt\n",
    }
    for name in (*TRACKED, *IGNORED, *SECRET, *NEW):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(contents.get(name, ""), encoding="utf-8")
    git(tmp_path, "init", "-q", "-b", "main")
    git(tmp_path, "add", *TRACKED)
    git(tmp_path, "-c", "user.name=A", "-c", "user.email=a@b.example", "commit", "-q", "-m", "Begin")
    return tmp_path


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=folder, check=True)


def built(site: Path, tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Return the files that BuildKit copies with just these lines."""
    folder = tmp_path_factory.mktemp("build")
    source = find_stage(config.load(site, {}), RELEASE)
    (folder / "Dockerfile").write_text("FROM scratch\nCOPY . /\n", encoding="utf-8")
    lines = "\n".join([*ignored_lines(source, site), ""])
    (folder / "Dockerfile.dockerignore").write_text(lines, encoding="utf-8")
    subprocess.run(
        ["docker", "buildx", "build", "--quiet", "--output", f"type=tar,dest={folder}/image.tar",
         "--file", str(folder / "Dockerfile"), str(site)],
        check=True, capture_output=True, env={**os.environ, "DOCKER_BUILDKIT": "1"},
    )  # fmt: skip
    with tarfile.open(folder / "image.tar") as image:
        return {member.name for member in image if member.isfile()}


@pytest.mark.usefixtures("engine")
def test_no_secret_and_nothing_ignored_is_in_an_image_of_haybale_s_dockerfile(
    site: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    assert built(site, tmp_path_factory) == {*TRACKED, *NEW}
    (site / ".dockerignore").write_text("*.toml\n!keys/\n.git\n", encoding="utf-8")
    # That is the repository's own: it takes a folder in which git ignores.
    assert built(site, tmp_path_factory) == {
        *TRACKED, *NEW, "keys/a b.pem", ".dockerignore"
    } - {"pyproject.toml"}  # fmt: skip


def test_an_image_with_untracked_files_is_not_pushed(site: Path) -> None:
    checkout = read_checkout(config.load(site, {}), {})
    assert untracked_in_context(checkout, RELEASE) == ["web/new.py"]
    with pytest.raises(BuildError, match=r"v?1\.2\.3 is not pushed: web/new\.py would be in it") as told:
        build_stage(checkout, RELEASE, "--push", say=print)
    assert "commit" in told.value.hint
    (site / "web/new.py").unlink()
    assert untracked_in_context(checkout, RELEASE) == []
    (site / "web/app.py").write_text("changed", encoding="utf-8")
    with pytest.raises(BuildError, match=r"web/app\.py would be in it"):
        build_stage(read_checkout(config.load(site, {}), {}), RELEASE, "--push", say=print)


def test_untracked_files_that_the_repository_s_dockerignore_leaves_out_are_no_part_of_an_image(
    site: Path,
) -> None:
    (site / "Dockerfile").write_text("FROM scratch\nCOPY web /\n", encoding="utf-8")
    (site / ".dockerignore").write_text("*\n!web\n", encoding="utf-8")
    found = config.load(site, {})
    project = replace(found, settings=replace(found.settings, dockerfile="Dockerfile"))
    checkout = read_checkout(project, {})
    # A Dockerfile of the repository's own decides alone what is in its image.
    untracked = {"web/.env.local", "web/local_settings.py", *NEW}
    # What decides over it, and is in no commit, counts too.
    assert set(untracked_in_context(checkout, RELEASE)) == {*untracked, ".dockerignore"}


def test_no_output_and_no_file_has_a_login_that_was_put_into_a_name(site: Path) -> None:
    names = ("REGISTRY", "PYTHON_IMAGE", "SOLR_IMAGE", "POSTGRES_IMAGE")
    env = {**os.environ, **dict.fromkeys(names, "user:canary@localhost:1/site")}
    for verb in ("config", "doctor", "pipeline --plan", "push"):
        command = [sys.executable, "-m", "haybale", *verb.split()]
        done = subprocess.run(command, cwd=site, env=env, capture_output=True, text=True, check=False)
        output = done.stdout + done.stderr
        assert done.returncode, verb
        assert output.count("***@localhost:1/site") >= len(names)
        assert "canary" not in output
    for file in site.rglob("*"):
        assert not file.is_file() or b"canary" not in file.read_bytes(), file
