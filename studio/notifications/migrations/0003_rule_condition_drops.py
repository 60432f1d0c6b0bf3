from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("notifications", "0002_rule_action_save"),
    ]

    operations = [
        migrations.AlterField(
            model_name="watchrule",
            name="condition",
            field=models.CharField(
                choices=[
                    ("nonfinite", "is NaN or infinite"),
                    ("above", "is above"),
                    ("below", "is below"),
                    ("diverges", "is so many times its best value"),
                    ("plateau", "has no new best value for so many steps"),
                    ("stalls", "no step for so many seconds"),
                    ("slow", "fewer steps a second than"),
                    ("drops", "fewer steps a second than so many percent of its usual"),
                ],
                max_length=10,
            ),
        ),
    ]
