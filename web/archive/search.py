"""From what a reader asked to what Solr found.

Nothing that a reader sends reaches Solr as query syntax. Words go through
Haystack's AutoQuery, which escapes them; filters are looked up by their slugs
among what is known, and only the known names are sent.
"""

import re
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode

from django.db.models import Model
from django.http import QueryDict
from django.urls import reverse
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from haystack.query import SearchQuerySet
from haystack.utils import get_model_ct

from archive.models import Address, Party, Passage, President, Topic

PAGE_SIZE = 20
# As long as a long sentence. It also keeps a query far below Solr's limit on clauses.
LONGEST_QUERY = 300
# Deeper pages cost Solr more and more, and nobody reads them.
LAST_PAGE = 500

TYPES: dict[str, tuple[str, type[Model]]] = {
    "passages": ("Passages", Passage),
    "addresses": ("Addresses", Address),
    "presidents": ("Presidents", President),
    "topics": ("Topics", Topic),
}
SORTS = {"relevance": "Best match", "oldest": "Oldest first", "newest": "Newest first"}
FACETS = {"president": "President", "party": "Party", "decade": "Decade", "topic": "Topic"}
_FIELDS = {"president": "president", "party": "party", "decade": "decade", "topic": "topics"}
# A passage can have several topics; of the others it has one, so a new choice takes the old one's place.
_SEVERAL = frozenset({"topic"})

# Solr marks hits with these; they mean nothing in HTML and occur in no text, so a text can be escaped
# before they become elements.
_MARK, _UNMARK = "\ue000", "\ue001"


def known_values() -> dict[str, dict[str, str]]:
    """Return, for each facet, what can be chosen: slug to name, in the order in which it is listed."""
    years = Address.objects.order_by("year").values_list("year", flat=True)
    decades = dict.fromkeys(f"{year // 10 * 10}s" for year in years)
    return {
        "president": dict(President.objects.values_list("slug", "name")),
        "party": dict(Party.objects.values_list("slug", "name")),
        "decade": {decade: decade for decade in decades},
        "topic": dict(Topic.objects.values_list("slug", "name")),
    }


@dataclass(frozen=True)
class Query:
    """What is asked: always valid, whatever was sent."""

    words: str = ""
    type: str = "passages"
    sort: str = "relevance"
    page: int = 1
    chosen: tuple[tuple[str, str], ...] = ()
    remarks: tuple[str, ...] = field(default=(), compare=False)

    @classmethod
    def parse(cls, data: QueryDict, known: dict[str, dict[str, str]]) -> "Query":
        """Read the parameters of an address; what makes no sense is left out, and said where it matters."""
        remarks = []
        words = " ".join(re.sub(r"[\x00-\x1f\x7f\ud800-\udfff\ue000\ue001]", " ", data.get("q", "")).split())
        if len(words) > LONGEST_QUERY:
            # At a space where there is one: half a word finds nothing.
            words = words[:LONGEST_QUERY].rsplit(" ", 1)[0]
            remarks.append(f"Only the first {LONGEST_QUERY} characters were looked for.")
        if words and all(word.startswith("-") for word in words.split()):
            remarks.append("There has to be a word to look for beside those to leave out.")
        chosen = []
        for name, label in FACETS.items():
            sent = list(dict.fromkeys(data.getlist(name)))
            valid = [slug for slug in sent if slug in known[name]]
            if len(valid) < len([slug for slug in sent if slug]):
                remarks.append(f"There is no such {label.lower()} here, so that filter was left out.")
            chosen += [(name, slug) for slug in (valid if name in _SEVERAL else valid[-1:])]
        kind, sort, page = data.get("type", ""), data.get("sort", ""), data.get("page", "")
        return cls(
            words=words,
            type=kind if kind in TYPES else cls.type,
            sort=sort if sort in SORTS else cls.sort,
            page=min(max(int(page), 1), LAST_PAGE) if re.fullmatch(r"[0-9]{1,6}", page) else 1,
            chosen=tuple(chosen),
            remarks=tuple(remarks),
        )

    @property
    def searchable(self) -> bool:
        """Whether the words have a letter or digit in them."""
        return any(char.isalnum() for char in self.words)

    @property
    def url(self) -> str:
        """The address of this query; what is as usual is left out."""
        pairs = [("q", self.words)] if self.words else []
        if self.type != Query.type:
            pairs.append(("type", self.type))
        pairs += self.chosen
        if self.sort != Query.sort:
            pairs.append(("sort", self.sort))
        if self.page > 1:
            pairs.append(("page", str(self.page)))
        return reverse("search") + (f"?{urlencode(pairs)}" if pairs else "")

    def but(self, **changes: Any) -> "Query":
        """Return the first page of a query that differs in something."""
        return replace(self, **{"page": 1, **changes})

    def with_value(self, name: str, slug: str) -> "Query":
        """Return the query with a filter more, or with another one where there can only be one."""
        kept = [pair for pair in self.chosen if name in _SEVERAL or pair[0] != name]
        return self.but(chosen=(*kept, (name, slug)))

    def without(self, name: str, slug: str) -> "Query":
        """Return the query with a filter less."""
        return self.but(chosen=tuple(pair for pair in self.chosen if pair != (name, slug)))


