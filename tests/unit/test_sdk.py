from __future__ import annotations

import io
import sys
import tarfile
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import docker.errors
import pytest
import requests

from haybale.errors import PrerequisiteError, ServiceError
from haybale.image_ref import ImageRef
from haybale.tools.engine import sdk

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SITE = ImageRef.parse("localhost:5000/site")


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Return a function that makes the engine's listing fail so many times."""

    def fail(times: int) -> None:
        left = [times]

        def images(_name: str, **_filters: Any) -> list[dict[str, Any]]:
            if left[0]:
                left[0] -= 1
                response = requests.Response()
                response.status_code = 404
                raise docker.errors.NotFound("404", response, "content digest sha256:1: not found")
            return [
                {"Id": "sha256:2", "RepoTags": [f"{SITE}:v1.0.0", "other:v2.0.0"], "RepoDigests": None},
                {"Id": "sha256:3", "RepoTags": [f"{SITE}:solr-k"], "RepoDigests": [f"{SITE}@sha256:4"]},
            ]

        monkeypatch.setattr(sdk, "client", lambda: SimpleNamespace(api=SimpleNamespace(images=images)))

    return fail


@pytest.mark.parametrize("times", [0, sdk.LISTING_ATTEMPTS - 1])
def test_repository_tags_asks_again_where_an_image_vanished_meanwhile(
    engine: Callable[[int], None], times: int
) -> None:
    engine(times)
    assert sdk.repository_tags(SITE) == {"v1.0.0": "sha256:2", "solr-k": "sha256:4"}


def test_repository_tags_never_takes_a_failed_listing_for_an_empty_one(engine: Callable[[int], None]) -> None:
    engine(sdk.LISTING_ATTEMPTS)
    with pytest.raises(PrerequisiteError, match="cannot list") as failure:
        sdk.repository_tags(SITE)
    assert failure.value.cause == "content digest sha256:1: not found"


def archive_of(member: tarfile.TarInfo, content: bytes = b"") -> tarfile.TarFile:
    """Return an archive with one part, as it is read from an engine."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    made.seek(0)
    return tarfile.open(fileobj=made, mode="r|")


@pytest.mark.parametrize(
    "has_filters",
    [
        True,
        pytest.param(
            False, marks=pytest.mark.skipif(sys.version_info >= (3, 12), reason="every such Python has them")
        ),
    ],
)
def test_extract_writes_a_file_with_and_without_python_s_filters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, has_filters: bool
) -> None:
    if not has_filters:
        monkeypatch.delattr(tarfile, "data_filter", raising=False)
    with archive_of(tarfile.TarInfo("index/segments"), b"abc") as archive:
        for member in archive:
            sdk._extract(archive, member, tmp_path)
    assert (tmp_path / "index/segments").read_bytes() == b"abc"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("../out", tarfile.REGTYPE),
        ("/etc/out", tarfile.REGTYPE),
        ("link", tarfile.SYMTYPE),
        ("null", tarfile.CHRTYPE),
    ],
)
def test_extract_refuses_what_leads_out_without_python_s_filters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, kind: bytes
) -> None:
    monkeypatch.delattr(tarfile, "data_filter", raising=False)
    part = tarfile.TarInfo(name)
    part.type, part.linkname = kind, "/etc/passwd"
    with archive_of(part) as archive:
        for member in archive:
            member.name = name
            with pytest.raises(ServiceError, match="no file or folder within its own"):
                sdk._extract(archive, member, tmp_path)
    assert not [*tmp_path.iterdir()]
