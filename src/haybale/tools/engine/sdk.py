"""The container engine, through its SDK: images, containers, and what a run leaves on it.

An image is given by its name, or as text by its id (or its name, as in `docker run`); a container by its id.
"""

from __future__ import annotations

import contextlib
import functools
import io
import json
import os
import secrets
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

import docker
import docker.errors

from haybale.errors import PrerequisiteError, ServiceError
from haybale.tools import process

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from docker.models.containers import Container

    from haybale.image_ref import ImageRef

# Seconds that the engine gets for an answer; a stop may take three minutes on top.
TIMEOUT = 300

# Bytes of a command's output that are read at once.
STREAM_CHUNK = 1 << 20

# An image that is removed while images are listed makes the engine answer 404 instead of leaving it out, with
# containerd's store (moby issue 52688): that is no answer, and it is asked again.
LISTING_ATTEMPTS = 5

# Lines of a container's log that go into an error.
TAIL = 25


@dataclass(frozen=True, kw_only=True)
class ImageInfo:
    """An image on the engine: id, digest (its id where no registry has it), labels.

    `digests` are all that it has in registries, as far as the engine knows. `start` is what its containers
    start: entry point and command.
    """

    id: str
    digest: str
    labels: Mapping[str, str]
    digests: frozenset[str] = frozenset()
    start: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())


@dataclass(frozen=True, kw_only=True)
class ListedContainer:
    """A container, running or not: its id, its labels, and HOST:PORT for each TCP port that it publishes."""

    id: str
    labels: Mapping[str, str]
    addresses: Mapping[int, str]


@dataclass(frozen=True, kw_only=True)
class EngineInfo:
    """The engine's version, whether it keeps images in containerd's store, and its memory in bytes.

    Only with that store can its builds write a registry cache, and does it hold attestations. `folder` is
    where it keeps everything, on its own machine; `clock` its time, in seconds since 1970. `address` is how
    it is reached: unix:///run/docker.sock, tcp://HOST:PORT. `address_pools` are what its networks get their
    addresses from (base and prefix length), () where nobody configured them.
    """

    version: str
    has_containerd_store: bool
    memory: int
    folder: Path
    clock: float
    is_podman: bool = False
    address: str = ""
    address_pools: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, kw_only=True)
class HealthAnswer:
    """What a container's health check said: its exit code (-1: it was too slow) and its output."""

    code: int
    output: str


@dataclass(frozen=True, kw_only=True)
class ContainerState:
    """What the engine says of a container, running or not.

    `is_out_of_memory`: the kernel killed a process in it, as memory ran out; it may run on. `memory_limit` is
    in bytes, None where only the machine limits it. `health` is the last answer of its health check.
    """

    is_out_of_memory: bool
    memory_limit: int | None
    health: HealthAnswer | None = None

    @property
    def memory(self) -> str:
        """What the engine says about memory, as a sentence without subject."""
        limit = f"its limit is {self.memory_limit / 1e6:.0f} MB" if self.memory_limit else "it has no limit"
        if self.is_out_of_memory:
            return f"memory ran out there, and the kernel killed a process ({limit})"
        return f"the engine does not say that memory ran out there ({limit})"


@functools.cache
def client() -> docker.DockerClient:
    """Return the client of the engine that the `docker` command has too.

    Raises `PrerequisiteError` where no engine answers, or where they would be two.
    """
    context = current_context(os.environ)
    try:
        connected = docker.from_env(timeout=TIMEOUT)
        connected.ping()
    except Exception as error:
        # Beside its own errors, the SDK raises bare ones for a context's files.
        cause = str(error).partition("(Caused by")[0][:200]
        if context is None and not os.environ.get("DOCKER_HOST"):
            hint = "to install and start one where there is none: `haybale engine`"
            raise PrerequisiteError("no container engine answers", cause=cause, hint=hint) from error
        named = f"the context {context}" if context else "DOCKER_HOST"
        raise PrerequisiteError(
            f"no container engine answers where {named} leads to",
            cause=cause,
            hint="docker context use default, or unset DOCKER_HOST",
        ) from error
    if context is not None:
        _require_same_engine(context, str(connected.info().get("ID", "")))
    return connected


def current_context(env: Mapping[str, str]) -> str | None:
    """Return the context by which `docker` finds its engine; None where it needs none.

    Source: docker/cli, cli/command: resolveContextName.
    """
    if env.get("DOCKER_HOST"):
        return None
    folder = Path(env.get("DOCKER_CONFIG") or Path(env.get("HOME", "/"), ".docker"))
    name = env.get("DOCKER_CONTEXT")
    if not name:
        with contextlib.suppress(OSError, ValueError, AttributeError):
            name = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("currentContext")
    return None if not name or name == "default" else str(name)


