"""docker compose: one project of services, brought up through testcontainers and always taken down."""

from __future__ import annotations

import contextlib
import json
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from haybale.errors import ServiceError
from haybale.tools import process

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

# Lines of a service's log that go into an error.
TAIL = 25


@dataclass(frozen=True, kw_only=True)
class Compose:
    """A compose file with the variables that it is read with, under a project's name.

    `variables` are what the file interpolates; they and the name go to compose in `env_file`, so that every
    caller (testcontainers, a developer's command line) gives compose the same.
    """

    file: Path
    project: str
    env_file: Path
    variables: Mapping[str, str] = field(default_factory=dict)

    def command(self, *arguments: str) -> list[str]:
        """Return the docker compose command line with these arguments."""
        return [
            "docker", "compose", "--project-name", self.project, "--file", str(self.file),
            "--env-file", str(self.env_file), *arguments,
        ]  # fmt: skip

    @property
    def keep_notice(self) -> str:
        """What somebody is told whose services are kept."""
        return f"keeping them; to remove them: docker compose --project-name {self.project} down --volumes"

    def write_env(self) -> None:
        """Write the file of variables, whole or not at all."""
        self.env_file.parent.mkdir(parents=True, exist_ok=True)
        aside = self.env_file.with_suffix(".new")
        lines = [f"{name}='{value}'" for name, value in sorted(self.variables.items())]
        aside.write_text("\n".join([f"COMPOSE_PROJECT_NAME='{self.project}'", *lines, ""]), encoding="utf-8")
        aside.replace(self.env_file)

    def run_attached(self, arguments: Sequence[str]) -> int:
        """Run docker compose on this terminal and return its exit code."""
        return process.run_attached(self.command(*arguments), cwd=self.file.parent)

    def exec(self, service: str, command: Sequence[str]) -> Iterator[str]:
        """Yield the output of a command in a running service, line by line; its error stream is ours.

        Raises `process.CommandFailedError` at the end where it failed.
        """
        return process.stream_lines(
            self.command("exec", "-T", service, *command), cwd=self.file.parent, merge=False
        )

    def container(self, service: str) -> str:
        """Return the id of a service's container, running or not; "" where there is none."""
        return process.run(self.command("ps", "--all", "--quiet", service)).stdout.strip()

    def port(self, service: str, port: int) -> str:
        """Return HOST:PORT on this machine for a service's published port."""
        found = process.run(self.command("port", service, str(port)))
        if not found.ok or not found.stdout.strip():
            raise ServiceError(f"{service} publishes no port {port}", log=found.output)
        return found.stdout.strip()

    def states(self) -> list[dict[str, Any]]:
        """Return what compose says of each container (Service, State, Health, ExitCode)."""
        listed = process.run(self.command("ps", "--all", "--format", "json"))
        return [json.loads(line) for line in listed.stdout.splitlines() if line.startswith("{")]

    def log_tail(self, service: str, lines: int = TAIL) -> str:
        """Return the last lines of a service's log."""
        return process.run(
            self.command("logs", "--no-color", "--no-log-prefix", "--tail", str(lines), service)
        ).output

    def save_logs(self, folder: Path) -> None:
        """Write each service's whole log to FOLDER/SERVICE.log."""
        folder.mkdir(parents=True, exist_ok=True)
        for state in self.states():
            service = state["Service"]
            with (folder / f"{service}.log").open("wb") as file, process.running_process(
                self.command("logs", "--no-color", "--timestamps", "--no-log-prefix", service),
                stdin=subprocess.DEVNULL, stdout=file, stderr=file,
            ) as logs:  # fmt: skip
                logs.wait()

    @contextlib.contextmanager
    def up(self, *, keep: bool = False) -> Iterator[None]:
        """Bring the services up, healthy, for the length of the block; then nothing of them is left.

        `keep` leaves them for debugging. Raises `ServiceError` with the log of the service that is to blame.
        """
        # testcontainers costs a third of a second to import, and only a few verbs need it.
        from haybale.tools.engine import containers  # noqa: PLC0415

        self.write_env()
        try:
            try:
                containers.up(self.file, self.project, self.env_file)
            except containers.UpFailedError as failed:
                raise self._failure(failed.said) from failed
            yield
        finally:
            if not keep:
                self.down()
                self.env_file.unlink(missing_ok=True)

    def down(self) -> None:
        """Remove the project's containers, volumes and networks, whatever happens meanwhile."""
        with process.uninterrupted():
            done = process.run(
                self.command("--profile", "*", "down", "--volumes", "--remove-orphans", "--timeout", "10"),
                cwd=self.file.parent,
                detached=True,
            )
        if not done.ok:
            raise ServiceError(
                f"the services of {self.project} could not be removed",
                cause="the engine went away, or something else uses them",
                hint=f"docker compose --project-name {self.project} down --volumes",
                log=done.output,
            )

    def _failure(self, said: str) -> ServiceError:
        for state in self.states():
            ended = state["State"] == "exited" and state["ExitCode"] != 0
            if ended or state.get("Health") == "unhealthy":
                service = state["Service"]
                how = f"exited with {state['ExitCode']}" if ended else "did not become healthy"
                return ServiceError(
                    f"the service {service} of {self.file.name} {how}",
                    cause="see the end of its log",
                    hint="--keep leaves the services for a look",
                    log=self.log_tail(service),
                )
        return ServiceError(f"the services of {self.file.name} did not come up", log=tail(said))


def tail(text: str, lines: int = TAIL) -> str:
    """Return the last lines of a text."""
    return "\n".join(text.rstrip().splitlines()[-lines:])
