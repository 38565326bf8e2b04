from __future__ import annotations

from typing import TYPE_CHECKING

from haybale.tools import apt

if TYPE_CHECKING:
    from pathlib import Path


def test_parse_os_release_with_and_without_quotes() -> None:
    text = "# a comment\nID=debian\nVERSION_CODENAME=\"bookworm\"\nNAME='Debian GNU/Linux'\n"
    assert apt.parse_os_release(text) == {
        "ID": "debian",
        "VERSION_CODENAME": "bookworm",
        "NAME": "Debian GNU/Linux",
    }


def test_package_sources_read_other_files_only_where_the_usual_ones_are_empty(tmp_path: Path) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list.d/a.sources").write_text("Types: deb\nURIs: http://a.example\nSuites: x\n")
    (tmp_path / "sources.list").write_text("# moved to another file\n")
    assert [source.uris for source in apt.package_sources(tmp_path)] == ["http://a.example"]
    (tmp_path / "sources.list").write_text("deb http://own.example x main\n")
    assert [source.uris for source in apt.package_sources(tmp_path)] == ["http://own.example"]
    assert apt.package_sources(tmp_path / "nowhere") == ()


def test_stanza_keeps_a_key_within_a_source() -> None:
    text = "Types: deb\nURIs: http://a.example\nSuites: x\nSigned-By:\n -----BEGIN-----\n .\n abc\n"
    assert apt.parse_deb822(text)[0].stanza().endswith("Signed-By: \n -----BEGIN-----\n .\n abc\n")
