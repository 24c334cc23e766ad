"""The seed's small global doors: configuration, personal models and the model in use.

The seed knew one person. Here each door takes one, and shows without one what holds for who chose nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Any

from django.contrib.auth.models import User

from engines.exceptions import InvalidRequestError, NotFoundError
from engines.models import EnginePreference, LoraAdapter
from engines.services.catalog.entries import catalog_visible_to
from engines.services.catalog.resolving import pinned_revision
from engines.services.engine_choice import effective_engine, engine_of_group
from engines.services.people.adapters import Retraining, retraining_of
from engines.services.people.lookup import person_named
from engines.services.people.preferences import choose_preference, preference_of


@dataclass(slots=True)
class Config:
    """One person's configuration: the seed's ``config.engine_upgrade``."""

    engine_upgrade: dict[str, Any]
    version: int = field(default=0)
    """The version it was read at; saving compares it, so no other change is lost."""


class ConfigManager:
    """The seed's configuration manager, of one person; of nobody, it reads what is the default."""

    def __init__(self, user: User | None) -> None:
        self._user = user

    def get_config(self) -> Config:
        """Read the person's configuration, or the organisation's default."""
        if self._user is None:
            default = EnginePreference(engine=engine_of_group(None)[0])
            return Config(dict(default.engine_upgrade))
        preference = preference_of(self._user)
        return Config(dict(preference.engine_upgrade), preference.version)

    def save_config(self, config: Config) -> bool:
        """Write a changed ``active_engine_id``; the other keys follow from it.

        Raises NotFoundError for an engine the person may not use, InvalidRequestError without an
        engine or a person, ConflictError when the configuration changed meanwhile or a migration
        is needed.
        """
        if self._user is None:
            raise InvalidRequestError(
                "Name whose configuration is saved: get_config_manager(user). "
                "The organisation's default is changed in the admin."
            )
        wanted = config.engine_upgrade.get("active_engine_id")
        if wanted == preference_of(self._user).engine_upgrade["active_engine_id"]:
            return True
        if not isinstance(wanted, str):
            raise InvalidRequestError("Name the engine in engine_upgrade['active_engine_id'].")
        engine = catalog_visible_to(self._user).filter(model_id=wanted).first()
        if engine is None:
            raise NotFoundError(f"No engine {wanted!r} is offered to {self._user.username}.")
        choose_preference(
            self._user,
            engine,
            pinned_revision(engine),
            expected_version=config.version,
            why="Saved through the configuration manager.",
        )
        return True


@dataclass(frozen=True, slots=True)
class UserModel:
    """A person's own model: the seed's user model, here a LoRA adapter."""

    model_id: str
    base_model: str
    status: str
    training_stats: dict[str, Any]
    retraining: Retraining | None = None
    """Set when it needs retraining: since which migration."""


class DpoModelManager:
    """The seed's manager of personal models."""

    def get_user_models(self, user_id: int | str) -> list[UserModel]:
        """Return a person's adapters, valid or not, with their ``migration_notes``.

        ``user_id`` is a key or a user name; NotFoundError when there is no such person.
        """
        adapters = LoraAdapter.objects.filter(user=person_named(user_id)).order_by("pk")
        return [_user_model(adapter) for adapter in adapters.select_related("base_revision__model")]

    def get_models_to_retrain(self, user_id: int | str) -> list[UserModel]:
        """Return those that a migration left behind and no rollback brought back."""
        return [model for model in self.get_user_models(user_id) if model.retraining is not None]


def _user_model(adapter: LoraAdapter) -> UserModel:
    return UserModel(
        model_id=adapter.name,
        base_model=adapter.base_revision.model.model_id,
        status=adapter.status,
        training_stats=dict(adapter.training_stats),
        retraining=retraining_of(adapter),
    )


def get_config_manager(user: User | None = None) -> ConfigManager:
    """Return the configuration manager of one person, or the one that reads the default."""
    return ConfigManager(user)


@cache
def get_dpo_model_manager() -> DpoModelManager:
    """Return the one manager of this process; it holds no state."""
    return DpoModelManager()


def get_current_model_info(user: User | None = None) -> dict[str, Any]:
    """Return which model answers a person, or who chose none.

    ``primary_model`` is its display name, None without one.
    """
    engine, revision = engine_of_group(None) if user is None else effective_engine(user)
    return {
        "primary_model": engine.display_name if engine else None,
        "model_id": engine.model_id if engine else None,
        "model_family": engine.model_family if engine else None,
        "commit": revision.commit if revision else None,
        "embedding_model": engine.embedder.model_id if engine else None,
    }
