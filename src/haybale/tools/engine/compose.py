"""docker compose: one project of services, brought up through testcontainers and always taken down."""

from __future__ import annotations

import contextlib
import json
import logging
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from haybale.errors import HaybaleError, PrerequisiteError, ServiceError
from haybale.files import make_ignored_folder, write_atomically
from haybale.tools import process
from haybale.tools.engine import sdk, versions

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

try:
    from testcontainers.compose import DockerCompose
except ValueError as unreadable:
    # It reads its variables (TESTCONTAINERS_CONNECTION_MODE, TC_MAX_TRIES, ...) while it is imported.
    raise PrerequisiteError(
        f"a variable of testcontainers' is not valid: {unreadable}",
        hint="unset the variables that begin with TESTCONTAINERS_ and TC_",
    ) from unreadable

# Returns what a service's exit code means, None where that is not known.
Explain = Callable[[str, int], HaybaleError | None]

# Looks at services that come up, and raises a `HaybaleError` where one can't do its work.
Watch = Callable[[], None]

# What compose labels each container with (compose, pkg/api/labels.go); a one-off one is made by `run`.
PROJECT_LABEL = "com.docker.compose.project"
SERVICE_LABEL = "com.docker.compose.service"
ONE_OFF_LABEL = "com.docker.compose.oneoff"

# Lines of a service's log that go into an error.
TAIL = 25

# The exit code of a process that SIGKILL ended (128 + 9).
KILLED = 137

# testcontainers logs a failed command and its output; our errors have both.
logging.getLogger("testcontainers").setLevel(logging.CRITICAL)


