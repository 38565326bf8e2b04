"""What is written for Flux."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from haybale import config
from haybale.deploy.commit import placeholder_images_file, render_images_file
from haybale.deploy.flux import (
    base_files,
    generated_files,
    initial_files,
    render_objects,
    repository_url,
    secret_name,
)
from haybale.errors import ConfigError
from haybale.image_ref import ImageRef

if TYPE_CHECKING:
    from pathlib import Path

URL = "https://git.example/hay/stack"
DIGEST = "sha256:" + "a" * 64
SETTINGS = """\
[tool.haybale]
name = "hay_stack"
registry = "registry.example/hay"
core = "hay"
[tool.haybale.environments.dev]
host = "dev.example"
[tool.haybale.environments.prod]
after = "dev"
namespace = "hay"
"""


def settings(folder: Path, more: str = "", text: str = SETTINGS) -> config.Settings:
    (folder / "pyproject.toml").write_text(text + more, encoding="utf-8")
    return config.load(folder, {}).settings


def objects(its: config.Settings, environment: str = "dev") -> dict[str, dict[str, Any]]:
    return {each["kind"]: each for each in yaml.safe_load_all(render_objects(its, environment, URL))}


# What is written -------------------------------------------------------------------------------------------


def test_render_objects_follows_own_tag(tmp_path: Path) -> None:
    its = settings(tmp_path)
    for environment in ("dev", "prod"):
        found = objects(its, environment)
        assert found["GitRepository"]["spec"]["ref"] == {"tag": f"{environment}/deploy"}
        assert found["GitRepository"]["metadata"]["name"] == f"hay-stack-{environment}"
        assert found["Kustomization"]["spec"]["path"] == f"./deploy/overlays/{environment}"


def test_render_objects_name_each_other(tmp_path: Path) -> None:
    its = settings(tmp_path)
    found = objects(its)
    name = found["GitRepository"]["metadata"]["name"]
    assert found["Kustomization"]["spec"]["sourceRef"] == {"kind": "GitRepository", "name": name}
    assert [each["name"] for each in found["Receiver"]["spec"]["resources"]] == [name]
    template = yaml.safe_load(generated_files(its, URL)["flux/dev.secret.template"])
    assert found["Receiver"]["spec"]["secretRef"]["name"] == template["metadata"]["name"]
    assert {each["metadata"]["namespace"] for each in [*found.values(), template]} == {"flux-system"}


def test_generated_files_secret_has_no_token(tmp_path: Path) -> None:
    template = yaml.safe_load(generated_files(settings(tmp_path), URL)["flux/dev.secret.template"])
    assert template["stringData"] == {}
    assert "data" not in template


@pytest.mark.parametrize(
    ("forge", "kind", "events"),
    [
        ("github", "github", ["ping", "push", "create"]),
        ("gitlab", "gitlab", ["Tag Push Hook"]),
        ("generic", "generic-hmac", None),
    ],
)
def test_render_objects_receiver_of_each_forge(
    tmp_path: Path, forge: str, kind: str, events: list[str] | None
) -> None:
    spec = objects(settings(tmp_path, f'[tool.haybale.flux]\nforge = "{forge}"\n'))["Receiver"]["spec"]
    assert (spec["type"], spec.get("events")) == (kind, events)


def test_render_objects_uses_settings(tmp_path: Path) -> None:
    more = 'credentials = "key"\nnamespace = "ops"\ninterval = "1h30m"\nfolder = "ops/k8s"\n'
    found = objects(settings(tmp_path, f"[tool.haybale.flux]\n{more}"))
    assert found["GitRepository"]["spec"]["secretRef"] == {"name": "key"}
    assert found["GitRepository"]["spec"]["interval"] == "1h30m"
    assert found["Receiver"]["metadata"]["namespace"] == "ops"
    assert found["Kustomization"]["spec"]["path"] == "./ops/k8s/overlays/dev"
    ignored = found["GitRepository"]["spec"]["ignore"].split()
    assert ignored == ["/*", "!/ops", "/ops/*", "!/ops/k8s"]
    assert "secretRef" not in objects(settings(tmp_path))["GitRepository"]["spec"]


@pytest.mark.parametrize(
    ("origin", "url"),
    [
        ("https://git.example/a/b.git", "https://git.example/a/b.git"),
        ("ssh://git@git.example:22/a/b", "ssh://git@git.example:22/a/b"),
        ("git@git.example:a/b.git", "ssh://git@git.example/a/b.git"),
        ("git@git.example:/a/b.git", "ssh://git@git.example/a/b.git"),
        ("git+ssh://git@git.example/a/b.git", "ssh://git@git.example/a/b.git"),
    ],
)
def test_repository_url_of_origin(tmp_path: Path, origin: str, url: str) -> None:
    with_key = settings(tmp_path, '[tool.haybale.flux]\ncredentials = "key"\n').flux
    assert repository_url(with_key, origin) == url


@pytest.mark.parametrize(
    "origin",
    [
        "git@github.com:a/b.git",
        "ssh://git@github.com/a/b",
        "ssh://github.com:22/a/b",
        "ssh+git://github.com/a",
    ],
)
def test_repository_url_refuses_ssh_without_a_key(tmp_path: Path, origin: str) -> None:
    """Flux reports "secretRef" as missing for every ssh:// URL (flux2-kustomize-helm-example#56)."""
    with pytest.raises(ConfigError, match="without a key") as told:
        repository_url(settings(tmp_path).flux, origin)
    assert "flux create secret git" in told.value.hint


