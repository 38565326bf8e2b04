"""Presidents, what they told Congress, and what it was about.

An address is kept only as its passages: they are what is searched, linked to
and highlighted, and joined by single spaces they are the whole text again.
`Address.text_digest` is how that is checked.
"""

from django.db import models
from django.urls import reverse


class Party(models.Model):
    """A political party, as the corpus names it, spelled out."""

    name = models.CharField(max_length=60, unique=True)
    slug = models.SlugField(unique=True)

    class Meta:
        """By name."""

        ordering = ["name"]
        verbose_name_plural = "parties"

    def __str__(self) -> str:
        return self.name


class President(models.Model):
    """A person, however many terms were served."""

    name = models.CharField(max_length=60, unique=True, help_text="The name in use, such as Jimmy Carter")
    full_name = models.CharField(max_length=100, unique=True)
    slug = models.SlugField(unique=True)

    class Meta:
        """By first taking office, which is the order of the keys."""

        ordering = ["pk"]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        """Return the president's page."""
        return reverse("president", args=[self.slug])


class Term(models.Model):
    """An unbroken time in office; Grover Cleveland and Donald Trump have two."""

    president = models.ForeignKey(President, on_delete=models.CASCADE, related_name="terms")
    number = models.PositiveSmallIntegerField(unique=True, help_text="The 16th President: 16")
    start = models.PositiveSmallIntegerField()
    end = models.PositiveSmallIntegerField(null=True, help_text="Empty while it lasts")

    class Meta:
        """In the order in which they were served."""

        ordering = ["number"]

    def __str__(self) -> str:
        return f"{self.start}\N{EN DASH}{self.end or ''}"


class Topic(models.Model):
    """A subject that passages are filed under, by their words."""

    name = models.CharField(max_length=60, unique=True)
    slug = models.SlugField(unique=True)
    description = models.CharField(max_length=200)
    words = models.TextField(help_text="The words that file a passage here, for the reader")

    class Meta:
        """By name."""

        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        """Return the topic's page."""
        return reverse("topic", args=[self.slug])


class Address(models.Model):
    """One State of the Union address, spoken or sent in writing."""

    president = models.ForeignKey(President, on_delete=models.PROTECT, related_name="addresses")
    party = models.ForeignKey(Party, on_delete=models.PROTECT, related_name="addresses")
    topics = models.ManyToManyField(
        Topic, related_name="addresses", help_text="What a good part of its passages is about"
    )
    year = models.PositiveSmallIntegerField(db_index=True)
    sequence = models.PositiveSmallIntegerField(
        unique=True, help_text="1 for the first in the archive; two addresses can share a year"
    )
    title = models.CharField(max_length=100)
    slug = models.SlugField(unique=True)
    words = models.PositiveIntegerField()
    text_digest = models.CharField(max_length=64, help_text="SHA-256 of the whole text, UTF-8")

    class Meta:
        """In the order in which they were given."""

        ordering = ["sequence"]
        verbose_name_plural = "addresses"

    def __str__(self) -> str:
        return f"{self.title} ({self.president})"

    def get_absolute_url(self) -> str:
        """Return the address's page."""
        return reverse("address", args=[self.slug])

    @property
    def decade(self) -> str:
        """The decade as readers write it, such as 1860s."""
        return f"{self.year // 10 * 10}s"

    @property
    def text(self) -> str:
        """The whole text, put together from the passages."""
        return " ".join(passage.text for passage in self.passages.all())


class Passage(models.Model):
    """About a hundred words of an address, cut between sentences where that is possible."""

    address = models.ForeignKey(Address, on_delete=models.CASCADE, related_name="passages")
    topics = models.ManyToManyField(Topic, related_name="passages")
    place = models.PositiveSmallIntegerField(help_text="1 for the first of the address")
    text = models.TextField()

    class Meta:
        """In the order in which they were said."""

        ordering = ["address__sequence", "place"]
        constraints = [models.UniqueConstraint(fields=["address", "place"], name="one_passage_per_place")]

    def __str__(self) -> str:
        return f"{self.address}, passage {self.place}"

    def get_absolute_url(self) -> str:
        """Return the place in the address's page."""
        return f"{self.address.get_absolute_url()}#p{self.place}"
