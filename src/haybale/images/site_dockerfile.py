"""haybale's own Dockerfile for a Django site that has none."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from haybale.errors import ConfigError
from haybale.images.site_services import SQLITE_URL, Facts, expand, site_environment
from haybale.requirements.manager import (
    BUILD_FOLDER,
    DEVELOPMENT,
    PIP_SETTINGS,
    PRODUCTION,
    SECRETS,
    VENV,
    copy_instruction,
    find_install_commands,
    run_instruction,
)

if TYPE_CHECKING:
    from haybale.config import Project

RELEASE_STAGE = "release"
DEPENDENCIES_STAGE = "haybale-dependencies"
# Where the tool of a lock writes out what pip installs. A stage of its own: it reads files that change often.
REQUIREMENTS_STAGE = "haybale-requirements"

# What is never part of an image of a site whose repository has no .dockerignore.
IGNORED = (
    ".git", ".github", ".gitlab-ci.yml", ".haybale", ".nox", ".tox", ".venv", "venv", "env", "node_modules",
    "reports", ".env", ".env.*", "**/.env", "**/__pycache__", "**/*.py[cod]", "**/.*_cache",
)  # fmt: skip

# What is secret by its name, and so in no image of haybale's own Dockerfile where git has it not.
SECRET_FILES = (
    "**/.env", "**/.env.*", "**/local_settings.py", "**/.ssh", "**/id_rsa", "**/id_dsa", "**/id_ecdsa",
    "**/id_ed25519", "**/.netrc", "**/.pgpass", "**/.pypirc", "**/.aws", "**/.docker", "**/.kube", "**/.git",
)  # fmt: skip

# What is needed behind a proxy with certificates of its own.
APT_MOUNT = "--mount=type=secret,id=ca,required=false"
APT = """\
if [ -s /run/secrets/ca ]; then \\
      set -- -o Acquire::https::CAInfo=/run/secrets/ca -o APT::Sandbox::User=root; fi; \\
    apt-get "$@" update \\
 && apt-get "$@" install -y --no-install-recommends {packages} \\
 && rm -rf /var/lib/apt/lists/*"""

TEXT = """\
FROM {image} AS haybale-python
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
# By hand: not every small base image has useradd.
RUN echo 'app:x:10001:' >> /etc/group \\
 && echo 'app:x:10001:10001::/app:/usr/sbin/nologin' >> /etc/passwd \\
 && install -d -o 10001 -g 10001 /app /data
WORKDIR /app

{exported}FROM haybale-python AS {dependencies}
{build_packages}{copied}
{installed}

FROM haybale-python AS {release}
{packages}COPY --from={dependencies} {venv} {venv}
COPY {site} /app
{collectstatic}USER app
EXPOSE {port}
CMD {command}
"""


def development_instructions(project: Project) -> str:
    """Return what installs the development requirements in a stage made of the release stage, "" for none."""
    commands = find_install_commands(project.root, project.settings.requirements)
    if not commands.development:
        return ""
    copied = [f"COPY --from={DEPENDENCIES_STAGE} {BUILD_FOLDER} {BUILD_FOLDER}"]
    if commands.development_files:
        copied.append(copy_instruction(commands.development_files))
    if commands.tools:
        copied.append(_copy_exported(DEVELOPMENT))
    return "\n".join([*copied, run_instruction(commands.development)])


def install_instruction(command: str, *, is_own: bool) -> str:
    """Return the RUN of a command that may call pip; `is_own`: pip installs into VENV, from outside of it."""
    settings = [*PIP_SETTINGS, *([f"export PIP_PYTHON={VENV}/bin/python"] if is_own else [])]
    return f"RUN {' '.join(SECRETS)} \\\n    {'; '.join([*settings, command])}"


def site_dockerfile(project: Project) -> str:
    """Return the Dockerfile of a Django site that has none, as far as its release stage.

    Raises `ConfigError` where it is not known how the site starts.
    """
    settings = project.settings
    image, site = settings.image, settings.site
    commands = find_install_commands(project.root, settings.requirements)
    exported, copied = "", [copy_instruction(commands.files)] if commands.files else []
    if commands.tools:
        steps = [copy_instruction(commands.tool_files), run_instruction(commands.tools)]
        exported = "\n".join([f"FROM haybale-python AS {REQUIREMENTS_STAGE}", *steps, "\n"])
        copied.append(_copy_exported(PRODUCTION))
    return TEXT.format(
        image=settings.images.python,
        dependencies=DEPENDENCIES_STAGE,
        build_packages=_install_packages((*image.build_packages, *commands.packages)),
        exported=exported,
        copied="\n".join(copied),
        installed=run_instruction(commands.production),
        packages=_install_packages(image.packages),
        venv=VENV,
        release=RELEASE_STAGE,
        site=site.folder,
        collectstatic=_collectstatic(project) if image.collectstatic else "",
        port=site.port,
        command=json.dumps(
            site.command or ["gunicorn", "--bind", f"0.0.0.0:{site.port}", _find_wsgi(project)]
        ),
    )


def _copy_exported(file: str) -> str:
    return f"COPY --from={REQUIREMENTS_STAGE} {BUILD_FOLDER}/{file} {BUILD_FOLDER}/"


def _install_packages(packages: tuple[str, ...]) -> str:
    if not packages:
        return ""
    return f"RUN {APT_MOUNT} \\\n    {APT.format(packages=shlex.join(packages))}\n"


def _collectstatic(project: Project) -> str:
    """Return what collects the static files, with the site's variables: its settings may need them."""
    placeholders = Facts(database_url=SQLITE_URL, core="none").placeholders(project.settings.site)
    variables = site_environment(project, project.settings.site.release).items()
    assigned = " ".join(f"{name}={shlex.quote(expand(value, placeholders))}" for name, value in variables)
    pairs = (each.split(":") for each in project.settings.site.mounts)
    mounts = "".join(f"--mount=type=bind,source={source},target={target} " for source, target in pairs)
    return f"RUN {mounts}{assigned} python manage.py collectstatic --noinput --verbosity 0\n"


def _find_wsgi(project: Project) -> str:
    """Return the module that gunicorn serves: the shallowest wsgi.py of the site."""
    folder = project.path(project.settings.site.folder)
    found = sorted(folder.glob("*/wsgi.py")) or sorted(folder.glob("*/*/wsgi.py"))
    if not found:
        raise ConfigError(
            f"it is not known how the site in {folder} starts",
            cause="there is no wsgi.py that gunicorn could serve, and no setting site.command",
            hint='set command = ["...", "..."] in [tool.haybale.site]',
        )
    return ".".join(Path(found[0]).relative_to(folder).with_suffix("").parts)
