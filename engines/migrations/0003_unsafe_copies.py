from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("engines", "0002_token_usage")]

    operations = [
        migrations.AlterField(
            model_name="modelcopy",
            name="status",
            field=models.CharField(
                choices=[
                    ("not_downloaded", "Not downloaded"),
                    ("downloading", "Downloading"),
                    ("downloaded", "Downloaded"),
                    ("corrupted", "Corrupted"),
                    ("missing", "Missing"),
                    ("unsafe", "Unsafe"),
                ],
                default="not_downloaded",
                max_length=16,
            ),
        )
    ]
