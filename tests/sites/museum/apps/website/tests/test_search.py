"""Both of Solr's cores, as they were filled from this database."""

from haystack.query import SearchQuerySet

from collection.models import Item, Maker
from letters.models import Letter


def test_each_core_has_its_models():
    objects, letters = SearchQuerySet().using("default"), SearchQuerySet().using("letters")
    assert objects.models(Item).count() == Item.objects.count()
    assert objects.models(Maker).count() == Maker.objects.count()
    assert letters.count() == Letter.objects.filter(closed_until=None).count()


def test_closed_letters_are_not_found():
    found = {int(result.pk) for result in SearchQuerySet().using("letters").auto_query("friend")[:200]}
    assert found
    assert not found & set(Letter.objects.exclude(closed_until=None).values_list("pk", flat=True))


def test_search_page_has_objects_and_letters(client):
    page = client.get("/search/", {"q": "vase"}).content.decode()
    assert "in the collection" in page
    assert "Vase in" in page
    assert " letters</h2>" in page
