"""Every failure that haybale knows: one base class, and one exit code for each kind.

An error has three parts: what failed, the cause, and the next command. `cli.py` is the one place that prints
it; nothing else catches `HaybaleError` to print it.
"""

from __future__ import annotations

from typing import ClassVar


class HaybaleError(Exception):
    """A failure with an explanation.

    `message` says what failed (with file and line where there is one), `cause` the cause, or what was seen
    where it is not known, `hint` the next command or action, `log` the tail of the log that shows it (text,
    may have many lines).
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, cause: str = "", hint: str = "", log: str = "") -> None:
        super().__init__(message)
        self.message, self.cause, self.hint, self.log = message, cause, hint, log

    def __init_subclass__(cls, exit_code: int | None = None) -> None:
        if exit_code is not None:
            cls.exit_code = exit_code


class UsageError(HaybaleError, exit_code=2):
    """The command line is wrong (2, as in every other tool)."""


class ConfigError(HaybaleError, exit_code=3):
    """A setting, a Dockerfile or a version file is wrong."""


class PrerequisiteError(HaybaleError, exit_code=4):
    """The machine lacks something: an executable, an engine, permissions, space."""


class DumpError(HaybaleError, exit_code=5):
    """The reference dump is missing, ambiguous, damaged or unsafe."""


class BuildError(HaybaleError, exit_code=6):
    """An image could not be built, pulled or pushed."""


class LoadError(HaybaleError, exit_code=7):
    """The index could not be loaded: the site, its database or Solr failed midway."""


class VerifyError(HaybaleError, exit_code=8):
    """An index was made, but differs from the database."""


class RequirementsError(HaybaleError, exit_code=9):
    """The site's requirements cannot be compiled, or are stale."""


class ServiceError(HaybaleError, exit_code=10):
    """A service or a container did not start, or did not stay up."""


class TestsFailedError(HaybaleError, exit_code=11):
    """Tests ran, and some failed."""


class RegistryError(HaybaleError, exit_code=12):
    """The image registry refused, failed or did not answer; it never means that an image is absent."""


class ReleaseError(HaybaleError, exit_code=13):
    """A version was not made or not published: a rule forbids it, or somebody else published first."""


class HookError(HaybaleError, exit_code=15):
    """A command of the repository's, before or after a step of the pipeline, failed or could not be run."""


class InputsError(HaybaleError, exit_code=14):
    """Preparing documents read something that the index key does not know."""
