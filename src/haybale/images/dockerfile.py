"""A Dockerfile's stages, as BuildKit reads them."""

from __future__ import annotations

import difflib
import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from haybale.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

# BuildKit, frontend/dockerfile/parser: directives.go, parser.go ("reHeredoc", "lineContinuationRegex").
DIRECTIVE = re.compile(r"#\s*(?P<key>syntax|escape|check)\s*=\s*(?P<value>.+?)\s*", re.IGNORECASE)
# Blanks after << are newer there; a number after them is taken for a shift in the shell's arithmetic.
HEREDOC = re.compile(r"""[0-9]*<<(?P<dash>-?)(?:\s+(?=["'A-Za-z_]))?(?P<word>[^<\s][^<]*)""")
HEREDOC_INSTRUCTIONS = ("RUN", "COPY", "ADD")

# A word of a line, with what is quoted or escaped in it, and blanks after <<. In the JSON form of an
# instruction everything is quoted: it begins no heredoc.
WORD = re.compile(r"""(?:<<\s*|'[^']*'|"(?:\\.|[^"\\])*"|\\.|\S)+""")

STAGE = re.compile(r"FROM\s+(?:--\S+\s+)*\S+(?:\s+AS\s+(?P<name>\S+))?\s*", re.IGNORECASE)
NAME = re.compile(r"[a-z][a-z0-9_.-]*")


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A stage: its name in lower case (None: it has none), its line, its instructions, the FROM first."""

    name: str | None
    line: int
    instructions: list[str]


def stage_names(file: Path) -> tuple[str, ...]:
    """Return the names of a Dockerfile's stages, in their order; raises as `parse_stages` does."""
    _, stages = parse_stages(_read(file), str(file))
    return tuple(stage.name for stage in stages if stage.name)


def required_instructions(file: Path, wanted: Sequence[str]) -> str:
    """Return the instructions of the `wanted` stages, and of the stages that they are made of, a line each.

    What stands before the first FROM comes first. Comments, blank lines and line breaks do not show. Raises
    `ConfigError` as `parse_stages` does, and where there is no such stage.
    """
    before, stages = parse_stages(_read(file), str(file))
    # A stage goes by its number too.
    numbers = {name: at for at, stage in enumerate(stages) for name in (str(at), stage.name) if name}
    for name in wanted:
        if name not in numbers:
            known = ", ".join(stage.name for stage in stages if stage.name) or "none with a name"
            raise ConfigError(f"{file}: there is no stage {name!r}", cause=f"there are: {known}")
    found: set[int] = set()
    left = [numbers[name] for name in wanted]
    while left:
        number = left.pop()
        if number not in found:
            found.add(number)
            sources = [each for line in stages[number].instructions for each in _file_sources(line)]
            names = [_resolve_argument(each, before) for each in sources]
            left += [numbers[name] for name in names if name in numbers]
    lines = [*before, *(line for number in sorted(found) for line in stages[number].instructions)]
    return "\n".join(_normalize_blanks(line) for line in lines)


def parse_stages(text: str, file: str) -> tuple[list[str], list[Stage]]:
    """Return the instructions before the first FROM, and the stages; `file` is the name for errors.

    Raises `ConfigError` with the line of a doubled or invalid name, of an invalid FROM and of a heredoc
    without end, and where there is no FROM at all.
    """
    before: list[str] = []
    stages: list[Stage] = []
    for line, instruction in instructions(text, file):
        if _verb(instruction)[0] == "FROM":
            name = _stage_name(instruction, f"{file}:{line}")
            double = next((stage for stage in stages if name and stage.name == name), None)
            if double:
                message = f"{file}:{line}: the stage {name!r} already exists, in line {double.line}"
                raise ConfigError(message, hint="give one of them another name")
            stages.append(Stage(name=name, line=line, instructions=[]))
        (stages[-1].instructions if stages else before).append(instruction)
    if not stages:
        raise ConfigError(f"{file}: there is no FROM in it", cause="it is empty, or not a Dockerfile")
    return before, stages


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{file} cannot be read: {error}",
            cause="there is no Dockerfile there",
            hint="write one, or correct the setting `dockerfile`",
        ) from error


def _stage_name(instruction: str, place: str) -> str | None:
    """Return the name that a FROM gives its stage."""
    match = STAGE.fullmatch(instruction)
    if match is None:
        raise ConfigError(f"{place}: cannot be read: {instruction}", cause="its form is FROM IMAGE [AS NAME]")
    name = match["name"]
    if name and not NAME.fullmatch(name.lower()):
        raise ConfigError(
            f"{place}: {name!r} cannot be a stage's name",
            cause="it begins with a letter, and has letters, digits, _ . and - only",
            hint="give it another name",
        )
    return name.lower() if name else None


