"""What `doctor` reads in a site's code: fields, settings, variables; and in its Dockerfile."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from haybale.adoption.search_fields import SearchField, read_search_fields
from haybale.config import IndexSettings, Project, Settings, SiteSettings, StepSettings
from haybale.doctor.contract import copied_to
from haybale.doctor.search_fields import check_fields, schema_line
from haybale.doctor.site import (
    SiteFiles,
    check_manage,
    check_modules,
    check_serving,
    examine_site,
    missing_modules,
    missing_variable,
    required_variables,
)

if TYPE_CHECKING:
    from pathlib import Path

INDEXES = """\
from haystack import indexes
from shop.base import OwnIndex


class Dated(indexes.SearchIndex):
    text = indexes.CharField(document=True, use_template=True)
    made: object = indexes.DateTimeField(model_attr="made", index_fieldname="date")


class PageIndex(Dated, indexes.Indexable):
    title = indexes.CharField(faceted=True)
    tags = indexes.MultiValueField()
    label = "no field"


class ImportedIndex(OwnIndex, indexes.Indexable):
    price = indexes.FloatField()


class ModelIndex(indexes.ModelSearchIndex, indexes.Indexable):
    class Meta:
        model = object


class Unused(indexes.SearchIndex):
    never = indexes.CharField()
