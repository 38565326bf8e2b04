"""Where index images and releases are kept: the registry, or the engine's own store where there is none.

Names are REGISTRY:TAG or REGISTRY@DIGEST. A push is read back, and what is there is compared by digest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from haybale.errors import BuildError, RegistryError
from haybale.image_ref import ImageRef
from haybale.tools import process
from haybale.tools.engine import sdk
from haybale.tools.registry import credentials
from haybale.tools.registry.client import Repository

if TYPE_CHECKING:
    from collections.abc import Mapping

    from haybale.config import Project


class Store(Protocol):
    """A place that has images under names."""

    def digest(self, name: str) -> str | None:
        """Return an image's digest; None only where there is no such image."""

    def exists(self, name: str) -> bool:
        """Return whether there is such an image."""

    def labels(self, name: str) -> Mapping[str, str] | None:
        """Return an image's labels; None only where there is no such image."""

    def pull(self, name: str) -> None:
        """Bring an image to the engine under that name."""

    def push(self, name: str) -> str:
        """Bring the engine's image of that name here, replacing what has it; return its digest, read back."""

    def push_first(self, name: str) -> str:
        """Bring the engine's image here unless one of that name is here; return the digest that is here."""

    def retag(self, source: str, target: str) -> str:
        """Give an image another name, byte for byte; return its digest."""


def of(project: Project) -> Store:
    """Return where a project's images are kept."""
    if project.settings.local:
        return EngineStore()
    return RegistryStore(Repository(project.settings.registry))


class RegistryStore:
    """A repository of a registry. Names of other repositories raise `RegistryError`."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._whole = ImageRef.parse(repository.name)

    def digest(self, name: str) -> str | None:
        """See `Store`."""
        return self._repository.digest(self._reference(name))

    def exists(self, name: str) -> bool:
        """See `Store`."""
        return self.digest(name) is not None

    def labels(self, name: str) -> Mapping[str, str] | None:
        """See `Store`."""
        return self._repository.labels(self._reference(name))

    def pull(self, name: str) -> None:
        """See `Store`; raises `BuildError`."""
        with credentials.cli_environment(self._whole.domain) as env:
            pulled = process.run(["docker", "pull", "--quiet", name], env=env)
        if not pulled.ok:
            raise BuildError(
                f"{name} could not be pulled",
                cause="see what the engine said",
                hint=f"docker login {self._whole.domain}, or try again",
                log=pulled.output,
            )

    def push(self, name: str) -> str:
        """See `Store`; raises `BuildError`, or `RegistryError` where another image has the name after it."""
        send(name)
        there, image = self.digest(name), sdk.find_image(name)
        if there is None:
            raise _vanished(name)
        if image is None or there not in {*image.digests, image.id}:
            raise RegistryError(
                f"{name} is {there} in the registry after it was pushed, not what was pushed",
                cause="somebody else pushed that name at the same moment",
                hint="try again",
            )
        return there

    def push_first(self, name: str) -> str:
        """See `Store`.

        Between the look and the push somebody else may push the same name: a registry has no "only if it is
        absent". Then the later image stays. Both are of the same key, so both are right, and whoever asks
        after that gets the one that stayed.
        """
        there = self.digest(name)
        if there is not None:
            return there
        send(name)
        there = self.digest(name)
        if there is None:
            raise _vanished(name)
        return there

    def retag(self, source: str, target: str) -> str:
        """See `Store`; no layer is moved."""
        return self._repository.retag(self._reference(source), self._reference(target))

    def _reference(self, name: str) -> str:
        """Return the tag or digest of a name: what the registry calls a reference."""
        found = ImageRef.parse(name)
        if found.repository != self._whole.repository:
            raise RegistryError(
                f"{name} is not looked for in {self._whole.repository}",
                cause="it belongs to another repository",
                hint="give a name of this one, or set REGISTRY",
            )
        return found.digest or found.tag or "latest"


class EngineStore:
    """The engine's own images: for a site without a registry. Nothing is pushed or pulled."""

    def digest(self, name: str) -> str | None:
        """See `Store`."""
        image = sdk.find_image(name)
        return image.digest if image else None

    def exists(self, name: str) -> bool:
        """See `Store`."""
        return sdk.find_image(name) is not None

    def labels(self, name: str) -> Mapping[str, str] | None:
        """See `Store`."""
        image = sdk.find_image(name)
        return image.labels if image else None

    def pull(self, name: str) -> None:
        """See `Store`."""
        self.push(name)

    def push(self, name: str) -> str:
        """See `Store`: it is here, or it is nowhere."""
        digest = self.digest(name)
        if digest is None:
            raise BuildError(
                f"there is no image {name} on this engine",
                cause="there is no registry either (local = true)",
                hint="build it",
            )
        return digest

    def push_first(self, name: str) -> str:
        """See `Store`."""
        return self.push(name)

    def retag(self, source: str, target: str) -> str:
        """See `Store`."""
        self.push(source)
        sdk.tag_image(source, target)
        return self.push(target)


def send(name: str) -> None:
    """Push the engine's image of a name to its registry; raises `BuildError`."""
    host = ImageRef.parse(name).domain
    with credentials.cli_environment(host) as env:
        pushed = process.run(["docker", "push", "--quiet", name], env=env)
    if not pushed.ok:
        raise BuildError(
            f"{name} could not be pushed",
            cause="see what the engine said",
            hint=f"docker login {host}, or mend REGISTRY",
            log=pushed.output,
        )


def _vanished(name: str) -> RegistryError:
    return RegistryError(
        f"{name} was pushed and is not in the registry",
        cause="somebody removed it, or what answers is another registry than the engine's",
        hint="try again",
    )
