"""The site's addresses."""

from archive import views
from django.urls import path

urlpatterns = [
    path("", views.home, name="home"),
    path("search/", views.search, name="search"),
    path("addresses/<slug:slug>/", views.address, name="address"),
    path("presidents/", views.presidents, name="presidents"),
    path("presidents/<slug:slug>/", views.president, name="president"),
    path("timeline/", views.timeline, name="timeline"),
    path("timeline/<int:start>s/", views.decade, name="decade"),
    path("topics/", views.topics, name="topics"),
    path("topics/<slug:slug>/", views.topic, name="topic"),
    path("about/", views.about, name="about"),
    path("health/", views.health, name="health"),
]
