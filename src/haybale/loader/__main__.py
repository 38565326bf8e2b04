"""Load the site's whole search index into its empty Solr core, commit once, and verify it.

Run in the site's container, with its folder as the working directory. Speaks the protocol of events.py.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from .documents.hash_seed import fix_hash_seed
from .events import run_reporting_errors
from .options import parse_options
from .startup import import_after_start

if TYPE_CHECKING:
    from .events import Events


def main(events: Events) -> None:
    """Load every index of every Solr connection, or list their cores, or the fields of these."""
    options = parse_options()
    if options.describe_schemas:
        import_after_start("site_schema", None).send_schemas(events)
        return
    if options.list_cores:
        import_after_start("cores", None).send_cores(events)
        return
    import_after_start("load", options.inputs).load_and_verify(events, options)


if __name__ == "__main__":
    fix_hash_seed(__package__, str(Path(__file__).resolve().parent.parent))
    sys.exit(run_reporting_errors(main))
