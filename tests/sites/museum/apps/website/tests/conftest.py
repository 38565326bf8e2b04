import pytest


@pytest.fixture(scope="session")
def django_db_setup():
    """These tests look at the museum's own data, and change nothing of it."""


@pytest.fixture(autouse=True)
def _db(db):
    """Every test may read the database."""
