from django.urls import path

from museum import views

urlpatterns = [
    path("", views.front, name="front"),
    path("search/", views.search, name="search"),
    path("objects/<str:number>/", views.item, name="item"),
    path("letters/<int:pk>/", views.letter, name="letter"),
    path("status/", views.status, name="status"),
]
