"""The pins of a compiled file: reading, checking and comparing them."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from haybale.errors import RequirementsError
from haybale.requirements.lines import NAME, logical_lines

if TYPE_CHECKING:
    from collections.abc import Mapping

# A pin as pip-compile writes it: by version, or by the address of an archive.
PIN = re.compile(
    r"^(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)(?:==(?P<version>[^\s;\\]+)| @ (?P<address>[^\s\\]+))"
    r"(?:\s*;\s*(?P<marker>[^\\]*?))?\s*\\?$"
)
# A pin in any requirements file, on its logical line.
ANY_PIN = re.compile(
    rf"^(?P<name>{NAME})\s*(?P<extras>\[[^]]*\])?\s*={{2,3}}\s*(?P<version>[^\s;,]+)"
    r"\s*(?:;\s*(?P<marker>.*?))?(?:\s--hash.*)?$"
)
HASH = re.compile(r"--hash=(\S+)")
# Which kinds of archives may be taken: what pip-compile keeps of the inputs' options.
OPTION = re.compile(r"^--(only|no)-binary\s+\S+$")
# The other lines of a compiled file: the pins' hashes, and comments.
HASHES_OR_COMMENT = re.compile(r"^((\s+--hash=\S+)+( \\)?|\s*(#.*)?)$")


@dataclass(frozen=True, kw_only=True)
class Pin:
    """A pinned package; its `version` is an address where `is_address`, `line` counts from 1.

    `extras` are such as [socks,toml], sorted, "" for none.
    """

    name: str
    version: str
    hashes: frozenset[str]
    line: int
    is_address: bool = False
    marker: str | None = None
    extras: str = ""

    def __str__(self) -> str:
        name = f"{self.name}{self.extras}"
        return f"{name} @ {self.version}" if self.is_address else f"{name}=={self.version}"

    def is_same_as(self, other: Pin) -> bool:
        """Whether both install the same, wherever they stand."""
        return (self.version, self.marker, self.hashes) == (other.version, other.marker, other.hashes)


def normalize_name(name: str) -> str:
    """Return a package's normal name (PyPA, "Names and normalization")."""
    return re.sub(r"[-_.]+", "-", name).lower().strip("-")


def read_pins(text: str) -> dict[str, Pin]:
    """Return the pins of a compiled file: normal name -> pin."""
    pins: dict[str, Pin] = {}
    name = None
    for number, line in enumerate(text.splitlines(), start=1):
        match = PIN.match(line)
        if match:
            name = normalize_name(match["name"])
            pins[name] = Pin(
                name=name, version=match["version"] or match["address"], hashes=frozenset(), line=number,
                is_address=match["address"] is not None, marker=match["marker"] or None,
            )  # fmt: skip
        elif not HASHES_OR_COMMENT.match(line):
            name = None
        if name:
            pins[name] = replace(pins[name], hashes=pins[name].hashes | set(HASH.findall(line)))
    return pins


def read_pin(line: str, number: int) -> Pin | None:
    """Return the pin of a logical line of any requirements file, None where it is none."""
    match = ANY_PIN.match(line)
    if match is None:
        return None
    extras = sorted(re.findall(r"[\w.-]+", (match["extras"] or "").lower()))
    return Pin(
        name=normalize_name(match["name"]), version=match["version"], hashes=frozenset(HASH.findall(line)),
        line=number, marker=match["marker"] or None, extras=f"[{','.join(extras)}]" if extras else "",
    )  # fmt: skip


def read_all_pins(text: str) -> dict[str, Pin]:
    """Return the pins of any requirements file: normal name -> pin, the first of each."""
    pins: dict[str, Pin] = {}
    for number, line in logical_lines(text):
        if pin := read_pin(line, number):
            pins.setdefault(pin.name, pin)
    return pins


def unpinned_lines(text: str) -> list[tuple[int, str]]:
    """Return the logical lines of any requirements file that are no pins, numbered."""
    return [(number, line) for number, line in logical_lines(text) if read_pin(line, number) is None]


def other_lines(text: str) -> list[tuple[int, str]]:
    """Return the lines of a compiled file that are no pins, hashes, options or comments, numbered."""
    known = (PIN, OPTION, HASHES_OR_COMMENT)
    lines = enumerate(text.splitlines(), start=1)
    return [(number, line) for number, line in lines if not any(each.match(line) for each in known)]


