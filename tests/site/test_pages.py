"""The pages, as a browser is given them."""

import re
from html import unescape
from http import HTTPStatus
from urllib.parse import quote, urlencode

import pytest
from archive.models import Address, Passage, President, Topic
from archive.search import LAST_PAGE, LONGEST_QUERY, PAGE_SIZE, _marked


def text_of(response):
    return response.content.decode()


def status_line(response):
    """What the page says it found."""
    (found,) = re.findall(r'<p role="status"[^>]*>(.*?)</p>', text_of(response), re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", "", found)).split())


def total(response):
    match = re.match(r"([\d,]+) ", status_line(response))
    return int(match[1].replace(",", "")) if match else 0


def hits(response):
    """The addresses of the hits."""
    return re.findall(r'<li class="hit">\s*<h2><a href="([^"]+)"', text_of(response))


def facets(response):
    """The choices offered: name of the facet, label, count, address."""
    choices = {}
    for name, content in re.findall(
        r'aria-labelledby="facet-(\w+)">(.*?)</section>', text_of(response), re.DOTALL
    ):
        for url, label, count in re.findall(
            r'<a href="([^"]+)"[^>]*>.*?<span class="label">(.*?)</span>\s*<span class="count">(.*?)</span>',
            content,
        ):
            choices[name, unescape(label)] = (int(count.replace(",", "")), unescape(url))
    return choices


def search(site, **parameters):
    response = site.get("/search/?" + urlencode(parameters, doseq=True))
    assert response.status_code == HTTPStatus.OK
    return response


# Every page there is ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["/", "/search/", "/presidents/", "/timeline/", "/topics/", "/about/"], ids=lambda path: path
)
def test_the_main_pages_are_there(site, path):
    response = site.get(path)
    assert response.status_code == HTTPStatus.OK
    assert text_of(response).count("<h1") == 1


def test_every_president_topic_and_decade_has_a_page(site):
    paths = [row.get_absolute_url() for model in (President, Topic) for row in model.objects.all()]
    paths += {f"/timeline/{year // 10 * 10}s/" for year in Address.objects.values_list("year", flat=True)}
    assert len(paths) == 43 + 22 + 24
    for path in paths:
        assert site.get(path).status_code == HTTPStatus.OK, path


def test_every_address_is_reached_from_the_timeline(site):
    linked = set(re.findall(r'href="(/addresses/[^"]+)"', text_of(site.get("/timeline/"))))
    assert linked == {address.get_absolute_url() for address in Address.objects.all()}


@pytest.mark.parametrize(
    "path",
    [
        "/nothing/",
        "/addresses/1850-nobody/",
        "/presidents/nobody/",
        "/topics/x/",
        "/timeline/1865s/",
        "/timeline/3000s/",
        "/timeline/99999999999999999999s/",
    ],
    ids=lambda path: path,
)
def test_what_is_not_there_is_not_found(site, path):
    response = site.get(path)
    assert response.status_code == HTTPStatus.NOT_FOUND
    assert "There is no such page" in text_of(response)


def test_presidents_are_listed_in_the_order_of_taking_office(site):
    listed = re.findall(r'<h2><a href="/presidents/([^"/]+)/"', text_of(site.get("/presidents/")))
    assert listed == list(President.objects.order_by("pk").values_list("slug", flat=True))
    assert listed[0] == "george-washington"


def test_the_home_page_counts_what_the_database_has(site):
    page = text_of(site.get("/"))
    assert f"<dd>{Passage.objects.count():,}</dd>" in page
    assert f"<dd>{Address.objects.count():,}</dd>" in page


def test_pages_are_only_read(site):
    assert site.post("/search/").status_code in {HTTPStatus.FORBIDDEN, HTTPStatus.METHOD_NOT_ALLOWED}


# An address ------------------------------------------------------------------------------------------------


