from django.contrib.auth import authenticate, get_user_model
from django.test import TestCase


class MemberTests(TestCase):
    def test_members_log_in_with_their_address(self):
        member = get_user_model().objects.create_user('vicar@parish.example', 'psalms', full_name='The Vicar')
        self.assertEqual(authenticate(username='vicar@parish.example', password='psalms'), member)

    def test_members_are_not_listed_unless_they_ask(self):
        member = get_user_model().objects.create_user('shy@parish.example', full_name='Shy')
        self.assertFalse(member.is_listed)
