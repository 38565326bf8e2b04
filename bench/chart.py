"""The chart of the results: an SVG that reads on light and on dark pages."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

WIDTH, LEFT, RIGHT = 760, 210, 150
BAR, GAP, GROUP = 24, 8, 58

STYLE = """
text { font: 14px system-ui, sans-serif; fill: #24292f }
.title { font-weight: 600; font-size: 16px }
.note { fill: #57606a; font-size: 12px }
.theirs { fill: #8c959f } .ours { fill: #2f7d32 } .floor { stroke: #b35900; stroke-width: 2 }
.floor-text { fill: #b35900; font-size: 12px }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .note { fill: #9198a1 } .theirs { fill: #6e7681 } .ours { fill: #57ab5a }
  .floor { stroke: #f0883e } .floor-text { fill: #f0883e }
}
"""


def draw_chart(
    groups: Sequence[tuple[str, Mapping[str, float], float, float]], names: Mapping[str, str]
) -> str:
    """Return the chart: for each group some bars.

    A group is its title, the seconds of each variant and of the floor, and how many times as fast as the
    first one ours is. `names` says what a variant is called; "ours" stands out.
    """
    parts = []
    y = 8
    for title, seconds, floor, ratio in groups:
        longest = max(*seconds.values(), floor)
        scale = (WIDTH - LEFT - RIGHT) / longest
        parts.append(f'<text class="title" x="0" y="{y + 16}">{escape(title)}</text>')
        y += 34
        top = y
        for variant, value in seconds.items():
            width = value * scale
            kind = "ours" if variant == "ours" else "theirs"
            faster = f" ({ratio:.2f} x as fast)" if variant == "ours" else ""
            parts.append(
                f'<text x="{LEFT - 10}" y="{y + 17}" text-anchor="end">{escape(names[variant])}</text>'
                f'<rect class="{kind}" x="{LEFT}" y="{y}" width="{width:.1f}" height="{BAR}" rx="3"/>'
                f'<text x="{LEFT + width + 8:.1f}" y="{y + 17}">{value:.1f} s{faster}</text>'
            )
            y += BAR + GAP
        x = LEFT + floor * scale
        parts.append(
            f'<line class="floor" x1="{x:.1f}" x2="{x:.1f}" y1="{top - 4}" y2="{y - GAP + 4}" '
            f'stroke-dasharray="4 3"/>'
            f'<text class="floor-text" x="{x:.1f}" y="{y + 10}" text-anchor="middle">'
            f"the floor: {floor:.1f} s</text>"
        )
        y += GROUP - GAP
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" width="{WIDTH}" height="{y}" '
        f'role="img" aria-label="Seconds to load an index"><style>{STYLE}</style>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )
