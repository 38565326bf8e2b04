"""`doctor` on small repositories, each with a mistake planted in it."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import pytest

from haybale import config
from haybale.commands.doctor import count_errors, diagnosis_lines
from haybale.doctor.contract import examine_dockerfile
from haybale.doctor.examination import diagnose, examine_solr_configuration
from haybale.doctor.finding import Diagnosis, Finding
from haybale.doctor.repository import examine_dump, examine_version
from haybale.doctor.settings import examine_settings
from haybale.doctor.site import examine_site, list_site_files
from haybale.doctor.solr_configuration import check_configuration
from haybale.errors import PrerequisiteError
from haybale.invocation import Invocation

if TYPE_CHECKING:
    from pathlib import Path

SETTINGS = """\
[tool.haybale]
name = "site"
registry = "registry.test/site"
core = "site"
fixtures = ["extra.json"]
solr_conf = "solr_conf"
dockerfile = "Dockerfile"
stages = {release = "release", tester = "tester", solr = "solr"}

[tool.haybale.index]
inputs = ["web/*.py"]
"""
DOCKERFILE = """\
FROM python:3.13-slim AS release
WORKDIR /app
COPY . .
EXPOSE 8000
CMD ["gunicorn", "shop.wsgi"]
FROM release AS tester
FROM solr:9 AS solr
"""
SETTINGS_MODULE = """\
import os
SECRET_KEY = os.environ["SECRET_KEY"]
"""
SEARCH_INDEXES = """\
from haystack import indexes

class PageIndex(indexes.SearchIndex, indexes.Indexable):
    text = indexes.CharField(document=True)
    made = indexes.DateTimeField(index_fieldname="date")
    tags = indexes.MultiValueField(faceted=True)
"""
SCHEMA = """\
<schema name="site" version="1.6">
  <fieldType name="string" class="solr.StrField"/>
  <fieldType name="pdate" class="solr.DatePointField"/>
  <field name="id" type="string"/>
  <field name="text" type="string"/>
  <field name="date" type="pdate"/>
  <field name="tags" type="string" multiValued="true"/>
  <dynamicField name="*_exact" type="string" multiValued="true"/>
  <dynamicField name="django_*" type="string"/>
