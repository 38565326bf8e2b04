"""Views, which only people need."""

import json
from pathlib import Path

from django.http import HttpRequest, HttpResponse

PAGES = json.loads(Path(__file__).with_name("data").joinpath("pages.json").read_text())


def bale(request: HttpRequest, number: int) -> HttpResponse:
    """Return a page."""
    return HttpResponse(f"{request} {number}")
