"""Models with every kind of key that a search index meets."""

# ruff: noqa: DJ008 - nobody looks at these rows

import uuid

from django.db import models


class Farm(models.Model):
    """Has a text for a key."""

    code = models.CharField(primary_key=True, max_length=20)
    name = models.CharField(max_length=50)
    owner = models.ForeignKey("meadow.Owner", on_delete=models.CASCADE, null=True)


class Bale(models.Model):
    """Has a value for every type of search field."""

    farm = models.ForeignKey(Farm, on_delete=models.CASCADE, related_name="bales")
    title = models.CharField(max_length=200)
    body = models.TextField()
    count = models.BigIntegerField(null=True)
    weight = models.FloatField(null=True)
    price = models.DecimalField(max_digits=12, decimal_places=4, null=True)
    fresh = models.BooleanField(default=False)
    born = models.DateField(null=True)
    seen = models.DateTimeField(null=True)
    hidden = models.IntegerField(null=True)

    class Meta:
        """Ordered against the key: the loader must page by key all the same."""

        ordering = ("-title",)


class RoundBale(Bale):
    """A proxy with an index of its own."""

    class Meta:
        """The table is the parent's."""

        proxy = True


class Stack(Bale):
    """Inherits its table and its key (a relation) from its parent."""

    height = models.IntegerField()


class Harvest(models.Model):
    """A view whose key several rows have."""

    year = models.IntegerField(primary_key=True)
    title = models.CharField(max_length=200)

    class Meta:
        """Nobody migrates it."""

        managed = False
        db_table = "barn_harvest"


class Token(models.Model):
    """Has a UUID for a key."""

    key = models.UUIDField(primary_key=True, default=uuid.uuid4)
    word = models.CharField(max_length=50, blank=True)


class Plaque(models.Model):
    """Has a relation for a key."""

    farm = models.OneToOneField(Farm, on_delete=models.CASCADE, primary_key=True)
    words = models.CharField(max_length=50)
