from django.db import migrations

from migrations_app.audit.triggers import install_triggers


class Migration(migrations.Migration):

    dependencies = [
        ('migrations_app', '0010_losses_are_accepted'),
    ]

    operations = [
        migrations.RunPython(
            lambda _apps, schema_editor: install_triggers(schema_editor), migrations.RunPython.noop
        ),
    ]
