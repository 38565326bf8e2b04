"""pip-compile, run for the image's Python, and what it says where it fails."""

from __future__ import annotations

import importlib.util
import re
import secrets
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from haybale.errors import PrerequisiteError, RequirementsError
from haybale.files import write_atomically
from haybale.requirements.lines import NAME, read_text, redirect_includes
from haybale.requirements.pins import normalize_name
from haybale.tools import process

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from haybale.requirements.logins import Variables
    from haybale.requirements.pins import Pin

# The last setuptools with `pkg_resources`, which older packages (Haystack 3.1) import without saying so.
FIRST_WITHOUT_PKG_RESOURCES = 82
SETUPTOOLS_LIMIT = f"setuptools<{FIRST_WITHOUT_PKG_RESOURCES}\n"

# In pip-compile's output: a list of "via" comments with one entry.
VIA = re.compile(r"^( +# via)\n +#   (.*\n)(?! +#   )", re.MULTILINE)

# In the names of temporary files (`files_beside`).
MARK = re.compile(r"\.haybale-[0-9a-f]{8}")

# Who asks for what, in the words of pip_compile.explain and of pip.
ASKED = re.compile(rf"^  ({NAME}).* is asked for by (.*)$", re.MULTILINE)
UNKNOWN = re.compile(rf"No matching distribution found for ({NAME})")


@dataclass(frozen=True, kw_only=True)
class Compiler:
    """pip-compile for a Python (3.N) on a machine (x86_64).

    `variables` are those of the inputs' addresses. `direct` is what the inputs themselves ask for, as
    `compile.read_direct_requirements` returns it.
    """

    python: str
    machine: str
    variables: Variables
    direct: Mapping[str, str]

    def compile(
        self,
        folder: Path,
        arguments: Sequence[str],
        *,
        output: Path,
        name: str,
        holds_setuptools: bool = False,
    ) -> None:
        """Compile into `output`, run in `folder`; `name` is what is compiled, for the message.

        `holds_setuptools`: not beyond the last version with `pkg_resources`, unless something asks for more.
        Raises `RequirementsError` with pip's output, `PrerequisiteError` without pip-tools.
        """
        before = read_text(output)
        if not holds_setuptools:
            done = self._run(folder, arguments, output)
        else:
            with tempfile.TemporaryDirectory(prefix="haybale-") as place:
                limit = Path(place, "limit.txt")
                limit.write_text(SETUPTOOLS_LIMIT, encoding="utf-8")
                done = self._run(folder, ["--constraint", str(limit), *arguments], output)
                if done.ok:
                    text = rename_in_comments(read_text(output), {f"-c {limit}": None})
                    output.write_text(text, encoding="utf-8")
                elif "setuptools" in done.output:
                    output.write_text(before, encoding="utf-8")
                    done = self._run(folder, arguments, output)
        if not done.ok:
            log = MARK.sub("", done.output)
            cause, hint = explain_failure(log, self.direct)
            raise RequirementsError(
                f"{name} cannot be resolved",
                cause=self.variables.hide(cause),
                hint=hint,
                log=self.variables.hide(log),
            )

    def _run(self, folder: Path, arguments: Sequence[str], output: Path) -> process.Completed:
        if importlib.util.find_spec("piptools") is None:
            raise PrerequisiteError(
                "pip-tools is not in this environment",
                cause=f"{sys.executable} has no module piptools",
                hint="pip install pip-tools; its session has it (`haybale regen-requirements`)",
            )
        # -P: a module of the site, beside the input, is not to be imported in place of pip's.
        python = [sys.executable, "-P", "-m", "haybale.requirements.pip_compile"]
        return process.run(
            [*python, self.python, self.machine, "--quiet", "--output-file", str(output), *arguments],
            cwd=folder,
            env={**self.variables.environment, "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
        )


def holds_setuptools(present: Mapping[str, Pin], upgrade_packages: Sequence[str]) -> bool:
    """Whether setuptools is to stay below the first version without `pkg_resources`.

    Not where it is beyond already, or its upgrade is asked for.
    """
    pin = present.get("setuptools")
    is_beyond = pin is not None and int(pin.version.partition(".")[0]) >= FIRST_WITHOUT_PKG_RESOURCES
    asked = {normalize_name(re.split(r"[^\w.-]", name)[0]) for name in upgrade_packages}
    return not is_beyond and "setuptools" not in asked


@contextmanager
def files_beside(texts: Mapping[Path, str]) -> Iterator[dict[Path, Path]]:
    """Give temporary files with other texts beside files: file -> temporary file.

    Beside them, because paths after `-r` and `-c` in them are relative to them; those that lead to one of the
    files lead to its temporary one. They sort as the files do.
    """
    mark = f".haybale-{secrets.token_hex(4)}"
    made = {file: file.with_name(f"{file.stem}{mark}{file.suffix}") for file in texts}
    try:
        for file, temporary in made.items():
            _write(temporary, redirect_includes(file, texts[file], made))
        yield made
    finally:
        for temporary in made.values():
            temporary.unlink(missing_ok=True)


def _write(file: Path, text: str) -> None:
    try:
        write_atomically(file, text)
    except OSError as error:
        hint = "make room or give the permission, and try again"
        raise PrerequisiteError(f"{file.parent} cannot be written: {error}", hint=hint) from error


def explain_failure(output: str, direct: Mapping[str, str]) -> tuple[str, str]:
    """Return the cause that pip-compile's output shows, and what to do; `direct` are the inputs' own."""
    unknown = [normalize_name(name) for name in UNKNOWN.findall(output)]
    if unknown:
        wanted = direct.get(unknown[0], f"{unknown[0]}, which another package needs")
        return (
            f"nothing on the package index fits {wanted}",
            "correct its name or version, or check which index pip uses (pip config list)",
        )
    words = {
        normalize_name(word)
        for requirement, who in ASKED.findall(output)
        for word in (requirement, *re.findall(NAME, who))
    }
    if words:
        places = ", ".join(place for name, place in direct.items() if name in words)
        return (
            f"these do not go together: {places}" if places else "two packages do not go together",
            "loosen one of them, or free a pin: `haybale regen-requirements --upgrade-package NAME`",
        )
    return "pip-compile failed, as its log shows", "fix that and try again"


def rename_in_comments(text: str, renamed: Mapping[str, str | None]) -> str:
    """Return an output with other names in its "via" comments; None removes the entry."""
    lines = []
    for line in text.splitlines():
        entry = line.strip().removeprefix("#").strip().removeprefix("via ").strip()
        if not line.strip().startswith("#") or entry not in renamed:
            lines.append(line)
        elif (name := renamed[entry]) is not None:
            lines.append(line.replace(entry, name))
    # A single entry stands on the line of its "via", as pip-compile itself writes it.
    return VIA.sub(r"\1 \2", "\n".join([*lines, ""]))