def test_an_address_shows_its_passages_where_hits_link_to(site):
    address = Address.objects.get(slug="1862-abraham-lincoln")
    page = text_of(site.get(address.get_absolute_url()))
    assert re.findall(r'<p id="p(\d+)">', page) == [str(passage.place) for passage in address.passages.all()]
    shown = re.findall(r'<p id="p\d+"><a[^>]*>\d+</a>(.*?)</p>', page)
    assert " ".join(map(unescape, shown)) == address.text


def test_an_address_leads_to_its_neighbours(site):
    page = text_of(site.get("/addresses/1953-harry-s-truman/"))
    assert '<a rel="prev" href="/addresses/1952-harry-s-truman/">' in page
    assert '<a rel="next" href="/addresses/1953-dwight-d-eisenhower/">' in page
    assert 'rel="prev"' not in text_of(site.get("/addresses/1790-george-washington/"))
    last = Address.objects.order_by("-sequence").first()
    assert 'rel="next"' not in text_of(site.get(last.get_absolute_url()))


def test_an_address_leads_to_others_like_it(site):
    page = text_of(site.get("/addresses/1862-abraham-lincoln/"))
    similar = page.split('id="similar"')[1]
    linked = re.findall(r'href="(/addresses/[^"]+)"', similar)
    assert len(set(linked)) == 5
    assert "/addresses/1862-abraham-lincoln/" not in linked


# Searching -------------------------------------------------------------------------------------------------


def test_a_search_counts_and_marks_what_the_database_has(site):
    # As in the index's own tests: stemmed, only "liberty" and "liberties" are one.
    count = Passage.objects.filter(text__iregex=r"\b(liberty|liberties)\b").count()
    response = search(site, q="liberty")
    assert total(response) == count
    found = hits(response)
    assert len(found) == PAGE_SIZE
    marked = re.findall(r"<mark>(.*?)</mark>", text_of(response))
    assert len(marked) >= PAGE_SIZE
    assert {word.lower() for word in marked} <= {"liberty", "liberties", "liberty's"}


def test_a_hit_links_to_its_passage(site):
    for url in hits(search(site, q="liberty")):
        path, anchor = url.split("#p")
        passage = Passage.objects.get(address__slug=path.split("/")[2], place=int(anchor))
        assert re.search(r"\blibert(y|ies)\b", passage.text, re.IGNORECASE)


def test_all_words_must_be_there(site):
    both = total(search(site, q="railroad land"))
    assert 0 < both < min(total(search(site, q="railroad")), total(search(site, q="land")))


def test_a_minus_leaves_a_word_out(site):
    everything, with_both = total(search(site, q="liberty")), total(search(site, q="liberty freedom"))
    assert with_both > 0
    assert total(search(site, q="liberty -freedom")) == everything - with_both


@pytest.mark.parametrize("kind", ["passages", "addresses", "presidents", "topics"])
def test_without_words_everything_of_a_type_is_listed(site, kind):
    model = {"passages": Passage, "addresses": Address, "presidents": President, "topics": Topic}[kind]
    assert total(search(site, type=kind)) == model.objects.count()


def test_each_type_says_how_many_it_has(site):
    page = text_of(search(site, q="railroad", type="topics"))
    shown = re.findall(r'<li><a href="([^"]+)"[^>]*>(\w+) <span class="count">([\d,]+)</span>', page)
    assert [label for _url, label, _count in shown] == ["Passages", "Addresses", "Presidents", "Topics"]
    for url, _label, count in shown:
        assert total(site.get(unescape(url))) == int(count.replace(",", ""))


def test_facets_count_as_the_database_does(site):
    choices = facets(search(site))
    for president in President.objects.all():
        counted = Passage.objects.filter(address__president=president).count()
        assert choices["president", president.name][0] == counted
    for topic in Topic.objects.all():
        assert choices["topic", topic.name][0] == topic.passages.count()


