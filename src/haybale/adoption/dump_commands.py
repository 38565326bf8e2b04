"""Commands that bring a dump, as people have written them down: in recipes, scripts, CI's steps, a README.

Only commands that are known are taken, and of these only those that bring something from elsewhere. Nothing
is run.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from haybale.dump.fetching import PLACE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

# Files in which such commands stand, by their names.
WRITTEN_DOWN = re.compile(
    r"\.?justfile|makefile|gnumakefile|.*\.(mk|just|sh|bash)|(readme|contributing|install|development)(\..*)?"
    r"|taskfile\.ya?ml|\.gitlab-ci\.yml|procfile",
    re.IGNORECASE,
)
WORKFLOW = re.compile(r"\.github/workflows/[^/]+\.ya?ml")

# What stands before a command: make's and just's signs, a prompt, YAML's keys, another command.
BEFORE = re.compile(r"^\s*(?:-\s+)?(?:(?:run|script|cmd)\s*:\s*[|>]?\s*)?(?:[@$-]+\s*|RUN\s+)?(?:sudo\s+)?")
ASSIGNED = re.compile(
    r"^\s*(?:export\s+)?(?P<name>[A-Za-z_]\w*)\s*(?::=|\?=|=)\s*[\"']?(?P<value>[^\s\"'`$({]+)[\"']?\s*$",
    re.MULTILINE,
)
# A variable of make's, just's, or a shell's.
USED = re.compile(r"\$\((?P<make>\w+)\)|\{\{\s*(?P<just>\w+)\s*\}\}|\$\$?\{?(?P<shell>[A-Za-z_]\w*)\}?")

# What only a shell understands; ? and & are in URLs too.
SHELL = set("|<>;`$*")
REDIRECTED = re.compile(r"(?<![0-9&>])>\s*(?P<target>[^\s>&|;]+)\s*$")

# Programs that copy from a place elsewhere to the word behind it; what such a place looks like.
COPIES = (
    (re.compile(r"aws\s+s3\s+cp|s3cmd\s+get|s5cmd\s+cp"), re.compile(r"s3://\S+")),
    (re.compile(r"gsutil\s+(?:-m\s+)?cp|gcloud\s+storage\s+cp"), re.compile(r"gs://\S+")),
    (re.compile(r"scp|rsync"), re.compile(r"(?:[\w.-]+@)?[\w.-]+:\S+|rsync://\S+")),
    (re.compile(r"rclone\s+copyto"), re.compile(r"[\w-]+:\S+")),
)
# Programs that an option tells where to write to; the option that they get where none does.
WRITERS = (
    (re.compile(r"curl"), re.compile(r"-[A-Za-z]*o|--output"), "-o"),
    (re.compile(r"wget"), re.compile(r"-O|--output-document"), "-O"),
    (re.compile(r"heroku\s+pg:backups:download"), re.compile(r"-o|--output"), "--output"),
    (re.compile(r"pg_dump"), re.compile(r"-f|--file"), None),
)
REMOTE_NAME = re.compile(r"-([A-Za-z]*)O([A-Za-z]*)")
MAKES_ANOTHER = re.compile(r"\bpg_dump\b")
# How a dump is called, or what makes one; a dump's own names (dumps.py) say too little here: latest.tar.gz.
IS_DUMP = re.compile(
    r"dump|backup|snapshot|database|\.(sql|sqlite3?|db|bak)(\.(gz|bz2|xz|zst|zip))?([?#].*)?$", re.IGNORECASE
)


@dataclass(frozen=True, kw_only=True)
class DumpCommand:
    """A command that brings a dump, as the setting `database.fetch` has it; `place` is where it was read.

    `target` is where it was meant to write to, None where it does not say; `is_another_each_time`: what it
    brings is made when it is asked for.
    """

    words: tuple[str, ...]
    place: str
    target: str | None
    is_another_each_time: bool = False


def find_dump_commands(files: Sequence[str], read: Callable[[str], str]) -> tuple[DumpCommand, ...]:
    """Return the commands of a repository that bring dumps, as they stand in its files."""
    found = []
    for file in files:
        if WRITTEN_DOWN.fullmatch(PurePosixPath(file).name) or WORKFLOW.fullmatch(file):
            text = read(file)
            assigned = {match["name"]: match["value"] for match in ASSIGNED.finditer(text)}
            for number, line in _logical_lines(text):
                found += [
                    each
                    for part in re.split(r"&&|;", line)
                    for each in _read(part, f"{file}:{number}", assigned)
                ]
    return tuple({each.words: each for each in reversed(found)}.values())[::-1]


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield lines with those that they go on in, and their numbers."""
    begun, first = "", 0
    for number, line in enumerate(text.splitlines(), start=1):
        first = first if begun else number
        begun += line
        if begun.endswith("\\"):
            begun = begun[:-1] + " "
            continue
        yield first, begun
        begun = ""


