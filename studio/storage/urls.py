"""Addresses of what is stored: how much, what goes, what is in the trash."""

from django.urls import path

from studio.storage.views import clean_up, overview, rules, trash

urlpatterns = [
    path("projects/<int:pk>/storage/", overview.project_storage, name="project-storage"),
    path("teams/<int:pk>/storage/", overview.team_storage, name="team-storage"),
    path("projects/<int:pk>/storage/clean-up/", clean_up.project_clean_up, name="storage-clean-up"),
    path("projects/<int:pk>/storage/rules/", rules.project_retention, name="storage-rules"),
    path("teams/<int:pk>/storage/rules/", rules.team_retention, name="team-storage-rules"),
    path("retention-rules/<int:pk>/delete/", rules.rule_delete, name="retention-rule-delete"),
    path("projects/<int:pk>/trash/", trash.project_trash, name="project-trash"),
    path("projects/<int:pk>/trash/restore/", trash.trash_restore, name="trash-restore"),
    path("projects/<int:pk>/trash/purge/", trash.trash_purge, name="trash-purge"),
    path("models/<int:pk>/trash/", trash.model_trash, name="model-trash"),
    path("datasets/<int:pk>/trash/", trash.dataset_trash, name="dataset-trash"),
]
