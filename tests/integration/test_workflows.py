"""The files that CI systems read: right for their linters, without logic, with no more rights than needed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from haybale.adoption.generated_files import EXTRA_OF_TOOL, EXTRAS, Repository, generate_files
from haybale.verbs import VERBS

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration

GITHUB = ".github/workflows/ci.yml"
DEPLOY = ".github/workflows/deploy.yml"
GITLAB = ".gitlab-ci.yml"
# What other repositories use of this one.
ACTION, TEMPLATE, HOOKS = "action.yml", "templates/haybale.gitlab-ci.yml", ".pre-commit-hooks.yaml"

PUBLISHES = "./noxw -s engine pipeline -- --publish --next"
PINNED = re.compile(r"uses:\s*[\w.-]+/[\w./-]+@[0-9a-f]{40} # v[0-9]+(\.[0-9]+)*")
READ_ONLY = {"contents": "read", "packages": "read"}


@pytest.fixture(scope="module")
def github(root: Path) -> dict[str, Any]:
    return read(root / GITHUB)


@pytest.fixture(scope="module")
def by_hand(root: Path) -> dict[str, Any]:
    """GitHub's workflow that deploys."""
    return read(root / DEPLOY)


@pytest.fixture(scope="module")
def gitlab(root: Path) -> dict[str, Any]:
    return read(root / GITLAB)


def read(file: Path) -> dict[str, Any]:
    document = yaml.safe_load(file.read_text(encoding="utf-8"))
    assert isinstance(document, dict)
    return document


def commands(gitlab: dict[str, Any], *github: dict[str, Any]) -> list[str]:
    """Return everything that the files run."""
    steps = [step for file in github for job in file["jobs"].values() for step in job["steps"]]
    scripts = [
        line
        for job in gitlab.values()
        if isinstance(job, dict)
        for key in ("before_script", "script", "after_script")
        for line in job.get(key, [])
    ]
    return [step["run"] for step in steps if "run" in step] + scripts


def lint(root: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["./noxw", "-s", "workflows", "--", str(folder)],
        cwd=root, capture_output=True, text=True, check=False, env={**os.environ, "NO_COLOR": "1"},
    )  # fmt: skip


def copied(root: Path, folder: Path, file: str, old: str, new: str) -> Path:
    """Copy the files, with one change."""
    for each in (GITHUB, DEPLOY, GITLAB, ACTION, TEMPLATE, HOOKS):
        (folder / each).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(root / each, folder / each)
    text = (folder / file).read_text(encoding="utf-8")
    assert old in text
    (folder / file).write_text(text.replace(old, new, 1), encoding="utf-8")
    return folder


# What their linters say ------------------------------------------------------------------------------------


def test_linters_find_nothing(root: Path) -> None:
    done = lint(root, root)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("file", "old", "new", "complaint"),
    [
        # zizmor
        (GITHUB, "@de0fac2e4500dabe0009e67214ff5f5447ce83dd # v6.0.2", "@v6", "unpinned-uses"),
        (GITHUB, "permissions: {}", "permissions: write-all", "excessive-permissions"),
        (
            GITHUB,
            "run: ./noxw -s engine pipeline\n",
            'run: echo "${{ github.event.pull_request.title }}"\n',
            "template-injection",
        ),
        (
            DEPLOY,
            'run: ./noxw -s rollback -- "$ENVIRONMENT"',
            "run: echo ${{ inputs.version }}",
            "template-injection",
        ),
        # check-jsonschema
        (GITLAB, "resource_group: publish", "resource_groups: publish", "resource_groups"),
        (GITLAB, "interruptible: false", "interruptible: perhaps", "perhaps"),
    ],
)
def test_linters_find_mistakes(  # noqa: PLR0917
    root: Path, tmp_path: Path, file: str, old: str, new: str, complaint: str
) -> None:
    done = lint(root, copied(root, tmp_path, file, old, new))
    assert done.returncode != 0
    assert complaint in done.stdout + done.stderr


@pytest.mark.skipif(
    shutil.which("go") is None and ("CI" not in os.environ or "GITLAB_CI" in os.environ),
    reason="actionlint is built with Go, which is not installed",
)
@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("${{ github.token }}", "${{ github.tokn }}", "tokn"),
        ("needs: check", "needs: checks", "checks"),
        ("runs-on: ubuntu-24.04", "runs-on: ubuntu-99", "ubuntu-99"),
        ("github.event_name == ", "github.event_name = ", "unexpected"),
    ],
)
def test_actionlint_finds_mistakes(root: Path, tmp_path: Path, old: str, new: str, complaint: str) -> None:
    done = lint(root, copied(root, tmp_path, GITHUB, old, new))
    assert done.returncode != 0
    assert complaint in done.stdout + done.stderr
    assert "actionlint" in done.stderr


