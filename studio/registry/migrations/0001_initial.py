import uuid

import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("accounts", "0001_initial"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Dataset",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=80)),
                ("description", models.TextField(blank=True, default="")),
                ("task", models.CharField(blank=True, default="", max_length=32)),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("archived_at", models.DateTimeField(blank=True, null=True)),
                (
                    "kind",
                    models.CharField(
                        choices=[("table", "Table"), ("images", "Images"), ("text", "Text"), ("code", "Code")],
                        default="table",
                        max_length=8,
                    ),
                ),
                (
                    "created_by",
                    models.ForeignKey(
                        blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, to=settings.AUTH_USER_MODEL
                    ),
                ),
                (
                    "project",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="datasets",
                        to="accounts.project",
                    ),
                ),
            ],
            options={
                "ordering": ["name", "pk"],
            },
        ),
        migrations.CreateModel(
            name="DatasetVersion",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("number", models.PositiveIntegerField()),
                (
                    "source",
                    models.CharField(choices=[("zoo", "Zoo"), ("file", "File"), ("package", "Package")], max_length=8),
                ),
                (
                    "ref",
                    models.CharField(help_text="class name in the zoo or file, or pkg.module:Class", max_length=200),
                ),
                ("sha256", models.CharField(max_length=64)),
                (
                    "params",
                    models.JSONField(blank=True, default=list, help_text="OptionSpec dicts of the class's __init__"),
                ),
                ("info", models.JSONField(blank=True, default=dict, help_text="what inspection found")),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("inspecting", "Inspecting"),
                            ("choosing", "Choosing"),
                            ("ready", "Ready"),
                            ("rejected", "Rejected"),
                        ],
                        default="inspecting",
                        max_length=10,
                    ),
                ),
                ("reason", models.TextField(blank=True, default="", help_text="why it was rejected, in words")),
                ("note", models.TextField(blank=True, default="")),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                (
                    "inspections",
                    models.PositiveSmallIntegerField(default=0, help_text="how often an inspection of it began"),
                ),
                (
                    "touched_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(),
                        help_text="when its inspection last showed a sign of life",
                    ),
                ),
                ("code", models.TextField(blank=True, default="")),
                ("args", models.JSONField(blank=True, default=dict)),
                (
                    "blobs",
                    models.JSONField(
                        blank=True, default=dict, help_text="argument name → sha256 of a file in the blob store"
                    ),
                ),
                ("size_bytes", models.BigIntegerField(default=0)),
                ("schema", models.JSONField(blank=True, default=dict, help_text="columns with types and statistics")),
                ("preview", models.JSONField(blank=True, default=dict, help_text="first rows, or the first samples")),
                (
                    "created_by",
                    models.ForeignKey(
                        blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, to=settings.AUTH_USER_MODEL
                    ),
                ),
                (
                    "dataset",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="versions", to="registry.dataset"
                    ),
                ),
            ],
            options={
                "ordering": ["-number"],
            },
        ),
        migrations.CreateModel(
            name="Model",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=80)),
                ("description", models.TextField(blank=True, default="")),
                ("task", models.CharField(blank=True, default="", max_length=32)),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("archived_at", models.DateTimeField(blank=True, null=True)),
                (
                    "created_by",
                    models.ForeignKey(
                        blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, to=settings.AUTH_USER_MODEL
                    ),
                ),
                (
                    "project",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="models",
                        to="accounts.project",
                    ),
                ),
            ],
            options={
                "ordering": ["name", "pk"],
            },
        ),
        migrations.CreateModel(
            name="ModelVersion",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("number", models.PositiveIntegerField()),
                (
                    "source",
                    models.CharField(choices=[("zoo", "Zoo"), ("file", "File"), ("package", "Package")], max_length=8),
                ),
                (
                    "ref",
                    models.CharField(help_text="class name in the zoo or file, or pkg.module:Class", max_length=200),
                ),
                ("sha256", models.CharField(max_length=64)),
                (
                    "params",
                    models.JSONField(blank=True, default=list, help_text="OptionSpec dicts of the class's __init__"),
                ),
                ("info", models.JSONField(blank=True, default=dict, help_text="what inspection found")),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("inspecting", "Inspecting"),
                            ("choosing", "Choosing"),
                            ("ready", "Ready"),
                            ("rejected", "Rejected"),
                        ],
                        default="inspecting",
                        max_length=10,
                    ),
                ),
                ("reason", models.TextField(blank=True, default="", help_text="why it was rejected, in words")),
                ("note", models.TextField(blank=True, default="")),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                (
                    "inspections",
                    models.PositiveSmallIntegerField(default=0, help_text="how often an inspection of it began"),
                ),
                (
                    "touched_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(),
                        help_text="when its inspection last showed a sign of life",
                    ),
                ),
                ("code", models.TextField(blank=True, default="")),
                (
                    "created_by",
                    models.ForeignKey(
                        blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, to=settings.AUTH_USER_MODEL
                    ),
                ),
                (
                    "model",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="versions", to="registry.model"
                    ),
                ),
            ],
            options={
                "ordering": ["-number"],
            },
        ),
        migrations.CreateModel(
            name="Upload",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("filename", models.CharField(max_length=255)),
                ("size_bytes", models.BigIntegerField()),
                ("received_bytes", models.BigIntegerField(default=0)),
                ("sha256", models.CharField(blank=True, default="", max_length=64)),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("finished_at", models.DateTimeField(blank=True, null=True)),
                ("project", models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to="accounts.project")),
                ("user", models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to=settings.AUTH_USER_MODEL)),
            ],
        ),
        migrations.AddConstraint(
            model_name="dataset",
            constraint=models.UniqueConstraint(fields=("project", "name"), name="dataset_name_unique"),
        ),
        migrations.AddConstraint(
            model_name="dataset",
            constraint=models.UniqueConstraint(
                condition=models.Q(("project__isnull", True)), fields=("name",), name="dataset_builtin_name_unique"
            ),
        ),
        migrations.AddConstraint(
            model_name="datasetversion",
            constraint=models.UniqueConstraint(fields=("dataset", "number"), name="dataset_version_number_unique"),
        ),
        migrations.AddConstraint(
            model_name="model",
            constraint=models.UniqueConstraint(fields=("project", "name"), name="model_name_unique"),
        ),
        migrations.AddConstraint(
            model_name="model",
            constraint=models.UniqueConstraint(
                condition=models.Q(("project__isnull", True)), fields=("name",), name="model_builtin_name_unique"
            ),
        ),
        migrations.AddConstraint(
            model_name="modelversion",
            constraint=models.UniqueConstraint(fields=("model", "number"), name="model_version_number_unique"),
        ),
    ]
