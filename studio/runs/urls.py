"""Addresses of runs, their checkpoints, the queue and the workers."""

from django.urls import path

from studio.runs.views import create, orders, preflight, queue, runs

urlpatterns = [
    path("projects/<int:pk>/", runs.project, name="project"),
    path("projects/<int:project_pk>/runs/new/", create.run_create, name="run-create"),
    path("projects/<int:project_pk>/preflights/", preflight.preflight_ask, name="preflight-ask"),
    path("preflights/<int:pk>/", preflight.preflight, name="preflight"),
    path("runs/<int:pk>/", runs.run, name="run"),
    path("runs/<int:pk>/config/", runs.run_config, name="run-config"),
    path("runs/<int:pk>/checkpoints/", runs.run_checkpoints, name="run-checkpoints"),
    path("runs/<int:pk>/cancel/", orders.run_cancel, name="run-cancel"),
    path("runs/<int:pk>/pause/", orders.run_pause, name="run-pause"),
    path("runs/<int:pk>/resume/", orders.run_resume, name="run-resume"),
    path("runs/<int:pk>/rerun/", orders.run_rerun, name="run-rerun"),
    path("runs/<int:pk>/seeds/", orders.run_seeds, name="run-seeds"),
    path("checkpoints/<int:pk>/download/", runs.checkpoint_download, name="checkpoint-download"),
    path("checkpoints/<int:pk>/pin/", runs.checkpoint_pin, name="checkpoint-pin"),
    path("queue/", queue.queue, name="queue"),
    path("workers/", queue.worker_list, name="worker-list"),
]
