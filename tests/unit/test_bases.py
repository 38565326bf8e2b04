from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from haybale.errors import BuildError
from haybale.image_ref import ImageRef
from haybale.images.bases import packages
from haybale.images.bases.base_image import BaseImage, ensure_base_image
from haybale.images.transfer import classify_refusal
from haybale.index.solr_classes import PACKAGED
from haybale.tools import apt, process
from haybale.tools.engine import sdk

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


class Machine:
    """An engine without images, a hub that answers in one way, and a note of what was done."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, hub: str, *, there: bool = False) -> None:
        self.done: list[str] = []
        self.said: list[str] = []
        self.hub = hub
        self.there = there
        monkeypatch.setattr(sdk, "find_image", self.image)
        monkeypatch.setattr(process, "run", self.run)
        # Whoever runs the tests may keep logins in a program.
        monkeypatch.setenv("DOCKER_CONFIG", "/nowhere")
        monkeypatch.setattr(packages, "build_base_image", self.build)

    def image(self, _ref: str) -> sdk.ImageInfo | None:
        return sdk.ImageInfo(id="sha256:1", digest="sha256:2", labels={}) if self.there else None

    def run(self, command: Sequence[str], *, env: Mapping[str, str]) -> process.Completed:
        assert not env, "there is no login for the hub"
        self.done.append(" ".join(command))
        self.there = not self.hub
        return process.Completed(code=1 if self.hub else 0, stderr=self.hub)

    def build(self, name: ImageRef, kind: str, _env: object, _say: object) -> None:
        self.done.append(f"build {kind} {name}")
        self.there = True

    def ensure(self, name: str, kind: str) -> BaseImage:
        return ensure_base_image(ImageRef.parse(name), kind, {}, self.said.append)


def test_ensure_base_image_uses_the_engine_s_image(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, "no hub", there=True)
    found = machine.ensure("solr:9.10.1-slim", "solr")
    assert found == BaseImage(name=ImageRef.parse("solr:9.10.1-slim"), digest="sha256:2", origin="local")
    assert (machine.done, machine.said) == ([], [])


def test_ensure_base_image_pulls_what_the_hub_has(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, "")
    assert machine.ensure("python:3.12", "python").origin == "pulled"
    assert machine.done == ["docker pull --quiet python:3.12"]


@pytest.mark.parametrize("hub", ["dial tcp: no such host", "x: not found"])
def test_ensure_base_image_builds_without_a_hub_and_says_why(
    monkeypatch: pytest.MonkeyPatch, hub: str
) -> None:
    machine = Machine(monkeypatch, hub)
    assert machine.ensure("python:3.13-slim", "python").origin == "packages"
    assert machine.done[1:] == ["build python python:3.13-slim"]
    assert classify_refusal(hub).value in machine.said[-1]


@pytest.mark.parametrize(
    ("hub", "step"), [("toomanyrequests", "docker login"), ("401: unauthorized", "login")]
)
def test_ensure_base_image_builds_nothing_where_the_hub_refuses(
    monkeypatch: pytest.MonkeyPatch, hub: str, step: str
) -> None:
    machine = Machine(monkeypatch, f"first line\n{hub}")
    with pytest.raises(BuildError, match=r"solr:9\.10\.1-slim could not be pulled") as told:
        machine.ensure("solr:9.10.1-slim", "solr")
    assert told.value.cause == hub
    assert step in told.value.hint
    assert len(machine.done) == 1


@pytest.mark.parametrize(
    ("ref", "kind", "buildable"),
    [
        ("solr:10", "solr", "solr:9.10.1-slim"),
        ("solr:9.10.0", "solr", "solr:9.10.1-slim, solr:9.10.1"),
        ("python:3.12-slim", "python", "python:3.13-slim"),
        ("python:3.13-slim", "solr", "solr:9.10.1-slim"),
        ("registry.example/python:3.13-slim", "python", "python:3.13-slim"),
    ],
)
def test_ensure_base_image_says_what_can_be_built(
    monkeypatch: pytest.MonkeyPatch, ref: str, kind: str, buildable: str
) -> None:
    machine = Machine(monkeypatch, "dial tcp: no such host")
    with pytest.raises(BuildError, match=re.escape(ref)) as told:
        machine.ensure(ref, kind)
    assert buildable in told.value.cause
    assert f"{kind.upper()}_IMAGE" in told.value.hint
    assert len(machine.done) == 1


def test_ensure_base_image_builds_an_image_by_its_long_name(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, "dial tcp: no such host")
    assert machine.ensure("docker.io/library/python:3.13-slim", "python").origin == "packages"


def test_package_sources_are_those_of_a_debian_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    text = (
        "Types: deb\nURIs: http://m.example/debian\nSuites: bookworm bookworm-updates\nSigned-By: /k.gpg\n\n"
        "Types: deb\nURIs: http://m.example/security\nSuites: bookworm-security\n\n"
        "Types: deb\nURIs: http://third.example\nSuites: nodistro\n"
    )
    monkeypatch.setattr(apt, "package_sources", lambda: apt.parse_deb822(text))
    monkeypatch.setattr(apt, "read_os_release", lambda: {"ID": "debian", "VERSION_CODENAME": "bookworm"})
    found = packages.package_sources("trixie")
    assert "URIs: http://m.example/debian\nSuites: trixie trixie-updates\n" in found
    assert "Signed-By: /k.gpg" in found
    assert "URIs: http://m.example/security\nSuites: trixie-security\n" in found
    assert "third" not in found
    monkeypatch.setattr(apt, "read_os_release", lambda: {"ID": "ubuntu", "VERSION_CODENAME": "noble"})
    assert packages.package_sources("trixie") == ""


def test_each_python_is_that_of_its_debian_release() -> None:
    # packages.debian.org: bullseye (11) has Python 3.9, bookworm (12) 3.11, trixie (13) 3.13.
    found = {name: each.system.suite for each in packages.RECIPES["python"] for name in each.images}
    assert found == {
        "python:3.9-slim": "bullseye", "python:3.9-slim-bullseye": "bullseye",
        "python:3.11-slim": "bookworm", "python:3.11-slim-bookworm": "bookworm",
        "python:3.13-slim": "trixie", "python:3.13-slim-trixie": "trixie",
    }  # fmt: skip


def test_solr_s_image_without_slim_is_the_stage_with_modules() -> None:
    stages = re.findall(
        r"^FROM \S+ AS (\S+)$", (packages.SOLR_CONTEXT / "Dockerfile").read_text(), re.MULTILINE
    )
    targets = {each.images: each.target for each in packages.RECIPES["solr"]}
    assert targets == {("solr:9.10.1-slim",): "solr", ("solr:9.10.1",): "solr-with-modules"}
    assert {*targets.values()} <= {*stages}


def test_solr_s_modules_are_those_that_messages_say_are_built() -> None:
    modules = packages.SOLR_CONTEXT / "modules"
    assert {each.name for each in modules.iterdir()} == PACKAGED
    for module in modules.iterdir():
        assert (module / "pom.xml").is_file()
        assert all(line.endswith(".jar") for line in (module / "jars.sha256").read_text().splitlines())


def test_mmdebstrap_names_packages_release_and_sources() -> None:
    python = packages.python_system("bookworm")
    command = packages.mmdebstrap(python, Path("/x/root.tar"), Path("/x/debian.sources"))
    assert command[-3:] == ["bookworm", "/x/root.tar", "/x/debian.sources"]
    assert "python-is-python3" in command[2]
    assert packages.mmdebstrap(packages.JAVA, Path("/x/root.tar"), None)[-1] == "/x/root.tar"


def test_buildx_options_pass_just_the_secrets_and_proxies_that_there_are() -> None:
    assert packages.buildx_options({"ca": None, "maven": None}, {"HOME": "/root"}) == []
    full = packages.buildx_options({"ca": Path("/ca"), "maven": Path("/m")}, {"HTTPS_PROXY": "http://p"})
    assert {"id=ca,src=/ca", "id=maven,src=/m", "HTTPS_PROXY"} <= set(full)


def test_jars_are_listed_once_each_with_their_digest() -> None:
    lines = (packages.SOLR_CONTEXT / "jars.sha256").read_text().splitlines()
    names = [line.split("  ")[1] for line in lines]
    assert all(re.fullmatch(r"[0-9a-f]{64}  [\w.-]+\.jar", line) for line in lines)
    assert len(set(names)) == len(names)
    assert {"solr-core-9.10.1.jar", "jetty-xml-10.0.26.jar", "log4j-core-2.25.3.jar"} <= set(names)
    assert hashlib.sha256(b"").hexdigest() not in " ".join(lines)


def test_build_base_image_removes_temporary_images_after_ctrl_c(monkeypatch: pytest.MonkeyPatch) -> None:
    removed: list[str] = []
    monkeypatch.setattr(sdk, "remove_image", removed.append)

    def interrupted(_wanted: packages.System, _name: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(packages, "import_system", interrupted)
    with pytest.raises(KeyboardInterrupt):
        packages.build_base_image(ImageRef.parse("solr:9.10.1-slim"), "solr", {}, lambda _: None)
    assert sorted(name.partition(":")[0] for name in removed) == ["haybale-base-solr", "haybale-base-system"]


def test_build_base_image_reports_the_first_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def gone(reference: str) -> None:
        asked.append(reference)
        raise ConnectionError("the engine is gone")

    def fail(*_: object, **__: object) -> None:
        raise BuildError("the first failure")

    monkeypatch.setattr(sdk, "remove_image", gone)
    monkeypatch.setattr(packages, "import_system", lambda *_: None)
    monkeypatch.setattr(packages, "build_on", fail)
    with pytest.raises(BuildError, match="the first failure"):
        packages.build_base_image(ImageRef.parse("solr:9.10.1-slim"), "solr", {}, lambda _: None)
    assert len(asked) == 2


@pytest.mark.parametrize("failing", ["import_system", "check"])
def test_build_base_image_tags_only_what_works(monkeypatch: pytest.MonkeyPatch, failing: str) -> None:
    tagged: list[str] = []
    monkeypatch.setattr(sdk, "remove_image", lambda _: None)
    monkeypatch.setattr(sdk, "tag_image", lambda _, target: tagged.append(str(target)))

    def work(*_: object) -> None:
        pass

    def fail(*_: object) -> None:
        raise BuildError("it does not work")

    def build(**steps: Callable[..., None]) -> None:
        recipes = [replace(each, check=steps.get("check", work)) for each in packages.RECIPES["python"]]
        monkeypatch.setattr(packages, "RECIPES", {"python": recipes})
        monkeypatch.setattr(packages, "import_system", steps.get("import_system", work))
        packages.build_base_image(ImageRef.parse("python:3.13-slim"), "python", {}, lambda _: None)

    build()
    assert tagged.pop() == "python:3.13-slim"
    with pytest.raises(BuildError, match="it does not work"):
        build(**{failing: fail})
    assert tagged == []


def test_import_system_says_how_to_install_mmdebstrap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        process, "find_executable", lambda name: "/usr/bin/apt-get" if name == "apt-get" else None
    )
    monkeypatch.setattr(apt, "is_root", lambda: False)
    with pytest.raises(BuildError, match="mmdebstrap") as told:
        packages.import_system(packages.JAVA, "x")
    assert "apt-get install mmdebstrap" in told.value.hint
