"""Where pages would be, if there were any."""

from django.urls import path

from barn import views

urlpatterns = [path("bales/<int:number>/", views.bale, name="bale")]
