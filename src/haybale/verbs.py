"""Every verb of haybale, declared once: its command, its nox session and its recipe come from here.

Needs only the standard library, so that the noxfile can read it before anything is installed.
`python3 src/haybale/verbs.py` writes the recipes into the justfile.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

# Between these lines of the justfile are the recipes of the verbs.
RECIPES_BEGIN = "# The verbs: written by `python3 src/haybale/verbs.py`, not to be edited.\n"
RECIPES_END = "# Looking after this repository.\n"


@dataclass(frozen=True, kw_only=True)
class Verb:
    """A verb: `haybale NAME`, `nox -s NAME` (with _ for -) and `just NAME`.

    Its command is NAME_command in the module `module` of haybale.commands. Lists show it under the heading
    `group`, with its `arguments`; `parameters` are the same in the justfile's syntax. Its session installs
    requirements/`lock`.txt, and passes its own arguments on where `passes_arguments`.
    """

    name: str
    group: str
    module: str
    help: str
    arguments: str = ""
    parameters: str = "*args"
    lock: str = "haybale"
    passes_arguments: bool = True

    @property
    def identifier(self) -> str:
        """The name in Python and nox."""
        return self.name.replace("-", "_")

    @property
    def summary(self) -> str:
        """The help with the arguments, in one line."""
        return f"{self.help}: {self.arguments}" if self.arguments else self.help


# fmt: off
VERBS = (
    # Runs before other sessions on one command line, whose arguments are not its own.
    Verb(name="engine", group="build", module="build", passes_arguments=False,
         help="Make sure that a container engine with compose and buildx answers"),
    Verb(name="init", group="build", module="init",
         help="Adopt haybale in a repository: find what it is, propose settings, write them",
         arguments="[--dry-run] [--yes] [--confirm] [--ci FORGE] [--set NAME=VALUE] [--json] and more"),
    Verb(name="upgrade", group="build", module="init",
         help="Bring what `init` wrote up to this version, where nobody changed it",
         arguments="[--dry-run] [--yes] [--json]"),
    Verb(name="doctor", group="build", module="doctor",
         help="Find everything that would stop a run, before one is started",
         arguments="[--deep] [--json]"),
    Verb(name="build", group="build", module="build", help="Build a stage as TAG (release) or TAG-STAGE",
         arguments="[STAGE=release] [--load|--push] [VERBOSITY=1, '' is quiet] [BUILDX ARGUMENTS]",
         parameters='stage="release" action="--load" verbosity="1" *args'),
    Verb(name="push", group="build", module="build", help="Build a stage and push it",
         arguments="[STAGE=release] [BUILDX ARGUMENTS]", parameters='stage="release" *args'),
    Verb(name="regen-requirements", group="build", module="build", lock="requirements",
         help="Compile the site's requirements", arguments="[--check] [--upgrade] [--upgrade-package NAME]"),

    Verb(name="regen-solr-image", group="index", module="index",
         help="Index the reference dump, bake the index into the Solr image, verify it",
         arguments="[--keep]"),
    Verb(name="why", group="index", module="index",
         help="Explain the index key, and what changed since the last index or another one",
         arguments="[KEY|IMAGE] [--json]"),
    Verb(name="inspect", group="index", module="index",
         help="Show what an index image holds and how that was verified", arguments="[KEY|IMAGE] [--json]"),

    Verb(name="test", group="test", module="test", lock="tests",
         help="Bring up the site with the baked index and run every test", arguments="[--keep]"),
    Verb(name="solr-dc", group="test", module="test", parameters='*args="ps"',
         help="Run docker compose on the environment that indexes", arguments="[ARGUMENTS=ps]"),
    Verb(name="ci-dc", group="test", module="test", parameters='*args="ps"',
         help="Run docker compose on the environment that tests", arguments="[ARGUMENTS=ps]"),

    Verb(name="pipeline", group="release", module="pipeline", lock="tests",
         help="Run the pipeline of a push (index, version, tests, publishing)",
         arguments="[--plan] [--publish] [--resume] and more"),
    Verb(name="bump", group="release", module="release", lock="bump",
         help="Make the next version", arguments="[PART=build] [--dry-run] [--offline] and more"),
    Verb(name="notes", group="release", module="release", help="Write release notes",
         arguments="[FROM] [TO] [--json]"),
    Verb(name="verify-release", group="release", module="release", parameters="version *args",
         help="Check a release against its record, in git and in the registry", arguments="VERSION [--json]"),

    Verb(name="deploy", group="deploy", module="deploy", parameters="environment *args",
         help="Deploy a version to an environment",
         arguments="ENVIRONMENT [VERSION=the one checked out] [--plan]"),
    Verb(name="rollback", group="deploy", module="deploy", parameters="environment *args",
         help="Put an environment back to what it had before", arguments="ENVIRONMENT [--plan]"),
    Verb(name="status", group="deploy", module="status",
         help="Show what runs in each environment, and whether that still holds",
         arguments="[--json] [--html FILE]"),
    Verb(name="flux", group="deploy", module="deploy",
         help="Write the manifests that Flux needs for each environment", arguments="[--into FOLDER]"),
    Verb(name="rehearse-deploy", group="deploy", module="rehearsal", lock="rehearse",
         parameters="environment *args", help="Deploy on a scratch remote, and show what Flux would do",
         arguments="ENVIRONMENT [--json]"),
    Verb(name="prune", group="deploy", module="deploy",
         help="List the images that nothing refers to, or remove them", arguments="[--yes]"),

    Verb(name="config", group="print", module="settings",
         help="Print each setting and where its value comes from", arguments="[--json|--schema]"),
    Verb(name="version", group="print", module="project", help="Print the version"),
    Verb(name="registry", group="print", module="project", help="Print the repository that images belong to"),
    Verb(name="tag", group="print", module="project", help="Print REGISTRY:VERSION"),
    Verb(name="layers", group="print", module="project",
         help="Print the names of the Dockerfile's stages, a line each"),
)
# fmt: on


def verbs_by_group() -> dict[str, list[Verb]]:
    """Return the verbs of each group, in the order of the lists."""
    return {group: list(verbs) for group, verbs in groupby(VERBS, key=lambda verb: verb.group)}


def render_recipe(verb: Verb) -> str:
    """Return a verb's recipe in the justfile."""
    return (
        f"# {verb.summary}\n[group('{verb.group}')]\n{verb.name} {verb.parameters}:\n"
        f'    @"{{{{ nox }}}}" -s {verb.identifier} -- "$@"\n'
    )


def replace_recipes(justfile: str) -> str:
    """Return the text of a justfile with the verbs' recipes as they are declared here."""
    before, begin, rest = justfile.partition(RECIPES_BEGIN)
    _, end, after = rest.partition(RECIPES_END)
    return "\n".join([before + begin, *map(render_recipe, VERBS), end + after])


def main() -> None:
    """Write the recipes into this repository's justfile."""
    justfile = Path(__file__).parents[2] / "justfile"
    justfile.write_text(replace_recipes(justfile.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