def _read(text: str, place: str, assigned: dict[str, str]) -> Iterator[DumpCommand]:
    command = BEFORE.sub("", text, count=1).strip().strip("`")
    command = USED.sub(
        lambda match: assigned.get(match["make"] or match["just"] or match["shell"], match[0]), command
    )
    if command.startswith("#") or USED.search(command):
        return
    is_copied = any(program.match(command) for program, _ in COPIES)
    is_written = any(program.match(command) for program, _, _ in WRITERS) or MAKES_ANOTHER.search(command)
    if not is_copied and not is_written:
        return
    redirected = REDIRECTED.search(command)
    target: str | None = None
    words: tuple[str, ...] | None = None
    if redirected:
        target = redirected["target"]
        words = ("sh", "-c", f'{command[: redirected.start()]}> "{PLACE}"')
    elif not SHELL & set(command):
        target, words = _with_place(command)
    if words is not None and _is_of_dump(command, target):
        yield DumpCommand(
            words=words,
            place=place,
            target=posixpath.normpath(target) if target else None,
            is_another_each_time=bool(MAKES_ANOTHER.search(command)),
        )


def choose_command(commands: Sequence[DumpCommand], paths: Sequence[str]) -> tuple[DumpCommand | None, bool]:
    """Return the likeliest command, and whether it is sure: it writes to one of `paths`, where a dump is."""
    sure = next((each for each in commands if each.target in paths), None)
    kept = [each for each in commands if not each.is_another_each_time] or commands
    return sure or next(iter(kept), None), sure is not None


def _with_place(command: str) -> tuple[str | None, tuple[str, ...] | None]:
    """Return where a command writes to, and the command with PLACE there; None where it brings nothing."""
    try:
        words = tuple(shlex.split(command))
    except ValueError:
        return None, None
    for program, source in COPIES:
        if program.match(command):
            return _copied_to_place(words, source)
    option, added = next((option, added) for program, option, added in WRITERS if program.match(command))
    return _written_to_place(words, option, added)


def _copied_to_place(
    words: tuple[str, ...], source: re.Pattern[str]
) -> tuple[str | None, tuple[str, ...] | None]:
    """As `_with_place`, of a program that copies from a place elsewhere to the word behind it."""
    number = next(
        (number for number, word in enumerate(words, start=1) if source.fullmatch(word)), len(words)
    )
    target = words[number] if number < len(words) else "-"
    if target.startswith("-") or {"--recursive", "-r"} & {*words}:
        return None, None
    return target, (*words[:number], PLACE, *words[number + 1 :])


def _written_to_place(
    words: tuple[str, ...], option: re.Pattern[str], added: str | None
) -> tuple[str | None, tuple[str, ...] | None]:
    """As `_with_place`, of a program that an option tells where to write to."""
    for number, word in enumerate(words):
        name, equals, value = word.partition("=")
        if equals and option.fullmatch(name):
            return value, (*words[:number], f"{name}={PLACE}", *words[number + 1 :])
        if option.fullmatch(word) and number + 1 < len(words):
            return words[number + 1], (*words[: number + 1], PLACE, *words[number + 2 :])
    if added is None:
        return None, None
    # Without what has curl take the file's own name.
    kept = (REMOTE_NAME.sub(r"-\1\2", word) for word in words if word != "--remote-name")
    return None, (*(word for word in kept if word != "-"), added, PLACE)


def _is_of_dump(command: str, target: str | None) -> bool:
    names = (PurePosixPath(word.strip("\"'")).name for word in (target or "", *command.split()))
    return any(map(IS_DUMP.search, names))
