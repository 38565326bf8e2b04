"""What Flux needs to know of each environment: which tag it follows, who tells it, and what it applies.

Written from the settings, for people to look at, to change and to apply (docs/flux.md). What Flux takes is in
its CustomResourceDefinitions; a test holds these files against them.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

from haybale.config import PLACEHOLDER, USUAL_ENVIRONMENT
from haybale.deploy.commit import (
    fill_template,
    for_environment,
    images_file,
    overlay_folder,
    placeholder_images_file,
)
from haybale.deploy.tags import deploy_tag
from haybale.errors import ConfigError, ReleaseError
from haybale.files import add_stamp, is_as_stamped, write_atomically
from haybale.images.site_services import expand
from haybale.tools import git

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from haybale.config import Environment, FluxSettings, Project, Settings

# The longest name that every kind of object may have (RFC 1123, a label).
MAX_NAME = 63

# Names that YAML 1.1 takes for something else where they stand without quotes.
NEEDS_QUOTES = re.compile(r"[0-9].*|true|false|yes|no|on|off|y|n|null")

# What the first line of a file that every run writes says of who wrote it.
WRITER = "haybale flux from [tool.haybale]"


@dataclass(frozen=True, kw_only=True)
class Forge:
    """Who tells Flux of a moved tag: the Receiver's type, the events it takes, and how they name the tag."""

    type: str
    events: tuple[str, ...]
    filter: tuple[str, ...]


# An event that is not listed is answered with an error, so GitHub's ping is listed. A tag that moves is a
# push, one that comes into being also a create, which has its short name. `has` stands before everything: a
# filter that fails is an error, not a no.
PUSHED = "has(req.ref) && req.ref == 'refs/tags/{tag}'"
FORGES: Mapping[str, Forge] = {
    "github": Forge(
        type="github",
        events=("ping", "push", "create"),
        filter=(
            PUSHED,
            "|| has(req.ref) && has(req.ref_type) && req.ref_type == 'tag' && req.ref == '{tag}'",
        ),
    ),
    "gitlab": Forge(type="gitlab", events=("Tag Push Hook",), filter=(PUSHED,)),
    "generic": Forge(type="generic-hmac", events=(), filter=(PUSHED,)),
}


def object_name(settings: Settings, environment: str) -> str:
    """Return what an environment's objects are called; raises `ConfigError` where that is too long."""
    found = f"{settings.name.replace('_', '-')}-{environment}"
    if len(found) > MAX_NAME:
        raise ConfigError(
            f"{found!r} has {len(found)} characters; a name in Kubernetes has at most {MAX_NAME}",
            cause="it is made of `name` and the environment's name",
            hint="shorten one of them",
        )
    return found


def secret_name(settings: Settings, environment: str) -> str:
    """Return the name of the Secret that an environment's webhook is signed with."""
    return f"{object_name(settings, environment)}-webhook"[:MAX_NAME].rstrip("-")


def render_objects(settings: Settings, environment: str, url: str) -> str:
    """Return an environment's GitRepository, Receiver, and Kustomization or HelmRelease, as YAML.

    `url` is where Flux fetches the repository. Raises `ConfigError` where a name gets too long.
    """
    flux, forge = settings.flux, FORGES[settings.flux.forge]
    events = "".join(f"\n    - {event}" for event in forge.events)
    objects = fill_template(
        "objects.yaml",
        name=_quote(object_name(settings, environment)),
        namespace=_quote(flux.namespace),
        interval=flux.interval,
        url=json.dumps(url),
        credentials=f"\n  secretRef:\n    name: {_quote(flux.credentials)}" if flux.credentials else "",
        tag=deploy_tag(environment),
        ignore="\n".join(f"    {line}" for line in _ignore_patterns(flux)),
        type=forge.type,
        events=f"\n  events:{events}" if events else "",
        secret=_quote(secret_name(settings, environment)),
        filter="\n".join(f"    {line.format(tag=deploy_tag(environment))}" for line in forge.filter),
    )
    return objects + _render_applied(settings, environment)


