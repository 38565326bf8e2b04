"""Fill an empty parish with members and notices, the same ones every time."""
import datetime
import random

from django.core.management.base import BaseCommand

from notices.models import Notice
from people.models import Member

FIRST_NAMES = 'Ann Bill Cath Dick Elsie Fred Gwen Harry Ivy Jack'.split()
LAST_NAMES = 'Archer Baker Carter Dyer Fletcher Mason Potter Smith'.split()
WHAT = 'Choir practice,Summer fete,Harvest supper,Bell tower,Jumble sale,Flower rota,Coffee morning'.split(',')
WHERE = 'in the hall,in the church,on the green,at the vicarage'.split(',')
NEEDS = 'cakes,helpers,a ladder,new voices,empty jars,books for the stall'.split(',')

MEMBERS, NOTICES = 50, 200


class Command(BaseCommand):
    help = __doc__

    def handle(self, **options):
        chance = random.Random(3)
        names = chance.sample([f'{first} {last}' for first in FIRST_NAMES for last in LAST_NAMES], MEMBERS)
        members = Member.objects.bulk_create(
            Member(
                email='%s@parish.example' % name.lower().replace(' ', '.'),
                full_name=name,
                # Nobody can log in with it.
                password='!',
                is_listed=number % 5 > 0,
                is_active=number % 11 > 0,
                about='Looks after %s.' % chance.choice(NEEDS) if number % 5 else 'unlisted',
            )
            for number, name in enumerate(names)
        )
        start = datetime.datetime(2025, 1, 1, 9, tzinfo=datetime.timezone.utc)
        Notice.objects.bulk_create(self.notice(number, start, members, chance) for number in range(NOTICES))

    def notice(self, number, start, members, chance):
        what, where = chance.choice(WHAT), chance.choice(WHERE)
        return Notice(
            title='%s, week %d' % (what, number // 4 + 1),
            body='%s %s. We need %s and %s.' % (what, where, *chance.sample(NEEDS, 2)),
            author=chance.choice(members),
            posted=start + datetime.timedelta(hours=42 * number),
            attendance=chance.choice([None, *range(3, 90)]),
        )
