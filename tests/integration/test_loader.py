"""The loader and the verification against a real Solr, with a small site that has every kind of field."""

from __future__ import annotations

import contextlib
import functools
import io
import json
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import tarfile
import time
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import docker
import pytest
import requests

from haybale.config import Settings
from haybale.errors import InputsError, LoadError, ServiceError, VerifyError
from haybale.index import inputs
from haybale.index.audit import Unknown, check_unknown_inputs, write_inputs
from haybale.index.loader import (
    Loaded,
    copy_loader,
    follow_loader,
    loader_command,
    read_events,
)
from haybale.index.own_configuration import SiteSchema, make_configuration
from haybale.index.verification import raise_if_counts_differ, raise_if_invalid
from haybale.loader.checks.schema import describe_fields, read_schema
from haybale.loader.documents.solr import Core
from haybale.loader.options import ALL_DOCUMENTS
from haybale.tools import process
from haybale.tools.solr import Solr

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from docker.models.containers import Container

    from haybale.loader.events import LoadProgress, Refusal

pytestmark = pytest.mark.integration

SITE = Path(__file__).parent / "loader_site"
# The site's Python, with Django, Haystack and pysolr: the tests' own, or another (from 3.9 on).
PYTHON = os.environ.get("HAYBALE_SITE_PYTHON", sys.executable)
HOME = "opt/barn/solr"
SOLR_USER = 8983
LABEL = {"io.haybale.test": os.environ["HAYBALE_TEST_RUN"]}  # the run of these tests (conftest.py)

# Rows of the synthetic site: enough for many batches, few enough for a quick test.
ROWS = 300


@dataclass(frozen=True, kw_only=True)
class Site:
    """The synthetic site with its database, indexing into a core of its own."""

    server: str
    core: str
    loader: str
    env: dict[str, str]

    @property
    def solr(self) -> Solr:
        return Solr(self.server, self.core)

    def command(self, *options: str, inputs: str | None = None, **numbers: Any) -> list[str]:
        _, *command = loader_command(folder=self.loader, inputs=inputs, **numbers)
        return [PYTHON, *command, *options]

    def run(self, *options: str, inputs: str | None = None, **numbers: Any) -> Iterator[str]:
        command = self.command(*options, inputs=inputs, **numbers)
        return process.stream_lines(command, cwd=SITE, env=self.env, merge=False)

    def loaded(self, batch: int = 40, inputs: str | None = None) -> Loaded:
        return follow_loader(self.run(batch=batch, inputs=inputs), lambda _: None)

    def verified(self, *options: str, sample: int = ALL_DOCUMENTS, **numbers: Any) -> Loaded:
        lines = self.run(*options, batch=40, sample=sample, **numbers)
        return follow_loader(lines, lambda _: None, last="verified")

    def empty(self) -> None:
        self.update({"delete": {"query": "*:*"}})

    def with_fault(self, fault: str, **more: str) -> Site:
        return replace(self, env={**self.env, "BARN_FAULT": fault, **more})

    def tampered(self, *updates: list[dict[str, Any]] | dict[str, Any]) -> Site:
        """Return the site, whose core is changed by updates between loading and verification."""
        return self.with_fault("tamper", BARN_UPDATES=json.dumps(updates))

    def update(self, documents: list[dict[str, Any]] | dict[str, Any]) -> None:
        url = f"{self.solr.url}/{self.core}/update?commit=true"
        requests.post(url, json=documents, timeout=60).raise_for_status()

    def document(self, identity: str) -> dict[str, Any]:
        query = {"q": f'id:"{identity}"', "fl": "*,hidden"}
        answer = requests.get(f"{self.solr.url}/{self.core}/select", params=query, timeout=60).json()
        (found,) = answer["response"]["docs"]
        return dict(found)


@pytest.fixture(scope="module")
def container(solr_image: str) -> Iterator[Container]:
    """Start a Solr of its own, published on loopback, with the site's configuration and no core."""
    client = docker.from_env()
    made = client.containers.create(
        solr_image,
        environment={"SOLR_HOME": f"/{HOME}", "SOLR_HEAP": "512m"},
        labels=LABEL,
        ports={"8983/tcp": ("127.0.0.1", 0)},
    )
    try:
        made.put_archive("/", archive(SITE / "solr"))
        made.start()
        made.reload()
        yield made
    finally:
        made.remove(force=True, v=True)
        client.close()


