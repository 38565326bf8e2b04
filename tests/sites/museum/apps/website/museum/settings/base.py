from pathlib import Path

import environ

BASE_DIR = Path(__file__).resolve().parents[2]

env = environ.Env()

INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.staticfiles",
    "haystack",
    "collection.apps.CollectionConfig",
    "letters.apps.LettersConfig",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.middleware.common.CommonMiddleware",
]

ROOT_URLCONF = "museum.urls"
WSGI_APPLICATION = "museum.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {"context_processors": ["django.template.context_processors.request"]},
    }
]

DATABASES = {"default": env.db("DATABASE_URL", default=f"sqlite:///{BASE_DIR / 'museum.sqlite3'}")}
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"

CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": env.str("REDIS_URL", default="redis://redis:6379/0"),
        "KEY_PREFIX": "museum",
    }
}

SOLR_BASE_URL = env.str("SOLR_BASE_URL", default="http://localhost:8983/solr")
HAYSTACK_CONNECTIONS = {
    "default": {
        "ENGINE": "haystack.backends.solr_backend.SolrEngine",
        "URL": f"{SOLR_BASE_URL}/objects",
        "SILENTLY_FAIL": False,
        "EXCLUDED_INDEXES": ["letters.search_indexes.LetterIndex"],
    },
    "letters": {
        "ENGINE": "haystack.backends.solr_backend.SolrEngine",
        "URL": f"{SOLR_BASE_URL}/letters",
        "SILENTLY_FAIL": False,
        "EXCLUDED_INDEXES": ["collection.search_indexes.ItemIndex", "collection.search_indexes.MakerIndex"],
    },
}

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / "static-collected"
