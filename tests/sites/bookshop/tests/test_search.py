"""These ask Solr, which has the shop's books (manage.py rebuild_index)."""

from haystack.query import SearchQuerySet

from catalogue.models import Author, Book


def test_books_are_found_by_a_word_of_the_title(db):
    found = SearchQuerySet().models(Book).auto_query("lighthouse")
    assert found.count() > 0
    assert any("Lighthouse" in result.title for result in found[:20])


def test_words_are_found_in_another_form(db):
    singular = SearchQuerySet().models(Book).auto_query("lighthouse").count()
    assert SearchQuerySet().models(Book).auto_query("lighthouses").count() == singular


def test_every_subject_has_books(db):
    counts = SearchQuerySet().models(Book).facet("subjects").facet_counts()
    assert {name for name, count in counts["fields"]["subjects"] if count} >= {"Poetry", "Travel"}


def test_authors_are_found_by_name(db):
    assert SearchQuerySet().models(Author).count() == 60


def test_search_page(client, db):
    page = client.get("/search/", {"q": "lighthouse"})
    assert "found for “lighthouse”" in page.content.decode()
    assert "Lighthouse" in page.content.decode()
