"""Configurations made for an older Solr, in a real Solr 9: as they are, and as haybale adapts them."""

from __future__ import annotations

import os
import secrets
import shutil
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests

from haybale.config import Project, Settings
from haybale.index.home import core_folders, read_core, tune_home, write_home
from haybale.tools.engine import sdk
from haybale.tools.engine.compose import Compose
from haybale.tools.solr import CoreFailedError, Solr

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("engine")]

# The run of these tests (conftest.py).
RUN = os.environ["HAYBALE_TEST_RUN"]
CONFIGURATIONS = Path(__file__).parent / "solr_configurations"
PARISH = Path(__file__).parents[1] / "sites/parish/solr/parish"

# Those that this Solr does not open as they are; the others it opens, without what they ask for.
REFUSED = ("haystack", "parish", "solr-3", "solr-4", "pages")

SERVICES = """
services:
  solr:
    image: {image}
    volumes: ["{home}:/from:ro"]
    command: [bash, -c, "cp -r /from /tmp/cores && SOLR_HOME=/tmp/cores exec solr-foreground"]
    ports: ["127.0.0.1::8983"]
    labels: {{io.haybale.test: {run}}}
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A repository with every configuration."""
    root = tmp_path_factory.mktemp("repository")
    shutil.copytree(CONFIGURATIONS, root / "solr")
    shutil.copytree(PARISH, root / "solr/parish")
    libraries = root / "solr/home/libraries"
    libraries.mkdir()
    with zipfile.ZipFile(libraries / "words.jar", "w") as jar:
        jar.writestr("site/words.txt", "nonsense\n")
    conf = {core: f"solr/{core}" for core in ("haystack", "parish", "solr-3", "solr-4", "solr-8")}
    settings = Settings(
        name="old", registry="old", core=(*conf, "pages"), solr_conf={**conf, "pages": "solr/home"}
    )
    return Project(root=root, settings=settings)


