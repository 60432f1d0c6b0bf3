from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("runs", "0011_checkpoint_files"),
    ]

    operations = [
        migrations.AddField(
            model_name="run",
            name="saves_asked",
            field=models.PositiveIntegerField(default=0, help_text="how often a checkpoint was asked for while it ran"),
        ),
    ]
