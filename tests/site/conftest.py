"""The tests of the site run on the reference database and the baked index, both as they are."""

from collections.abc import Iterator

import pysolr
import pytest
from django.conf import settings
from django.db import connections
from django.test import Client


@pytest.fixture(scope="session")
def django_db_setup() -> Iterator[None]:
    """Use the database that is there: it is what was indexed. Each test is rolled back."""
    yield
    connections.close_all()


@pytest.fixture(autouse=True)
def _database(db):
    """Let every test read the database."""


@pytest.fixture
def solr() -> pysolr.Solr:
    """Solr itself, past Haystack."""
    return pysolr.Solr(settings.HAYSTACK_CONNECTIONS["default"]["URL"], timeout=60)


@pytest.fixture
def site() -> Client:
    """A browser of sorts. Errors are answered as they would be, not raised."""
    return Client(raise_request_exception=False, headers={"host": "localhost"})
