"""allauth's forms where a password or code is tried: all of them count for the one lock-out."""

from __future__ import annotations

from typing import Any

from allauth.account.adapter import get_adapter
from allauth.account.forms import ChangePasswordForm, LoginForm, ResetPasswordForm
from allauth.core import context
from allauth.mfa.base.forms import AuthenticateForm, BaseAuthenticateForm, ReauthenticateForm
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError

from migrations_app.limits.sign_in import LockedOutError, count_attempt, forgive_attempt


class SignInForm(LoginForm):
    """Says in the label what may be written."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        login, password = self.fields["login"], self.fields["password"]
        login.label, password.help_text = "User name or e-mail address", ""
        login.widget.attrs = {"autocomplete": "username", "autofocus": True}
        password.widget.attrs.pop("placeholder", None)


class ForgottenPasswordForm(ResetPasswordForm):
    """Calls the address as the sign-in does."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        email = self.fields["email"]
        email.label = "E-mail address"
        email.widget.attrs.pop("placeholder", None)


class PasswordChangeForm(ChangePasswordForm):
    """Whoever sits at an open session guesses the old password no faster than at the sign-in."""

    user: User

    def clean_oldpassword(self) -> str:
        password: str = self.cleaned_data["oldpassword"]
        adapter = get_adapter()
        if not adapter.reauthenticate(self.user, password):
            raise adapter.validation_error("enter_current_password")
        return password


class CountedCode(BaseAuthenticateForm):
    """A code of the second factor, counted before it is looked at."""

    user: User

    def clean_code(self) -> str:
        name = self.user.get_username()
        try:
            count_attempt(context.request, name)
        except LockedOutError as error:
            raise ValidationError(str(error), code=error.code) from error
        code = str(super().clean_code())
        forgive_attempt(context.request, name)
        return code


class SecondFactorForm(CountedCode, AuthenticateForm):
    """At the sign-in."""


class SecondFactorAgainForm(CountedCode, ReauthenticateForm):
    """Before something that only the person may do."""
