"""A revision names the parts of a model in several files."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("engines", "0017_longest_passages")]

    operations = [
        migrations.AddField(
            model_name="modelrevision",
            name="parts",
            field=models.JSONField(
                blank=True,
                default=list,
                help_text="Of a model in several files: name, size and SHA-256 of each, the first part first.",
            ),
        ),
        migrations.AlterField(
            model_name="modelrevision",
            name="file_size",
            field=models.BigIntegerField(help_text="Bytes, of all parts together."),
        ),
    ]
