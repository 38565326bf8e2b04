"""The site's requirements, compiled for real with pip-tools from the package index configured here."""

from __future__ import annotations

import base64
import hashlib
import http.server
import os
import subprocess
import sys
import threading
import zipfile
from typing import TYPE_CHECKING

import pytest

from haybale.config import RequirementsSettings
from haybale.requirements.manager import (
    BUILD_FOLDER,
    DEVELOPMENT,
    PRODUCTION,
    TOOLS,
    find_install_commands,
)
from haybale.requirements.pins import read_pins

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

pytestmark = pytest.mark.integration

STALE = 9  # RequirementsError.exit_code
WRONG_USE = 2


@pytest.fixture(scope="module")
def python(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python with the environment of the session: haybale's dependencies, and pip-tools."""
    place = tmp_path_factory.mktemp("pip-tools")
    subprocess.run([sys.executable, "-m", "venv", place], check=True)
    interpreter = place / "bin" / "python"
    lock = root / "requirements" / "requirements.txt"
    subprocess.run([interpreter, "-m", "pip", "install", "-q", "--require-hashes", "-r", lock], check=True)
    # As installed: what haybale starts does not see PYTHONPATH.
    (packages,) = place.glob("lib/python*/site-packages")
    (packages / "haybale.pth").write_text(f"{root / 'src'}\n", encoding="utf-8")
    return interpreter


SETTINGS = (
    '[tool.haybale]\nname = "site"\nregistry = "localhost:5000/site"\ncore = "site"\n'
    "[tool.haybale.requirements]\n"
)
TWO_PARTS = (
    'source = "web/requirements.in"\n'
    'production = "web/requirements.prod.txt"\ndevelopment = "web/requirements.txt"\n'
)


OWN_LAYOUT = 'production = "requirements/base.txt"\ndevelopment = "requirements/dev.txt"\n'


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "web").mkdir()
    setting(tmp_path, "")
    return tmp_path


def setting(site: Path, more: str) -> None:
    (site / "pyproject.toml").write_text(SETTINGS + TWO_PARTS + more, encoding="utf-8")


def asking(site: Path, text: str) -> None:
    (site / "web/requirements.in").write_text(text, encoding="utf-8")


