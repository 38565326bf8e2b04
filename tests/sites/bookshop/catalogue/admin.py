from django.contrib import admin

from catalogue.models import Author, Book, Review, Subject


class ReviewInline(admin.TabularInline):
    model = Review
    extra = 0


@admin.register(Book)
class BookAdmin(admin.ModelAdmin):
    list_display = ["title", "isbn", "price", "in_stock", "withdrawn"]
    list_filter = ["withdrawn", "subjects"]
    search_fields = ["title", "isbn"]
    inlines = [ReviewInline]


admin.site.register([Author, Subject])
