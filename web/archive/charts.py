"""Numbers for the pictures that templates draw in SVG; the content policy allows no sizes in styles."""

from typing import NamedTuple

WIDTH, HEIGHT = 720, 150
_ROW = 240  # the width of a bar in a list


class Bar(NamedTuple):
    """A bar and what it stands for."""

    label: str
    value: int
    x: float
    y: float
    width: float
    height: float


def lengths(addresses: list[tuple[int, int, int]]) -> dict[str, object]:
    """Draw (sequence, year, words) side by side, as high as they are long."""
    longest = max((words for *_, words in addresses), default=1)
    step = WIDTH / max(len(addresses), 1)
    drawn = []
    ticks = []
    for place, (_sequence, year, words) in enumerate(addresses):
        height = round(max(1.0, words / longest * HEIGHT), 1)
        drawn.append(
            Bar(str(year), words, round(place * step, 2), HEIGHT - height, round(step * 0.72, 2), height)
        )
        if year % 50 == 0 and not any(tick[0] == year for tick in ticks):
            ticks.append((year, round(place * step, 1)))
    return {"bars": drawn, "ticks": ticks, "width": WIDTH, "height": HEIGHT, "full_height": HEIGHT + 22}


def bars(counts: list[tuple[int, int]]) -> list[Bar]:
    """Draw (decade, count) one below the other."""
    most = max((count for _start, count in counts), default=0) or 1
    return [Bar(f"{start}s", count, 0, 0, round(count / most * _ROW, 1), 10) for start, count in counts]
