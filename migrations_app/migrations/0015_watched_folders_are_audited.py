from django.db import migrations, models

from migrations_app.audit.triggers import install_triggers


class Migration(migrations.Migration):

    dependencies = [
        ('engines', '0026_folders_of_hosts_are_watched'),
        ('migrations_app', '0014_a_sample_before_a_plan'),
    ]

    operations = [
        migrations.AlterField(
            model_name='auditentry',
            name='kind',
            field=models.CharField(choices=[('person', 'Person'), ('membership', 'Role or group of a person'), ('group', 'Group'), ('token', 'API token'), ('invitation', 'Invitation'), ('quota', 'Quota'), ('default', 'Default engine'), ('fallback', 'Fallback engine'), ('template', 'Prompt template'), ('prompts', "A person's prompts"), ('preference', "A person's engine"), ('catalog', 'Catalog entry'), ('reservation', 'Group of a catalog entry'), ('host', 'Host'), ('host_invitation', 'Invitation of a host'), ('plan', 'Plan'), ('mass_move', 'Move of many people'), ('backup', 'Backup'), ('backup_rule', 'Rule of backups'), ('watched_folder', 'Watched folder')], max_length=16),
        ),
        migrations.RunPython(
            lambda _apps, schema_editor: install_triggers(schema_editor), migrations.RunPython.noop
        ),
    ]
