"""The command line: one verb for each session, arguments, exit codes, and the one place that prints errors.

Verbs import what they need when they run: `version` must not wait for the engine's SDK.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from haybale import config, errors
from haybale.tools import process

if TYPE_CHECKING:
    from rich.console import Console

    from haybale.deploy.tags import Move
    from haybale.pipeline.plan import Strategy
    from haybale.release.event import Flag
    from haybale.terminal import Terminal


# The exit code of a process that Ctrl-C ended, as shells have it.
INTERRUPTED = 130

# Arguments that belong to another tool arrive as they are, options of its own included.
VERBATIM = {"ignore_unknown_options": True, "allow_interspersed_args": False, "help_option_names": []}
# A positional argument may begin with dashes here: an action is --load or --push.
POSITIONAL = {"ignore_unknown_options": True}


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="haybale")
def verbs() -> None:
    """Bake a Django + Haystack site's Solr index into an image; test, release and deploy exactly that."""


@verbs.command()
def version() -> None:
    """Print the version: v0.4.11, v0.4.11-r1, with -prNum where that is set."""
    from haybale import version as release  # noqa: PLC0415

    click.echo(release.read(config.load().root, os.environ))


@verbs.command()
def registry() -> None:
    """Print the repository that images belong to."""
    click.echo(config.load().settings.registry)


@verbs.command()
def tag() -> None:
    """Print REGISTRY:VERSION."""
    from haybale import image_ref as refs  # noqa: PLC0415
    from haybale import version as release  # noqa: PLC0415

    project = config.load()
    click.echo(refs.tag(project.settings.registry, str(release.read(project.root, os.environ))))


@verbs.command()
def layers() -> None:
    """Print the names of the Dockerfile's stages, a line each."""
    from haybale.images import dockerfile as stages  # noqa: PLC0415

    project = config.load()
    click.echo("\n".join(stages.of(project.path(project.settings.dockerfile))))


@verbs.command()
def engine() -> None:
    """Make sure that a container engine with compose and buildx answers; install one where there is none."""
    from haybale.tools.engine import install  # noqa: PLC0415

    install.ensure_engine(terminal().say)


@verbs.command(context_settings=POSITIONAL)
@click.argument("layer", metavar="[STEP]", default="release")
@click.argument("action", metavar="[--load|--push]", default="--load")
@click.argument("verbosity", default="1")
@click.argument("extra", metavar="[BUILDX ARGUMENTS]", nargs=-1, type=click.UNPROCESSED)
def build(layer: str, action: str, verbosity: str, extra: tuple[str, ...]) -> None:
    """Build a layer as TAG (release) or TAG-layer; '' as verbosity is quiet."""
    _build(layer, action, verbosity, extra)


@verbs.command(context_settings=POSITIONAL)
@click.argument("layer", metavar="[STEP]", default="release")
@click.argument("extra", metavar="[BUILDX ARGUMENTS]", nargs=-1, type=click.UNPROCESSED)
def push(layer: str, extra: tuple[str, ...]) -> None:
    """Build a layer and push it."""
    _build(layer, "--push", "1", extra)


def _build(layer: str, action: str, verbosity: str, extra: tuple[str, ...]) -> None:
    from haybale.images import build as images  # noqa: PLC0415

    shown = terminal()
    shown.done(images.build(config.load(), layer, action, verbosity, extra, say=shown.say))


@verbs.command("regen-solr-image")
@click.option("--keep", is_flag=True, help="Leave the services of this run, for debugging.")
def regen_solr_image(*, keep: bool) -> None:
    """Index the reference dump, bake the index into the Solr image, prove it."""
    from haybale.images import build as images  # noqa: PLC0415
    from haybale.index import build as regenerate  # noqa: PLC0415
    from haybale.index.key import compute_key  # noqa: PLC0415
    from haybale.tools.engine import sdk  # noqa: PLC0415

    project, shown = config.load(), terminal()
    baked = regenerate.regenerate(project, compute_key(project), shown, keep=keep)
    name = images.image_name(project, "solr")
    sdk.tag_image(baked.id, name)
    shown.done(f"it is {name} now")


