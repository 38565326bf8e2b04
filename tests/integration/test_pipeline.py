"""The whole way of a push: a small site with a real engine, a real Solr, a real registry and real git.

One push is taken the whole way first; what others are about starts from where that left everything.
"""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import docker
import pytest
import requests

from haybale import config, errors
from haybale.checkout import read_checkout
from haybale.errors import DumpError, RegistryError, UsageError, VerifyError
from haybale.images.build import ensure_stage, is_stage_current
from haybale.index.key import KEY_LABEL, Key, compute_key
from haybale.release.record import Suite, find_record
from tests.integration.hostile import DOT_ENV, make_hostile_home

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    ShrinkDump = Callable[[Path, int], None]

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("engine")]

# As in `git commit` by anybody; CI machines have no identity of their own.
IDENTITY = {
    "GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@example.org",
    "GIT_COMMITTER_NAME": "A", "GIT_COMMITTER_EMAIL": "a@example.org",
}  # fmt: skip
# What a CI system around these tests says of itself is not about the repositories of these tests.
STRANGE = ("GITHUB_", "GITLAB_", "GITEA_", "FORGEJO_", "CI_", "RUNNER_")

# The small site's name has the run of these tests (conftest.py).
SMALL = f"small-{os.environ['HAYBALE_TEST_RUN']}"

# A stand-in for the suites: leaves a trace in reports/ when it ran.
REPORT = r"<testsuites><testsuite tests=\"3\" skipped=\"1\"/></testsuites>"
SUITE = f'["sh", "-c", "echo ran > /reports/ran; echo \'{REPORT}\' > {{report}}"]'


@dataclass(frozen=True)
class Clone:
    """A clone of the small site, whose remote and registry are real servers' on this machine."""

    path: Path
    remote: Path
    registry: str
    image_names: Callable[..., dict[str, str]]

    def git(self, *arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.path, env={**os.environ, **IDENTITY}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def commit(self, message: str) -> str:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)
        return self.git("rev-parse", "HEAD")

    def haybale(self, *arguments: str, code: int | None = 0, **env: str) -> subprocess.CompletedProcess[str]:
        """Run a verb; `code` None: any that is not 0."""
        done = subprocess.run(
            [sys.executable, "-m", "haybale", *arguments],
            cwd=self.path, env={**self.env(), **env}, stdin=subprocess.DEVNULL, capture_output=True,
            text=True, check=False,
        )  # fmt: skip
        assert done.returncode == code or (code is None and done.returncode), done.stderr
        return done

    def env(self) -> dict[str, str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(STRANGE)}
        clean.pop("prNum", None)
        return {**clean, **IDENTITY}

    def key(self) -> str:
        return compute_key(config.load(self.path, {})).value

    def version(self) -> str:
        return self.haybale("version").stdout.strip()

    def plan(self, *arguments: str) -> dict[str, Any]:
        return dict(json.loads(self.haybale("pipeline", "--plan", "--json", *arguments).stdout))

    def digest(self, tag: str) -> str:
        """The registry's own answer; "" for none."""
        host, _, name = self.registry.partition("/")
        accept = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, "
        accept += "application/vnd.docker.distribution.manifest.v2+json"
        answer = requests.head(
            f"http://{host}/v2/{name}/manifests/{tag}", headers={"Accept": accept}, timeout=30
        )
        assert answer.status_code in {200, 404}
        return answer.headers["Docker-Content-Digest"] if answer.ok else ""

    def remote_refs(self) -> dict[str, str]:
        listed = subprocess.run(
            ["git", "for-each-ref", "--format=%(refname) %(objectname)"],
            cwd=self.remote, capture_output=True, text=True, check=True,
        )  # fmt: skip
        return dict(line.split() for line in listed.stdout.splitlines())

    def summary(self) -> dict[str, Any]:
        newest = max((self.path / ".haybale/runs").iterdir())
        return dict(json.loads((newest / "summary.json").read_text(encoding="utf-8")))

    def marks(self) -> tuple[str, ...]:
        """What only this clone's things on the engine have, in their names or their labels."""
        runs = self.path / ".haybale/runs"
        return (self.registry, str(self.path), *(run.name for run in runs.glob("*")))

    def images(self) -> dict[str, str]:
        """The engine's images of this site: name -> id."""
        return self.image_names(*self.marks())

    def leftovers(self) -> list[str]:
        """What runs may not leave on the engine: containers, volumes, networks, unfinished images."""
        lines = [
            *docker_lines("ps", "--all", "--no-trunc", "--format", "{{.Names}} {{.Image}} {{.Labels}}"),
            *docker_lines("volume", "ls", "--format", "{{.Name}} {{.Labels}}"),
            *docker_lines("network", "ls", "--format", "{{.Name}} {{.Labels}}"),
            *(name for name in self.images() if "unverified" in name or "empty" in name),
        ]
        return [line for line in lines if any(mark in line for mark in self.marks())]

    def engine_events(self, since: float) -> list[dict[str, Any]]:
        """What the engine did since a time (seconds since 1970) with containers and images of this clone."""
        # In whole seconds: what came before in the first one is of the test before.
        events = docker.from_env().events(since=int(since), until=int(time.time()) + 1, decode=True)
        marks = (*self.marks(), *self.images().values())
        return [
            event for event in events
            if event["timeNano"] >= since * 10**9 and any(mark in json.dumps(event) for mark in marks)
        ]  # fmt: skip

    def outcomes(self) -> dict[str, str]:
        return {step["state"]: step["outcome"] for step in self.summary()["steps"]}


