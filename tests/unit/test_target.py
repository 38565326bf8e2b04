from __future__ import annotations

import pytest

from haybale.requirements.target import marker_environment, wheel_platforms


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
