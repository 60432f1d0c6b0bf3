from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("notifications", "0001_initial"),
    ]

    operations = [
        migrations.AlterField(
            model_name="watchrule",
            name="action",
            field=models.CharField(
                choices=[
                    ("tell", "tell people"),
                    ("save", "tell people and save a checkpoint"),
                    ("stop", "tell people and stop the run"),
                ],
                default="tell",
                max_length=4,
            ),
        ),
    ]