def test_repository_url_takes_https_without_credentials(tmp_path: Path) -> None:
    assert repository_url(settings(tmp_path).flux, "https://git.example/a") == "https://git.example/a"


def test_repository_url_refuses_a_set_one_over_ssh_without_a_key(tmp_path: Path) -> None:
    set_ = settings(tmp_path, '[tool.haybale.flux]\nurl = "ssh://git@git.example/a"\n').flux
    with pytest.raises(ConfigError, match="without a key"):
        repository_url(set_, "https://git.example/a")


def test_repository_url_refuses_a_password_and_does_not_repeat_it(tmp_path: Path) -> None:
    set_ = settings(tmp_path, '[tool.haybale.flux]\nurl = "https://me:canary@git.example/a"\n').flux
    with pytest.raises(ConfigError, match="has a password in it") as told:
        repository_url(set_, None)
    assert "canary" not in f"{told.value.message}{told.value.cause}{told.value.hint}"


@pytest.mark.parametrize("origin", [None, "", "/srv/git/a.git", "git://git.example/a"])
def test_repository_url_asks_for_setting(tmp_path: Path, origin: str | None) -> None:
    with pytest.raises(ConfigError) as told:
        repository_url(settings(tmp_path).flux, origin)
    assert "[tool.haybale.flux]" in told.value.hint
    set_ = settings(tmp_path, f'[tool.haybale.flux]\nurl = "{URL}"\n').flux
    assert repository_url(set_, origin) == URL


@pytest.mark.parametrize("url", ["git@host:a/b", "file:///a", "https://", 'https://a\\"b', "https://a b"])
def test_settings_refuse_url_with_its_line(tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigError, match=r":11: flux\.url is a URL that begins with https:// or ssh://"):
        settings(tmp_path, f"[tool.haybale.flux]\nurl = '{url}'\n")


@pytest.mark.parametrize("host", ["Dev.example", "dev.example:80", "https://dev.example", "-dev", "a..b"])
def test_settings_refuse_invalid_host(tmp_path: Path, host: str) -> None:
    with pytest.raises(ConfigError, match=r"environments\.dev\.host is a host name"):
        settings(tmp_path, text=SETTINGS.replace('"dev.example"', f'"{host}"'))


def test_object_name_too_long(tmp_path: Path) -> None:
    its = settings(tmp_path, text=SETTINGS.replace("hay_stack", "h" * 60))
    with pytest.raises(ConfigError, match="64 characters"):
        render_objects(its, "dev", URL)
    assert len(secret_name(replace(its, name="h" * 59), "dev")) <= 63


