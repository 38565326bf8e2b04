import datetime

import pytest

from catalogue.models import Author, Book


@pytest.fixture
def book(db):
    book = Book.objects.create(
        title="A Book for Tests",
        slug="a-book-for-tests",
        isbn="9781111111111",
        published=datetime.date(2001, 2, 3),
        price="7.50",
    )
    book.authors.add(Author.objects.create(name="Tess Ting"))
    return book