def _render_applied(settings: Settings, environment: str) -> str:
    """Return what Flux applies of an environment's GitRepository: a Kustomization, or a HelmRelease."""
    flux, name = settings.flux, _quote(object_name(settings, environment))
    if flux.chart:
        return fill_template(
            "helmrelease.yaml",
            name=name, namespace=_quote(flux.namespace), interval=flux.interval, chart=flux.chart,
            release=_quote(settings.name.replace("_", "-")),
            target=_quote(_target_namespace(settings, environment)),
            values="\n".join(f"        - {path}" for path in value_files(flux, environment)),
        )  # fmt: skip
    return fill_template(
        "kustomization.yaml",
        name=name, namespace=_quote(flux.namespace), interval=flux.interval,
        path=overlay_folder(flux, environment),
        # Haybale's own overlay names it already. The path is from the folder that is applied.
        components="\n  components:\n    - images" if flux.overlay else "",
    )  # fmt: skip


def value_files(flux: FluxSettings, environment: str) -> list[str]:
    """Return the files with a chart's values, from the root: its own, yours, and which images run."""
    own = (for_environment(path, environment) for path in flux.value_files)
    return [f"{flux.chart}/values.yaml", *own, f"{flux.folder}/images/{environment}.yaml"]


def _target_namespace(settings: Settings, environment: str) -> str:
    return settings.environments[environment].namespace or object_name(settings, environment)


def generated_files(settings: Settings, url: str) -> dict[str, str]:
    """Return the files that every run writes: path below the manifests' folder -> text, stamped."""
    found = {}
    for environment in settings.environments:
        # Without a token in it: an empty one would let everybody in.
        template = fill_template(
            "secret.template",
            name=_quote(secret_name(settings, environment)),
            namespace=_quote(settings.flux.namespace),
            receiver=object_name(settings, environment),
        )
        found[f"flux/{environment}.yaml"] = add_stamp(render_objects(settings, environment, url), WRITER)
        found[f"flux/{environment}.secret.template"] = add_stamp(template, WRITER)
    return found


def initial_files(settings: Settings) -> dict[str, str]:
    """Return the files that are written where there are none, and then are the user's: the overlays.

    With manifests or a chart of their own that is only which images run: none.
    """
    flux, found = settings.flux, {}
    if flux.overlay or flux.chart:
        return {}
    for environment, its in settings.environments.items():
        namespace = _quote(_target_namespace(settings, environment))
        resources = ["../../base", "namespace.yaml", *(["ingress.yaml"] if its.host else [])]
        overlay = fill_template(
            "overlay.yaml",
            environment=environment,
            namespace=namespace,
            resources="\n".join(f"  - {each}" for each in resources),
            literals="\n".join(f"      - {each}" for each in _site_variables(its)),
        )
        folder = f"overlays/{environment}"
        found[f"{folder}/kustomization.yaml"] = overlay
        found[f"{folder}/namespace.yaml"] = fill_template("namespace.yaml", namespace=namespace)
        if its.host:
            found[f"{folder}/ingress.yaml"] = fill_template("ingress.yaml", host=json.dumps(its.host))
        found[f"{folder}/images/kustomization.yaml"] = placeholder_images_file(flux)
    return found