def test_linters_find_nothing_in_what_init_writes(root: Path, tmp_path: Path) -> None:
    for forge in ("github", "gitlab"):
        repository = Repository(version="1.2.3", main="main", forge=forge, publishes=True)
        for name, text in generate_files(repository).items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text, encoding="utf-8")
    done = lint(root, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "haybale.yml" in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("name", "old", "new", "complaint"),
    [
        (ACTION, '"$VERB"', "${{ inputs.verb }}", "template-injection"),
        (ACTION, "using: composite", "using: compost", "node24"),
        (TEMPLATE, "when: always", "when: perhaps", "perhaps"),
        (HOOKS, "pass_filenames: false", "pass_filenames: 3", "pass_filenames"),
    ],
)
def test_linters_find_mistakes_in_what_others_use(  # noqa: PLR0917
    root: Path, tmp_path: Path, name: str, old: str, new: str, complaint: str
) -> None:
    folder = copied(root, tmp_path, name, old, new)
    done = lint(root, folder)
    assert done.returncode != 0
    assert complaint in done.stdout + done.stderr


# What others use -------------------------------------------------------------------------------------------


def test_what_others_use_calls_verbs_that_exist_with_the_extras_that_they_need(root: Path) -> None:
    verbs = {verb.name for verb in VERBS}
    extras = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"][
        "optional-dependencies"
    ]
    needed = {*EXTRAS.values(), *EXTRA_OF_TOOL.values()}
    assert needed <= set(extras)
    wanted = f"[{','.join(sorted(needed))}]"
    action, template = read(root / ACTION), read(root / TEMPLATE)
    assert action["inputs"]["verb"]["default"] in verbs
    assert wanted in action["runs"]["steps"][0]["run"]
    assert template["haybale"]["variables"]["HAYBALE_VERB"] in verbs
    assert wanted in template["haybale"]["before_script"][1]
    hooks = yaml.safe_load((root / HOOKS).read_text(encoding="utf-8"))
    assert {each["entry"].split()[1] for each in hooks} == {"regen-requirements", "doctor"}
    assert {each["entry"].split()[1] for each in hooks} <= verbs
    for each in hooks:
        assert re.search(each["files"], "web/requirements/base.in") or re.search(
            each["files"], "a/schema.xml"
        )


# No logic --------------------------------------------------------------------------------------------------


def test_workflows_run_existing_sessions(
    root: Path, github: dict[str, Any], by_hand: dict[str, Any], gitlab: dict[str, Any]
) -> None:
    listed = subprocess.run(["./noxw", "--list"], cwd=root, capture_output=True, text=True, check=True).stdout
    sessions = {line.split()[1] for line in listed.splitlines() if line[:2] in {"* ", "- "}}
    found = commands(gitlab, github, by_hand)
    assert found
    for command in found:
        match = re.fullmatch(r'\./noxw -s ([a-z_ ]+?)(?: --(?: (--[a-z-]+|"\$[A-Z]+"))+)?', command)
        assert match, f"more than a session: {command}"
        assert set(match[1].split()) <= sessions, command


def test_workflows_run_the_same(github: dict[str, Any], gitlab: dict[str, Any]) -> None:
    for name in ("pipeline", "publish"):
        (ours,) = [step["run"] for step in github["jobs"][name]["steps"] if "run" in step]
        assert gitlab[name]["script"] == [ours]


def test_workflows_quote_inputs(
    github: dict[str, Any], by_hand: dict[str, Any], gitlab: dict[str, Any]
) -> None:
    """By a variable in quotes; nothing else is one, and no secret at all."""
    for command in commands(gitlab, github, by_hand):
        assert "$" not in command.replace('"$ENVIRONMENT"', "").replace('"$VERSION"', "")
        assert "${{" not in command
    steps = {step["name"]: step for job in by_hand["jobs"].values() for step in job["steps"]}
    assert steps["Deploy"]["env"]["VERSION"] == "${{ inputs.version }}"
    named = [step["env"]["ENVIRONMENT"] for step in steps.values() if "run" in step]
    assert set(named) == {"${{ inputs.environment }}"}


# Pinned ----------------------------------------------------------------------------------------------------


