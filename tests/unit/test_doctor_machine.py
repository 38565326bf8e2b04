"""What `doctor` says of a machine and its engine, by what they say of themselves."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from haybale.config import Project, Settings
from haybale.doctor import machine
from haybale.tools import process
from haybale.tools.engine import buildx, install, sdk, versions

HOME = Path("/home/me")


def project(root: Path) -> Project:
    return Project(root=root, settings=Settings(name="shop", registry="registry.test/shop"))


def inspected(**differing: object) -> install.Machine:
    values: dict[str, object] = {
        "has_engine": True, "has_compose": True, "has_buildx": True, "remote": None, "is_denied": False,
        "has_daemon": True, "system": "debian", "codename": "trixie", "is_root": True, "has_systemd": False,
        "has_settings": True,
    }  # fmt: skip
    return install.Machine(**{**values, **differing})  # type: ignore[arg-type]


def engine(**differing: object) -> sdk.EngineInfo:
    values: dict[str, object] = {
        "version": "28.0.0", "has_containerd_store": True, "memory": 8 * 10**9,
        "folder": Path("/nowhere/docker"), "clock": time.time(), "address": "http+docker://localhost",
    }  # fmt: skip
    return sdk.EngineInfo(**{**values, **differing})  # type: ignore[arg-type]


def test_examine_engine_says_how_to_get_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(install, "inspect_machine", lambda _: inspected(has_engine=False))
    (finding,) = machine.examine_engine(project(tmp_path), {}).findings
    assert (finding.level, finding.what) == ("error", "missing: a container engine")
    assert finding.fix == "install and start it: `haybale engine`"


def test_examine_engine_tells_who_may_not_use_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(install, "inspect_machine", lambda _: inspected(has_engine=False, is_denied=True))
    (finding,) = machine.examine_engine(project(tmp_path), {}).findings
    assert finding.why == "the user is not in the group docker"
    assert "usermod" in finding.fix


def test_examine_engine_names_an_old_compose_with_its_version(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    said = {"engine": "28.0.0", "compose": "v2.17.3", "buildx": "github.com/docker/buildx v0.20.0 8e30c46"}
    monkeypatch.setattr(install, "inspect_machine", lambda _: inspected())
    monkeypatch.setattr(sdk, "engine_info", engine)
    monkeypatch.setattr(sdk, "network_subnets", list)
    monkeypatch.setattr(buildx, "read_driver", lambda: "docker")
    monkeypatch.setattr(
        versions, "read_version", lambda tool: versions.ToolVersion(tool=tool, said=said[tool.name])
    )
    monkeypatch.setattr(sys, "platform", "linux")
    diagnosis = machine.examine_engine(project(tmp_path), {})
    (finding,) = diagnosis.findings
    assert finding.what == "compose v2.17.3 is too old: haybale needs 2.20.2 or newer"
    assert finding.level == "error"
    assert diagnosis.seen == "engine 28.0.0, compose v2.17.3, buildx v0.20.0"


def test_check_podman_says_what_it_cannot_do() -> None:
    (finding,) = machine.check_podman(engine(is_podman=True))
    assert "BuildKit" in finding.why
    assert "docker-container" in finding.fix
    assert list(machine.check_podman(engine())) == []


@pytest.mark.parametrize(("driver", "is_fine"), [("docker", True), (None, True), ("docker-container", False)])
def test_check_builder_warns_of_one_that_sees_no_images(driver: str | None, *, is_fine: bool) -> None:
    found = list(machine.check_builder(driver))
    assert (found == []) == is_fine
    assert [each.fix for each in found] == ["docker buildx use default"] * (not is_fine)


def test_read_driver_takes_the_driver_from_what_buildx_prints(monkeypatch: pytest.MonkeyPatch) -> None:
    printed = "Name:          ci\nDriver:        docker-container\n\nNodes:\n"
    monkeypatch.setattr(process, "run", lambda _: process.Completed(code=0, stdout=printed))
    assert buildx.read_driver() == "docker-container"
    monkeypatch.setattr(process, "run", lambda _: process.Completed(code=1))
    assert buildx.read_driver() is None


def test_check_memory_names_what_there_is_and_what_is_needed() -> None:
    (finding,) = machine.check_memory(10**9)
    assert (finding.what, finding.why) == (
        "the engine has 1.0 GB of memory",
        "Solr, the site and the build need 2 GB",
    )
    assert list(machine.check_memory(4 * 10**9)) == []


def test_check_space_looks_only_at_a_folder_of_this_machine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Usage:
        free = 3 * 10**9

    monkeypatch.setattr(machine.shutil, "disk_usage", lambda _: Usage)  # type: ignore[attr-defined]
    (finding,) = machine.check_space(tmp_path)
    assert finding.what == f"there are 3.0 GB left in {tmp_path}"
    assert list(machine.check_space(tmp_path / "of another machine")) == []


@pytest.mark.parametrize(("difference", "count"), [(59.0, 0), (-59.0, 0), (61.0, 1), (-7200.0, 1)])
def test_check_clock_allows_a_minute(difference: float, count: int) -> None:
    assert len(list(machine.check_clock(difference))) == count


def test_count_free_subnets_leaves_out_what_overlaps() -> None:
    pools = (("10.0.0.0/22", 24), ("fd00::/64", 80))
    assert machine.count_free_subnets(pools, []) == 4
    assert machine.count_free_subnets((("10.0.0.0/16", 24),), []) == 9  # no more are looked for
    assert machine.count_free_subnets(pools, ["10.0.0.0/23", "fd01::/64"]) == 2
    assert machine.count_free_subnets(pools, ["10.0.1.128/25", "10.0.0.0/24", "10.0.2.0/23"]) == 0
    assert machine.count_free_subnets((("10.9.0.0/24", 16),), []) == 1  # a pool smaller than its networks


def test_check_address_pools_tells_when_no_network_can_be_made() -> None:
    taken = [f"172.{number}.0.0/16" for number in range(17, 32)]
    assert list(machine.check_address_pools(machine.USUAL_POOLS, taken)) == []
    most = [*taken, "192.168.0.0/17", "192.168.128.0/18", "192.168.192.0/19"]
    (few,) = machine.check_address_pools(machine.USUAL_POOLS, most)
    assert (few.level, few.what) == ("warning", "the engine has addresses left for 2 networks more")
    (none,) = machine.check_address_pools(machine.USUAL_POOLS, [*taken, "192.168.0.0/16"])
    assert (none.level, none.what) == ("error", "the engine has addresses left for no network more")
    assert "fully subnetted" in none.why
    assert "docker network prune" in none.fix


@pytest.mark.parametrize(
    ("root", "address", "platform", "words"),
    [
        ("/home/me/shop", "http+docker://localhost", "linux", None),
        ("/srv/shop", "unix:///run/user/1000/podman/podman.sock", "linux", None),
        ("/home/me/shop", "tcp://docker:2375", "linux", "another machine's (tcp://docker:2375)"),
        ("/home/me/shop", "ssh://me@server", "darwin", "another machine's (ssh://me@server)"),
        ("/home/me/shop", "http+docker://localhost", "darwin", None),
        ("/opt/shop", "http+docker://localhost", "darwin", "/opt/shop is outside of /home/me"),
        ("/mnt/c/Users/me/shop", "http+docker://localhost", "linux", "on a disk of Windows"),
    ],
)
def test_check_place_tells_what_the_engine_may_not_see(
    root: str, address: str, platform: str, words: str | None
) -> None:
    found = list(machine.check_place(Path(root), address, HOME, platform))
    assert len(found) == (words is not None)
    assert all((words or "") in each.what and each.fix for each in found)
