"""What is planted in the environment of whoever calls, or beside the files, changes nothing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from haybale import config
from haybale.index.key import compute_key
from haybale.tools import git, process
from haybale.tools.engine.compose import Compose
from haybale.tools.environment import clean_environment
from tests.integration.hostile import DOT_ENV, HOSTILE, INTERPRETER, TESTCONTAINERS

ROOT = Path(__file__).parents[2]


def clone_repository(target: Path, *options: str) -> Path:
    """Clone this repository's present files, as they would be committed."""
    source = target.with_name("source")
    left_out = (".git", ".nox", ".haybale", "reports", "__pycache__", ".*_cache", ".hypothesis")
    shutil.copytree(ROOT, source, symlinks=True, ignore=shutil.ignore_patterns(*left_out))
    for command in (
        ("git", "init", "-q", str(source)),
        ("git", "-C", str(source), "add", "."),
        ("git", "-C", str(source), "-c", "user.name=A", "-c", "user.email=a@b.c", "commit", "-qm", "All"),
        ("git", *options, "clone", "-q", str(source), str(target)),
    ):
        subprocess.run(command, check=True)
    return target


def test_clean_environment_has_none_of_git_s_local_variables() -> None:
    listed = process.run(["git", "rev-parse", "--local-env-vars"]).stdout.split()
    assert "GIT_DIR" in listed
    assert clean_environment(dict.fromkeys(listed, "x")) == {}


