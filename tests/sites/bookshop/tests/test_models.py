import pytest
from django.db import IntegrityError

from catalogue.models import Book


def test_withdrawn_books_are_not_on_sale(book):
    assert book in Book.objects.on_sale()
    book.withdrawn = True
    book.save()
    assert book not in Book.objects.on_sale()


def test_an_isbn_is_given_once(book):
    with pytest.raises(IntegrityError):
        Book.objects.create(
            title="Another", slug="another", isbn=book.isbn, published=book.published, price=1
        )
