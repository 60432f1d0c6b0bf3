from django.urls import path

from studio.ops import views

urlpatterns = [path("healthz", views.health, name="health")]
