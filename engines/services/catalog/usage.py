"""Who uses a catalog entry, in numbers that a curator can weigh."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Q

from engines.models import CatalogModel, EngineDefault, EngineFallback, KnowledgeBase
from engines.services.engine_choice import people_using


@dataclass(frozen=True, slots=True)
class EntryUsage:
    """What would notice a change of an entry."""

    people: int
    """Whose engine it is, by their own choice or as a default, or whose engine embeds with it."""
    defaults: int
    """Groups, and the organisation, whose default engine it is or embeds for."""
    fallbacks: int
    """Rules by which it answers for another engine."""
    bases: int
    """Knowledge bases that are searched with its vectors."""

    def __bool__(self) -> bool:
        return any((self.people, self.defaults, self.fallbacks, self.bases))

    @property
    def sentence(self) -> str:
        """Say the numbers, like: 3 people use it, 2 knowledge bases are searched with its vectors."""
        parts = [
            _counted(self.people, "person uses it", "people use it"),
            _counted(self.defaults, "default names it", "defaults name it"),
            _counted(self.fallbacks, "fallback rule names it", "fallback rules name it"),
            _counted(
                self.bases,
                "knowledge base is searched with its vectors",
                "knowledge bases are searched with its vectors",
            ),
        ]
        return f"{', '.join(filter(None, parts))}." if self else "Nobody uses it."


def count_usage(entry: CatalogModel) -> EntryUsage:
    """Count who uses an entry now, as an engine or as what embeds for one."""
    engines = CatalogModel.objects.filter(Q(pk=entry.pk) | Q(embedding_model=entry))
    searched = KnowledgeBase.objects.filter(live_index__fingerprint__revision__model=entry)
    return EntryUsage(
        people=people_using(engines).count(),
        defaults=EngineDefault.objects.filter(engine__in=engines).count(),
        fallbacks=EngineFallback.objects.filter(answers=entry).count(),
        bases=searched.count(),
    )


def _counted(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}" if number else ""
