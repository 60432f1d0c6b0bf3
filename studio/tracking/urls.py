from django.urls import path

from studio.tracking import changed_views, chart_views, compare_views, export_views, media_views, sparks, views

urlpatterns = [
    path("projects/<int:pk>/sparks/", sparks.project_sparks, name="project-sparks"),
    path("projects/<int:pk>/compare/", compare_views.run_compare, name="run-compare"),
    path("projects/<int:pk>/changed/", changed_views.run_changed, name="run-changed"),
    path("projects/<int:pk>/changed/run/", changed_views.run_bisect, name="run-bisect"),
    path("projects/<int:pk>/compare/winner/", compare_views.run_winner, name="run-winner"),
    path("runs/<int:pk>/charts/", chart_views.run_charts, name="run-charts"),
    path("runs/<int:pk>/media/", media_views.run_media, name="run-media"),
    path("runs/<int:pk>/media.json", media_views.run_media_items, name="run-media-items"),
    path("runs/<int:pk>/media/<int:seq>/", media_views.run_media_file, name="run-media-file"),
    path("runs/<int:pk>/results/", views.run_results, name="run-results"),
    path("runs/<int:pk>/system/", views.run_system, name="run-system"),
    path("runs/<int:pk>/system.json", views.run_system_charts, name="run-system-charts"),
    path("runs/<int:pk>/logs/", views.run_logs, name="run-logs"),
    path("runs/<int:pk>/series/", chart_views.run_series, name="run-series"),
    path("series/", chart_views.many_series, name="series"),
    path("projects/<int:pk>/chart-layout/", chart_views.chart_layout, name="chart-layout"),
    path("projects/<int:pk>/chart-layout/shared/", chart_views.shared_chart_layout, name="chart-layout-shared"),
    path("runs/<int:pk>/log/", views.run_log_text, name="run-log-text"),
    path("runs/<int:pk>/metrics.<slug:form>", export_views.run_metrics, name="run-metrics"),
    path("projects/<int:pk>/metrics.<slug:form>", export_views.project_metrics, name="project-metrics"),
]