def option_lines(text: str) -> list[str]:
    """Return the options of a compiled file."""
    return [line for line in text.splitlines() if OPTION.match(line)]


def raise_if_not_subset(production: str, everything: str) -> None:
    """Raise `RequirementsError` where production has a pin, or a hash, that `everything` lacks."""
    known, pins = read_pins(everything), read_pins(production).values()
    extra = [str(pin) for pin in pins if pin.name not in known or not pin.is_same_as(known[pin.name])]
    if extra:
        raise RequirementsError(
            f"production's pins are not among all pins: {', '.join(extra)}",
            cause="two compilations, one after the other, gave them different versions",
            hint="try again: `haybale regen-requirements`",
        )


def raise_if_unpinned(text: str, direct: Mapping[str, str]) -> None:
    """Raise `RequirementsError` where a compiled file does not install the same everywhere."""
    loose = [pin for pin in read_pins(text).values() if not pin.hashes or pin.version.startswith("file:")]
    names = [direct.get(pin.name, str(pin)) for pin in loose] + [line for _, line in other_lines(text)]
    if names:
        raise RequirementsError(
            f"these cannot be pinned with hashes: {', '.join(names)}",
            cause="a folder, an editable install or a version control system gives no archive to pin",
            hint="ask for a released version, or for the https address of an archive",
        )


def stale_pins(present: Mapping[str, Pin], wanted: Mapping[str, Pin], direct: Mapping[str, str]) -> list[str]:
    """Return ":LINE: REASON" for each pin that compiling would change; `direct` are the inputs' own."""
    reasons = []
    for name, pin in present.items():
        place = f":{pin.line}: {pin}"
        if name not in wanted:
            reasons.append(f"{place} is not needed any more")
        elif wanted[name].version != pin.version:
            rule = direct.get(name, "what the other packages ask for")
            reasons.append(f"{place} does not fit {rule}; {wanted[name].version} does")
        elif wanted[name].marker != pin.marker:
            found, expected = pin.marker or "always", wanted[name].marker or "always"
            reasons.append(f"{place} is for another case: {found}, not {expected}")
        elif wanted[name].extras != pin.extras:
            reasons.append(f"{place} has other extras: {wanted[name]} is asked for")
        elif not wanted[name].hashes:
            continue
        elif not pin.hashes:
            reasons.append(f"{place} has no hashes")
        elif not pin.hashes <= wanted[name].hashes:
            reasons.append(f"{place} has a hash that the package index does not know")
    missing = [pin for name, pin in wanted.items() if name not in present]
    needed = [f": {pin} is missing, needed for {direct.get(pin.name, 'another package')}" for pin in missing]
    return reasons + needed


def stale_lines(text: str, heading: str) -> list[str]:
    """Return ":LINE: REASON" for each line, pins apart, that compiling would not write."""
    reasons = [f":{number}: {line.strip()!r} is not a pin" for number, line in other_lines(text)]
    if not text.startswith(heading):
        reasons.insert(0, f":1: does not begin with {heading.strip()!r}: it was compiled for something else")
    return reasons


def stale_options(present: str, wanted: str) -> list[str]:
    """Return ": REASON" for each option that compiling would add or remove."""
    found, expected = option_lines(present), option_lines(wanted)
    return [f": {line!r} is missing" for line in expected if line not in found] + [
        f": {line!r} is not asked for any more" for line in found if line not in expected
    ]


def differing_pins(production: Mapping[str, Pin], everything: Mapping[str, Pin], file: str) -> list[str]:
    """Return ":LINE: REASON" for each of production's pins that differs from `everything`'s, in `file`."""
    return [
        f":{pin.line}: {pin} is not as in {file}:{everything[pin.name].line}"
        for pin in production.values()
        if pin.name in everything and not pin.is_same_as(everything[pin.name])
    ]


def describe_changes(before: Mapping[str, Pin], after: Mapping[str, Pin]) -> list[str]:
    """Return what a compilation changed, a line for each package."""
    lines = []
    for name in sorted({*before, *after}):
        if name not in before:
            lines.append(f"+ {after[name]}")
        elif name not in after:
            lines.append(f"- {before[name]}")
        elif before[name].version != after[name].version:
            lines.append(f"  {before[name]} -> {after[name].version}")
    return lines or ["no pin changed"]
