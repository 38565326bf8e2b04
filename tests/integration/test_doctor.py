"""`doctor` on this machine, as its users call it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def doctor(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "haybale", "doctor", *arguments],
        cwd=folder, env={**os.environ, "COLUMNS": "80"}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_doctor_finds_nothing_that_would_stop_a_run_here() -> None:
    done = doctor(ROOT, "--json")
    diagnoses = json.loads(done.stdout)["diagnoses"]
    assert [each["subject"] for each in diagnoses] == [
        "settings", "git", "version", "dump", "Dockerfile", "base images", "site", "Solr's configuration",
        "environments", "engine", "registry",
    ]  # fmt: skip
    errors = [each for one in diagnoses for each in one["findings"] if each["level"] == "error"]
    assert (errors, done.returncode) == ([], 0), done.stderr


def test_doctor_deep_starts_django_and_solr_once_and_leaves_nothing() -> None:
    done = doctor(ROOT, "--deep", "--json")
    *_, django, solr = json.loads(done.stdout)["diagnoses"]
    assert (django["subject"], solr["subject"]) == ("Django", "Solr"), done.stderr
    assert django["seen"] == "starts; its connections have the cores sotu, with 15 fields"
    assert solr["seen"] == "opens sotu"
    assert (django["findings"], solr["findings"], done.returncode) == ([], [], 0), done.stderr
    (run,) = set(re.findall(r"doctor-[0-9a-f]{8}", done.stderr))
    for listed in (("ps", "--all", "--format={{.Names}}"), ("volume", "ls"), ("network", "ls"), ("images",)):
        shown = subprocess.run(["docker", *listed], capture_output=True, text=True, check=True).stdout
        assert run not in shown


def test_doctor_names_what_git_lacks_and_what_would_get_lost(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[tool.haybale]\nname = "site"\nregistry = "registry.test/site"\ncore = "site"\n', encoding="utf-8"
    )
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports/2025.txt").write_text("ours\n", encoding="utf-8")
    for command in (("init", "-q"), ("add", "."), ("commit", "-qm", "Begin")):
        subprocess.run(
            ["git", "-c", "user.name=A", "-c", "user.email=a@b.c", *command], cwd=tmp_path, check=True
        )
    done = doctor(tmp_path)
    assert "! there is no remote `origin`" in done.stdout
    assert "reports/ has files that are in git" in done.stdout
    assert ".haybale/" not in done.stdout
    assert done.returncode == 4
    assert "things that would stop a run" in done.stderr


def test_doctor_names_a_wrong_setting_alone(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.haybale]\nname = 3\n", encoding="utf-8")
    done = doctor(tmp_path, "--json")
    (diagnosis,) = json.loads(done.stdout)["diagnoses"]
    assert "pyproject.toml:2: name is a string in quotes" in diagnosis["findings"][0]["what"]
    assert done.returncode == 4
