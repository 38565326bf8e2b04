"""Building the Dockerfile's layers with buildx.

`TAG` is the release image; any other layer is `TAG-layer`. Registry caches are used where registry and
builder can, and silently not where they can't: a build never fails for want of a cache.
"""

from __future__ import annotations

import configparser
import datetime as dt
import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from haybale.errors import BuildError, UsageError
from haybale.image_ref import ImageRef, cache_images, stage_image
from haybale.images import bases as base
from haybale.images import dockerfile as layers
from haybale.images import store
from haybale.tools import git, process
from haybale.tools.engine import sdk
from haybale.tools.registry import credentials
from haybale.tools.registry.client import is_registry_available
from haybale.version import read_version

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from haybale.config import Project

ACTIONS = ("--load", "--push")

# How the index gets into the engine. Its files are compressed already: to do that once more takes most of the
# time of a build, and makes them a sixth smaller (docs/adr/0016).
AS_IT_IS = "--output=type=docker,compression=uncompressed"

# OCI image specification, "Pre-Defined Annotation Keys".
SOURCE = "org.opencontainers.image.source"
REVISION = "org.opencontainers.image.revision"
VERSION = "org.opencontainers.image.version"
CREATED = "org.opencontainers.image.created"
BASE_DIGEST = "org.opencontainers.image.base.digest"
# The revision of an image that was built outside of a repository.
UNKNOWN_REVISION = "unknown"

# What of a machine's pip configuration a build needs to reach the same packages.
PIP_KEYS = ("index-url", "extra-index-url", "trusted-host", "proxy")
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Everything that decides a build's command line.

    `contexts` are further build contexts (name -> folder), `secrets` BuildKit secrets (id -> file),
    `arguments` build arguments (an empty value: taken from the environment), `cache_from` and `cache_to`
    cache references, `labels` more labels, `extra` further buildx arguments as the user gave them. `action`
    says where the image goes: an argument of buildx.
    """

    layer: str
    image: str
    action: str
    dockerfile: Path
    context: Path
    epoch: int
    arguments: Mapping[str, str] = field(default_factory=dict)
    contexts: Mapping[str, Path] = field(default_factory=dict)
    secrets: Mapping[str, Path] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    cache_from: tuple[str, ...] = ()
    cache_to: str = ""
    platform: str | None = None
    provenance: bool = False
    sbom: bool = False
    extra: tuple[str, ...] = ()


def command(plan: Plan, *, quiet: bool) -> list[str]:
    """Return the buildx command line of a plan."""
    parts = [
        "docker", "buildx", "build", "--target", plan.layer, "--tag", plan.image, plan.action,
        "--file", str(plan.dockerfile), f"--provenance={str(plan.provenance).lower()}",
        f"--sbom={str(plan.sbom).lower()}",
    ]  # fmt: skip
    if quiet:
        parts += ["--progress", "plain"]
    if plan.platform:
        parts += ["--platform", plan.platform]
    for name, value in plan.arguments.items():
        parts += ["--build-arg", f"{name}={value}" if value else name]
    for name, folder in plan.contexts.items():
        parts += ["--build-context", f"{name}={folder}"]
    for name, file in plan.secrets.items():
        parts += ["--secret", f"id={name},src={file}"]
    for name, value in plan.labels.items():
        parts += ["--label", f"{name}={value}"]
    for reference in plan.cache_from:
        parts += ["--cache-from", f"type=registry,ref={reference}"]
    if plan.cache_to:
        parts += ["--cache-to", f"type=registry,ref={plan.cache_to},mode=max,ignore-error=true"]
    return [*parts, *plan.extra, str(plan.context)]


def build(
    project: Project,
    layer: str = "release",
    action: str = "--load",
    verbosity: str = "1",
    extra: Sequence[str] = (),
    *,
    say: Callable[[str], None],
) -> str:
    """Build a layer as `TAG` (release) or `TAG-layer` and return that name.

    `action` is `--load` (into the engine) or `--push` (to the registry). An empty `verbosity` is quiet; a
    failure then shows the whole log once. Raises `UsageError`, `BuildError`.
    """
    check_layer(project, layer)
    if action not in ACTIONS:
        raise UsageError(
            f"unknown action {action!r}", cause=f"a build's action is {' or '.join(ACTIONS)}",
            hint="just build LAYER --load",
        )  # fmt: skip
    name = image_name(project, layer)
    if layer == "solr":
        return _solr(name, action, say)
    _run(project, layer, name, action=action, quiet=not verbosity, extra=extra, say=say)
    return name


def ensure(project: Project, layer: str, *, say: Callable[[str], None]) -> bool:
    """Build a layer unless its image is of just this commit, version and base; return whether it was built.

    Files that git ignores are taken to be no part of an image.
    """
    if is_current(project, layer):
        return False
    say(f"building the {layer} layer")
    build(project, layer, "--load", "", say=say)
    return True


def is_current(project: Project, layer: str) -> bool:
    """Return whether the engine has the layer's image of the commit checked out, with nothing changed."""
    image, base_image = (
        sdk.find_image(image_name(project, layer)),
        sdk.find_image(project.settings.images.python),
    )
    head = git.read_head(project.root)
    if image is None or base_image is None or head is None:
        return False
    if head.changed_files or git.untracked_files(project.root):
        return False
    wanted = {
        REVISION: head.revision,
        VERSION: str(read_version(project.root, os.environ)),
        BASE_DIGEST: base_image.digest,
    }
    return all(image.labels.get(label) == value for label, value in wanted.items())


def image_name(project: Project, layer: str) -> str:
    """Return the name that a layer's image has at this version."""
    version = str(read_version(project.root, os.environ))
    return str(stage_image(ImageRef.parse(project.settings.registry), version, layer))


