"""`init` and `upgrade` as their users call them, in a git repository."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from haybale.verbs import VERBS

ROOT = Path(__file__).parents[2]

MANAGE = 'import os\nos.environ.setdefault("DJANGO_SETTINGS_MODULE", "books.settings")\n'


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository with a site in a folder, and a branch that `origin` begins with."""
    remote, root = tmp_path / "remote", tmp_path / "books"
    remote.mkdir()
    for command in (
        ("git", "init", "-q", "-b", "trunk", str(remote)),
        ("git", "-C", str(remote), "-c", "user.name=A", "-c", "user.email=a@b.c", "commit", "-q",
         "--allow-empty", "-m", "Begin"),
        ("git", "clone", "-q", str(remote), str(root)),
    ):  # fmt: skip
        subprocess.run(command, check=True)
    (root / "shop").mkdir()
    (root / "shop/manage.py").write_text(MANAGE, encoding="utf-8")
    return root


def init(folder: Path, *arguments: str, verb: str = "init") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "haybale", verb, *arguments],
        cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip


def files(root: Path) -> dict[str, str]:
    found = (
        each for each in root.rglob("*") if each.is_file() and ".git" not in each.relative_to(root).parts
    )
    return {each.relative_to(root).as_posix(): each.read_text(encoding="utf-8") for each in found}


@pytest.mark.parametrize("arguments", [(), ("--dry-run",), ("--dry-run", "--yes"), ("--json",)])
def test_init_writes_nothing_where_it_may_not(root: Path, arguments: tuple[str, ...]) -> None:
    before = files(root)
    done = init(root, *arguments)
    assert done.returncode == 0, done.stderr
    assert ('"folder = ' in done.stdout) or ('folder = "shop"' in done.stdout.replace('\\"', '"'))
    assert files(root) == before


def test_init_writes_from_within_once_and_then_has_nothing_to_do(root: Path) -> None:
    done = init(root / "shop", "--yes", "--ci", "github")
    assert done.returncode == 0, done.stderr
    written = files(root)
    assert set(written) == {
        "pyproject.toml", "noxfile.py", "justfile", ".github/workflows/haybale.yml", "shop/manage.py",
    }  # fmt: skip
    assert 'main = "trunk"' in written["pyproject.toml"]
    for verb in ("init", "upgrade"):
        again = init(root, "--yes", verb=verb)
        assert "There is nothing to do." in again.stdout
    assert files(root) == written


def test_init_says_as_json_what_it_found_and_writes(root: Path) -> None:
    done = init(root, "--json", "--yes")
    plan = json.loads(done.stdout)
    assert {"subject": "site", "value": "shop", "place": "shop/manage.py", "certainty": "sure"} in plan[
        "found"
    ]
    assert set(plan["files"]) == {"pyproject.toml", "noxfile.py", "justfile"}
    assert files(root)["justfile"] == plan["files"]["justfile"]


def test_init_takes_the_branch_that_is_checked_out_where_there_is_no_remote(root: Path) -> None:
    assert 'main = "trunk"' in init(root, "--dry-run").stdout
    subprocess.run(["git", "-C", str(root), "checkout", "-q", "-b", "own"], check=True)
    assert 'main = "trunk"' in init(root, "--dry-run").stdout
    subprocess.run(["git", "-C", str(root), "remote", "remove", "origin"], check=True)
    assert 'main = "own"' in init(root, "--dry-run").stdout


def test_init_goes_on_where_no_engine_answers(root: Path) -> None:
    env = {**os.environ, "DOCKER_HOST": "tcp://127.0.0.1:1", "COLUMNS": "80"}
    command = [sys.executable, "-m", "haybale", "init", "--yes", "--confirm"]
    done = subprocess.run(command, cwd=root, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Django  not started" in done.stdout
    assert "! no container engine answers" in done.stdout
    assert "Wrote pyproject.toml" in done.stdout
    # Where the repository is stands whole in one line.
    assert [line for line in done.stdout.splitlines() if len(line) > 80 and str(root) not in line] == []


def test_init_asks_on_a_terminal_and_does_as_it_is_told(root: Path) -> None:
    (root / "shop/books").mkdir()
    (root / "shop/books/settings.py").write_text('import os\nX = os.environ["API"]\n', encoding="utf-8")
    ours, theirs = pty.openpty()
    # The value of API, no confirmation, and yes.
    os.write(ours, b"API=b\nn\ny\n")
    command = [sys.executable, "-m", "haybale", "init"]
    done = subprocess.run(command, cwd=root, stdin=theirs, capture_output=True, text=True, check=False)
    os.close(theirs)
    os.close(ours)
    assert done.returncode == 0, done.stderr
    assert 'API = "b"' in files(root)["pyproject.toml"]
    questions = [
        done.stdout.index(each)
        for each in ("  API  (shop", "Confirm that first", "--- /dev/null", "Write this?")
    ]
    assert questions == sorted(questions)


def test_init_takes_values_of_variables(root: Path) -> None:
    (root / "shop/books").mkdir()
    (root / "shop/books/settings.py").write_text('import os\nX = os.environ["API"]\n', encoding="utf-8")
    assert 'API = "a=b"' in init(root, "--set", "API=a=b").stdout
    wrong = init(root, "--set", "API")
    assert (wrong.returncode, "write --set NAME=VALUE" in wrong.stderr) == (2, True)


def test_init_names_a_broken_pyproject(root: Path) -> None:
    (root / "pyproject.toml").write_text("[tool\n", encoding="utf-8")
    done = init(root, "--yes")
    assert done.returncode == 3
    assert "pyproject.toml: " in done.stderr
    assert "Traceback" not in done.stderr


def test_upgrade_shows_what_it_leaves(root: Path) -> None:
    init(root, "--yes")
    for name in ("noxfile.py", "justfile"):
        file = root / name
        text = file.read_text(encoding="utf-8").replace("haybale init ", "haybale init 0.")
        file.write_text(text, encoding="utf-8")
    (root / "justfile").write_text((root / "justfile").read_text(encoding="utf-8") + "a:\n", encoding="utf-8")
    done = init(root, "--yes", verb="upgrade")
    assert "justfile: somebody changed it" in done.stdout
    assert "Wrote noxfile.py." in done.stdout
    assert "haybale init 0." in files(root)["justfile"]


def test_what_init_writes_is_read_by_nox_and_just(root: Path) -> None:
    """Also beside a justfile and a noxfile of the repository's own."""
    (root / "justfile").write_text("import 'haybale.just'\n\nserve:\n    echo\n", encoding="utf-8")
    (root / "noxfile.py").write_text("import nox\n", encoding="utf-8")
    assert init(root, "--yes").returncode == 0
    launcher = ROOT / ".haybale/launcher/bin"
    listed = run([launcher / "python", "-m", "nox", "-f", "haybale_noxfile.py", "--list"], root)
    sessions = {line.split()[1] for line in listed.splitlines() if line[:2] in {"* ", "- "}}
    assert sessions == {verb.identifier for verb in VERBS}
    recipes = json.loads(run([launcher / "just", "--dump", "--dump-format", "json"], root))["recipes"]
    assert set(recipes) == {"serve", *(verb.name for verb in VERBS)}
    echoed = run([launcher / "just", "deploy", "dev", "a b", ""], root, NOX='printf "<%s>"')
    assert echoed == "<-f><haybale_noxfile.py><-s><deploy><--><dev><a b><>"


def run(command: list[str | Path], folder: Path, **env: str) -> str:
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **env}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