def base_files(settings: Settings) -> dict[str, str]:
    """Return the base that haybale's overlays need: the site, its Solr, and who may talk to whom.

    The site is told where Solr is. What else it reads differs between environments or is secret: that is the
    overlay's, and a Secret's.
    """
    site, flux = settings.site, settings.flux
    variables = "".join(
        f"\n            - name: {name}\n              value: {json.dumps(value)}"
        for name, value in _solr_variables(settings).items()
    )
    headers = (
        f"                - name: {name}\n                  value: {_scalar(value)}"
        for name, value in site.health_headers.items()
    )
    words = {
        "name": settings.name, "site": flux.site_image, "index": flux.index_image,
        # The user of haybale's own Dockerfile, where the settings name none by its number.
        "user": site.user if site.user and site.user.isdecimal() else "10001",
        "args": f"\n          args: {json.dumps(site.command)}" if site.command else "",
        "variables": f"\n          env:{variables}" if variables else "",
        "port": str(site.port), "health": _scalar(site.health), "headers": "\n".join(headers),
    }  # fmt: skip
    names = ("kustomization.yaml", "network.yaml", "site.yaml", "solr.yaml")
    return {f"base/{name}": fill_template(f"base/{name}", **words) for name in names}


def _solr_variables(settings: Settings) -> dict[str, str]:
    """Return the site's variables that say where Solr is, as the base's Service has it."""
    site = settings.site
    base, core = "http://solr:8983/solr", next(iter(settings.cores), None)
    known = {"solr_base_url": base, "solr_host": "solr", "solr_port": "8983"}
    if core:
        known |= {"core": core, "solr_url": f"{base}/{core}"}
    module = site.release.settings or site.settings
    found = {"DJANGO_SETTINGS_MODULE": module} if module else {}
    for name, value in {**USUAL_ENVIRONMENT, **site.environment, **site.release.environment}.items():
        words = PLACEHOLDER.findall(value)
        if words and known.keys() >= set(words):
            found[name] = expand(value, known)
    return found


def _scalar(text: str) -> str:
    """Return a text as YAML reads it back, in quotes only where it needs them."""
    return (
        text
        if re.fullmatch(r"[A-Za-z/][\w./-]*", text) and not NEEDS_QUOTES.fullmatch(text)
        else json.dumps(text)
    )


def _quote(text: str) -> str:
    """Return a name as YAML reads it back."""
    return json.dumps(text) if NEEDS_QUOTES.fullmatch(text) else text


def _site_variables(environment: Environment) -> list[str]:
    # The probes ask as localhost.
    hosts = [environment.host, "localhost"] if environment.host else ["localhost"]
    trusted = [f"CSRF_TRUSTED_ORIGINS=https://{environment.host}"] if environment.host else []
    return [f"ALLOWED_HOSTS={','.join(hosts)}", *trusted]


def _ignore_patterns(flux: FluxSettings) -> list[str]:
    """Return the patterns, as in .gitignore, that leave nothing but what is applied."""
    if flux.overlay or flux.chart:
        # What an overlay or a chart takes from beside it is known to itself only.
        applied = [flux.overlay] if flux.overlay else [flux.chart or "", flux.folder, *flux.value_files]
        tops = {path.partition("/")[0] for path in applied if path}
        return [] if any("{" in top for top in tops) else ["/*", *(f"!/{top}" for top in sorted(tops))]
    paths = accumulate(f"/{part}" for part in flux.folder.split("/"))
    *lines, _ = (line for path in paths for line in (f"!{path}", f"{path}/*"))
    return ["/*", *lines]