def docker_lines(*arguments: str) -> list[str]:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


# Where a deployment says which images it is of.
PINNED = "deploy/overlays/dev/images/kustomization.yaml"


@pytest.fixture(scope="module")
def first(  # noqa: PLR0917
    root: Path, tmp_path_factory: pytest.TempPathFactory, template: Path, shrink_dump: ShrinkDump,
    solr_image: str, registry: str, image_names: Callable[..., dict[str, str]],
) -> Iterator[Clone]:  # fmt: skip
    """A clone whose main was published once, as v0.1.0-r1; its images are removed after all tests."""
    folder = tmp_path_factory.mktemp("pipeline")
    path, remote = folder / "site", folder / "remote.git"
    shutil.copytree(template, path, symlinks=True)
    shrink_dump(path, 3)
    file = path / "pyproject.toml"
    text = file.read_text(encoding="utf-8")
    head, _, rest = text.partition("[tool.haybale]")
    _, _, rest = rest.partition("[tool.mypy]")
    file.write_text(
        f'{head}[tool.haybale]\nname = "{SMALL}"\nregistry = "{registry}/{SMALL}"\ncore = "sotu"\n'
        # Without its browser: haybale makes a tester of the release stage.
        'dockerfile = "Dockerfile"\nstages = {release = "release", solr = "solr"}\n'
        'compose = {solr = "docker-compose.solr.yml", ci = "docker-compose.ci.yml"}\n'
        'site = {folder = "web", health = "/health/"}\n'
        'requirements = {source = "web/requirements.in", production = "web/requirements.prod.txt", '
        'development = "web/requirements.txt"}\n'
        '[tool.haybale.index]\ninputs = ["web/sotu/urls.py"]\n[tool.haybale.environments.dev]\n'
        f'[tool.haybale.images]\nsolr = "{solr_image}"\n'
        '[tool.haybale.hooks.publish]\nafter = ["cp /dev/stdin reports/published.json"]\n'
        f"[tool.haybale.test.suites.site]\ncommand = {SUITE}\n"
        f"[tool.mypy]{rest}",
        encoding="utf-8",
    )
    version_file(path).write_text(
        version_file(root).read_text(encoding="utf-8").replace(released(root), "0.1.0"), encoding="utf-8"
    )
    subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", str(remote)], check=True)
    clone = Clone(path=path, remote=remote, registry=f"{registry}/{SMALL}", image_names=image_names)
    clone.git("init", "--quiet", "--initial-branch=main")
    clone.commit("The first commit")
    clone.git("remote", "add", "origin", str(remote))
    clone.git("push", "--quiet", "--set-upstream", "origin", "main")
    try:
        clone.haybale("pipeline", "--publish")
        yield clone
    finally:
        subprocess.run(
            ["docker", "image", "rm", "--force", *clone.images()], capture_output=True, check=False
        )


def version_file(folder: Path) -> Path:
    return folder / ".bumpversion.cfg"


