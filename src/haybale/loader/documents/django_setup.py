"""Start the site's Django, as its manage.py would, and tell from frames what the site's code was doing."""

from __future__ import annotations

import os
import re
import sys
import sysconfig
import traceback
from importlib import import_module
from pathlib import Path
from typing import Any, Iterable

from ..events import Failure, summarize

# The folder of this package.
PACKAGE = str(Path(__file__).resolve().parent.parent)

# Haystack's own signal processor that does nothing.
NO_SIGNALS = "haystack.signals.BaseSignalProcessor"

# Frames of the site's code that an error shows.
FRAMES = 5


def start_django() -> None:
    """Make the site importable and start Django. Raises `Failure`."""
    folder = str(Path.cwd())
    # First, as for manage.py.
    sys.path[:] = [folder, *(entry for entry in sys.path if entry not in ("", folder))]
    module = os.environ.get("DJANGO_SETTINGS_MODULE") or _settings_of_manage(folder)
    if not module:
        raise Failure(
            "DJANGO_SETTINGS_MODULE is not set, and {} has no manage.py that sets it".format(folder),
            cause="the image's working directory is not the site's folder",
            hint="set WORKDIR and DJANGO_SETTINGS_MODULE in the Dockerfile",
        )
    os.environ["DJANGO_SETTINGS_MODULE"] = module
    try:
        # Imported here, so that a site without Django is reported as one that does not start.
        if not import_module("django.apps").apps.ready:
            # Before the apps start: what a row's code saves meanwhile must not be indexed by a signal.
            import_module("django.conf").settings.HAYSTACK_SIGNAL_PROCESSOR = NO_SIGNALS
            import_module("django").setup()
    except Exception as error:
        raise Failure(
            "the site does not start: " + summarize(error),
            cause="django.setup() raised it, with the settings {}".format(module),
            hint="give it what it misses (variables: [tool.haybale.site.environment]); "
            "to start Django alone: `haybale doctor --deep`",
            log=site_frames(error),
        ) from error


def _settings_of_manage(folder: str) -> str | None:
    """Return the settings module that a manage.py names."""
    try:
        script = (Path(folder) / "manage.py").read_text(encoding="utf-8")
    except OSError:
        return None
    found = re.search(r"DJANGO_SETTINGS_MODULE['\"]\s*,\s*['\"]([\w.]+)", script)
    return found.group(1) if found else None


def site_frames(error: BaseException) -> str:
    """Return where an exception came from: the last frames in the site's code, else the last ones of all."""
    every = traceback.extract_tb(error.__traceback__)
    library = (sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"), PACKAGE, "<frozen")
    site = [
        frame
        for frame in every
        if not re.search("(site|dist)-packages", frame.filename) and not frame.filename.startswith(library)
    ]
    lines = traceback.format_list((site or list(every))[-FRAMES:])
    return "".join(lines) + summarize(error)


def preparing_field(frames: Iterable[Any]) -> tuple[str | None, str | None]:
    """Return which field frames (outermost first) prepare, and by which method of the site.

    By the frames of haystack/indexes.py.
    """
    field = method = None
    for frame in frames:
        name = frame.f_code.co_name
        if frame.f_globals.get("__name__") == "haystack.indexes" and name in ("prepare", "full_prepare"):
            field = frame.f_locals.get("field_name")
        elif name.startswith("prepare") and "haystack" not in str(frame.f_globals.get("__name__")):
            method = name
    return field, method
