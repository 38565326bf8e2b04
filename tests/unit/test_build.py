from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from haybale.images import build

PLAN = build.Plan(
    layer="release",
    image="localhost:5000/site:v1.2.3",
    action="--load",
    dockerfile=Path("/repo/Dockerfile"),
    context=Path("/repo"),
    epoch=1_700_000_000,
)


def following(command: list[str], option: str) -> list[str]:
    return [command[at + 1] for at, word in enumerate(command) if word == option]


def test_the_context_is_last_and_the_image_named() -> None:
    command = build.command(PLAN, quiet=False)
    assert command[:3] == ["docker", "buildx", "build"]
    assert command[-1] == "/repo"
    assert following(command, "--tag") == ["localhost:5000/site:v1.2.3"]
    assert following(command, "--target") == ["release"]
    assert "--load" in command


def test_attestations_are_off_unless_asked_for() -> None:
    assert {"--provenance=false", "--sbom=false"} <= set(build.command(PLAN, quiet=True))
    asked = dataclasses.replace(PLAN, provenance=True, sbom=True)
    assert {"--provenance=true", "--sbom=true"} <= set(build.command(asked, quiet=True))


def test_a_cache_is_read_from_every_reference_and_written_whole_to_one() -> None:
    plan = dataclasses.replace(PLAN, cache_from=("r/s:last", "r/s:last-tester"), cache_to="r/s:last-tester")
    command = build.command(plan, quiet=True)
    assert following(command, "--cache-from") == [
        "type=registry,ref=r/s:last",
        "type=registry,ref=r/s:last-tester",
    ]
    assert following(command, "--cache-to") == [
        "type=registry,ref=r/s:last-tester,mode=max,ignore-error=true"
    ]


def test_without_a_cache_none_is_mentioned() -> None:
    assert not [word for word in build.command(PLAN, quiet=True) if "cache" in word]


def test_an_argument_without_a_value_comes_from_the_environment() -> None:
    plan = dataclasses.replace(PLAN, arguments={"CORE": "site", "HTTPS_PROXY": ""})
    assert following(build.command(plan, quiet=True), "--build-arg") == ["CORE=site", "HTTPS_PROXY"]


def test_what_the_user_adds_stands_before_the_context() -> None:
    plan = dataclasses.replace(PLAN, extra=("--no-cache", "--build-arg", "A=b c"))
    assert build.command(plan, quiet=True)[-4:] == ["--no-cache", "--build-arg", "A=b c", "/repo"]


def test_times_are_utc() -> None:
    assert build.timestamp(0) == "1970-01-01T00:00:00Z"
    assert build.timestamp(1_700_000_000) == "2023-11-14T22:13:20Z"


def test_a_machine_that_says_nothing_of_pip_passes_nothing(tmp_path: Path) -> None:
    assert build.pip_configuration({}, [tmp_path / "missing.conf"]) == ""


def test_only_what_reaches_packages_is_passed_and_the_environment_is_stronger(tmp_path: Path) -> None:
    file = tmp_path / "pip.conf"
    file.write_text(
        "[global]\nindex-url = https://one.example/simple\ncert = /etc/ca.pem\n"
        "[install]\ntrusted-host = one.example\n",
        encoding="utf-8",
    )
    made = build.pip_configuration({"PIP_INDEX_URL": "https://two.example/simple"}, [file])
    assert made.splitlines()[0] == "[global]"
    assert set(made.splitlines()[1:]) == {
        "index-url = https://two.example/simple",
        "trusted-host = one.example",
    }


@pytest.mark.parametrize(
    ("env", "last"),
    [
        ({"HOME": "/home/a"}, "/home/a/.config/pip/pip.conf"),
        ({"HOME": "/home/a", "XDG_CONFIG_HOME": "/x"}, "/x/pip/pip.conf"),
        ({"HOME": "/home/a", "PIP_CONFIG_FILE": "/y.conf"}, "/y.conf"),
    ],
)
def test_pip_s_files_are_looked_for_where_pip_does(env: dict[str, str], last: str) -> None:
    assert build.pip_files(env)[-1] == Path(last)
