"""The admin's login: it tells who is locked out how long to wait."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from unfold.forms import AuthenticationForm

from migrations_app.limits.sign_in import LockedOutError, refuse_locked


class GuardedAuthenticationForm(AuthenticationForm):
    """Refuses before a password is looked at, as the API does."""

    def clean(self) -> dict[str, Any]:
        username = self.cleaned_data.get("username")
        if username and self.request is not None:
            try:
                refuse_locked(self.request, username)
            except LockedOutError as error:
                raise ValidationError(str(error), code=error.code) from error
        return super().clean()
