"""Logins in requirements: ${VARIABLES} stay variables in every output, and nothing shows their values."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from haybale.errors import RequirementsError
from haybale.requirements.pins import read_pins

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# What pip expands (pip, req/req_file.py: ENV_VAR_RE), where the variable is set and not empty.
VARIABLE = re.compile(r"\$\{(?P<name>[A-Z0-9_]+)\}")
ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s'\"\\]+")
# User, password or token before a host.
LOGIN = re.compile(r"(?<=://)[^\s/@'\"]+@")

# A variable's value that is shorter is no secret, and is found in any text.
SHORTEST_SECRET = 4


@dataclass(frozen=True, kw_only=True)
class Variables:
    """The variables of the inputs' addresses.

    `addresses` maps an address with their values to how it is written, `values` a value to ${NAME}, and
    `environment` the name of every variable that the inputs use to its value.
    """

    addresses: Mapping[str, str]
    values: Mapping[str, str]
    environment: Mapping[str, str]

    def restore(self, text: str) -> str:
        """Return a text with the addresses as they are written in the inputs."""
        for expanded in sorted(self.addresses, key=len, reverse=True):
            text = text.replace(expanded, self.addresses[expanded])
        return text

    def hide(self, text: str) -> str:
        """Return a text for people, without any login or value."""
        text = self.restore(text)
        for value in sorted(self.values, key=len, reverse=True):
            text = text.replace(value, self.values[value])
        return LOGIN.sub(lambda found: found[0] if is_variable(found[0]) else "****@", text)

    def raise_if_shown(self, text: str) -> None:
        """Raise `RequirementsError` where a compiled file has a login, or a variable's value, in it."""
        for pin in read_pins(text).values():
            logins = [login for login in LOGIN.findall(pin.version) if not is_variable(login)]
            if pin.is_address and (logins or any(value in pin.version for value in self.values)):
                raise RequirementsError(
                    f"{self.hide(str(pin))} has a login in it",
                    cause="it would stand in the outputs, for everybody to read",
                    hint="write it as ${USER}:${TOKEN}, which pip takes from the environment, or use netrc",
                )


def is_variable(login: str) -> bool:
    """Whether a login consists of variables alone."""
    return not VARIABLE.sub("", login).strip(":@")


def read_variables(texts: Iterable[str], env: Mapping[str, str]) -> Variables:
    """Return the variables that stand in the addresses of inputs, and have a value."""
    addresses: dict[str, str] = {}
    values: dict[str, str] = {}
    environment: dict[str, str] = {}
    for text in texts:
        environment |= {name: env[name] for name in VARIABLE.findall(text) if env.get(name)}
        for written in ADDRESS.findall(text):
            names = {name for name in VARIABLE.findall(written) if env.get(name)}
            if names:
                expanded = VARIABLE.sub(lambda found: env.get(found["name"]) or found[0], written)
                addresses[expanded] = written
                values |= {env[name]: f"${{{name}}}" for name in names if len(env[name]) >= SHORTEST_SECRET}
    return Variables(addresses=addresses, values=values, environment=environment)
