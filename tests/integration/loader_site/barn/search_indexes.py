"""An index for each model, with every type of field and every way that Haystack has to fill one."""

# ruff: noqa: S605, T201 - a site that prints is a test

import datetime as dt
import os
import signal
from pathlib import Path
from typing import Any

from django.db.models import F, Value, Window
from django.db.models.expressions import RawSQL
from django.db.models.functions import RowNumber
from django.utils import translation
from haystack import indexes
from haystack.exceptions import SkipDocument

from barn import oddities, strays
from barn.faults import FAULT
from barn.models import Bale, Farm, Harvest, Plaque, RoundBale, Stack, Token


def note(row: Any) -> str:
    """Return what depends on how a row is read and prepared, by the fault."""
    if FAULT == "clock":
        return dt.datetime.now(dt.timezone.utc).isoformat()
    if FAULT == "own-update":
        return str(translation.get_language())
    if FAULT == "sets":
        return " ".join({"hay", "straw", "rye", "oats", "clover"})
    if FAULT in ("window", "raw-window", "repeats"):
        return str(row.place)
    return "extra" if row.pk % 2 else ""


class BaleIndex(indexes.SearchIndex, indexes.Indexable):
    """Every type of field."""

    text = indexes.CharField(document=True, use_template=True)
    title = indexes.CharField(model_attr="title", faceted=True, boost=2.5)
    kind = indexes.CharField(default="bale")
    kind_exact = indexes.FacetCharField(facet_for="kind")
    partial = indexes.NgramField(model_attr="title")
    prefix = indexes.EdgeNgramField(model_attr="title")
    count = indexes.IntegerField(model_attr="count", null=True, faceted=True)
    weight = indexes.FloatField(model_attr="weight", null=True)
    precise = indexes.FloatField(model_attr="weight", default=0.1)
    price = indexes.DecimalField(model_attr="price", null=True)
    fresh = indexes.BooleanField(model_attr="fresh")
    born = indexes.DateField(model_attr="born", null=True)
    seen = indexes.DateTimeField(model_attr="seen", null=True, faceted=True)
    place = indexes.LocationField(null=True)
    tags = indexes.MultiValueField(null=True, faceted=True)
    moments = indexes.MultiValueField(null=True)
    columns = indexes.MultiValueField(null=True)
    hidden = indexes.IntegerField(model_attr="hidden", null=True)
    unseen = indexes.CharField(model_attr="farm__name")
    other = indexes.CharField(model_attr="farm__code", index_fieldname="renamed")

    def get_model(self) -> type:
        return Bale

    def prepare_place(self, row: Bale) -> str:
        if strays.STRAY:
            strays.topics()
            strays.label(row)
        return f"{row.pk % 90}.25,-{row.pk % 180}.125"

    def prepare_tags(self, row: Any) -> Any:
        if FAULT in ("prepare", "picky") and row.pk == 12:
            raise ZeroDivisionError("no tags today")
        return [None, [], ["one"], ("b", "a", "", None, "b"), {"z", "y", "x"}][row.pk % 5]

    def prepare_moments(self, row: Any) -> Any:
        zone = dt.timezone(dt.timedelta(hours=row.pk % 14))
        day = dt.datetime(2020, 1, 31, 23, 59, 59, 123456, tzinfo=zone)
        return [day, day.date()][: row.pk % 3]

    def prepare_columns(self, row: Any) -> Any:
        if strays.STRAY:
            strays.code(row)
            # Once: nobody takes the connections, and a server holds few of them.
            if row.pk == 1:
                strays.outside()
        if strays.EARLY_URLS:
            strays.address(row)
        return ["hay", "straw", "hay"][: row.pk % 4]

    def prepare_hidden(self, row: Any) -> Any:
        if FAULT == "refused" and row.pk == 13:
            return "thirteen"
        if FAULT == "picky" and row.pk % 10 == 3:
            return "three"
        return self.prepared_data["hidden"]

    def prepare(self, row: Any) -> Any:
        if FAULT == "stdout":
            print(f"preparing {row.pk}")
            os.system("echo from a child process")
        if FAULT == "gate" and row.pk == 150:
            # Waits for whoever opens the other end.
            Path(os.environ["BARN_GATE"]).read_text()
        if FAULT == "exit" and row.pk == 150:
            os._exit(3)
        if FAULT == "kill" and row.pk == 150:
            os.kill(os.getpid(), signal.SIGKILL)
        data = super().prepare(row)
        data["boost"] = 1.5
        data["note_s"] = note(row)
        if FAULT == "saves" and row.pk > 200 and row.pk % 3 == 0:
            # One whose document is with Solr by now.
            Bale.objects.get(pk=row.pk - 200).save()
        if FAULT == "unknown-field" and row.pk == 14:
            data["nowhere"] = "x"
        return data

    def index_queryset(self, using: Any = None) -> Any:
        # A join that repeats rows, as sites have them.
        rows = super().index_queryset(using).filter(farm__bales__pk__gte=0).select_related("farm")
        if FAULT == "window":
            return rows.annotate(place=Window(RowNumber(), order_by=F("id").asc()))
        if FAULT == "raw-window":
            return rows.annotate(place=RawSQL("row_number() over (order by barn_bale.id)", ()))
        if FAULT == "repeats":
            return rows.annotate(place=F("farm__bales__title"))
        if FAULT == "slice":
            return rows[:10]
        return rows


