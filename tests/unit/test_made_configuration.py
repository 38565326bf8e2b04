"""What `doctor` says of the configuration that haybale makes of search indexes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from haybale.adoption.search_fields import SearchField
from haybale.config import Project, Settings
from haybale.doctor.made_configuration import check_made_fields, describe_made_fields, read_made_fields

if TYPE_CHECKING:
    from pathlib import Path

FOLDER = ".haybale/solr_conf/shop"


def project(root: Path, solr_conf: str | None = None) -> Project:
    for core in ("shop", "gone"):
        folder = root / f".haybale/solr_conf/{core}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "schema.xml").write_text(
            '<schema><field name="id"/><field name="text"/><dynamicField name="*_s"/></schema>',
            encoding="utf-8",
        )
    settings = Settings(name="shop", registry="registry.test/shop", core="shop", solr_conf=solr_conf)
    return Project(root=root, settings=settings)


def test_read_made_fields_are_those_of_the_cores_that_there_are(tmp_path: Path) -> None:
    made = read_made_fields(project(tmp_path))
    assert made == {FOLDER: ["id", "text"]}
    assert describe_made_fields(made) == (
        f"haybale makes it of the search indexes: {FOLDER} with the fields id, text"
    )


def test_read_made_fields_are_none_where_the_repository_has_its_own(tmp_path: Path) -> None:
    assert read_made_fields(project(tmp_path, "solr/conf")) == {}
    assert describe_made_fields({}) == "haybale makes it of the search indexes"


def test_check_made_fields_names_what_came_later() -> None:
    fields = [
        SearchField(name=name, kind="CharField", place=f"a.py:{line}")
        for line, name in enumerate(("text", "x", "y"))
    ]
    (found,) = check_made_fields(fields, {FOLDER: ["id", "text"]})
    assert (found.level, found.what) == ("warning", f"a.py:1: {FOLDER} has no field x, y")
    assert [*check_made_fields(fields[:1], {FOLDER: ["id", "text"]})] == []
    assert [*check_made_fields(fields, {})] == []
