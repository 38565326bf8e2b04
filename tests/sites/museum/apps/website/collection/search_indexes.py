from haystack import indexes

from collection.models import Item, Maker


class ItemIndex(indexes.SearchIndex, indexes.Indexable):
    text = indexes.CharField(document=True, use_template=True)
    number = indexes.CharField(model_attr="number")
    name = indexes.CharField(model_attr="name")
    department = indexes.CharField(model_attr="get_department_display", faceted=True)
    maker = indexes.CharField(model_attr="maker__name", null=True)
    year = indexes.IntegerField(model_attr="year", null=True)
    on_display = indexes.BooleanField(model_attr="on_display")
    acquired = indexes.DateField(model_attr="acquired")

    def get_model(self):
        return Item

    def index_queryset(self, using=None):
        return self.get_model().objects.select_related("maker")


class MakerIndex(indexes.SearchIndex, indexes.Indexable):
    text = indexes.CharField(document=True, use_template=True)
    name = indexes.CharField(model_attr="name")
    items = indexes.IntegerField()

    def get_model(self):
        return Maker

    def prepare_items(self, maker):
        return maker.items.count()