def released(folder: Path) -> str:
    lines = version_file(folder).read_text(encoding="utf-8").splitlines()
    return next(line.split("=")[1].strip() for line in lines if line.startswith("current_version"))


def fork(first: Clone, folder: Path) -> Clone:
    """A clone of the small site with a remote of its own, as the first push left them."""
    remote, path = folder / "remote.git", folder / "site"
    subprocess.run(["git", "clone", "--quiet", "--mirror", str(first.remote), str(remote)], check=True)
    subprocess.run(["git", "clone", "--quiet", str(remote), str(path)], check=True)
    return replace(first, path=path, remote=remote)


# What the first push left --------------------------------------------------------------------------------


def test_pipeline_publishes_images_commit_and_tag(first: Clone) -> None:
    refs = first.remote_refs()
    tagged = subprocess.run(
        ["git", "cat-file", "-p", "v0.1.0-r1"], cwd=first.remote, capture_output=True, text=True, check=True
    ).stdout
    assert set(refs) == {"refs/heads/main", "refs/tags/v0.1.0-r1"}
    assert f"object {refs['refs/heads/main']}" in tagged
    assert first.git("rev-parse", "HEAD") == refs["refs/heads/main"]
    assert first.git("status", "--porcelain") == ""
    index = first.digest(f"solr-{first.key()}")
    assert index
    assert first.digest("v0.1.0-r1-solr") == index
    record = find_record(tagged.splitlines())
    assert record is not None
    assert str(record.site) == f"{first.registry}@{first.digest('v0.1.0-r1')}"
    assert str(record.index) == f"{first.registry}@{index}"
    assert record.key == first.key()
    assert record.counts["archive.passage"] == 62
    assert record.tests == {"site": Suite(tests=3, skipped=1)}
    assert all(digest.startswith("sha256:") for digest in record.bases.values())
    labels = docker.from_env().images.get(f"{first.registry}:v0.1.0-r1").labels
    assert labels["org.opencontainers.image.revision"] == refs["refs/heads/main"]
    assert labels["org.opencontainers.image.version"] == "v0.1.0-r1"
    assert (first.path / "reports/ran").read_text(encoding="utf-8") == "ran\n"


def test_published_version_can_be_verified_and_deployed(first: Clone, tmp_path: Path) -> None:
    clone = fork(first, tmp_path)
    checks = json.loads(clone.haybale("verify-release", "v0.1.0-r1", "--json").stdout)["checks"]
    assert checks
    assert [check["name"] for check in checks if not check["passed"]] == []
    assert "dev/deploy: nothing -> " in clone.haybale("deploy", "dev", "--plan").stderr
    assert not [ref for ref in clone.remote_refs() if "deploy" in ref]
    clone.haybale("deploy", "dev")
    (dev,) = json.loads(clone.haybale("status", "--json").stdout)["environments"]
    assert (dev["version"], dev["drift"], dev["by"]) == ("v0.1.0-r1", [], IDENTITY["GIT_COMMITTER_NAME"])
    pinned = clone.git("show", f"{clone.remote_refs()['refs/tags/dev/deploy']}^{{tree}}:{PINNED}")
    assert f"digest: {first.digest('v0.1.0-r1')}" in pinned
    assert f"digest: {first.digest('v0.1.0-r1-solr')}" in pinned
    assert "already" in clone.haybale("deploy", "dev").stderr


def test_pipeline_journals_every_step(first: Clone) -> None:
    assert first.outcomes() == {
        "onPush": "done", "changeDetected": "done", "newData": "done", "regenSolr": "done",
        "untagSolrImage": "done", "postCheck": "done", "bumpVersion": "done", "bvMerge": "done",
        "retagSolrImage": "done", "buildTestRunner": "done", "runTests": "done", "publish": "done",
    }  # fmt: skip
    (log,) = (first.path / ".haybale/runs").glob("*/events.jsonl")
    written = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    assert written[0]["event"] == "planned"
    assert written[-1] | {"time": ""} == {"time": "", "event": "ended", "outcome": "passed"}
    started = [event["state"] for event in written if event["event"] == "started"]
    finished = [event["state"] for event in written if event["event"] == "finished"]
    assert started == finished == list(first.outcomes())


