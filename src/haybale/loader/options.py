"""The loader's command line."""

from __future__ import annotations

import argparse
from typing import NamedTuple, Sequence

from .worker_pool import START_METHODS

# The size of the sample that stands for all documents.
ALL_DOCUMENTS = -1


class Options(NamedTuple):
    """What the loader is to do; 0 and None: what the loader finds to be best, or nothing."""

    batch: int
    workers: int
    rows: int
    start: str | None
    inputs: str | None
    sample: int
    seed: int | None
    cores: Sequence[str]
    list_cores: bool
    describe_schemas: bool
    verify_ignore: Sequence[str]


def parse_options() -> Options:
    """Return the options that the command line gives."""
    description = "Load the site's search index into its empty Solr core."
    parser = argparse.ArgumentParser(prog="haybale_loader", description=description)
    parser.add_argument("--batch", type=int, default=0, help="documents per request; 0: by what is measured")
    parser.add_argument("--workers", type=int, default=0, help="processes; 0: more while processors are idle")
    parser.add_argument("--rows", type=int, default=0, help="rows per partition; 0: by the rows of the model")
    parser.add_argument("--start", choices=START_METHODS, help="how the processes are started")
    parser.add_argument("--inputs", help="what may be read (JSON, see checks/audit.py); else no audit")
    sample_help = "documents of each model to compare afterwards; {}: all".format(ALL_DOCUMENTS)
    parser.add_argument("--sample", type=int, default=0, help=sample_help)
    parser.add_argument("--seed", type=int, help="of the random sample; by default a new one")
    cores_help = "the cores that the site's connections must name, no others"
    parser.add_argument("--cores", type=lambda text: text.split(","), default=(), help=cores_help)
    parser.add_argument("--list-cores", action="store_true", help="list the connections' cores, nothing else")
    schemas_help = "describe the fields of each core, nothing else"
    parser.add_argument("--describe-schemas", action="store_true", help=schemas_help)
    ignore_help = "fields that are not compared, app.model.field"
    parser.add_argument("--verify-ignore", type=lambda text: text.split(","), default=(), help=ignore_help)
    return Options(**vars(parser.parse_args()))
