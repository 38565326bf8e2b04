"""Building the Dockerfile's stages with buildx.

A registry's build caches are used where registry and builder support them. No build fails without them.
"""

from __future__ import annotations

import datetime as dt
import re
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from haybale.errors import BuildError, UsageError
from haybale.image_ref import RELEASE, ImageRef, cache_images
from haybale.images import host
from haybale.images.bases.base_image import ensure_base_image
from haybale.images.dockerfile import build_arguments
from haybale.images.site_dockerfile import SECRET_FILES
from haybale.images.stages import SOLR, SOLR_HOME, StageSource, find_stage
from haybale.images.transfer import push_image
from haybale.tools import git, process
from haybale.tools.engine import sdk, versions
from haybale.tools.engine.buildx import files_in_context
from haybale.tools.registry import credentials
from haybale.tools.registry.client import is_registry_available

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from haybale.checkout import Checkout

ACTIONS = ("--load", "--push")

# So many files are named in a message.
SHOWN = 5

# What puts the cores into the stage solr, after all that the stage does, into layers that don't depend on the
# base: those of every platform are the same ones.
SOLR_WITH_CORES = "haybale-solr"
CORES_CONTEXT = "haybale-cores"
CORES_STAGE = f"""
FROM {{target}} AS {SOLR_WITH_CORES}
COPY --link --chown=8983:8983 --from={CORES_CONTEXT} . {SOLR_HOME}/
"""

# How the index gets into the engine. Its files are compressed already: to do that once more takes most of the
# time of a build, and makes them a sixth smaller (docs/adr/0016).
LOAD_UNCOMPRESSED = "--output=type=docker,compression=uncompressed"

# OCI image specification, "Pre-Defined Annotation Keys".
SOURCE = "org.opencontainers.image.source"
REVISION = "org.opencontainers.image.revision"
VERSION = "org.opencontainers.image.version"
CREATED = "org.opencontainers.image.created"
BASE_DIGEST = "org.opencontainers.image.base.digest"


@dataclass(frozen=True, kw_only=True)
class StageBuild:
    """Everything that decides the command line of a stage's build.

    `target` is what is built of it: the stage itself, or one that was added behind it. `action` says where
    the image goes: an argument of buildx. `epoch` is its time in seconds since 1970.
    `contexts` are further build contexts (name -> folder), `secrets` BuildKit secrets (id -> file),
    `arguments` build arguments (None: taken from the environment), `extra` further buildx arguments as the
    user gave them.
    """

    stage: str
    target: str
    image: ImageRef
    action: str
    dockerfile: Path
    context: Path
    epoch: int
    arguments: Mapping[str, str | None] = field(default_factory=dict)
    contexts: Mapping[str, Path] = field(default_factory=dict)
    secrets: Mapping[str, Path] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    cache_from: tuple[ImageRef, ...] = ()
    cache_to: ImageRef | None = None
    platform: str | None = None
    provenance: bool = False
    sbom: bool = False
    extra: tuple[str, ...] = ()

    def command(self, *, quiet: bool) -> list[str]:
        """Return the command line."""
        parts = [
            "docker", "buildx", "build", "--target", self.target, "--tag", str(self.image), self.action,
            "--file", str(self.dockerfile), f"--provenance={str(self.provenance).lower()}",
            f"--sbom={str(self.sbom).lower()}",
        ]  # fmt: skip
        if quiet:
            parts += ["--progress", "plain"]
        options = {
            "--platform": [self.platform] if self.platform else [],
            "--build-arg": [
                key if value is None else f"{key}={value}" for key, value in self.arguments.items()
            ],
            "--build-context": [f"{name}={folder}" for name, folder in self.contexts.items()],
            "--secret": [f"id={name},src={file}" for name, file in self.secrets.items()],
            "--label": [f"{name}={value}" for name, value in self.labels.items()],
            "--cache-from": [f"type=registry,ref={image}" for image in self.cache_from],
        }
        parts += [word for option, values in options.items() for value in values for word in (option, value)]
        if self.cache_to:
            parts += ["--cache-to", f"type=registry,ref={self.cache_to},mode=max,ignore-error=true"]
        return [*parts, *self.extra, str(self.context)]


