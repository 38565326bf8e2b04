"""CONTRIBUTING's map and the contract that lint checks are the same list, in the same order."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_contributing_lists_the_layers_of_the_contract_in_their_order() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layers = settings["tool"]["importlinter"]["contracts"][0]["layers"]
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    shown = re.search(r"^src/haybale/\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert shown is not None

    lines = re.findall(r"^  (\w(?:[\w./]|, )*)", shown[1], re.MULTILINE)
    mapped = [re.sub(r"/|\.py", "", name) for line in lines for name in line.split(", ")]

    assert mapped == [name for layer in layers if layer != "__main__" for name in layer.split(" | ")]
