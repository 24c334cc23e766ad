import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('engines', '0025_searches_are_kept_where_allowed'),
    ]

    operations = [
        migrations.AddField(
            model_name='host',
            name='folder_roots',
            field=models.JSONField(blank=True, db_default=[], default=list, help_text='Folders that it lets administrators watch, with all below them (SAM_WATCHED_FOLDERS).'),
        ),
        migrations.CreateModel(
            name='WatchedFolder',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('path', models.CharField(help_text='On the host, from the root on.', max_length=1000)),
                ('name', models.CharField(help_text='Its last part, with which the paths of its documents begin.', max_length=255)),
                ('every_seconds', models.PositiveIntegerField(help_text='From the end of a look to the next.')),
                ('keep_deleted', models.BooleanField(default=False, help_text='Whether documents stay whose files are gone.')),
                ('next_look_at', models.DateTimeField()),
                ('called_at', models.DateTimeField(blank=True, help_text='When its host was last called.', null=True)),
                ('claim', models.CharField(blank=True, default='', help_text='Who looks.', max_length=64)),
                ('claimed_until', models.DateTimeField(blank=True, null=True)),
                ('looks', models.PositiveIntegerField(default=0, help_text='How many went through.')),
                ('looked_at', models.DateTimeField(blank=True, help_text='When the last one did.', null=True)),
                ('is_under_way', models.BooleanField(default=False, help_text='Whether a look began that did not go through yet.')),
                ('unchanged', models.PositiveIntegerField(default=0)),
                ('updated', models.PositiveIntegerField(default=0)),
                ('added', models.PositiveIntegerField(default=0)),
                ('moved', models.PositiveIntegerField(default=0)),
                ('deleted', models.PositiveIntegerField(default=0)),
                ('refused', models.PositiveIntegerField(default=0)),
                ('changed_files', models.PositiveIntegerField(default=0, help_text='Of the look: files of which some text is new, updated or moved.')),
                ('problem', models.TextField(blank=True, default='', help_text='What is not as it should be.')),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('base', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='folders', to='engines.knowledgebase')),
                ('host', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='folders', to='engines.host')),
            ],
            options={
                'ordering': ['id'],
            },
        ),
        migrations.CreateModel(
            name='WatchedFile',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('path', models.TextField()),
                ('signature', models.CharField(blank=True, max_length=100)),
                ('digest', models.CharField(blank=True, max_length=64)),
                ('looks_apart', models.PositiveIntegerField(default=0)),
                ('next_look', models.PositiveIntegerField(default=0)),
                ('is_missing', models.BooleanField(default=False)),
                ('folder', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='files', to='engines.watchedfolder')),
            ],
        ),
        migrations.AddIndex(
            model_name='watchedfolder',
            index=models.Index(fields=['next_look_at'], name='folders_by_next_look'),
        ),
        migrations.AddConstraint(
            model_name='watchedfolder',
            constraint=models.UniqueConstraint(fields=('base', 'name'), name='one_folder_of_a_name'),
        ),
        migrations.AddConstraint(
            model_name='watchedfolder',
            constraint=models.CheckConstraint(condition=models.Q(('every_seconds__gte', 10), ('every_seconds__lte', 604800)), name='folder_is_looked_at_in_time'),
        ),
        migrations.AddConstraint(
            model_name='watchedfile',
            constraint=models.UniqueConstraint(fields=('folder', 'path'), name='one_row_a_watched_file'),
        ),
    ]
