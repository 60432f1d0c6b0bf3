"""Chunks were never written until now, so their table is made anew."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("tracking", "0003_system_sample")]

    operations = [
        migrations.DeleteModel(name="MetricChunk"),
        migrations.CreateModel(
            name="MetricAxis",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("fence", models.PositiveIntegerField()),
                ("seq0", models.BigIntegerField()),
                ("seq1", models.BigIntegerField()),
                ("part", models.PositiveIntegerField()),
                ("n", models.PositiveIntegerField()),
                ("step0", models.BigIntegerField()),
                ("step1", models.BigIntegerField()),
                ("bin_log2", models.PositiveSmallIntegerField(null=True)),
                ("bins", models.BinaryField()),
                ("data", models.BinaryField()),
                (
                    "run",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="axes",
                        to="runs.run",
                    ),
                ),
            ],
            options={
                "ordering": ["seq0", "part"],
                "constraints": [models.UniqueConstraint(fields=("run", "seq0", "part"), name="metric_axis_unique")],
            },
        ),
        migrations.CreateModel(
            name="MetricChunk",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("position", models.PositiveIntegerField()),
                ("name_hash", models.BigIntegerField()),
                ("name", models.TextField()),
                ("bins", models.BinaryField()),
                ("data", models.BinaryField()),
                (
                    "axis",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="chunks",
                        to="tracking.metricaxis",
                    ),
                ),
                (
                    "run",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="chunks",
                        to="runs.run",
                    ),
                ),
            ],
            options={
                "ordering": ["axis", "position"],
                "indexes": [models.Index(fields=["run", "name_hash"], name="metric_chunk_name")],
                "constraints": [models.UniqueConstraint(fields=("axis", "position"), name="metric_chunk_unique")],
            },
        ),
    ]
