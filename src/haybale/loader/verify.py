"""Look whether Solr holds what the site's database says.

Run in the site's container after load.py: `python /haybale/verify.py --sample 200 --loaded '{"models": ..}'`,
where --loaded is what load.py said (its `models`, and `counts` {core: {type: documents}}). Speaks the
protocol of haybale_events.py; haybale_verify.py has its last event, `verified`.
"""

from __future__ import annotations

import argparse
import json
import sys

import haybale_site as site
from haybale_events import Events, run
from haybale_verify import EVERY, look, seeded


def main(events: Events) -> None:
    """Verify every index of every Solr connection."""
    parser = argparse.ArgumentParser(description="Look whether Solr holds what the site's database says.")
    parser.add_argument("--loaded", type=json.loads, required=True, help="what load.py said, JSON")
    parser.add_argument(
        "--sample", type=int, default=200, help="documents of each model to compare; {}: all".format(EVERY)
    )
    parser.add_argument("--seed", type=int, default=None, help="of the sample; by chance")
    options = parser.parse_args()
    site.setup()
    # What is left out, load.py has told already.
    sources = site.sources(lambda _: None)
    look(events, sources, options.loaded, seeded(options.sample, options.seed))


if __name__ == "__main__":
    sys.exit(run(main))