def _require_same_engine(context: str, engine_id: str) -> None:
    """Make sure that `docker` talks to the engine with this ID: images that one builds the other must have.

    Asked only where there is a context: the SDK reads some in its own way.
    """
    asked = process.run(["docker", "info", "--format", "{{.ID}}"])
    if not asked.ok or asked.stdout.strip() != engine_id:
        said = asked.stdout.strip() or asked.stderr.strip()[:200] or "nothing"
        raise PrerequisiteError(
            f"the context {context} leads `docker` and haybale to two engines",
            cause=f"the ID of haybale's is {engine_id}, and docker info says {said}",
            hint="docker context use default, or set DOCKER_HOST to the engine's address",
        )


def engine_info() -> EngineInfo:
    """Return what the engine says of itself."""
    info: dict[str, Any] = client().info()
    status = dict(info.get("DriverStatus") or [])
    is_containerd = status.get("driver-type", "").startswith("io.containerd.snapshotter")
    memory = int(info["MemTotal"])
    return EngineInfo(
        version=info["ServerVersion"],
        has_containerd_store=is_containerd,
        memory=memory,
        folder=Path(info["DockerRootDir"]),
        clock=datetime.fromisoformat(info["SystemTime"]).timestamp(),
        is_podman=_is_podman(client().version()),
        address=str(client().api.base_url),
        address_pools=tuple((each["Base"], each["Size"]) for each in info.get("DefaultAddressPools") or ()),
    )


def _is_podman(version: Mapping[str, Any]) -> bool:
    """Whether it is Podman that answers as Docker does, by what it says of its parts."""
    return any("podman" in each.get("Name", "").lower() for each in version.get("Components") or ())


def network_subnets() -> list[str]:
    """Return the subnets of all networks that the engine has."""
    configured = ((each.attrs.get("IPAM") or {}).get("Config") or () for each in client().networks.list())
    return [part["Subnet"] for parts in configured for part in parts if part.get("Subnet")]


def registry_config() -> Mapping[str, Any]:
    """Return what the engine says of registries: its IndexConfigs and InsecureRegistryCIDRs."""
    return dict(client().info().get("RegistryConfig") or {})


def find_image(image: ImageRef | str) -> ImageInfo | None:
    """Return an image of the engine; None only where the engine answers that it has none.

    Raises `PrerequisiteError` for any other answer.
    """
    try:
        found = client().images.get(str(image))
    except docker.errors.ImageNotFound:
        return None
    except docker.errors.APIError as error:
        message = f"the engine cannot tell whether it has {str(image)!r}"
        hint = "fix the name of the image, or ask the engine yourself: docker image inspect"
        raise PrerequisiteError(message, cause=str(error.explanation), hint=hint) from error
    digests = [name.partition("@")[2] for name in found.attrs.get("RepoDigests") or ()]
    digest = next(iter(digests), str(found.id))
    config = found.attrs.get("Config") or {}
    start = (tuple(config.get("Entrypoint") or ()), tuple(config.get("Cmd") or ()))
    return ImageInfo(
        id=str(found.id), digest=digest, labels=found.labels, digests=frozenset(digests), start=start
    )


def list_images(repository: ImageRef, label: str | None = None) -> list[dict[str, Any]]:
    """Return the images of a repository that have a label, as the engine lists them (Engine API, ImageList).

    It is one request: with one for each image, an image may be gone in between. Raises `PrerequisiteError`
    where the engine gives no list.
    """
    filters: dict[str, Any] | None = {"label": label} if label else None
    seen = ""
    for _ in range(LISTING_ATTEMPTS):
        try:
            return list(client().api.images(str(repository), filters=filters))
        except docker.errors.NotFound as error:
            seen = str(error.explanation)
    hint = "wait until nothing removes images any more, and try again; docker image ls asks the same"
    raise PrerequisiteError(f"the engine cannot list the images of {repository}", cause=seen, hint=hint)


def find_newest_image(repository: ImageRef, label: str) -> ImageInfo | None:
    """Return the newest image of a repository that has a label, None for none."""
    found = list_images(repository, label)
    newest = max(found, key=lambda each: (each["Created"], each["Id"]), default=None)
    return find_image(str(newest["Id"])) if newest else None


def tag_image(image: ImageRef | str, name: ImageRef) -> None:
    """Give an image another name; an image that loses its last name so is removed, if unused."""
    before = find_image(name)
    tagged = client().images.get(str(image))
    tagged.tag(name.repository, name.tag)
    if before is not None and before.id != tagged.id:
        with contextlib.suppress(docker.errors.ImageNotFound):
            if not client().images.get(before.id).tags:
                _remove_unused(before.id)


def _remove_unused(image_id: str) -> None:
    try:
        client().images.remove(image_id)
    except docker.errors.APIError as error:
        if error.status_code != HTTPStatus.CONFLICT:  # a container uses it
            raise


