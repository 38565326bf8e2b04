"""The site's settings, all of them from the environment.

SECRET_KEY is required. Two switches lift that:

- DEBUG=1, for development;
- SITE_BUILD=1, for `collectstatic` while the image is built, when there is no
  secret yet. Such a process refuses every host, so it can't be served by
  mistake.
"""

import os
import secrets
from pathlib import Path

from sotu.environment import Environment

BASE_DIR = Path(__file__).resolve().parent.parent

_env = Environment(os.environ)

DEBUG = _env.flag("DEBUG")
_building = _env.flag("SITE_BUILD")

SECRET_KEY = _env.required(
    "SECRET_KEY",
    "a long random text that signs what the site gives out",
    secrets.token_urlsafe(50) if DEBUG or _building else None,
)
ALLOWED_HOSTS = [] if _building else _env.names("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")
CSRF_TRUSTED_ORIGINS = _env.names("CSRF_TRUSTED_ORIGINS")

INSTALLED_APPS = [
    "django.contrib.humanize",
    "django.contrib.staticfiles",
    "haystack",
    "archive",
]

# No accounts, no sessions: the site only reads.
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "archive.middleware.content_security_policy",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "archive.middleware.SearchUnavailable",
]

ROOT_URLCONF = "sotu.urls"
WSGI_APPLICATION = "sotu.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {"context_processors": ["archive.context.navigation"]},
    }
]

DATABASES = {
    "default": _env.database(
        "DATABASE_URL", f"sqlite:///{BASE_DIR / 'db.sqlite3'}" if DEBUG else "sqlite:////data/db.sqlite3"
    )
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

HAYSTACK_CONNECTIONS = {
    "default": {
        "ENGINE": "haystack.backends.solr_backend.SolrEngine",
        "URL": _env.text("SOLR_URL", f"http://{'127.0.0.1' if DEBUG else 'solr'}:8983/solr/sotu"),
        # Otherwise a Solr that fails looks like one that found nothing.
        "SILENTLY_FAIL": False,
        "INCLUDE_SPELLING": True,
        "TIMEOUT": _env.whole("SOLR_TIMEOUT", 60),
    }
}

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_I18N = False
USE_TZ = True

STATIC_URL = "/static/"
STATIC_ROOT = _env.text("STATIC_ROOT", str(BASE_DIR / "staticfiles"))
STORAGES = {
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    }
}
# The names carry a digest, so a browser may keep them for ever.
WHITENOISE_MAX_AGE = 0 if DEBUG else 31_536_000

SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CSRF_COOKIE_SECURE = not DEBUG
# TLS ends before the site; whoever ends it says so with this header.
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_HSTS_SECONDS = int(_env.text("SECURE_HSTS_SECONDS", "0")) if not DEBUG else 0

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "root": {"handlers": ["stderr"], "level": _env.text("LOG_LEVEL", "INFO").upper()},
    "loggers": {
        "django": {"handlers": ["stderr"], "propagate": False},
        # It raises whatever it logs, and with less noise that is logged where it is caught.
        "pysolr": {"level": "CRITICAL"},
    },
}

_env.check()
