"""Mass moves: whom, where to, how far it is, and what became of each."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from migrations_app.api.base import ClosedSerializer
from migrations_app.api.serializers.plans import ID_LENGTH
from migrations_app.models import MassMove
from migrations_app.models.moves import DEFAULT_AT_ONCE, MAX_AT_ONCE
from migrations_app.moves.choice import PeopleChoice
from migrations_app.moves.counts import count_refusals, count_states
from migrations_app.moves.pace import measure_pace, say_pace
from migrations_app.plans.planning import Options
from migrations_app.states import MoveState

NAME_LENGTH = 150
MAX_NAMES = 10_000
MAX_REASONS = 20


class PeopleChoiceSerializer(ClosedSerializer):
    """Whom to move: what is given narrows, and at least one of them is given."""

    people = serializers.ListField(
        child=serializers.CharField(max_length=NAME_LENGTH),
        default=list,
        max_length=MAX_NAMES,
        help_text="User names.",
    )
    using = serializers.CharField(
        max_length=ID_LENGTH,
        default="",
        allow_blank=True,
        help_text="Who is answered by this engine now.",
    )
    group = serializers.CharField(
        max_length=NAME_LENGTH, default="", allow_blank=True, help_text="Its members."
    )
    everybody = serializers.BooleanField(default=False)
    to_engine = serializers.CharField(max_length=ID_LENGTH)


class MassMoveCreateSerializer(PeopleChoiceSerializer):
    """The same with the options of each plan."""

    at_once = serializers.IntegerField(
        min_value=1,
        max_value=MAX_AT_ONCE,
        default=DEFAULT_AT_ONCE,
        help_text="How many plans run at the same time.",
    )
    backup_lora = serializers.BooleanField(default=True)
    re_embed = serializers.BooleanField(default=True)
    update_prompts = serializers.BooleanField(default=True)
    accept_losses = serializers.BooleanField(
        default=False,
        help_text="Whether each goes on where the new embedder understands texts worse.",
    )


def choice_of(asked: dict[str, Any]) -> PeopleChoice:
    """Return whom a checked body means."""
    names = tuple(asked["people"])
    return PeopleChoice(names, asked["using"], asked["group"], asked["everybody"])


def options_of(asked: dict[str, Any]) -> Options:
    """Return what a checked body says of each plan."""
    names = ("backup_lora", "re_embed", "update_prompts", "accept_losses")
    return Options(**{name: asked[name] for name in names})


class RefusalSerializer(ClosedSerializer):
    """Why people are left out, and how many for this reason."""

    reason = serializers.CharField()
    people = serializers.IntegerField()


class MassMovePreviewSerializer(ClosedSerializer):
    """What it would mean, summed up; nothing is made."""

    people = serializers.IntegerField()
    moved = serializers.IntegerField(help_text="Who would get a plan.")
    adapters = serializers.IntegerField(help_text="Active ones, which stop with the old engine.")
    passages = serializers.IntegerField()
    refusals = RefusalSerializer(many=True)


class MassMoveSerializer(serializers.ModelSerializer[MassMove]):
    """How far a mass move is: people by what became of them."""

    to_engine = serializers.CharField(source="to_engine.model_id")
    created_by = serializers.CharField(
        source="created_by.username", allow_null=True, read_only=True, help_text="Who started it."
    )
    people = serializers.SerializerMethodField()

    class Meta:
        model = MassMove
        fields = [
            *("id", "to_engine", "created_by", "at_once", "waits_for"),
            *("created_at", "cancel_requested_at", "finished_at", "people"),
        ]
        read_only_fields = fields

    def get_people(self, move: MassMove) -> dict[str, int]:
        """Return how many people are waiting, planned, running, completed, refused and so on."""
        counted: dict[int, dict[MoveState, int]] | None = self.context.get("counts")
        counts = (counted or count_states([move]))[move.pk]
        return {str(state): people for state, people in counts.items()}


class MassMoveDetailSerializer(MassMoveSerializer):
    """The same with the reasons why people were left out."""

    refusals = serializers.SerializerMethodField()
    pace = serializers.SerializerMethodField(
        help_text="People a minute and the time left in words; empty while they cannot be told."
    )

    class Meta(MassMoveSerializer.Meta):
        fields = [*MassMoveSerializer.Meta.fields, "refusals", "pace"]
        read_only_fields = fields

    def get_refusals(self, move: MassMove) -> list[dict[str, Any]]:
        """Return each reason with its number of people, the most frequent first."""
        return [
            {"reason": reason, "people": people}
            for reason, people in count_refusals(move, MAX_REASONS)
        ]

    def get_pace(self, move: MassMove) -> str:
        """Return how fast it went in the last minutes."""
        return say_pace(measure_pace(move, count_states([move])[move.pk]))


class MassMoveLineSerializer(ClosedSerializer):
    """One person of a mass move."""

    id = serializers.IntegerField()
    person = serializers.CharField(
        source="user.username",
        allow_null=True,
        read_only=True,
        help_text="Null: deleted meanwhile.",
    )
    state = serializers.ChoiceField(choices=MoveState.choices)
    plan = serializers.UUIDField(source="plan_id", allow_null=True)
    refusal = serializers.CharField(allow_blank=True)


class RetriedSerializer(ClosedSerializer):
    """How many get another turn."""

    people = serializers.IntegerField()