@verbs.command()
@click.argument("other", metavar="[KEY OR IMAGE]", default="")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def why(other: str, *, as_json: bool) -> None:
    """Tell what the index key is made of, and what changed since the last index, or since another one's."""
    from haybale.index import key_diff as reasons  # noqa: PLC0415

    click.echo(reasons.tell(config.load(), other, as_json=as_json))


@verbs.command()
@click.argument("ref", metavar="[KEY OR IMAGE]", default="")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def inspect(ref: str, *, as_json: bool) -> None:
    """Tell what an index image holds and how that was verified, from its labels."""
    from haybale.index import inspect as images  # noqa: PLC0415

    said = images.document(*images.find(config.load(), ref))
    if as_json:
        click.echo(images.as_json(said))
        return
    shown = paper()
    for line in images.lines(said):
        shown.print(line, markup=False)
    shown.print(images.table(said))


@verbs.command()
@click.option("--plan", "only_plan", is_flag=True, help="Print the way and its reasons; touch nothing.")
@click.option("--json", "as_json", is_flag=True, help="With --plan: for programs.")
@click.option("--graph", type=click.Choice(["mermaid", "json"]), help="Print the graph of all states.")
@click.option(
    "--strategy", type=click.Choice(["key", "head"]), default="key", help="How newData is answered."
)
@click.option(
    "--event", type=click.Choice(["pr-merge", "direct-push", "auto"]), default="auto",
    help="What kind of push this is.",
)  # fmt: skip
@click.option("--publish", is_flag=True, help="On main: make a version, push its images, commit and tag.")
@click.option(
    "--next", "take_next", is_flag=True, help="Somebody was faster: make the next version on theirs."
)
@click.option("--push-index", is_flag=True, help="Push the index image, so that others need not make it.")
@click.option(
    "--resume", is_flag=False, flag_value="", default=None, metavar="[RUN]", help="Go on where a run died."
)
def pipeline(
    *, only_plan: bool, as_json: bool, graph: str | None, strategy: Strategy, event: Flag,
    publish: bool, take_next: bool, push_index: bool, resume: str | None,
) -> None:  # fmt: skip
    """Take a push the whole way: index, version, tests, publishing; each only where it is needed."""
    from haybale.pipeline import context as facts  # noqa: PLC0415
    from haybale.pipeline import runner as run  # noqa: PLC0415
    from haybale.pipeline import show  # noqa: PLC0415

    if graph:
        click.echo(show.graph(graph))
        return
    project = config.load()
    options = facts.Options(strategy=strategy, event=event, publish=publish, push_index=push_index)
    if only_plan:
        click.echo(show.plan(project, options, as_json=as_json))
    elif resume is not None:
        run.resume(project, resume, terminal(), push_index=push_index)
    else:
        run.pipeline(project, options, terminal(), take_next=take_next)


@verbs.command()
@click.option("--keep", is_flag=True, help="Leave the services of this run, for debugging.")
def test(*, keep: bool) -> None:
    """Bring up the site with the baked index and run every test."""
    from haybale.testing import run as testrun  # noqa: PLC0415

    testrun.run(config.load(), terminal(), keep=keep)


@verbs.command(context_settings=POSITIONAL)
@click.option("--offline", is_flag=True, help="Leave the remote unasked.")
@click.argument("arguments", metavar="[PART] [BUMP2VERSION ARGUMENTS]", nargs=-1, type=click.UNPROCESSED)
def bump(arguments: tuple[str, ...], *, offline: bool) -> None:
    """Make the next version: commit and tag. PART is major, minor, patch or build (default)."""
    from haybale.release import bump as bumps  # noqa: PLC0415

    made = bumps.bump(config.load().root, arguments, os.environ, offline=offline)
    click.echo(made.out, nl=False)
    click.echo(made.err, nl=False, err=True)
    if made.dry:
        terminal().done(f"nothing was changed; this would make {made.version}")
    else:
        terminal().done(f"made {made.version}; git push --atomic --follow-tags publishes it")


@verbs.command()
@click.option(
    "--into", type=click.Path(file_okay=False, path_type=Path), help="Another folder than the settings' one."
)
def flux(into: Path | None) -> None:
    """Write what Flux needs of each environment: its tag, its webhook, what it applies."""
    from haybale.deploy import flux as manifests  # noqa: PLC0415

    project, shown = config.load(), terminal()
    written = manifests.write(project, into or project.path(project.settings.flux.folder), shown.say)
    shown.done(f"{len(written)} files are new" if written else "everything is up to date")


