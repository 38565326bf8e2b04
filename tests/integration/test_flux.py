"""Manifests against Flux's and Kubernetes's own schemas, kustomize, and rehearsals with a real git."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from haybale import config, rehearsal
from haybale.deploy.commit import images_file, make_deployment_commit, placeholder_images_file
from haybale.deploy.flux import (
    base_files,
    generated_files,
    initial_files,
    render_objects,
    write_manifests,
)
from haybale.errors import ConfigError, PrerequisiteError, ReleaseError, UsageError
from haybale.image_ref import ImageRef
from haybale.rehearsal.run import rehearse_deployment

if TYPE_CHECKING:
    from typing import Protocol

    class Site(Protocol):
        def __call__(self, more: str = "") -> config.Project: ...

    class Build(Protocol):
        def __call__(self, folder: Path) -> list[dict[str, Any]]: ...


pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("_alone")]

CRDS = os.environ.get("HAYBALE_FLUX_CRDS", "")
needs_crds = pytest.mark.skipif(not CRDS, reason="HAYBALE_FLUX_CRDS names no folder with Flux's CRDs")
KUBERNETES = "1.33"
DIGEST = "sha256:" + "ab" * 32
OTHER = "sha256:" + "cd" * 32
IMAGES = ImageRef.parse("registry.example/hay")
FORGES = ("github", "gitlab", "generic")


def quiet(_text: str) -> None:
    """Say nothing."""


@pytest.fixture
def site(tmp_path: Path, root: Path) -> Site:
    """Give a function that makes a repository with the base's manifests and these further settings."""

    def make(more: str = "") -> config.Project:
        folder = tmp_path / "site"
        folder.mkdir()
        shutil.copytree(root / "deploy/base", folder / "deploy/base")
        (folder / "pyproject.toml").write_text(
            '[tool.haybale]\nname = "hay"\nregistry = "registry.example/hay"\ncore = "hay"\n'
            '[tool.haybale.environments.dev]\nhost = "dev.example"\n'
            '[tool.haybale.environments.prod]\nafter = "dev"\n' + more,
            encoding="utf-8",
        )
        git(folder, "init", "-q", "-b", "main")
        git(folder, "remote", "add", "origin", "https://git.example/hay")
        commit(folder)
        return config.load(folder, {})

    return make


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def commit(folder: Path) -> str:
    git(folder, "add", "--all")
    git(folder, "commit", "-q", "--allow-empty", "-m", "Change something")
    return git(folder, "rev-parse", "HEAD")


def written(project: config.Project) -> Path:
    """Write the manifests where they belong, and commit them."""
    into = project.path(project.settings.flux.folder)
    write_manifests(project, into, quiet)
    commit(project.root)
    return into


def documents(file: Path) -> list[dict[str, Any]]:
    return [each for each in yaml.safe_load_all(file.read_text(encoding="utf-8")) if each]


