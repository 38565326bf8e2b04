from django.db import models


class Letter(models.Model):
    sender = models.CharField(max_length=100)
    recipient = models.CharField(max_length=100)
    written = models.DateField()
    transcript = models.TextField()
    # The families of some have asked for that.
    closed_until = models.DateField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.sender} to {self.recipient}, {self.written}"
