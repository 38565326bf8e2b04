from django.db.models import Avg
from haystack import indexes

from catalogue.models import Author, Book


class BookIndex(indexes.SearchIndex, indexes.Indexable):
    text = indexes.CharField(document=True, use_template=True)
    title = indexes.CharField(model_attr="title", boost=1.5)
    authors = indexes.MultiValueField(faceted=True)
    subjects = indexes.MultiValueField(faceted=True)
    published = indexes.DateField(model_attr="published")
    price = indexes.FloatField(model_attr="price")
    in_stock = indexes.BooleanField()
    stars = indexes.FloatField(null=True)

    def get_model(self):
        return Book

    def get_updated_field(self):
        return "changed"

    def index_queryset(self, using=None):
        return (
            self.get_model()
            .objects.on_sale()
            .prefetch_related("authors", "subjects", "reviews")
            .annotate(average_stars=Avg("reviews__stars"))
        )

    def prepare_authors(self, book):
        return [author.name for author in book.authors.all()]

    def prepare_subjects(self, book):
        return [subject.name for subject in book.subjects.all()]

    def prepare_in_stock(self, book):
        return book.in_stock > 0

    def prepare_stars(self, book):
        # A book that was just saved does not come from the query above.
        if hasattr(book, "average_stars"):
            return book.average_stars
        return book.reviews.aggregate(average=Avg("stars"))["average"]


class AuthorIndex(indexes.SearchIndex, indexes.Indexable):
    text = indexes.CharField(document=True, use_template=True)
    name = indexes.CharField(model_attr="name")
    born = indexes.IntegerField(model_attr="born", null=True)

    def get_model(self):
        return Author
