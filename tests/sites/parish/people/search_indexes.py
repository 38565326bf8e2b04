from haystack import indexes

from people.models import Member


class MemberIndex(indexes.SearchIndex, indexes.Indexable):
    text = indexes.CharField(document=True, use_template=True)
    full_name = indexes.CharField(model_attr='full_name')

    def get_model(self):
        return Member

    def index_queryset(self, using=None):
        return Member.objects.filter(is_listed=True, is_active=True)
