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
    engine=False,
    compose=False,
    buildx=False,
    remote=None,
    is_denied=False,
    daemon=False,
    system="debian",
    codename="bookworm",
    root=True,
    systemd=False,
    settings=False,
)


def plan(**facts: Any) -> install.InstallPlan:
    return install.plan_installation(dataclasses.replace(BARE, **facts))


def test_a_bare_debian_12_gets_the_next_release_s_packages_and_a_fresh_daemon() -> None:
    made = plan()
    assert {"docker.io", "docker-compose", "docker-buildx"} <= set(made.packages)
    assert (made.suite, made.write_settings, made.start) == ("trixie", True, True)


def test_newer_systems_use_their_own_packages() -> None:
    assert plan(codename="trixie").suite is None
    ubuntu = plan(system="ubuntu", codename="noble")
    assert ubuntu.suite is None
    assert "docker-compose-v2" in ubuntu.packages


def test_an_installed_engine_is_only_started() -> None:
    made = plan(daemon=True, compose=True, buildx=True)
    assert made.packages == ()
    assert made.start


def test_settings_that_are_there_are_left_alone() -> None:
    assert not plan(settings=True).write_settings


@pytest.mark.parametrize("tool", ["compose", "buildx"])
def test_a_running_engine_is_never_changed(tool: str) -> None:
    there = {"engine": True, "daemon": True, "compose": True, "buildx": True, tool: False}
    with pytest.raises(PrerequisiteError, match=tool) as told:
        plan(**there)
    assert "apt-get install" in told.value.hint


def test_an_engine_named_by_the_environment_is_not_ours_to_start() -> None:
    with pytest.raises(PrerequisiteError, match=r"tcp://far:2375"):
        plan(remote="tcp://far:2375")


@pytest.mark.parametrize("facts", [{"root": False}, {"system": "fedora"}, {"system": ""}])
def test_where_it_can_t_be_done_the_commands_are_said(facts: dict[str, Any]) -> None:
    with pytest.raises(PrerequisiteError, match="a container engine, compose v2, buildx") as told:
        plan(**facts)
    assert "docker-buildx" in told.value.hint


def test_what_is_missing_is_said_and_no_more() -> None:
    assert dataclasses.replace(BARE, engine=True, compose=True).missing == "buildx"
    assert not dataclasses.replace(BARE, engine=True, compose=True).is_complete
    assert dataclasses.replace(BARE, engine=True, compose=True, buildx=True).is_complete


def test_a_user_who_may_not_use_the_engine_is_told_so() -> None:
    with pytest.raises(PrerequisiteError, match="may not use it") as told:
        plan(is_denied=True, root=False, daemon=True)
    assert "usermod" in told.value.hint


def test_os_release_is_read_with_and_without_quotes() -> None:
    text = "# a comment\nID=debian\nVERSION_CODENAME=\"bookworm\"\nNAME='Debian GNU/Linux'\n"
    assert apt.parse_os_release(text) == {
        "ID": "debian",
        "VERSION_CODENAME": "bookworm",
        "NAME": "Debian GNU/Linux",
    }


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
def test_a_newer_suite_comes_from_where_this_machine_s_own_comes_from(present: list[apt.Source]) -> None:
    assert install.find_suite_source(present, "bookworm", "trixie").splitlines() == [
        "Types: deb",
        "URIs: http://mirror.example/debian",
        "Suites: trixie",
        "Components: main",
        "Signed-By: /usr/share/keyrings/k.gpg",
    ]


def test_other_people_s_files_count_only_where_the_usual_ones_hold_nothing(tmp_path: Path) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list.d/a.sources").write_text("Types: deb\nURIs: http://a.example\nSuites: x\n")
    (tmp_path / "sources.list").write_text("# moved to another file\n")
    assert [source.uris for source in apt.package_sources(tmp_path)] == ["http://a.example"]
    (tmp_path / "sources.list").write_text("deb http://own.example x main\n")
    assert [source.uris for source in apt.package_sources(tmp_path)] == ["http://own.example"]
    assert apt.package_sources(tmp_path / "nowhere") == ()


def test_settings_go_where_nothing_was_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "docker/daemon.json"
    monkeypatch.setattr(install, "DAEMON_JSON", file)
    fresh = install.InstallPlan(write_settings=True, start=True)
    with install.daemon_settings(fresh, lambda _: None):
        assert json.loads(file.read_text()) == {"features": {"containerd-snapshotter": True}}
    assert file.exists()
    with pytest.raises(KeyboardInterrupt), install.daemon_settings(fresh, lambda _: None):
        raise KeyboardInterrupt
    assert not file.exists()


def test_the_source_of_a_newer_suite_goes_whatever_happens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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


def test_a_key_within_a_source_comes_along() -> None:
    text = "Types: deb\nURIs: http://a.example\nSuites: x\nSigned-By:\n -----BEGIN-----\n .\n abc\n"
    assert apt.parse_deb822(text)[0].stanza().endswith("Signed-By: \n -----BEGIN-----\n .\n abc\n")


def test_sources_that_are_not_seen_are_said() -> None:
    with pytest.raises(PrerequisiteError, match="bookworm"):
        install.find_suite_source([], "bookworm", "trixie")
