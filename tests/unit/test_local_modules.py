"""Settings modules that not everybody has, and the examples that they are made of."""

from __future__ import annotations

import pytest

from haybale.adoption.local_modules import find_example, needed_imports, read_files
from haybale.adoption.survey import find_settings_files

SETTINGS = "from site.local import *\n"


@pytest.mark.parametrize(
    "example",
    ["local.example.py", "local.py.example", "local_sample.py", "local.py.dist", "example_local.py",
     "local-template.py", "LOCAL.default.py"],
)  # fmt: skip
def test_find_example_takes_the_usual_names(example: str) -> None:
    assert find_example("web/local.py", [f"web/{example}"]) == f"web/{example}"


@pytest.mark.parametrize("other", ["web/locales.py.example", "other/local.example.py", "web/local.examples"])
def test_find_example_takes_no_other_s(other: str) -> None:
    assert find_example("web/local.py", [other]) is None


def test_needed_imports_are_those_that_nothing_catches() -> None:
    tried = "try:\n    from .local import *\nexcept ImportError:\n    pass\n"
    text = f"from .base import *\n{tried}from a.b import c\n"
    assert needed_imports(text) == {".base": 1}


def test_find_settings_files_reads_the_example_of_a_module_that_git_has_not() -> None:
    files = {"site/settings.py": SETTINGS, "site/local.example.py": "DEBUG = True\n"}
    found, local = find_settings_files(".", "site.settings", [*files], files.__getitem__)
    assert found == ("site/local.example.py", "site/settings.py")
    assert [(each.path, each.place, each.example) for each in local] == [
        ("site/local.py", "site/settings.py:1", "site/local.example.py")
    ]


def test_find_settings_files_prefers_the_example_to_a_file_of_this_machine_only() -> None:
    files = {"site/settings.py": SETTINGS, "site/local.example.py": "", "site/local.py": "KEY = 1\n"}
    found, local = find_settings_files(
        ".", "site.settings", [*files], files.__getitem__, lambda file: file != "site/local.py"
    )
    assert (found[0], len(local)) == ("site/local.example.py", 1)
    found, local = find_settings_files(".", "site.settings", [*files], files.__getitem__)
    assert (found[0], len(local)) == ("site/local.py", 0)


@pytest.mark.parametrize(
    ("text", "count"),
    [(SETTINGS, 1), ("from package.defaults import *\n", 0), ("from decouple import *\n", 0)],
)
def test_find_settings_files_tells_the_site_s_modules_from_packages(text: str, count: int) -> None:
    files = {"site/settings.py": text, "manage.py": ""}
    assert len(find_settings_files(".", "site.settings", [*files], files.__getitem__)[1]) == count


def test_read_files_are_those_whose_paths_are_written_down() -> None:
    text = (
        "config.read('/run/secrets/site')\nopen('version.txt')\nload_dotenv('/etc/site.env')\n"
        "open(name)\nprint('/not/read')\n"
    )
    assert read_files(text) == {"/run/secrets/site": 1, "version.txt": 2, "/etc/site.env": 3}
