from __future__ import annotations

import dataclasses
from pathlib import Path

from haybale.image_ref import ImageRef
from haybale.images.build import StageBuild, format_timestamp

BUILD = StageBuild(
    stage="release",
    target="release",
    image=ImageRef.parse("localhost:5000/site:v1.2.3"),
    action="--load",
    dockerfile=Path("/repo/Dockerfile"),
    context=Path("/repo"),
    epoch=1_700_000_000,
)


CACHES = (ImageRef.parse("r/s:last"), ImageRef.parse("r/s:last-tester"))


def following(command: list[str], option: str) -> list[str]:
    return [command[at + 1] for at, word in enumerate(command) if word == option]


def test_command_names_the_image_and_ends_with_the_context() -> None:
    command = BUILD.command(quiet=False)
    assert command[:3] == ["docker", "buildx", "build"]
    assert command[-1] == "/repo"
    assert following(command, "--tag") == ["localhost:5000/site:v1.2.3"]
    assert following(command, "--target") == ["release"]
    assert "--load" in command


def test_command_has_no_attestations_unless_asked_for() -> None:
    assert {"--provenance=false", "--sbom=false"} <= set(BUILD.command(quiet=True))
    asked = dataclasses.replace(BUILD, provenance=True, sbom=True)
    assert {"--provenance=true", "--sbom=true"} <= set(asked.command(quiet=True))


def test_command_reads_every_cache_and_writes_one() -> None:
    build = dataclasses.replace(BUILD, cache_from=CACHES, cache_to=CACHES[-1])
    command = build.command(quiet=True)
    assert following(command, "--cache-from") == [
        "type=registry,ref=r/s:last",
        "type=registry,ref=r/s:last-tester",
    ]
    assert following(command, "--cache-to") == [
        "type=registry,ref=r/s:last-tester,mode=max,ignore-error=true"
    ]


def test_command_has_no_cache_options_without_a_cache() -> None:
    assert not [word for word in BUILD.command(quiet=True) if "cache" in word]


def test_command_takes_an_argument_without_a_value_from_the_environment() -> None:
    build = dataclasses.replace(BUILD, arguments={"CORE": "site", "HTTPS_PROXY": None})
    assert following(build.command(quiet=True), "--build-arg") == ["CORE=site", "HTTPS_PROXY"]


def test_command_puts_the_user_s_arguments_before_the_context() -> None:
    build = dataclasses.replace(BUILD, extra=("--no-cache", "--build-arg", "A=b c"))
    assert build.command(quiet=True)[-4:] == ["--no-cache", "--build-arg", "A=b c", "/repo"]


def test_format_timestamp_gives_utc() -> None:
    assert format_timestamp(0) == "1970-01-01T00:00:00Z"
    assert format_timestamp(1_700_000_000) == "2023-11-14T22:13:20Z"
