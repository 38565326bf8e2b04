from django.db import models


class Maker(models.Model):
    name = models.CharField(max_length=100)
    craft = models.CharField(max_length=60)
    town = models.CharField(max_length=60)

    def __str__(self) -> str:
        return self.name


class Item(models.Model):
    class Department(models.TextChoices):
        CERAMICS = "ceramics", "Ceramics"
        TEXTILES = "textiles", "Textiles"
        TOOLS = "tools", "Tools"
        SHIPS = "ships", "Ships"

    number = models.CharField(max_length=20, unique=True)
    name = models.CharField(max_length=160)
    department = models.CharField(max_length=20, choices=Department)
    maker = models.ForeignKey(Maker, null=True, blank=True, on_delete=models.PROTECT, related_name="items")
    year = models.SmallIntegerField(null=True, blank=True)
    material = models.CharField(max_length=60)
    description = models.TextField()
    on_display = models.BooleanField(default=False)
    acquired = models.DateField()

    def __str__(self) -> str:
        return f"{self.number} {self.name}"
