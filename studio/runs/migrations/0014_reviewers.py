import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ("runs", "0013_stored_checkpoints"),
    ]

    operations = [
        migrations.AddField(
            model_name="aliasmove",
            name="reviewer",
            field=models.ForeignKey(
                help_text="who was asked to approve it",
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AlterField(
            model_name="aliasmove",
            name="to",
            field=models.ForeignKey(
                help_text="none: taken away",
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="moves_here",
                to="runs.registeredversion",
            ),
        ),
    ]