def test_hook_after_publish_is_told_the_version_and_its_digests(first: Clone) -> None:
    told = json.loads((first.path / "reports/published.json").read_text(encoding="utf-8"))
    assert (told["state"], told["outcome"], told["release"]) == ("publish", "done", "v0.1.0-r1")
    assert told["result"]["commit"] == first.remote_refs()["refs/heads/main"]
    assert f"{first.registry}:v0.1.0-r1-solr" in told["result"]["images"]


def test_pipeline_leaves_nothing_on_the_engine_but_images(first: Clone) -> None:
    assert first.remote_refs()
    assert first.images()
    assert first.leftovers() == []


def test_plan_touches_nothing(first: Clone, tmp_path: Path) -> None:
    clone = fork(first, tmp_path)
    images, refs, since = clone.images(), clone.remote_refs(), time.time()
    planned = clone.plan("--publish")
    assert clone.images() == images
    assert clone.leftovers() == []
    assert clone.engine_events(since) == []
    assert clone.remote_refs() == refs
    assert clone.git("status", "--porcelain", "--branch") == "## main...origin/main"
    assert not (clone.path / ".haybale/runs").exists()
    assert planned["facts"]["released"] == "v0.1.0-r1"


@pytest.mark.parametrize(("arguments", "most"), [((), 4), (("--publish",), 4), (("--strategy", "head"), 5)])
def test_plan_starts_few_git_processes(
    first: Clone, tmp_path: Path, arguments: tuple[str, ...], most: int
) -> None:
    """HEAD is read once: at most half of the 8, 9 and 10 processes that reading it at every stop took."""
    clone = fork(first, tmp_path)
    (clone.path / "README.md").write_text("Other words\n", encoding="utf-8")
    clone.commit("Reword")
    started = tmp_path / "started"
    counting = tmp_path / "bin/git"
    counting.parent.mkdir()
    counting.write_text(
        f'#!/bin/sh\necho "$@" >> {started}\nexec {shutil.which("git")} "$@"\n', encoding="utf-8"
    )
    counting.chmod(0o755)
    clone.haybale("pipeline", "--plan", *arguments, PATH=f"{counting.parent}:{os.environ['PATH']}")
    assert 0 < len(started.read_text(encoding="utf-8").splitlines()) <= most


def test_plan_by_head_asks_for_the_dump_s_last_commit(
    first: Clone, shrink_dump: ShrinkDump, tmp_path: Path
) -> None:
    clone = fork(first, tmp_path)
    asked = ("--strategy", "head")
    assert clone.plan(*asked)["facts"]["dump_at_head"] is False
    shrink_dump(clone.path, 1)
    clone.commit("Fewer addresses")
    planned = clone.plan(*asked)
    assert planned["facts"]["dump_at_head"] is True
    assert "regenSolr" in [step["state"] for step in planned["steps"]]
    (clone.path / "README.md").write_text("Other words\n", encoding="utf-8")
    clone.commit("Reword")
    assert clone.plan(*asked)["facts"]["dump_at_head"] is False


# Checks of what hurt before ------------------------------------------------------------------------------


def test_check_13_second_run_on_unchanged_inputs_builds_and_pushes_nothing(first: Clone) -> None:
    """Counted from the engine's own events and the registry's own log."""
    since, writes = time.time(), pushes(first.registry)
    first.haybale("pipeline", "--publish")
    events = first.engine_events(since)
    started = [event for event in events if (event["Type"], event["Action"]) == ("container", "start")]
    assert started
    # Without compose, a container is one that verifies an image.
    assert [each for each in started if "com.docker.compose.service" not in each["Actor"]["Attributes"]] == []
    made = {"build", "pull", "push", "load", "create"}
    assert [each for each in events if each["Type"] == "image" and each["Action"] in made] == []
    assert pushes(first.registry) == writes
    assert first.outcomes()["pullSolrImage"] == "done"
    assert first.outcomes()["publish"] == "skipped"


def pushes(repository: str) -> int:
    """Return how many requests that write the registry has had, by its own log."""
    port = repository.partition("/")[0].rpartition(":")[2]
    for container in docker.from_env().containers.list(ignore_removed=True):
        for bindings in container.ports.values():
            if any(binding["HostPort"] == port for binding in bindings or ()):
                log = container.logs().decode(errors="replace")
                return sum(log.count(f'"{verb} /v2/') for verb in ("PUT", "POST", "PATCH"))
    pytest.fail("there is no registry on that port")


