"""What every page is given."""

from django.http import HttpRequest
from django.urls import reverse

_SECTIONS = (
    ("Search", "search", ()),
    ("Presidents", "presidents", ()),
    ("Timeline", "timeline", ("/addresses/",)),
    ("Topics", "topics", ()),
    ("About", "about", ()),
)


def navigation(request: HttpRequest) -> dict[str, list[dict[str, str]]]:
    """Return the sections, with the value of aria-current: this very page, or one within the section."""
    sections = []
    for label, name, others in _SECTIONS:
        url = reverse(name)
        current = ""
        if request.path == url:
            current = "page"
        elif request.path.startswith((url, *others)):
            current = "true"
        sections.append({"label": label, "url": url, "current": current})
    return {"sections": sections}
