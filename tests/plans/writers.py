"""Several writers and one reader at work while a person is moved."""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass, field

from django.db import connection, connections

from engines.exceptions import ConflictError, NotFoundError
from engines.models import Document
from engines.services.knowledge.documents import add_document, delete_document, update_document
from migrations_app.serving.answers import embed_for_writer

_PAIRS = """
SELECT p.engine_id, array_agg(DISTINCT r.model_id)
FROM engines_enginepreference p
JOIN engines_knowledgebase b ON b.owner_id = p.user_id
JOIN engines_vectorindex i ON i.id = b.live_index_id
JOIN engines_fingerprint f ON f.id = i.fingerprint_id
JOIN engines_modelrevision r ON r.id = f.revision_id
WHERE p.user_id = %s GROUP BY p.engine_id
"""


@dataclass
class Writers:
    """Threads that insert, update and delete at random until told to stop; may be paused."""

    base_ids: list[int]
    user_id: int
    seed: int
    count: int = 3
    writes: int = 0
    refused: int = 0
    seen: set[tuple[int, tuple[int, ...]]] = field(default_factory=set)
    failures: list[BaseException] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._turn = threading.Lock()
        self._threads = [
            threading.Thread(target=self._guard, args=(self._write_on, number))
            for number in range(self.count)
        ]
        self._threads.append(threading.Thread(target=self._guard, args=(self._read_on, 0)))

    def __enter__(self) -> Writers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    @property
    def paused(self) -> threading.Lock:
        """Held, no write begins or is under way."""
        return self._turn

    def _guard(self, work: object, number: int) -> None:
        try:
            work(number)  # type: ignore[operator]
        except BaseException as error:
            self.failures.append(error)
            raise
        finally:
            connections.close_all()

    def _write_on(self, number: int) -> None:
        chance = random.Random(f"{self.seed}/{number}")  # noqa: S311 - a test's choices
        while not self._stop.is_set():
            with self._turn:
                self._write_once(chance)
            self._stop.wait(0.05)

    def _write_once(self, chance: random.Random) -> None:
        base_id = chance.choice(self.base_ids)
        text = f"Thought {chance.randrange(500)} of writer, about {chance.randrange(50)} things."
        documents = list(Document.objects.filter(base_id=base_id).values_list("pk", flat=True))
        kind = chance.choice(("add", "add", "update", "delete"))
        try:
            if kind == "add" or not documents:
                add_document(base_id, title="T", text=text, embed=embed_for_writer)
            elif kind == "update":
                update_document(chance.choice(documents), text=text, embed=embed_for_writer)
            else:
                delete_document(chance.choice(documents))
        except (ConflictError, NotFoundError):
            self.refused += 1
        self.writes += 1

    def _read_on(self, _number: int) -> None:
        """See, in one statement at a time, which engine and which spaces belong together."""
        while not self._stop.is_set():
            with connection.cursor() as cursor:
                cursor.execute(_PAIRS, [self.user_id])
                engine, spaces = cursor.fetchone()
            self.seen.add((engine, tuple(spaces)))
            self._stop.wait(0.005)
