"""What Solr is told about each model.

Every page of hits is made of stored fields alone, so showing it costs no
query on the database. The facet fields' twins for exact values (`NAME_exact`)
are made by Haystack.
"""

from typing import ClassVar

from django.db.models import Model, Prefetch, QuerySet
from haystack import indexes

from archive.models import Address, Passage, President, Topic


class ArchiveIndex(indexes.SearchIndex):
    """What all documents have: text, title, address, and values to narrow by.

    `decade` and `topics` are lists everywhere, for a president speaks in
    several decades, and one field has one type in the whole index.
    """

    model: ClassVar[type[Model]]

    text = indexes.CharField(document=True, use_template=True)
    title = indexes.CharField()
    url = indexes.CharField(indexed=False, model_attr="get_absolute_url")
    decade = indexes.MultiValueField(faceted=True)
    topics = indexes.MultiValueField(faceted=True)

    def get_model(self) -> type[Model]:
        """Return the model that is indexed."""
        return self.model

    def prepare_title(self, obj: Model) -> str:
        """Take the name of the object."""
        return str(obj)


class PassageIndex(ArchiveIndex, indexes.Indexable):
    """A passage: the text is nothing but its words, so that hits can be counted."""

    model = Passage

    president = indexes.CharField(faceted=True, model_attr="address__president__name")
    party = indexes.CharField(faceted=True, model_attr="address__party__name")
    year = indexes.IntegerField(model_attr="address__year")
    chronology = indexes.IntegerField(model_attr="address__sequence")
    place = indexes.IntegerField(model_attr="place")

    def index_queryset(self, using: str | None = None) -> QuerySet:
        """Bring the address along, and the topics in one go per batch."""
        related = super().index_queryset(using).select_related("address__president", "address__party")
        return related.prefetch_related("topics")

    def prepare_title(self, obj: Passage) -> str:
        """Take the address's title: the place is shown beside it."""
        return obj.address.title

    def prepare_decade(self, obj: Passage) -> list[str]:
        """Take the address's decade."""
        return [obj.address.decade]

    def prepare_topics(self, obj: Passage) -> list[str]:
        """Take what the passage is filed under."""
        return [topic.name for topic in obj.topics.all()]


class AddressIndex(ArchiveIndex, indexes.Indexable):
    """A whole address."""

    model = Address

    president = indexes.CharField(faceted=True, model_attr="president__name")
    party = indexes.CharField(faceted=True, model_attr="party__name")
    year = indexes.IntegerField(model_attr="year")
    chronology = indexes.IntegerField(model_attr="sequence")
    words = indexes.IntegerField(model_attr="words")

    def index_queryset(self, using: str | None = None) -> QuerySet:
        """Bring president, party, passages and topics along."""
        passages = Prefetch("passages", Passage.objects.order_by("place"))
        related = super().index_queryset(using).select_related("president", "party")
        return related.prefetch_related(passages, "topics")

    def prepare_title(self, obj: Address) -> str:
        """Take the title: the president is shown beside it."""
        return obj.title

    def prepare_decade(self, obj: Address) -> list[str]:
        """Take the decade."""
        return [obj.decade]

    def prepare_topics(self, obj: Address) -> list[str]:
        """Take what the address is mostly about."""
        return [topic.name for topic in obj.topics.all()]


class PresidentIndex(ArchiveIndex, indexes.Indexable):
    """A president: names, terms and addresses."""

    model = President

    president = indexes.CharField(faceted=True, model_attr="name")
    party = indexes.CharField(faceted=True)
    chronology = indexes.IntegerField(model_attr="pk")

    def index_queryset(self, using: str | None = None) -> QuerySet:
        """Bring the terms along, and the addresses with their parties and topics."""
        addresses = Prefetch("addresses", Address.objects.select_related("party"))
        return super().index_queryset(using).prefetch_related("terms", addresses, "addresses__topics")

    def prepare_party(self, obj: President) -> str:
        """Take the party of the first address; nobody in the corpus changes it later."""
        return obj.addresses.all()[0].party.name

    def prepare_decade(self, obj: President) -> list[str]:
        """Take the decades of the addresses."""
        return sorted({address.decade for address in obj.addresses.all()})

    def prepare_topics(self, obj: President) -> list[str]:
        """Take what any address is mostly about."""
        return sorted({topic.name for address in obj.addresses.all() for topic in address.topics.all()})


class TopicIndex(ArchiveIndex, indexes.Indexable):
    """A topic: its name, its description and its words."""

    model = Topic

    def prepare_decade(self, obj: Topic) -> list[str]:  # noqa: ARG002 -- Haystack gives it
        """Leave it empty: every topic comes up in nearly every decade."""
        return []

    def prepare_topics(self, obj: Topic) -> list[str]:
        """Take the topic itself."""
        return [obj.name]
