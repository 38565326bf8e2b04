"""What `pipeline` prints without doing anything: the graph, and the plan of a push."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from haybale.index.key import compute_key
from haybale.pipeline import context as facts
from haybale.pipeline import graph as states
from haybale.pipeline import plan as plans

if TYPE_CHECKING:
    from haybale.config import Project


def graph(form: str) -> str:
    """Return the graph of all states, as `mermaid` or `json`."""
    return states.mermaid() if form == "mermaid" else json.dumps(states.as_json(), indent=2)


def plan(project: Project, options: facts.Options, *, as_json: bool) -> str:
    """Return the way that a push would take now, as text or as JSON (docs/pipeline.md)."""
    planned = plans.plan(facts.gather(project, compute_key(project), options, os.environ))
    return json.dumps(planned.as_json(), indent=2) if as_json else plans.text(planned)
