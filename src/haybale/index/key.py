"""The index key: a digest over everything that determines the index, and the components it is made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

# The version of the document below, and of how digests are made. It is a part of the key.
FORMAT = 1

# The label of an index image that carries the document.
LABEL = "io.haybale.key"

# Hexadecimal digits of a key.
LENGTH = 32


@dataclass(frozen=True, kw_only=True)
class Component:
    """A part of the key: a name, a digest (SHA-256, hex), and what it is made of.

    `files` maps each file (from the repository's root, with /) to the digest of its content; `value` is what
    a component without files says, such as the reference of a base image.
    """

    name: str
    digest: str
    files: Mapping[str, str] = field(default_factory=dict)
    value: str = ""


@dataclass(frozen=True, kw_only=True)
class Key:
    """An index key (`LENGTH` hexadecimal digits) and its components, by name."""

    value: str
    components: Mapping[str, Component]

    def __str__(self) -> str:
        return self.value
