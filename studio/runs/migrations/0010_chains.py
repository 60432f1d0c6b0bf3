from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("runs", "0009_sizes_of_files")]

    operations = [
        migrations.AddField(
            model_name="run",
            name="after_checkpoint",
            field=models.CharField(
                blank=True,
                default="",
                help_text="best or last: of `after`, to begin with; see chains.py",
                max_length=4,
            ),
        ),
        migrations.AddField(
            model_name="run",
            name="after_mode",
            field=models.CharField(
                default="weights",
                help_text="what of it is taken over: see starts.py",
                max_length=7,
            ),
        ),
    ]