def check_layer(project: Project, layer: str) -> None:
    """Raise `UsageError` where the Dockerfile has no such layer."""
    layers.check(layer, layers.of(project.path(project.settings.dockerfile)))


def _solr(name: str, action: str, say: Callable[[str], None]) -> str:
    """Push the baked image, or leave it as it is: only regeneration makes the index that the layer needs."""
    if sdk.find_image(name) is None:
        raise BuildError(
            f"there is no image {name}",
            cause="the solr layer holds the baked index, and none has been baked at this version",
            hint="just regen-solr-image",
        )
    if action == "--push":
        say(f"pushing {name}")
        store.send(name)
    return name


def solr(
    project: Project, name: str, index: Path, *, labels: Mapping[str, str], say: Callable[[str], None]
) -> None:
    """Build the solr layer with the index in the folder `index` (empty: a fresh core) as `name`."""
    _run(
        project, "solr", name, action=AS_IT_IS, quiet=True,
        contexts={"index": index}, labels=labels, cache=False, say=say,
    )  # fmt: skip


def _run(
    project: Project,
    layer: str,
    name: str,
    *,
    action: str,
    quiet: bool,
    say: Callable[[str], None],
    extra: Sequence[str] = (),
    contexts: Mapping[str, Path] | None = None,
    labels: Mapping[str, str] | None = None,
    cache: bool = True,
) -> None:
    settings = project.settings
    if layer == "solr":
        base_image = base.ensure(settings.images.solr, "solr", say)
    else:
        base_image = base.ensure(settings.images.python, "python", say)
    head = git.read_head(project.root)
    time = head.commit.time if head else 0
    caches = tuple(map(str, cache_images(ImageRef.parse(settings.registry), layer)))
    caching = cache and settings.build.cache and is_registry_available(settings.registry)
    with tempfile.TemporaryDirectory(prefix="haybale-") as folder:
        plan = Plan(
            layer=layer,
            image=name,
            action=action,
            dockerfile=project.path(settings.dockerfile),
            context=project.root,
            epoch=time,
            arguments={
                "PYTHON_IMAGE": settings.images.python,
                "SOLR_IMAGE": settings.images.solr,
                "CORE": settings.core,
                **{variable: "" for variable in PROXIES if os.environ.get(variable)},
            },
            contexts=contexts or {},
            secrets=_secrets(Path(folder), os.environ),
            labels={
                SOURCE: git.remote_url(project.root) or settings.name,
                REVISION: head.revision if head else UNKNOWN_REVISION,
                VERSION: str(read_version(project.root, os.environ)),
                CREATED: timestamp(time),
                BASE_DIGEST: base_image.digest,
                **(labels or {}),
            },
            cache_from=caches if caching else (),
            cache_to=caches[-1]
            if caching and not os.environ.get("NO_CACHE_TO") and sdk.engine_info().can_export_cache
            else "",
            platform=settings.build.platform,
            provenance=settings.build.provenance,
            sbom=settings.build.sbom,
            extra=tuple(extra),
        )
        _execute(plan, quiet=quiet)


def _execute(plan: Plan, *, quiet: bool) -> None:
    line = command(plan, quiet=quiet)
    # SOURCE_DATE_EPOCH makes BuildKit date the image by the commit, not by the clock.
    env = {"SOURCE_DATE_EPOCH": str(plan.epoch), "DOCKER_BUILDKIT": "1"}
    with credentials.cli_environment(ImageRef.parse(plan.image).domain) as login:
        if quiet:
            done = process.run(line, env={**env, **login})
            code, log = done.code, done.output
        else:
            code, log = process.run_attached(line, env={**env, **login}), ""
    if code:
        raise BuildError(
            f"the layer {plan.layer} could not be built (buildx exited with {code})",
            cause="see the log below" if log else "see the log above",
            hint=f"mend it, then: just build {plan.layer}",
            log=log,
        )


def timestamp(seconds: int) -> str:
    """Return a time (seconds since 1970) as RFC 3339 has it."""
    return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _secrets(folder: Path, env: Mapping[str, str]) -> dict[str, Path]:
    """Return what a build needs of this machine and no image may keep: extra CAs, pip's configuration."""
    secrets = {}
    bundle = base.ca_bundle(env)
    if bundle is not None:
        secrets["ca"] = bundle
    configuration = pip_configuration(env, pip_files(env))
    if configuration:
        file = folder / "pip.conf"
        file.write_text(configuration, encoding="utf-8")
        secrets["pip"] = file
    return secrets


def pip_files(env: Mapping[str, str]) -> tuple[Path, ...]:
    """Return the places of pip's configuration, weakest first (pip documentation, "Configuration")."""
    home = Path(env.get("HOME", "/"))
    named = env.get("PIP_CONFIG_FILE")
    return (
        Path("/etc/pip.conf"),
        home / ".pip/pip.conf",
        Path(env.get("XDG_CONFIG_HOME") or home / ".config") / "pip/pip.conf",
        *([Path(named)] if named else []),
    )


def pip_configuration(env: Mapping[str, str], files: Sequence[Path]) -> str:
    """Return a pip.conf with what this machine says about reaching packages; "" where it says nothing."""
    found: dict[str, str] = {}
    for file in files:
        parser = configparser.RawConfigParser()
        parser.read(file, encoding="utf-8")
        for section in ("global", "install"):
            if parser.has_section(section):
                found |= {key: value for key, value in parser.items(section) if key in PIP_KEYS}
    for key in PIP_KEYS:
        value = env.get("PIP_" + key.upper().replace("-", "_"))
        if value:
            found[key] = value
    return "".join(["[global]\n", *(f"{key} = {value}\n" for key, value in found.items())]) if found else ""
