"""The pipeline of a push: planned, drawn, run or resumed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from haybale.checkout import read_checkout
from haybale.commands import json_option, working_project
from haybale.index.key import compute_key
from haybale.invocation import find_invocation
from haybale.pipeline.context import Options, gather_facts
from haybale.pipeline.graph import GRAPH
from haybale.pipeline.mermaid import draw_graph
from haybale.pipeline.plan import make_plan
from haybale.pipeline.rendering import render_plan
from haybale.pipeline.runner import resume_pipeline, run_pipeline
from haybale.terminal import Terminal, print_json

if TYPE_CHECKING:
    from haybale.pipeline.graph import Strategy
    from haybale.release.event import EventChoice


@click.command()
@click.option("--plan", "only_plan", is_flag=True, help="Print the plan and its reasons; change nothing.")
@json_option
@click.option("--graph", type=click.Choice(["mermaid", "json"]), help="Print the graph of all states.")
@click.option("--strategy", type=click.Choice(["key", "head"]), default="key", help="How to decide newData.")
@click.option(
    "--event", type=click.Choice(["pr-merge", "direct-push", "auto"]), default="auto",
    help="What kind of push this is.",
)  # fmt: skip
@click.option("--publish", is_flag=True, help="On main: make a version, push its images, commit and tag.")
@click.option("--next", "take_next", is_flag=True, help="If somebody published first, make the next version.")
@click.option("--push-index", is_flag=True, help="Push the index image, so that others can pull it.")
@click.option("--resume", is_flag=False, flag_value="", metavar="[RUN]", help="Resume a run that failed.")
def pipeline_command(
    *, only_plan: bool, as_json: bool, graph: str | None, strategy: Strategy, event: EventChoice,
    publish: bool, take_next: bool, push_index: bool, resume: str | None,
) -> None:  # fmt: skip
    if graph == "json":
        print_json(GRAPH.to_dict())
        return
    if graph:
        click.echo(find_invocation(Path.cwd()).render(draw_graph()))
        return
    project = working_project()
    options = Options(strategy=strategy, event=event, publish=publish, push_index=push_index)
    if only_plan:
        checkout = read_checkout(project, os.environ)
        facts = gather_facts(checkout, compute_key(project), options, os.environ)
        plan = make_plan(facts, project.settings.hooks)
        print_json(plan.to_dict()) if as_json else click.echo(
            find_invocation(project.root).render(render_plan(plan))
        )
    elif resume is not None:
        resume_pipeline(project, Terminal(), os.environ, name=resume or None, push_index=push_index)
    else:
        run_pipeline(project, options, Terminal(), os.environ, take_next=take_next)
