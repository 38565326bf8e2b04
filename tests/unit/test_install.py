from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

import pytest

from haybale.errors import PrerequisiteError
from haybale.tools import apt
from haybale.tools.engine import install

if TYPE_CHECKING:
    from pathlib import Path

BARE = install.Machine(
    has_engine=False,
    has_compose=False,
    has_buildx=False,
    remote=None,
    is_denied=False,
    has_daemon=False,
    system="debian",
    codename="bookworm",
    is_root=True,
    has_systemd=False,
    has_settings=False,
)


def plan(**facts: Any) -> install.InstallPlan:
    return install.plan_installation(dataclasses.replace(BARE, **facts))


def test_plan_installation_takes_the_next_release_s_packages_on_debian_12() -> None:
    made = plan()
    assert {"docker.io", "docker-compose", "docker-buildx"} <= set(made.packages)
    assert (made.suite, made.write_settings, made.start) == ("trixie", True, True)


def test_plan_installation_takes_a_newer_system_s_own_packages() -> None:
    assert plan(codename="trixie").suite is None
    ubuntu = plan(system="ubuntu", codename="noble")
    assert ubuntu.suite is None
    assert "docker-compose-v2" in ubuntu.packages


def test_plan_installation_only_starts_an_installed_engine() -> None:
    made = plan(has_daemon=True, has_compose=True, has_buildx=True)
    assert made.packages == ()
    assert made.start


def test_plan_installation_keeps_existing_settings() -> None:
    assert not plan(has_settings=True).write_settings


@pytest.mark.parametrize("tool", ["compose", "buildx"])
def test_plan_installation_never_changes_a_running_engine(tool: str) -> None:
    there = {"has_engine": True, "has_daemon": True, "has_compose": True, "has_buildx": True}
    there[f"has_{tool}"] = False
    with pytest.raises(PrerequisiteError, match=tool) as caught:
        plan(**there)
    assert "apt-get install" in caught.value.hint


def test_plan_installation_does_not_start_an_engine_named_by_the_environment() -> None:
    with pytest.raises(PrerequisiteError, match=r"tcp://far:2375"):
        plan(remote="tcp://far:2375")


@pytest.mark.parametrize("facts", [{"is_root": False}, {"system": "fedora"}, {"system": ""}])
def test_plan_installation_gives_the_commands_where_it_cannot_install(facts: dict[str, Any]) -> None:
    with pytest.raises(PrerequisiteError, match="a container engine, compose v2, buildx") as caught:
        plan(**facts)
    assert "docker-buildx" in caught.value.hint


def test_machine_missing_names_what_does_not_work() -> None:
    assert dataclasses.replace(BARE, has_engine=True, has_compose=True).missing == "buildx"
    assert dataclasses.replace(BARE, has_engine=True, has_compose=True, has_buildx=True).missing == ""


def test_plan_installation_tells_a_user_without_rights() -> None:
    with pytest.raises(PrerequisiteError, match="may not use it") as caught:
        plan(is_denied=True, is_root=False, has_daemon=True)
    assert "usermod" in caught.value.hint


STANZAS = """\
Types: deb deb-src
# a comment: with a colon
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/k.gpg

Types: deb
Enabled: no
URIs: http://off.example/debian
Suites: bookworm

Types: deb
URIs: http://other.example/security
Suites: bookworm-security
Components: main

Types: deb
URIs: http://third.example/
Suites: stable
"""

LINES = """\
# deb http://off.example/debian bookworm main
deb [arch=amd64 signed-by=/usr/share/keyrings/k.gpg] http://mirror.example/debian bookworm main contrib
deb-src http://mirror.example/debian bookworm main
deb http://other.example/security bookworm-security main # comment
deb http://third.example/ ./
"""


@pytest.mark.parametrize("present", [apt.parse_deb822(STANZAS), apt.parse_one_line(LINES)])
def test_find_suite_source_uses_the_machine_s_own_mirror(present: list[apt.Source]) -> None:
    assert install.find_suite_source(present, "bookworm", "trixie").splitlines() == [
        "Types: deb",
        "URIs: http://mirror.example/debian",
        "Suites: trixie",
        "Components: main",
        "Signed-By: /usr/share/keyrings/k.gpg",
    ]


def test_daemon_settings_are_removed_where_installing_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "docker/daemon.json"
    monkeypatch.setattr(install, "DAEMON_JSON", file)
    fresh = install.InstallPlan(write_settings=True, start=True)
    with install.daemon_settings(fresh, lambda _: None):
        assert json.loads(file.read_text()) == {"features": {"containerd-snapshotter": True}}
    assert file.exists()
    with pytest.raises(KeyboardInterrupt), install.daemon_settings(fresh, lambda _: None):
        raise KeyboardInterrupt
    assert not file.exists()


def test_apt_suite_is_removed_in_any_case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install, "OUR_SOURCE", tmp_path / "source")
    monkeypatch.setattr(install, "OUR_PIN", tmp_path / "pin")
    monkeypatch.setattr(apt, "package_sources", lambda: apt.parse_deb822(STANZAS))
    monkeypatch.setattr(apt, "read_os_release", lambda: {"VERSION_CODENAME": "bookworm"})
    with install.apt_suite("trixie"):
        assert "Pin-Priority: 100" in (tmp_path / "pin").read_text()
        assert "Suites: trixie\n" in (tmp_path / "source").read_text()
    with pytest.raises(KeyboardInterrupt), install.apt_suite("trixie"):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_find_suite_source_raises_without_a_source_of_the_codename() -> None:
    with pytest.raises(PrerequisiteError, match="bookworm"):
        install.find_suite_source([], "bookworm", "trixie")
