#!/bin/sh
# The reference dump becomes the site's database: the service `restore` of database.yml.
#
# Runs in the server's image (of an SQLite dump, in the site's), with nothing but a POSIX shell and PostgreSQL's own
# programs. /restore has this script and what haybale read in the dump (restoration.py). Exits with 9 where the
# database has not what the dump has; the lines behind the last "Not restored:" say what.
#
# A dump is code: what is in it runs as the role of the site (PGUSER), which is nobody special. The server's
# superuser (ADMIN, ADMIN_PASSWORD) makes before what only it can make, and does nothing after.
set -eu
export LC_ALL=C
# One stream keeps its order in the log.
exec >&2

sql() {
  psql --no-psqlrc --quiet --no-align --tuples-only "$@"
}

# Run SQL as the superuser, in a subshell: (admin DATABASE ARGUMENTS)
admin() {
  OWNER=$PGUSER OWNER_PASSWORD=${PGPASSWORD-} NAME=$PGDATABASE \
    PGUSER=$ADMIN PGPASSWORD=${ADMIN_PASSWORD-} PGDATABASE=$1
  PGOPTIONS='-c client_min_messages=warning'
  export OWNER OWNER_PASSWORD NAME PGUSER PGPASSWORD PGDATABASE PGOPTIONS
  shift
  sql "$@"
}

# A new database of the site's role, whatever there was: this may be the second run on one server.
make_database() {
  (admin template1 --set ON_ERROR_STOP=1) <<'SQL'
\set owner `printf %s "$OWNER"`
\set password `printf %s "$OWNER_PASSWORD"`
\set name `printf %s "$NAME"`
SELECT format('CREATE ROLE %I', :'owner')
WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = :'owner')
\gexec
-- Tests make a database of their own; rows are counted whatever policies say.
SELECT format('ALTER ROLE %I LOGIN NOSUPERUSER CREATEDB BYPASSRLS PASSWORD %L', :'owner', :'password')
\gexec
SELECT format('DROP DATABASE IF EXISTS %I', :'name')
    || CASE WHEN current_setting('server_version_num')::int >= 130000 THEN ' WITH (FORCE)' ELSE '' END
\gexec
SELECT format('CREATE DATABASE %I OWNER %I TEMPLATE template0', :'name', :'owner')
\gexec
SQL
  # What roles of the dump own, they must be able to make.
  (admin "$PGDATABASE" --set ON_ERROR_STOP=1) <<'SQL'
\set owner `printf %s "$OWNER"`
SELECT format('GRANT ALL ON DATABASE %I TO PUBLIC', current_database())
\gexec
GRANT ALL ON SCHEMA public TO PUBLIC;
SELECT format('ALTER SCHEMA public OWNER TO %I', :'owner')
WHERE current_setting('server_version_num')::int < 150000
\gexec
SELECT format('ALTER DEFAULT PRIVILEGES FOR ROLE %I GRANT ALL ON SCHEMAS TO PUBLIC', :'owner')
\gexec
-- Dumps of old servers comment on plpgsql, or drop it.
UPDATE pg_catalog.pg_extension
SET extowner = (SELECT datdba FROM pg_catalog.pg_database WHERE datname = current_database());
SQL
}

restore_script() {
  set -- --no-psqlrc --quiet --echo-errors --output=/dev/null "$@"
  # Commands of psql's own end with it: they would run programs, here.
  key=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
  if has_restrict; then
    set -- --command="\\restrict $key" "$@"
  elif [ "$MODE" != strict ]; then
    # Behind a COPY that fails, psql takes rows for commands.
    echo "psql: warning: $(psql --version) has no \\restrict: it stops at the first error"
    MODE=strict
  fi
  # With the dump's own \restrict, ours could not end; its lines stay, for their numbers in messages.
  if [ -e /restore/restrictions.sed ]; then
    sed -f /restore/restrictions.sed /dump | run_script "$@" --file=-
  else
    run_script "$@" --file=/dump
  fi
}

# Whether psql has \restrict: 13.22, 14.19, 15.14, 16.10, 17.6, 18.
has_restrict() {
  version=$(psql --version | sed 's/[^0-9]*\([0-9]*\)\.*\([0-9]*\).*/\1 \2/')
  case ${version% *} in
    13) least=22 ;; 14) least=19 ;; 15) least=14 ;; 16) least=10 ;; 17) least=6 ;;
    *) [ "${version% *}" -ge 18 ]; return ;;
  esac
  [ "${version#* }" -ge "$least" ]
}

run_script() {
  if [ "$MODE" = strict ]; then
    psql --set ON_ERROR_STOP=1 --single-transaction "$@"
  elif [ -e /restore/one-transaction ]; then
    psql --set ON_ERROR_ROLLBACK=on --single-transaction "$@"
  else
    psql "$@"
  fi
}

restore_archive() {
  set -- --dbname="$PGDATABASE" --no-owner --no-privileges --no-tablespaces "$@" /dump
  if [ "$MODE" = strict ]; then
    pg_restore --exit-on-error "$@"
  elif ! pg_restore "$@" 2>/tmp/errors; then
    cat /tmp/errors >&2
    # It exits with 1 where it went on, and where it gave up.
    grep -q '^pg_restore: warning: errors ignored on restore: ' /tmp/errors
  else
    cat /tmp/errors >&2
  fi
}

case $FORMAT in
  sqlite)
    cp /dump /data/db.sqlite3
    # Whoever the site runs as: it writes the file, and a journal beside it.
    chmod a+rwX /data /data/db.sqlite3
    exit ;;
esac

make_database
(admin "$PGDATABASE" --file=/restore/roles.sql)
(admin "$PGDATABASE" --file=/restore/extensions.sql)
case $FORMAT in
  plain) restore_script ;;
  # It has to be read from the beginning to the end.
  tar) restore_archive --format=tar ;;
  *) restore_archive --jobs="$(nproc)" ;;
esac

sql --file=/restore/refresh.sql 2>/dev/null
sql --set ON_ERROR_STOP=1 --file=/restore/compare.sql >/tmp/missing
if [ -s /tmp/missing ]; then
  echo "Not restored:"
  cat /tmp/missing
  exit 9
fi

# The planner's statistics: without them all is there, and only slower.
# The server's own tables, which are not the site's, go without.
PGOPTIONS='-c client_min_messages=error' vacuumdb --analyze-only --quiet --jobs="$(nproc)" "$PGDATABASE" || true