def archive(folder: Path) -> bytes:
    """Return Solr's home as a tar, everything Solr's own."""
    stream = io.BytesIO()

    def own(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.uid = entry.gid = SOLR_USER
        return entry

    with tarfile.open(fileobj=stream, mode="w") as tar:
        tar.add(folder, HOME, filter=own)
        # A first core, by which to know that Solr is there.
        content = b"name=ready\nconfigSet=loader\n"
        first = own(tarfile.TarInfo(f"{HOME}/ready/core.properties"))
        first.size = len(content)
        folder_of_first = own(tarfile.TarInfo(f"{HOME}/ready"))
        folder_of_first.type, folder_of_first.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(folder_of_first)
        tar.addfile(first, io.BytesIO(content))
    return stream.getvalue()


@pytest.fixture(scope="module")
def server(container: Container) -> str:
    """Return the address of a Solr that answers."""
    address = f"http://127.0.0.1:{container.attrs['NetworkSettings']['Ports']['8983/tcp'][0]['HostPort']}"
    Solr(address, "ready").wait_ready(120, lambda: is_running(container))
    return address


def is_running(container: Container) -> bool:
    container.reload()
    return container.status == "running"


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("barn") / "barn.sqlite3"
    env = environment(path, "http://127.0.0.1:9/solr/none")
    subprocess.run([PYTHON, "-m", "barn.fill", str(ROWS)], cwd=SITE, env=env, check=True)
    return path


def environment(database: Path, solr: str) -> dict[str, str]:
    return {
        **{name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"},
        # To compile Django takes longer than all else that most runs do. Nothing goes into this repository.
        "PYTHONPYCACHEPREFIX": str(database.parent / "bytecode"),
        "DJANGO_SETTINGS_MODULE": "barn_settings",
        "BARN_DATABASE": str(database),
        "BARN_SOLR": solr,
    }


@pytest.fixture(scope="module")
def loader(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Copy the loader as it is copied for a site's container."""
    folder = tmp_path_factory.mktemp("loader")
    copy_loader(folder)
    return str(folder)


@pytest.fixture
def site(server: str, database: Path, loader: str, request: pytest.FixtureRequest) -> Site:
    """Give the site a fresh core."""
    core = request.node.name.replace("[", "-").replace("]", "")
    answer = requests.get(
        f"{server}/solr/admin/cores",
        params={"action": "CREATE", "name": core, "configSet": "loader"},
        timeout=60,
    )
    assert answer.ok, answer.text
    solr = server.replace("http://", "http://farmer:hay@") + f"/solr/{core}"
    return Site(server=server, core=core, loader=loader, env=environment(database, solr))


def failed(site: Site, batch: int = 40) -> LoadError:
    with pytest.raises(LoadError) as caught:
        site.loaded(batch)
    return caught.value


def drawn(database: Path, loader: str, *arguments: str) -> dict[str, Any]:
    """Run a program of the site's that draws cases by a seed, without a Solr, and return what it found."""
    done = subprocess.run(
        [PYTHON, *arguments],
        cwd=SITE,
        env={**environment(database, "http://127.0.0.1:9/solr/none"), "PYTHONPATH": loader},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return dict(json.loads(done.stdout))


def test_build_document_makes_what_haystack_sends(database: Path, loader: str) -> None:
    seed = random.SystemRandom().randrange(2**32)
    result = drawn(database, loader, "-m", "barn.conformance", str(seed))
    assert result["differences"] == [], f"seed {seed}"
    assert result["compared"] > ROWS


def test_loader_reads_querysets_as_update_index_does_or_refuses_them(database: Path, loader: str) -> None:
    """With Haystack's own update_index as the judge."""
    seed = random.SystemRandom().randrange(2**32)
    result = drawn(database, loader, "-W", "ignore", "-m", "barn.querysets", str(seed), "80")
    assert result["problems"] == [], f"seed {seed}"
    assert all(result["kinds"][kind] for kind in ("equal", "refused", "dependent"))


def test_loader_loads_what_the_database_has(site: Site) -> None:
    told: list[LoadProgress] = []
    loaded = follow_loader(site.run(batch=40), told.append)
    counts = loaded.counts(site.core)

    assert counts["barn.bale"] == ROWS + 5
    assert counts["barn.stack"] == 5
    by_model = {model.model: model for model in loaded.models}
    skipped = by_model["barn.roundbale"]
    assert skipped.skipped == skipped.database - counts["barn.roundbale"] == (ROWS + 5) // 3
    assert [note for note in loaded.notes if "slow" in note and "barn.Bale " in note]
    (farm,) = [advice.text for advice in loaded.advice if advice.label == "barn.Farm"]
    remedy = "add `prefetch_related('bales')` to `index_queryset`"
    assert farm == f"field `titles` runs 1.0 queries a document: {remedy}"
    assert {progress.model for progress in told} == set(counts)
    assert all(progress.done <= progress.total for progress in told)

    raise_if_counts_differ(counts, site.solr.counts(), site.core)
    for sample in (ALL_DOCUMENTS, 10_000):
        site.empty()
        report = site.verified(sample=sample).verification()
        raise_if_invalid(report)
        assert report.whole == (sample == ALL_DOCUMENTS)
        assert report.compared == sum(counts.values())
        assert report.not_comparable == ("unseen",)
        assert {model.model: model.queried for model in report.models} == counts

    site.solr.optimize()
    raise_if_counts_differ(counts, site.solr.counts(), site.core)


@pytest.mark.parametrize("fault", ["", "own-update", "own-client", "window", "raw-window", "repeats", "view"])
def test_loader_makes_the_index_that_haystack_makes(site: Site, fault: str) -> None:
    site = site.with_fault(fault)
    subprocess.run(
        [PYTHON, "-m", "django", "update_index", "--using", "barn", "--verbosity", "0"],
        cwd=SITE,
        env=site.env,
        check=True,
    )
    haystacks = everything(site)
    site.empty()
    loaded = site.verified("--rows", "50", workers=2)
    ours = everything(site)
    assert len(ours) > ROWS
    assert ours.keys() == haystacks.keys()
    for identity, document in ours.items():
        assert document == haystacks[identity]
    raise_if_invalid(loaded.verification())
    notes = [note for note in loaded.notes if "as update_index reads it" in note or "at its speed" in note]
    assert bool(notes) == bool(fault)


@pytest.mark.parametrize("sample", [40, ALL_DOCUMENTS])
@pytest.mark.parametrize(
    ("fault", "mutation"),
    [
        ("own-update", "update"),
        ("window", "reading"),
        ("repeats", "reading"),
        ("sets", "hash-seed"),
        ("saves", "signals"),
    ],
)
def test_verification_finds_what_old_faults_of_the_loader_make(
    site: Site, fault: str, mutation: str, sample: int
) -> None:
    faulty = site.with_fault(fault, BARN_MUTATION=mutation)
    # One seed: 18 documents of 305 are wrong with `repeats`, and one sample of 40 in ten has none of them.
    options = ("--rows", "50", "--seed", "7", *(["--start", "spawn"] if mutation == "hash-seed" else []))
    # Seeds differ between two workers only: where one of them was so early that it did everything, once more.
    for _ in range(8 if mutation == "hash-seed" else 1):
        site.empty()
        report = faulty.verified(*options, sample=sample, workers=2).verification()
        if report.differences:
            break
    with pytest.raises(VerifyError, match="is not the database's"):
        raise_if_invalid(report)
    assert "note_s" in {each.field for each in report.differences}


def everything(site: Site) -> dict[str, dict[str, Any]]:
    """Return all documents by id, the values of fields that may come from a set sorted."""
    query = {"q": "*:*", "rows": "100000", "fl": "*,hidden"}
    answer = requests.get(f"{site.solr.url}/{site.core}/select", params=query, timeout=60).json()
    found = {}
    for document in answer["response"]["docs"]:
        unordered = {name: sorted(document.get(name, [])) for name in ("tags", "tags_exact", "oddity")}
        found[document["id"]] = {**document, **unordered}
    return found


def test_verification_finds_a_changed_field_a_lost_and_a_foreign_document(site: Site) -> None:
    site.loaded()
    changed = site.document("barn.bale.20")
    changed.pop("_version_", None)
    lost = token(site)
    site.empty()
    loaded = site.tampered(
        [{**changed, "weight": 12345.5, "born": "2001-01-01T00:00:00Z", "columns": ["rye"]}],
        {"delete": {"id": "barn.token." + lost}},
        [{"id": "stranger", "django_ct": "barn.stranger"}, {"id": "nameless"}],
    ).verified()

    report = loaded.verification()
    with pytest.raises(VerifyError) as caught:
        raise_if_invalid(report)
    log = caught.value.log
    assert "barn.token: 25 expected, 24 found (-1)" in log
    assert "barn.stranger: 0 expected, 1 found (+1), of a type that was not loaded" in log
    assert "documents without a type: 0 expected, 1 found" in log
    assert {
        (each.model, each.key, each.field) for each in report.differences if each.model == "barn.bale"
    } == {
        ("barn.bale", "20", "weight"),
        ("barn.bale", "20", "born"),
        ("barn.bale", "20", "columns"),
    }
    assert [each.field for each in report.differences if each.model == "barn.token"] == ["id"]
    with pytest.raises(VerifyError):
        raise_if_counts_differ(loaded.counts(site.core), site.solr.counts(), site.core)


def token(site: Site) -> str:
    query = {"q": "django_ct:barn.token", "rows": "1"}
    answer = requests.get(f"{site.solr.url}/{site.core}/select", params=query, timeout=60).json()
    return str(answer["response"]["docs"][0]["django_id"])


def test_sample_is_the_same_for_the_same_seed(site: Site) -> None:
    tampered = site.tampered({"delete": {"query": "django_ct:barn.bale"}})
    first = tampered.verified(sample=7).verification()
    site.empty()
    second = tampered.verified(sample=7, seed=first.seed).verification()
    assert first.differences == second.differences
    assert len({each.key for each in first.differences}) == 7


def test_events_are_not_disturbed_by_what_the_site_prints(site: Site) -> None:
    assert site.with_fault("stdout").loaded().counts(site.core)["barn.bale"] == ROWS + 5


@pytest.mark.parametrize("start", ["fork", "forkserver", "spawn"])
def test_worker_pool_loads_the_same_with_each_start_method(site: Site, tmp_path: Path, start: str) -> None:
    inputs = what_the_key_knows(tmp_path)
    options = ("--rows", "20", "--start", start)
    lines = site.run(*options, batch=15, workers=3, inputs=inputs, sample=ALL_DOCUMENTS)
    loaded = follow_loader(lines, lambda _: None, last="verified")
    assert loaded.workers == 3
    assert loaded.unknown == Unknown()
    raise_if_counts_differ(loaded.counts(site.core), site.solr.counts(), site.core)
    report = loaded.verification()
    raise_if_invalid(report)
    assert report.compared == sum(loaded.counts(site.core).values())


def test_verification_names_a_field_that_differs_by_itself(site: Site) -> None:
    site = site.with_fault("clock")
    with pytest.raises(VerifyError) as caught:
        raise_if_invalid(site.verified(sample=20).verification())
    assert caught.value.cause == "another value each time that a row is prepared: barn.bale.note_s"
    assert 'verify_ignore = ["barn.bale.note_s"]' in caught.value.hint
    site.empty()
    report = site.verified(sample=20, verify_ignore=["barn.bale.note_s"]).verification()
    raise_if_invalid(report)
    assert report.exempt == ("barn.bale.note_s",)


def test_loader_refuses_to_exempt_a_field_that_is_not_there(site: Site) -> None:
    with pytest.raises(LoadError, match=r"verify_ignore names barn\.bale\.nothing") as caught:
        site.verified(verify_ignore=["barn.bale.nothing"])
    assert "title, title_exact, unseen" in caught.value.cause
    assert site.solr.counts() == {}


def test_loader_refuses_a_client_that_encodes_in_its_own_way(site: Site) -> None:
    error = failed(site.with_fault("own-encoding"))
    assert "sends documents in a way of its own (_from_python)" in error.message
    assert site.solr.counts() == {}


def test_loader_refuses_a_backend_that_writes_elsewhere(site: Site) -> None:
    error = failed(site.with_fault("own-url"))
    assert f"writes into another core than its URL names: {site.core}_de" in error.message
    assert site.solr.counts() == {}


@pytest.mark.parametrize("seed", ["", "random"])
def test_workers_have_one_hash_seed(site: Site, seed: str) -> None:
    site = site.with_fault("sets", PYTHONHASHSEED=seed)
    raise_if_invalid(site.verified("--rows", "20", "--start", "spawn", workers=3).verification())


def test_no_signal_processor_runs_while_documents_are_prepared(site: Site) -> None:
    raise_if_invalid(site.with_fault("saves").verified("--rows", "50", workers=2).verification())


REFUSED = {
    "own-command": r"update_index is not Haystack's own: hayloft\..*\.Command has handle of its own",
    "patched-command": "rebuild_index is not Haystack's own: .*Command has handle of its own",
    "patched-add": r"sends documents in a way of its own \(add\)",
    "asking": "asks Solr, or writes into it past",
    "past-add": "asks Solr, or writes into it past",
    "slice": r"the rows of barn\.Bale cannot be read: \w+Error: Cannot reorder a query",
}


@pytest.mark.parametrize("fault", REFUSED)
def test_loader_refuses_what_it_would_index_otherwise_than_update_index(site: Site, fault: str) -> None:
    error = failed(site.with_fault(fault))
    assert re.search(REFUSED[fault], error.message)
    assert site.solr.counts() == {}


def test_verification_compares_a_sample_of_each_model(site: Site) -> None:
    loaded = site.verified(sample=5)
    report = loaded.verification()
    raise_if_invalid(report)
    assert {model.sample for model in report.models if not model.skipped} == {5}
    raise_if_counts_differ(loaded.counts(site.core), site.solr.counts(), site.core)


def test_check_schemas_names_a_missing_field_before_anything_is_loaded(site: Site) -> None:
    error = failed(site.with_fault("schema"))
    index = SITE / "barn/search_indexes.py"
    line = next(n for n, text in enumerate(index.read_text().splitlines(), 1) if "class PlaqueIndex" in text)
    assert error.message == f"field `missing` is in barn/search_indexes.py:{line} and not in the schema"
    assert '<field name="missing" type="long" ' in error.hint
    assert site.solr.counts() == {}


def test_describe_fields_chooses_the_pattern_that_solr_chooses(site: Site) -> None:
    with contextlib.closing(Core(f"{site.solr.url}/{site.core}", {})) as core:
        schema = read_schema(core)
    for name, kind in (("a_s", "StrField"), ("a_count_s", "IntPointField"), ("id", "StrField")):
        url = f"{site.solr.url}/{site.core}/schema/fields/{name}"
        said = requests.get(url, params={"includeDynamic": "true"}, timeout=60).json()["field"]["type"]
        assert describe_fields(schema, [name])[name].kind == schema.kinds[said] == kind


def test_loader_tries_all_other_documents_when_some_are_refused(site: Site) -> None:
    refused: list[Refusal] = []
    lines = site.with_fault("picky").run("--rows", "50", batch=40, workers=2)
    with pytest.raises(LoadError) as caught:
        follow_loader(lines, lambda _: None, refused.append)
    expected = {str(key) for key in range(1, ROWS + 6) if key % 10 == 3}
    by_solr = [each for each in refused if each.field == "hidden"]
    assert {each.key for each in by_solr} == expected
    (by_site,) = [each for each in refused if each.field == "tags"]
    assert (by_site.label, by_site.key) == ("barn.Bale", "12")
    assert len(refused) == len(expected) + 1
    assert caught.value.message.startswith(f"{len(refused)} documents cannot be indexed")
    assert f"... and {len(refused) - 20} more" in caught.value.log
    # Whatever was accepted is there, and not committed.
    assert site.solr.counts() == {}
    site.update([])
    counts = site.solr.counts()
    assert counts["barn.bale"] == ROWS + 5 - len(refused)
    assert counts["barn.token"] == 25


@pytest.mark.parametrize("fault", ["exit", "kill"])
def test_worker_pool_says_how_a_worker_died(site: Site, fault: str) -> None:
    error = failed(site.with_fault(fault))
    how = {"exit": "exit code 3", "kill": "signal SIGKILL"}[fault]
    assert f"a worker process died ({how})" in error.message
    assert ("memory" in error.cause) == (fault == "kill")
    assert site.solr.counts() == {}


def test_loader_names_a_failing_prepare(site: Site) -> None:
    error = failed(site.with_fault("prepare"))
    assert "barn.Bale 12" in error.message
    assert "prepare_tags(), field tags" in error.message
    assert "ZeroDivisionError: no tags today" in error.message
    assert "search_indexes.py" in error.log
    assert "site-packages" not in error.log
    assert site.solr.counts() == {}


def test_loader_names_an_unknown_field_with_its_schema_line(site: Site) -> None:
    error = failed(site.with_fault("unknown-field"))
    assert "barn.Bale 14" in error.message
    assert '<field name="nowhere"' in error.hint


def test_loader_finds_a_refused_document_in_its_batch(site: Site) -> None:
    error = failed(site.with_fault("refused"), batch=1000)
    assert "barn.Bale 13" in error.message
    assert "thirteen" in error.message
    assert "barn.bale.13" in error.log


def test_loader_refuses_one_id_for_two_documents(site: Site) -> None:
    error = failed(site.with_fault("same-id"), batch=5)
    assert "barn.Bale 7 has the same id as barn.Bale 3: barn.bale.3" in error.message


def test_loader_refuses_a_core_that_is_not_empty(site: Site) -> None:
    site.update([{"id": "old"}])
    assert "is not empty: it holds 1 documents" in failed(site).message
    assert site.solr.counts() == {"": 1}


def test_loader_names_a_core_that_does_not_exist(site: Site) -> None:
    wrong = {**site.env, "BARN_SOLR": site.env["BARN_SOLR"] + "x"}
    error = failed(replace(site, env=wrong))
    assert "404" in error.message
    assert "does not exist" in error.cause


def test_loader_refuses_other_cores_than_the_configured_ones_before_anything_is_loaded(site: Site) -> None:
    with pytest.raises(LoadError) as refused:
        follow_loader(site.run("--cores", f"{site.core},hay"), lambda _: None)
    assert f"{site.core} (connection barn)" in refused.value.message
    assert f"the setting `core` is {site.core}, hay" in refused.value.message
    assert site.solr.counts() == {}


def test_loader_makes_of_two_connections_on_one_core_what_update_index_makes(
    site: Site, request: pytest.FixtureRequest
) -> None:
    """Their rows overlap, and are not the same document: the later connection's stays."""
    site = site.with_fault("by-connection")
    loaded = site.verified()
    raise_if_invalid(loaded.verification())
    assert loaded.counts(site.core)["barn.stack"] == 5
    theirs = f"{request.node.name}-haystack"
    parameters = {"action": "CREATE", "name": theirs, "configSet": "loader"}
    assert requests.get(f"{site.server}/solr/admin/cores", params=parameters, timeout=60).ok
    env = {**site.env, "BARN_SOLR": f"{site.server}/solr/{theirs}"}
    command = [PYTHON, "-m", "django", "update_index", "barn.Stack"]
    subprocess.run(command, cwd=SITE, env=env, check=True, capture_output=True)
    ours, expected = (
        {
            document["id"]: document
            for document in requests.get(
                f"{site.server}/solr/{core}/select",
                params={"q": "django_ct:barn.stack", "rows": "100", "fl": "id,text,count,django_id"},
                timeout=60,
            ).json()["response"]["docs"]
        }
        for core in (site.core, theirs)
    )
    assert ours == expected
    assert sum(document["count"] >= 1000 for document in ours.values()) == 3


def test_loader_refuses_two_indexes_of_a_model_in_one_core_before_anything_is_loaded(site: Site) -> None:
    error = failed(site.with_fault("other-index"))
    assert "the Haystack connections barn and slow both index barn.Stack into the core" in error.message
    assert "StackIndex and OtherStackIndex" in error.cause
    assert site.solr.counts() == {}


def test_loader_lists_the_cores_of_the_connections_to_solr(site: Site) -> None:
    (event,) = read_events(site.run("--list-cores"), "cores")
    assert event["cores"] == {"barn": site.core, "slow": site.core}


def what_the_key_knows(folder: Path, *without: str) -> str:
    """Write what the index key knows of the site, but for these files, for the loader."""
    files = inputs.read_site(SITE)
    known = inputs.find_index_code(files) | inputs.find_templates(files) | {"barn_settings.py"}
    assert known.issuperset(without)
    write_inputs(folder / "inputs.json", frozenset(known.difference(without)), ".", ())
    return str(folder / "inputs.json")


def test_audit_finds_nothing_where_all_inputs_are_known(site: Site, tmp_path: Path) -> None:
    loaded = site.loaded(inputs=what_the_key_knows(tmp_path))
    assert loaded.unknown == Unknown()
    assert not [note for note in loaded.notes if "audit" in note]


def test_audit_finds_whatever_else_is_read(site: Site, tmp_path: Path) -> None:
    other = tmp_path / "other.sqlite3"
    other.touch()
    template = "barn/templates/search/indexes/barn/bale_text.txt"
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        stray = site.with_fault("strays", BARN_PORT=port, BARN_OTHER=str(other))
        file = what_the_key_knows(tmp_path, template)
        loaded = stray.loaded(inputs=file)
        # The lines that the error names let all of that count, or not matter.
        with pytest.raises(InputsError) as told:
            check_unknown_inputs(loaded.unknown, Settings(name="barn", registry="r.example/barn"))
        lines = tomllib.loads(told.value.hint.partition(":\n")[2])["tool"]["haybale"]["index"]
        known = {*json.loads(Path(file).read_text(encoding="utf-8"))["inputs"], *lines["inputs"]}
        write_inputs(Path(file), frozenset(known), ".", lines["ignore"])
        stray.empty()
        assert stray.loaded(inputs=file).unknown == Unknown()
    found = {(each.kind, each.what, each.by) for each in loaded.unknown.findings}
    assert found == {
        ("file", "barn/data/breeds.json", "import of barn/strays.py"),
        ("file", "barn/data/prices.json", "prepare_place"),
        ("file", "barn/templates/barn/label.txt", "prepare_place"),
        ("file", template, "field text"),
        ("module", "barn/late.py", "prepare_columns"),
        ("module", "barn/early.py", "prepare_columns"),
        ("module", "meadow/models.py", "prepare_columns"),
        # The views are imported with it, and none is run.
        ("module", "barn/urls.py", "prepare_columns"),
        ("socket", f"localhost:{port}", "prepare_columns"),
        ("program", shutil.which("true"), "prepare_columns"),
        ("database", str(other), "prepare_columns"),
    }
    assert loaded.unknown.total == len(found)


def test_audit_finds_url_patterns_that_were_imported_before(site: Site, tmp_path: Path) -> None:
    loaded = site.with_fault("early-urls").loaded(inputs=what_the_key_knows(tmp_path))
    (found,) = loaded.unknown.findings
    assert (found.kind, found.what) == ("module", "barn/urls.py")


@contextlib.contextmanager
def midway(site: Site, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], Callable[[], None]]]:
    """Start the loader and hold it in the midst of its work, until it is let go: (loader, let go)."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    held = site.with_fault("gate", BARN_GATE=str(gate))
    with process.running_process(
        held.command(batch=10), cwd=SITE, env=held.env, stdout=subprocess.PIPE
    ) as loader:
        writer = None
        while writer is None:
            assert loader.poll() is None, "the loader did not come to the gate"
            # Refused until the loader has opened the gate's other end.
            with contextlib.suppress(OSError):
                writer = os.open(gate, os.O_WRONLY | os.O_NONBLOCK)
            time.sleep(0.01)
        yield loader, functools.partial(os.close, writer)


def rest(loader: subprocess.Popen[bytes]) -> list[str]:
    """Return all that the loader said, once it has ended."""
    out, _ = loader.communicate()
    return out.decode().splitlines()


def test_follow_loader_raises_where_the_loader_is_killed(site: Site, tmp_path: Path) -> None:
    with midway(site, tmp_path) as (loader, let_go):
        loader.kill()
        let_go()
        lines = rest(loader)
    with pytest.raises(LoadError, match="stream ended before it was done"):
        follow_loader(lines, lambda _: None)
    assert site.solr.counts() == {}, "nothing is committed before the end"


@pytest.fixture
def made_site(site: Site, container: Container) -> Site:
    """The site with a core whose configuration was made from its own indexes."""
    lines = site.with_fault("no-configuration").run(describe_schemas=True)
    (event,) = [each for each in read_events(lines, "schemas") if each["event"] == "schemas"]
    core = f"{site.core}-made"
    files = make_configuration(SiteSchema.from_event(event["schemas"][site.core]))
    container.put_archive(f"/{HOME}", archive_of({f"{core}/conf/{name}": files[name] for name in files}))
    create = {"action": "CREATE", "name": core, "instanceDir": core}
    answer = requests.get(f"{site.server}/solr/admin/cores", params=create, timeout=60)
    assert answer.ok, answer.text
    made = replace(site, core=core, env={**site.env, "BARN_SOLR": f"{site.server}/solr/{core}"})
    return made.with_fault("no-configuration")


def archive_of(files: dict[str, str]) -> bytes:
    """Return files (path -> text) as a tar, everything Solr's own."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for folder in sorted({str(parent) for name in files for parent in Path(name).parents} - {"."}):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode, entry.uid, entry.gid = tarfile.DIRTYPE, 0o755, SOLR_USER, SOLR_USER
            tar.addfile(entry)
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.uid, entry.gid = len(text.encode()), SOLR_USER, SOLR_USER
            tar.addfile(entry, io.BytesIO(text.encode()))
    return stream.getvalue()


def test_haystack_searches_what_was_loaded_with_a_made_configuration(made_site: Site) -> None:
    loaded = made_site.verified(workers=2)
    report = loaded.verification()
    raise_if_invalid(report)
    raise_if_counts_differ(loaded.counts(made_site.core), made_site.solr.counts(), made_site.core)
    done = subprocess.run(
        [PYTHON, "-m", "barn.searches"], cwd=SITE, env=made_site.env, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    found = json.loads(done.stdout)
    bales = loaded.counts(made_site.core)["barn.bale"]
    assert found["all"] == sum(loaded.counts(made_site.core).values())
    assert found["facets"] == [["bale", bales]]
    assert found["narrowed"] == bales
    assert found["sorted"] == sorted(found["sorted"])
    assert found["highlighted"]
    assert found["suggested"] == "clover"
    counted = {name: number for name, number in found.items() if isinstance(number, int)}
    assert all(0 < number <= found["all"] for number in counted.values()), counted
    near = {"q": "*:*", "fq": "{!geofilt sfield=place pt=1.25,-1.125 d=500}", "rows": "0"}
    answer = requests.get(f"{made_site.solr.url}/{made_site.core}/select", params=near, timeout=60).json()
    assert 0 < answer["response"]["numFound"] < bales


# Last: it takes the server away.
def test_loader_fails_after_bounded_tries_where_solr_is_killed(
    site: Site, container: Container, tmp_path: Path
) -> None:
    with midway(site, tmp_path) as (loader, let_go):
        container.kill()
        let_go()
        lines = rest(loader)
    with pytest.raises(LoadError) as caught:
        follow_loader(lines, lambda _: None)
    assert "is not there, after 6 tries" in caught.value.message
    assert "farmer" not in caught.value.message, "passwords are not shown"
    with pytest.raises(ServiceError, match="Solr ended before"):
        site.solr.wait_ready(60, lambda: is_running(container))
