from haystack import indexes

from notices.models import Notice


class NoticeIndex(indexes.SearchIndex, indexes.Indexable):
    text = indexes.CharField(document=True, use_template=True)
    title = indexes.CharField(model_attr='title', faceted=True)
    author = indexes.CharField(model_attr='author__full_name')
    posted = indexes.DateTimeField(model_attr='posted')
    attendance = indexes.IntegerField(model_attr='attendance', null=True)

    def get_model(self):
        return Notice
