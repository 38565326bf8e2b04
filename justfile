# One recipe for each session of noxfile.py, with the same name (nox writes _ for -).

# Arguments reach the session as they were given: empty ones stay, quoting stays.
set positional-arguments

# Any nox will do: NOX=nox just test
nox := env("NOX", justfile_directory() / "noxw")

[private]
default:
    @"{{ just_executable() }}" --justfile "{{ justfile() }}" --list --unsorted

# Make sure that a container engine with compose and buildx answers
engine *args:
    @"{{ nox }}" -s engine -- "$@"

# Build a layer (action: --load or --push; verbosity '' is quiet)
build step="release" action="--load" verbosity="1" *args:
    @"{{ nox }}" -s build -- "$@"

# Build a layer and push it
push step="release" *args:
    @"{{ nox }}" -s push -- "$@"

# Bring up the site with the baked index and run every test
test *args:
    @"{{ nox }}" -s test -- "$@"

# Index the reference dump, bake the index into the Solr image, prove it
regen-solr-image *args:
    @"{{ nox }}" -s regen_solr_image -- "$@"

# Take a push the whole way: index, version, tests, publishing (--plan, --publish, --resume)
pipeline *args:
    @"{{ nox }}" -s pipeline -- "$@"

# Tell what the index key is made of, and what changed since (a key, an image, --json)
why *args:
    @"{{ nox }}" -s why -- "$@"

# Tell what an index image holds and how that was verified: [KEY or IMAGE]
inspect *args:
    @"{{ nox }}" -s inspect -- "$@"

# Make the next version (part: major, minor, patch or build; then bump2version's options)
bump part="build" *args:
    @"{{ nox }}" -s bump -- "$@"

# Compile the site's requirements (--check, --upgrade, --upgrade-package NAME)
regen-requirements *args:
    @"{{ nox }}" -s regen_requirements -- "$@"

# docker compose on the environment that indexes
solr-dc *args="ps":
    @"{{ nox }}" -s solr_dc -- "$@"

# docker compose on the environment that tests
ci-dc *args="ps":
    @"{{ nox }}" -s ci_dc -- "$@"

# Print the Dockerfile's stages
layers *args:
    @"{{ nox }}" -s layers -- "$@"

# Print the repository that images belong to
registry *args:
    @"{{ nox }}" -s registry -- "$@"

# Print REGISTRY:VERSION
tag *args:
    @"{{ nox }}" -s tag -- "$@"

# Print the version
version *args:
    @"{{ nox }}" -s version -- "$@"

# Deploy a version to an environment (version: default the one checked out; --plan)
deploy environment *args:
    @"{{ nox }}" -s deploy -- "$@"

# Give an environment back what it had before (--plan)
rollback environment *args:
    @"{{ nox }}" -s rollback -- "$@"

# Tell what runs in each environment, and whether that still holds (--json, --html FILE)
status *args:
    @"{{ nox }}" -s status -- "$@"

# Ask git and the registry whether a release is what its record says (--json)
verify-release version *args:
    @"{{ nox }}" -s verify_release -- "$@"

# List the images that nothing refers to (--yes removes them)
prune *args:
    @"{{ nox }}" -s prune -- "$@"

# Write what Flux needs of each environment (--into FOLDER)
flux *args:
    @"{{ nox }}" -s flux -- "$@"

# Deploy to an environment on a scratch remote, and tell what its webhooks would make Flux do (--json)
rehearse-deploy env *args:
    @"{{ nox }}" -s rehearse_deploy -- "$@"

# Write release notes: what came between two versions, and what that did to the index (--json)
notes *args:
    @"{{ nox }}" -s notes -- "$@"

# Run the unit tests
unit *args:
    @"{{ nox }}" -s unit -- "$@"

# Check style and formatting
lint *args:
    @"{{ nox }}" -s lint -- "$@"

# Check types
typecheck *args:
    @"{{ nox }}" -s typecheck -- "$@"

# Check the files that CI systems read
workflows *args:
    @"{{ nox }}" -s workflows -- "$@"

# Measure the loader against Haystack's
bench *args:
    @"{{ nox }}" -s bench -- "$@"

# Compile the locks of the sessions' environments
lock *args:
    @"{{ nox }}" -s lock -- "$@"