</schema>
"""
SOLRCONFIG = "<config>\n  <luceneMatchVersion>9.10</luceneMatchVersion>\n</config>\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository that has nothing wrong with its files."""
    for name, text in {
        "pyproject.toml": SETTINGS,
        "extra.json": "[]",
        "web/urls.py": "",
        "manage.py": 'os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")\n',
        "shop/__init__.py": "",
        "shop/settings.py": SETTINGS_MODULE,
        "shop/search_indexes.py": SEARCH_INDEXES,
        "Dockerfile": DOCKERFILE,
        "solr_conf/schema.xml": SCHEMA,
        "solr_conf/solrconfig.xml": SOLRCONFIG,
        ".bumpversion.cfg": "[bumpversion]\ncurrent_version = 1.2.3\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "dumps").mkdir()
    with sqlite3.connect(tmp_path / "dumps/2026.sqlite3") as database:
        database.execute("CREATE TABLE page (id INTEGER PRIMARY KEY)")
    database.close()
    (tmp_path / "dumps/site_latest.sqlite3").symlink_to("2026.sqlite3")
    return tmp_path


def examine_files(root: Path) -> list[Diagnosis]:
    """Return what is found in the files of a repository."""
    project, settings = config.load(root, {}), config.explain_settings(root, {})
    return [
        examine_settings(project, settings, {}),
        examine_version(project, {}, "0.1.0"),
        examine_dump(project),
        examine_dockerfile(project),
        examine_solr_configuration(project),
        examine_site(list_site_files(project)),
    ]


def found_in(root: Path) -> list[Finding]:
    return [finding for diagnosis in examine_files(root) for finding in diagnosis.findings]


def test_examine_finds_nothing_in_a_sound_repository(root: Path) -> None:
    pattern = "dumps/*latest.sqlite3"
    (root / "pyproject.toml").write_text(SETTINGS.replace("fixtures", f'dump = "{pattern}"\nfixtures'))
    assert found_in(root) == []
    seen = [each.seen for each in examine_files(root)]
    assert seen[1] == "v1.2.3, in .bumpversion.cfg; haybale 0.1.0"
    assert seen[5] == "manage.py, 4 fields of search indexes in its code"


MISTAKES = [
    ("manage.py", None, "there is no manage.py"),
    ("shop/settings.py", "SECRET_KEY = (\n", "shop/settings.py:1: it is no valid Python"),
    ("shop/search_indexes.py", "class\n", "shop/search_indexes.py:1: it is no valid Python"),
    (
        "shop/search_indexes.py",
        SEARCH_INDEXES.replace('"date"', '"published"'),
        "shop/search_indexes.py:5: the field 'published' is not in solr_conf/schema.xml",
    ),
    (
        "Dockerfile",
        DOCKERFILE.replace("python:3.13-slim", "scratch"),
        "Dockerfile:1: the release stage is made",
    ),
    ("Dockerfile", DOCKERFILE.replace("python:3.13-slim", "node:22"), "made of node:22, which has no python"),
    (
        "Dockerfile",
        DOCKERFILE.replace(". .", ". /code"),
        "Dockerfile:1: manage.py is copied to /code, and WORK",
    ),
    ("Dockerfile", DOCKERFILE.replace("CMD", "# CMD"), "Dockerfile:1: the release stage has no CMD"),
    ("Dockerfile", DOCKERFILE.replace("8000", "8080"), "exposes port 8080, and site.port is 8000"),
    ("noxfile.py", 'HAYBALE = "haybale{extras}==0.0.9"\n', "noxfile.py:1: it installs haybale 0.0.9"),
    ("extra.json", None, "pyproject.toml:5: fixtures names extra.json, which is not there"),
    ("web/urls.py", None, "pyproject.toml:11: index.inputs: nothing matches 'web/*.py'"),
    ("Dockerfile", None, "pyproject.toml:7: dockerfile names Dockerfile, which is not there"),
    ("Dockerfile", DOCKERFILE.replace("FROM release AS tester\n", ""), "Dockerfile has no stage 'tester'"),
    ("Dockerfile", "FROM\n", "Dockerfile:1: cannot be read"),
    (".bumpversion.cfg", "[bumpversion]\ncurrent_version = many\n", "many"),
    ("dumps/2026.sqlite3", None, "leads to 2026.sqlite3, which does not exist"),
    ("dumps/2026.sqlite3", "<html>", "is a web page, not a dump"),
    ("solr_conf/schema.xml", None, "there is no schema.xml in"),
    ("solr_conf/solrconfig.xml", None, "there is no "),
    (
        "solr_conf/solrconfig.xml",
        "<config>\n<a></b>\n</config>",
        "solrconfig.xml:2: it cannot be read as XML",
    ),
    ("solr_conf/schema.xml", SCHEMA.replace('"id"', '"key"'), "schema.xml:1: it has no field 'id'"),
    (
        "solr_conf/schema.xml",
        SCHEMA.replace("StrField", "LatLonType"),
        "schema.xml:2: solr.LatLonType is not",
    ),
    ("solr_conf/schema.xml", SCHEMA.replace("StrField", "ICUCollationField"), "module analysis-extras"),
    (
        "solr_conf/solrconfig.xml",
        '<config>\n<query>\n<filterCache class="solr.FastLRUCache"/></query></config>',
        "solrconfig.xml:3: solr.FastLRUCache is not in Solr 9",
    ),
    (
        "solr_conf/schema.xml",
        SCHEMA.replace('<field name="id"', '<field name="id" type="string"/>\n  <field name="id"'),
        "schema.xml:5: the field 'id' is there already, in ",
    ),
    (
        "solr_conf/schema.xml",
        SCHEMA.replace('"id" type="string"', '"id" type="text"'),
        "schema.xml:4: the field 'id' has the type 'text', which is not there",
    ),
    (
        "solr_conf/schema.xml",
        SCHEMA.replace(
            "</schema>",
            '<fieldType name="text" class="solr.TextField"><analyzer><tokenizer name="standard"/>\n'
            '<filter class="solr.StopFilterFactory" words="stop.txt,more.txt"/></analyzer></fieldType>'
            '<field name="text" type="text"/></schema>',
        ),
        "schema.xml:11: it names stop.txt, which is not there, nor are more.txt",
    ),
    (
        "solr_conf/solrconfig.xml",
        SOLRCONFIG.replace(
            "</config>",
            '<searchComponent name="e" class="solr.QueryElevationComponent">\n'
            '<str name="config-file">elevate.xml</str></searchComponent></config>',
        ),
        "solrconfig.xml:4: it names elevate.xml, which is not there",
    ),
    (
        "solr_conf/schema.xml",
        SCHEMA.replace("StrField", "IntField").replace("</schema>", "<uniqueKey>id</uniqueKey></schema>"),
        "schema.xml:2: solr.IntField is not in Solr 9",
    ),
]


@pytest.mark.parametrize(("file", "text", "words"), MISTAKES)
def test_examine_names_a_planted_mistake(root: Path, file: str, text: str | None, words: str) -> None:
    if text is None:
        (root / file).unlink()
    else:
        (root / file).write_text(text, encoding="utf-8")
    found = [each for each in found_in(root) if words in each.what]
    assert len(found) == 1, found_in(root)
    assert found[0].fix
    assert found[0].why


def test_check_configuration_takes_the_managed_schema_before_the_other(tmp_path: Path) -> None:
    (tmp_path / "managed-schema.xml").write_text(SCHEMA, encoding="utf-8")
    (tmp_path / "schema.xml").write_text("<schema/>", encoding="utf-8")
    (tmp_path / "solrconfig.xml").write_text(SOLRCONFIG, encoding="utf-8")
    assert list(check_configuration(tmp_path)) == []


def test_check_configuration_warns_of_what_haybale_adapts_and_no_more(tmp_path: Path) -> None:
    (tmp_path / "schema.xml").write_text(SCHEMA.replace("StrField", "LatLonType"), encoding="utf-8")
    tokenizer = SCHEMA.replace(
        "</schema>",
        '<fieldType name="cjk" class="solr.TextField"><analyzer>'
        '<tokenizer class="solr.CJKTokenizerFactory"/></analyzer></fieldType></schema>',
    )
    (tmp_path / "solrconfig.xml").write_text(SOLRCONFIG, encoding="utf-8")
    (adapted,) = check_configuration(tmp_path)
    assert adapted.level == "warning"
    assert adapted.fix == 'write class="solr.LatLonPointSpatialField" docValues="true"'
    (tmp_path / "schema.xml").write_text(tokenizer, encoding="utf-8")
    (refused,) = check_configuration(tmp_path)
    assert refused.level == "error"
    assert refused.fix == 'write class="solr.StandardTokenizerFactory"'


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ('startup="lazy"', "it answers only where"),
        ("", "the core loads only where"),
        ('enable="false"', None),
    ],
)
def test_check_configuration_says_when_a_module_is_needed(
    tmp_path: Path, attributes: str, words: str | None
) -> None:
    handler = (
        f'<requestHandler name="/x" class="solr.extraction.ExtractingRequestHandler" {attributes}/></config>'
    )
    (tmp_path / "schema.xml").write_text(SCHEMA, encoding="utf-8")
    (tmp_path / "solrconfig.xml").write_text(SOLRCONFIG.replace("</config>", handler), encoding="utf-8")
    found = list(check_configuration(tmp_path))
    assert [each.why.startswith(words or "") for each in found] == [True] * (words is not None)


