"""What `doctor --deep` makes of what Django and Solr said."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import pytest

from haybale.config import Project, Settings
from haybale.doctor.deep import Asked, check_cores_of_site, database_url, from_start, missing_fields
from haybale.errors import LoadError, ServiceError
from haybale.index.own_configuration import SchemaField, SiteSchema

if TYPE_CHECKING:
    from pathlib import Path


def schema(**fields: SchemaField) -> SiteSchema:
    return SiteSchema(
        key="id", type_field="django_ct", id_field="django_id", content="text", spelling=False, fields=fields
    )


def project(root: Path, core: str | tuple[str, ...] | None = None) -> Project:
    settings = Settings(name="shop", registry="registry.test/shop", core=core, dump="latest.*")
    return Project(root=root, settings=settings)


def test_missing_fields_has_the_line_that_the_schema_lacks() -> None:
    wanted = schema(
        text=SchemaField(type="text_en", indexed=True, stored=True, multiple=False),
        tags=SchemaField(type="string", indexed=True, stored=False, multiple=True),
    )
    (found,) = missing_fields(wanted, ["id", "te*"], "solr_conf/schema.xml")
    assert found.what == "the field 'tags' of the search indexes is not in solr_conf/schema.xml"
    assert found.fix.endswith(
        '<field name="tags" type="string" indexed="true" stored="false" multiValued="true"/>'
    )


def test_check_cores_of_site_compares_the_setting_with_the_site(tmp_path: Path) -> None:
    asked = Asked(cores=("shop",), schemas={"store": schema()})
    (found,) = check_cores_of_site(project(tmp_path, "shop"), asked)
    assert found.what == "HAYSTACK_CONNECTIONS names store; the setting `core` is shop"
    same = Asked(cores=("store",), schemas={"store": schema()})
    assert list(check_cores_of_site(project(tmp_path), same)) == []


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (LoadError("m", cause="a variable", hint="h", log="1\n2"), "a variable\n1\n2"),
        (LoadError("m", hint="h", log="\n".join(map(str, range(20)))), "\n".join(map(str, range(12, 20)))),
        (ServiceError("m", cause="a class is missing", log="long"), "a class is missing"),
        (ServiceError("m", log="its log"), "its log"),
    ],
)
def test_from_start_shows_the_log_where_no_cause_is_known(error: LoadError | ServiceError, why: str) -> None:
    assert from_start(error).why == why


@pytest.mark.parametrize(
    ("content", "scheme"),
    [
        (gzip.compress(b"--\n-- PostgreSQL database dump\n--\n", mtime=0), "postgresql"),
        (b"SQLite format 3\x00" + bytes(84), "sqlite"),
        (b"nothing that is known", "sqlite"),
        (None, "sqlite"),
    ],
    ids=["postgresql in gzip", "sqlite", "no database", "no dump"],
)
def test_database_url_is_of_the_dump(tmp_path: Path, content: bytes | None, scheme: str) -> None:
    if content is not None:
        (tmp_path / "latest.dump").write_bytes(content)
    assert database_url(project(tmp_path)).startswith(f"{scheme}:")