@pytest.fixture(scope="session")
def kustomize(root: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The executable on PATH, else one built with Go from the digests in requirements/kustomize."""
    found = shutil.which("kustomize")
    if found:
        return found
    why = "there is neither kustomize nor Go on PATH"
    if shutil.which("go"):
        made = tmp_path_factory.mktemp("kustomize") / "kustomize"
        package = "sigs.k8s.io/kustomize/kustomize/v5"
        command = ["go", "build", "-C", str(root / "requirements/kustomize"), "-o", str(made), package]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return str(made)
        why = f"kustomize could not be built: {done.stderr[-500:]}"
    if os.environ.get("CI"):
        pytest.fail(why)
    pytest.skip(why)


@pytest.fixture(scope="session")
def built(kustomize: str) -> Build:
    """Give a function that builds a folder's manifests."""

    def build(folder: Path) -> list[dict[str, Any]]:
        done = subprocess.run([kustomize, "build", folder], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return list(yaml.safe_load_all(done.stdout))

    return build


# Schemas -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def crds() -> dict[tuple[str, str], dict[str, Any]]:
    """Flux's schemas: (apiVersion, kind) -> schema, with fields that it does not know forbidden."""
    found = {}
    for file in Path(CRDS).glob("*.yaml"):
        for crd in documents(file):
            spec = crd["spec"]
            for version in spec["versions"]:
                name = (f"{spec['group']}/{version['name']}", spec["names"]["kind"])
                found[name] = _strict(version["schema"]["openAPIV3Schema"])
    assert found
    return found


def _strict(schema: dict[str, Any]) -> dict[str, Any]:
    """A misspelt field is dropped in silence by Kubernetes, and should be found here."""
    made = {key: _strict(each) if isinstance(each, dict) else each for key, each in schema.items()}
    # metadata is Kubernetes's own, and has no properties here.
    if made.get("type") == "object" and "properties" in made and "additionalProperties" not in made:
        made["additionalProperties"] = False
    return made


@needs_crds
@pytest.mark.parametrize("forge", FORGES)
@pytest.mark.parametrize(
    "more",
    [
        "",
        'credentials = "git"\nfolder = "ops/k8s"\n',
        'credentials = "key"\ninterval = "1.5h"\nurl = "ssh://git@git.example:22/a"\n',
    ],
)
def test_render_objects_match_crds(
    site: Site, crds: dict[tuple[str, str], dict[str, Any]], forge: str, more: str
) -> None:
    project = site(f'[tool.haybale.flux]\nforge = "{forge}"\n{more}')
    into = project.root / "written"
    write_manifests(project, into, quiet)
    for name in project.settings.environments:
        found = documents(into / f"flux/{name}.yaml")
        assert [each["kind"] for each in found] == ["GitRepository", "Receiver", "Kustomization"]
        for each in found:
            jsonschema.validate(each, crds[each["apiVersion"], each["kind"]])


@needs_crds
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("interval: 10m", "interval: 10"),
        ("type: github", "type: githup"),
        ("secretRef:", "secretref:"),
        ("kind: GitRepository\n      name: hay-dev", "kind: GitRepo\n      name: hay-dev"),
        ("prune: true", "prune: 1"),
    ],
)
def test_render_objects_crds_find_mistakes(
    site: Site, crds: dict[tuple[str, str], dict[str, Any]], old: str, new: str
) -> None:
    text = render_objects(site().settings, "dev", "https://git.example/hay")
    assert old in text
    found = list(yaml.safe_load_all(text.replace(old, new)))
    valid = [
        jsonschema.Draft7Validator(crds[each["apiVersion"], each["kind"]]).is_valid(each) for each in found
    ]
    assert not all(valid)


def test_generated_files_secret_matches_kubernetes(site: Site) -> None:
    project = site()
    for name in project.settings.environments:
        (template,) = documents(written(project) / f"flux/{name}.secret.template")
        kubernetes_validate.validate(template, KUBERNETES, strict=True)


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_overlays_match_kubernetes(root: Path, built: Build, environment: str) -> None:
    found = built(root / "deploy/overlays" / environment)
    assert {each["kind"] for each in found} == {
        "ConfigMap", "Deployment", "Ingress", "Namespace", "NetworkPolicy", "PodDisruptionBudget", "Service",
        "ServiceAccount",
    }  # fmt: skip
    for each in found:
        kubernetes_validate.validate(each, KUBERNETES, strict=True)
    homes = {each["metadata"].get("namespace") for each in found if each["kind"] != "Namespace"}
    assert homes == {f"sotu-{environment}"}


