"""Plans with their steps and events."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from engines.services.people.roles import AnyUser, is_operator
from migrations_app.api.base import ClosedSerializer
from migrations_app.models import Plan, PlanEvent, Step
from migrations_app.plans.actions import legal_actions
from migrations_app.states import PlanAction
from migrations_app.steps.quality import quality_of_result

ID_LENGTH = 128
NOT_BEFORE_HELP = "When it starts by itself once it is executed; null starts it then."
FOR_OPERATORS = frozenset(
    {
        PlanAction.PAUSE,
        PlanAction.RESUME,
        PlanAction.RETRY,
        PlanAction.ABANDON,
        PlanAction.MOVE,
    }
)


class PlanCreateSerializer(ClosedSerializer):
    """What to plan, with the names and defaults of ``create_migration_plan``."""

    from_engine = serializers.CharField(max_length=ID_LENGTH, default="current")
    to_engine = serializers.CharField(max_length=ID_LENGTH)
    user_id = serializers.IntegerField(
        min_value=1,
        max_value=2**31 - 1,
        required=False,
        help_text="Whom to move; yourself unless you are an operator.",
    )
    backup_lora = serializers.BooleanField(default=True)
    re_embed = serializers.BooleanField(default=True)
    update_prompts = serializers.BooleanField(default=True)
    accept_losses = serializers.BooleanField(
        default=False,
        help_text="Whether it goes on where the new embedder understands texts worse.",
    )
    not_before = serializers.DateTimeField(default=None, allow_null=True, help_text=NOT_BEFORE_HELP)


class PlanChangeSerializer(ClosedSerializer):
    """What shall be other in a plan that has not started; what is left out stays."""

    backup_lora = serializers.BooleanField(required=False)
    re_embed = serializers.BooleanField(required=False)
    update_prompts = serializers.BooleanField(required=False)
    accept_losses = serializers.BooleanField(required=False)
    not_before = serializers.DateTimeField(
        required=False, allow_null=True, help_text=NOT_BEFORE_HELP
    )


class DownloadCreateSerializer(ClosedSerializer):
    model_id = serializers.CharField(max_length=ID_LENGTH)
    host = serializers.CharField(
        max_length=63, required=False, help_text="The least filled active host unless given."
    )


class PlanSerializer(serializers.ModelSerializer[Plan]):
    """A plan; to others than its person, without what tells about the person's content."""

    host = serializers.CharField(source="host.name", allow_null=True, read_only=True)
    from_engine = serializers.CharField(
        source="from_engine.model_id", allow_null=True, read_only=True
    )
    to_engine = serializers.CharField(source="to_engine.model_id", allow_null=True, read_only=True)
    to_commit = serializers.CharField(source="to_revision.commit", allow_null=True, read_only=True)
    user_id = serializers.IntegerField(allow_null=True)
    user = serializers.CharField(source="user.username", allow_null=True, read_only=True)
    created_by_id = serializers.IntegerField(allow_null=True)
    base_id = serializers.IntegerField(allow_null=True, help_text="Of a re_embed plan.")
    rolls_back = serializers.UUIDField(source="rolls_back_id", allow_null=True)
    affected_lora_adapters = serializers.ListField(
        child=serializers.CharField(),
        allow_null=True,
        help_text="Names of adapters; null in another person's plan.",
    )

    class Meta:
        model = Plan
        fields = [
            "id",
            "kind",
            "user_id",
            "user",
            "created_by_id",
            "base_id",
            "host",
            "from_engine",
            "to_engine",
            "to_commit",
            "rolls_back",
            "backup_lora_adapters",
            "re_embed_knowledge",
            "update_prompt_templates",
            "accept_losses",
            "affected_lora_adapters",
            "knowledge_base_size",
            "estimated_duration_minutes",
            "status",
            "current_step",
            "progress_percentage",
            "error_message",
            "warning",
            "not_before",
            "confirmed_at",
            "cancel_requested_at",
            "retention_until",
            "created_at",
            "started_at",
            "finished_at",
        ]
        read_only_fields = fields

    def to_representation(self, instance: Plan) -> dict[str, object]:
        shown: dict[str, object] = super().to_representation(instance)
        if not tells_content(instance, self.context["request"].user):
            shown["affected_lora_adapters"] = None
        return shown


def tells_content(plan: Plan, reader: AnyUser) -> bool:
    """Whether the reader may know what the plan touches: it is theirs, or about hosts alone."""
    about_hosts = plan.user_id is None and plan.base_id is None
    return about_hosts or reader.pk in (plan.user_id, plan.created_by_id if plan.base_id else None)


class StepSerializer(serializers.ModelSerializer[Step]):
    host = serializers.CharField(source="host.name", allow_null=True, read_only=True)

    class Meta:
        model = Step
        fields = [
            "position",
            "kind",
            "host",
            "status",
            "progress",
            "detail",
            "error",
            "attempts",
            "started_at",
            "finished_at",
        ]
        read_only_fields = fields


class EventSerializer(serializers.ModelSerializer[PlanEvent]):
    step = serializers.CharField(source="step.kind", allow_null=True, read_only=True)

    class Meta:
        model = PlanEvent
        fields = ["at", "step", "from_status", "to_status", "who", "why"]
        read_only_fields = fields


class PlanMoveSerializer(ClosedSerializer):
    host = serializers.CharField(
        max_length=63, required=False, help_text="The host that suits best unless given."
    )


class PlanDetailSerializer(PlanSerializer):
    steps = StepSerializer(many=True)
    events = EventSerializer(many=True)
    actions = serializers.SerializerMethodField(help_text="What the reader may ask of it now.")
    quality = serializers.SerializerMethodField(
        help_text="How well is found before and after, by script: recall among the first five and nDCG@10; "
        "null where nothing was compared."
    )

    class Meta(PlanSerializer.Meta):
        fields = [*PlanSerializer.Meta.fields, "actions", "quality", "steps", "events"]
        read_only_fields = fields

    def get_actions(self, plan: Plan) -> list[str]:
        hidden = () if is_operator(self.context["request"].user) else FOR_OPERATORS
        return [str(action) for action in legal_actions(plan) if action not in hidden]

    def get_quality(self, plan: Plan) -> dict[str, Any] | None:
        probe = next((step for step in plan.steps.all() if step.kind == "probe"), None)
        found = quality_of_result(probe.result) if probe is not None else None
        if found is None:
            return None
        tells = tells_content(plan, self.context["request"].user)
        return {**found, "documents": found["documents"] if tells else None}
