"""allauth's forms where a password or code is tried: all of them count for the one lock-out."""

from __future__ import annotations

from typing import Any

from allauth.account.adapter import get_adapter
from allauth.account.forms import AddEmailForm, ChangePasswordForm, LoginForm, ResetPasswordForm
from allauth.account.forms import ReauthenticateForm as AskAgainForm
from allauth.core import context
from allauth.mfa.base.forms import AuthenticateForm, BaseAuthenticateForm, ReauthenticateForm
from allauth.mfa.webauthn.forms import AddWebAuthnForm, EditWebAuthnForm
from django import forms
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.core.validators import MaxLengthValidator

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
        _name_field(self.fields["email"], "E-mail address")


class AddressForm(AddEmailForm):
    """Calls the address as the sign-in does."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _name_field(self.fields["email"], "E-mail address")


class PasswordAgainForm(AskAgainForm):
    """The password once more, before something that only the person may do."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _name_field(self.fields["password"], "Password")


class PasswordChangeForm(ChangePasswordForm):
    """Whoever sits at an open session guesses the old password no faster than at the sign-in."""

    user: User

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _name_field(self.fields["oldpassword"], "Current password")
        _name_field(self.fields["password1"], "New password")
        _name_field(self.fields["password2"], "New password, again")

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


MAX_PASSKEY_NAME = 60


class AddPasskeyForm(AddWebAuthnForm):
    """A new passkey: what it is called, and whether it opens the account alone."""

    passwordless = forms.BooleanField(
        required=False,
        initial=True,
        label="Sign in with it alone",
        help_text="Without name and password; the device asks for your finger, face or PIN instead.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _describe_name(self.fields["name"])


class RenamePasskeyForm(EditWebAuthnForm):
    """What a passkey is called."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _describe_name(self.fields["name"])


def _name_field(field: forms.Field, label: str) -> None:
    """Name a field once: what stands in an empty field is gone as soon as somebody types."""
    field.label = label
    field.widget.attrs.pop("placeholder", None)


def _describe_name(field: forms.Field) -> None:
    field.label, field.help_text = "Name", "So that you know it again: “Telephone”, “Blue key”."
    field.widget.attrs |= {"maxlength": MAX_PASSKEY_NAME, "autocomplete": "off"}
    field.validators.append(MaxLengthValidator(MAX_PASSKEY_NAME))
