"""Signing in to the pages, behind the lock of every door that takes a password."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.views import LoginView
from django.core.exceptions import ValidationError

from migrations_app.limits.sign_in import LockedOutError, refuse_locked
from migrations_app.pages.forms import ComponentRenderer


class SignInForm(AuthenticationForm):
    """Tells who is locked out how long to wait, before a password is looked at."""

    default_renderer = ComponentRenderer

    def clean(self) -> dict[str, Any]:
        username = self.cleaned_data.get("username")
        if username and self.request is not None:
            try:
                refuse_locked(self.request, username)
            except LockedOutError as error:
                raise ValidationError(str(error), code=error.code) from error
        return super().clean()


class SignInView(LoginView):
    """Name and password; who is signed in already goes where they wanted to."""

    form_class = SignInForm
    template_name = "pages/accounts/login.html"
    redirect_authenticated_user = True
    extra_context = {"title": "Sign in"}