def _normalize_blanks(instruction: str) -> str:
    """Return an instruction with its blanks as single ones, where none of them can be in quotes."""
    first, newline, body = instruction.partition("\n")
    return (first if "'" in first or '"' in first else " ".join(first.split())) + newline + body


def _file_sources(instruction: str) -> Iterator[str]:
    """Yield what an instruction takes its files from: names of stages, and of what is none."""
    verb, rest = _verb(instruction)
    if verb == "FROM":
        yield next((word for word in rest.split() if not word.startswith("--")), "")
    for found in re.findall(r"--from=(\S+)|--mount=\S*?\bfrom=([^,\s]+)", rest.split("\n")[0]):
        yield "".join(found)


def _resolve_argument(name: str, before: Sequence[str]) -> str:
    """Return a stage's name in small letters; ${NAME} is what the ARG before the first FROM says."""
    pattern = r"^ARG\s+(\w+)=[\"']?([^\s\"']*)"
    defaults = dict(re.findall(pattern, "\n".join(before), re.MULTILINE | re.IGNORECASE))
    return re.sub(r"\$\{?(\w+)\}?", lambda found: defaults.get(found[1], found[0]), name).lower()


def instructions(text: str, name: str) -> Iterator[tuple[int, str]]:
    """Yield each instruction on one line, heredocs' bodies on lines after it, with its first line's number.

    `name` is the file's, for errors.
    """
    # Not splitlines: a form feed or a line separator ends no line of a Dockerfile.
    lines = [line.rstrip("\r") for line in text.removeprefix("\ufeff").split("\n")]
    escape = re.escape(_escape(lines, name))
    continued = re.compile(rf"(^|[^{escape}]){escape}[ \t]*$")
    at = 0
    while at < len(lines):
        start = at
        instruction, is_continued = "", True
        while is_continued and at < len(lines):
            # Only the first line loses its leading blanks; the next ones separate words with them.
            line = lines[at] if at > start else lines[at].lstrip()
            at += 1
            # Comments and empty lines between continued lines are no part of the instruction.
            if line.lstrip().startswith("#") or (not line.strip() and at - 1 > start):
                is_continued = at - 1 > start
                continue
            line, cut = continued.subn(r"\1", line)
            instruction += line
            is_continued = cut > 0
        if instruction.strip():
            body = at
            at = _after_heredocs(instruction, lines, at, f"{name}:{start + 1}")
            yield start + 1, "\n".join([instruction.strip(), *lines[body:at]])


def _escape(lines: Sequence[str], name: str) -> str:
    """Return the escape character: directives stand first, before any comment or empty line."""
    for number, line in enumerate(lines, start=1):
        match = DIRECTIVE.fullmatch(line.strip())
        if match is None:
            break
        if match["key"].lower() == "escape":
            if match["value"] not in {"\\", "`"}:
                raise ConfigError(f"{name}:{number}: the escape character is {match['value']!r}, not \\ or `")
            return match["value"]
    return "\\"


def _after_heredocs(instruction: str, lines: Sequence[str], at: int, place: str) -> int:
    """Return the line after the heredocs of an instruction; they end in the order that they began in."""
    for dash, word in heredocs(instruction):
        while at < len(lines) and (lines[at].lstrip("\t") if dash else lines[at]) != word:
            at += 1
        if at == len(lines):
            cause = f"there is no line with {word} alone after it"
            raise ConfigError(f"{place}: the heredoc <<{word} never ends", cause=cause, hint="add it")
        at += 1
    return at


def heredocs(instruction: str) -> list[tuple[bool, str]]:
    """Return an instruction's heredocs: whether tabs before the end are dropped, and the end itself."""
    verb, rest = _verb(instruction)
    if verb == "ONBUILD":
        verb, rest = _verb(rest)
    if verb not in HEREDOC_INSTRUCTIONS:
        return []
    found = []
    for each in WORD.findall(rest):
        match = HEREDOC.fullmatch(each)
        try:
            words = shlex.split(match["word"]) if match else []
        except ValueError:  # a quote without its end
            words = []
        if match and len(words) == 1:
            found.append((match["dash"] == "-", words[0]))
    return found


def _verb(instruction: str) -> tuple[str, str]:
    """Return an instruction's verb, in capitals, and what stands after it."""
    verb, *rest = instruction.split(maxsplit=1)
    return verb.upper(), "".join(rest)


def raise_if_unknown(stage: str, known: Sequence[str]) -> None:
    """Raise `UsageError` where a stage is not one of the `known`."""
    if stage in known:
        return
    near = difflib.get_close_matches(stage, known, n=1)
    raise UsageError(
        f"there is no stage {stage!r}",
        cause=f"the Dockerfile has {', '.join(known)}",
        hint=f"did you mean {near[0]!r}?" if near else "name one of them",
    )
