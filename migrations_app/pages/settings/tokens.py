"""API tokens: made after one's password was asked once more, shown once, ended."""

from __future__ import annotations

from typing import ClassVar

from allauth.account.internal.flows.reauthentication import raise_if_reauthentication_required
from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse

from engines.exceptions import SamError
from engines.models import ApiToken, TokenScope
from engines.services.people.tokens import MAX_NAME_CHARS, NewToken, create_token
from migrations_app.pages.base import PageView
from migrations_app.pages.components import paginate
from migrations_app.pages.forms import PageForm

MAX_DAYS = 36_500


class TokenForm(PageForm):
    """What a token is for, what it opens, and until when."""

    name = forms.CharField(
        max_length=MAX_NAME_CHARS, help_text="What uses it, such as “laptop” or “nightly report”."
    )
    scope = forms.ChoiceField(choices=TokenScope.choices, label="It opens")
    days = forms.IntegerField(
        min_value=0, max_value=MAX_DAYS, label="Days until it ends", help_text="0: it does not end."
    )


class TokensView(PageView):
    """The list, and a form for one more."""

    title: ClassVar[str] = "API tokens"
    section: ClassVar[str] = "settings"
    template_name: ClassVar[str] = "pages/settings/tokens.html"

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show them."""
        return self._show(TokenForm(initial={"days": settings.SAM_TOKEN_DAYS}))

    def post(self, request: HttpRequest) -> HttpResponse:
        """Make one; an open browser alone is not enough, as at the API."""
        raise_if_reauthentication_required(request, app="allauth.mfa")
        form = TokenForm(request.POST)
        if not form.is_valid():
            return self._show(form)
        asked = form.cleaned_data
        try:
            made = create_token(
                self.person, asked["name"], scope=TokenScope(asked["scope"]), days=asked["days"]
            )
        except SamError as error:
            form.refuse(error)
            return self._show(form)
        return self._show(TokenForm(initial={"days": settings.SAM_TOKEN_DAYS}), made)

    def _show(self, form: TokenForm, made: NewToken | None = None) -> HttpResponse:
        tokens = ApiToken.objects.filter(user=self.person).order_by("-pk")
        return self.render({"form": form, "made": made, "page": paginate(self.request, tokens)})


class TokenView(PageView):
    """Ends a token."""

    def post(self, request: HttpRequest, token_id: int) -> HttpResponse:
        """End it at once."""
        ended, _ = ApiToken.objects.filter(user=self.person, pk=token_id).delete()
        if not ended:
            raise Http404
        messages.success(request, "The token is ended.")
        return self.go("settings-tokens")