def test_overlays_pods_have_least_rights(root: Path, built: Build) -> None:
    """What Kubernetes calls restricted (its Pod Security Standards), and a file system that is only read."""
    pods = [
        each["spec"]["template"]["spec"]
        for each in built(root / "deploy/overlays/dev")
        if each["kind"] == "Deployment"
    ]
    assert len(pods) == 2
    for pod in pods:
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        # Kubernetes would set SOLR_PORT, of a Service's name, to something that Solr can't read.
        assert pod["enableServiceLinks"] is False
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }  # fmt: skip
            assert {"readinessProbe", "livenessProbe", "startupProbe", "resources"} <= set(container)
            assert "memory" in container["resources"]["limits"]
        assert all("emptyDir" in volume for volume in pod["volumes"])


def test_overlays_network_policies(root: Path, built: Build) -> None:
    policies = {
        each["metadata"]["name"]: each["spec"]
        for each in built(root / "deploy/overlays/dev")
        if each["kind"] == "NetworkPolicy"
    }
    assert policies["nothing"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    site_, solr = ({"app.kubernetes.io/name": name} for name in ("site", "solr"))
    assert policies["solr"]["egress"] == []
    (asked,) = policies["solr"]["ingress"]
    assert asked["from"] == [{"podSelector": {"matchLabels": site_}}]
    asks = policies["site"]["egress"]
    assert {"podSelector": {"matchLabels": solr}} in [to for rule in asks for to in rule.get("to", [])]
    assert {port["port"] for rule in asks for port in rule["ports"]} == {53, "http", 5432}


# What is written -----------------------------------------------------------------------------------------


def test_generated_files_are_committed(root: Path) -> None:
    project = config.load(root, {})
    wanted = generated_files(project.settings, project.settings.flux.url or "")
    for path, text in wanted.items():
        assert (root / "deploy" / path).read_text(encoding="utf-8") == text, path
    for path in initial_files(project.settings):
        assert (root / "deploy" / path).is_file(), path
    for path, text in base_files(project.settings).items():
        assert (root / "deploy" / path).read_text(encoding="utf-8") == text, path
    for name in project.settings.environments:
        assert (root / images_file(project, name)).read_text(encoding="utf-8") == placeholder_images_file()


def test_write_manifests_twice(site: Site) -> None:
    project = site()
    into = project.root / "deploy"
    assert len(write_manifests(project, into, quiet)) == 11
    assert write_manifests(project, into, quiet) == ()
    assert [file.name for file in into.rglob(".*")] == []


def test_write_manifests_writes_a_base_that_builds(site: Site, built: Build) -> None:
    project = site(
        '[tool.haybale.site]\nport = 8080\nhealth = "/"\nsettings = "hay.prod"\nuser = "1234"\n'
        'command = ["gunicorn", "hay.wsgi:app"]\n[tool.haybale.site.environment]\n'
        'HAYSTACK_URL = "http://{solr_host}:{solr_port}/solr/{core}"\nSECRET_KEY = "only-for-tests"\n'
        'SOLR_URL = "{solr_url}#{database_url}"\nSITE = "{site_url}"\n'
    )
    shutil.rmtree(project.root / "deploy")
    into = project.root / "deploy"
    assert len(write_manifests(project, into, quiet)) == 15
    assert write_manifests(project, into, quiet) == ()
    (pod,) = (
        each["spec"]["template"]["spec"] for each in built(into / "overlays/dev")
        if (each["kind"], each["metadata"]["name"]) == ("Deployment", "site")
    )  # fmt: skip
    (container,) = pod["containers"]
    # Nothing that is for tests only, and nothing that differs between environments.
    assert {each["name"]: each["value"] for each in container["env"]} == {
        "DJANGO_SETTINGS_MODULE": "hay.prod",
        "HAYSTACK_URL": "http://solr:8983/solr/hay",
        "SOLR_BASE_URL": "http://solr:8983/solr",
    }
    assert container["args"] == ["gunicorn", "hay.wsgi:app"]
    assert container["ports"][0]["containerPort"] == 8080
    assert container["readinessProbe"]["httpGet"]["path"] == "/"
    assert pod["securityContext"]["runAsUser"] == 1234
    for each in built(into / "overlays/dev"):
        kubernetes_validate.validate(each, KUBERNETES, strict=True)
    (into / "base/network.yaml").unlink()
    assert write_manifests(project, into, quiet) == ()


# Their own manifests, their own chart ---------------------------------------------------------------------

OVERLAY = """\
[tool.haybale.flux]
overlay = "k8s/{environment}"
site_image = "ghcr.io/hay/site"
index_image = "solr"
"""

CHART = """\
[tool.haybale.flux]
chart = "charts/hay"
value_files = ["charts/values/{environment}.yaml"]
[tool.haybale.flux.values]
"web.image.repository" = "{site_repository}"
"web.image.tag" = "{site_tag}"
"solr.image" = "{index}"
version = "{version}"
"""

THEIRS = """\
apiVersion: v1
kind: Pod
metadata: {name: all}
spec:
  containers:
    - {name: web, image: "ghcr.io/hay/site:latest"}
    - {name: solr, image: "solr:9"}
"""


def own(project: config.Project, files: dict[str, str]) -> config.Project:
    """Give a repository these files in place of haybale's base."""
    shutil.rmtree(project.root / "deploy")
    for path, text in files.items():
        (project.root / path).parent.mkdir(parents=True, exist_ok=True)
        (project.root / path).write_text(text, encoding="utf-8")
    commit(project.root)
    return project


@pytest.mark.parametrize("kustomization", [None, "resources: [../base]\n"])
def test_own_manifests_get_the_images_of_a_release(
    site: Site, built: Build, tmp_path: Path, kustomization: str | None
) -> None:
    """With a kustomization.yaml of theirs, and without one, where Flux makes it of the manifests."""
    project = site(OVERLAY)
    if kustomization is None:
        files = {f"k8s/{name}/pod.yaml": THEIRS for name in ("dev", "prod")}
    else:
        files = {f"k8s/{name}/kustomization.yaml": kustomization for name in ("dev", "prod")}
        files |= {"k8s/base/kustomization.yaml": "resources: [pod.yaml]\n", "k8s/base/pod.yaml": THEIRS}
    before = own(project, files).root
    written_files = {path.relative_to(before) for path in write_manifests(project, before / "deploy", quiet)}
    assert {str(path) for path in written_files} == {
        "deploy/flux/dev.yaml", "deploy/flux/dev.secret.template", "deploy/flux/prod.yaml",
        "deploy/flux/prod.secret.template", "k8s/dev/images/kustomization.yaml",
        "k8s/prod/images/kustomization.yaml",
    }  # fmt: skip
    head = commit(project.root)
    assert rehearse_deployment(project, "dev", quiet).failures == []
    source, _, applied = documents(project.root / "deploy/flux/dev.yaml")
    assert source["spec"]["ignore"].split() == ["/*", "!/k8s"]
    made = pinned(project, head)
    assert git(project.root, "diff", "--name-only", head, made) == "k8s/dev/images/kustomization.yaml"
    git(project.root, "worktree", "add", "-q", "--detach", str(tmp_path / "deployed"), made)
    # As Flux does: its components are added to the kustomization.yaml, which it makes where there is none.
    folder = tmp_path / "deployed" / applied["spec"]["path"]
    found = yaml.safe_load(kustomization) if kustomization else {"resources": ["pod.yaml"]}
    found["components"] = applied["spec"]["components"]
    (folder / "kustomization.yaml").write_text(json.dumps(found), encoding="utf-8")
    (pod,) = built(folder)
    assert {each["name"]: each["image"] for each in pod["spec"]["containers"]} == {
        "web": f"registry.example/hay@{DIGEST}", "solr": f"registry.example/hay@{OTHER}",
    }  # fmt: skip


def chart_of(site: Site, more: str = CHART) -> config.Project:
    return own(
        site(more),
        {
            "charts/hay/Chart.yaml": "apiVersion: v2\nname: hay\nversion: 0.1.0\n",
            "charts/hay/values.yaml": "replicas: 1\n",
            "charts/values/dev.yaml": "replicas: 1\n",
            "charts/values/prod.yaml": "replicas: 3\n",
        },
    )


def test_own_chart_gets_the_images_of_a_release_as_values(site: Site) -> None:
    project = chart_of(site)
    head = commit(written(project))
    source, receiver, applied = documents(project.root / "deploy/flux/prod.yaml")
    assert source["spec"]["ignore"].split() == ["/*", "!/charts", "!/deploy"]
    chart = applied["spec"]["chart"]["spec"]
    assert (applied["kind"], chart["chart"], chart["reconcileStrategy"]) == (
        "HelmRelease", "./charts/hay", "Revision",
    )  # fmt: skip
    assert chart["sourceRef"] == {"kind": "GitRepository", "name": source["metadata"]["name"]}
    assert receiver["spec"]["resources"][0]["name"] == source["metadata"]["name"]
    assert chart["valuesFiles"] == [
        "charts/hay/values.yaml", "charts/values/prod.yaml", "deploy/images/prod.yaml",
    ]  # fmt: skip
    assert applied["spec"]["targetNamespace"] == "hay-prod"
    made = pinned(project, head, "prod")
    assert git(project.root, "diff", "--name-only", head, made) == "deploy/images/prod.yaml"
    values = yaml.safe_load(git(project.root, "show", f"{made}:deploy/images/prod.yaml"))
    assert values == {
        "web": {"image": {"repository": "registry.example/hay", "tag": f"v1.2.3@{DIGEST}"}},
        "solr": {"image": f"registry.example/hay@{OTHER}"},
        "version": "v1.2.3",
    }
    assert rehearse_deployment(project, "prod", quiet).failures == []


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("reconcileStrategy: Revision", "reconcileStrategy: ChartVersion", "it takes every revision"),
        ("- deploy/images/dev.yaml", "- charts/values/dev.yaml", "it takes which images run"),
        ("- charts/values/dev.yaml", "- charts/values/no.yaml", "not in HEAD: charts/values/no.yaml"),
        ("chart: ./charts/hay", "chart: ./charts/no", "not in HEAD: charts/no/Chart.yaml"),
    ],
)
def test_rehearse_deployment_finds_mistakes_of_a_chart(site: Site, old: str, new: str, told: str) -> None:
    project = chart_of(site)
    file = written(project) / "flux/dev.yaml"
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")
    commit(project.root)
    assert any(told in each for each in rehearse_deployment(project, "dev", quiet).failures)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (OVERLAY.replace("k8s/", "no/"), "there is no no/dev"),
        (CHART.replace("charts/hay", "charts/no"), "there is no charts/no/Chart.yaml"),
        (CHART.replace("values/{", "no/{"), "there is no charts/no/dev.yaml"),
        (CHART + '"web.image" = "{site}"\n', "flux.values: web.image"),
    ],
)
def test_write_manifests_names_what_settings_name_in_vain(site: Site, more: str, words: str) -> None:
    project = chart_of(site, more)
    with pytest.raises(ConfigError, match=words):
        write_manifests(project, project.root / "deploy", quiet)
    assert not (project.root / "deploy").exists()