def repository_tags(repository: ImageRef) -> dict[str, str]:
    """Return a repository's tags on the engine: tag -> digest (the image's id where no registry has it)."""
    found, prefix = {}, str(repository)
    for each in list_images(repository):
        names, digests = each.get("RepoTags") or (), each.get("RepoDigests") or ()
        own = [name.removeprefix(f"{prefix}@") for name in digests if name.startswith(f"{prefix}@")]
        tags = [name.removeprefix(f"{prefix}:") for name in names if name.startswith(f"{prefix}:")]
        found.update(dict.fromkeys(tags, own[0] if own else str(each["Id"])))
    return found


def remove_image(image: ImageRef | str) -> None:
    """Remove an image's name, and the image with its last name; nothing where it is gone."""
    with contextlib.suppress(docker.errors.ImageNotFound):
        client().images.remove(str(image), force=True)


def run_container(image: ImageRef | str, command: Sequence[str]) -> tuple[int, str]:
    """Run a command in a new container to its end, and remove it: (exit code, end of its log)."""
    with started_container(image, command) as container:
        code = int(_container(container).wait(timeout=TIMEOUT)["StatusCode"])
        return code, container_log_tail(container)


def stream_container(
    image: ImageRef | str, command: Sequence[str], mounts: Mapping[Path, str]
) -> Iterator[bytes]:
    """Yield a command's standard output, in pieces, from a new container, which is removed.

    `mounts` maps paths on this machine to those in the container, read-only, which anybody has to be able to
    read: the command runs as nobody, with no network, and nothing that it could write. The output is kept in
    no log. Raises `ServiceError` with the end of the error stream where it fails.
    """
    # By the command line: the SDK leaves the connection open that an attached stream comes by.
    name = f"haybale-{secrets.token_hex(8)}"
    volumes = [f"--volume={path}:{inside}:ro" for path, inside in mounts.items()]
    bounds = [
        "--network=none", "--user=65534:65534", "--read-only", "--cap-drop=ALL", "--pids-limit=512",
        "--security-opt=no-new-privileges",
    ]  # fmt: skip
    options = ["--rm", "--init", "--log-driver=none", f"--name={name}", *bounds, *volumes]
    with tempfile.TemporaryFile() as errors:
        try:
            line = ["docker", "run", *options, str(image), *command]
            with process.running_process(line, stdout=subprocess.PIPE, stderr=errors) as running:
                while running.stdout and (chunk := running.stdout.read(STREAM_CHUNK)):
                    yield chunk
                code = running.wait()
        finally:
            with process.uninterrupted(), contextlib.suppress(docker.errors.NotFound):
                client().containers.get(name).remove(force=True, v=True)
        if code:
            errors.seek(0)
            log = "\n".join(errors.read().decode(errors="replace").splitlines()[-TAIL:])
            raise ServiceError(f"{' '.join(command)} exited with {code}", log=log)


@contextlib.contextmanager
def started_container(
    image: ImageRef | str,
    command: Sequence[str] | None = None,
    *,
    environment: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
    port: int | None = None,
    user: str | None = None,
    written: Mapping[str, str] | None = None,
) -> Iterator[str]:
    """Run an image (its own command by default) for the length of the block and yield the container's id.

    `environment` and `labels` are added to the image's own; `port` is published on a free port of loopback
    only. `user` (UID:GID) has no capabilities, nor can it get any. `written` are the only folders that can
    be written, in memory (path -> options of mount, "" for none); None: all of them can. Raises
    `ServiceError` where the container cannot be started.
    """
    container = None
    try:
        try:
            container = client().containers.create(
                str(image),
                list(command) if command else None,
                environment=dict(environment or {}),
                labels=dict(labels or {}),
                ports={f"{port}/tcp": ("127.0.0.1", 0)} if port else {},
                user=user,
                cap_drop=["ALL"] if user else None,
                security_opt=["no-new-privileges"] if user else None,
                read_only=written is not None,
                tmpfs=dict(written) if written is not None else None,
            )
            container.start()
        except docker.errors.APIError as error:
            message, hint = f"{image} cannot be started", f"to see it alone: docker run --rm {image}"
            raise ServiceError(message, cause=str(error.explanation), hint=hint) from error
        yield str(container.id)
    finally:
        if container is not None:
            with process.uninterrupted():
                container.remove(force=True, v=True)


def execute_in_container(container: str, command: Sequence[str]) -> int | None:
    """Run a command in a container and return its exit code; None where the container does not run."""
    try:
        return _container(container).exec_run(list(command)).exit_code
    except docker.errors.APIError:
        if is_container_running(container):
            raise
        return None


def stop_container(container: str, grace: int) -> int:
    """Ask a container to stop, kill it after `grace` seconds, and return its exit code."""
    found = _container(container)
    # The SDK adds it to the time-out of its own.
    found.stop(timeout=grace)
    return int(found.wait(timeout=TIMEOUT)["StatusCode"])


