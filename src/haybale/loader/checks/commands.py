"""Whether the site's `update_index` is Haystack's: the loader does what that one does."""

from __future__ import annotations

from importlib import import_module
from types import FunctionType
from typing import Any

from django.core.management import base, get_commands, load_command_class
from django.core.management.base import BaseCommand

from ..documents.django_setup import site_frames
from ..events import Failure, summarize

# What a command does, and where Django and Haystack have it.
DJANGOS = ("execute", "run_from_argv")
HAYSTACKS = {"update_index": ("handle", "update_backend"), "rebuild_index": ("handle",)}


def check_commands() -> None:
    """Raise `Failure` where the site has an update_index or rebuild_index that is not Haystack's own."""
    for name, methods in HAYSTACKS.items():
        module = import_module("haystack.management.commands." + name)
        found = get_commands().get(name)
        try:
            command = found if isinstance(found, BaseCommand) else load_command_class(str(found), name)
        except Exception as error:
            raise Failure(
                "the site's command {} cannot be loaded: {}".format(name, summarize(error)),
                cause="the app {} has it".format(found),
                hint="try: python manage.py {} --help".format(name),
                log=site_frames(error),
            ) from error
        places = {**dict.fromkeys(methods, module), **dict.fromkeys(DJANGOS, base)}
        own = [
            method for method, place in places.items() if not _is_from(place, getattr(command, method, None))
        ]
        if name == "update_index" and not _is_from(module, module.do_update):
            own.append("do_update")
        if own:
            kind = type(command)
            raise Failure(
                "{} is not Haystack's own: {}.{} has {} of its own".format(
                    name, kind.__module__, kind.__qualname__, " and ".join(own)
                ),
                cause="the loader does what Haystack's update_index does, and nothing that another one adds",
                hint="do that in the search indexes or in the backend's `update`, and leave {} alone".format(
                    name
                ),
            )


def _is_from(module: Any, function: Any) -> bool:
    function = getattr(function, "__func__", function)
    return isinstance(function, FunctionType) and function.__globals__ is vars(module)
