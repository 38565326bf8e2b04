"""The one model of the benchmark's site."""

from django.db import models


class Note(models.Model):
    """About 1.3 KB of words, and what a site has besides."""

    title = models.CharField(max_length=200)
    author = models.CharField(max_length=100)
    body = models.TextField()
    created = models.DateTimeField()
    rating = models.IntegerField()

    def __str__(self) -> str:
        return self.title