@dataclass(frozen=True)
class Choice:
    """Something that can be chosen: a value of a facet, a type, a sort order, a page."""

    label: str
    url: str
    count: int | None = None
    active: bool = False


@dataclass(frozen=True)
class Group:
    """A facet and its values; what is beyond the first few is folded away."""

    name: str
    label: str
    first: list[Choice]
    more: list[Choice]


@dataclass(frozen=True)
class Hit:
    """A hit as it is shown, from Solr's stored fields alone."""

    title: str
    url: str
    president: str | None
    party: str | None
    year: int | None
    place: int | None
    words: int | None
    topics: list[str]
    extracts: list[SafeString]


@dataclass(frozen=True)
class Found:
    """What was found."""

    query: Query
    total: int
    hits: list[Hit]
    types: list[Choice]
    groups: list[Group]
    filters: list[Choice]
    pages: list[Choice | None]
    previous: str | None
    next: str | None
    last_page: int
    suggestion: Choice | None


def _marked(text: str) -> SafeString:
    """Escape a text and turn Solr's marks into elements."""
    safe = escape(text).replace(_MARK, "<mark>").replace(_UNMARK, "</mark>")
    return mark_safe(safe)  # noqa: S308 -- escaped above; the marks are the only markup


def _hit(result: Any) -> Hit:
    """Take what is shown of a hit."""
    highlighted = (getattr(result, "highlighted", None) or {}).get("text") or []
    if not highlighted:
        words = result.text.split()
        highlighted = [" ".join(words[:60]) + (" \N{HORIZONTAL ELLIPSIS}" if len(words) > 60 else "")]  # noqa: PLR2004
    return Hit(
        title=result.title,
        url=result.url,
        president=getattr(result, "president", None),
        party=getattr(result, "party", None),
        year=getattr(result, "year", None),
        place=getattr(result, "place", None),
        words=getattr(result, "words", None),
        topics=list(getattr(result, "topics", None) or []),
        extracts=[_marked(extract) for extract in highlighted],
    )


def _base(query: Query, known: dict[str, dict[str, str]]) -> SearchQuerySet:
    """Build what all parts of the page have in common: the words and the filters."""
    found = SearchQuerySet()
    if query.words:
        found = found.auto_query(query.words)
    for name, slug in query.chosen:
        # The name comes from the database; quoting it is for names with quotes in them.
        value = known[name][slug].replace("\\", "\\\\").replace('"', '\\"')
        found = found.narrow(f'{_FIELDS[name]}_exact:"{value}"')
    return found


def _ordered(query: Query, found: SearchQuerySet) -> SearchQuerySet:
    """Put hits in the order that is asked for; where nothing tells them apart, by time."""
    if query.sort == "newest":
        return found.order_by("-chronology", "place")
    if query.sort == "oldest" or not query.words:
        return found.order_by("chronology", "place")
    return found.order_by("-score", "chronology", "place")


def _highlighted(query: Query, found: SearchQuerySet) -> SearchQuerySet:
    """Ask for extracts: a passage whole, of anything longer the best parts."""
    whole = query.type == "passages"
    options = {"fragsize": 0, "snippets": 1} if whole else {"fragsize": 220, "snippets": 3}
    return found.highlight(**{"hl.tag.pre": _MARK, "hl.tag.post": _UNMARK}, **options)


