"""Fill an empty shop with books that nobody has written, the same ones every time."""

import datetime
import random

from django.core.management.base import BaseCommand
from django.utils.text import slugify

from catalogue.models import Author, Book, Review, Subject

FIRST_NAMES = "Agnes Bernard Clara Daniel Edith Frank Grace Hugo Iris Jonas Karin Leo".split()
LAST_NAMES = "Ashdown Birch Calder Dunmore Ellery Fairlie Garrick Holt Ingram Jessop".split()
ADJECTIVES = "Quiet Long Broken Northern Golden Borrowed Hidden Last Salt Winter".split()
NOUNS = "Lighthouse Orchard Ferry Garden Letter Bridge Clock River Chapel Tide".split()
PLACES = "the harbour,the moors,a small island,the railway,the old mill,the border".split(",")
SUBJECTS = "Crime,Travel,History,Gardening,Poetry,Cookery,Nature,Biography".split(",")
PEOPLE = "a keeper,a widow,two brothers,a young teacher,the last ferryman,a map maker".split(",")
DEEDS = (
    "finds a box of letters,returns after thirty years,loses everything in one night,"
    "learns to read the weather,keeps a secret for the village,walks from coast to coast"
).split(",")
OPINIONS = "Slow to begin with,A book to keep,Too long by half,Warm and exact,Not for me".split(",")

AUTHORS, BOOKS = 60, 300


class Command(BaseCommand):
    help = __doc__

    def handle(self, **options):
        chance = random.Random(1)
        subjects = [Subject.objects.create(name=name) for name in SUBJECTS]
        names = [f"{first} {last}" for first in FIRST_NAMES for last in LAST_NAMES]
        authors = Author.objects.bulk_create(
            Author(
                name=name,
                born=chance.choice([None, *range(1880, 1990)]),
                biography=f"{name} grew up near {chance.choice(PLACES)} and began to write late.",
            )
            for name in chance.sample(names, AUTHORS)
        )
        books = Book.objects.bulk_create(self.book(number, chance) for number in range(1, BOOKS + 1))
        for book in books:
            book.authors.set(chance.sample(authors, chance.choice([1, 1, 1, 2])))
            book.subjects.set(chance.sample(subjects, chance.choice([1, 2, 3])))
        Review.objects.bulk_create(
            Review(
                book=book,
                reader=chance.choice(names),
                stars=chance.randint(1, 5),
                text=f"{chance.choice(OPINIONS)}. I thought of {chance.choice(PLACES)}.",
            )
            for book in books
            for _ in range(chance.randint(0, 2))
        )

    def book(self, number, chance):
        adjective, noun = chance.choice(ADJECTIVES), chance.choice(NOUNS)
        title = f"The {adjective} {noun} of {chance.choice(PLACES).split()[-1].title()}"
        first, second = chance.sample(DEEDS, 2)
        return Book(
            title=title,
            slug=slugify(f"{title} {number}"),
            isbn=f"9780000{number:06d}",
            published=datetime.date(1950, 1, 1) + datetime.timedelta(days=chance.randrange(27000)),
            price=f"{chance.randint(4, 30)}.99",
            in_stock=chance.choice([0, 0, 1, 3, 8]),
            # A few are not sold any more.
            withdrawn=number % 25 == 0,
            summary=f"In {chance.choice(PLACES)}, {chance.choice(PEOPLE)} {first}, and {second}.",
        )