def repository_url(flux: FluxSettings, origin: str | None) -> str:
    """Return where Flux fetches the repository: as is set, else git's URL of `origin`.

    Raises `ConfigError` where that is no URL that Flux takes, has a password in it, or needs a key and there
    is none (Flux, GitRepository: "SSH authentication").
    """
    # git's short form of ssh, user@host:path, and its other names.
    short = re.fullmatch(r"([\w.-]+@[\w.-]+):(?!//)/?(\S+)", origin or "")
    long = re.sub(r"^(git\+ssh|ssh\+git)://", "ssh://", origin or "")
    found = flux.url or (f"ssh://{short[1]}/{short[2]}" if short else long)
    if not re.match(r"(https?|ssh)://", found):
        raise ConfigError(
            f"Flux cannot fetch the repository from {found!r}" if found else "there is no remote `origin`",
            cause="it takes https:// and ssh:// only",
            hint='set url = "https://..." in [tool.haybale.flux]',
        )
    login, at, _ = found.partition("://")[2].partition("/")[0].rpartition("@")
    if at and ":" in login:
        raise ConfigError(
            "flux.url has a password in it",
            cause="it would stand in the manifests, for everybody to read",
            hint="take it out, put it into a Secret, and name that: credentials = ... in [tool.haybale.flux]",
        )
    if needs_key(found) and not flux.credentials:
        raise ConfigError(
            f"Flux cannot fetch {found} without a key",
            cause="over ssh it always needs one, even where all may read, and flux.credentials names none",
            hint=f'flux create secret git NAME --url={found}, then credentials = "NAME" in'
            ' [tool.haybale.flux]; or set url = "https://..." there',
        )
    return found


def needs_key(url: str) -> bool:
    """Whether Flux fetches a URL with a key only: it has no ssh without an identity and known hosts."""
    return url.startswith("ssh://")


def write_manifests(project: Project, into: Path, say: Callable[[str], None]) -> tuple[Path, ...]:
    """Write the manifests of all environments below a folder; return the files that were written.

    An existing base and existing overlays stay as they are. With manifests or a chart of the repository's
    own, what is written beside Flux's objects is only which images run, where the repository has it. Raises
    `ReleaseError`, and writes nothing, where somebody changed a file that would be overwritten; `ConfigError`
    where a setting is missing or wrong.
    """
    settings = project.settings
    if not settings.environments:
        raise ConfigError(
            "there is no environment",
            cause="none is declared in [tool.haybale.environments]",
            hint="add [tool.haybale.environments.dev] to pyproject.toml",
        )
    _raise_if_missing(project)
    wanted = generated_files(settings, repository_url(settings.flux, git.remote_url(project.root)))
    existing = {path: (into / path).read_text(encoding="utf-8") for path in wanted if (into / path).is_file()}
    wanted = {path: text for path, text in wanted.items() if existing.get(path) != text}
    changed = [path for path in wanted if path in existing and not is_as_stamped(existing[path])]
    if changed:
        raise ReleaseError(
            f"somebody changed {', '.join(str(into / path) for path in changed)}",
            cause="it is not as haybale flux wrote it, and the settings ask for something else",
            hint="move the change (into the settings, where it belongs), delete the file, and try again",
        )
    wanted |= {path: text for path, text in initial_files(settings).items() if not (into / path).exists()}
    is_own = not settings.flux.overlay and not settings.flux.chart
    if is_own and not (into / "base").exists():
        wanted |= base_files(settings)
    files = {into / path: text for path, text in wanted.items()}
    if not is_own:
        paths = (project.path(images_file(project, name)) for name in settings.environments)
        text = placeholder_images_file(settings.flux)
        files |= {path: text for path in paths if not path.exists()}
    for file, text in files.items():
        write_atomically(file, text)
        say(f"wrote {file}")
    return tuple(files)


def _raise_if_missing(project: Project) -> None:
    """Raise `ConfigError` where the settings name manifests, a chart or values that are not there."""
    flux, environments = project.settings.flux, project.settings.environments
    needed: list[tuple[str, str]] = []
    if flux.chart:
        needed = [("chart", f"{flux.chart}/Chart.yaml"), ("chart", f"{flux.chart}/values.yaml")]
        for path in flux.value_files:
            needed += [("value_files", for_environment(path, name)) for name in environments]
    elif flux.overlay:
        needed = [("overlay", overlay_folder(flux, name)) for name in environments]
    missing = [(setting, path) for setting, path in needed if not project.path(path).exists()]
    if missing:
        setting, path = missing[0]
        raise ConfigError(
            f"there is no {path}",
            cause=f"`{setting}` in [tool.haybale.flux] names it",
            hint=f"correct {setting}, or make what it names",
        )
