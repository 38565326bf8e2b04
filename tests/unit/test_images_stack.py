from __future__ import annotations

import pytest

from haybale.images.stack import creates_containers


@pytest.mark.parametrize(
    ("line", "creates"),
    [
        ("up -d", True),
        ("--profile extra up", True),
        ("run --rm web ps", True),
        ("", False),
        ("ps --all", False),
        ("exec web sh -c up", False),
        ("exec web run up", False),
        ("logs -f create", False),
        ("down -v", False),
        ("--help", False),
    ],
)
def test_creates_containers_looks_at_the_first_command(line: str, creates: bool) -> None:
    assert creates_containers(line.split()) is creates
