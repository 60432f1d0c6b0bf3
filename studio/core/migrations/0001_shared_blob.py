from django.db import migrations, models
from django.db.models.functions import Now


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="SharedBlob",
            fields=[
                ("sha256", models.CharField(max_length=64, primary_key=True, serialize=False)),
                ("size_bytes", models.BigIntegerField()),
                (
                    "put_at",
                    models.DateTimeField(db_default=Now(), help_text="whoever needs it next names it soon after"),
                ),
                (
                    "stored_at",
                    models.DateTimeField(
                        blank=True, help_text="empty: only machines that put it have it so far", null=True
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(condition=models.Q(("stored_at", None)), fields=["put_at"], name="shared_blob_waits")
                ],
            },
        ),
    ]
