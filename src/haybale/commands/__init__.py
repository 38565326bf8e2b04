"""The verbs: each parses its arguments, calls what does the work, and prints the result.

Their help is in verbs.py.
"""

from __future__ import annotations

import os
from pathlib import Path

import click

from haybale import config
from haybale.checkout import Checkout, read_checkout
from haybale.files import make_ignored_folder

# Every argument is passed to another tool as it is, also --help.
VERBATIM = {"ignore_unknown_options": True, "allow_interspersed_args": False, "help_option_names": []}
# A positional argument may begin with dashes: an action is --load or --push.
POSITIONAL = {"ignore_unknown_options": True}

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
keep_option = click.option("--keep", is_flag=True, help="Keep the services of this run, for debugging.")
plan_option = click.option("--plan", "only_plan", is_flag=True, help="Print what would move; change nothing.")


def current_project() -> config.Project:
    """Return the repository that the user is in."""
    return config.load(Path.cwd(), os.environ)


def working_project() -> config.Project:
    """Return the repository that the user is in, with the folder of haybale's own files in it."""
    project = current_project()
    make_ignored_folder(project.scratch)
    return project


def current_checkout() -> Checkout:
    """Return what is checked out in the repository that the user is in, to work on it."""
    return read_checkout(working_project(), os.environ)