@dataclass(frozen=True, kw_only=True)
class Compose:
    """Compose files with the variables that they are read with, under a project's name.

    A later file adds to those before it (docker compose, "Merge Compose files"); relative paths start in
    `folder`. `variables` are what the files interpolate; they and the name go to compose in `env_file`, so
    that every caller (testcontainers, a developer's command line) gives compose the same. `written` are those
    of the files that are written first, with their content: only their owner may read them. `hint` says
    what to do where one of the services fails.
    """

    files: tuple[Path, ...]
    folder: Path
    project: str
    env_file: Path
    variables: Mapping[str, str] = field(default_factory=dict)
    written: Mapping[Path, str] = field(default_factory=dict)
    hint: str = ""

    def command(self, *arguments: str) -> list[str]:
        """Return the docker compose command line with these arguments."""
        # Compose 2.27.1 does not take profiles from the file of variables.
        profile = self.variables.get("COMPOSE_PROFILES")
        return [
            "docker", "compose", "--project-name", self.project, "--project-directory", str(self.folder),
            *(word for file in self.files for word in ("--file", str(file))),
            "--env-file", str(self.env_file), *(("--profile", profile) if profile else ()), *arguments,
        ]  # fmt: skip

    @property
    def _environment(self) -> process.Environment:
        """What compose sees: the shell's variables of the same names would go before the file's."""
        return dict.fromkeys(self.variables)

    @property
    def keep_notice(self) -> str:
        """A line for the user of services that are kept."""
        return f"keeping them; to remove them: docker compose --project-name {self.project} down --volumes"

    def write_files(self) -> None:
        """Write the file of variables, and those that are `written`."""
        for file, content in self.written.items():
            write_atomically(file, content, mode=0o600)
        values = {"COMPOSE_PROJECT_NAME": self.project, **self.variables}
        lines = [f"{name}={quote_value(value)}\n" for name, value in sorted(values.items())]
        write_atomically(self.env_file, "".join(lines))

    def remove_files(self) -> None:
        """Remove what `write_files` wrote."""
        for file in (self.env_file, *self.written):
            file.unlink(missing_ok=True)

    def read_merged(self) -> dict[str, Any]:
        """Return what compose makes of the files, with every variable replaced; nothing is started.

        Raises `ServiceError` with what compose says where it cannot read them.
        """
        self.write_files()
        done = self.run("config", "--format", "json")
        if not done.ok:
            said = done.stderr.strip().rpartition("\n")[2] or f"it exited with {done.code}"
            raise ServiceError(
                f"docker compose cannot read the services of {self.project}: {said}",
                cause=f"they are made of {', '.join(file.name for file in self.files)}",
                hint="correct the file that it names; docker compose config shows what it makes of one",
            )
        return dict(json.loads(done.stdout))

    def run_attached(self, arguments: Sequence[str]) -> int:
        """Run docker compose on this terminal and return its exit code."""
        command = self.command(*arguments)
        return process.run_attached(command, cwd=self.folder, env=self._environment)

    def exec(self, service: str, command: Sequence[str]) -> Iterator[str]:
        """Yield the output of a command in a running service, line by line; its error stream is ours.

        Raises `process.CommandFailedError` at the end where it failed.
        """
        line = self.command("exec", "-T", service, *command)
        return process.stream_lines(line, cwd=self.folder, env=self._environment, merge=False)

    def exec_as_root(self, service: str, command: Sequence[str]) -> None:
        """Run a command in a running service as root; raises `ServiceError` where it fails."""
        done = self.run("exec", "-T", "--user=0:0", service, *command)
        if not done.ok:
            message = f"{' '.join(command)} failed in the service {service}"
            raise ServiceError(
                message,
                cause=f"it exited with {done.code}: {done.error_line}",
                hint=self.hint,
                log=done.output,
            )

    def run_alone(self, service: str, command: Sequence[str]) -> Iterator[str]:
        """Yield the output of a command in a new container of a service, without the services it depends on.

        Whatever the service or its image would start (their entry point) is left out. The container is
        removed; what else compose makes for it, `down` removes. Raises `process.CommandFailedError` at the
        end where it failed.
        """
        program, *arguments = command
        options = ("--rm", "--no-deps", "--no-TTY", "--entrypoint", program)
        line = self.command("run", *options, service, *arguments)
        return process.stream_lines(line, cwd=self.folder, env=self._environment, merge=False)

    def container_id(self, service: str) -> str:
        """Return the id of a service's container, running or not; `ServiceError` where there is none."""
        return self._container(service).id

    def published_address(self, service: str, port: int) -> str:
        """Return HOST:PORT on this machine for a service's published port; `ServiceError` for none."""
        address = self._container(service).addresses.get(port)
        if address is None:
            raise ServiceError(f"{service} publishes no port {port}", hint=self.hint)
        return address

    def _container(self, service: str) -> sdk.ListedContainer:
        found = self._containers({SERVICE_LABEL: service})
        if not found:
            raise ServiceError(f"the service {service} has no container", hint=self.hint)
        return found[0]

    def _containers(self, labels: Mapping[str, str]) -> list[sdk.ListedContainer]:
        """Return the services' containers with these labels: the engine says it sooner than compose does."""
        return sdk.list_containers({PROJECT_LABEL: self.project, ONE_OFF_LABEL: "False", **labels})

    def states(self) -> list[dict[str, Any]]:
        """Return what compose lists of each container (Service, State, Health, ExitCode)."""
        return parse_states(self.run("ps", "--all", "--format", "json").stdout)

    def log_tail(self, service: str) -> str:
        """Return the last lines of a service's log."""
        return "\n".join(self.log(service).splitlines()[-TAIL:])

    def log(self, service: str) -> str:
        """Return a service's whole log, both of its streams."""
        return sdk.container_log(self.container_id(service))

    def save_logs(self, folder: Path) -> None:
        """Write each service's whole log to FOLDER/SERVICE.log, a time before each line."""
        logs: dict[str, str] = {}
        for each in self._containers({}):
            service = each.labels[SERVICE_LABEL]
            logs[service] = logs.get(service, "") + sdk.container_log(each.id, timestamps=True)
        make_ignored_folder(folder)
        for service, log in logs.items():
            (folder / f"{service}.log").write_text(log, encoding="utf-8")

    @contextlib.contextmanager
    def up(
        self,
        *,
        keep: bool = False,
        explain: Explain | None = None,
        watch: Watch | None = None,
        only: Sequence[str] = (),
        logs: Path | None = None,
    ) -> Iterator[None]:
        """Bring the services up, healthy, for the length of the block; then nothing of them is left.

        `only` are some of them, which bring what they depend on; () for all. `keep` leaves them for
        debugging. Meanwhile `watch` is called over and over, and once more where they fail: what it raises is
        why. Else raises `ServiceError` with the log of the service that is to blame, or the error that
        `explain` returns for that service and its exit code; `PrerequisiteError` where compose is too old.
        After any failure, also of the block, the services' logs go to the folder `logs`.
        """
        versions.require_version(versions.COMPOSE)
        self.write_files()
        stack = _Services(str(self.folder), wait=True, services=list(only) or None)
        stack.watch = watch or _watch_nothing
        # It has no argument for the project's name.
        stack.compose_command_property = self.command()
        stack.environment = self._environment
        try:
            try:
                stack.start()
            except subprocess.CalledProcessError as failed:
                stack.watch()
                raise self._start_failure(failed, explain) from failed
            yield
        except HaybaleError:
            if logs is not None:
                self.save_logs(logs)
            raise
        finally:
            if not keep:
                self.down()
                self.remove_files()

    def down(self) -> None:
        """Remove the project's containers, volumes and networks, whatever happens meanwhile."""
        with process.uninterrupted():
            # Nobody gets time to save what is in them: their volumes are removed as well.
            options = ("--volumes", "--remove-orphans", "--timeout", "0")
            command = self.command("--profile", "*", "down", *options)
            done = process.run(command, cwd=self.folder, env=self._environment, detached=True)
        if not done.ok:
            message = f"the services of {self.project} could not be removed"
            cause = f"docker compose down exited with {done.code}"
            hint = f"docker compose --project-name {self.project} down --volumes"
            raise ServiceError(message, cause=cause, hint=hint, log=done.output)

    def run(self, *arguments: str) -> process.Completed:
        """Run docker compose with its output captured."""
        return process.run(self.command(*arguments), env=self._environment)

    def _start_failure(self, failed: subprocess.CalledProcessError, explain: Explain | None) -> HaybaleError:
        for state in self.states():
            ended = state["State"] == "exited" and state["ExitCode"] != 0
            if ended or state.get("Health") == "unhealthy":
                service = state["Service"]
                if ended and explain and (explained := explain(service, state["ExitCode"])):
                    return explained
                seen = sdk.container_state(self.container_id(service))
                code = state["ExitCode"] if ended else None
                name, log = f"{service} of {self.project}", self.log_tail(service)
                return service_failure(name, code, seen, log, self.hint)
        lines = (failed.stderr or b"").decode(errors="replace").rstrip().splitlines()
        return ServiceError(
            f"the services of {self.project} did not come up",
            cause="each that was started runs, or has ended with 0: docker compose says what it waited for",
            hint=self.hint,
            log="\n".join(lines[-TAIL:]),
        )