"""


def test_read_search_fields_takes_inherited_faceted_and_renamed_fields() -> None:
    found = read_search_fields("shop/search_indexes.py", INDEXES)
    assert [(each.name, each.kind, each.place.rpartition(":")[2]) for each in found.fields] == [
        ("text", "CharField", "6"),
        ("date", "DateTimeField", "7"),
        ("title", "CharField", "11"),
        ("title_exact", "FacetCharField", "11"),
        ("tags", "MultiValueField", "12"),
        ("price", "FloatField", "17"),
    ]


def test_read_search_fields_says_which_indexes_have_more() -> None:
    found = read_search_fields("shop/search_indexes.py", INDEXES)
    assert found.incomplete == (
        "ImportedIndex (shop/search_indexes.py:16)",
        "ModelIndex (shop/search_indexes.py:20)",
    )


def test_check_fields_counts_dynamic_fields() -> None:
    fields = [
        SearchField(name=name, kind="CharField", place="a.py:1") for name in ("text", "name_s", "title")
    ]
    (found,) = check_fields(fields, ["text", "*_s"], ["text_en"], "conf/schema.xml")
    assert found.what == "a.py:1: the field 'title' is not in conf/schema.xml"
    assert found.fix.endswith('<field name="title" type="text_en" indexed="true" stored="true"/>')


@pytest.mark.parametrize(
    ("name", "kind", "types", "line"),
    [
        ("date", "DateTimeField", ["date", "pdate"], 'type="pdate" indexed="true" stored="true"/>'),
        ("date", "DateField", ["date"], 'type="date" indexed="true" stored="true"/>'),
        ("title_exact", "FacetCharField", ["string"], 'type="string" indexed="true" stored="true"/>'),
        ("tags", "MultiValueField", [], 'type="text_en" indexed="true" stored="true" multiValued="true"/>'),
        ("size", "FacetIntegerField", ["long"], 'type="long" indexed="true" stored="true"/>'),
    ],
)
def test_schema_line_takes_a_type_that_the_schema_has(
    name: str, kind: str, types: list[str], line: str
) -> None:
    field = SearchField(name=name, kind=kind, place="a.py:1")
    assert schema_line(field, types) == f'<field name="{name}" {line}'


def site_files(root: Path, files: dict[str, str], **site: object) -> SiteFiles:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    settings = Settings(name="shop", registry="r.test/shop", site=SiteSettings(**site))  # type: ignore[arg-type]
    return SiteFiles(project=Project(root=root, settings=settings), names=tuple(files))


MANAGE = 'os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")\n'


def test_check_manage_names_the_folder_that_has_it(tmp_path: Path) -> None:
    files = site_files(tmp_path, {"apps/web/manage.py": MANAGE})
    (found,) = check_manage(files)
    assert (found.what, found.fix) == ("there is no manage.py", 'folder = "apps/web" in [tool.haybale.site]')
    assert list(check_manage(site_files(tmp_path, {"apps/web/manage.py": MANAGE}, folder="apps/web"))) == []


def test_check_serving_names_what_the_baked_solr_refuses(tmp_path: Path) -> None:
    tests = 'call_command("update_index")\ncall_command("clear_index")\n'
    files = site_files(tmp_path, {"manage.py": MANAGE, "shop/settings.py": "", "shop/tests.py": tests})
    (found,) = check_serving(files)
    assert found.what.startswith("shop/tests.py:1 (update_index) changes the index (and 1 more), which")
    opened = replace(files.project.settings, index=IndexSettings(serve="open"))
    assert list(check_serving(replace(files, project=replace(files.project, settings=opened)))) == []


def test_check_modules_names_the_setting_of_a_module_that_is_not_there(tmp_path: Path) -> None:
    files = site_files(
        tmp_path,
        {
            "manage.py": MANAGE,
            "shop/settings.py": "",
            "shop/__init__.py": "",
            "pyproject.toml": '[tool.haybale]\nsite.index.settings = "shop.settings_index"\n'
            '[tool.haybale.site.release]\nsettings = "elsewhere.settings"\n',
        },
        settings="shop.settings",
        index=StepSettings(settings="shop.settings_index"),
        release=StepSettings(settings="elsewhere.settings"),
    )
    found = [(each.level, each.what) for each in check_modules(files)]
    assert found == [
        ("error", "pyproject.toml:2: site.index.settings names shop.settings_index, which is not in ."),
        ("warning", "pyproject.toml:4: site.release.settings names elsewhere.settings, which is not in ."),
    ]


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ('import os\nKEY = os.environ["KEY"]\nURL = os.environ.get("URL")\n', ["KEY"]),
        ('import environ\nenv = environ.Env(URL=(str, ""))\nKEY = env("KEY")\nURL = env("URL")\n', ["KEY"]),
        ('from decouple import config\nKEY = config("KEY")\nURL = config("URL", default="")\n', ["KEY"]),
        ('from own import env\nKEY = env.flag("KEY")\n', []),  # what that does is not known
        ('import environ\nenv = environ.Env()\nenv.read_env()\nKEY = env("KEY")\n', []),  # a file may have it
    ],
)
def test_required_variables_takes_only_what_surely_raises(
    tmp_path: Path, settings: str, names: list[str]
) -> None:
    files = site_files(tmp_path, {"manage.py": MANAGE, "shop/settings.py": settings})
    assert list(required_variables(files, None)) == names


def test_required_variables_reads_the_settings_module_of_a_step(tmp_path: Path) -> None:
    texts = {
        "manage.py": MANAGE,
        "shop/settings.py": "",
        "shop/live.py": 'from shop.settings import *\nKEY = os.environ["LIVE_KEY"]\n',
    }
    assert required_variables(site_files(tmp_path, texts), "shop.live") == {"LIVE_KEY": "shop/live.py:2"}


def test_missing_variable_says_where_to_set_it() -> None:
    found = missing_variable("KEY", "shop/settings.py:3", ["index", "release"])
    assert found.what == (
        "shop/settings.py:3: settings need the variable KEY, and nothing sets it in index and release"
    )
    assert found.fix.startswith('KEY = "..." in [tool.haybale.site.environment]')


@pytest.mark.parametrize(
    ("source", "target", "folder", "where"),
    [
        (".", "/app", ".", "/app"),
        (".", "/app", "web", "/app/web"),
        ("web", "/app", "web", "/app"),
        ("./web/", "/app/", "web", "/app"),
        ("web/manage.py", "/app/", "web", "/app"),
        ("web/manage.py", "/app/manage.py", "web", "/app"),
        ("requirements.txt", "/app", "web", None),
        ("web/shop", "/app/shop", "web", None),
        ("*", "/app", "web", None),
        ("$FOLDER", "/app", "web", None),
    ],
)
def test_copied_to_tells_where_manage_py_comes_to(
    source: str, target: str, folder: str, where: str | None
) -> None:
    assert copied_to(source, target, folder) == where


def test_missing_modules_are_those_that_are_neither_there_nor_mounted(tmp_path: Path) -> None:
    files = {
        "web/manage.py": MANAGE,
        "web/shop/settings.py": "from .local import *\n",
        "web/shop/local.example.py": "DEBUG = True\n",
    }
    (found,) = missing_modules(site_files(tmp_path, files, folder="web"))
    assert found.what == "web/shop/settings.py:1: settings import web/shop/local.py, which is not there"
    assert found.fix.startswith('mounts = ["web/shop/local.example.py:WORKDIR_OF_THE_IMAGE/shop/local.py"]')
    mounts = ("web/shop/local.example.py:/app/shop/local.py",)
    assert not [*missing_modules(site_files(tmp_path, files, folder="web", mounts=mounts))]


def test_examine_site_takes_a_field_that_one_of_several_cores_has(tmp_path: Path) -> None:
    for core, field in (("en", "name"), ("de", "title")):
        folder = tmp_path / core
        folder.mkdir()
        (folder / "solrconfig.xml").write_text("<config/>", encoding="utf-8")
        (folder / "schema.xml").write_text(
            f'<schema><field name="text"/><field name="{field}"/></schema>', encoding="utf-8"
        )
    (tmp_path / "manage.py").touch()
    (tmp_path / "search_indexes.py").write_text(
        "class A(indexes.SearchIndex, indexes.Indexable):\n    text = indexes.CharField()\n"
        "    name = indexes.CharField()\n    title = indexes.CharField()\n    gone = indexes.CharField()\n",
        encoding="utf-8",
    )
    settings = Settings(name="a", registry="r.test/a", core=("en", "de"), solr_conf={"en": "en", "de": "de"})
    files = SiteFiles(
        project=Project(root=tmp_path, settings=settings), names=("manage.py", "search_indexes.py")
    )
    (found,) = examine_site(files).findings
    assert found.what == "search_indexes.py:5: the field 'gone' is not in en/schema.xml or de/schema.xml"
