from django.urls import path

from studio.tracking import views

urlpatterns = [
    path("runs/<int:pk>/charts/", views.run_charts, name="run-charts"),
    path("runs/<int:pk>/results/", views.run_results, name="run-results"),
    path("runs/<int:pk>/system/", views.run_system, name="run-system"),
    path("runs/<int:pk>/system.json", views.run_system_charts, name="run-system-charts"),
    path("runs/<int:pk>/logs/", views.run_logs, name="run-logs"),
    path("runs/<int:pk>/series/", views.run_series, name="run-series"),
    path("runs/<int:pk>/log/", views.run_log_text, name="run-log-text"),
    path("runs/<int:pk>/metrics.csv", views.run_metrics_csv, name="run-metrics-csv"),
]
