"""One's account: name, address, password, second factor, and the browsers that are signed in."""

from __future__ import annotations

from typing import ClassVar

from django import forms
from django.contrib import messages
from django.contrib.auth import get_user
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse

from engines.exceptions import InvalidRequestError
from engines.services.people.sessions import end_session, end_sessions, list_sessions
from migrations_app.accounts.second_factor import has_factor
from migrations_app.pages.base import PageView
from migrations_app.pages.forms import PageForm

MAX_ID_DIGITS = 18


class NameForm(PageForm):
    """What others read instead of the user name."""

    first_name = forms.CharField(max_length=150, required=False, label="First name")
    last_name = forms.CharField(max_length=150, required=False, label="Last name")


class AccountView(PageView):
    """Who I am here."""

    title: ClassVar[str] = "Account"
    section: ClassVar[str] = "settings"
    template_name: ClassVar[str] = "pages/settings/account.html"

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show it."""
        names = {"first_name": self.person.first_name, "last_name": self.person.last_name}
        return self._show(NameForm(initial=names))

    def post(self, request: HttpRequest) -> HttpResponse:
        """Keep the name."""
        form = NameForm(request.POST)
        if not form.is_valid():
            return self._show(form)
        User.objects.filter(pk=self.person.pk).update(**form.cleaned_data)
        messages.success(request, "Your name is kept.")
        return self.go("settings-account")

    def _show(self, form: NameForm) -> HttpResponse:
        return self.render(
            {
                "form": form,
                # The name that is in force, whatever was just typed.
                "account": get_user(self.request),
                "has_factor": has_factor(self.person),
                "sessions": list_sessions(self.person),
                "this_session": self.request.session.session_key,
            }
        )


class SessionsView(PageView):
    """Ends one session, or all but this one."""

    def post(self, request: HttpRequest) -> HttpResponse:
        """End what the form names."""
        named = request.POST.get("session", "")
        if not named:
            ended = end_sessions(self.person, keep=request.session.session_key or "")
            messages.success(request, f"{ended} other sessions ended.")
        elif named.isascii() and named.isdecimal() and len(named) <= MAX_ID_DIGITS:
            end_session(self.person, int(named))
            messages.success(request, "The session is ended.")
        else:
            raise InvalidRequestError("Choose a session of the list.")
        return self.go("settings-account")
