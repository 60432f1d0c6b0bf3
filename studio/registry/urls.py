"""Addresses of models, datasets and uploads."""

from django.urls import path

from studio.registry.views import datasets, difference, models, uploads

urlpatterns = [
    path("projects/<int:project_pk>/models/", models.model_list, name="model-list"),
    path("projects/<int:project_pk>/models/new/", models.model_create, name="model-create"),
    path("models/<int:pk>/", models.model, name="model"),
    path("models/<int:pk>/archive/", models.model_archive, name="model-archive"),
    path("model-versions/<int:pk>/", models.model_version, name="model-version"),
    path("model-versions/<int:pk>/class/", models.model_version_class, name="model-version-class"),
    path("model-versions/<int:pk>/retry/", models.model_version_retry, name="model-version-retry"),
    path("model-versions/<int:pk>/note/", models.model_version_note, name="model-version-note"),
    path("model-versions/<int:pk>/changes/", difference.model_version_diff, name="model-version-diff"),
    path("dataset-versions/<int:pk>/changes/", difference.dataset_version_diff, name="dataset-version-diff"),
    path("projects/<int:project_pk>/datasets/", datasets.dataset_list, name="dataset-list"),
    path("projects/<int:project_pk>/datasets/new/", datasets.dataset_create, name="dataset-create"),
    path("datasets/<int:pk>/", datasets.dataset, name="dataset"),
    path("datasets/<int:pk>/archive/", datasets.dataset_archive, name="dataset-archive"),
    path("dataset-versions/<int:pk>/", datasets.dataset_version, name="dataset-version"),
    path("dataset-versions/<int:pk>/choices/", datasets.dataset_version_choices, name="dataset-version-choices"),
    path("dataset-versions/<int:pk>/again/", datasets.dataset_version_again, name="dataset-version-again"),
    path("dataset-versions/<int:pk>/batch/", datasets.dataset_version_batch, name="dataset-version-batch"),
    path("dataset-versions/<int:pk>/class/", datasets.dataset_version_class, name="dataset-version-class"),
    path("dataset-versions/<int:pk>/sheet/", datasets.dataset_version_sheet, name="dataset-version-sheet"),
    path("dataset-versions/<int:pk>/retry/", datasets.dataset_version_retry, name="dataset-version-retry"),
    path("dataset-versions/<int:pk>/note/", datasets.dataset_version_note, name="dataset-version-note"),
    path("projects/<int:project_pk>/uploads/", uploads.upload_create, name="upload-create"),
    path("uploads/<uuid:pk>/", uploads.upload, name="upload"),
]