@pytest.fixture(scope="module")
def solr(project: Project, solr_image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the address of a Solr with every configuration as it is (raw-X) and as it is adapted (X)."""
    folder = tmp_path_factory.mktemp("solr")
    home = folder / "home"
    cores = core_folders(project, project.settings.cores)
    write_home(home, cores)
    tune_home(home, cores, "512m")
    for core, place in cores.items():
        raw = home / f"raw-{core}"
        has_conf = (place.folder / place.core / "conf/solrconfig.xml").is_file()
        source = place.folder / ("configsets/words" if core == "pages" else place.core)
        shutil.copytree(source, raw if has_conf or core == "pages" else raw / "conf")
        (raw / "core.properties").write_text("", encoding="utf-8")
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    file = folder / "services.yml"
    file.write_text(SERVICES.format(image=solr_image, home=home, run=RUN), encoding="utf-8")
    name = f"haybale-test-{RUN}-{secrets.token_hex(4)}"
    services = Compose(files=(file,), folder=folder, project=name, env_file=folder / "env")
    with services.up():
        container = services.container_id("solr")
        address = f"http://{services.published_address('solr', 8983)}"
        for core in cores:
            Solr(address, core).wait_ready(120, lambda: sdk.is_container_running(container))
        yield address


def ask(solr: str, path: str, **parameters: str) -> Any:
    answer = requests.get(f"{solr}/solr/{path}", params={"wt": "json", **parameters}, timeout=60)
    assert answer.ok, answer.text
    return answer.json()


def add(solr: str, core: str, *documents: dict[str, Any]) -> None:
    common = {"django_ct": "site.page"}
    update = f"{solr}/solr/{core}/update"
    sent = [
        {"id": f"{number}", "django_id": f"{number}", **common, **each}
        for number, each in enumerate(documents)
    ]
    requests.post(update, params={"commit": "true"}, json=sent, timeout=60).raise_for_status()
    assert Solr(solr, core).counts() == {"site.page": len(documents)}


def found(solr: str, core: str, **parameters: str) -> list[str]:
    return [each["id"] for each in ask(solr, f"{core}/select", **parameters)["response"]["docs"]]


def test_solr_9_refuses_what_is_adapted_as_it_was(solr: str, project: Project) -> None:
    failed = {
        core
        for core in project.settings.cores
        if isinstance(Solr(solr, f"raw-{core}").find_failure(), CoreFailedError)
    }
    assert failed == set(REFUSED)
    for core, place in core_folders(project, project.settings.cores).items():
        outdated = read_core(place).outdated
        assert outdated, core
        assert all(each.is_adapted for each in outdated), core


def test_haystack_s_template_finds_places_and_sorts_by_distance(solr: str) -> None:
    add(
        solr,
        "haystack",
        {"text": "a harbour", "place": "54.3,10.1", "stars": 3},
        {"text": "harbours", "place": "48.2,16.4", "stars": 1},
        {"text": "a hill", "place": "54.5,10.0"},
    )
    near = {"sfield": "place", "pt": "54.5,10.0", "d": "50"}
    assert found(solr, "haystack", q="*:*", fq="{!geofilt}", sort="geodist() asc", **near) == ["2", "0"]
    assert found(solr, "haystack", q="place:[48,16 TO 49,17]") == ["1"]
    assert found(solr, "haystack", q="harbour", sort="stars asc") == ["1", "0"]
    facets = ask(solr, "haystack/select", q="stars:[2 TO *]", facet="true", **{"facet.field": "stars"})
    assert facets["facet_counts"]["facet_fields"]["stars"] == ["3", 1, "1", 0], "as Trie fields count them"
    caches = ask(solr, "haystack/admin/mbeans", cat="CACHE")["solr-mbeans"]
    names = {name for each in caches if isinstance(each, dict) for name in each}
    assert {"filterCache", "queryResultCache", "documentCache", "perSegFilter"} <= names
    raw = ask(solr, "raw-solr-8/admin/mbeans", cat="CACHE")["solr-mbeans"]
    assert "filterCache" not in {name for each in raw if isinstance(each, dict) for name in each}


@pytest.mark.parametrize("core", ["parish", "solr-4"])
def test_default_field_and_operator_of_a_schema_are_kept(solr: str, core: str) -> None:
    add(solr, core, {"text": "green field"}, {"text": "green"}, {"text": "field"})
    assert found(solr, core, q="green field") == ["0"]
    assert found(solr, core, q="green field", **{"q.op": "OR", "sort": "id asc"}) == ["0", "1", "2"]


def test_old_types_of_solr_3_sort_and_compare(solr: str) -> None:
    add(
        solr,
        "solr-3",
        {"text": "ÉTÉ", "pages": 9, "edition": 2, "day": "2020-01-01T00:00:00Z"},
        {"text": "winter", "pages": 10, "edition": 1, "day": "2021-01-01T00:00:00Z"},
    )
    assert found(solr, "solr-3", q="*:*", sort="pages desc") == ["1", "0"]
    assert found(solr, "solr-3", q="pages:[10 TO *] AND edition:1 AND day:[NOW/YEAR-20YEARS TO NOW]") == ["1"]
    assert found(solr, "solr-3", q="ete") == ["0"]
    assert [each["id"] for each in ask(solr, "solr-3/dismax", q="winter +")["response"]["docs"]] == ["1"]


def test_fields_are_guessed_as_before(solr: str) -> None:
    add(solr, "solr-8", {"title_of_page": "A page", "visits": "7"})
    assert found(solr, "solr-8", q="title_of_page:page AND visits:[5 TO 9]") == ["0"]


def test_a_home_s_library_configset_and_properties_are_taken_along(solr: str) -> None:
    add(solr, "pages", {"text": "nonsense word"}, {"text": "other"})
    assert found(solr, "pages", q="nonsense word") == ["0"]
    assert found(solr, "pages", q="{!term f=text}nonsense") == [], "the library's stop words are left out"
