"""What every answer has in common: the content policy, and a page for when Solr is away."""

import logging
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.cache import add_never_cache_headers
from pysolr import SolrError

Handler = Callable[[HttpRequest], HttpResponse]

_log = logging.getLogger(__name__)

# The pages are made of their own HTML, CSS and images; nothing may run and nothing comes from elsewhere.
_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)


def content_security_policy(get_response: Handler) -> Handler:
    """Tell browsers to accept nothing but the site's own styles and images."""

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        response.headers.setdefault("Content-Security-Policy", _POLICY)
        response.headers.setdefault("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
        return response

    return middleware


class SearchUnavailable:
    """Answers with a page of its own where Solr could not be asked."""

    def __init__(self, get_response: Handler) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Let the request pass."""
        return self._get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Answer 503 where Solr could not be asked; leave any other error alone."""
        if not isinstance(exception, SolrError):
            return None
        _log.error("Solr did not answer %s: %s", request.path, exception)
        response = render(request, "archive/search_unavailable.html", status=503)
        response.headers["Retry-After"] = "30"
        add_never_cache_headers(response)
        return response
