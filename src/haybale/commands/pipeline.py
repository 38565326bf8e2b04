"""The way of a push."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from haybale.commands import current_project, json_option
from haybale.pipeline import context, runner, show
from haybale.terminal import Terminal

if TYPE_CHECKING:
    from haybale.pipeline.plan import Strategy
    from haybale.release.event import Flag


@click.command()
@click.option("--plan", "only_plan", is_flag=True, help="Print the way and its reasons; touch nothing.")
@json_option
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
    "--resume", is_flag=False, flag_value="", default=None, metavar="[RUN]", help="Resume where a run died."
)
def pipeline_command(
    *, only_plan: bool, as_json: bool, graph: str | None, strategy: Strategy, event: Flag,
    publish: bool, take_next: bool, push_index: bool, resume: str | None,
) -> None:  # fmt: skip
    if graph:
        click.echo(show.graph(graph))
        return
    project = current_project()
    options = context.Options(strategy=strategy, event=event, publish=publish, push_index=push_index)
    if only_plan:
        click.echo(show.plan(project, options, as_json=as_json))
    elif resume is not None:
        runner.resume(project, resume, Terminal(), push_index=push_index)
    else:
        runner.pipeline(project, options, Terminal(), take_next=take_next)
