"""What a site's visitors do, by Haystack: `python -m barn.searches` prints what each finds, as JSON."""

# ruff: noqa: DTZ001, PLC0415, T201 - models come after `setup`; in the site's own time zone

import datetime as dt
import json

import django


def main() -> None:
    """Search the core of the connection `barn`."""
    django.setup()
    from haystack.fields import LocationField
    from haystack.query import SearchQuerySet

    from barn.models import Bale

    # A point of Django's needs libraries of the system.
    LocationField.convert = lambda _, value: value
    found = SearchQuerySet().using("barn")
    bales = found.models(Bale)
    dated = bales.filter(seen__gte=dt.datetime(2024, 1, 1))
    highlighted = bales.filter(content="clover").highlight()[0].highlighted
    first = Bale.objects.order_by("pk").first()
    print(
        json.dumps(
            {
                "all": found.count(),
                "by a stem": bales.filter(content="grasses").count(),
                "by a part": bales.autocomplete(partial="traw").count(),
                "by a beginning": bales.autocomplete(prefix="str").count(),
                "by a number": bales.filter(count__gt=10).count(),
                "by a date": dated.count(),
                "by a truth": bales.filter(fresh=True).count(),
                "by one of several": bales.filter(tags="one").count(),
                "narrowed": bales.narrow('kind_exact:"bale"').count(),
                "facets": bales.facet("kind").facet_counts()["fields"]["kind"],
                "sorted": [each.count for each in bales.filter(count__gt=10).order_by("count")[:5]],
                "highlighted": "<em>" in str(highlighted),
                "like it": found.more_like_this(first).count(),
                "suggested": found.all().spelling_suggestion("clovr"),
            }
        )
    )


main()