def test_git_reads_the_folder_that_is_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a hook or an alias of another repository."""
    for name in ("one", "two"):
        subprocess.run(["git", "init", "-q", str(tmp_path / name)], check=True)
        command = ["git", "-C", str(tmp_path / name), "-c", "user.name=A", "-c", "user.email=a@b.c"]
        subprocess.run([*command, "commit", "-q", "--allow-empty", "-m", name], check=True)
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "two/.git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "two/.git/index"))
    assert git.read_commit(tmp_path / "one").subject == "one"


def test_noxw_in_a_clone_with_dos_line_ends_and_a_hostile_environment(tmp_path: Path) -> None:
    clone = clone_repository(tmp_path / "a clone", "-c", "core.autocrlf=true")
    # The launcher's environment is made anew; that of a session is.
    done = subprocess.run(
        [clone / "noxw", "-s", "version"],
        cwd=tmp_path, env={**os.environ, **HOSTILE, **INTERPRETER},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("v")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("name", "value", "seen"),
    [
        ("NOXSESSION", "unit", "absent"),
        ("NOXPYTHON", "2.7", "absent"),
        ("NOX_ENVDIR", "/nowhere", "absent"),
        ("PYTHONPATH", "/nowhere", "absent"),
        ("PYTHON_IMAGE", "python:3.12-slim", "python:3.12-slim"),
        ("PYTHONPYCACHEPREFIX", "/cache", "/cache"),
    ],
)
def test_noxw_passes_on_settings_of_ours_only(tmp_path: Path, name: str, value: str, seen: str) -> None:
    """With an interpreter in nox's place that prints the variable."""
    shutil.copy(ROOT / "noxw", tmp_path)
    python = tmp_path / ".haybale/launcher/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\necho "${{{name}-absent}}"\n', encoding="ascii")
    python.chmod(0o755)
    for lock in (tmp_path / "requirements/launcher.txt", tmp_path / ".haybale/launcher/lock.txt"):
        lock.parent.mkdir(exist_ok=True)
        lock.touch()
    done = subprocess.run(
        [tmp_path / "noxw"], env={**os.environ, name: value}, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == seen


def test_compute_key_is_the_same_in_a_clone_with_dos_line_ends(tmp_path: Path) -> None:
    key = compute_key(config.load(clone_repository(tmp_path / "plain"), {}))
    shutil.rmtree(tmp_path / "source")
    other = compute_key(config.load(clone_repository(tmp_path / "dos", "-c", "core.autocrlf=true"), {}))
    assert other == key


def test_nox_without_environments_is_a_sentence() -> None:
    launcher = ROOT / ".haybale/launcher/bin/python"
    nox = [str(launcher), "-m", "nox"] if launcher.is_file() else ["nox"]
    done = subprocess.run(
        [*nox, "--no-venv", "-s", "version"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "each session needs an environment of its own" in done.stderr + done.stdout
    assert "Traceback" not in done.stderr


FILES = {
    "compose.yml": """
include:
  - path: base.yml
    env_file: /dev/null
services:
  web: {image: '${HAYBALE_X}'}
""",
    "base.yml": """
services:
  db: {image: '${HAYBALE_X}', profiles: [postgresql]}
  dev: {image: x, profiles: [dev]}
""",
    ".env": f"{DOT_ENV}HAYBALE_X=wrong\n",
}


def compose_config(folder: Path, value: str) -> dict[str, str]:
    """Return the services that compose sees, with their images."""
    for name, text in FILES.items():
        (folder / name).write_text(text, encoding="utf-8")
    variables = {"HAYBALE_X": value, "COMPOSE_PROFILES": "postgresql"}
    services = Compose(
        files=(folder / "compose.yml",),
        folder=folder,
        project="planted",
        env_file=folder / "values",
        variables=variables,
    )
    services.write_files()
    printed = services.run("config", "--format", "json")
    assert printed.ok, printed.stderr
    return {name: each["image"] for name, each in json.loads(printed.stdout)["services"].items()}


@pytest.mark.usefixtures("engine")
def test_compose_sees_only_what_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "COMPOSE_PROFILES",
        "COMPOSE_FILE",
        "COMPOSE_PROJECT_NAME",
        "COMPOSE_ENV_FILES",
        "HAYBALE_X",
    ):
        monkeypatch.setenv(name, "dev")
    assert compose_config(tmp_path, "right") == {"db": "right", "web": "right"}


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("value", ["a'b", 'a"b', "a$b ${c}", "a\\nb\\", "a #b", "a\nb", "é `x`"])
def test_compose_reads_back_any_value(tmp_path: Path, value: str) -> None:
    found = compose_config(tmp_path, value)["web"]
    # In what `config` prints, a dollar is doubled.
    assert found.replace("$$", "$") == value


def test_a_wrong_variable_of_testcontainers_is_a_sentence() -> None:
    env = {**os.environ, "TESTCONTAINERS_CONNECTION_MODE": "by pigeon"}
    command = [sys.executable, "-m", "haybale", "test"]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 4
    assert "a variable of testcontainers' is not valid" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.usefixtures("engine")
def test_services_start_whatever_is_set_for_testcontainers(tmp_path: Path) -> None:
    (tmp_path / ".testcontainers.properties").write_text(TESTCONTAINERS, encoding="utf-8")
    (tmp_path / "compose.yml").write_text(
        "services: {web: {image: 'python:3.13-slim', command: [sleep, '60'], init: true}}\n", encoding="utf-8"
    )
    program = (
        "import sys; from pathlib import Path; from haybale.tools.engine.compose import Compose\n"
        "folder = Path(sys.argv[1])\n"
        "web = Compose(\n"
        "    files=(folder / 'compose.yml',), folder=folder,\n"
        "    project=sys.argv[2], env_file=folder / 'values',\n"
        ")\n"
        "with web.up():\n    print(web.states()[0]['State'])\n"
    )
    hostile = {
        "DOCKER_AUTH_CONFIG": '{"auths": {"127.0.0.1:1": 5}}',
        "TESTCONTAINERS_HUB_IMAGE_NAME_PREFIX": "nowhere.test/",
        "TC_HOST": "tcp://127.0.0.1:1",
        "HOME": str(tmp_path),
        # Where compose is a plugin of the user, it is found by this.
        "DOCKER_CONFIG": os.environ.get("DOCKER_CONFIG", str(Path.home() / ".docker")),
    }
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path, f"planted-{os.getpid()}"],
        env={**os.environ, **hostile}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "running\n"), done.stderr
