"""A model that others name by a text only."""

from django.db import models


class Owner(models.Model):
    """Owns farms."""

    name = models.CharField(max_length=50)

    def __str__(self) -> str:
        return f"owner {self.name}"
