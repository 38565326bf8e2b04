"""Finding the site: what can be said without Django."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import haybale

INSITE = Path(haybale.__file__).parent / "loader"
sys.path.append(str(INSITE))

import haybale_site  # noqa: E402 - found only now
from haybale_events import Failure  # noqa: E402 - found only now


@pytest.mark.parametrize("call", ['("DJANGO_SETTINGS_MODULE", "a.b")', "('DJANGO_SETTINGS_MODULE' , 'a.b')"])
def test_the_settings_that_manage_py_names(tmp_path: Path, call: str) -> None:
    (tmp_path / "manage.py").write_text(f"import os\nos.environ.setdefault{call}\n")
    assert haybale_site._settings_of_manage(str(tmp_path)) == "a.b"


def test_no_settings_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(INSITE), *sys.path])
    monkeypatch.delenv("DJANGO_SETTINGS_MODULE", raising=False)
    with pytest.raises(Failure, match="DJANGO_SETTINGS_MODULE is not set"):
        haybale_site.setup()
    assert sys.path[0] == str(tmp_path), "the site's own modules come first"
    assert sys.path[-1] == str(INSITE), "and none of them is hidden"


def test_frames_are_the_sites_where_there_are_any() -> None:
    def site() -> None:
        Path("/nowhere/at/all").read_text()

    with pytest.raises(FileNotFoundError) as caught:
        site()
    shown = haybale_site.frames(caught.value)
    assert "in site" in shown
    assert "pathlib" not in shown
    assert shown.splitlines()[-1].startswith("FileNotFoundError: ")
