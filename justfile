# One recipe for each session of noxfile.py, with the same name (nox writes _ for -).

# Arguments reach the session as they were given: empty ones stay, quoting stays.
set positional-arguments

# Any nox will do: NOX=nox just test
nox := env("NOX", justfile_directory() / "noxw")

[private]
default:
    @"{{ just_executable() }}" --justfile "{{ justfile() }}" --list --unsorted

# The verbs: written by `python3 src/haybale/verbs.py`, not to be edited.

# Make sure that a container engine with compose and buildx answers
[group('build')]
engine *args:
    @"{{ nox }}" -s engine -- "$@"

# Adopt haybale in a repository: find what it is, propose settings, write them: [--dry-run] [--yes] [--confirm] [--ci FORGE] [--set NAME=VALUE] [--json] and more
[group('build')]
init *args:
    @"{{ nox }}" -s init -- "$@"

# Bring what `init` wrote up to this version, where nobody changed it: [--dry-run] [--yes] [--json]
[group('build')]
upgrade *args:
    @"{{ nox }}" -s upgrade -- "$@"

# Find everything that would stop a run, before one is started: [--deep] [--json]
[group('build')]
doctor *args:
    @"{{ nox }}" -s doctor -- "$@"

# Build a stage as TAG (release) or TAG-STAGE: [STAGE=release] [--load|--push] [VERBOSITY=1, '' is quiet] [BUILDX ARGUMENTS]
[group('build')]
build stage="release" action="--load" verbosity="1" *args:
    @"{{ nox }}" -s build -- "$@"

# Build a stage and push it: [STAGE=release] [BUILDX ARGUMENTS]
[group('build')]
push stage="release" *args:
    @"{{ nox }}" -s push -- "$@"

# Compile the site's requirements: [--check] [--upgrade] [--upgrade-package NAME]
[group('build')]
regen-requirements *args:
    @"{{ nox }}" -s regen_requirements -- "$@"

# Index the reference dump, bake the index into the Solr image, verify it: [--keep]
[group('index')]
regen-solr-image *args:
    @"{{ nox }}" -s regen_solr_image -- "$@"

# Explain the index key, and what changed since the last index or another one: [KEY|IMAGE] [--json]
[group('index')]
why *args:
    @"{{ nox }}" -s why -- "$@"

# Show what an index image holds and how that was verified: [KEY|IMAGE] [--json]
[group('index')]
inspect *args:
    @"{{ nox }}" -s inspect -- "$@"

# Bring up the site with the baked index and run every test: [--keep]
[group('test')]
test *args:
    @"{{ nox }}" -s test -- "$@"

# Run docker compose on the environment that indexes: [ARGUMENTS=ps]
[group('test')]
solr-dc *args="ps":
    @"{{ nox }}" -s solr_dc -- "$@"

# Run docker compose on the environment that tests: [ARGUMENTS=ps]
[group('test')]
ci-dc *args="ps":
    @"{{ nox }}" -s ci_dc -- "$@"

# Run the pipeline of a push (index, version, tests, publishing): [--plan] [--publish] [--resume] and more
[group('release')]
pipeline *args:
    @"{{ nox }}" -s pipeline -- "$@"

# Make the next version: [PART=build] [--dry-run] [--offline] and more
[group('release')]
bump *args:
    @"{{ nox }}" -s bump -- "$@"

# Write release notes: [FROM] [TO] [--json]
[group('release')]
notes *args:
    @"{{ nox }}" -s notes -- "$@"

# Check a release against its record, in git and in the registry: VERSION [--json]
[group('release')]
verify-release version *args:
    @"{{ nox }}" -s verify_release -- "$@"

# Deploy a version to an environment: ENVIRONMENT [VERSION=the one checked out] [--plan]
[group('deploy')]
deploy environment *args:
    @"{{ nox }}" -s deploy -- "$@"

# Put an environment back to what it had before: ENVIRONMENT [--plan]
[group('deploy')]
rollback environment *args:
    @"{{ nox }}" -s rollback -- "$@"

# Show what runs in each environment, and whether that still holds: [--json] [--html FILE]
[group('deploy')]
status *args:
    @"{{ nox }}" -s status -- "$@"

# Write the manifests that Flux needs for each environment: [--into FOLDER]
[group('deploy')]
flux *args:
    @"{{ nox }}" -s flux -- "$@"

# Deploy on a scratch remote, and show what Flux would do: ENVIRONMENT [--json]
[group('deploy')]
rehearse-deploy environment *args:
    @"{{ nox }}" -s rehearse_deploy -- "$@"

# List the images that nothing refers to, or remove them: [--yes]
[group('deploy')]
prune *args:
    @"{{ nox }}" -s prune -- "$@"

# Print each setting and where its value comes from: [--json|--schema]
[group('print')]
config *args:
    @"{{ nox }}" -s config -- "$@"

# Print the version
[group('print')]
version *args:
    @"{{ nox }}" -s version -- "$@"

# Print the repository that images belong to
[group('print')]
registry *args:
    @"{{ nox }}" -s registry -- "$@"

# Print REGISTRY:VERSION
[group('print')]
tag *args:
    @"{{ nox }}" -s tag -- "$@"

# Print the names of the Dockerfile's stages, a line each
[group('print')]
layers *args:
    @"{{ nox }}" -s layers -- "$@"

# Looking after this repository.

# Run the unit tests
[group('repository')]
unit *args:
    @"{{ nox }}" -s unit -- "$@"

# Build the package and run it as others get it, without an engine
[group('repository')]
package *args:
    @"{{ nox }}" -s package -- "$@"

# Check style, formatting, and that imports point down only
[group('repository')]
lint *args:
    @"{{ nox }}" -s lint -- "$@"

# Check types
[group('repository')]
typecheck *args:
    @"{{ nox }}" -s typecheck -- "$@"

# Check the files that CI systems read
[group('repository')]
workflows *args:
    @"{{ nox }}" -s workflows -- "$@"

# Measure the loader against Haystack's
[group('repository')]
bench *args:
    @"{{ nox }}" -s bench -- "$@"

# Compile the locks of the sessions' environments
[group('repository')]
lock *args:
    @"{{ nox }}" -s lock -- "$@"
