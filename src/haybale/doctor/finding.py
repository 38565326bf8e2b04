"""What `doctor` found, as plain values."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from haybale.errors import HaybaleError

# An error stops a run; a warning may stop some, or spoils something.
Level = Literal["error", "warning"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something that is wrong: what, why it matters, and the command or the line that fixes it."""

    level: Level
    what: str
    why: str = ""
    fix: str = ""

    @classmethod
    def from_error(cls, error: HaybaleError) -> Finding:
        """Return what a run would have ended with."""
        return cls(level="error", what=error.message, why=error.cause, fix=error.hint)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """What was looked at, what was seen there in a few words, and what is wrong with it."""

    subject: str
    seen: str
    findings: tuple[Finding, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        findings = [each.to_dict() for each in self.findings]
        return {"subject": self.subject, "seen": self.seen, "findings": findings}
