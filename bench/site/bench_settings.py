"""The settings of the benchmark's site, as a site that indexes in earnest has them."""

import os

import dj_database_url

SECRET_KEY = "only-for-the-benchmark"  # noqa: S105 - nothing is served
USE_TZ = True
INSTALLED_APPS = ["haystack", "notes"]
DATABASES = {"default": dj_database_url.parse(os.environ.get("DATABASE_URL", "sqlite:////data/db.sqlite3"))}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]
HAYSTACK_CONNECTIONS = {
    "default": {
        "ENGINE": "haystack.backends.solr_backend.SolrEngine",
        "URL": os.environ["SOLR_URL"],
        # Else Haystack loses documents without a word.
        "SILENTLY_FAIL": False,
        "TIMEOUT": 600,
    }
}
