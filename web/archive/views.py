"""The pages."""

import json
import logging
from collections import defaultdict
from http import HTTPStatus

import pysolr
from django.conf import settings
from django.db import DatabaseError
from django.db.models import Count, F, Max, Min, Prefetch, QuerySet, Sum
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from archive import search as searching
from archive.charts import bars, lengths
from archive.models import Address, Passage, President, Topic

_log = logging.getLogger(__name__)


def _addresses() -> QuerySet[Address]:
    """Return the addresses with what lists of them show."""
    return Address.objects.select_related("president", "party")


def _by_decade(passages: QuerySet[Passage]) -> list[tuple[int, int]]:
    """Count passages by the decade of their address, every decade of the archive in turn."""
    counts: defaultdict[int, int] = defaultdict(int)
    for year, count in passages.order_by().values_list("address__year").annotate(Count("pk")):
        counts[year // 10 * 10] += count
    span = Address.objects.aggregate(first=Min("year"), last=Max("year"))
    first, last = (span["first"] or 0) // 10 * 10, (span["last"] or 0) // 10 * 10
    return [(start, counts[start]) for start in range(first, last + 1, 10)]


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """Say what is here and offer ways in."""
    addresses = list(_addresses())
    figures = Address.objects.aggregate(
        count=Count("pk"), words=Sum("words"), first=Min("year"), last=Max("year")
    )
    by_length = sorted(addresses, key=lambda address: address.words)
    return render(
        request,
        "archive/home.html",
        {
            "figures": figures,
            "passages": Passage.objects.count(),
            "presidents": President.objects.count(),
            "shortest": by_length[0] if by_length else None,
            "longest": by_length[-1] if by_length else None,
            "chart": lengths([(address.sequence, address.year, address.words) for address in addresses]),
            "topics": Topic.objects.annotate(count=Count("passages")).order_by("name"),
            "decades": sorted({address.year // 10 * 10 for address in addresses}),
        },
    )


@require_safe
def search(request: HttpRequest) -> HttpResponse:
    """Show what Solr finds."""
    known = searching.known_values()
    query = searching.Query.parse(request.GET, known)
    found = searching.search(query, known)
    return render(
        request,
        "archive/search.html",
        {"found": found, "query": found.query, "sorts": searching.SORTS, "remarks": query.remarks},
    )


@require_safe
def address(request: HttpRequest, slug: str) -> HttpResponse:
    """Show an address, and those most like it."""
    shown = get_object_or_404(_addresses().prefetch_related("topics"), slug=slug)
    try:
        similar = searching.similar(shown)
    except pysolr.SolrError as error:  # the address can be read all the same
        _log.error("Solr did not find addresses like %s: %s", slug, error)
        similar = None
    return render(
        request,
        "archive/address.html",
        {
            "address": shown,
            "passages": shown.passages.order_by("place"),
            "before": _addresses().filter(sequence=shown.sequence - 1).first(),
            "after": _addresses().filter(sequence=shown.sequence + 1).first(),
            "similar": similar,
            "start": shown.year // 10 * 10,
        },
    )


@require_safe
def presidents(request: HttpRequest) -> HttpResponse:
    """List the presidents."""
    listed = President.objects.prefetch_related(
        "terms", Prefetch("addresses", Address.objects.select_related("party"))
    ).annotate(count=Count("addresses"), words=Sum("addresses__words"))
    # Said again, for a grouped query does without the model's own order.
    listed = listed.order_by("pk")
    return render(request, "archive/presidents.html", {"presidents": listed})


@require_safe
def president(request: HttpRequest, slug: str) -> HttpResponse:
    """Show a president's addresses and topics."""
    shown = get_object_or_404(President.objects.prefetch_related("terms"), slug=slug)
    topics = (
        Topic.objects.filter(passages__address__president=shown)
        .annotate(count=Count("passages"))
        .order_by("-count", "name")
    )
    return render(
        request,
        "archive/president.html",
        {
            "president": shown,
            "addresses": _addresses().filter(president=shown).prefetch_related("topics"),
            "topics": topics,
        },
    )


@require_safe
def timeline(request: HttpRequest) -> HttpResponse:
    """List all addresses by decade."""
    decades: defaultdict[int, list[Address]] = defaultdict(list)
    for listed in _addresses():
        decades[listed.year // 10 * 10].append(listed)
    longest = Address.objects.aggregate(longest=Max("words"))["longest"]
    return render(request, "archive/timeline.html", {"decades": dict(decades), "longest": longest})


@require_safe
def decade(request: HttpRequest, start: int) -> HttpResponse:
    """Show a decade's addresses and topics."""
    addresses = _addresses().filter(year__gte=start, year__lt=start + 10).prefetch_related("topics")
    if start % 10 or not addresses:
        raise Http404
    topics = (
        Topic.objects.filter(passages__address__year__gte=start, passages__address__year__lt=start + 10)
        .annotate(count=Count("passages"))
        .order_by("-count", "name")
    )
    others = Address.objects.order_by("year")
    return render(
        request,
        "archive/decade.html",
        {
            "start": start,
            "addresses": addresses,
            "topics": topics,
            "before": start - 10 if others.filter(year__lt=start).exists() else None,
            "after": start + 10 if others.filter(year__gte=start + 10).exists() else None,
        },
    )


@require_safe
def topics(request: HttpRequest) -> HttpResponse:
    """List the topics."""
    return render(
        request,
        "archive/topics.html",
        {"topics": Topic.objects.annotate(count=Count("passages")).order_by("name")},
    )


@require_safe
def topic(request: HttpRequest, slug: str) -> HttpResponse:
    """Show when a topic was spoken of, and where most."""
    shown = get_object_or_404(Topic, slug=slug)
    passages = Passage.objects.filter(topics=shown)
    most = (
        _addresses()
        .filter(passages__topics=shown)
        .annotate(count=Count("passages"))
        .order_by("-count", F("sequence"))[:10]
    )
    return render(
        request,
        "archive/topic.html",
        {
            "topic": shown,
            "count": passages.count(),
            "bars": bars(_by_decade(passages)),
            "addresses": most,
        },
    )


@require_safe
def about(request: HttpRequest) -> HttpResponse:
    """Say where the texts come from and how they were cut."""
    return render(request, "archive/about.html", {"passages": Passage.objects.count()})


@never_cache
@require_safe
def health(_request: HttpRequest) -> JsonResponse:
    """Tell whether the database and Solr answer, and Solr with all documents; 503 where that is not so."""
    state: dict[str, object] = {}
    try:
        state["database"] = {"ok": True, "passages": Passage.objects.count()}
    except DatabaseError as error:
        _log.error("Health: the database does not answer: %s", error)
        state["database"] = {"ok": False, "error": type(error).__name__}
    try:
        # Not through Haystack: a check must give up sooner than a page.
        core = pysolr.Solr(settings.HAYSTACK_CONNECTIONS["default"]["URL"], timeout=5)
        found, expected = core.search("*:*", rows=0).hits, expected_documents(core)
        complete = expected is None or found >= expected
        state["solr"] = {"ok": complete, "documents": found, "expected": expected}
        if not complete:
            _log.error("Health: Solr has %d documents, and was baked with %d", found, expected)
    except (pysolr.SolrError, ValueError) as error:
        _log.error("Health: Solr does not answer: %s", error)
        state["solr"] = {"ok": False, "error": type(error).__name__}
    healthy = all(part["ok"] for part in state.values())  # type: ignore[index]
    status = HTTPStatus.OK if healthy else HTTPStatus.SERVICE_UNAVAILABLE
    return JsonResponse({"ok": healthy, **state}, status=status)


def expected_documents(core: pysolr.Solr) -> int | None:
    """Return how many documents the index was baked with; None where Solr is none of haybale's images."""
    try:
        answer = core.search("*:*", search_handler="haybale/documents").raw_response
    except pysolr.SolrError:
        return None
    return sum(json.loads(answer["responseHeader"]["params"]["expected"]).values())
