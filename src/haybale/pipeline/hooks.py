"""Commands of the repository's around the pipeline's states, with the facts as JSON on standard input.

docs/pipeline.md ("Hooks") says what is in them.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from haybale.errors import HookError, PrerequisiteError
from haybale.pipeline.summary import error_to_dict
from haybale.tools import process

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from haybale.errors import HaybaleError
    from haybale.pipeline.graph import Facts
    from haybale.pipeline.plan import PlannedStep
    from haybale.pipeline.summary import Outcome

# The version of the form of the document that hooks get.
FORMAT_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class StepEnd:
    """How a state ended: the seconds it took, what its step made (as the journal has it), its failure."""

    outcome: Outcome
    seconds: float
    result: Mapping[str, Any] | None = None
    error: HaybaleError | None = None


@dataclass(frozen=True, kw_only=True)
class HookRunner:
    """Runs hooks of one run, from the repository's root."""

    root: Path
    run: str
    facts: Facts
    say: Callable[[str], None]

    def run_before(self, step: PlannedStep, release: str) -> None:
        """Run the commands before a state; raises `HookError` where one fails, and runs no other then."""
        self._run("before", step, step.before, release, None)

    def run_after(self, step: PlannedStep, release: str, end: StepEnd) -> None:
        """Run the commands after a state; raises `HookError` where one fails, and runs no other then."""
        self._run("after", step, step.after, release, end)

    def _run(
        self,
        when: Literal["before", "after"],
        step: PlannedStep,
        commands: Sequence[str],
        release: str,
        end: StepEnd | None,
    ) -> None:
        if not commands:
            return
        document = {
            "version": FORMAT_VERSION, "run": self.run, "state": step.state, "when": when,
            "reason": step.reason, "release": release, "facts": asdict(self.facts),
            "outcome": end and end.outcome, "seconds": end and round(end.seconds, 3),
            "result": end and end.result, "error": end and end.error and error_to_dict(end.error),
        }  # fmt: skip
        for command in commands:
            self.say(f"hook {when} {step.state}: {command}")
            self._run_command(f"{when} {step.state}", command, json.dumps(document))

    def _run_command(self, where: str, command: str, stdin: str) -> None:
        program, *arguments = shlex.split(command)
        # A path is one from the repository's root, wherever haybale was called.
        program = str(self.root / program) if "/" in program else program
        hint = f"see [tool.haybale.hooks.{where.rpartition(' ')[2]}] in pyproject.toml"
        try:
            done = process.run([program, *arguments], cwd=self.root, stdin=stdin)
        except (PrerequisiteError, OSError) as error:
            cause = f"{program} is not there, or is not executable"
            if isinstance(error, OSError):
                cause = f"{error.strerror}; a script begins with #! and its interpreter"
            raise HookError(
                f"the hook {where} could not be run: {command}", cause=cause, hint=hint
            ) from error
        if not done.ok:
            raise HookError(
                f"the hook {where} failed: {command}",
                cause=f"it exited with {done.code}" + ("" if done.output else ", and printed nothing"),
                hint=f"fix what it says, or {hint}",
                log=done.output,
            )
        for line in done.output.splitlines():
            self.say(f"  {line}")
