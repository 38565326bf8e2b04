"""Sites that haybale cannot work for, said before anything is written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from haybale.adoption.site_settings import Reference
from haybale.errors import ConfigError

if TYPE_CHECKING:
    from haybale.adoption.survey import Survey

# Databases whose dumps are not restored (docs/databases.md), by a word in Django's name of the backend.
NOT_RESTORED = {"mysql": "MySQL", "mariadb": "MariaDB", "oracle": "Oracle", "mssql": "SQL Server"}


def check_database(survey: Survey) -> None:
    """Raise `ConfigError` for a site that always has a database which haybale cannot restore."""
    database = survey.settings.database
    if database is None or any(isinstance(part, Reference) for part in database.options.get("ENGINE", ())):
        return
    engine = (database.engine or "").lower()
    name = next((name for word, name in NOT_RESTORED.items() if word in engine), None)
    if name and not any(each.database for each in survey.dumps):
        raise ConfigError(
            f"{database.place}: the site's database is {name}, and haybale cannot restore a dump of it",
            cause="it restores dumps of PostgreSQL and SQLite, and the index is made of a restored dump",
            hint="where the site runs on one of these too: let the settings read the engine from a variable,"
            " and put a dump of that database into the repository",
        )