def test_choosing_a_facet_gives_what_it_promised_and_can_be_taken_back(site):
    before = search(site, q="war")
    count, url = facets(before)["topic", "Slavery"]
    narrowed = site.get(url)
    assert 0 < total(narrowed) == count < total(before)
    _count, back = facets(narrowed)["topic", "Slavery"]
    assert total(site.get(back)) == total(before)


def test_facets_combine(site):
    response = search(site, president="abraham-lincoln", topic=["slavery", "war-and-peace"], decade="1860s")
    expected = Passage.objects.filter(
        address__president__slug="abraham-lincoln", topics__slug="slavery"
    ).filter(topics__slug="war-and-peace")
    assert total(response) == expected.count() > 0
    assert text_of(response).count("Remove the filter </span>") >= 4


def test_choices_add_up_as_they_are_made(site):
    _count, url = facets(search(site, q="war", president="abraham-lincoln"))["topic", "Slavery"]
    count, url = facets(site.get(url))["topic", "Foreign affairs"]
    response = site.get(url)
    expected = Passage.objects.filter(address__president__slug="abraham-lincoln", topics__slug="slavery")
    expected = expected.filter(topics__slug="foreign-affairs", text__iregex=r"\bwars?\b")
    assert total(response) == count == expected.count() > 0
    assert [
        label for (_name, label), (_count, url) in facets(response).items() if url.count("topic=") == 1
    ] == [
        "Foreign affairs",
        "Slavery",
    ]


def test_one_president_takes_the_place_of_another(site):
    response = search(site, president=["abraham-lincoln", "james-madison"])
    assert total(response) == Passage.objects.filter(address__president__slug="james-madison").count()


def test_hits_can_be_ordered_by_time(site):
    def years(order):
        return [int(url.split("/")[2][:4]) for url in hits(search(site, q="liberty", sort=order))]

    assert years("oldest") == sorted(years("oldest"))
    assert years("newest") == sorted(years("newest"), reverse=True)
    assert years("oldest")[0] < 1800
    assert years("newest")[0] > 2000


def test_pages_of_hits_hold_each_hit_once(site):
    found, url = [], "/search/?q=smallpox+OR+liberty"
    first = site.get("/search/?q=liberties")
    expected, url = total(first), "/search/?q=liberties"
    while url:
        response = site.get(url)
        found += hits(response)
        following = re.search(r'<a rel="next" href="([^"]+)"', text_of(response))
        url = unescape(following[1]) if following else None
    assert len(found) == len(set(found)) == expected > PAGE_SIZE


@pytest.mark.parametrize("page", ["abc", "-1", "0", "1.5", "", "٣", "999999", "9" * 40, "1 OR 1"])
def test_an_odd_page_is_some_page(site, page):
    response = search(site, q="liberty", page=page)
    assert total(response) > 0
    assert hits(response)


