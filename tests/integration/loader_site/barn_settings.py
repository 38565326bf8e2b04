"""Settings of a small site that has every kind of search field. Environment: BARN_DATABASE, BARN_SOLR."""

import os

SECRET_KEY = "only-for-tests"
INSTALLED_APPS = ["django.contrib.contenttypes", "haystack", "barn", "meadow"]
if os.environ.get("BARN_FAULT") == "own-command":
    INSTALLED_APPS.insert(0, "hayloft")
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["BARN_DATABASE"]}}
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]
ROOT_URLCONF = "barn.urls"
USE_TZ = True
TIME_ZONE = "Europe/Berlin"

HAYSTACK_CONNECTIONS = {
    # Not Solr's: the loader leaves it alone.
    "default": {"ENGINE": "haystack.backends.simple_backend.SimpleEngine"},
    "barn": {
        "ENGINE": "haystack.backends.solr_backend.SolrEngine",
        "URL": os.environ["BARN_SOLR"],
        "SILENTLY_FAIL": False,
        "TIMEOUT": 60,
        "KWARGS": {"auth": ("farmer", "hay")},
    },
    # The same core again: each model is loaded once.
    "slow": {
        "ENGINE": "haystack.backends.solr_backend.SolrEngine",
        "URL": os.environ["BARN_SOLR"],
        "TIMEOUT": 600,
        "EXCLUDED_INDEXES": ["barn.search_indexes.FarmIndex"],
    },
}

if os.environ.get("BARN_FAULT") == "own-update":
    HAYSTACK_CONNECTIONS["barn"]["ENGINE"] = HAYSTACK_CONNECTIONS["slow"]["ENGINE"] = (
        "barn.backends.GermanEngine"
    )

if os.environ.get("BARN_FAULT") in ("asking", "past-add"):
    HAYSTACK_CONNECTIONS["barn"]["ENGINE"] = HAYSTACK_CONNECTIONS["slow"]["ENGINE"] = (
        "barn.backends.AskingEngine"
    )

if os.environ.get("BARN_FAULT") in ("own-client", "own-encoding", "own-url"):
    HAYSTACK_CONNECTIONS["barn"]["ENGINE"] = "barn.backends.ClientEngine"
    HAYSTACK_CONNECTIONS["slow"]["ENGINE"] = "barn.backends.ClientEngine"

if os.environ.get("BARN_FAULT") == "no-configuration":
    # FarmIndex has values that fit no type.
    HAYSTACK_CONNECTIONS["barn"]["EXCLUDED_INDEXES"] = ["barn.search_indexes.FarmIndex"]
    HAYSTACK_CONNECTIONS["barn"]["INCLUDE_SPELLING"] = True

if os.environ.get("BARN_FAULT") == "saves":
    HAYSTACK_SIGNAL_PROCESSOR = "barn.signals.NotingProcessor"

if os.environ.get("BARN_FAULT") == "same-id":
    HAYSTACK_IDENTIFIER_METHOD = "barn.faults.same_id"

if os.environ.get("BARN_FAULT") == "tamper":
    import barn.tampering  # noqa: F401 - it takes effect when it is imported

if os.environ.get("BARN_FAULT") == "other-index":
    # One core, and for each connection an index of its own for the same model.
    HAYSTACK_CONNECTIONS["barn"]["EXCLUDED_INDEXES"] = ["barn.search_indexes.OtherStackIndex"]
    HAYSTACK_CONNECTIONS["slow"]["EXCLUDED_INDEXES"] = ["barn.search_indexes.StackIndex"]
