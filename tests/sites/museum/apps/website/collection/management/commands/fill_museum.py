"""Fill an empty museum with objects and letters that never were, the same ones every time."""

import datetime
import random

from django.core.management.base import BaseCommand

from collection.models import Item, Maker
from letters.models import Letter

FIRST_NAMES = "Anton Berta Carl Dora Emil Frieda Georg Hanna Ivo Jutta Kaspar Lene".split()
LAST_NAMES = "Amsel Becker Dorn Eich Falk Gruber Hagen Immer Jansen Kranz".split()
TOWNS = "Oldport Newmill Westerby Stonebridge Lindau Marsh".split()
WHAT = {
    "ceramics": ("potter", "stoneware,porcelain,earthenware", "vase,jug,bowl,plate,tile"),
    "textiles": ("weaver", "linen,wool,silk", "shawl,banner,coat,tapestry,glove"),
    "tools": ("smith", "iron,oak,brass", "plane,hammer,scale,lantern,key"),
    "ships": ("shipwright", "pine,oak,brass", "model of a brig,figurehead,compass,log,bell"),
}
LOOKS = "a painted rim,a mended handle,the mark of the guild,a crack from the fire,two initials".split(",")
NEWS = "the harvest was poor,the river froze,the new bridge is open,we lost the brig,the mill burned".split(",")
WISHES = "send the blue vase,keep the silver key,greet your mother,write before winter,come by the coast".split(",")

MAKERS, ITEMS, LETTERS = 40, 250, 120


class Command(BaseCommand):
    help = __doc__

    def handle(self, **options):
        chance = random.Random(2)
        names = [f"{first} {last}" for first in FIRST_NAMES for last in LAST_NAMES]
        makers = Maker.objects.bulk_create(
            Maker(name=name, craft=WHAT[chance.choice(list(WHAT))][0], town=chance.choice(TOWNS))
            for name in chance.sample(names, MAKERS)
        )
        Item.objects.bulk_create(self.item(number, makers, chance) for number in range(1, ITEMS + 1))
        Letter.objects.bulk_create(
            Letter(
                sender=chance.choice(names),
                recipient=chance.choice(names),
                written=datetime.date(1790, 1, 1) + datetime.timedelta(days=chance.randrange(20000)),
                transcript=f"Dear friend, {chance.choice(NEWS)}, and {chance.choice(NEWS)}. "
                f"Please {chance.choice(WISHES)}, and {chance.choice(WISHES)}.",
                closed_until=datetime.date(2050, 1, 1) if number % 12 == 0 else None,
            )
            for number in range(1, LETTERS + 1)
        )

    def item(self, number, makers, chance):
        department = chance.choice(list(WHAT))
        _, materials, things = WHAT[department]
        material, thing = chance.choice(materials.split(",")), chance.choice(things.split(","))
        return Item(
            number=f"{1900 + number % 120}.{number}",
            name=f"{thing.capitalize()} in {material}",
            department=department,
            maker=chance.choice([None, *makers]),
            year=chance.choice([None, *range(1650, 1950)]),
            material=material,
            description=f"A {thing} with {chance.choice(LOOKS)} and {chance.choice(LOOKS)}.",
            on_display=chance.random() < 0.3,
            acquired=datetime.date(1900, 1, 1) + datetime.timedelta(days=chance.randrange(40000)),
        )
