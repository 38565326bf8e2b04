from museum.settings.base import *  # noqa: F403

DEBUG = True
SECRET_KEY = "local"
ALLOWED_HOSTS = ["*"]

# Nobody needs a Redis to work on a template.
CACHES = {"default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}}
