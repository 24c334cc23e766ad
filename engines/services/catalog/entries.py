"""The catalog: who may see what."""

from __future__ import annotations

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, User
from django.db.models import Exists, OuterRef, Q, QuerySet

from engines.exceptions import NotFoundError
from engines.models import CatalogModel


def catalog_visible_to(user: AbstractBaseUser | AnonymousUser) -> QuerySet[CatalogModel]:
    """Return the published models this person may use; the organisation's staff see all."""
    if isinstance(user, User) and user.is_superuser:
        return CatalogModel.objects.all()
    # Not by a join: 10,000 wide rows that are made distinct take longer than all else of a page.
    reserved = CatalogModel.allowed_groups.through.objects.filter(catalogmodel=OuterRef("pk"))
    allowed = Q(~Exists(reserved))
    if isinstance(user, User):
        allowed |= Q(Exists(reserved.filter(group__in=user.groups.all())))
    return CatalogModel.objects.filter(allowed, published=True)


def catalog_visible_to_each(person: OuterRef) -> QuerySet[CatalogModel]:
    """Return the same for a subquery about many people, of whom ``person`` is the key."""
    staff = User.objects.filter(pk=person, is_superuser=True)
    reserved = CatalogModel.allowed_groups.through.objects.filter(catalogmodel=OuterRef("pk"))
    allowed = ~Exists(reserved) | Exists(reserved.filter(group__user=OuterRef(person)))
    return CatalogModel.objects.filter(Exists(staff) | Q(allowed, published=True))


def is_offered(user: User, model: CatalogModel) -> bool:
    """Whether a person may begin to use a model: itself, or as the embedder of an engine offered."""
    offered = catalog_visible_to(user)
    return offered.filter(Q(pk=model.pk) | Q(embedding_model=model)).exists()


def require_offered(user: User, model: CatalogModel) -> None:
    """Raise NotFoundError for a model that a person may not begin to use, as for one that is not there."""
    if not is_offered(user, model):
        raise NotFoundError(
            f"No model is called {model.model_id!r}; list the catalog to see the names."
        )


def get_model(model_id: str) -> CatalogModel:
    """Return one catalog entry; NotFoundError names the id and where to look."""
    # PostgreSQL stores no NUL, so no name has one.
    rows = CatalogModel.objects.none() if "\0" in model_id else CatalogModel.objects.all()
    model = rows.filter(model_id=model_id).first()
    if model is None:
        raise NotFoundError(f"No model is called {model_id!r}; list the catalog to see the names.")
    return model
