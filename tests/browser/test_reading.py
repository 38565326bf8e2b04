"""What a reader does, in a real browser."""

import re

import pytest
from playwright.sync_api import expect

PAGES = [
    "/",
    "/search/",
    "/search/?q=liberty",
    "/search/?q=railroad&type=addresses",
    "/search/?q=libertee",
    "/addresses/1862-abraham-lincoln/",
    "/presidents/",
    "/presidents/grover-cleveland/",
    "/timeline/",
    "/timeline/1860s/",
    "/topics/",
    "/topics/terrorism-and-weapons/",
    "/about/",
]


def search_for(page, words):
    page.goto("/")
    page.get_by_role("searchbox", name="Search the addresses").fill(words)
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_role("status")).to_contain_text(words)


def count(page):
    return int(re.match(r"[\d,]+", page.get_by_role("status").inner_text())[0].replace(",", ""))


def in_view(locator):
    return locator.evaluate(
        "e => { const r = e.getBoundingClientRect(); return r.bottom > 0 && r.top < innerHeight; }"
    )


def test_a_search_marks_its_words(page):
    search_for(page, "liberty")
    marked = page.locator(".hit mark").first
    expect(marked).to_be_visible()
    assert marked.inner_text().lower().startswith("libert")
    ink, paper = marked.evaluate(
        "e => [getComputedStyle(e).backgroundColor, getComputedStyle(document.body).backgroundColor]"
    )
    assert ink != paper


def test_a_facet_narrows_and_is_taken_away(page):
    search_for(page, "war")
    everything = count(page)
    facet = page.get_by_role("region", name="Topic").get_by_role("link", name=re.compile("Foreign affairs"))
    promised = int(facet.locator(".count").inner_text())
    facet.click()
    chip = page.get_by_role("list", name="Filters in use").get_by_role("link")
    expect(chip).to_contain_text("Topic: Foreign affairs")
    assert count(page) == promised < everything
    expect(page.locator(".hit mark").first).to_be_visible()
    chip.click()
    expect(page.get_by_role("list", name="Filters in use")).to_have_count(0)
    assert count(page) == everything


def test_folded_facets_open(page):
    page.goto("/search/?q=liberty")
    hidden = page.locator(".facet details li").first
    expect(hidden).to_be_hidden()
    page.locator(".facet summary").first.click()
    expect(hidden).to_be_visible()


def test_a_hit_opens_its_address_at_its_passage(page):
    search_for(page, "smallpox")
    extract = page.locator(".hit .extract").first.inner_text()
    page.locator(".hit h2 a").first.click()
    expect(page).to_have_url(re.compile(r"/addresses/[\w-]+/#p\d+$"))
    passage = page.locator(":target")
    expect(passage).to_be_visible()
    assert in_view(passage)
    assert extract in passage.inner_text()


def test_hits_can_be_put_in_another_order(page):
    page.goto("/search/?q=liberty")
    page.get_by_label("Order").select_option(label="Newest first")
    page.get_by_role("button", name="Apply").click()
    expect(page).to_have_url(re.compile("sort=newest"))
    expect(page.locator(".hit h2 a").first).to_contain_text(re.compile(r", 20\d\d"))


def test_pages_are_turned(page):
    page.goto("/search/?q=liberty")
    first = page.locator(".hit h2 a").first.get_attribute("href")
    page.get_by_role("link", name="Next").click()
    expect(page.get_by_role("status")).to_contain_text("page 2 of")
    assert page.locator(".hit h2 a").first.get_attribute("href") != first
    expect(page.locator('.pages [aria-current="page"]')).to_have_text("Page 2")


def test_a_misspelled_word_is_mended_with_a_click(page):
    search_for(page, "agricultre")
    page.get_by_role("link", name="agriculture").click()
    expect(page.locator(".hit mark").first).to_be_visible()


def test_the_keyboard_is_enough(page):
    page.goto("/")
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to the content")
    expect(skip).to_be_focused()
    assert in_view(skip)
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_role("searchbox")).to_be_focused()
    page.keyboard.type("smallpox")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("smallpox")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # past the head of the page again
    first = page.locator(".hit h2 a").first
    for _ in range(20):
        page.keyboard.press("Tab")
        if first.evaluate("e => e === document.activeElement"):
            break
    expect(first).to_be_focused()
    assert first.evaluate("e => getComputedStyle(e).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"#p\d+$"))


@pytest.mark.parametrize("path", PAGES)
def test_a_phone_never_scrolls_sideways(open_page, path):
    page = open_page("phone", is_mobile=True, has_touch=True)
    page.goto(path)
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= page.viewport_size["width"]


@pytest.mark.parametrize("path", PAGES)
def test_every_page_is_well_made(page, path):
    page.goto(path)
    assert page.title()
    expect(page.get_by_role("main")).to_have_count(1)
    expect(page.get_by_role("banner")).to_have_count(1)
    expect(page.get_by_role("contentinfo")).to_have_count(1)
    expect(page.get_by_role("heading", level=1)).to_have_count(1)
    twice = page.evaluate(
        "() => { const ids = [...document.querySelectorAll('[id]')].map(e => e.id);"
        " return ids.filter((id, i) => ids.indexOf(id) !== i); }"
    )
    assert twice == []
    unnamed = page.evaluate(
        "() => [...document.querySelectorAll('a, button, input:not([type=hidden]), select')]"
        ".filter(e => !(e.textContent.trim() || e.labels?.length || e.ariaLabel)).map(e => e.outerHTML)"
    )
    assert unnamed == []


def luminance(colour):
    """The relative luminance of an rgb() colour, as WCAG defines it."""
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_by_day_and_by_night(open_page, scheme):
    page = open_page(color_scheme=scheme)
    page.goto("/search/?q=liberty")
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (luminance(paper) < 0.5) == (scheme == "dark")
    for selector in (".extract", ".hit h2 a", ".about", ".filed", ".count", ".masthead li a"):
        ink = page.locator(selector).first.evaluate("e => getComputedStyle(e).color")
        dark, light = sorted((luminance(ink), luminance(paper)))
        assert (light + 0.05) / (dark + 0.05) >= 4.5, (selector, ink, paper)


def test_a_page_that_is_not_there_says_so(open_page):
    open_page.expect_complaint("404")
    page = open_page()
    answer = page.goto("/nothing/")
    assert answer.status == 404
    expect(page.get_by_role("heading", level=1)).to_have_text("There is no such page")
    expect(page.get_by_role("searchbox")).to_be_visible()
