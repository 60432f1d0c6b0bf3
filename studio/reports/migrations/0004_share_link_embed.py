from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("reports", "0003_report"),
    ]

    operations = [
        migrations.AddField(
            model_name="sharelink",
            name="embed_on",
            field=models.JSONField(blank=True, default=list, help_text="origins of the sites that may embed it"),
        ),
    ]
