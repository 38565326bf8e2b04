from django.core.cache import cache

from museum.views import departments


def test_departments_are_counted_once_a_day(django_assert_num_queries):
    cache.delete("departments")
    with django_assert_num_queries(1):
        counted = departments()
        assert departments() == counted
    assert cache.get("departments") == counted


def test_status_asks_the_cache(client):
    assert client.get("/status/").json()["cache"] is True
