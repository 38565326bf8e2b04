from django.shortcuts import render
from django.views.generic import DetailView
from haystack.forms import FacetedSearchForm
from haystack.generic_views import FacetedSearchView
from haystack.query import SearchQuerySet

from catalogue.models import Author, Book


def front(request):
    new = Book.objects.on_sale().order_by("-published")[:8]
    return render(request, "catalogue/front.html", {"new": new})


class BookPage(DetailView):
    queryset = Book.objects.on_sale()
    template_name = "catalogue/book.html"

    def get_context_data(self, **kwargs):
        similar = SearchQuerySet().models(Book).more_like_this(self.object)[:4]
        return super().get_context_data(similar=similar, **kwargs)


class AuthorPage(DetailView):
    model = Author
    template_name = "catalogue/author.html"


class Search(FacetedSearchView):
    form_class = FacetedSearchForm
    facet_fields = ["authors", "subjects"]
    template_name = "search/search.html"
    context_object_name = "results"
    load_all = False