def test_workflows_pin_actions(root: Path) -> None:
    for file in (root / ".github").rglob("*.yml"):
        uses = [
            line.strip().removeprefix("- ")
            for line in file.read_text(encoding="utf-8").splitlines()
            if "uses:" in line
        ]
        assert uses
        assert [line for line in uses if not PINNED.fullmatch(line)] == []


# Rights ----------------------------------------------------------------------------------------------------


def test_workflows_publish_only_main(github: dict[str, Any], gitlab: dict[str, Any]) -> None:
    """Both ways: the job that publishes runs for nothing else, and the others run for everything else."""
    on_main = "github.event_name == 'push' && github.ref == 'refs/heads/main'"
    elsewhere = "github.event_name != 'push' || github.ref != 'refs/heads/main'"
    jobs = github["jobs"]
    publishing = {
        name for name, job in jobs.items() for step in job["steps"] if "publish" in step.get("run", "")
    }
    assert publishing == {"publish"}
    assert jobs["publish"]["if"] == on_main
    assert jobs["pipeline"]["if"] == elsewhere
    rule = '$CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH && $CI_PIPELINE_SOURCE == "push"'
    assert gitlab["publish"]["script"] == [PUBLISHES]
    assert gitlab["publish"]["rules"] == [{"if": rule}]
    assert gitlab["pipeline"]["rules"] == [{"if": rule, "when": "never"}, {"if": '$ACTION == "none"'}]


def test_workflows_only_publish_may_write(github: dict[str, Any]) -> None:
    assert github["permissions"] == {}
    for name, job in github["jobs"].items():
        if name != "publish":
            assert job["permissions"].items() <= READ_ONLY.items(), name
    assert github["jobs"]["publish"]["permissions"] == {
        "contents": "write", "packages": "write", "pull-requests": "read",
    }  # fmt: skip


def test_workflows_keep_credentials_in_no_checkout(github: dict[str, Any], by_hand: dict[str, Any]) -> None:
    jobs = {**github["jobs"], **by_hand["jobs"]}
    kept = {
        name: step["with"]["persist-credentials"]
        for name, job in jobs.items()
        for step in job["steps"]
        if step.get("uses", "").startswith("actions/checkout@")
    }
    assert kept == dict.fromkeys(jobs, False)
    pushing = {
        name: step["run"]
        for name, job in jobs.items()
        for step in job["steps"]
        if "GIT_CONFIG_GLOBAL" in step.get("env", {})
    }
    assert pushing.keys() == {name for name, job in jobs.items() if job["permissions"]["contents"] == "write"}
    assert not [run for run in pushing.values() if "rehearse" in run]


@pytest.mark.parametrize(
    ("host", "token", "given"),
    [("github.com", "secret", True), ("forge.example", "secret", False), ("github.com", "", False)],
)
def test_gitconfig_of_ci_gives_the_token_to_the_forge_alone(
    root: Path, host: str, token: str, *, given: bool
) -> None:
    env = {
        **os.environ, "GIT_CONFIG_GLOBAL": str(root / ".ci/gitconfig"), "GIT_CONFIG_NOSYSTEM": "1",
        "GITHUB_TOKEN": token, "GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "false",
    }  # fmt: skip
    asked = f"protocol=https\nhost={host}\n\n"
    done = subprocess.run(
        ["git", "credential", "fill"], env=env, input=asked, capture_output=True, text=True, check=False
    )
    assert ("password=secret" in done.stdout.splitlines()) == given, done.stderr
    assert (done.returncode == 0) == given


def test_workflows_fork_has_no_secrets(github: dict[str, Any]) -> None:
    """`pull_request_target` and `workflow_run` would give a fork's code this repository's rights."""
    (triggers,) = (value for name, value in github.items() if str(name) == "True")  # YAML 1.1: on is true
    assert set(triggers) == {"push", "pull_request", "workflow_dispatch"}
    assert "secrets." not in str(github)


# By hand ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", ["deploy", "rollback"])
def test_workflows_deploy_by_environment_rules(
    by_hand: dict[str, Any], gitlab: dict[str, Any], action: str
) -> None:
    """GitHub and GitLab hold a job back until the rules of the environment that it names are met."""
    assert by_hand["jobs"][action]["environment"] == "${{ inputs.environment }}"
    assert gitlab[action]["extends"] == ".by-hand"
    assert gitlab[".by-hand"]["environment"] == {"name": "$ENVIRONMENT"}


@pytest.mark.parametrize("action", ["deploy", "rollback"])
def test_workflows_deploy_alike(by_hand: dict[str, Any], gitlab: dict[str, Any], action: str) -> None:
    ours = [step["run"] for step in by_hand["jobs"][action]["steps"] if "run" in step]
    assert gitlab[action]["script"] == ours
    assert ours[-1].startswith(f"./noxw -s {action} -- ")


