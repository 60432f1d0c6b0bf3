from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0004_private_project"),
    ]

    operations = [
        migrations.AddField(
            model_name="invite",
            name="email",
            field=models.EmailField(blank=True, default="", max_length=254),
        ),
    ]
