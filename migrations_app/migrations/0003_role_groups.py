"""The three roles are groups of these names: there from the beginning, so that nobody misspells one."""

from django.conf import settings
from django.db import migrations

ROLES = ("administrator", "curator", "operator")


def make_groups(apps, schema_editor):
    """Leave groups alone that somebody made before."""
    group = apps.get_model("auth", "Group")
    for name in ROLES:
        group.objects.get_or_create(name=name)


class Migration(migrations.Migration):

    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
        ("migrations_app", "0002_warnings_of_plans"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [migrations.RunPython(make_groups, migrations.RunPython.noop)]