class RoundBaleIndex(indexes.SearchIndex, indexes.Indexable):
    """A proxy's documents are of its own type."""

    text = indexes.CharField(document=True, model_attr="body")

    def get_model(self) -> type:
        return RoundBale

    def prepare(self, row: Any) -> Any:
        if row.pk % 3 == 0:
            raise SkipDocument
        return super().prepare(row)


class StackIndex(indexes.SearchIndex, indexes.Indexable):
    """A child's key is a relation."""

    text = indexes.CharField(document=True, model_attr="body")
    count = indexes.IntegerField(model_attr="height")

    def get_model(self) -> type:
        return Stack

    def index_queryset(self, using: Any = None) -> Any:
        rows = super().index_queryset(using)
        if FAULT == "by-connection":
            keys = sorted(rows.values_list("pk", flat=True))
            chosen = keys[:3] if using == "barn" else keys[2:]
            # The rows that both have are not the same document.
            rows = rows.filter(pk__in=chosen).annotate(more=Value(1000 if using == "slow" else 0))
        return rows

    def prepare_count(self, row: Any) -> int:
        return row.height + getattr(row, "more", 0)


if FAULT == "other-index":

    class OtherStackIndex(StackIndex, indexes.Indexable):
        """Another index for the same model."""


class FarmIndex(indexes.SearchIndex, indexes.Indexable):
    """Texts for keys, and the odd values."""

    text = indexes.CharField(document=True, model_attr="name")
    titles = indexes.MultiValueField(model_attr="bales__title", index_fieldname="tags", null=True)
    oddity = indexes.SearchField(null=True)

    def get_model(self) -> type:
        return Farm

    def prepare_oddity(self, row: Any) -> Any:
        number = int(row.code.rpartition("-")[2])
        return oddities.VALUES[number % len(oddities.VALUES)]


class TokenIndex(indexes.ModelSearchIndex, indexes.Indexable):
    """Fields from the model, no template but one for the text."""

    text = indexes.CharField(document=True, model_attr="word")

    class Meta:
        """The key must not become a field."""

        model = Token
        excludes = ("word",)


if FAULT == "view":

    class HarvestIndex(indexes.SearchIndex, indexes.Indexable):
        """Of a view whose key is not unique."""

        text = indexes.CharField(document=True, model_attr="title")

        def get_model(self) -> type:
            return Harvest

        def index_queryset(self, using: Any = None) -> Any:
            return super().index_queryset(using).filter(year__isnull=False)


class PlaqueIndex(indexes.SearchIndex, indexes.Indexable):
    """The key is a relation to a row with a text for a key."""

    text = indexes.CharField(document=True, model_attr="words")
    if FAULT == "schema":
        missing = indexes.IntegerField(default=1)

    def get_model(self) -> type:
        return Plaque