@verbs.command("deploy")
@click.argument("environment")
@click.argument("version", default="")
@click.option("--plan", "only_plan", is_flag=True, help="Print what would move; touch nothing.")
def deploy_(environment: str, version: str, *, only_plan: bool) -> None:
    """Deploy a version (default: the one checked out) to an environment: two tags move in one push."""
    from haybale.deploy import tags as deploy  # noqa: PLC0415

    project = config.load()
    _carry_out(project, deploy.deploy(project, environment, version), only_plan=only_plan)


@verbs.command()
@click.argument("environment")
@click.option("--plan", "only_plan", is_flag=True, help="Print what would move; touch nothing.")
def rollback(environment: str, *, only_plan: bool) -> None:
    """Give an environment back what it had before."""
    from haybale.deploy import tags as deploy  # noqa: PLC0415

    project = config.load()
    _carry_out(project, deploy.rollback(project, environment), only_plan=only_plan)


def _carry_out(project: config.Project, move: Move, *, only_plan: bool) -> None:
    from haybale.deploy import tags as deploy  # noqa: PLC0415

    shown = terminal()
    if not move.moves:
        shown.done(f"{move.environment} has {move.version} already; nothing moved")
        return
    for line in deploy.shown(move):
        shown.say(line)
    if only_plan:
        shown.done(f"{move.environment} would get {move.version} (now: {move.before or 'nothing'})")
        return
    deploy.carry_out(project, move)
    shown.done(f"{move.environment} has {move.version} now (before: {move.before or 'nothing'})")


@verbs.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.option("--html", "page", type=click.Path(dir_okay=False, path_type=Path), help="Write a page, too.")
def status(*, as_json: bool, page: Path | None) -> None:
    """Tell what runs in each environment, since when, and whether that still holds."""
    from haybale.deploy import status as places  # noqa: PLC0415

    found = places.status(config.load())
    if page:
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(places.html(found), encoding="utf-8")
    if as_json:
        click.echo(json.dumps(places.as_json(found), indent=2))
        return
    shown = paper()
    shown.print(places.table(found))
    for line in places.drift(found):
        shown.print(f"! {line}", markup=False)


@verbs.command("verify-release")
@click.argument("version")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def verify_release(version: str, *, as_json: bool) -> None:
    """Ask git and the registry whether every part of a release is what its record says."""
    from rich.table import Table  # noqa: PLC0415

    from haybale.release import releases  # noqa: PLC0415

    parts = releases.verify(config.load(), version)
    if as_json:
        click.echo(json.dumps({"version": version, "parts": [vars(part) for part in parts]}, indent=2))
    else:
        table = Table(title=version, title_justify="left")
        for heading in ("part", "holds", "what was found"):
            table.add_column(heading)
        for part in parts:
            table.add_row(part.name, "yes" if part.holds else "[bold red]NO", part.said)
        paper().print(table)
    releases.judge(version, parts)


@verbs.command()
@click.option("--yes", "remove", is_flag=True, help="Remove them; otherwise they are only listed.")
def prune(*, remove: bool) -> None:
    """List the images that no published version and no environment refers to, or remove them."""
    from haybale.deploy import prune as housekeeping  # noqa: PLC0415
    from haybale.index.key import compute_key  # noqa: PLC0415

    project, shown = config.load(), terminal()
    current = compute_key(project)
    found = housekeeping.look(project, current)
    for place, tags in (("registry", found.registry), ("engine", found.engine)):
        for tag, digest in sorted(tags.items()):
            shown.say(f"{place}: {project.settings.registry}:{tag} ({digest[:19]})")
    number = len(found.registry) + len(found.engine)
    if not remove:
        shown.done(f"{number} may go; --yes removes them" if number else "everything is in use")
        return
    gone = housekeeping.remove(project, current, found)
    shown.done(f"{len(gone.registry) + len(gone.engine)} removed")


@verbs.command()
@click.argument("before", metavar="[FROM]", default="")
@click.argument("version", metavar="[TO]", default="")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def notes(before: str, version: str, *, as_json: bool) -> None:
    """Write release notes, in Markdown: what came after FROM with TO, and what that did to the index."""
    from haybale.release import notes as release  # noqa: PLC0415

    found = release.write(config.load(), before, version)
    click.echo(release.as_json(found) if as_json else release.markdown(found), nl=as_json)


