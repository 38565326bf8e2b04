"""How haybale's verbs are called in a repository: by a recipe, by a session, or by haybale itself.

Messages name commands as `haybale VERB ARGUMENTS`, between backticks. That is right everywhere; where the
repository has a shorter way, people are shown that one.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from haybale.verbs import VERBS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

TABLE = "[tool.haybale"
JUSTFILES = ("justfile", "Justfile", ".justfile")
# The files with sessions, and how nox is called with each.
NOXFILES = (("noxfile.py", "nox"), ("haybale_noxfile.py", "nox -f haybale_noxfile.py"))
LAUNCHER = "noxw"

COMMAND = re.compile(r"`haybale (?P<verb>[a-z-]+)(?P<arguments>[^`]*)`")

# A recipe's name, at the start of a line, and its body.
RECIPE = re.compile(
    r"^@?(?P<name>[\w-]+)(?:[ \t][^:\n]*)?:(?!=).*\n(?P<body>(?:[ \t].*\n|\n)*)", re.MULTILINE
)
IMPORT = re.compile(
    r"""^(?:import|mod)\??\s+(?P<module>[\w-]+\s+)?(?P<quote>["'])(?P<path>.+?)(?P=quote)""", re.MULTILINE
)
# What calls a verb in a recipe: haybale itself, or a session of nox.
CALL = re.compile(r"\bhaybale\s+(?P<verb>[a-z-]+)|-s\s+(?P<session>[a-z_]+)")


@dataclass(frozen=True, kw_only=True)
class Invocation:
    """How a repository calls verbs: what stands before each, by its name.

    A recipe takes arguments as they are, a session after `--`.
    """

    recipes: dict[str, str]
    sessions: dict[str, str]

    def command(self, verb: str, arguments: str = "") -> str:
        """Return the command of a verb; `arguments` begin with a blank where there are any."""
        if verb in self.recipes:
            return f"{self.recipes[verb]}{arguments}"
        if verb in self.sessions:
            return f"{self.sessions[verb]}{f' --{arguments}' if arguments else ''}"
        return f"haybale {verb}{arguments}"

    def render(self, text: str) -> str:
        """Return a message with its commands as the repository has them, without their backticks."""
        return COMMAND.sub(lambda found: self.command(found["verb"], found["arguments"]), text)


def _is_installed(program: str) -> bool:
    return shutil.which(program) is not None


def find_invocation(start: Path, is_installed: Callable[[str], bool] = _is_installed) -> Invocation:
    """Return how verbs are called in the repository of a folder, by the files at its top.

    Only with what is on this machine: haybale writes a justfile and a noxfile also where nobody has just or
    nox. `is_installed` says that of a program.
    """
    root = next((each for each in (start, *start.parents) if _has_table(each / "pyproject.toml")), None)
    if root is None:
        return Invocation(recipes={}, sessions={})
    recipes = dict(_recipes(root)) if is_installed("just") else {}
    is_startable = (root / LAUNCHER).is_file() or is_installed("nox")
    return Invocation(recipes=recipes, sessions=dict(_sessions(root)) if is_startable else {})


def _recipes(root: Path) -> Iterator[tuple[str, str]]:
    """Yield the verbs that recipes call, and the command for each."""
    text = next(filter(None, (_read(root / name) for name in JUSTFILES)), "")
    yield from _recipes_of(text, "just")
    for each in IMPORT.finditer(text):
        module = (each["module"] or "").strip()
        yield from _recipes_of(_read(root / each["path"]), f"just {module}".strip())


def _recipes_of(text: str, just: str) -> Iterator[tuple[str, str]]:
    known = {verb.identifier: verb.name for verb in VERBS}
    for recipe in RECIPE.finditer(f"{text}\n"):
        called = {
            (found["session"] or found["verb"] or "").replace("-", "_")
            for found in CALL.finditer(recipe["body"])
        }
        verb = known.get(recipe["name"].replace("-", "_"))
        if verb is not None and verb.replace("-", "_") in called:
            yield verb, f"{just} {recipe['name']}"


def _sessions(root: Path) -> Iterator[tuple[str, str]]:
    """Yield the verbs that have sessions, and the command for each: noxfiles have all of them, or none."""
    for name, nox in NOXFILES:
        text = _read(root / name)
        words = set(re.findall(r"\w+", text))
        has_all = "haybale.verbs" in text or {"haybale", "regen_solr_image", "regen_requirements"} <= words
        if has_all:
            launcher = f"./{LAUNCHER}" if (root / LAUNCHER).is_file() else nox
            yield from ((verb.name, f"{launcher} -s {verb.identifier}") for verb in VERBS)
            return


def _has_table(file: Path) -> bool:
    return TABLE in _read(file)


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