def test_write_manifests_keeps_overlays(site: Site) -> None:
    project = site()
    overlay = written(project) / "overlays/dev/kustomization.yaml"
    text = overlay.read_text(encoding="utf-8") + "replicas: [{name: site, count: 5}]\n"
    overlay.write_text(text, encoding="utf-8")
    assert write_manifests(project, project.root / "deploy", quiet) == ()
    assert overlay.read_text(encoding="utf-8") == text


def test_write_manifests_refuses_changed_file(site: Site) -> None:
    project = site()
    into = written(project)
    changed = into / "flux/prod.yaml"
    text = changed.read_text(encoding="utf-8").replace("interval: 10m", "interval: 1m")
    changed.write_text(text, encoding="utf-8")
    (into / "flux/dev.yaml").unlink()
    with pytest.raises(ReleaseError, match=r"somebody changed .*prod\.yaml$"):
        write_manifests(project, into, quiet)
    assert changed.read_text(encoding="utf-8") == text
    assert not (into / "flux/dev.yaml").exists()
    changed.unlink()
    assert {file.name for file in write_manifests(project, into, quiet)} == {"dev.yaml", "prod.yaml"}


def test_write_manifests_after_setting_changed(site: Site) -> None:
    project = site()
    into = written(project)
    file = project.root / "pyproject.toml"
    file.write_text(
        file.read_text(encoding="utf-8") + '[tool.haybale.flux]\nforge = "gitlab"\n', encoding="utf-8"
    )
    new = write_manifests(config.load(project.root, {}), into, quiet)
    assert {each.name for each in new} == {"dev.yaml", "prod.yaml"}
    assert "type: gitlab" in (into / "flux/dev.yaml").read_text(encoding="utf-8")