def build_stage(
    checkout: Checkout,
    stage: str = RELEASE,
    action: str = "--load",
    *,
    quiet: bool = False,
    extra: Sequence[str] = (),
    say: Callable[[str], None],
) -> ImageRef:
    """Build a stage as `Checkout.stage_image` names it, and return that name; solr is not built, only pushed.

    `action` is `--load` (into the engine) or `--push` (to the registry), where only an image of just the
    commit checked out goes. A failure of a `quiet` build shows the whole log once. Raises `UsageError`,
    `BuildError`.
    """
    source = find_stage(checkout.project, stage)
    if action not in ACTIONS:
        cause = f"a build's action is {' or '.join(ACTIONS)}"
        raise UsageError(f"unknown action {action!r}", cause=cause, hint="`haybale build STAGE --load`")
    image = checkout.stage_image(stage)
    if action == "--push" and stage != SOLR:
        raise_if_not_committed(checkout, stage)
    if stage != SOLR:
        _build(checkout, stage, source, image, action=action, quiet=quiet, extra=extra, say=say)
    elif sdk.find_image(image) is None:
        # Only regeneration makes the index that this stage needs.
        raise BuildError(
            f"there is no image {image}",
            cause="the stage solr holds the baked index, and none has been baked at this version",
            hint="`haybale regen-solr-image`",
        )
    elif action == "--push":
        say(f"pushing {image}")
        push_image(image)
    return image


def ensure_stage(checkout: Checkout, stage: str, say: Callable[[str], None]) -> bool:
    """Build a stage unless its image is of just this commit, version and base; return whether it was built.

    Files that git ignores are taken to be no part of an image: where they are, it is the Dockerfile's.
    """
    if is_stage_current(checkout, stage):
        return False
    say(f"building the stage {stage}")
    build_stage(checkout, stage, quiet=True, say=say)
    return True


def is_stage_current(checkout: Checkout, stage: str) -> bool:
    """Return whether the engine has the stage's image of the commit checked out, with nothing changed."""
    image = sdk.find_image(checkout.stage_image(stage))
    base = sdk.find_image(checkout.settings.images.python)
    if image is None or base is None or checkout.head is None:
        return False
    if checkout.head.changed_files or untracked_in_context(checkout, stage):
        return False
    wanted = {REVISION: checkout.revision, VERSION: str(checkout.version), BASE_DIGEST: base.digest}
    return all(image.labels.get(label) == value for label, value in wanted.items())


def untracked_in_context(checkout: Checkout, stage: str) -> list[str]:
    """Return the files that a stage's build sees, and that are neither in git nor ignored by it."""
    if checkout.head is None:
        return []
    source, root = find_stage(checkout.project, stage), checkout.project.root
    untracked = git.untracked_files(root) if source.needs_context else ()
    return files_in_context(untracked, ignored_lines(source, root))


def raise_if_not_committed(checkout: Checkout, stage: str) -> None:
    """Raise `BuildError` where an image would have what is in no commit: others could not build it again."""
    changed = list(checkout.head.changed_files if checkout.head else ())
    found = [*changed, *untracked_in_context(checkout, stage)]
    if found:
        more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        raise BuildError(
            f"{checkout.stage_image(stage)} is not pushed: {', '.join(found[:SHOWN])}{more} would be in it",
            cause=f"that is in no commit; the version {checkout.version} is what the commit has",
            hint="commit it, or keep it out of the image (.dockerignore)",
        )


def build_solr_image(
    checkout: Checkout,
    image: ImageRef,
    home: Path,
    labels: Mapping[str, str],
    say: Callable[[str], None],
    *,
    core: str,
    options: Sequence[str] = (),
) -> None:
    """Build the stage solr as `image`, with what the folder `home` holds put over its `SOLR_HOME`.

    `options` are added to those that Solr's JVM gets from the stage (SOLR_OPTS). A stage may lay out the core
    `core` itself (ARG CORE), and copy an index from the build context `index`, which is empty.
    """
    source = find_stage(checkout.project, SOLR)
    text = source.text + CORES_STAGE.format(target=source.target)
    if options:
        text += f'ENV SOLR_OPTS="$SOLR_OPTS {" ".join(options)}"\n'
    with_cores = replace(source, text=text, target=SOLR_WITH_CORES)
    with tempfile.TemporaryDirectory(prefix="haybale-") as nothing:
        _build(
            checkout, SOLR, with_cores, image, action=LOAD_UNCOMPRESSED, quiet=True,
            contexts={CORES_CONTEXT: home, "index": Path(nothing)}, arguments={"CORE": core},
            labels=labels, use_cache=False, say=say,
        )  # fmt: skip


