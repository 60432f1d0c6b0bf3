from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("runs", "0012_saves_asked"),
    ]

    operations = [
        migrations.AddField(
            model_name="checkpoint",
            name="stored_at",
            field=models.DateTimeField(blank=True, help_text="since then the object store has its files", null=True),
        ),
        migrations.AddField(
            model_name="checkpoint",
            name="sha256",
            field=models.CharField(blank=True, default="", help_text="of its file, once it is stored", max_length=64),
        ),
        migrations.AddField(
            model_name="checkpoint",
            name="weights_sha256",
            field=models.CharField(blank=True, default="", help_text="of the weights alone, likewise", max_length=64),
        ),
    ]
