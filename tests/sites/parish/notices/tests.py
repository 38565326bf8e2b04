from django.contrib.auth import get_user_model
from django.test import SimpleTestCase, TestCase
from django.utils import timezone
from haystack.query import SearchQuerySet

from notices.models import Notice


class PageTests(TestCase):
    def setUp(self):
        author = get_user_model().objects.create_user('a@parish.example', full_name='A. Warden')
        self.notice = Notice.objects.create(
            title='Bell ringing', body='On Friday.', author=author, posted=timezone.now())

    def test_front_page(self):
        page = self.client.get('/')
        self.assertContains(page, 'Saint Swithin')
        self.assertContains(page, 'Bell ringing')

    def test_notice(self):
        self.assertContains(self.client.get(self.notice.get_absolute_url()), 'A. Warden')

    def test_no_such_notice(self):
        self.assertEqual(self.client.get('/notices/0/').status_code, 404)


class SearchTests(SimpleTestCase):
    """With Solr, as the last backup filled it."""

    def test_notices_are_found_by_their_words(self):
        found = SearchQuerySet().models(Notice).filter(content='choir')
        self.assertGreater(found.count(), 0)
        self.assertIn('choir', found[0].text.lower())

    def test_words_mean_the_same(self):
        fete = SearchQuerySet().models(Notice).filter(content='fete').count()
        self.assertGreater(fete, 0)
        self.assertEqual(SearchQuerySet().models(Notice).filter(content='fair').count(), fete)

    def test_newest_notice_is_first(self):
        posted = [each.posted for each in SearchQuerySet().models(Notice).order_by('-posted')[:20]]
        self.assertEqual(posted, sorted(posted, reverse=True))

    def test_listed_members_only(self):
        found = SearchQuerySet().models(get_user_model())
        self.assertGreater(found.count(), 0)
        self.assertEqual(found.filter(content='unlisted').count(), 0)
