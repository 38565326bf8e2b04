from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest

from haybale.files import add_stamp, is_as_stamped, stamped_writer, write_atomically

if TYPE_CHECKING:
    from pathlib import Path


def test_write_atomically_replaces_a_file_and_makes_its_folder(tmp_path: Path) -> None:
    target = tmp_path / "new" / "file.txt"

    write_atomically(target, "first\r\n")
    write_atomically(target, b"second", mode=0o600)

    assert target.read_bytes() == b"second"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert [each.name for each in target.parent.iterdir()] == ["file.txt"]


def test_write_atomically_writes_text_as_utf8_with_its_line_ends(tmp_path: Path) -> None:
    write_atomically(tmp_path / "file.txt", "né\r\n")

    assert (tmp_path / "file.txt").read_bytes() == b"n\xc3\xa9\r\n"


def test_write_atomically_leaves_nothing_when_it_fails(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    (target / "inside").mkdir(parents=True)

    with pytest.raises(OSError, match="folder"):
        write_atomically(target, "content")

    assert [each.name for each in tmp_path.iterdir()] == ["folder"]


def test_is_as_stamped_tells_whether_somebody_changed_a_file() -> None:
    text = add_stamp("a: 1\n", "somebody 1.2.3")

    assert is_as_stamped(text)
    assert stamped_writer(text) == "somebody 1.2.3"
    assert not is_as_stamped(text.replace("a: 1", "a: 2"))
    assert not is_as_stamped(text + "b: 2\n")
    assert not is_as_stamped("a: 1\n")
    assert not is_as_stamped("")
    assert stamped_writer("a: 1\n") is None
