from collection.models import Item
from letters.models import Letter


def test_every_object_has_a_page(client):
    item = Item.objects.order_by("number").first()
    page = client.get(f"/objects/{item.number}/")
    assert page.status_code == 200
    assert item.name in page.content.decode()


def test_numbers_begin_with_the_year_of_entry():
    assert not Item.objects.exclude(number__regex=r"^(19|20)\d\d\.\d+$").exists()


def test_a_letter_has_a_page(client):
    letter = Letter.objects.earliest("written")
    assert letter.sender in client.get(f"/letters/{letter.pk}/").content.decode()
