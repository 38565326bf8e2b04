"""Values that a search index may prepare, and that only Solr's text form brings to one denominator."""

# ruff: noqa: DTZ001 - sites have dates without a zone, and older Pythons

import datetime as dt
import decimal
import enum
import random
import uuid

from django.db.models import TextChoices
from django.utils.functional import lazystr
from django.utils.safestring import mark_safe
from django.utils.translation import gettext_lazy

CET = dt.timezone(dt.timedelta(hours=1))
FAR_WEST = dt.timezone(dt.timedelta(hours=-9, minutes=-30, seconds=-15))


class Grade(TextChoices):
    """A Django choice: its text is its value."""

    GOOD = "good", "Good hay"


class Size(enum.IntEnum):
    """An enumeration whose format() differs from its str() on some Pythons."""

    BIG = 3


class Colour(enum.Enum):
    """A plain enumeration."""

    YELLOW = "yellow"


class Measure(int):
    """A number that formats itself in another way than its text."""

    def __format__(self, form: str) -> str:
        """Return the number with its unit."""
        return f"{int(self)} kg"


VALUES = [
    None,
    "",
    " ",
    "\x00",
    b"",
    b"caf\xc3\xa9",
    b"\xff\xfe broken",
    "plain",
    "  kept  ",
    "line\r\nends\rand\nmore\r",
    "tab\tand \x0b control \x1f\x7f\x85 characters\x00",
    "<b>&amp; \"quotes\" ]]> 'all'</b>",
    "\u2028 \u2029 \ufeff \ufffe\uffff \ud800 lone \udfff",
    "\U0001f33e wheat \U0010ffff",
    "e\u0301 and \xe9",
    0,
    -0.0,
    1e22,
    1e-7,
    0.1 + 0.2,
    float("nan"),
    float("inf"),
    10**30,
    True,
    False,
    decimal.Decimal("1.10"),
    decimal.Decimal("1E+3"),
    decimal.Decimal("NaN"),
    dt.date(1, 1, 1),
    dt.date(2024, 2, 29),
    dt.datetime(2024, 2, 29, 23, 59, 59, 999999),
    dt.datetime(2024, 2, 29, 23, 59, 59, tzinfo=dt.timezone.utc),
    dt.datetime(2024, 3, 1, 0, 30, 0, 500, tzinfo=CET),
    dt.datetime(1850, 1, 1, 12, tzinfo=FAR_WEST),
    dt.time(12, 30),
    uuid.UUID(int=7),
    mark_safe("<i>safe</i>"),
    gettext_lazy("lazy"),
    lazystr(""),
    Grade.GOOD,
    Size.BIG,
    Measure(5),
    Colour.YELLOW,
    {"a": 1},
    [],
    [None, ""],
    ["one"],
    ["b", "", None, "a", "b", 3, 2.5, True],
    ("x", b"y", dt.date(2000, 1, 1)),
    {"in", "a", "set", ""},
    frozenset(["frozen"]),
    range(3),
    [["nested"], ("list",)],
]


def draw(chance: random.Random) -> object:
    """Return a value by chance: one of these, made-up text, or a list of both."""
    kind = chance.randrange(4)
    if kind == 0:
        return [draw_text(chance) for _ in range(chance.randrange(5))]
    if kind == 1:
        return draw_text(chance)
    if kind == 2:
        return chance.choice([float, int])(chance.uniform(-1e18, 1e18)) * chance.choice([1, 10**-12, 10**12])
    return chance.choice(VALUES)


def draw_text(chance: random.Random) -> str:
    """Return a text of any characters, most of them near the edges of what XML allows."""
    edges = (
        "\x00\x08\t\n\x0b\r\x1f ~\x7f\x80\x85\x9f\xa0\ud7ff\ud800\udfff\ue000\ufdd0\ufffd\ufffe\uffff<>&\"']"
    )
    return "".join(
        chance.choice(edges) if chance.random() < 0.5 else chr(chance.randrange(0x110000))
        for _ in range(chance.randrange(12))
    )
