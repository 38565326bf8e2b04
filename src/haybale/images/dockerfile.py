"""A Dockerfile's stages, as BuildKit reads them."""

from __future__ import annotations

import csv
import difflib
import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from haybale.errors import ConfigError, UsageError
from haybale.images.dockerfile_words import (
    ANYTHING,
    BadWordError,
    expand,
    global_arguments,
    mount_sources,
    read_flags,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from haybale.config import Settings

# BuildKit, frontend/dockerfile/parser: directives.go, parser.go ("reHeredoc", "lineContinuationRegex").
DIRECTIVE = re.compile(r"#\s*(?P<key>syntax|escape|check)\s*=\s*(?P<value>.+?)\s*", re.IGNORECASE)
# Blanks after << are newer there; a number after them is taken for a shift in the shell's arithmetic.
HEREDOC = re.compile(r"""[0-9]*<<(?P<dash>-?)(?:\s+(?=["'A-Za-z_]))?(?P<word>[^<\s][^<]*)""")
HEREDOC_INSTRUCTIONS = ("RUN", "COPY", "ADD")

# Where the number of blanks between words says nothing. ENV NAME a  b and WORKDIR keep them.
BLANKS_SEPARATE = ("ADD", "ARG", "COPY", "FROM", "RUN")

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


@dataclass(frozen=True, kw_only=True)
class Dockerfile:
    """A Dockerfile: its escape character, the instructions before the first FROM, and its stages."""

    escape: str
    before: list[str]
    stages: list[Stage]


def build_arguments(settings: Settings) -> dict[str, str]:
    """Return what every build of a stage passes as build arguments; FROM sees those that an ARG declares."""
    images = settings.images
    core = {"CORE": settings.cores[0]} if settings.cores else {}
    return {"PYTHON_IMAGE": images.python, "SOLR_IMAGE": images.solr, **core}


def required_instructions(
    parsed: Dockerfile, file: str, wanted: Sequence[str], arguments: Mapping[str, str]
) -> str:
    """Return the instructions of the `wanted` stages, and of the stages they are made of, a line each.

    `file` is the Dockerfile's name for errors, `arguments` are the build arguments. What stands before the
    first FROM comes first. Comments, blank lines and line breaks do not show. Where it is not certain here
    which stage is meant, all that may be are there. Raises `ConfigError` where there is no such stage.
    """
    names = [stage.name for stage in parsed.stages]
    for name in wanted:
        if name not in names:
            known = ", ".join(filter(None, names)) or "none with a name"
            raise ConfigError(
                f"{file}: there is no stage {name!r}", cause=f"there are: {known}", hint="name one of these"
            )
    found = required_stages(parsed, [names.index(name) for name in wanted], arguments)
    lines = [*parsed.before, *(line for at in sorted(found) for line in parsed.stages[at].instructions)]
    return "\n".join(_normalize_blanks(line, parsed.escape) for line in lines)


def required_stages(parsed: Dockerfile, wanted: Sequence[int], arguments: Mapping[str, str]) -> set[int]:
    """Return the numbers of the `wanted` stages, and of the stages that they are made of."""
    stages, escape = parsed.stages, parsed.escape
    declared = [rest for verb, rest in map(_verb, parsed.before) if verb == "ARG"]
    try:
        variables = global_arguments(declared, arguments, escape)
    except BadWordError:
        return set(range(len(stages)))
    found: set[int] = set()
    left = list(wanted)
    while left:
        number = left.pop()
        if number in found:
            continue
        found.add(number)
        first, *others = stages[number].instructions
        base = re.compile(_base(first, variables, escape), re.DOTALL)
        left += [at for at, stage in enumerate(stages[:number]) if stage.name and base.fullmatch(stage.name)]
        for source in (source for line in others for source in _file_sources(line, escape)):
            pattern = re.compile(source, re.DOTALL | re.IGNORECASE)
            left += [at for at, stage in enumerate(stages) if _is_named(stage, at, pattern)]
    return found


def user_of(parsed: Dockerfile, name: str) -> str | None:
    """Return the last USER of a stage, or of those that it is made of; None where only its base says it."""
    wanted = name
    for stage in reversed(parsed.stages):
        if stage.name != wanted.lower():
            continue
        first, *others = map(_verb, stage.instructions)
        users = [rest for verb, rest in others if verb == "USER"]
        if users:
            return users[-1]
        wanted = next(word for word in first[1].split() if not word.startswith("--"))
    return None


def _is_named(stage: Stage, number: int, pattern: re.Pattern[str]) -> bool:
    """Whether a pattern fits a stage's name or number."""
    return any(pattern.fullmatch(name) for name in (stage.name, str(number)) if name)


def parse_dockerfile(text: str, file: str) -> Dockerfile:
    """Return a Dockerfile's parts; `file` is the name for errors.

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
        cause = f"it has {len(before)} instructions, and none of them begins a stage"
        raise ConfigError(
            f"{file}: there is no FROM in it", cause=cause, hint="begin it with FROM IMAGE AS NAME"
        )
    return Dockerfile(escape=_escape(_split_lines(text), file), before=before, stages=stages)


def read_dockerfile(file: Path) -> str:
    """Return a Dockerfile's text; raises `ConfigError` where it cannot be read."""
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
        raise ConfigError(
            f"{place}: cannot be read: {instruction}",
            cause="its form is FROM IMAGE [AS NAME]",
            hint="correct that line",
        )
    name = match["name"]
    if name and not NAME.fullmatch(name.lower()):
        raise ConfigError(
            f"{place}: {name!r} cannot be a stage's name",
            cause="it begins with a letter, and has letters, digits, _ . and - only",
            hint="give it another name",
        )
    return name.lower() if name else None


def _normalize_blanks(instruction: str, escape: str) -> str:
    """Return an instruction with its blanks as single ones, where they only separate words."""
    first, newline, body = instruction.partition("\n")
    has_exact_blanks = _verb(first)[0] not in BLANKS_SEPARATE or any(
        char in first for char in ("'", '"', escape)
    )
    return (first if has_exact_blanks else " ".join(first.split())) + newline + body


def _base(instruction: str, variables: Mapping[str, str], escape: str) -> str:
    """Return a regular expression for what a FROM may name."""
    image = next(word for word in _verb(instruction)[1].split() if not word.startswith("--"))
    try:
        return expand(image, variables, escape)
    except BadWordError:
        return ANYTHING


def _file_sources(instruction: str, escape: str) -> Iterator[str]:
    """Yield regular expressions for what an instruction takes files from: stages, and what is none."""
    verb, rest = _verb(instruction)
    if verb == "ONBUILD":
        yield from _file_sources(rest, escape) if rest else ()
        return
    for name, value in read_flags(rest, escape):
        try:
            sources = [value] if name == "from" else [*mount_sources(value)] if name == "mount" else []
        except csv.Error:
            sources = ["$"]
        # BuildKit has no variables there; what a newer one makes of them is not known.
        yield from (ANYTHING if "$" in source else re.escape(source) for source in sources)


def instructions(text: str, name: str) -> Iterator[tuple[int, str]]:
    """Yield each instruction on one line, heredocs' bodies on lines after it, with its first line's number.

    `name` is the file's, for errors.
    """
    lines = _split_lines(text)
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


def _split_lines(text: str) -> list[str]:
    # Not splitlines: a form feed or a line separator ends no line of a Dockerfile.
    return [line.rstrip("\r") for line in text.removeprefix("\ufeff").split("\n")]


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
