"""Accepting an invitation: a name and a password of one's own."""

from __future__ import annotations

from typing import Any

from allauth.account.utils import perform_login
from django import forms
from django.contrib.auth.models import User
from django.contrib.auth.password_validation import (
    validate_password,
)
from django.contrib.auth.validators import UnicodeUsernameValidator
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views import View

from engines.exceptions import NotFoundError, SamError
from engines.models import Invitation
from engines.services.people.invitations import accept_invitation, find_invitation
from migrations_app.accounts.mails import name_inviter
from migrations_app.pages.forms import PageForm

SESSION_KEY = "sam_invitation"


class JoinForm(PageForm):
    """What an invited person chooses."""

    username = forms.CharField(
        max_length=150,
        label="User name",
        validators=[UnicodeUsernameValidator()],
        widget=forms.TextInput(attrs={"autocomplete": "username", "autofocus": True}),
    )
    password = forms.CharField(
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text="At least 8 characters; not a common one, and not like your name or address.",
    )
    again = forms.CharField(
        strip=False,
        label="Password, again",
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )

    def __init__(self, invitation: Invitation, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._invitation = invitation

    def clean_username(self) -> str:
        name: str = self.cleaned_data["username"]
        if User.objects.filter(username__iexact=name).exists():
            raise ValidationError("This user name is taken; choose another.")
        return name

    def clean(self) -> dict[str, Any]:
        asked = super().clean() or self.cleaned_data
        password = asked.get("password", "")
        if password != asked.get("again", ""):
            self.add_error("again", "The two are not the same.")
        elif password:
            person = User(username=asked.get("username", ""), email=self._invitation.email)
            try:
                validate_password(password, person)
            except ValidationError as error:
                self.add_error("password", error)
        return asked


class JoinView(View):
    """The page behind an invitation's link; the key waits in the session, so no later address has it."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """Take the key from the link, or show the form."""
        if "key" in request.GET:
            request.session[SESSION_KEY] = request.GET["key"]
            return redirect("join")
        try:
            return _show(request, JoinForm(find_invitation(_key(request))))
        except NotFoundError as error:
            return _refuse(request, error)

    def post(self, request: HttpRequest) -> HttpResponse:
        """Make the person and sign them in."""
        try:
            form = JoinForm(find_invitation(_key(request)), request.POST)
        except NotFoundError as error:
            return _refuse(request, error)
        if not form.is_valid():
            return _show(request, form)
        asked = form.cleaned_data
        try:
            user = accept_invitation(
                _key(request), username=asked["username"], password=asked["password"]
            )
        except NotFoundError as error:
            return _refuse(request, error)
        except SamError as error:
            form.refuse(error)
            return _show(request, form)
        del request.session[SESSION_KEY]
        answer: HttpResponse = perform_login(request, user, email_verification="none")
        return answer


def _key(request: HttpRequest) -> str:
    return str(request.session.get(SESSION_KEY, ""))


def _show(request: HttpRequest, form: JoinForm) -> HttpResponse:
    invitation = form._invitation
    context = {
        "form": form,
        "title": "Welcome to SAM",
        "invitation": invitation,
        "inviter": name_inviter(invitation),
    }
    return render(request, "pages/join/join.html", context)


def _refuse(request: HttpRequest, error: SamError) -> HttpResponse:
    context = {"title": "This link opens nothing", "sentence": str(error)}
    return render(request, "pages/join/refused.html", context, status=404)
