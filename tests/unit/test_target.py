from __future__ import annotations

import pytest

from haybale.config import ImageSettings, RequirementsSettings, Settings
from haybale.errors import ConfigError
from haybale.requirements.target import find_python, marker_environment, wheel_platforms


def settings(image: str, python: str | None = None) -> Settings:
    return Settings(
        name="s",
        registry="r",
        images=ImageSettings(python=image),
        requirements=RequirementsSettings(python=python),
    )


@pytest.mark.parametrize(
    ("image", "python"),
    [("python:3.11-slim", "3.11"), ("r.example/python:3.9.18-bookworm", "3.9.18"), ("python:3.13", "3.13")],
)
def test_find_python_reads_the_image_s_tag(image: str, python: str) -> None:
    assert find_python(settings(image)) == python
    assert find_python(settings(image, "3.10")) == "3.10"


@pytest.mark.parametrize("image", ["python:3", "python:slim", "site-base:v3.11", "python:3.13.1.4"])
def test_find_python_asks_where_the_tag_does_not_say_it(image: str) -> None:
    with pytest.raises(ConfigError, match="not known which Python") as raised:
        find_python(settings(image))
    assert "[tool.haybale.requirements]" in raised.value.hint


@pytest.mark.parametrize(
    ("python", "short", "full"),
    [("3.13", "3.13", "3.13.0"), ("3.13.4", "3.13", "3.13.4"), ("3.9", "3.9", "3.9.0")],
)
def test_marker_environment_is_that_of_the_image_s_python(python: str, short: str, full: str) -> None:
    found = marker_environment(python, "aarch64")
    assert (found["python_version"], found["python_full_version"]) == (short, full)
    assert found["implementation_version"] == full
    assert (found["sys_platform"], found["platform_machine"]) == ("linux", "aarch64")


def test_wheel_platforms_has_every_older_glibc_newest_first() -> None:
    tags = wheel_platforms("x86_64")
    assert tags.index("manylinux_2_28_x86_64") < tags.index("manylinux_2_17_x86_64")
    assert {"manylinux2014_x86_64", "manylinux1_x86_64", "linux_x86_64"} <= set(tags)
