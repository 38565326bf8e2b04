"""Where a repository keeps a core's configuration, and what becomes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from haybale.config import Project, Settings
from haybale.errors import ConfigError
from haybale.index.home import (
    CoreFolder,
    configuration_files,
    core_folders,
    find_core_folders,
    lay_out,
    read_core,
    repository_cores,
    serve_core,
    serving_changes,
    tune_home,
    upgrade_changes,
    write_home,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

CONFIG = '<config><luceneMatchVersion>9</luceneMatchVersion><schemaFactory class="{}"/>{}</config>'
CLASSIC = CONFIG.format("ClassicIndexSchemaFactory", "")
SCHEMA = "<schema/>"


def write(folder: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def of_core(folder: Path, core: str = "") -> CoreFolder:
    return CoreFolder(folder=folder, label="solr", core=core)


def written(folder: Path) -> set[str]:
    return {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}


@pytest.mark.parametrize(
    ("files", "folders"),
    [
        (["schema.xml", "solrconfig.xml"], [""]),
        (["conf/managed-schema", "conf/solrconfig.xml"], [""]),
        (["core.properties", "conf/x.txt"], [""]),
        (["schema.xml", "conf/elevate.xml"], [""]),
        (["site/core.properties", "solr.xml"], ["site/"]),
        (["solr.xml", "de/conf/schema.xml", "en/schema.xml", "en/core.properties"], ["de/", "en/"]),
        (["configsets/own/conf/solrconfig.xml", "en/core.properties"], ["en/"]),
        (["a/b/core.properties"], ["a/b/"]),
        (["README.md"], [""]),
    ],
)
def test_find_core_folders_by_what_solr_looks_for(files: list[str], folders: list[str]) -> None:
    assert find_core_folders(files) == folders


@pytest.mark.parametrize(
    ("files", "core", "properties", "found"),
    [
        (
            ["schema.xml", "lang/stop.txt"],
            "",
            {},
            {"conf/schema.xml": "schema.xml", "conf/lang/stop.txt": "lang/stop.txt"},
        ),
        (
            ["core.properties", "schema.xml", "solrconfig.xml", "conf/elevate.xml", "conf/schema.xml"],
            "",
            {},
            {
                "conf/schema.xml": "conf/schema.xml",
                "conf/solrconfig.xml": "solrconfig.xml",
                "conf/elevate.xml": "conf/elevate.xml",
            },
        ),
        (
            ["conf/schema.xml", "data/index/segments_1", "data/tlog/1", "lib/a.jar", "zoo.cfg"],
            "",
            {},
            {"conf/schema.xml": "conf/schema.xml", "lib/a.jar": "lib/a.jar"},
        ),
        (
            ["conf/old.xml", "conf/schema.xml", "conf/mine.xml"],
            "",
            {"config": "mine.xml", "schema": "old.xml"},
            {"conf/schema.xml": "conf/old.xml", "conf/solrconfig.xml": "conf/mine.xml"},
        ),
        (
            ["configsets/own/conf/schema.xml", "en/core.properties", "en/notes.txt", "en/lib/a.jar"],
            "en/",
            {"configSet": "own"},
            {"conf/schema.xml": "configsets/own/conf/schema.xml", "lib/a.jar": "en/lib/a.jar"},
        ),
    ],
)
def test_lay_out_takes_a_core_s_files_as_solr_does(
    files: list[str], core: str, properties: dict[str, str], found: dict[str, str]
) -> None:
    assert lay_out(files, core, properties).core == found


def test_lay_out_shares_what_a_home_has_for_all_cores() -> None:
    files = ["solr.xml", "lib/all.jar", "en/conf/schema.xml", "en/lib/own.jar", "de/conf/schema.xml"]
    layout = lay_out(files, "en/", {})
    assert layout.shared == {"solr.xml": "solr.xml", "lib/all.jar": "lib/all.jar"}
    assert layout.core == {"conf/schema.xml": "en/conf/schema.xml", "lib/own.jar": "en/lib/own.jar"}


def test_write_home_of_an_instance_folder(tmp_path: Path) -> None:
    properties = "#Written by hand\nname=other\nconfig = solrconfig.xml\ndataDir=/var/data\nown.word: text\n"
    source = write(
        tmp_path / "solr",
        {
            "core.properties": properties,
            "schema.xml": SCHEMA,
            "solrconfig.xml": CLASSIC,
            "conf/elevate.xml": "<elevate/>",
            "data/index/segments_1": "no",
            "solr.xml": "<solr/>",
        },
    )
    home = tmp_path / "home"
    write_home(home, {"site": of_core(source)})
    assert written(home) == {
        "solr.xml",
        "site/core.properties",
        "site/conf/elevate.xml",
        "site/conf/schema.xml",
        "site/conf/solrconfig.xml",
    }
    assert (home / "site/core.properties").read_text() == "name=site\nown.word=text\n"
    assert (home / "site/conf/solrconfig.xml").read_text() == CLASSIC, "what Solr takes stays to the byte"
    assert configuration_files(source) == written(source) - {"data/index/segments_1"}


def test_write_home_leaves_the_core_that_a_stage_lays_out(tmp_path: Path) -> None:
    schema = '<schema><fieldType name="a" class="solr.LatLonType"/></schema>'
    source = write(tmp_path / "solr", {"schema.xml": schema, "solrconfig.xml": CLASSIC, "words.txt": ""})
    home = tmp_path / "home"
    write_home(home, {"first": of_core(source), "second": of_core(source)}, lays_out_first=True)
    assert written(home / "first") == {"conf/schema.xml"}, "but for what Solr 9 would refuse"
    assert b"LatLonPointSpatialField" in (home / "first/conf/schema.xml").read_bytes()
    assert "conf/words.txt" in written(home / "second")
    tune_home(home, {"first": of_core(source)}, "1g")
    assert b"ramBufferSizeMB" in (home / "first/conf/solrconfig.xml").read_bytes()


def test_serve_core_writes_what_is_adapted_to_solr_9_and_to_a_read_only_image(tmp_path: Path) -> None:
    old = CONFIG.format(
        "ManagedIndexSchemaFactory", '<query><filterCache class="solr.LRUCache"/></query><updateHandler/>'
    )
    source = write(tmp_path / "solr", {"managed-schema": SCHEMA, "solrconfig.xml": old})
    made = write(tmp_path / "made", {"managed-schema": "<schema>as it was made</schema>"})
    home = tmp_path / "home"
    place = of_core(source)
    write_home(home, {"site": place})
    serve_core(home / "site", place, made, None)
    text = (home / "site/conf/solrconfig.xml").read_text()
    assert "solr.CaffeineCache" in text
    assert "ClassicIndexSchemaFactory" in text
    assert (home / "site/conf/schema.xml").read_text() == "<schema>as it was made</schema>"
    assert upgrade_changes([place, place]) == (
        'solr/solrconfig.xml:1: solr.LRUCache is not in Solr 9; class="solr.CaffeineCache"',
    )
    assert [each.partition(": ")[0] for each in serving_changes([place, place], is_closed=False)] == [
        "solr/solrconfig.xml"
    ] * 2


@pytest.mark.parametrize("name", ["managed-schema", "managed-schema.xml"])
def test_read_core_finds_the_only_schema_under_any_name(tmp_path: Path, name: str) -> None:
    core = read_core(of_core(write(tmp_path, {name: SCHEMA, "solrconfig.xml": CLASSIC})))
    assert core.files["conf/schema.xml"] == tmp_path / name
    assert [each.place for each in core.outdated] == [f"solr/{name}"]
    managed = CONFIG.format("ManagedIndexSchemaFactory", "")
    core = read_core(of_core(write(tmp_path, {"solrconfig.xml": managed})))
    assert core.files[f"conf/{name}"] == tmp_path / name
    assert core.schema
    assert core.outdated == ()


def test_read_core_reads_the_schema_that_counts(tmp_path: Path) -> None:
    files = {"schema.xml": "<schema/>\n", "managed-schema": "\n<schema/>", "solrconfig.xml": CLASSIC}
    core = read_core(of_core(write(tmp_path, files)))
    assert core.schema
    assert core.schema.name == "solr/schema.xml"
    core = read_core(of_core(write(tmp_path, {"solrconfig.xml": CLASSIC.replace("Classic", "Managed")})))
    assert core.schema
    assert core.schema.name == "solr/managed-schema"


def test_read_core_takes_the_libraries_that_a_lib_names(tmp_path: Path) -> None:
    libraries = '<lib dir="../shared" regex="own-.*\\.jar"/>\n<lib dir="${solr.install.dir:../../..}/dist"/>'
    files = {
        "site/conf/solrconfig.xml": CONFIG.format("ClassicIndexSchemaFactory", libraries),
        "shared/own-1.jar": "",
        "shared/other.jar": "",
        "solr.xml": "<solr/>",
    }
    core = read_core(of_core(write(tmp_path, files), "site/"))
    assert {path for path in core.files if path.startswith("lib/")} == {"lib/own-1.jar"}
    assert [str(each) for each in core.outdated] == [
        "solr/site/conf/solrconfig.xml:1: Solr follows no <lib> since 9.8; own-1.jar in the core's folder lib"
    ]


def test_read_core_leaves_out_a_solr_xml_that_lists_its_cores(tmp_path: Path) -> None:
    files = {"conf/solrconfig.xml": CLASSIC, "solr.xml": '<solr>\n<cores adminPath="/admin/cores"/></solr>'}
    core = read_core(of_core(write(tmp_path, files)))
    assert core.shared == {}
    assert [str(each) for each in core.outdated] == ["solr/solr.xml:2: <cores> is of Solr 4; left out"]


def project_of(root: Path, conf: str | Mapping[str, str]) -> Project:
    return Project(
        root=root, settings=Settings(name="site", registry="r.test/site", core="de", solr_conf=conf)
    )


def test_core_folders_finds_each_core_in_a_home(tmp_path: Path) -> None:
    write(
        tmp_path / "solr",
        {
            "german/core.properties": "name=de\n",
            "german/conf/schema.xml": SCHEMA,
            "en/conf/schema.xml": SCHEMA,
        },
    )
    project = project_of(tmp_path, "solr")
    found = core_folders(project, ["de", "en"])
    assert {core: place.core for core, place in found.items()} == {"de": "german/", "en": "en/"}
    with pytest.raises(ConfigError, match="solr has no core fr") as caught:
        core_folders(project, ["fr"])
    assert caught.value.cause == "it is a Solr home with the cores en, german"
    named = core_folders(project_of(tmp_path, {"fr": "solr/en", "de": "solr"}), ["fr", "de"])
    assert [(place.label, place.core) for place in named.values()] == [("solr/en", ""), ("solr", "german/")]


def test_core_folders_takes_the_only_core_whatever_it_is_called(tmp_path: Path) -> None:
    write(tmp_path / "solr", {"solr.xml": "<solr/>", "collection1/conf/solrconfig.xml": CLASSIC})
    assert core_folders(project_of(tmp_path, "solr"), ["site"])["site"].core == "collection1/"


def test_repository_cores_has_each_core_with_a_configuration(tmp_path: Path) -> None:
    write(
        tmp_path / "solr",
        {"de/conf/solrconfig.xml": CLASSIC, "en/core.properties": "", "solr.xml": "<solr/>"},
    )
    assert [place.core for place in repository_cores(project_of(tmp_path, "solr"))] == ["de/"]
