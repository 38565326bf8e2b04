"""The words of a Dockerfile's instructions: quotes, escapes, flags, and what variables stand for.

As in BuildKit, frontend/dockerfile: shell/lex.go, parser/split_command.go (flags), parser/line_parsers.go
(arguments). tests/tables/dockerfile has BuildKit's own answers.

What a word may be is a regular expression, because not everything is known here: the engine has the platform.
"""

from __future__ import annotations

import csv
import re
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# What may be anything.
ANYTHING = ".*"

# What BuildKit itself sets, and what buildx passes of the environment to those that declare it.
PLATFORM_ARGUMENTS = (
    "BUILDPLATFORM", "BUILDOS", "BUILDOSVERSION", "BUILDARCH", "BUILDVARIANT", "TARGETPLATFORM", "TARGETOS",
    "TARGETOSVERSION", "TARGETARCH", "TARGETVARIANT", "TARGETSTAGE",
)  # fmt: skip
ENVIRONMENT_ARGUMENTS = re.compile(
    r"(HTTP|HTTPS|FTP|NO|ALL)_PROXY|SOURCE_DATE_EPOCH|BUILDKIT_\w+", re.IGNORECASE
)

# A variable's name after a $: also the shell's own, which are unset.
VARIABLE = re.compile(r"\d+|[@*#?$!-]|[^\W\d]\w*")


class BadWordError(ValueError):
    """A word that BuildKit refuses, or that cannot be read here."""


def expand(word: str, variables: Mapping[str, str], escape: str) -> str:
    """Return a regular expression for what a word may become.

    `variables` are the ones that are set: name -> a regular expression for the value. Patterns in a
    substitution (${A#...}, ${A%...}, ${A/...}) may give anything. Raises `BadWordError`.
    """
    return _Words(word, variables, escape).read()


class _Words:
    """Reads a word from its left to its right."""

    def __init__(self, word: str, variables: Mapping[str, str], escape: str) -> None:
        self.left = deque(word)
        self.variables = variables
        self.escape = escape

    def read(self, until: str | None = None) -> str:
        """Return what stands before the character `until`, which is taken along; None: before the end."""
        found = ""
        while self.left:
            char = self.left.popleft()
            if char == until:
                return found
            if char == "'":
                found += re.escape(self._quoted())
            elif char == '"':
                found += self._double_quoted()
            elif char == "$":
                found += self._variable()
            elif char != self.escape:
                found += re.escape(char)
            elif self.left:
                found += re.escape(self.left.popleft())
        if until is not None:
            raise BadWordError(f"there is no {until} at its end")
        return found

    def _quoted(self) -> str:
        if "'" not in self.left:
            raise BadWordError("there is no ' at its end")
        return "".join(iter(self.left.popleft, "'"))

    def _double_quoted(self) -> str:
        found = ""
        while self.left:
            char = self.left.popleft()
            if char == '"':
                return found
            if char == "$":
                found += self._variable()
                continue
            if char == self.escape and self.left and self.left[0] in {'"', "$", self.escape}:
                char = self.left.popleft()
            found += re.escape(char)
        raise BadWordError('there is no " at its end')

    def _variable(self) -> str:
        """Return the value of the variable whose $ has just been read."""
        if not self.left or self.left[0] != "{":
            name = self._name()
            return self.variables.get(name, "") if name else re.escape("$")
        self.left.popleft()
        name = self._name()
        value = self.variables.get(name)
        sign = self._next()
        if name and sign == "}":
            return value or ""
        is_empty_unset = sign == ":"
        if is_empty_unset:
            sign = self._next()
        if not name or sign not in set("-+?#%/") or (is_empty_unset and sign in set("#%/")):
            raise BadWordError("BuildKit has no such substitution")
        if sign == "/":
            if self.left and self.left[0] == "/":
                self.left.popleft()
            self.read("/")
        return _substitute(sign, value, self.read("}"), is_empty_unset=is_empty_unset)

    def _name(self) -> str:
        match = VARIABLE.match("".join(self.left))
        for _ in match[0] if match else "":
            self.left.popleft()
        return match[0] if match else ""

    def _next(self) -> str:
        return self.left.popleft() if self.left else ""


def _substitute(sign: str, value: str | None, word: str, *, is_empty_unset: bool) -> str:
    """Return what ${NAME:-WORD} and its like stand for; `value` is None for an unset variable."""
    if sign in set("#%/"):
        return ANYTHING if value else ""
    if is_empty_unset and value and ANYTHING in value:
        return ANYTHING
    is_set = value is not None and not (is_empty_unset and not value)
    if sign == "+":
        return word if is_set else ""
    if sign == "-" and not is_set:
        return word
    if not is_set:
        raise BadWordError(f"it stops the build: {word or 'a variable is not set'}")
    return value or ""


def global_arguments(lines: list[str], passed: Mapping[str, str], escape: str) -> dict[str, str]:
    """Return what the FROMs can use: name -> a regular expression for its value.

    `lines` are the ARGs before the first FROM, without the word ARG; `passed` are the build arguments, which
    count where an ARG declares them. Raises `BadWordError`.
    """
    known = dict.fromkeys(PLATFORM_ARGUMENTS, ANYTHING)
    for word in (word for line in lines for word in split_words(line, escape)):
        name, equals, default = word.partition("=")
        if name in passed:
            known[name] = re.escape(passed[name])
        elif ENVIRONMENT_ARGUMENTS.fullmatch(name):
            known[name] = ANYTHING
        elif equals:
            known[name] = expand(default, known, escape)
    return known


def split_words(text: str, escape: str) -> list[str]:
    """Return the words of an ARG, with their quotes and escapes."""
    escaped = re.escape(escape)
    single, double = r"'[^']*(?:'|$)", rf'"(?:{escaped}.|[^"{escaped}])*(?:"|$)'
    word = rf"""(?:{single}|{double}|{escaped}.|[^\s'"{escaped}]|{escaped}$)+"""
    return re.findall(word, text, re.DOTALL)


def read_flags(text: str, escape: str) -> list[tuple[str, str]]:
    """Return the flags that an instruction begins with, after its verb: (name, value), "" for none."""
    found = []
    left = deque(text.lstrip())
    while len(left) > 1 and left[0] == left[1] == "-":
        word, quote = "", ""
        while left and (quote or not left[0].isspace()):
            char = left.popleft()
            if char == quote:
                quote = ""
            elif not quote and char in {"'", '"'}:
                quote = char
            elif char != escape:
                word += char
            elif left:
                word += left.popleft()
        while left and left[0].isspace():
            left.popleft()
        if word == "--":
            break
        name, _, value = word.removeprefix("--").partition("=")
        found.append((name, value))
    return found


def mount_sources(mount: str) -> Iterator[str]:
    """Yield what a --mount takes its files from (moby/buildkit: commands_runmount.go)."""
    for field in next(csv.reader([mount], strict=True), []):
        key, _, value = field.partition("=")
        if key.lower() == "from":
            yield value
