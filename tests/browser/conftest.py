"""A real browser before the running site.

BASE_URL is where the site is, CHROMIUM the browser's program, REPORTS the
folder for a picture of the page where a test fails.
"""

import os
import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect, sync_playwright

BASE_URL = os.environ.get("BASE_URL", "http://127.0.0.1:8000").rstrip("/")
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
REPORTS = Path(os.environ.get("REPORTS", "/tmp"))
PATIENCE = 20_000  # milliseconds, for what never takes one second; a slow machine fails no test

SIZES = {"desktop": {"width": 1200, "height": 900}, "phone": {"width": 375, "height": 740}}

expect.set_options(timeout=PATIENCE)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    """Remember how the test went, for the picture."""
    report = yield
    if report.when == "call":
        item.failed = report.failed
    return report


@pytest.fixture(scope="session")
def browser():
    with sync_playwright() as playwright:
        # A container has no second sandbox inside it, and little shared memory.
        arguments = ["--no-sandbox", "--disable-dev-shm-usage"]
        # Readers come over HTTPS; without it, only a site on this very host counts as secure to a browser.
        arguments.append(f"--unsafely-treat-insecure-origin-as-secure={BASE_URL}")
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser, request):
    """Open pages of a size; whatever the test does, they must not complain or reach beyond the site."""
    contexts, complaints, strangers, wanted = [], [], [], set()

    def note_failure(failed):
        # What the browser gives up itself, when a test leaves a page or closes it before its icon has come.
        if failed.failure != "net::ERR_ABORTED":
            complaints.append(f"{failed.url}: {failed.failure}")

    def opened(size="desktop", **options):
        context = browser.new_context(base_url=BASE_URL, viewport=SIZES[size], **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.on(
            "console", lambda message: complaints.append(message.text) if message.type == "error" else None
        )
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("requestfailed", note_failure)

        def watch(asked):
            if urlsplit(asked.url).netloc != urlsplit(BASE_URL).netloc:
                strangers.append(asked.url)

        page.on("request", watch)
        return page

    opened.expect_complaint = wanted.add
    yield opened
    if getattr(request.node, "failed", False):
        for number, page in enumerate(page for context in contexts for page in context.pages):
            name = re.sub(r"\W+", "-", request.node.name).strip("-")
            page.screenshot(path=REPORTS / f"{name}-{number}.png", full_page=True)
    for context in contexts:
        context.close()
    assert strangers == []
    assert [text for text in complaints if not any(part in text for part in wanted)] == []


@pytest.fixture
def page(open_page):
    return open_page()