def service_failure(
    service: str, code: int | None, seen: sdk.ContainerState, log: str, hint: str
) -> ServiceError:
    """Return what to tell of a service that ended with an exit code, or (None) did not become healthy.

    `seen` is what the engine says of it, `log` the end of its log.
    """
    how = "did not become healthy" if code is None else f"exited with {code}"
    lines = log.rstrip().splitlines()
    cause = f"the last line of its log: {lines[-1]}" if lines else "not known; it printed nothing"
    if seen.is_out_of_memory or code == KILLED:
        cause = f"it was killed (SIGKILL); {seen.memory}" if code == KILLED else seen.memory
    elif code is None and seen.health is not None:
        said = (seen.health.output.splitlines() or ["nothing"])[-1]
        cause = f"its health check, asked last, exited with {seen.health.code} and said: {said}"
        if len(seen.health.output.splitlines()) > 1:
            log = f"{seen.health.output}\n\n{log}"
    return ServiceError(f"the service {service} {how}", cause=cause, hint=hint, log=log)


class _Services(DockerCompose):
    """testcontainers' services, whose commands see what all our child processes see."""

    environment: process.Environment
    watch: Watch

    def _run_command(
        self, cmd: str | list[str], context: str | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        command = [cmd] if isinstance(cmd, str) else cmd
        folder = Path(context or self.context)
        done = process.run_watched(command, watch=self.watch, cwd=folder, env=self.environment)
        output = done.stdout.encode(), done.stderr.encode()
        finished = subprocess.CompletedProcess(command, done.code, *output)
        finished.check_returncode()
        return finished


def _watch_nothing() -> None:
    pass


def parse_states(listed: str) -> list[dict[str, Any]]:
    """Return what `docker compose ps --format json` lists: a JSON array before 2.21, since then lines."""
    if listed.lstrip().startswith("["):
        return list(json.loads(listed))
    return [json.loads(line) for line in listed.splitlines() if line.startswith("{")]


def quote_value(value: str) -> str:
    """Return a value for a file of variables, as compose reads it back (compose-go, dotenv)."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$").replace("\n", "\\n")
    return f'"{escaped}"'