def test_initial_files_namespace_and_hosts(tmp_path: Path) -> None:
    its = settings(tmp_path)
    files = {path: yaml.safe_load(text) for path, text in initial_files(its).items()}
    dev, prod = (files[f"overlays/{name}/kustomization.yaml"] for name in ("dev", "prod"))
    assert (dev["namespace"], prod["namespace"]) == ("hay-stack-dev", "hay")
    assert files["overlays/prod/namespace.yaml"]["metadata"]["name"] == "hay"
    assert "ALLOWED_HOSTS=dev.example,localhost" in dev["configMapGenerator"][0]["literals"]
    assert prod["configMapGenerator"][0]["literals"] == ["ALLOWED_HOSTS=localhost"]
    assert "overlays/dev/ingress.yaml" in files
    assert "overlays/prod/ingress.yaml" not in files


@pytest.mark.parametrize("namespace", ["123", "1e3", "0x1f", "true", "no", "null", "2026-11-23", "n"])
def test_render_objects_quotes_ambiguous_names(tmp_path: Path, namespace: str) -> None:
    text = SETTINGS.replace('"hay"\n', f'"{namespace}"\n').replace('name = "hay_stack"', 'name = "1"')
    more = f'[tool.haybale.flux]\nnamespace = "{namespace}"\ncredentials = "{namespace}"\n'
    its = settings(tmp_path, more, text.replace('core = "hay"', 'core = "c"'))
    for each in objects(its, "prod").values():
        assert each["metadata"]["namespace"] == namespace
    assert objects(its)["GitRepository"]["spec"]["secretRef"] == {"name": namespace}
    overlay = {path: yaml.safe_load(text) for path, text in initial_files(its).items()}
    assert overlay["overlays/prod/kustomization.yaml"]["namespace"] == namespace
    assert overlay["overlays/prod/namespace.yaml"]["metadata"]["name"] == namespace


def test_render_images_file_pins_digests() -> None:
    said = yaml.safe_load(
        render_images_file(
            "v1.2.3-r4",
            site=ImageRef.parse(f"registry.example:5000/hay@{DIGEST}"),
            index=ImageRef.parse(f"registry.example:5000/hay:v1.2.3-r4-solr@{DIGEST}"),
        )
    )
    assert {each["name"]: (each["newName"], each["digest"]) for each in said["images"]} == {
        "haybale-site": ("registry.example:5000/hay", DIGEST),
        "haybale-index": ("registry.example:5000/hay", DIGEST),
    }
    # Above pods it would roll Solr with every release, also where the index stayed.
    assert said["labels"] == [{"pairs": {"app.kubernetes.io/version": "v1.2.3-r4"}}]


def test_placeholder_images_file_has_no_image() -> None:
    for each in yaml.safe_load(placeholder_images_file())["images"]:
        assert each["newName"].endswith(".invalid/none")
        assert each["digest"] == "sha256:" + "0" * 64


def test_render_images_file_gives_a_chart_what_helm_create_names(tmp_path: Path) -> None:
    flux = settings(tmp_path, '[tool.haybale.flux]\nchart = "charts/hay"\n').flux
    image = ImageRef.parse(f"registry.example:5000/hay@{DIGEST}")
    assert yaml.safe_load(render_images_file("v1.2.3", site=image, index=image, flux=flux)) == {
        "image": {"repository": "registry.example:5000/hay", "tag": f"v1.2.3@{DIGEST}"},
        "solr": {"image": {"repository": "registry.example:5000/hay", "tag": f"v1.2.3-solr@{DIGEST}"}},
    }


@pytest.mark.parametrize("text", ["{sight}", "{site", "{0}", "{site.tag}", "{}"])
def test_flux_values_have_known_words_only(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r":11: flux\.values\.image is a text with"):
        settings(tmp_path, f'[tool.haybale.flux]\nvalues = {{ image = "{text}" }}\n')


@pytest.mark.parametrize("path", ["../k8s", "/k8s", "k8s//dev", "k8s/{env}", "k8s/", "k8s/../x"])
def test_flux_overlay_is_a_folder_of_the_repository(tmp_path: Path, path: str) -> None:
    with pytest.raises(ConfigError, match=r":11: flux\.overlay is a path"):
        settings(tmp_path, f'[tool.haybale.flux]\noverlay = "{path}"\n')


def test_base_files_say_nothing_of_a_core_that_is_not_known(tmp_path: Path) -> None:
    text = SETTINGS.replace('core = "hay"\n', "")
    site = base_files(settings(tmp_path, text=text))["base/site.yaml"]
    assert "SOLR_BASE_URL" in site
    assert "SOLR_URL" not in site
