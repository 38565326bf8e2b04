"""The site's database is made without anything being indexed, whatever the site does with signals."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from haybale.config import Project, Settings
from haybale.images import site_services
from haybale.images.site_services import SQLITE_URL, Facts

pytestmark = pytest.mark.integration

SITE = {
    "manage.py": """
import os, sys
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")
from django.core.management import execute_from_command_line
execute_from_command_line(sys.argv)
""",
    "settings.py": """
import os
SECRET_KEY = "only-for-tests"
INSTALLED_APPS = ["haystack", "pages"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "site.sqlite3"}}
HAYSTACK_SIGNAL_PROCESSOR = "haystack.signals.RealtimeSignalProcessor"
HAYSTACK_CONNECTIONS = {"default": {
    "ENGINE": "haystack.backends.solr_backend.SolrEngine", "URL": os.environ["SOLR_URL"], "TIMEOUT": 1,
    "SILENTLY_FAIL": False,
}}
""",
    "pages/__init__.py": "",
    "pages/migrations/__init__.py": "",
    "pages/migrations/0001_initial.py": """
from django.db import migrations, models
class Migration(migrations.Migration):
    initial = True
    operations = [migrations.CreateModel("Page", [
        ("id", models.AutoField(primary_key=True)), ("title", models.CharField(max_length=9)),
    ])]
""",
    "pages/models.py": """
from django.db import models
from django.db.models.signals import post_save
class Page(models.Model):
    id = models.AutoField(primary_key=True)
    title = models.CharField(max_length=9)
def index_at_once(sender, instance, **_):
    from haystack import connections
    connections["default"].get_unified_index().get_index(sender).update_object(instance, using="default")
post_save.connect(index_at_once, sender=Page)
""",
    "pages/search_indexes.py": """
from haystack import indexes
from pages.models import Page
class PageIndex(indexes.SearchIndex, indexes.Indexable):
    text = indexes.CharField(document=True, model_attr="title")
    def get_model(self):
        return Page
""",
    "fixtures/0/pages.json": json.dumps([{"model": "pages.page", "pk": 1, "fields": {"title": "hay"}}]),
}


@pytest.mark.parametrize("without_index", [True, False])
def test_database_service_sends_nothing_to_solr(tmp_path: Path, *, without_index: bool) -> None:
    for name, content in SITE.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    settings = Settings(name="site", registry="localhost:5000/site")
    facts = Facts(database_url=SQLITE_URL, core="pages")
    made = site_services.ci_services(Project(root=tmp_path, settings=settings), facts, {})
    shell, options, script = made["services"]["database"]["command"]
    script = script.replace("$$", "$").replace("/fixtures", str(tmp_path / "fixtures"))
    if not without_index:
        # Otherwise the site does index: what is tested has something to prevent.
        script = script.replace("without_index migrate", "python manage.py migrate")
        script = script.replace("without_index loaddata", "python manage.py loaddata")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        port = server.getsockname()[1]
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        env = {**os.environ, "SOLR_URL": f"http://127.0.0.1:{port}/solr/pages", "PATH": path}
        done = subprocess.run(
            [shell, options, script], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
        )
        assert (done.returncode == 0) == without_index, done.stderr
        if without_index:
            assert "Installed 1 object(s)" in done.stdout
            with pytest.raises(BlockingIOError):
                server.accept()
        else:
            server.accept()[0].close()
