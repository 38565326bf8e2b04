"""Starting the site: what can be tested without one."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from haybale.loader.documents import django_setup
from haybale.loader.events import Failure


@pytest.mark.parametrize("call", ['("DJANGO_SETTINGS_MODULE", "a.b")', "('DJANGO_SETTINGS_MODULE' , 'a.b')"])
def test_settings_of_manage(tmp_path: Path, call: str) -> None:
    (tmp_path / "manage.py").write_text(f"import os\nos.environ.setdefault{call}\n")
    assert django_setup._settings_of_manage(str(tmp_path)) == "a.b"


def test_start_django_without_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", *sys.path, "/haybale"])
    monkeypatch.delenv("DJANGO_SETTINGS_MODULE", raising=False)
    with pytest.raises(Failure, match="DJANGO_SETTINGS_MODULE is not set"):
        django_setup.start_django()
    assert sys.path[0] == str(tmp_path), "the site's own modules come first"
    assert sys.path[-1] == "/haybale", "and none of them is hidden"


def test_site_frames_are_the_sites_where_there_are_any() -> None:
    def site() -> None:
        Path("/nowhere/at/all").read_text()

    with pytest.raises(FileNotFoundError) as caught:
        site()
    shown = django_setup.site_frames(caught.value)
    assert "in site" in shown
    assert "pathlib" not in shown
    assert shown.splitlines()[-1].startswith("FileNotFoundError: ")
