"""What `doctor` says of the base images."""

from __future__ import annotations

from haybale.doctor.bases import describe_base
from haybale.image_ref import ImageRef

DIGEST = f"sha256:{'1' * 64}"


def test_describe_base_gives_the_name_that_pins_it() -> None:
    tagged = ImageRef.parse("python:3.13-slim")
    assert describe_base(tagged, None) == "python:3.13-slim (by tag)"
    shown = describe_base(tagged, DIGEST)
    assert shown == f"python:3.13-slim (by tag; by digest it is python:3.13-slim@{DIGEST})"
    pinned = ImageRef.parse(shown.rpartition(" ")[2].rstrip(")"))
    assert describe_base(pinned, DIGEST) == f"python:3.13-slim@{DIGEST} (by digest)"
