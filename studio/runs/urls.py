"""Addresses of runs, their checkpoints, the queue and the workers."""

from django.urls import path

from studio.runs.views import create, defaults, labels, orders, preflight, queue, runs, table, text, workers

urlpatterns = [
    path("projects/<int:pk>/", table.project, name="project"),
    path("projects/<int:pk>/runs/complete/", table.completions, name="run-complete"),
    path("projects/<int:pk>/runs/export/", table.export_runs, name="runs-export"),
    path("projects/<int:pk>/runs/bulk/", labels.runs_bulk, name="runs-bulk"),
    path("projects/<int:pk>/views/", labels.view_save, name="table-view-save"),
    path("table-views/<int:pk>/delete/", labels.view_delete, name="table-view-delete"),
    path("projects/<int:project_pk>/runs/new/", create.run_create, name="run-create"),
    path("teams/<int:pk>/run-defaults/", defaults.run_defaults, name="run-defaults"),
    path("teams/<int:pk>/rules/", defaults.rule_set, name="rule-set"),
    path("rules/<int:pk>/remove/", defaults.rule_remove, name="rule-remove"),
    path("projects/<int:project_pk>/presets/", defaults.preset_save, name="preset-save"),
    path("presets/<int:pk>/default/", defaults.preset_default, name="preset-default"),
    path("presets/<int:pk>/delete/", defaults.preset_delete, name="preset-delete"),
    path("projects/<int:project_pk>/runs/text/", text.run_text, name="run-text"),
    path("projects/<int:project_pk>/preflights/", preflight.preflight_ask, name="preflight-ask"),
    path("preflights/<int:pk>/", preflight.preflight, name="preflight"),
    path("runs/<int:pk>/", runs.run, name="run"),
    path("runs/<int:pk>/config/", runs.run_config, name="run-config"),
    path("runs/<int:pk>/checkpoints/", runs.run_checkpoints, name="run-checkpoints"),
    path("runs/<int:pk>/cancel/", orders.run_cancel, name="run-cancel"),
    path("runs/<int:pk>/pause/", orders.run_pause, name="run-pause"),
    path("runs/<int:pk>/resume/", orders.run_resume, name="run-resume"),
    path("runs/<int:pk>/rerun/", orders.run_rerun, name="run-rerun"),
    path("runs/<int:pk>/star/", labels.run_star, name="run-star"),
    path("runs/<int:pk>/labels/", labels.run_labels, name="run-labels"),
    path("runs/<int:pk>/seeds/", orders.run_seeds, name="run-seeds"),
    path("checkpoints/<int:pk>/download/", runs.checkpoint_download, name="checkpoint-download"),
    path("checkpoints/<int:pk>/pin/", runs.checkpoint_pin, name="checkpoint-pin"),
    path("queue/", queue.queue, name="queue"),
    path("queue/limits/", workers.queue_limits, name="queue-limits"),
    path("runs/<int:pk>/move/", queue.run_move, name="run-move"),
    path("runs/<int:pk>/queueing/", queue.run_queueing, name="run-queueing"),
    path("workers/", workers.worker_list, name="worker-list"),
    path("workers/<int:pk>/drain/", workers.worker_drain, name="worker-drain"),
    path("pools/<slug:name>/pause/", workers.pool_pause, name="pool-pause"),
    path("pools/<slug:name>/resume/", workers.pool_resume, name="pool-resume"),
]
