from django.urls import path

from studio.home import views

urlpatterns = [
    path("", views.home, name="home"),
    path("search/", views.search, name="search"),
    path("search/items/", views.search_items, name="search-items"),
]
