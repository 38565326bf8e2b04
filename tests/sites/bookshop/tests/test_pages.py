def test_front_page_shows_new_books(client, book):
    page = client.get("/")
    assert page.status_code == 200
    assert book.title in page.content.decode()


def test_a_book_has_a_page_with_its_authors(client, book):
    page = client.get(book.get_absolute_url())
    assert "Tess Ting" in page.content.decode()


def test_a_withdrawn_book_has_none(client, book):
    book.withdrawn = True
    book.save()
    assert client.get(book.get_absolute_url()).status_code == 404
