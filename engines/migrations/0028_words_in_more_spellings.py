"""Words of passages with letters that are read as others from now on are made anew, by the sweeper."""

from django.db import migrations

ALIKE = "[đĐłŁøØħĦŧŦıðÐþÞæÆœŒĳĲکیىہۀൺൻർൽൾൿৎʼʻ\u0e4d\u0ecd\u20e3\ufe00-\ufe0f\U000e0100-\U000e01ef]"
FORGET = f"""
WITH forgotten AS (
    DELETE FROM engines_passagewords AS words USING engines_chunk AS chunk
    WHERE chunk.id = words.chunk_id AND (chunk.text ~ '{ALIKE}' OR chunk.place ~ '{ALIKE}')
    RETURNING words.base_id
)
UPDATE engines_knowledgebase SET words_seq = 0 WHERE id IN (SELECT base_id FROM forgotten)
"""


class Migration(migrations.Migration):
    dependencies = [
        ("engines", "0027_what_templates_show"),
    ]

    operations = [
        migrations.RunSQL(FORGET, migrations.RunSQL.noop),
    ]
