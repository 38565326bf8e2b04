"""Fill the database: `python -m barn.fill ROWS`. The same rows every time."""

# ruff: noqa: PLC0415, S311 - models come after `setup`; nothing here is a secret

import datetime as dt
import decimal
import random
import sys
import uuid

import django


def main(rows: int) -> None:
    """Make the tables and about `rows` bales."""
    django.setup()
    from django.core.management import call_command
    from django.db import connection
    from meadow.models import Owner

    from barn import models

    call_command("migrate", run_syncdb=True, verbosity=0)
    with connection.cursor() as cursor:
        cursor.execute("CREATE VIEW barn_harvest AS SELECT 2000 + count % 7 AS year, title FROM barn_bale")
    chance = random.Random(7)
    # Few bales for each farm: the join of the bales' index repeats a row for each neighbour.
    owner = Owner.objects.create(name="Ann")
    farms = [
        models.Farm(code=f"f-{number}", name=f"Farm {number}", owner=owner)
        for number in range(max(60, rows // 3))
    ]
    models.Farm.objects.bulk_create(farms)
    models.Plaque.objects.bulk_create(models.Plaque(farm=farm, words=farm.name) for farm in farms[:9])
    models.Bale.objects.bulk_create(
        models.Bale(
            farm=farms[number % len(farms)],
            title=chance.choice(["hay", "straw", "Grün & <b>fresh</b>", "line\r\nend", " x\x00y "])
            + f" {number}",
            body=" ".join(
                chance.choice(["grass", "clover", "\x1f", "\r", "ü", "\U0001f33e"]) for _ in range(40)
            ),
            count=chance.choice([None, 0, -1, 2**63 - 1, number]),
            weight=chance.choice([None, 0.1, -0.0, 1e22, 3.4e38, 1e-40, number / 7]),
            price=chance.choice([None, decimal.Decimal("1.1000"), decimal.Decimal(number)]),
            fresh=number % 2 == 0,
            born=chance.choice([None, dt.date(1, 1, 1), dt.date(9999, 12, 31)]),
            seen=chance.choice(
                [
                    None,
                    dt.datetime(2024, 3, 31, 1, 59, 59, 999999, tzinfo=dt.timezone.utc),
                    dt.datetime(1900, 1, 1, tzinfo=dt.timezone.utc) + dt.timedelta(seconds=number),
                ]
            ),
            hidden=chance.choice([None, number]),
        )
        for number in range(rows)
    )
    for number in range(5):
        models.Stack.objects.create(farm=farms[0], title=f"stack {number}", body="high", height=number)
    models.Token.objects.bulk_create(
        models.Token(key=uuid.UUID(int=chance.getrandbits(128)), word=chance.choice(["", "ja", "nein"]))
        for _ in range(25)
    )


if __name__ == "__main__":
    main(int(sys.argv[1]))
