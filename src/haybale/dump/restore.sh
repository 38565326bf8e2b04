#!/bin/sh
# The reference dump becomes the site's database: the service `restore` of database.yml.
#
# Runs in the server's image (of an SQLite dump, in the site's), with nothing but a POSIX shell and PostgreSQL's own
# programs. /restore has this script and what haybale read in the dump (restoration.py). Exits with 9 where the
# database has not what the dump has; the lines behind the last "Not restored:" say what.
set -eu
export LC_ALL=C
# One stream keeps its order in the log.
exec >&2

sql() {
  psql --no-psqlrc --quiet --no-align --tuples-only "$@"
}

restore_script() {
  set -- --no-psqlrc --quiet --echo-errors --output=/dev/null --file=/dump
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

sql --file=/restore/roles.sql
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
vacuumdb --analyze-only --quiet --jobs="$(nproc)" "$PGDATABASE" || true
