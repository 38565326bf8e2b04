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
        self.message = message
        self.cause = cause
        self.hint = hint
        self.log = log


class UsageError(HaybaleError):
    """The command line is wrong (2, as in every other tool)."""

    exit_code = 2


class ConfigError(HaybaleError):
    """A setting, a Dockerfile or a version file is wrong."""

    exit_code = 3


class PrerequisiteError(HaybaleError):
    """The environment lacks something: an executable, an engine, rights, space."""

    exit_code = 4


class DumpError(HaybaleError):
    """The reference dump is missing, ambiguous, damaged or unsafe."""

    exit_code = 5


class BuildError(HaybaleError):
    """An image could not be built, pulled or pushed."""

    exit_code = 6


class LoadError(HaybaleError):
    """The index could not be loaded: the site, its database or Solr failed midway."""

    exit_code = 7


class VerifyError(HaybaleError):
    """An index was made, but is not the database's."""

    exit_code = 8


class RequirementsError(HaybaleError):
    """The site's requirements cannot be compiled, or are stale."""

    exit_code = 9


class ServiceError(HaybaleError):
    """A service or a container did not start, or did not stay up."""

    exit_code = 10


class TestsFailedError(HaybaleError):
    """Tests ran, and some failed."""

    exit_code = 11


class RegistryError(HaybaleError):
    """The image registry refused, failed or did not answer; it never means that an image is absent."""

    exit_code = 12


class ReleaseError(HaybaleError):
    """A version was not made or not published: something forbade it, or somebody else was faster."""

    exit_code = 13


class InputsError(HaybaleError):
    """Preparing documents read something that the index key does not know."""

    exit_code = 14
