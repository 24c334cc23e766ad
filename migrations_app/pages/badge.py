"""The badge: a person's engine as a small picture that any page can embed.

Browsers send no cookie with a picture that another site embeds, so its address is the key: signed for one
person, good for nothing but this picture, and ended by a change of the password or by leaving.
"""

from __future__ import annotations

from django.contrib.auth.models import User
from django.core.signing import BadSignature, Signer
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.templatetags.static import static
from django.urls import reverse
from django.views.decorators.http import require_safe

from migrations_app.indicator import indicator_of
from migrations_app.signs import Tone

CONTENT_TYPE = "image/svg+xml"
MAX_KEY = 200
MAX_NAME = 40
CHARACTER_WIDTH = 6.5
"""Of the badge's type, in pixels; the picture stretches its text to what is reckoned with."""
LEFT_WIDTH = 52
MARGINS = 40
COLOURS = {
    Tone.NEUTRAL: "#61666b",
    Tone.INFO: "#2a5594",
    Tone.SUCCESS: "#1f6a37",
    Tone.WARNING: "#825000",
    Tone.DANGER: "#a52d26",
}


def badge_address(user: User) -> str:
    """Return the address of a person's badge for other sites."""
    return reverse("badge", args=[_signer(user).sign(str(user.pk))])


@require_safe
def own_badge(request: HttpRequest) -> HttpResponse:
    """Draw the badge of who is signed in, for pages of this site."""
    if not isinstance(request.user, User):
        raise Http404
    return _draw(request, request.user)


@require_safe
def keyed_badge(request: HttpRequest, key: str) -> HttpResponse:
    """Draw the badge of the person whose key it is; cookies and headers do not matter."""
    user = _person_of(key)
    if user is None:
        raise Http404
    return _draw(request, user)


@require_safe
def show_mark(_request: HttpRequest) -> HttpResponse:
    """Send browsers that ask for an icon at its old address to the one there is."""
    return redirect(static("sam/icons/mark.svg"))


def _person_of(key: str) -> User | None:
    number = key.partition(":")[0]
    if len(key) > MAX_KEY or not (number.isascii() and number.isdecimal()):
        return None
    user = User.objects.filter(pk=int(number[:18]), is_active=True).first()
    if user is None:
        return None
    try:
        _signer(user).unsign(key)
    except BadSignature:
        return None
    return user


def _signer(user: User) -> Signer:
    # Changes with the password, as sessions do.
    return Signer(salt=f"sam.badge.{user.get_session_auth_hash()}")


def _draw(request: HttpRequest, user: User) -> HttpResponse:
    indicator = indicator_of(user)
    name = indicator.engine.display_name if indicator.engine else indicator.look.label
    shown = name if len(name) <= MAX_NAME else f"{name[: MAX_NAME - 1]}…"
    text_width = round(CHARACTER_WIDTH * len(shown))
    context = {
        "name": shown,
        "sentence": indicator.sentence,
        "look": indicator.look,
        "colour": COLOURS[indicator.look.tone],
        "text_width": text_width,
        "width": LEFT_WIDTH + MARGINS + text_width,
        "left": LEFT_WIDTH,
    }
    return render(request, "pages/badge.svg", context, content_type=CONTENT_TYPE)