def test_pipeline_of_a_commit_that_a_newer_version_contains_ends_well_and_publishes_nothing(
    first: Clone, tmp_path: Path
) -> None:
    """As all jobs that are run again, or the first of two quick pushes after the run of the second."""
    clone = fork(first, tmp_path)
    clone.git("reset", "--quiet", "--hard", "HEAD~1")
    pushed, refs, writes = clone.git("rev-parse", "HEAD"), clone.remote_refs(), pushes(first.registry)
    output = clone.haybale(
        "pipeline", "--publish", GITHUB_ACTIONS="true", GITHUB_EVENT_NAME="push", GITHUB_REPOSITORY="a/b",
        GITHUB_REF="refs/heads/main", GITHUB_REF_NAME="main", GITHUB_SHA=pushed,
        # Another clone may have this version's image by now: to build it again writes the registry's cache.
        NO_CACHE_TO="1",
    ).stderr  # fmt: skip
    assert "this commit is in v0.1.0-r1 already" in output
    assert (clone.outcomes()["bumpVersion"], clone.outcomes()["publish"]) == ("skipped", "skipped")
    assert clone.summary()["outcome"] == "passed"
    assert clone.git("rev-parse", "HEAD") == pushed
    assert clone.remote_refs() == refs
    assert pushes(first.registry) == writes


def test_check_10_notest_skips_the_tests_visibly(first: Clone, tmp_path: Path) -> None:
    clone = fork(first, tmp_path)
    (clone.path / "README.md").write_text("Other words\n", encoding="utf-8")
    clone.commit("Reword [notest]")
    page = tmp_path / "step-summary.md"
    output = clone.haybale("pipeline", GITHUB_STEP_SUMMARY=str(page)).stderr
    assert clone.outcomes()["runTests"] == "skipped"
    assert "[notest]" in output
    assert "was NOT tested" in page.read_text(encoding="utf-8")
    assert not (clone.path / "reports/ran").exists()


