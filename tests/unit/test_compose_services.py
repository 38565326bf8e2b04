"""What is read in compose files: the service that is the site, and those that it needs."""

from __future__ import annotations

import pytest

from haybale.adoption.compose_services import find_site_service, read_services, sort_files

TEXT = """
x-app: &app
  build: {context: ., dockerfile: docker/web/Dockerfile}
  env_file: ["${ENV_FILE:-.env.example}", {path: local.env, required: false}]
services:
  web:
    <<: *app
    command: gunicorn -b :5000 shop.wsgi
    environment: [DEBUG=0, "SOLR_URL=http://solr:8983/solr/shop", "KEY=${KEY}", "NAME=${NAME:-shop}", PASSED]
    ports: ["127.0.0.1:5000:5001/tcp"]
    healthcheck: {test: ["CMD-SHELL", "curl localhost:5001/healthz"]}
  worker:
    <<: *app
    command: celery -A shop worker
  db: {image: "postgres:16.4-alpine"}
  cache:
    image: redis:7-alpine
    command: redis-server --save ""
    ports: !reset []
    restart: always
    volumes: [data:/data]
"""


def test_read_services_takes_what_is_written_down() -> None:
    web, worker, database, cache = read_services("deploy/compose.yml", TEXT)
    assert (web.context, web.dockerfile) == ("deploy", "deploy/docker/web/Dockerfile")
    assert web.environment == {
        "DEBUG": "0", "SOLR_URL": "http://solr:8983/solr/shop", "NAME": "shop",
    }  # fmt: skip
    assert web.env_files == ("deploy/.env.example", "deploy/local.env")
    assert web.port == 5001
    assert worker.command == "celery -A shop worker"
    assert [each.is_needed for each in (web, worker, database, cache)] == [False, False, False, True]
    assert cache.content == {"image": "redis:7-alpine", "command": 'redis-server --save ""'}


def test_find_site_service_leaves_out_workers_and_other_images() -> None:
    services = read_services("compose.yml", TEXT)
    found = find_site_service(services, ["docker/web/Dockerfile"])
    assert found is not None
    assert found.name == "web"
    assert find_site_service(services, ["Dockerfile"]) is None


@pytest.mark.parametrize("text", ["", "a: [", "services: 3", "- a", "services: {a: 3}"])
def test_read_services_of_what_is_no_compose_file(text: str) -> None:
    assert read_services("compose.yml", text) == ()


def test_sort_files_begins_with_what_people_run_every_day() -> None:
    files = ["a/docker-compose.yml", "docker-compose.prod.yml", "docker-compose.yml"]
    assert sort_files(files) == ["docker-compose.yml", "a/docker-compose.yml", "docker-compose.prod.yml"]
