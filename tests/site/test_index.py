"""What is in Solr is what is in the database."""

from collections import Counter

import pytest
from archive.models import Address, Passage, President, Topic
from haystack import connections
from haystack.query import SearchQuerySet
from haystack.utils import get_model_ct

MODELS = [Address, Passage, President, Topic]


def facet(solr, field, **narrowed):
    query = [f"{name}:{value}" for name, value in narrowed.items()]
    found = solr.search("*:*", fq=query, rows=0, facet="on", **{"facet.field": field, "facet.limit": -1})
    values = found.facets["facet_fields"][field]
    return {value: count for value, count in zip(values[::2], values[1::2], strict=True) if count}


def test_every_searchable_model_is_tested():
    indexed = connections["default"].get_unified_index().get_indexed_models()
    assert sorted(map(get_model_ct, indexed)) == sorted(map(get_model_ct, MODELS))


@pytest.mark.parametrize("model", MODELS, ids=get_model_ct)
def test_as_many_documents_as_rows(solr, model):
    count = model.objects.count()
    assert count > 0
    assert solr.search("*:*", fq=f"django_ct:{get_model_ct(model)}", rows=0).hits == count


def test_nothing_else_is_in_the_index(solr):
    assert solr.search("*:*", rows=0).hits == sum(model.objects.count() for model in MODELS)


@pytest.mark.parametrize("model", [Address, President, Topic], ids=get_model_ct)
def test_the_documents_are_those_of_the_rows(solr, model):
    found = solr.search("*:*", fq=f"django_ct:{get_model_ct(model)}", rows=1000, fl="id,django_id,url")
    assert {doc["django_id"]: doc["url"] for doc in found} == {
        str(row.pk): row.get_absolute_url() for row in model.objects.all()
    }
    assert all(doc["id"] == f"{get_model_ct(model)}.{doc['django_id']}" for doc in found)


def test_every_passage_is_there_with_its_text(solr):
    found = solr.search("*:*", fq="django_ct:archive.passage", rows=100_000, fl="django_id,text")
    texts = {int(doc["django_id"]): doc["text"].strip() for doc in found}
    assert texts == dict(Passage.objects.values_list("pk", "text"))


def test_a_document_is_what_the_index_prepares(solr):
    passage = Passage.objects.select_related("address").get(address__slug="1862-abraham-lincoln", place=66)
    index = connections["default"].get_unified_index().get_index(Passage)
    (stored,) = solr.search(f'id:"{get_model_ct(Passage)}.{passage.pk}"', fl="*")
    prepared = {name: value for name, value in index.full_prepare(passage).items() if value not in (None, [])}
    stored = {name: value for name, value in stored.items() if name != "_version_"}
    assert stored == {name: value for name, value in prepared.items() if name in stored}
    assert prepared.keys() - stored.keys() == set()


@pytest.mark.parametrize(
    ("field", "path"),
    [("president_exact", "address__president__name"), ("party_exact", "address__party__name")],
)
def test_facets_of_passages_count_as_the_database_does(solr, field, path):
    counted = Counter(Passage.objects.values_list(path, flat=True))
    assert facet(solr, field, django_ct="archive.passage") == counted


def test_decades_of_passages_count_as_the_database_does(solr):
    years = Passage.objects.values_list("address__year", flat=True)
    assert facet(solr, "decade_exact", django_ct="archive.passage") == Counter(
        f"{year // 10 * 10}s" for year in years
    )


@pytest.mark.parametrize("model", [Passage, Address], ids=get_model_ct)
def test_topics_count_as_the_database_does(solr, model):
    counted = Counter(name for name in model.objects.values_list("topics__name", flat=True) if name)
    assert facet(solr, "topics_exact", django_ct=get_model_ct(model)) == counted


@pytest.mark.parametrize(
    ("words", "pattern"),
    [
        # The stemmer takes -y and -ies together; nothing else in English ends up at "liberti".
        ("liberty", r"\m(liberty|liberties)\M"),
        # No other form of these is in the corpus, so the stem and the word are one.
        ("smallpox", r"\msmallpox\M"),
        ("tuberculosis", r"\mtuberculosis\M"),
        ('"yellow fever"', r"\myellow\W+fever\M"),
    ],
)
def test_words_are_found_where_the_database_has_them(words, pattern):
    pattern = rf"(?i){pattern}".replace(r"\m", r"\b").replace(r"\M", r"\b")
    expected = set(Passage.objects.filter(text__regex=pattern).values_list("pk", flat=True))
    assert expected
    found = SearchQuerySet().models(Passage).auto_query(words)
    assert {int(result.pk) for result in found[:5000]} == expected


def test_both_spellings_of_a_word_are_found():
    railway, railroad = (
        SearchQuerySet().models(Passage).auto_query(word) for word in ("railway", "railroad")
    )
    assert len(railway) == len(railroad) > 0


def test_more_like_this_finds_others_of_the_same_time():
    address = Address.objects.get(slug="1862-abraham-lincoln")
    found = SearchQuerySet().models(Address).more_like_this(address)[:5]
    assert len(found) == 5
    assert address.pk not in {int(result.pk) for result in found}
    assert all(abs(result.year - address.year) <= 40 for result in found)


def test_a_misspelled_word_gets_a_suggestion_that_finds_something():
    found = SearchQuerySet().auto_query("agricultre").set_spelling_query("agricultre")
    assert len(found) == 0
    suggestion = found.spelling_suggestion()
    assert suggestion == "agriculture"
    assert len(SearchQuerySet().auto_query(suggestion)) > 0


def test_indexing_asks_the_database_no_more_for_more_documents(django_assert_max_num_queries):
    index = connections["default"].get_unified_index().get_index(Passage)
    with django_assert_max_num_queries(2):
        prepared = [index.full_prepare(passage) for passage in index.index_queryset()[:200]]
    assert len(prepared) == 200
