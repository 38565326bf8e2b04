from django.conf import settings
from django.db import models


class Notice(models.Model):
    title = models.CharField(max_length=120)
    body = models.TextField()
    author = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    posted = models.DateTimeField()
    expires = models.DateField(null=True, blank=True)
    attendance = models.IntegerField(null=True, blank=True)

    class Meta:
        ordering = ('-posted',)

    def __str__(self):
        return self.title

    def get_absolute_url(self):
        return '/notices/%d/' % self.pk