@pytest.mark.parametrize(
    ("image", "level"),
    [("solr:9.10.1-slim", "error"), ("solr:9.10.1", "warning"), (None, "warning")],
)
def test_check_configuration_knows_that_a_slim_image_has_no_modules(
    tmp_path: Path, image: str | None, level: str
) -> None:
    (tmp_path / "schema.xml").write_text(SCHEMA.replace("StrField", "ICUCollationField"), encoding="utf-8")
    (tmp_path / "solrconfig.xml").write_text(SOLRCONFIG, encoding="utf-8")
    (found,) = check_configuration(tmp_path, image)
    assert found.level == level
    assert found.fix.startswith(f'images.solr = "{"solr:9.10.1" if image else "solr:9"}"')


def test_check_configuration_looks_into_every_core_of_a_home(tmp_path: Path) -> None:
    for core, text in (("de", SCHEMA), ("en", SCHEMA.replace("StrField", "LatLonType"))):
        (tmp_path / core / "conf").mkdir(parents=True)
        (tmp_path / core / "conf/schema.xml").write_text(text, encoding="utf-8")
        (tmp_path / core / "conf/solrconfig.xml").write_text(SOLRCONFIG, encoding="utf-8")
    (found,) = check_configuration(tmp_path)
    assert found.what.startswith(f"{tmp_path}/en/conf/schema.xml:2: solr.LatLonType")


def test_check_configuration_takes_lucene_s_classes_for_no_solr_s(tmp_path: Path) -> None:
    (tmp_path / "schema.xml").write_text(SCHEMA, encoding="utf-8")
    cache = '<query><cache class="org.apache.lucene.search.LRUQueryCache"/></query></config>'
    text = SOLRCONFIG.replace("</config>", cache)
    (tmp_path / "solrconfig.xml").write_text(text, encoding="utf-8")
    assert list(check_configuration(tmp_path)) == []


def test_diagnose_makes_a_finding_of_an_examination_that_fails() -> None:
    def fail() -> Diagnosis:
        raise PrerequisiteError("git status failed", cause="it is broken", hint="mend it")

    (finding,) = diagnose("git", fail).findings
    assert (finding.level, finding.what, finding.fix) == ("error", "git status failed", "mend it")


def test_finding_from_error_has_all_of_its_parts() -> None:
    error = PrerequisiteError("what", cause="why", hint="how")
    assert Finding.from_error(error).to_dict() == {
        "level": "error", "what": "what", "why": "why", "fix": "how",
    }  # fmt: skip


def test_diagnosis_lines_and_count_errors() -> None:
    findings = (
        Finding(level="error", what="it is wrong", why="it matters", fix="do this"),
        Finding(level="warning", what="it is odd"),
    )
    diagnosis = Diagnosis(subject="dump", seen="none", findings=findings)
    assert [line.plain for line in diagnosis_lines(diagnosis, Invocation(recipes={}, sessions={}))] == [
        "  dump  none",
        "  \N{BALLOT X} it is wrong",
        "      why: it matters",
        "      fix: do this",
        "  ! it is odd",
    ]
    assert count_errors([diagnosis, Diagnosis(subject="git", seen="fine")]) == 1
