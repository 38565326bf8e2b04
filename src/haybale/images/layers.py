"""The Dockerfile's layers: the names of its stages, as BuildKit would read them."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING

from haybale.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# Dockerfile reference: "Parser directives", "Here-documents", "FROM".
ESCAPE = re.compile(r"#\s*escape\s*=\s*(?P<character>[\\`])\s*$", re.IGNORECASE)
DIRECTIVE = re.compile(r"#\s*[a-z]+\s*=", re.IGNORECASE)
HEREDOC = re.compile(r"""(?<!<)\d*<<(?P<dash>-?)\s*(?P<quote>["']?)(?P<word>[A-Za-z0-9_.]+)(?P=quote)""")
TAKES_HEREDOCS = ("RUN", "COPY", "ADD")
STAGE = re.compile(
    r"FROM\s+(?:--\S+\s+)*\S+(?:\s+AS\s+(?P<name>\S+))?\s*$",
    re.IGNORECASE,
)


def layers(text: str, name: str) -> tuple[str, ...]:
    """Return the names of a Dockerfile's stages in their order, in lower case; unnamed stages have none.

    `name` is the file's, for errors. Raises `ConfigError` with the line of a doubled name or of a FROM that
    can't be read, and where there is no FROM at all.
    """
    found: dict[str, int] = {}
    stages = 0
    for number, instruction in instructions(text):
        if instruction.split(maxsplit=1)[0].upper() != "FROM":
            continue
        match = STAGE.fullmatch(instruction)
        if match is None:
            raise ConfigError(
                f"{name}:{number}: can't be read: {instruction}", cause="its form is FROM IMAGE [AS NAME]"
            )
        stages += 1
        stage = (match["name"] or "").lower()
        if stage in found:
            raise ConfigError(
                f"{name}:{number}: the stage {stage!r} is there already, in line {found[stage]}",
                step="give one of them another name",
            )
        if stage:
            found[stage] = number
    if not stages:
        raise ConfigError(f"{name}: there is no FROM in it", cause="it is empty, or no Dockerfile")
    return tuple(found)


def instructions(text: str) -> Iterator[tuple[int, str]]:
    """Yield each instruction on one line, with the number of its first line, without heredocs' bodies."""
    lines = text.splitlines()
    escape = _escape(lines)
    at = 0
    while at < len(lines):
        start = at
        parts: list[str] = []
        while at < len(lines):
            line = lines[at].strip()
            at += 1
            # Comments and empty lines between continued lines are no part of the instruction.
            if not line or line.startswith("#"):
                if parts:
                    continue
                break
            if not line.endswith(escape):
                parts.append(line)
                break
            parts.append(line.removesuffix(escape).rstrip())
        instruction = " ".join(part for part in parts if part)
        if not instruction:
            continue
        at = _after_heredocs(instruction, lines, at)
        yield start + 1, instruction


def _escape(lines: Sequence[str]) -> str:
    """Return the escape character: directives stand first, before any comment or empty line."""
    for line in lines:
        match = ESCAPE.match(line.strip())
        if match:
            return match["character"]
        if not DIRECTIVE.match(line.strip()):
            break
    return "\\"


def _after_heredocs(instruction: str, lines: Sequence[str], at: int) -> int:
    """Return the line after the heredocs of an instruction; they end in the order that they began in."""
    if instruction.split(maxsplit=1)[0].upper() not in TAKES_HEREDOCS:
        return at
    for heredoc in HEREDOC.finditer(instruction):
        while at < len(lines):
            line = lines[at].lstrip("\t") if heredoc["dash"] else lines[at]
            at += 1
            if line == heredoc["word"]:
                break
    return at


def check(layer: str, known: Sequence[str]) -> None:
    """Raise `UsageError` where there is no such layer."""
    if layer in known:
        return
    near = difflib.get_close_matches(layer, known, n=1)
    raise UsageError(
        f"there is no layer {layer!r}",
        cause=f"the Dockerfile has {', '.join(known)}",
        step=f"did you mean {near[0]!r}?" if near else "name one of them",
    )