def _build(
    checkout: Checkout,
    stage: str,
    source: StageSource,
    image: ImageRef,
    *,
    action: str,
    quiet: bool,
    say: Callable[[str], None],
    extra: Sequence[str] = (),
    contexts: Mapping[str, Path] | None = None,
    arguments: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
    use_cache: bool = True,
) -> None:
    project, settings, env = checkout.project, checkout.settings, checkout.env
    kind, name = ("solr", settings.images.solr) if stage == SOLR else ("python", settings.images.python)
    base = ensure_base_image(ImageRef.parse(name), kind, env, say)
    has_cache = use_cache and settings.build.cache and is_registry_available(checkout.repository)
    caches = cache_images(checkout.repository, stage) if has_cache else ()
    writes_cache = caches and not env.get("NO_CACHE_TO") and sdk.engine_info().has_containerd_store
    time = checkout.head.commit.time if checkout.head else 0
    with tempfile.TemporaryDirectory(prefix="haybale-") as folder:
        pages = git.remote_pages(project.root)
        dockerfile, context = _write_dockerfile(Path(folder), project.root, source)
        build = StageBuild(
            stage=stage,
            target=source.target,
            image=image,
            action=action,
            dockerfile=dockerfile,
            context=context,
            epoch=time,
            arguments={
                **build_arguments(settings),
                **(arguments or {}),
                **dict.fromkeys(host.proxy_variables(env)),
            },
            contexts=contexts or {},
            secrets=host.write_secrets(Path(folder), env),
            labels={
                **({SOURCE: pages} if pages else {}),
                REVISION: _revision_of_files(checkout, stage),
                VERSION: str(checkout.version),
                CREATED: format_timestamp(time),
                BASE_DIGEST: base.digest,
                **(labels or {}),
            },
            cache_from=caches,
            cache_to=caches[-1] if writes_cache else None,
            platform=settings.build.platform,
            provenance=settings.build.provenance,
            sbom=settings.build.sbom,
            extra=tuple(extra),
        )
        _run(build, quiet=quiet)


def _write_dockerfile(folder: Path, root: Path, source: StageSource) -> tuple[Path, Path]:
    """Write what a stage is built from into a folder; return the file, and the build's context."""
    inner = folder / "dockerfile"
    inner.mkdir()
    file = inner / (source.file.name if source.file else "Dockerfile")
    file.write_text(source.text, encoding="utf-8")
    # BuildKit looks for it beside the Dockerfile, and then in the context.
    lines = "\n".join([*ignored_lines(source, root), ""])
    (inner / f"{file.name}.dockerignore").write_text(lines, encoding="utf-8", errors="surrogateescape")
    if source.needs_context:
        return file, root
    nothing = folder / "context"
    nothing.mkdir()
    return file, nothing


def ignored_lines(source: StageSource, root: Path) -> list[str]:
    """Return the lines of the .dockerignore that holds for a stage's build.

    That is the one beside the Dockerfile, or the repository's. With haybale's own Dockerfile, what git
    ignores is left out too, unless the repository's .dockerignore takes it in (!NAME); and what is secret by
    its name, unless git has it.
    """
    beside = source.file.with_name(f"{source.file.name}.dockerignore") if source.file else None
    places = [*([beside] if beside else []), root / ".dockerignore"]
    found = next((each for each in places if each.is_file()), None)
    lines = (
        found.read_text(encoding="utf-8-sig", errors="surrogateescape").splitlines()
        if found
        else list(source.ignored)
    )
    if source.file is not None or not source.needs_context:
        return lines
    if git.find_root(root) is None:
        return [*lines, *SECRET_FILES]
    untracked = git.untracked_files(root)
    secret = set(untracked) - set(files_in_context(untracked, SECRET_FILES))
    return [*map(_escaped, git.ignored_files(root)), *lines, *map(_escaped, sorted(secret))]


def _escaped(path: str) -> str:
    """Return a path as a line of a .dockerignore that means just it (Go, path/filepath, Match)."""
    return "/" + re.sub(r"([*?\[\\])", r"\\\1", path)


def _revision_of_files(checkout: Checkout, stage: str) -> str:
    """Return the revision of the files that are built: somebody may have edited them since it was read."""
    if checkout.head is None or checkout.head.changed_files:
        return checkout.revision
    now = git.read_head(checkout.project.root)
    same = now is not None and now.revision == checkout.revision and not untracked_in_context(checkout, stage)
    return checkout.revision if same else f"{checkout.revision}-dirty"


def _run(build: StageBuild, *, quiet: bool) -> None:
    for tool in (versions.ENGINE, versions.BUILDX):
        versions.require_version(tool)
    command = build.command(quiet=quiet)
    # SOURCE_DATE_EPOCH makes BuildKit date the image by the commit, not by the clock.
    env = {"SOURCE_DATE_EPOCH": str(build.epoch), "DOCKER_BUILDKIT": "1"}
    with credentials.cli_environment(build.image.domain) as login:
        if quiet:
            done = process.run(command, env={**env, **login})
        else:
            done = process.Completed(code=process.run_attached(command, env={**env, **login}))
    if not done.ok:
        raise BuildError(
            f"the stage {build.stage} could not be built (buildx exited with {done.code})",
            cause=done.error_line if quiet else "what it printed is above, with the instruction that failed",
            hint=f"fix it, then: `haybale build {build.stage}`",
            log=done.output,
        )


def format_timestamp(seconds: int) -> str:
    """Return a time (seconds since 1970) as RFC 3339 has it."""
    return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