@verbs.command("rehearse-deploy")
@click.argument("environment")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def rehearse_deploy(environment: str, *, as_json: bool) -> None:
    """Deploy to an environment on a scratch remote, and tell what its webhooks would make Flux do."""
    from haybale.rehearsal.rendering import check_lines, deliveries_table  # noqa: PLC0415
    from haybale.rehearsal.run import rehearse_deployment  # noqa: PLC0415

    shown = terminal()
    rehearsal = rehearse_deployment(config.load(), environment, shown.say)
    if as_json:
        click.echo(json.dumps(rehearsal.to_dict(), indent=2))
    else:
        printed = paper()
        printed.print(deliveries_table(rehearsal))
        for line in check_lines(rehearsal):
            printed.print(line, markup=False)
    rehearsal.raise_if_failed()
    shown.done(f"a deployment to {environment} makes Flux fetch it, and nothing else")


@verbs.command("regen-requirements")
@click.option("--check", is_flag=True, help="Change nothing; fail where a line is stale, and say why.")
@click.option("--upgrade", is_flag=True, help="Move every pin to the newest version that fits.")
@click.option("--upgrade-package", "-P", metavar="NAME", multiple=True, help="Move this pin.")
def regen_requirements(*, check: bool, upgrade: bool, upgrade_package: tuple[str, ...]) -> None:
    """Compile the site's requirements, for production and for everything, from one resolution."""
    from haybale.requirements import compile as requirements  # noqa: PLC0415

    project, shown = config.load(), terminal()
    if check:
        requirements.check(project)
        shown.done("the requirements are up to date")
    else:
        requirements.regenerate(project, upgrade=upgrade, upgrade_packages=upgrade_package, say=shown.say)


@verbs.command("solr-dc", context_settings=VERBATIM)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def solr_dc(arguments: tuple[str, ...]) -> None:
    """Run docker compose on the environment that indexes (default: ps)."""
    from haybale.index import stack as environments  # noqa: PLC0415

    sys.exit(environments.solr_dc(config.load(), arguments, terminal().say))


@verbs.command("ci-dc", context_settings=VERBATIM)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def ci_dc(arguments: tuple[str, ...]) -> None:
    """Run docker compose on the environment that tests (default: ps)."""
    from haybale.index import stack as environments  # noqa: PLC0415

    sys.exit(environments.ci_dc(config.load(), arguments, terminal().say))


def paper() -> Console:
    """Return what results are printed on."""
    from rich.console import Console  # noqa: PLC0415

    return Console(highlight=False, soft_wrap=True)


def terminal() -> Terminal:
    """Return what a verb speaks through."""
    from haybale.terminal import Terminal  # noqa: PLC0415

    return Terminal()


def main() -> NoReturn:
    """Run a verb. Exit codes: 0, one per kind of error (errors.py), 130 after Ctrl-C, 143 after SIGTERM."""
    process.exit_on_signals()
    try:
        verbs.main(standalone_mode=False)
    except click.exceptions.Exit as done:
        sys.exit(done.exit_code)
    except click.ClickException as wrong:
        wrong.show()
        sys.exit(errors.UsageError.exit_code)
    except (click.Abort, KeyboardInterrupt):
        print("haybale: interrupted", file=sys.stderr)  # noqa: T201
        sys.exit(INTERRUPTED)
    except errors.HaybaleError as error:
        ended_by = process.received_signal()
        if ended_by is not None:
            # What failed then failed because its processes were ended too.
            print("haybale: interrupted", file=sys.stderr)  # noqa: T201
            sys.exit(128 + ended_by)
        told = chain(error)
        for each in told:
            terminal().error(each)
        sys.exit(told[0].exit_code)
    sys.exit(0)


def chain(error: errors.HaybaleError) -> list[errors.HaybaleError]:
    """Return a failure and those that came of it (cleaning up failed as well), the first one first."""
    found: list[errors.HaybaleError] = []
    each: BaseException | None = error
    while each is not None:
        if isinstance(each, errors.HaybaleError):
            found.insert(0, each)
        each = each.__context__
    return found