def test_past_the_end_comes_the_last_page(site):
    response = search(site, q="liberty", page=LAST_PAGE)
    last = -(-total(response) // PAGE_SIZE)
    assert status_line(response).endswith(f"page {last} of {last}")
    assert 'rel="next"' not in text_of(response)


# Odd questions ---------------------------------------------------------------------------------------------

ODD = [
    *(
        '"',
        '""',
        '"""',
        '"liberty',
        'liberty"',
        "'",
        "-",
        "--",
        "-*",
        "()",
        "(liberty",
        "+",
        "!",
        "?",
        "&&",
        "||",
    ),
    *(
        "AND",
        "OR",
        "NOT",
        "TO",
        "AND OR",
        "*",
        "*:*",
        "foo:bar",
        "[* TO *]",
        "{!lucene}*:*",
        "{!func}1",
        "/.*/",
    ),
    *(
        "_query_:x",
        "_val_:1",
        "liberty^1000",
        "a~0.5",
        "\\",
        r"\\\"",
        "%",
        "#",
        "&fq=x",
        "<script>alert(1)</script>",
    ),
    *("\x00", "\n", "\ud7ff", "\U0001f1fa\U0001f1f8", "\ue000x\ue001", "\u00e9" * 300),
    *("a " * 2500, "x" * 5000, '"' * 5000, "(" * 5000),
]


@pytest.mark.parametrize("words", ODD, ids=lambda words: ascii(words[:12]))
@pytest.mark.parametrize("kind", ["passages", "addresses"])
def test_odd_words_are_only_words(site, words, kind):
    response = search(site, q=words, type=kind)
    assert "<script" not in text_of(response)
    assert "\ue000" not in text_of(response)


@pytest.mark.parametrize("words", ["*:*", "*", "{!lucene}*:*", "django_ct:archive.passage", "/.*/"])
def test_no_syntax_gets_through_to_solr(site, words):
    assert total(search(site, q=words)) == 0


@pytest.mark.parametrize(
    ("syntax", "word"),
    [("[* TO *]", "to"), ("NOT", "not"), ("liberty^9", "liberty 9"), ("text:[a TO b]", "text a to b")],
)
def test_syntax_is_read_as_the_words_in_it(site, syntax, word):
    assert total(search(site, q=syntax)) == total(search(site, q=word))


def test_a_field_can_not_be_named(site):
    assert total(search(site, q="president:lincoln")) < total(search(site, q="president lincoln"))


def test_bytes_that_are_no_text_are_no_error(site):
    assert site.get("/search/?q=%ff%fe").status_code == HTTPStatus.OK


def test_words_are_cut_where_they_get_too_long_and_it_is_said(site):
    response = search(site, q="liberty " * 1000)
    assert f"Only the first {LONGEST_QUERY} characters" in text_of(response)
    assert total(response) > 0


@pytest.mark.parametrize("name", ["president", "party", "decade", "topic"])
@pytest.mark.parametrize("value", ["nobody", '" OR *:* OR "', "*", "Abraham Lincoln", "x" * 3000])
def test_unknown_values_of_facets_are_left_out_and_it_is_said(site, name, value):
    response = search(site, q="liberty", **{name: value})
    assert total(response) == total(search(site, q="liberty"))
    assert "that filter was left out" in text_of(response)


def test_unknown_types_and_orders_are_as_usual(site):
    assert hits(search(site, q="liberty", type="x", sort="y")) == hits(search(site, q="liberty"))


def test_what_was_typed_is_shown_and_never_obeyed(site):
    words = '<b onclick="x">liberty</b>'
    page = text_of(search(site, q=words))
    assert words not in page
    assert "&lt;b onclick=&quot;x&quot;&gt;" in page


def test_what_solr_answers_is_escaped_but_for_its_marks():
    extract = _marked('if <b>a & b</b> \ue000"x"\ue001')
    assert extract == "if &lt;b&gt;a &amp; b&lt;/b&gt; <mark>&quot;x&quot;</mark>"


def test_quotation_marks_in_a_passage_are_escaped(site):
    page = text_of(search(site, q='"interference with the liberty"'))
    assert "&quot;<mark>interference" in page


def test_a_misspelled_word_is_answered_with_a_better_one(site):
    response = search(site, q="agricultre")
    assert total(response) == 0
    (url,) = re.findall(r'Did you mean <a href="([^"]+)">agriculture</a>', text_of(response))
    assert total(site.get(unescape(url))) > 0


def test_a_search_with_nothing_but_what_to_leave_out_says_so(site):
    assert "There has to be a word to look for" in text_of(search(site, q="-liberty"))


def test_quotation_marks_keep_words_together(site):
    assert 0 < total(search(site, q='"state of the union"')) < total(search(site, q="state of the union"))


def test_the_query_is_kept_in_the_box(site):
    page = text_of(search(site, q='say "when"', decade="1860s"))
    assert 'value="say &quot;when&quot;"' in page
    assert '<input type="hidden" name="decade" value="1860s">' in page
    assert quote('say "when"').replace("%20", "+") in page
