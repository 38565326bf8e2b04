from django.core.cache import cache
from django.db.models import Count
from django.http import JsonResponse
from django.shortcuts import get_object_or_404, render
from haystack.query import SearchQuerySet

from collection.models import Item
from letters.models import Letter

DAY = 24 * 60 * 60


def departments():
    """Return how many objects each department shows: [(name, count)], worked out once a day."""

    def count():
        shown = Item.objects.filter(on_display=True).values_list("department")
        return list(shown.annotate(count=Count("id")).order_by("department"))

    return cache.get_or_set("departments", count, DAY)


def front(request):
    return render(request, "front.html", {"departments": departments()})


def search(request):
    query = request.GET.get("q", "").strip()
    objects = SearchQuerySet().using("default").auto_query(query) if query else []
    letters = SearchQuerySet().using("letters").auto_query(query) if query else []
    context = {
        "query": query,
        "object_count": objects.count() if query else 0,
        "letter_count": letters.count() if query else 0,
        "objects": objects[:10],
        "letters": letters[:10],
    }
    return render(request, "search.html", context)


def item(request, number):
    return render(request, "item.html", {"item": get_object_or_404(Item, number=number)})


def letter(request, pk):
    return render(request, "letter.html", {"letter": get_object_or_404(Letter, pk=pk)})


def status(request):
    """Say whether cache and database answer; the load balancer asks this."""
    cache.set("status", "here", 60)
    return JsonResponse({"cache": cache.get("status") == "here", "objects": Item.objects.count()})
