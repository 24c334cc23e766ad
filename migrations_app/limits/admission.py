"""What an answer holds while it is under way: a place of its person's, and tokens of the day."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.db import close_old_connections
from msgspec import structs

from engines.services.answers.messages import AnswerRequest, Question
from engines.services.people.usage import (
    Reserved,
    estimate_tokens,
    reserve_tokens,
    settle_reservation,
)
from migrations_app.limits.held import ANSWERS, Held, hold

UNKNOWN = -1
PASSAGE_CHARACTERS = 1000
"""About what a passage of knowledge adds to a prompt."""


class Admission:
    """Taken before an answer begins, given back once when it ended; from a thread, it asks the database."""

    def __init__(self, user: User, characters: int, max_tokens: int) -> None:
        """Raises TooManyAtOnceError or QuotaExceededError, and then holds nothing."""
        self._user = user
        self._is_over = False
        self._held: Held | None = hold(user.pk, ANSWERS)
        self._reserved: Reserved | None = None
        self.is_counted = True
        """Whether the tokens of the answer are in the books when it is given back."""
        try:
            self._reserve(characters, max_tokens)
        except BaseException:
            self.release()
            raise

    def bound(self, question: AnswerRequest) -> AnswerRequest:
        """Return a question whose answer is no longer than what was set aside for it.

        Whoever answers counts the prompt, and shortens the answer by what the estimate lacked.
        """
        if self._reserved is None:
            return question
        most = min(question.max_tokens or self._reserved.tokens, self._reserved.tokens)
        return structs.replace(question, max_tokens=most, reservation_id=self._reserved.pk)

    def take_next(self, question: AnswerRequest) -> AnswerRequest:
        """Turn to another answer at the same place, when the one before was read to its end.

        Returns the question as ``bound`` does. Raises QuotaExceededError, and ends where it is over already.
        """
        before, self._reserved = self._reserved, None
        try:
            settle_reservation(before)
            self._reserve(count_characters(question), question.max_tokens or 0)
            bounded = self.bound(question)
        finally:
            close_old_connections()
        if self._is_over:
            # Its client left meanwhile, and what was taken since would stay taken.
            self.release()
        return bounded

    def _reserve(self, characters: int, max_tokens: int) -> None:
        # Of a person who was read with their quota it is known that there is none.
        if getattr(self._user, "tokens_allowed", UNKNOWN) is not None:
            wanted = estimate_tokens(characters, max_tokens)
            self._reserved = reserve_tokens(self._user.pk, wanted)

    @property
    def reservation_id(self) -> int | None:
        """What was set aside of the day; None for a person without a quota."""
        return self._reserved.pk if self._reserved else None

    def release(self) -> None:
        """Give everything back; safe to call twice."""
        self._is_over = True
        held, reserved = self._held, self._reserved
        self._held = self._reserved = None
        if held is not None:
            held.release()
        if reserved is not None:
            try:
                settle_reservation(reserved, is_counted=self.is_counted)
            finally:
                close_old_connections()


def count_characters(question: Question) -> int:
    """Return about how much text an engine reads for a question."""
    said = sum(len(message["content"]) for message in question.messages or ())
    return said + len(question.prompt or "") + PASSAGE_CHARACTERS * (question.knowledge or 0)