def is_container_running(container: str) -> bool:
    """Return whether a container runs; False also where it is gone."""
    try:
        return bool(client().containers.get(container).status == "running")
    except docker.errors.NotFound:
        return False


def container_state(container: str) -> ContainerState:
    """Return what the engine says of a container; `ServiceError` where it is gone."""
    found: dict[str, Any] = _container(container).attrs
    answers = (found["State"].get("Health") or {}).get("Log") or ()
    last = answers[-1] if answers else None
    return ContainerState(
        is_out_of_memory=bool(found["State"].get("OOMKilled")),
        memory_limit=found["HostConfig"].get("Memory") or None,
        health=HealthAnswer(code=int(last["ExitCode"]), output=last["Output"].strip()) if last else None,
    )


def list_containers(labels: Mapping[str, str]) -> list[ListedContainer]:
    """Return all containers that have these labels, running or not, in one request."""
    chosen = {"label": [f"{name}={value}" for name, value in labels.items()]}
    return [
        ListedContainer(
            id=str(each["Id"]),
            labels=dict(each["Labels"] or {}),
            addresses={
                int(port["PrivatePort"]): f"{port['IP']}:{port['PublicPort']}"
                # A port has an address for IPv4 and one for IPv6, the one that counts first.
                for port in reversed(each["Ports"] or ())
                if port["Type"] == "tcp" and port.get("PublicPort")
            },
        )
        for each in client().api.containers(all=True, filters=chosen)
    ]


def container_log(container: str, *, timestamps: bool = False) -> str:
    """Return a container's whole log, both streams; what the engine says where it keeps none."""
    try:
        return str(_container(container).logs(timestamps=timestamps).decode(errors="replace"))
    except docker.errors.APIError as error:
        return str(error.explanation)


def container_log_tail(container: str) -> str:
    """Return the last lines of a container's log (both streams)."""
    return str(_container(container).logs(tail=TAIL).decode(errors="replace")).rstrip()


def published_address(container: str, port: int) -> str:
    """Return HOST:PORT on this machine for a container's published port; `ServiceError` where it has none."""
    found = _container(container)
    found.reload()
    bindings = found.ports.get(f"{port}/tcp")
    if not bindings:
        message = f"the container {container[:12]} publishes no port {port}"
        raise ServiceError(message, cause=f"it is {found.status}", log=container_log_tail(container))
    return f"{bindings[0]['HostIp']}:{bindings[0]['HostPort']}"


def copy_from_container(container: str, path: str, folder: Path) -> None:
    """Copy a folder's content out of a container, running or not, into `folder`, which is made.

    Streamed, and written once. Raises `ServiceError` where there is no such folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        stream, _ = _container(container).get_archive(path, chunk_size=1 << 20)
    except docker.errors.NotFound as error:
        raise ServiceError(f"there is no {path} in the container {container[:12]}") from error
    with tarfile.open(fileobj=_Stream(stream), mode="r|") as archive:
        # The archive's first part is the folder itself, which gets our name.
        for member in archive:
            member.name = str(Path(*Path(member.name).parts[1:]))
            _extract(archive, member, folder)


def _extract(archive: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    """Write a part of an archive into a folder: a file or a folder in it, and nothing that leads out.

    Python 3.11.0 to 3.11.3, which Debian 12 has, are without the filters of PEP 706.
    """
    if hasattr(tarfile, "data_filter"):
        archive.extract(member, folder, filter="data")
        return
    parts = Path(member.name).parts
    if not (member.isfile() or member.isdir()) or ".." in parts or Path(member.name).is_absolute():
        raise ServiceError(f"the container sends {member.name}, which is no file or folder within its own")
    archive.extract(member, folder)


class _Stream(io.RawIOBase):
    """The chunks that the engine sends, as a file to read once."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._left = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        if not self._left:
            self._left = next(self._chunks, b"")
        size = min(len(buffer), len(self._left))
        buffer[:size], self._left = self._left[:size], self._left[size:]
        return size


def remove_labelled(label: str, value: str) -> None:
    """Remove every container, volume and network with the label LABEL=VALUE."""
    chosen: dict[str, str | list[str] | bool] = {"label": f"{label}={value}"}
    for container in client().containers.list(all=True, filters=chosen, ignore_removed=True):
        container.remove(force=True, v=True)
    for volume in client().volumes.list(filters=chosen):
        volume.remove(force=True)
    for network in client().networks.list(filters=chosen):
        network.remove()


def _container(container: str) -> Container:
    try:
        return client().containers.get(container)
    except docker.errors.NotFound as error:
        message, cause = f"the container {container[:12]} is gone", "the engine knows no such container now"
        raise ServiceError(message, cause=cause, hint="try again") from error
