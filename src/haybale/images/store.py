"""Where index images and releases are kept: in the registry, or on the engine where there is none.

Nothing else knows of the setting `local`. What was pushed is read back, and compared by digest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Protocol

from haybale.errors import BuildError, RegistryError
from haybale.image_ref import ImageRef
from haybale.images.transfer import pull_image, push_image
from haybale.tools.engine import sdk
from haybale.tools.registry.client import Repository

if TYPE_CHECKING:
    from collections.abc import Mapping

    from haybale.config import Project


class ImageStore(Protocol):
    """A place that keeps images of one repository, by tag or digest.

    `is_shared` says whether other machines see what is pushed.
    """

    is_shared: ClassVar[bool]

    def covers(self, image: ImageRef) -> bool:
        """Return whether an image of this name can be here at all."""

    def digest(self, image: ImageRef) -> str | None:
        """Return an image's digest; None only where there is no such image."""

    def exists(self, image: ImageRef, *, is_before_push: bool = False) -> bool:  # noqa: ARG002 - a registry's
        """Return whether there is such an image; `is_before_push`: it will be pushed where there is none."""
        return self.digest(image) is not None

    def labels(self, image: ImageRef) -> Mapping[str, str] | None:
        """Return an image's labels; None only where there is no such image."""

    def pull(self, image: ImageRef) -> None:
        """Bring an image to the engine under that name; raises `BuildError`."""

    def push(self, image: ImageRef) -> str:
        """Push the engine's image of that name, replacing the store's; return its digest, read back.

        Raises `BuildError`, or `RegistryError` where another image has the name after it.
        """

    def push_first(self, image: ImageRef) -> str:
        """Push the engine's image unless the store has one of that name; return the digest of the store's."""

    def retag(self, source: ImageRef, target: ImageRef) -> str:
        """Give an image another name, byte for byte; return its digest. No layer is moved."""


def open_store(project: Project) -> ImageStore:
    """Return the store of a project's images."""
    if project.settings.local:
        return EngineStore()
    return RegistryStore(Repository(ImageRef.parse(project.settings.registry)))


class RegistryStore(ImageStore):
    """A repository of a registry. Names of other repositories raise `RegistryError`."""

    is_shared: ClassVar[bool] = True

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._name = repository.name.repository

    def covers(self, image: ImageRef) -> bool:
        return image.repository == self._name

    def digest(self, image: ImageRef) -> str | None:
        return self._repository.digest(self._reference(image))

    def exists(self, image: ImageRef, *, is_before_push: bool = False) -> bool:
        found = self._repository.digest(self._reference(image), is_before_push=is_before_push)
        return found is not None

    def labels(self, image: ImageRef) -> Mapping[str, str] | None:
        return self._repository.labels(self._reference(image))

    def pull(self, image: ImageRef) -> None:
        pull_image(image)

    def push(self, image: ImageRef) -> str:
        digest = self._push(image)
        local = sdk.find_image(image)
        if local is None or digest not in {*local.digests, local.id}:
            raise RegistryError(
                f"{image} is {digest} in the registry after it was pushed, not what was pushed",
                cause="two digests, so another push of that name came in between",
                hint="try again",
            )
        return digest

    def push_first(self, image: ImageRef) -> str:
        # Somebody else may push the same name between the question and the push: a registry has no "only if
        # it is absent". Then the later image stays. Both are of the same key, so both are right, and whoever
        # asks after that gets the one that stayed.
        found = self._repository.digest(self._reference(image), is_before_push=True)
        return found or self._push(image)

    def retag(self, source: ImageRef, target: ImageRef) -> str:
        return self._repository.retag(self._reference(source), self._reference(target))

    def _push(self, image: ImageRef) -> str:
        push_image(image)
        digest = self.digest(image)
        if digest is None:
            raise RegistryError(
                f"{image} was pushed and is not in the registry",
                cause="docker push succeeded, and the registry answers 404 for it",
                hint="look whether the engine reaches it under that name by a mirror or another address "
                "(docker info); else try again",
            )
        return digest

    def _reference(self, image: ImageRef) -> str:
        """Return the tag or digest of an image: what the registry calls a reference."""
        if not self.covers(image):
            raise RegistryError(
                f"{image} is not in {self._name}",
                cause="it belongs to another repository",
                hint="give a name of this one, or set REGISTRY",
            )
        return image.digest or image.tag or "latest"


class EngineStore(ImageStore):
    """The engine's own images, for a site without a registry: they are on it already, or nowhere."""

    is_shared: ClassVar[bool] = False

    def covers(self, image: ImageRef) -> bool:  # noqa: ARG002 - an engine has images of every repository
        return True

    def digest(self, image: ImageRef) -> str | None:
        found = _find_on_engine(image)
        return found.digest if found else None

    def labels(self, image: ImageRef) -> Mapping[str, str] | None:
        found = _find_on_engine(image)
        return found.labels if found else None

    def pull(self, image: ImageRef) -> None:
        _require_on_engine(image)

    def push(self, image: ImageRef) -> str:
        return _require_on_engine(image).digest

    def push_first(self, image: ImageRef) -> str:
        return self.push(image)

    def retag(self, source: ImageRef, target: ImageRef) -> str:
        sdk.tag_image(_require_on_engine(source).id, target)
        return self.push(target)


def _find_on_engine(image: ImageRef) -> sdk.ImageInfo | None:
    """Return the engine's image of a name; where no registry ever had it, its id is its digest."""
    found = sdk.find_image(image)
    return sdk.find_image(image.digest) if found is None and image.digest else found


def _require_on_engine(image: ImageRef) -> sdk.ImageInfo:
    found = _find_on_engine(image)
    if found is None:
        cause = "there is no registry either (local = true)"
        raise BuildError(f"there is no image {image} on this engine", cause=cause, hint="build it")
    return found
