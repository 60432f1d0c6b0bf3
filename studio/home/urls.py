from django.urls import path

from studio.home import views

urlpatterns = [path("", views.home, name="home")]
