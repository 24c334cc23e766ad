import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

# The earlier table held each token as it is sent. They go on working, by their hash; the table goes.
TAKE_OVER = """
DO $$
BEGIN
    IF to_regclass('authtoken_token') IS NOT NULL THEN
        INSERT INTO engines_apitoken (user_id, name, sha256, scope, created_at)
        SELECT user_id, 'before hashing', sha256(convert_to(key, 'UTF8')), 'all', created
        FROM authtoken_token;
        DROP TABLE authtoken_token;
    END IF;
END $$
"""


class Migration(migrations.Migration):

    dependencies = [
        ('engines', '0009_revision_origin'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='ApiToken',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(help_text='What it is for.', max_length=64)),
                ('sha256', models.BinaryField(max_length=32, unique=True)),
                ('scope', models.CharField(choices=[('all', 'Everything the person may do'), ('read', 'Only reading'), ('answers', 'Only /v1')], default='all', max_length=16)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('expires_at', models.DateTimeField(blank=True, help_text='Empty: it does not expire.', null=True)),
                ('last_used_at', models.DateTimeField(blank=True, help_text='To within an hour; empty: never.', null=True)),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='api_tokens', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'verbose_name': 'API token',
                'ordering': ['-id'],
            },
        ),
        migrations.RunSQL(TAKE_OVER, migrations.RunSQL.noop),
    ]