def test_write_manifests_without_environments(tmp_path: Path) -> None:
    text = '[tool.haybale]\nname = "hay"\nregistry = "registry.example/hay"\ncore = "hay"\n'
    (tmp_path / "pyproject.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match="there is no environment"):
        write_manifests(config.load(tmp_path, {}), tmp_path / "deploy", quiet)


# What a deployment points at -----------------------------------------------------------------------------


def pinned(project: config.Project, head: str, environment: str = "dev", site_: str = DIGEST) -> str:
    return make_deployment_commit(
        project, commit=head, version="v1.2.3", environment=environment,
        site=IMAGES.with_digest(site_), index=IMAGES.with_digest(OTHER),
    )  # fmt: skip


def test_make_deployment_commit_adds_only_digests(site: Site) -> None:
    project = site()
    written(project)
    head = git(project.root, "rev-parse", "HEAD")
    before = git(project.root, "for-each-ref"), git(project.root, "status", "--porcelain")
    made = pinned(project, head)
    assert git(project.root, "rev-parse", f"{made}^@") == head
    assert git(project.root, "diff", "--name-only", head, made) == images_file(project, "dev")
    text = git(project.root, "show", f"{made}:{images_file(project, 'dev')}")
    assert [each["digest"] for each in yaml.safe_load(text)["images"]] == [OTHER, DIGEST]
    # Nobody sees it yet, and nothing here was touched.
    assert (git(project.root, "for-each-ref"), git(project.root, "status", "--porcelain")) == before
    assert git(project.root, "fsck", "--unreachable", "--no-reflogs").count(made) == 1


def test_make_deployment_commit_is_reproducible(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = site()
    written(project)
    head = git(project.root, "rev-parse", "HEAD")
    here = pinned(project, head)
    git(tmp_path, "clone", "-q", str(project.root), "other")
    other = config.load(tmp_path / "other", {})
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "Somebody else")
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    for option, value in (
        ("i18n.commitEncoding", "latin1"),
        ("core.autocrlf", "true"),
        ("commit.gpgSign", "true"),
    ):
        git(other.root, "config", option, value)
    assert pinned(other, head) == here
    assert pinned(other, head, environment="prod") != here
    assert pinned(other, head, site_=OTHER) != here


def test_make_deployment_commit_without_manifests(site: Site) -> None:
    project = site()
    head = git(project.root, "rev-parse", "HEAD")
    assert pinned(project, head) == head


def test_make_deployment_commit_pins_pods(site: Site, built: Build, tmp_path: Path) -> None:
    project = site()
    head = commit(written(project))
    made = pinned(project, head)
    git(project.root, "worktree", "add", "-q", "--detach", str(tmp_path / "deployed"), made)
    images = {
        container["name"]: container["image"]
        for each in built(tmp_path / "deployed/deploy/overlays/dev")
        if each["kind"] == "Deployment"
        for container in each["spec"]["template"]["spec"]["containers"]
    }
    assert images == {"site": f"registry.example/hay@{DIGEST}", "solr": f"registry.example/hay@{OTHER}"}


def test_make_deployment_commit_same_index_keeps_solr_pods(site: Site, built: Build, tmp_path: Path) -> None:
    """Kubernetes rolls what has another template."""
    project = site()
    head = commit(written(project))

    def templates(name: str, version: str, digest: str) -> dict[str, Any]:
        made = make_deployment_commit(
            project, commit=head, version=version, environment="dev",
            site=IMAGES.with_digest(digest), index=IMAGES.with_digest(OTHER),
        )  # fmt: skip
        git(project.root, "worktree", "add", "-q", "--detach", str(tmp_path / name), made)
        return {
            each["metadata"]["name"]: each["spec"]["template"]
            for each in built(tmp_path / name / "deploy/overlays/dev")
            if each["kind"] == "Deployment"
        }

    old, new = templates("old", "v1.0.0", DIGEST), templates("new", "v1.1.0", "sha256:" + "ef" * 32)
    assert old["solr"] == new["solr"]
    assert old["site"] != new["site"]


# Rehearsals ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("forge", FORGES)
@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_rehearse_deployment_passes(site: Site, forge: str, environment: str) -> None:
    project = site(f'[tool.haybale.flux]\nforge = "{forge}"\n')
    written(project)
    seen = rehearse_deployment(project, environment, quiet)
    assert seen.failures == []
    assert {each.move for each in seen.deliveries if each.fired} == {
        "first deployment", "next deployment", "rollback",
    }  # fmt: skip
    assert {each.receiver for each in seen.deliveries if each.fired} == {environment}


def test_rehearse_deployment_leaves_repository_alone(site: Site) -> None:
    project = site()
    written(project)
    (project.root / ".git/hooks/pre-push").write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    (project.root / ".git/hooks/pre-push").chmod(0o755)
    before = git(project.root, "for-each-ref"), git(project.root, "count-objects", "-v")
    assert rehearse_deployment(project, "dev", quiet).failures == []
    assert (git(project.root, "for-each-ref"), git(project.root, "count-objects", "-v")) == before
    assert git(project.root, "status", "--porcelain") == ""


def test_rehearse_deployment_shallow_clone(site: Site, tmp_path: Path) -> None:
    project = site()
    written(project)
    git(tmp_path, "clone", "-q", "--depth=1", f"file://{project.root}", "shallow")
    git(tmp_path / "shallow", "checkout", "-q", "--detach")
    assert rehearse_deployment(config.load(tmp_path / "shallow", {}), "dev", quiet).failures == []


@pytest.mark.parametrize(
    ("file", "old", "new", "told"),
    [
        (
            "flux/dev.yaml",
            "    tag: dev/deploy",
            "    tag: deploy/dev",
            "the GitRepository follows dev/deploy",
        ),
        ("flux/dev.yaml", "    tag: dev/deploy", "    branch: main", "the GitRepository follows dev/deploy"),
        ("flux/dev.yaml", "== 'refs/tags/dev/deploy'", "== 'refs/tags/dev/depoly'", "does nothing"),
        ("flux/dev.yaml", "has(req.ref) && req.ref ==", "req.ref ==", "the filter fails"),
        ("flux/dev.yaml", "    - ping\n", "", "'ping' is not listed"),
        ("flux/dev.yaml", "    name: hay-dev-webhook", "    name: hay-webhook", "there is no Secret"),
        (
            "flux/dev.yaml",
            "./deploy/overlays/dev",
            "./deploy/overlay/dev",
            "its path is in what was deployed",
        ),
        (
            "flux/dev.yaml",
            "    kind: GitRepository\n    name: hay-dev",
            "    kind: GitRepository\n    name: hay",
            "takes from",
        ),
        (
            "flux/dev.yaml",
            "      name: hay-dev\n---",
            "      name: hay-test\n---",
            "there is no GitRepository",
        ),
        ("flux/prod.yaml", "req.ref == 'refs/tags/prod/deploy'", "true", "Receiver of prod answers 200"),
        ("flux/dev.secret.template", "name: hay-dev-webhook", "name: hook", "there is no Secret"),
    ],
)
def test_rehearse_deployment_finds_mistakes(site: Site, file: str, old: str, new: str, told: str) -> None:
    project = site()
    path = written(project) / file
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    seen = rehearse_deployment(project, "dev", quiet)
    assert [each for each in seen.failures if told in each], seen.failures
    with pytest.raises(ReleaseError):
        seen.raise_if_failed()


def test_rehearse_deployment_uncommitted_manifests(site: Site) -> None:
    project = site()
    write_manifests(project, project.root / "deploy", quiet)
    seen = rehearse_deployment(project, "dev", quiet)
    assert [each.partition(":")[0] for each in seen.failures] == [
        "its path is in what was deployed", "the images are pinned by digest",
    ]  # fmt: skip


def test_rehearse_deployment_notes_uncommitted_change(site: Site) -> None:
    project = site()
    overlay = written(project) / "overlays/dev/kustomization.yaml"
    overlay.write_text(overlay.read_text(encoding="utf-8") + "# more\n", encoding="utf-8")
    (note,) = rehearse_deployment(project, "dev", quiet).notes
    assert "deploy/overlays/dev/kustomization.yaml" in note


def test_rehearse_deployment_without_manifests(site: Site) -> None:
    with pytest.raises(ReleaseError) as told:
        rehearse_deployment(site(), "dev", quiet)
    assert told.value.hint == "write it, and commit: `haybale flux`"


def test_rehearse_deployment_names_invalid_manifests(site: Site) -> None:
    project = site()
    file = written(project) / "flux/prod.yaml"
    file.write_text("a: [\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"prod\.yaml"):
        rehearse_deployment(project, "dev", quiet)
    file.write_text("kind: Receiver\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"prod\.yaml has not one GitRepository and one Kustomization"):
        rehearse_deployment(project, "dev", quiet)


@pytest.mark.parametrize("name", ["-x", "a/b", "..", "dév", "x" * 300, "HEAD", "last", ""])
def test_rehearse_deployment_undeclared_environment(site: Site, name: str) -> None:
    with pytest.raises(UsageError, match="there is no environment"):
        rehearse_deployment(site(), name, quiet)


def haybale(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "haybale", *arguments],
        cwd=folder, capture_output=True, text=True, check=False,
        env={**os.environ, "COLUMNS": "200", "NO_COLOR": "1"},
    )  # fmt: skip


def test_flux_and_rehearse_deploy_commands(site: Site) -> None:
    project = site()
    wrote = haybale(project.root, "flux")
    assert (wrote.returncode, wrote.stdout) == (0, "")
    assert "11 files are new" in wrote.stderr
    commit(project.root)
    seen = haybale(project.root, "rehearse-deploy", "dev")
    assert seen.returncode == 0, seen.stderr
    assert "fetches hay-dev" in seen.stdout
    file = project.root / "deploy/flux/dev.yaml"
    file.write_text(file.read_text(encoding="utf-8").replace("- push", "- pull"), encoding="utf-8")
    as_json = haybale(project.root, "rehearse-deploy", "dev", "--json")
    assert as_json.returncode == ReleaseError.exit_code
    assert "deploying to dev would not work" in as_json.stderr
    document = json.loads(as_json.stdout)
    assert document["environment"] == "dev"
    assert any("'push' is not listed" in each for each in document["failures"])
    assert {each["status"] for each in document["deliveries"] if not each["passed"]} >= {400}


def test_rehearsal_names_missing_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "cel_expr_python" else name)
    with pytest.raises(PrerequisiteError, match="the rehearsal needs cel") as told:
        importlib.reload(rehearsal)
    assert "haybale[rehearse]" in told.value.hint