def run(
    python: Path, site: Path, *arguments: str, code: int = 0, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [python, "-m", "haybale", "regen-requirements", *arguments],
        cwd=site, env={**os.environ, **(env or {})},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    return done


def pins(site: Path, name: str) -> dict[str, str]:
    text = (site / "web" / name).read_text(encoding="utf-8")
    return {pin.name: pin.version for pin in read_pins(text).values()}


def test_regenerate_resolves_once_for_the_image_s_python_and_keeps_pins(python: Path, site: Path) -> None:
    """The marked ones are for a Python and a system that are the image's or not, whatever runs this."""
    asking(
        site,
        "packaging<25\n"
        'iniconfig; python_version >= "3.13"\n'
        'colorama; sys_platform == "win32"\n'
        'tomli; python_version < "3.13"\n'
        "# Dev\n"
        "pluggy<1.6\n",
    )
    run(python, site)
    production, everything = pins(site, "requirements.prod.txt"), pins(site, "requirements.txt")
    assert set(production) == {"packaging", "iniconfig"}
    assert set(everything) == {"packaging", "iniconfig", "pluggy"}
    for file in ("requirements.txt", "requirements.prod.txt"):
        text = (site / "web" / file).read_text(encoding="utf-8")
        assert "--hash=sha256:" in text
        assert str(site) not in text
        assert "://" not in text

    asking(site, 'packaging\niniconfig; python_version >= "3.13"\n# Dev\npluggy\n')
    run(python, site, "--check")
    run(python, site, "--upgrade-package", "pluggy")
    assert pins(site, "requirements.txt")["packaging"] == everything["packaging"]
    assert pins(site, "requirements.txt")["pluggy"] != everything["pluggy"]
    assert pins(site, "requirements.prod.txt") == production


def test_check_names_stale_lines_and_changes_nothing(python: Path, site: Path) -> None:
    asking(site, "packaging<25\n# Dev\npluggy\n")
    run(python, site)
    file = site / "web/requirements.txt"
    before = file.read_bytes()
    asking(site, "packaging>=25\n# Dev\niniconfig\n")
    said = run(python, site, "--check", code=STALE).stderr
    assert f"{file}:2: iniconfig" not in said
    said = " ".join(said.split())
    assert f"packaging==24.2 does not fit packaging>=25 in {site}/web/requirements.in:1" in said
    assert "is not needed any more" in said
    assert "needed for iniconfig in" in said
    assert file.read_bytes() == before


def test_regenerate_takes_hashes_from_the_index_only(python: Path, site: Path) -> None:
    """A wrong hash is told and fixed; one that is missing (a wheel uploaded later) is no obstacle."""
    asking(site, "-r base.in\npluggy==1.5.0\n# Dev\n")
    (site / "web/base.in").write_text("iniconfig==2.0.0\n", encoding="utf-8")
    run(python, site)
    file = site / "web/requirements.txt"
    right = file.read_text(encoding="utf-8")
    hashes = [line for line in right.splitlines(keepends=True) if "--hash" in line]
    file.write_text(right.replace(hashes[0], "").replace(hashes[2][-12:-3], "0" * 9), encoding="utf-8")
    said = " ".join(run(python, site, "--check", code=STALE).stderr.split())
    assert "pluggy==1.5.0 has a hash that the package index does not know" in said
    assert "iniconfig==2.0.0 has a hash" not in said
    run(python, site)
    assert file.read_text(encoding="utf-8") == right


def test_regenerate_explains_a_conflict_and_changes_nothing(python: Path, site: Path) -> None:
    asking(site, "pytest==8.0.0\n# Dev\npluggy<1\n")
    said = run(python, site, code=STALE).stderr
    assert "is asked for by pytest 8.0.0" in said
    assert "Traceback" not in said
    text = " ".join(said.split())
    assert f"pytest==8.0.0 in {site}/web/requirements.in:1" in text
    assert f"pluggy<1 in {site}/web/requirements.in:3" in text
    assert [file.name for file in (site / "web").iterdir()] == ["requirements.in"]


def test_regenerate_gives_an_older_python_what_still_runs_on_it(python: Path, site: Path) -> None:
    """Whichever Python runs this: it is newer than the site's, and haybale can't even run on that one."""
    setting(site, 'python = "3.9"\n')
    asking(
        site,
        "click\n"
        'importlib-metadata; python_version < "3.10"\n'
        'typing-extensions; python_version > "3.9"\n'
        "# Dev\n",
    )
    run(python, site)
    found = pins(site, "requirements.prod.txt")
    assert found["click"].startswith("8.1.")  # the last one with Requires-Python >=3.7; 8.2 wants 3.10
    # zipp is asked for by importlib-metadata, whose markers are read for 3.9 as well.
    assert set(found) == {"click", "importlib-metadata", "zipp"}
    assert set(found) == set(pins(site, "requirements.txt"))

    setting(site, "")
    said = " ".join(run(python, site, "--check", code=STALE).stderr.split())
    assert "requirements.txt:1: does not begin with" in said
    assert "for Python 3.13" in said


def test_regenerate_takes_two_inputs_in_place_of_a_heading(python: Path, site: Path) -> None:
    setting(site, 'dev_source = "web/dev.in"\n')
    asking(site, "packaging\n")
    (site / "web/dev.in").write_text("-r requirements.in\npluggy\n", encoding="utf-8")
    run(python, site)
    assert set(pins(site, "requirements.prod.txt")) == {"packaging"}
    assert set(pins(site, "requirements.txt")) == {"packaging", "pluggy"}
    text = (site / "web/requirements.txt").read_text(encoding="utf-8")
    assert "via -r dev.in" in text
    assert str(site) not in text
    run(python, site, "--check")


def test_regenerate_ignores_files_and_settings_of_others(python: Path, site: Path) -> None:
    """Neither modules called as pip's, nor settings of pip-tools', nor an empty production part."""
    setting(site, "[tool.pip-tools]\ngenerate-hashes = false\nno-annotate = true\nno-such-setting = 1\n")
    for name in ("click", "json", "pip"):
        (site / "web" / f"{name}.py").write_text("raise SystemExit('wrong module')", encoding="utf-8")
    asking(site, "# nothing yet\n# Dev\niniconfig\n")
    run(python, site)
    assert pins(site, "requirements.prod.txt") == {}
    text = (site / "web/requirements.txt").read_text(encoding="utf-8")
    assert "--hash=sha256:" in text
    assert "# via -r requirements.in" in text
    run(python, site, "--check")


def test_regenerate_refuses_what_cannot_be_pinned(python: Path, site: Path) -> None:
    """A folder's place is this machine's own business."""
    package = site / "web/own"
    package.mkdir()
    (package / "pyproject.toml").write_text('[project]\nname = "own"\nversion = "1"\n', encoding="utf-8")
    (package / "own.py").write_text("", encoding="utf-8")
    asking(site, "./own\n# Dev\n")
    said = " ".join(run(python, site, code=STALE).stderr.split())
    assert "cannot be pinned with hashes" in said
    assert not (site / "web/requirements.txt").exists()


def test_regenerate_tells_a_missing_package_from_an_unknown_one(python: Path, site: Path) -> None:
    asking(site, "packaging\n# Dev\npluggy>=9999\n")
    said = " ".join(run(python, site, code=STALE).stderr.split())
    assert f"nothing on the package index fits pluggy>=9999 in {site}/web/requirements.in:3" in said
    said = run(python, site, "--upgrade-package", "plugy", code=WRONG_USE).stderr
    assert "did you mean 'pluggy'" in said


@pytest.fixture
def layered(python: Path, tmp_path: Path) -> Path:
    """A repository that pip-tools keeps, in files of which one is the other's constraint."""
    write(
        tmp_path,
        {
            "pyproject.toml": SETTINGS + OWN_LAYOUT,
            "requirements/base.in": "packaging==24.1\ncoverage[toml]==7.2.2\n",
            "requirements/dev.in": "-c base.txt\nbuild\n",
        },
    )
    for name, *options in (("base", "--no-strip-extras"), ("dev", "--generate-hashes", "--strip-extras")):
        command = [
            str(python),
            "-m",
            "piptools",
            "compile",
            "-q",
            "--no-emit-find-links",
            "--no-emit-index-url",
        ]
        subprocess.run([*command, *options, f"requirements/{name}.in"], cwd=tmp_path, check=True)
    return tmp_path


def write(root: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")


def test_regenerate_compiles_a_repository_s_own_files_as_they_were(python: Path, layered: Path) -> None:
    """pip-compile itself is the judge: of files that nothing has changed, and of what it makes after."""
    base, dev = (layered / "requirements" / name for name in ("base.txt", "dev.txt"))
    before = (base.read_bytes(), dev.read_bytes())
    assert b"coverage[toml]==7.2.2" in before[0]
    assert b"--hash" not in before[0]
    assert b"--hash" in before[1]
    run(python, layered)
    assert (base.read_bytes(), dev.read_bytes()) == before

    write(layered, {"requirements/base.in": "packaging>=24.1,<24.3\ncoverage[toml]==7.2.2\n"})
    run(python, layered, "--check")
    run(python, layered, "-P", "packaging")
    assert b"packaging==24.2\n" in base.read_bytes()
    assert b"packaging==24.2 \\\n" in dev.read_bytes()
    assert base.read_bytes() == before[0].replace(b"packaging==24.1", b"packaging==24.2")
    command = [str(python), "-m", "piptools", "compile", "-q", "--no-emit-find-links", "--no-emit-index-url"]
    command += ["--generate-hashes", "--strip-extras", "requirements/dev.in"]
    after = dev.read_bytes()
    subprocess.run(command, cwd=layered, check=True)
    assert dev.read_bytes() == after
    assert sorted(file.name for file in base.parent.iterdir()) == ["base.in", "base.txt", "dev.in", "dev.txt"]

    write(layered, {"requirements/base.in": "packaging>=25\ncoverage[toml]==7.2.2\n"})
    said = " ".join(run(python, layered, "--check", code=STALE).stderr.split())
    assert f"packaging==24.2 does not fit packaging>=25 in {layered}/requirements/base.in:1" in said


def test_regenerate_moves_only_the_pins_asked_for_in_a_file_kept_by_hand(
    python: Path, tmp_path: Path
) -> None:
    text = (
        "# The site\ncoverage[toml]==7.2.2  # for reports\npackaging==24.1\n"
        "setuptools==69.0.0\niniconfig>=2\n"
    )
    write(tmp_path, {"pyproject.toml": SETTINGS, "requirements.txt": text})
    file = tmp_path / "requirements.txt"
    said = " ".join(run(python, tmp_path, "--check").stderr.split())
    assert "iniconfig>=2 is not pinned" in said
    assert file.read_text(encoding="utf-8") == text
    run(python, tmp_path, "-P", "packaging<25")
    assert file.read_text(encoding="utf-8") == text.replace("24.1", "24.2")
    run(python, tmp_path, "--upgrade")
    moved = file.read_text(encoding="utf-8")
    assert "setuptools==81.0.0\niniconfig>=2\n" in moved
    assert "coverage[toml]==7.2.2" not in moved
    assert "  # for reports\n" in moved

    file.write_text("pytest==8.0.0\npluggy==1.2.0\n", encoding="utf-8")
    said = " ".join(run(python, tmp_path, "--check", code=STALE).stderr.split())
    assert f"pytest==8.0.0 in {file}:1, pluggy==1.2.0 in {file}:2" in said


def test_locks_are_checked_and_written_out_by_their_own_tool(
    python: Path, root: Path, tmp_path: Path
) -> None:
    """uv, on a lock without packages: it reaches no index."""
    lines = (root / "requirements/launcher.txt").read_text(encoding="utf-8").splitlines()
    (version,) = [line.split()[0] for line in lines if line.startswith("uv==")]
    install = [str(python), "-m", "pip", "install", "-q", "--no-deps", version]
    subprocess.run(install, check=True)
    env = {"PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}"}
    project = '[project]\nname = "site"\nversion = "0"\nrequires-python = ">=3.11"\ndependencies = []\n'
    write(tmp_path, {"pyproject.toml": f'{SETTINGS}production = "uv.lock"\n{project}'})
    subprocess.run([python.parent / "uv", "lock", "--offline"], cwd=tmp_path, capture_output=True, check=True)
    lock = (tmp_path / "uv.lock").read_bytes()
    assert "up to date" in run(python, tmp_path, "--check", env=env).stderr
    assert "uv lock" in run(python, tmp_path, "--upgrade", env=env).stderr

    commands = find_install_commands(tmp_path, RequirementsSettings(production="uv.lock"))
    for command in commands.tools[2:4]:
        local = command.replace(f"{TOOLS}/bin", str(python.parent)).replace(BUILD_FOLDER, str(tmp_path))
        subprocess.run(["sh", "-c", local], cwd=tmp_path, check=True)
    for name in (PRODUCTION, DEVELOPMENT):
        assert (tmp_path / name).read_text(encoding="utf-8").strip() == ""

    (tmp_path / "pyproject.toml").write_text(
        (tmp_path / "pyproject.toml").read_text(encoding="utf-8").replace(">=3.11", ">=3.12"),
        encoding="utf-8",
    )
    said = run(python, tmp_path, "--check", code=STALE, env={**env, "UV_OFFLINE": "1"}).stderr
    assert "`uv lock --check` fails" in said
    assert (tmp_path / "uv.lock").read_bytes() == lock


# Logins that must not be seen anywhere.
CANARIES = {"PUSER": "canary-user", "GIT_TOKEN": "canary-token"}
INDEX_CANARIES = ("canary-index-user", "canary-index-token")


def make_wheel(folder: Path, name: str) -> str:
    """Write a wheel of no content, and return its file's name."""
    file = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(file, "w") as archive:
        info = f"{name}-1.0.dist-info"
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return file.name


@pytest.fixture
def private(tmp_path: Path) -> Iterator[str]:
    """A server with wheels for those who log in: HOST:PORT. /PROJECT/ lists that project's wheel."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    for name in ("private", "other"):
        make_wheel(folder, name)
        (folder / f"{name}-1.0.tar.gz").write_bytes(b"an archive that nobody may take")
    pairs = (tuple(CANARIES.values()), INDEX_CANARIES)
    logins = {f"Basic {base64.b64encode(':'.join(pair).encode()).decode()}" for pair in pairs}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.strip("/").rpartition("/")[2]
            is_known = self.headers.get("Authorization") in logins
            file = folder / name
            if not is_known:
                status, content = 401, b""
            elif file.is_file():
                status, content = 200, file.read_bytes()
            else:
                found = sorted(each for each in folder.iterdir() if each.name.startswith(f"{name}-"))
                status = 200 if found else 404
                content = "".join(f'<a href="/files/{each.name}">{each.name}</a>' for each in found).encode()
            self.send_response(status)
            self.send_header("WWW-Authenticate", 'Basic realm="private"')
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_regenerate_keeps_variables_and_options_and_shows_no_login(
    python: Path, site: Path, private: str
) -> None:
    """As pip-compile: --only-binary stands in the output. Unlike it: a variable stays one (pip-tools#966)."""
    index = ":".join(INDEX_CANARIES)
    env = {
        **CANARIES,
        "PIP_INDEX_URL": f"http://{index}@{private}/",
        "PIP_CONFIG_FILE": os.devnull,
    }
    for variable in ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX", "http_proxy", "HTTP_PROXY"):
        env[variable] = ""
    address = f"http://${{PUSER}}:${{GIT_TOKEN}}@{private}/private-1.0-py3-none-any.whl"
    asking(site, f"--only-binary :all:\nprivate @ {address}\n# Dev\nother \\\n  >=1\n")
    done = run(python, site, env=env)
    production = (site / "web/requirements.prod.txt").read_text(encoding="utf-8")
    everything = (site / "web/requirements.txt").read_text(encoding="utf-8")
    digest = hashlib.sha256((site / "wheels/other-1.0-py3-none-any.whl").read_bytes()).hexdigest()
    assert everything.count("--hash=") == 2
    assert f"other==1.0 \\\n    --hash=sha256:{digest}" in everything
    for text in (production, everything):
        assert "--only-binary :all:\n" in text
        assert f"private @ {address}" in text
    checked = run(python, site, "--check", env=env)
    asking(site, f"--only-binary :all:\nprivate @ {address}\n# Dev\nother>=1\nmissing\n")
    failed = run(python, site, code=STALE, env=env)
    assert "nothing on the package index fits missing" in " ".join(failed.stderr.split())

    asking(site, f"private @ {address}\n# Dev\nother>=1\n")
    (site / "web/requirements.txt").write_text(
        everything.replace("${PUSER}:${GIT_TOKEN}", ":".join(CANARIES.values())), encoding="utf-8"
    )
    stale = run(python, site, "--check", code=STALE, env=env)
    assert "'--only-binary :all:' is not asked for any more" in " ".join(stale.stderr.split())

    clear = address.replace("${PUSER}:${GIT_TOKEN}", ":".join(CANARIES.values()))
    asking(site, f"private @ {clear}\n# Dev\n")
    refused = run(python, site, code=STALE, env=env)
    assert "has a login in it" in refused.stderr

    seen = production + everything
    for each in (done, checked, failed, stale, refused):
        seen += each.stdout + each.stderr
    assert "canary" not in seen
