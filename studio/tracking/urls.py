from django.urls import path

from studio.tracking import media_views, views

urlpatterns = [
    path("runs/<int:pk>/charts/", views.run_charts, name="run-charts"),
    path("runs/<int:pk>/media/", media_views.run_media, name="run-media"),
    path("runs/<int:pk>/media.json", media_views.run_media_items, name="run-media-items"),
    path("runs/<int:pk>/media/<int:seq>/", media_views.run_media_file, name="run-media-file"),
    path("runs/<int:pk>/results/", views.run_results, name="run-results"),
    path("runs/<int:pk>/system/", views.run_system, name="run-system"),
    path("runs/<int:pk>/system.json", views.run_system_charts, name="run-system-charts"),
    path("runs/<int:pk>/logs/", views.run_logs, name="run-logs"),
    path("runs/<int:pk>/series/", views.run_series, name="run-series"),
    path("runs/<int:pk>/log/", views.run_log_text, name="run-log-text"),
    path("runs/<int:pk>/metrics.csv", views.run_metrics_csv, name="run-metrics-csv"),
]
