from haystack import indexes

from letters.models import Letter


class LetterIndex(indexes.SearchIndex, indexes.Indexable):
    text = indexes.CharField(document=True, model_attr="transcript")
    sender = indexes.CharField(model_attr="sender")
    recipient = indexes.CharField(model_attr="recipient")
    written = indexes.DateField(model_attr="written")

    def get_model(self):
        return Letter

    def index_queryset(self, using=None):
        return self.get_model().objects.filter(closed_until=None)
