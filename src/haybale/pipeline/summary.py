"""What a run of the pipeline came to, as values (rendering.py shows them to people)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from haybale.states import State

if TYPE_CHECKING:
    from collections.abc import Mapping

    from haybale.errors import HaybaleError
    from haybale.pipeline.graph import Facts

# The version of the form of the document that `RunSummary.to_dict` returns.
FORMAT_VERSION = 2

# "resumed": done before the run died, and still there.
Outcome: TypeAlias = Literal["done", "skipped", "resumed", "failed"]


def error_to_dict(error: HaybaleError) -> dict[str, Any]:
    """Return a failure as plain values, without its log."""
    return {
        "code": error.exit_code, "message": error.message, "cause": error.cause, "hint": error.hint,
    }  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class StepOutcome:
    """What became of a state: how it went, the seconds it took, and why it was taken or skipped."""

    state: State
    outcome: Outcome
    seconds: float
    reason: str


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """A run of the pipeline that ended.

    `images` maps an image's name to its digest; `counts` has the documents of each model (app.model ->
    number), `advice` what would make the index sooner; `error` is what it failed with, None where it passed.
    """

    run: str
    version: str
    facts: Facts
    steps: tuple[StepOutcome, ...]
    images: Mapping[str, str]
    counts: Mapping[str, int]
    advice: tuple[str, ...] = ()
    error: HaybaleError | None = None

    @property
    def has_failed(self) -> bool:
        """Whether the run failed."""
        return self.error is not None or any(step.outcome == "failed" for step in self.steps)

    @property
    def is_published(self) -> bool:
        """Whether the version was published."""
        return any(step.state is State.PUBLISH and step.outcome in {"done", "resumed"} for step in self.steps)

    @property
    def seconds(self) -> float:
        """How long its steps took, together."""
        return sum(step.seconds for step in self.steps)

    @property
    def skipped_tests(self) -> StepOutcome | None:
        """The step that should have tested, where it was skipped."""
        found = (step for step in self.steps if step.state is State.RUN_TESTS and step.outcome == "skipped")
        return next(found, None)

    @property
    def title(self) -> str:
        """The outcome in a line."""
        if self.has_failed:
            where = next((f" at {step.state}" for step in self.steps if step.outcome == "failed"), "")
            return f"{self.version} failed{where}"
        tested = "was NOT tested" if self.skipped_tests else "passed"
        return f"{self.version} {tested}{' and is published' if self.is_published else ''}"

    def to_dict(self) -> dict[str, Any]:
        """Return the summary as plain values (docs/pipeline.md says what is in them)."""
        error = self.error
        return {
            "version": FORMAT_VERSION,
            "run": self.run,
            "outcome": "failed" if self.has_failed else "passed",
            "release": self.version,
            "published": self.is_published,
            **{name: getattr(self.facts, name) for name in ("key", "event", "evidence", "strategy")},
            "seconds": round(self.seconds, 3),
            "steps": [{**asdict(step), "seconds": round(step.seconds, 3)} for step in self.steps],
            "images": dict(self.images),
            "counts": dict(self.counts),
            "advice": list(self.advice),
            "error": error and error_to_dict(error),
        }