def _counts(found: SearchQuerySet, facet: str) -> dict[str, int]:
    """Take a facet's counts from what Solr answered."""
    fields = (found.facet_counts() or {}).get("fields", {})
    return dict(fields.get(f"{facet}_exact") or fields.get(facet) or [])


def _types(query: Query, known: dict[str, dict[str, str]]) -> list[Choice]:
    """Count the hits of each type, whichever is looked at."""
    found = _base(query, known).facet("django_ct")
    found.query.set_limits(0, 0)
    counts = dict(found.query.get_facet_counts()["fields"]["django_ct"])
    return [
        Choice(label, query.but(type=name).url, counts.get(get_model_ct(model), 0), active=query.type == name)
        for name, (label, model) in TYPES.items()
    ]


def _group(query: Query, name: str, values: dict[str, str], counts: dict[str, int]) -> Group:
    """List the values of a facet that lead to hits, and those that are chosen."""
    choices = []
    for slug, label in values.items():
        active = (name, slug) in query.chosen
        count = counts.get(label, 0)
        if active or count:
            url = (query.without if active else query.with_value)(name, slug).url
            choices.append(Choice(label, url, count, active=active))
    if name != "decade":
        choices.sort(key=lambda choice: (not choice.active, -(choice.count or 0)))
    few = len(choices) if name == "decade" else 8
    return Group(name, FACETS[name], choices[:few], choices[few:])


def _pages(query: Query, last: int) -> list[Choice | None]:
    """Choose the pages to name: first, last and those around this one; None is a gap."""
    numbers = sorted({1, last, *range(max(1, query.page - 2), min(last, query.page + 2) + 1)})
    pages: list[Choice | None] = []
    for before, number in zip([0, *numbers], numbers, strict=False):
        if number > before + 1:
            pages.append(None)
        pages.append(Choice(str(number), replace(query, page=number).url, active=number == query.page))
    return pages


def search(query: Query, known: dict[str, dict[str, str]]) -> Found:
    """Ask Solr; raises pysolr.SolrError where it can't be asked."""
    if query.words and not query.searchable:
        types = [
            Choice(label, query.but(type=name).url, 0, active=query.type == name)
            for name, (label, _model) in TYPES.items()
        ]
        return Found(query, 0, [], types, [], _filters(query, known), [], None, None, 1, None)

    found = _base(query, known).models(TYPES[query.type][1])
    for facet in FACETS:
        found = found.facet(_FIELDS[facet], limit=-1, mincount=1)
    found = _ordered(query, found)
    if query.words:
        found = _highlighted(query, found).set_spelling_query(query.words)
    results = found[(query.page - 1) * PAGE_SIZE : query.page * PAGE_SIZE]
    total = len(found)
    last = min(max(1, -(-total // PAGE_SIZE)), LAST_PAGE)
    if query.page > last:  # past the end: the last page there is
        return search(replace(query, page=last), known)

    suggestion = None
    if query.words and not total:
        words = found.spelling_suggestion()
        if words and words.lower() != query.words.lower():
            suggestion = Choice(words, query.but(words=words).url)
    return Found(
        query=query,
        total=total,
        hits=[_hit(result) for result in results],
        types=_types(query, known),
        groups=[_group(query, name, known[name], _counts(found, _FIELDS[name])) for name in FACETS],
        filters=_filters(query, known),
        pages=_pages(query, last) if last > 1 else [],
        previous=replace(query, page=query.page - 1).url if query.page > 1 else None,
        next=replace(query, page=query.page + 1).url if query.page < last else None,
        last_page=last,
        suggestion=suggestion,
    )


def _filters(query: Query, known: dict[str, dict[str, str]]) -> list[Choice]:
    """List the filters that are on, each with the address without it."""
    return [
        Choice(f"{FACETS[name]}: {known[name][slug]}", query.without(name, slug).url, active=True)
        for name, slug in query.chosen
    ]


def similar(address: Address, count: int = 5) -> list[Hit]:
    """Return the addresses most like this one, by its words."""
    found = SearchQuerySet().models(Address).more_like_this(address)
    return [_hit(result) for result in found[:count]]
