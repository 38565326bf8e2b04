"""Reads the settings from the environment and says at once all that is missing."""

from collections.abc import Mapping
from typing import Any

import dj_database_url
from django.core.exceptions import ImproperlyConfigured

TRUE = frozenset({"1", "true", "yes", "on"})
FALSE = frozenset({"", "0", "false", "no", "off"})


class Environment:
    """The environment variables of the site.

    Every problem is noted and `check` reports them together, so that whoever
    deploys the site is not told about them one restart at a time.
    """

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables
        self._problems: list[str] = []

    def text(self, name: str, default: str) -> str:
        """Return a text; an empty variable counts as absent."""
        return self._variables.get(name, "").strip() or default

    def required(self, name: str, meaning: str, stand_in: str | None = None) -> str:
        """Return a text that must be set, unless there is a stand-in for it."""
        value = self._variables.get(name, "").strip()
        if value:
            return value
        if stand_in is None:
            self._problems.append(f"{name} is not set ({meaning})")
            return ""
        return stand_in

    def flag(self, name: str) -> bool:
        """Return a yes or no; off when absent."""
        value = self._variables.get(name, "").strip().lower()
        if value not in TRUE | FALSE:
            self._problems.append(f"{name} must be 1 or 0, not {value!r}")
        return value in TRUE

    def whole(self, name: str, default: int) -> int:
        """Return a positive whole number."""
        value = self._variables.get(name, "").strip()
        if not value:
            return default
        if not value.isascii() or not value.isdigit() or int(value) == 0:
            self._problems.append(f"{name} must be a positive whole number, not {value!r}")
            return default
        return int(value)

    def database(self, name: str, default: str) -> dict[str, Any]:
        """Return Django's settings of the database at a URL: sqlite:////FILE, postgresql://USER@HOST/NAME."""
        try:
            return dict(dj_database_url.parse(self.text(name, default)))
        except ValueError as error:
            self._problems.append(f"{name} must be the URL of a database ({error})")
            return {}

    def names(self, name: str, default: str = "") -> list[str]:
        """Return a list written with commas."""
        return [part.strip() for part in self.text(name, default).split(",") if part.strip()]

    def check(self) -> None:
        """Raise one error that lists every problem."""
        if self._problems:
            raise ImproperlyConfigured(
                "The site's settings come from environment variables: " + "; ".join(self._problems) + "."
            )
