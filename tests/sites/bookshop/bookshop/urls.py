from django.contrib import admin
from django.urls import path

from catalogue import views

urlpatterns = [
    path("", views.front, name="front"),
    path("search/", views.Search.as_view(), name="search"),
    path("books/<slug:slug>/", views.BookPage.as_view(), name="book"),
    path("authors/<int:pk>/", views.AuthorPage.as_view(), name="author"),
    path("admin/", admin.site.urls),
]
