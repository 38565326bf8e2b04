from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from haybale import engine
from haybale.errors import MachineError

BARE = engine.Facts(
    engine=False,
    compose=False,
    buildx=False,
    remote="",
    daemon=False,
    system="debian",
    codename="bookworm",
    root=True,
    systemd=False,
    settings=False,
)


def plan(**facts: Any) -> engine.Plan:
    return engine.decide(dataclasses.replace(BARE, **facts))


def test_a_bare_debian_12_gets_the_next_release_s_packages_and_a_fresh_daemon() -> None:
    made = plan()
    assert {"docker.io", "docker-compose", "docker-buildx"} <= set(made.packages)
    assert (made.suite, made.write_settings, made.start) == ("trixie", True, True)


def test_newer_systems_use_their_own_packages() -> None:
    assert plan(codename="trixie").suite == ""
    ubuntu = plan(system="ubuntu", codename="noble")
    assert ubuntu.suite == ""
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
    with pytest.raises(MachineError, match=tool) as told:
        plan(**there)
    assert "apt-get install" in told.value.step


def test_an_engine_named_by_the_environment_is_not_ours_to_start() -> None:
    with pytest.raises(MachineError, match=r"tcp://far:2375"):
        plan(remote="tcp://far:2375")


@pytest.mark.parametrize("facts", [{"root": False}, {"system": "fedora"}, {"system": ""}])
def test_where_it_can_t_be_done_the_commands_are_said(facts: dict[str, Any]) -> None:
    with pytest.raises(MachineError, match="a container engine, compose v2, buildx") as told:
        plan(**facts)
    assert "docker-buildx" in told.value.step


def test_what_is_missing_is_said_and_no_more() -> None:
    assert dataclasses.replace(BARE, engine=True, compose=True).missing == "buildx"
    assert not dataclasses.replace(BARE, engine=True, compose=True).complete
    assert dataclasses.replace(BARE, engine=True, compose=True, buildx=True).complete


def test_os_release_is_read_with_and_without_quotes() -> None:
    text = "# a comment\nID=debian\nVERSION_CODENAME=\"bookworm\"\nNAME='Debian GNU/Linux'\n"
    assert engine.os_release(text) == {
        "ID": "debian",
        "VERSION_CODENAME": "bookworm",
        "NAME": "Debian GNU/Linux",
    }


def test_a_newer_suite_comes_from_where_this_machine_s_own_comes_from() -> None:
    text = (
        "Types: deb\n# a comment: with a colon\nURIs: http://mirror.example/debian\n"
        "Suites: bookworm bookworm-updates\nComponents: main\nSigned-By: /usr/share/keyrings/k.gpg\n\n"
        "Types: deb\nURIs: http://other.example/security\nSuites: bookworm-security\nComponents: main\n"
    )
    assert engine.newer_source(text, "trixie").splitlines() == [
        "Types: deb",
        "URIs: http://mirror.example/debian",
        "Suites: trixie",
        "Components: main",
        "Signed-By: /usr/share/keyrings/k.gpg",
    ]


def test_a_machine_without_such_sources_is_told_so() -> None:
    with pytest.raises(MachineError, match=r"debian\.sources"):
        engine.newer_source("", "trixie")
