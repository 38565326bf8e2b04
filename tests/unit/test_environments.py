from __future__ import annotations

import pytest

from haybale.index import stack as environments


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
def test_only_what_makes_containers_makes_what_they_need(line: str, creates: bool) -> None:
    assert environments.creates(line.split()) is creates
