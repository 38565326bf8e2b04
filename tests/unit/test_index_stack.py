"""The environment that indexes: the configurations that haybale makes for a site that keeps none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from haybale.config import Project, Settings
from haybale.errors import ConfigError
from haybale.index.home import configuration_texts, read_core
from haybale.index.own_configuration import SchemaField, SiteSchema
from haybale.index.stack import make_core_folders

if TYPE_CHECKING:
    from pathlib import Path

TEXT = SchemaField(type="text_en", indexed=True, stored=True, multiple=False)
SCHEMA = SiteSchema(
    key="id",
    type_field="django_ct",
    id_field="django_id",
    content="text",
    spelling=False,
    fields={"text": TEXT},
)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(root=tmp_path, settings=Settings(name="site", registry="r.test/site"))


def test_make_core_folders_writes_what_solr_9_takes_and_serves_as_it_is(project: Project) -> None:
    folders = make_core_folders(project, ["en", "de"], {"en": SCHEMA, "de": SCHEMA, "other": SCHEMA})
    assert list(folders) == ["en", "de"]
    assert configuration_texts(folders["en"]).keys() == {
        ".haybale/solr_conf/en/schema.xml", ".haybale/solr_conf/en/solrconfig.xml"
    }  # fmt: skip
    core = read_core(folders["de"])
    assert core.outdated == ()
    assert core.adapted == {}


def test_make_core_folders_names_a_core_that_no_connection_has(project: Project) -> None:
    with pytest.raises(ConfigError, match="no Haystack connection has the core de") as refused:
        make_core_folders(project, ["en", "de"], {"en": SCHEMA})
    assert "HAYSTACK_CONNECTIONS names en" in refused.value.cause
