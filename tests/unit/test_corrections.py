"""What a start of Django that failed says of a repository."""

from __future__ import annotations

from pathlib import Path

import pytest

from haybale.adoption.corrections import DJANGO, correct_survey
from haybale.adoption.plan import plan_files
from haybale.adoption.proposal import Origin
from haybale.adoption.site_settings import SiteSettings, Variable
from haybale.adoption.survey import Found, Survey

START = "the site does not start: "


def survey(*variables: Variable, root: Path = Path("shop")) -> Survey:
    return Survey(root=root, settings=SiteSettings(variables=variables))


@pytest.mark.parametrize(
    "message",
    [
        "KeyError: 'API_KEY'",
        "ImproperlyConfigured: Set the API_KEY environment variable",
        'EnvError: Environment variable "API_KEY" not set',
        "UndefinedValueError: API_KEY not found. Declare it as envvar or define a default value.",
        "Exception: the environment variable API_KEY is missing",
        "RuntimeError: API_KEY must be set",
        "ValueError: API_KEY environment variable!",
    ],
)
def test_correct_survey_takes_a_variable_that_is_missing_for_required(message: str) -> None:
    found = correct_survey(survey(), START + message)
    assert found
    assert found.survey.settings.variables == (Variable(name="API_KEY", is_required=True, place=DJANGO),)
    assert found.what == "Django does not start without the variable API_KEY"


def test_correct_survey_keeps_where_a_variable_was_read() -> None:
    read = Variable(name="API_KEY", is_required=False, place="a.py:1", default="x")
    found = correct_survey(survey(read), f"{START}KeyError: 'API_KEY'")
    assert found
    assert found.survey.settings.variables == (
        Variable(name="API_KEY", is_required=True, place="a.py:1", default="x"),
    )


@pytest.mark.parametrize(
    "message",
    [
        "KeyError: 'SET_ALREADY'",  # it is set, and that is not what is wrong
        "KeyError: 'lower'",
        "ImproperlyConfigured: The SECRET_KEY setting must not be empty.",
        "ModuleNotFoundError: No module named 'debug_toolbar'",
        "OperationalError: could not connect",
    ],
)
def test_correct_survey_leaves_what_is_not_plain(message: str) -> None:
    known = survey(Variable(name="SET_ALREADY", is_required=True, place="a.py:1"))
    assert correct_survey(known, START + message) is None


def test_correct_survey_takes_the_settings_of_manage_where_others_are_not_there(tmp_path: Path) -> None:
    known = Survey(
        root=tmp_path, site=Found(value=".", place="manage.py"), manage_module="shop.settings",
        settings_module=Found(value="shop.live.settings", place="shop/wsgi.py"),
    )  # fmt: skip
    found = correct_survey(known, f"{START}ModuleNotFoundError: No module named 'shop.live'")
    assert found
    assert found.survey.settings_module == Found(value="shop.settings", place="manage.py")
    assert found.what == "shop.live.settings (shop/wsgi.py) is not there; manage.py names shop.settings"
    text = plan_files(found.survey, Origin(), "1.2.3", "none", {}).files["pyproject.toml"]
    assert "settings =" not in text
    assert correct_survey(found.survey, f"{START}ModuleNotFoundError: No module named 'shop'") is None


def test_proposal_has_what_django_said(tmp_path: Path) -> None:
    found = correct_survey(survey(root=tmp_path), f"{START}KeyError: 'API_KEY'")
    assert found
    plan = plan_files(found.survey, Origin(), "1.2.3", "none", {})
    assert 'API_KEY = "only-for-tests"' in plan.files["pyproject.toml"]
    assert any(f"{DJANGO} needs it" in each for each in plan.notes)
