from django.db import models
from django.urls import reverse


class Author(models.Model):
    name = models.CharField(max_length=120)
    born = models.PositiveSmallIntegerField(null=True, blank=True)
    biography = models.TextField(blank=True)

    class Meta:
        ordering = ["name"]

    def __str__(self):
        return self.name

    def get_absolute_url(self):
        return reverse("author", args=[self.pk])


class Subject(models.Model):
    name = models.CharField(max_length=60, unique=True)

    class Meta:
        ordering = ["name"]

    def __str__(self):
        return self.name


class BookQuerySet(models.QuerySet):
    def on_sale(self):
        return self.filter(withdrawn=False)


class Book(models.Model):
    title = models.CharField(max_length=200)
    slug = models.SlugField(max_length=220, unique=True)
    isbn = models.CharField(max_length=13, unique=True)
    authors = models.ManyToManyField(Author, related_name="books")
    subjects = models.ManyToManyField(Subject, related_name="books", blank=True)
    published = models.DateField()
    price = models.DecimalField(max_digits=6, decimal_places=2)
    in_stock = models.PositiveSmallIntegerField(default=0)
    withdrawn = models.BooleanField(default=False)
    summary = models.TextField(blank=True)
    changed = models.DateTimeField(auto_now=True)

    objects = BookQuerySet.as_manager()

    class Meta:
        ordering = ["title"]

    def __str__(self):
        return self.title

    def get_absolute_url(self):
        return reverse("book", args=[self.slug])


class Review(models.Model):
    book = models.ForeignKey(Book, on_delete=models.CASCADE, related_name="reviews")
    reader = models.CharField(max_length=80)
    stars = models.PositiveSmallIntegerField()
    text = models.TextField()

    def __str__(self):
        return f"{self.reader} on {self.book}"