def test_check_3_broken_dump_ends_a_run_before_any_container_starts(first: Clone, tmp_path: Path) -> None:
    clone = fork(first, tmp_path)
    link = clone.path / "dumps/sotu_latest.sqlite3.zip"
    since = time.time()
    whole = link.read_bytes()
    for spoil, name in (
        (lambda: link.resolve().write_bytes(whole[: len(whole) // 2]), link.resolve().name),
        (lambda: link.resolve().unlink(), link.name),
        (link.unlink, "dumps/"),
    ):
        spoil()
        assert name in clone.haybale("pipeline", code=DumpError.exit_code).stderr
    assert [each for each in clone.engine_events(since) if each["Type"] == "container"] == []


def test_check_8_failed_image_push_leaves_the_remote_as_it_was(first: Clone, tmp_path: Path) -> None:
    clone = fork(first, tmp_path)
    (clone.path / "README.md").write_text("Other words\n", encoding="utf-8")
    clone.commit("Reword [notest]")
    clone.git("push", "--quiet")
    refs = clone.remote_refs()
    with gate(first.registry) as (address, refused):
        output = clone.haybale("pipeline", "--publish", code=None, REGISTRY=f"{address}/{SMALL}").stderr
    docker_lines("image", "rm", *clone.image_names(address))
    assert refused, output
    assert "could not be pushed" in output
    assert clone.remote_refs() == refs
    assert clone.git("tag", "--list") == "v0.1.0-r1"
    assert clone.git("rev-parse", "HEAD") == refs["refs/heads/main"]
    assert clone.outcomes()["publish"] == "failed"


@contextlib.contextmanager
def gate(repository: str) -> Iterator[tuple[str, list[str]]]:
    """A server before the registry that lets everybody read and nobody write: HOST:PORT, and refusals."""
    behind = f"http://{repository.partition('/')[0]}"
    refused: list[str] = []

    class Gate(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # The engine tries TLS first; an answer that looks like HTTP tells it to go without.
        default_request_version = "HTTP/1.1"

        def read(self) -> None:
            # An engine sends a header line for each media type that it accepts.
            names = {name for name in self.headers if name != "Host"}
            headers = {name: ", ".join(self.headers.get_all(name, [])) for name in names}
            answer = requests.request(
                self.command, behind + self.path, headers=headers, timeout=60, stream=True
            )
            self.send_response(answer.status_code)
            for name, value in answer.headers.items():
                if name not in {"Connection", "Transfer-Encoding"}:
                    self.send_header(name, value)
            self.send_header("Connection", "close")
            self.end_headers()
            for chunk in answer.raw.stream(1 << 16, decode_content=False):
                self.wfile.write(chunk)

        def refuse(self) -> None:
            refused.append(f"{self.command} {self.path}")
            self.send_response(403)
            self.send_header("Content-Length", "0")
            self.send_header("Connection", "close")
            self.end_headers()

        do_GET = do_HEAD = read  # noqa: N815 - http.server's names
        do_PUT = do_POST = do_PATCH = refuse  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Gate) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"127.0.0.1:{server.server_port}", refused
        finally:
            server.shutdown()


def test_ensure_stage_builds_only_where_something_changed(first: Clone) -> None:
    def is_current(**env: str) -> bool:
        return is_stage_current(read_checkout(config.load(first.path, env), {}), "release")

    checkout = read_checkout(config.load(first.path, {}), {})
    ensure_stage(checkout, "release", lambda _: None)
    assert is_current()
    assert not ensure_stage(checkout, "release", pytest.fail)
    new, tracked = first.path / "web/new.txt", first.path / "web/archive/topics.py"
    before = tracked.read_text(encoding="utf-8")
    new.touch()
    assert not is_current()
    new.unlink()
    tracked.write_text(before + "# changed\n", encoding="utf-8")
    assert not is_current()
    tracked.write_text(before, encoding="utf-8")
    assert is_current()
    assert not is_current(PYTHON_IMAGE=checkout.settings.images.solr)


# A branch with data of its own ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def topic(shrink_dump: ShrinkDump, first: Clone, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A pull request with another dump, after its pipeline, with all at once that must change nothing."""
    folder = tmp_path_factory.mktemp("topic")
    clone = fork(first, folder)
    hostile = make_hostile_home(folder / "home")
    # Where compose and buildx are plugins of the user, they are found by this.
    hostile["DOCKER_CONFIG"] = os.environ.get("DOCKER_CONFIG", str(Path.home() / ".docker"))
    (clone.path / ".env").write_text(DOT_ENV, encoding="utf-8")
    clone.git("switch", "--quiet", "--create", "topic")
    shrink_dump(clone.path, 2)
    clone.commit("Fewer addresses")
    payload = clone.path.parent / "event.json"
    payload.write_text(
        json.dumps({"pull_request": {"number": 12, "head": {"ref": "topic"}, "base": {"ref": "main"}}}),
        encoding="utf-8",
    )
    clone.haybale(
        "pipeline", "--push-index", code=0, GITHUB_ACTIONS="true", GITHUB_EVENT_NAME="pull_request",
        GITHUB_EVENT_PATH=str(payload), GITHUB_REF="refs/pull/12/merge", GITHUB_HEAD_REF="topic",
        GITHUB_BASE_REF="main", GITHUB_REPOSITORY="a/b", GITHUB_SHA=clone.git("rev-parse", "HEAD"), **hostile,
    )  # fmt: skip
    return clone


def test_check_4_two_branches_with_different_data_at_one_version_have_different_indexes(
    first: Clone, topic: Clone
) -> None:
    assert topic.version() == first.version()
    assert topic.key() != first.key()
    main, other = first.digest(f"solr-{first.key()}"), topic.digest(f"solr-{topic.key()}")
    assert main
    assert other
    assert main != other
    assert first.digest("v0.1.0-r1-solr") == main
    assert not first.digest("v0.1.0-r1-12-solr")


def test_check_5_pull_request_with_new_data_tests_the_index_that_was_built_of_it(topic: Clone) -> None:
    (log,) = (topic.path / ".haybale/runs").glob("*/events.jsonl")
    events = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    made = {event["state"]: event["result"] for event in events if event["event"] == "finished"}
    name = f"{topic.registry}:solr-{topic.key()}"
    image = docker.from_env().images.get(name)
    assert made["regenSolr"]["id"] == made["runTests"]["images"][name] == image.id
    assert Key.from_json(image.labels[KEY_LABEL]).value == topic.key()
    assert topic.summary()["event"] == "pull-request"
    assert topic.outcomes()["bumpVersion"] == topic.outcomes()["publish"] == "skipped"


def test_pipeline_in_a_hostile_environment_runs_the_tests_with_its_index(topic: Clone) -> None:
    assert topic.summary()["outcome"] == "passed"
    assert topic.outcomes()["regenSolr"] == topic.outcomes()["runTests"] == "done"
    assert (topic.path / "reports/ran").read_text(encoding="utf-8") == "ran\n"
    assert topic.leftovers() == []


def test_pipeline_of_a_pull_request_has_its_number_in_the_version_and_publishes_nothing(topic: Clone) -> None:
    assert topic.summary()["release"] == "v0.1.0-r1-12"
    assert set(topic.remote_refs()) == {"refs/heads/main", "refs/tags/v0.1.0-r1"}


def test_pipeline_pulls_an_index_that_was_pushed(topic: Clone) -> None:
    name = f"{topic.registry}:solr-{topic.key()}"
    for tag in docker.from_env().images.get(name).tags:
        if tag.startswith(topic.registry) or tag == "solr:latest":
            docker.from_env().images.remove(tag)
    planned = topic.plan()
    assert (planned["facts"]["image_local"], planned["facts"]["image_in_registry"]) == (False, True)
    topic.haybale("pipeline")
    assert topic.outcomes()["pullSolrImage"] == "done"
    assert "regenSolr" not in topic.outcomes()
    assert docker.from_env().images.get(name).tags


def test_pipeline_refuses_an_image_that_is_not_what_its_name_says(
    first: Clone, shrink_dump: ShrinkDump, tmp_path: Path
) -> None:
    """Somebody gave main's index the name of another key."""
    clone = fork(first, tmp_path)
    shrink_dump(clone.path, 1)
    name = f"{clone.registry}:solr-{clone.key()}"
    client = docker.from_env()
    client.images.get(f"{first.registry}:solr-{first.key()}").tag(name)
    client.images.push(name)
    client.images.remove(name)
    output = clone.haybale("pipeline", code=VerifyError.exit_code).stderr
    assert f"{name} is not the index that its name says" in output
    with pytest.raises(docker.errors.ImageNotFound):
        client.images.get(name)


def test_pipeline_does_not_index_again_where_the_registry_does_not_answer(
    first: Clone, shrink_dump: ShrinkDump, tmp_path: Path
) -> None:
    clone = fork(first, tmp_path)
    shrink_dump(clone.path, 1)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        closed = f"127.0.0.1:{taken.getsockname()[1]}/{SMALL}"
        output = clone.haybale("pipeline", code=RegistryError.exit_code, REGISTRY=closed).stderr
    assert closed.partition("/")[0] in output
    assert not list((clone.path / ".haybale/runs").glob("*/summary.json"))


# What is killed goes on ----------------------------------------------------------------------------------

# Kills its own process with SIGKILL at an event of a state: after it was written ("started"), or just before
# ("finished": the work is done, and not written down).
KILLED = """
import os, signal, sys
from haybale.pipeline import journal
event, state, *arguments = sys.argv[1:]
write = journal.Run.write
def deadly(run, written):
    now = type(written).__name__.lower(), getattr(written, "state", None)
    if now == ("finished", state) and event == "finished":
        os.killpg(0, signal.SIGKILL)
    write(run, written)
    if now == ("started", state) and event == "started":
        os.killpg(0, signal.SIGKILL)
journal.Run.write = deadly
sys.argv = ["haybale", *arguments]
from haybale.cli import main
main()
"""

STATES = (
    "onPush", "changeDetected", "newData", "regenSolr", "untagSolrImage", "postCheck", "bumpVersion",
    "bvMerge", "retagSolrImage", "buildTestRunner", "runTests", "publish",
)  # fmt: skip


def test_resume_after_a_kill_at_every_state_ends_as_a_run_without(
    shrink_dump: ShrinkDump, first: Clone, tmp_path: Path
) -> None:
    killed, calm = fork(first, tmp_path / "killed"), fork(first, tmp_path / "calm")
    for clone in (killed, calm):
        shrink_dump(clone.path, 4)
        clone.commit("More addresses")
        clone.git("push", "--quiet")
    with subprocess.Popen(
        [sys.executable, "-m", "haybale", "pipeline", "--publish"],
        cwd=killed.path, env=killed.env(), start_new_session=True, stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE, text=True,
    ) as loading:  # fmt: skip
        assert loading.stderr
        assert any(line.strip() == "• loading" for line in loading.stderr)
        os.killpg(loading.pid, signal.SIGKILL)
    assert killed.leftovers()
    arguments = ["pipeline", "--resume"]
    for state in STATES:
        for event in ("started", "finished"):
            with subprocess.Popen(
                [sys.executable, "-c", KILLED, event, state, *arguments],
                cwd=killed.path, env=killed.env(), start_new_session=True, stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            ) as process:  # fmt: skip
                _, output = process.communicate()
            assert process.returncode == -signal.SIGKILL, output
    killed.haybale("pipeline", "--resume")
    assert len(list((killed.path / ".haybale/runs").iterdir())) == 1
    calm.haybale("pipeline", "--publish")

    assert killed.key() == calm.key()
    assert killed.version() == calm.version() == "v0.1.0-r2"
    assert set(killed.remote_refs()) == set(calm.remote_refs())
    assert killed.git("rev-parse", "HEAD") == killed.remote_refs()["refs/heads/main"]
    assert killed.git("rev-parse", "HEAD^{tree}") == calm.git("rev-parse", "HEAD^{tree}")
    assert killed.git("rev-list", "--count", "HEAD") == calm.git("rev-list", "--count", "HEAD")
    images = [killed.summary()["images"], calm.summary()["images"]]
    assert set(images[0]) == set(images[1])
    index = f"{first.registry}:v0.1.0-r2-solr"
    assert images[0][index] == images[1][index] == killed.digest(f"solr-{killed.key()}")
    assert set(killed.outcomes().values()) == {"done", "resumed"}
    assert killed.leftovers() == calm.leftovers() == []
    assert killed.git("worktree", "list").count("\n") == 0


def test_resume_repeats_no_finished_step_but_lost_results(first: Clone, tmp_path: Path) -> None:
    clone = fork(first, tmp_path)
    (clone.path / "README.md").write_text("Other words\n", encoding="utf-8")
    clone.commit("Reword")
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, "started", "runTests", "pipeline"],
        cwd=clone.path, env=clone.env(), start_new_session=True, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        process.wait()
    docker.from_env().images.remove(f"{clone.registry}:{clone.version()}-tester", force=True)
    clone.haybale("pipeline", "--resume")
    assert clone.outcomes() | {"onPush": "", "changeDetected": "", "newData": "", "postCheck": ""} == {
        "onPush": "", "changeDetected": "", "newData": "", "postCheck": "", "checkCurrentSolrExists": "done",
        "pullSolrImage": "resumed", "untagSolrImage": "resumed", "bumpVersion": "skipped",
        "retagSolrImage": "resumed", "buildTestRunner": "done", "runTests": "done", "publish": "skipped",
    }  # fmt: skip


def test_resume_refuses_another_tree(first: Clone, tmp_path: Path) -> None:
    clone = fork(first, tmp_path)
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, "started", "untagSolrImage", "pipeline"], cwd=clone.path,
        env=clone.env(), start_new_session=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        process.wait()
    (clone.path / "README.md").write_text("Other words\n", encoding="utf-8")
    clone.commit("Reword")
    assert "cannot be resumed" in clone.haybale("pipeline", "--resume", code=UsageError.exit_code).stderr


# Last: it builds the first clone's images again, of other files.
def test_next_step_after_failed_tests_starts_the_same_services(first: Clone) -> None:
    for name in ("justfile", "noxfile.py"):
        # Commands are named as they are without recipes and sessions.
        (first.path / name).unlink()
    file = first.path / "pyproject.toml"
    file.write_text(file.read_text(encoding="utf-8").replace(SUITE, '["false"]'), encoding="utf-8")
    failed = first.haybale("test", code=errors.TestsFailedError.exit_code).stderr
    found = re.search(r"^  next:  .*?\bhaybale (?P<up>ci-dc up\b[^;,]*)$", failed, re.MULTILINE)
    assert found, failed
    try:
        first.haybale(*shlex.split(found["up"]))
        running = first.haybale("ci-dc", "ps", "--services", "--status", "running").stdout.split()
        assert {"solr", "tester", "web"} <= {*running}
    finally:
        first.haybale("ci-dc", "down", "--volumes", "--timeout", "0")
