"""The longest text of an embedder gets a field, and flash attention a place in the vector space.

Nobody's vectors change: an entry whose vectors were made with a longer limit than the new default
keeps it, and a space that was made without flash attention says so from now on.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import django.core.validators
from django.db import migrations, models
from django.db.models import Exists, OuterRef

DEFAULT_TEXT_TOKENS = 2048


def keep_the_spaces(apps: Any, _schema: object) -> None:
    spaces = apps.get_model("engines", "Fingerprint").objects
    embedded = apps.get_model("engines", "Embedding").objects.filter(fingerprint=OuterRef("pk"))
    for space in spaces.select_related("revision__model"):
        model = space.revision.model
        if not model.use_flash_attention and not model.remote_name:
            facts = {**space.facts, "flash_attention": False}
            named = {"runtime": model.runtime, "weights": space.revision.sha256, **facts}
            digest = hashlib.sha256(json.dumps(named, sort_keys=True).encode()).hexdigest()
            spaces.filter(pk=space.pk).update(facts=facts, digest=digest)
    used = spaces.filter(Exists(embedded), facts__max_tokens__gt=DEFAULT_TEXT_TOKENS)
    for space in used.select_related("revision__model").order_by("pk"):
        model = space.revision.model
        if not model.remote_name:
            type(model).objects.filter(pk=model.pk).update(passage_tokens=space.facts["max_tokens"])


class Migration(migrations.Migration):
    dependencies = [
        ('engines', '0016_host_samples'),
    ]

    operations = [
        migrations.AddField(
            model_name='catalogmodel',
            name='passage_tokens',
            field=models.PositiveIntegerField(default=0, help_text='Longest text that is embedded, in tokens; a longer one is cut, and that is said. 0: 2048, or fewer where the model reads fewer.', validators=[django.core.validators.MaxValueValidator(16777216)]),
        ),
        migrations.RunPython(keep_the_spaces, migrations.RunPython.noop),
    ]