def test_workflows_deploy_by_hand_only(by_hand: dict[str, Any], gitlab: dict[str, Any]) -> None:
    (triggers,) = (value for name, value in by_hand.items() if str(name) == "True")  # YAML 1.1: on is true
    assert set(triggers) == {"workflow_dispatch"}
    for action in ("deploy", "rollback"):
        assert by_hand["jobs"][action]["if"] == f"inputs.action == '{action}'"
        (rule,) = gitlab[action]["rules"]
        assert '$CI_PIPELINE_SOURCE == "web"' in rule["if"]
        assert f'$ACTION == "{action}"' in rule["if"]
    # A person's pipeline that deploys neither tests nor publishes; all others know no action.
    assert gitlab["variables"]["ACTION"]["value"] == "none"
    assert gitlab["check"]["rules"] == [{"if": '$ACTION == "none"'}]


def test_workflows_deploy_permissions(by_hand: dict[str, Any]) -> None:
    assert by_hand["permissions"] == {}
    assert "secrets." not in str(by_hand)
    for job in by_hand["jobs"].values():
        assert job["permissions"] == {"contents": "write", "packages": "read"}


def test_workflows_one_deployment_at_a_time(by_hand: dict[str, Any], gitlab: dict[str, Any]) -> None:
    for job in by_hand["jobs"].values():
        assert job["concurrency"] == {
            "group": "deploy-${{ inputs.environment }}", "cancel-in-progress": False,
        }  # fmt: skip
        assert job["steps"][0]["with"]["fetch-depth"] == 0
        assert 0 < job["timeout-minutes"] <= 20
    assert gitlab[".by-hand"]["resource_group"] == "deploy-$ENVIRONMENT"
    assert gitlab[".by-hand"]["interruptible"] is False


# One after the other ---------------------------------------------------------------------------------------


def test_workflows_publish_is_exclusive(github: dict[str, Any], gitlab: dict[str, Any]) -> None:
    assert github["jobs"]["publish"]["concurrency"] == {"group": "publish", "cancel-in-progress": False}
    assert "concurrency" not in github
    assert gitlab["publish"]["resource_group"] == "publish"
    assert gitlab["publish"]["interruptible"] is False


def test_workflows_publish_every_push(github: dict[str, Any], gitlab: dict[str, Any]) -> None:
    """What publishing waits for is not ended by a newer push either."""
    concurrency = github["jobs"][github["jobs"]["publish"]["needs"]]["concurrency"]
    assert concurrency["cancel-in-progress"] is False
    assert "github.sha" in concurrency["group"]
    on_main = next(
        rule
        for rule in gitlab["workflow"]["rules"]
        if rule["if"] == "$CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH"
    )
    assert on_main["auto_cancel"] == {"on_new_commit": "none"}


def test_workflows_newer_push_ends_older_run(github: dict[str, Any], gitlab: dict[str, Any]) -> None:
    concurrency = github["jobs"]["pipeline"]["concurrency"]
    assert concurrency["cancel-in-progress"] is True
    assert "github.ref" in concurrency["group"]
    assert gitlab["pipeline"]["interruptible"] is True


def test_workflows_fetch_history(github: dict[str, Any], gitlab: dict[str, Any]) -> None:
    for name in ("pipeline", "publish"):
        assert github["jobs"][name]["steps"][0]["with"]["fetch-depth"] == 0
    assert gitlab["variables"]["GIT_DEPTH"] == "0"


def test_workflows_keep_reports(github: dict[str, Any], gitlab: dict[str, Any]) -> None:
    for name in ("pipeline", "publish"):
        last = github["jobs"][name]["steps"][-1]
        assert last["uses"].startswith("actions/upload-artifact@")
        assert last["if"] == "${{ !cancelled() }}"
        assert last["with"]["path"] == "reports/"
        assert gitlab[name]["extends"] == ".reports"
    assert gitlab[".reports"]["artifacts"]["when"] == "always"
    assert gitlab[".reports"]["artifacts"]["reports"] == {"junit": "reports/*.xml"}


def test_workflows_have_timeouts(github: dict[str, Any], gitlab: dict[str, Any]) -> None:
    assert all(0 < job["timeout-minutes"] <= 60 for job in github["jobs"].values())
    assert {gitlab["check"]["timeout"], gitlab[".reports"]["timeout"]} == {"20 minutes", "60 minutes"}
