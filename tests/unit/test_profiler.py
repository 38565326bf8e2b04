"""What is advised by what was measured; that it is measured rightly is an integration test."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from haybale.loader.checks.profiler import Cost, Profile, advise, find_prefetch, merge_profiles


def relation(name: str, to: Any, **more: Any) -> SimpleNamespace:
    given = {
        "is_relation": True, "related_model": to, "name": name, "one_to_many": False, "many_to_many": False,
        "auto_created": False, "concrete": True, "get_accessor_name": lambda: name, "remote_field": None,
    }  # fmt: skip
    return SimpleNamespace(**{**given, **more})


def model(table: str, *fields: Any) -> Any:
    return SimpleNamespace(_meta=SimpleNamespace(db_table=table, get_fields=lambda: fields))


PUBLISHER = model("publisher")
AUTHOR = model("author", relation("publisher", PUBLISHER))
TAG = model("tag")
BOOK = model(
    "book",
    relation("author", AUTHOR),
    relation(
        "tags", TAG, many_to_many=True,
        remote_field=SimpleNamespace(through=model("book_tags")),
    ),
    relation("reviews", model("review"), one_to_many=True, auto_created=True, concrete=False),
)  # fmt: skip


@pytest.mark.parametrize(
    ("table", "way"),
    [
        ("author", "select_related('author')"),
        ("publisher", "select_related('author__publisher')"),
        ("tag", "prefetch_related('tags')"),
        ("book_tags", "prefetch_related('tags')"),
        ("review", "prefetch_related('reviews')"),
        ("elsewhere", None),
    ],
)
def test_find_prefetch(table: str, way: str | None) -> None:
    assert find_prefetch(BOOK, table) == way


QUERYSET = "`index_queryset`"
SAME = "it is always the same one, ask once and keep the answer"


class Index:
    """As much of a search index as advice needs."""

    def __init__(self) -> None:
        plain = SimpleNamespace(use_template=False, template_name=None, instance_name="title")
        template = SimpleNamespace(use_template=True, template_name=None, instance_name="text")
        self.fields = {"title": plain, "text": template, "author": plain}

    def get_model(self) -> Any:
        return BOOK

    def prepare_author(self) -> None:
        """Is there."""


SOURCE: Any = SimpleNamespace(alias="default", label="app.Book", type="app.book", index=Index())


def advice(other: Cost | None = None, **fields: Cost) -> list[tuple[float, str]]:
    """Return what is said of ten documents that took a second."""
    costs: dict[str | None, Cost] = dict(fields.items())
    if other:
        costs[None] = other
    profile = Profile(10, 1.0, costs)
    return [(each.share, each.text) for each in advise(SOURCE, profile)]


def test_advise_names_the_remedy_for_queries_of_each_document() -> None:
    assert advice(author=Cost(0.2, {"author": 10})) == [
        (
            0.2,
            f"`prepare_author` runs 1.0 queries a document: add `select_related('author')` to {QUERYSET}",
        )
    ]


def test_advise_names_the_same_query_for_each_document() -> None:
    ((_, text),) = advice(title=Cost(0.2, {"settings": 10}, repeats=9))
    assert text == "field `title` runs 1.0 queries a document: " + SAME


def test_advise_names_a_deferred_column() -> None:
    ((_, text),) = advice(title=Cost(0.2, {"book": 10}))
    assert "defers a column" in text


def test_advise_sorts_by_share_and_leaves_out_small_ones() -> None:
    found = advice(text=Cost(0.48), title=Cost(0.05), author=Cost(0.41))
    assert found == [
        (0.48, "template search/indexes/app/book_text.txt takes 48% of the time of preparing"),
        (0.41, "`prepare_author` takes 41% of the time of preparing"),
    ]


def test_advise_names_queries_of_the_index_s_own_prepare() -> None:
    found = advice(title=Cost(0.4), other=Cost(0.0, {"review": 20}))
    assert found[0][1].startswith("`prepare` of Index runs 2.0 queries a document: add `prefetch_related")
    assert found[0][0] == pytest.approx(0.6)


def test_merge_profiles() -> None:
    place = ("default", "app.Book")
    one = {place: Profile(2, 1.0, {"title": Cost(0.5, {"a": 1}, 1)})}
    other = {place: Profile(3, 2.0, {"title": Cost(0.5, {"a": 2, "b": 1}), "text": Cost(1.0)})}
    assert merge_profiles([one, other, {}]) == {
        place: Profile(5, 3.0, {"title": Cost(1.0, {"a": 3, "b": 1}, 1), "text": Cost(1.0)})
    }
