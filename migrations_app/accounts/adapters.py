"""Where allauth asks us: who may come in, what mails say, and how often one may try."""

from __future__ import annotations

import logging
from smtplib import SMTPException
from typing import Any, cast

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.models import EmailConfirmation
from allauth.core import context as allauth_context
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.models import SocialLogin
from allauth.socialaccount.providers.base.constants import AuthProcess
from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.http import HttpRequest
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme

from engines.services.people.invitations import accept_for_address, has_open_invitation
from migrations_app.accounts.links import absolute_link
from migrations_app.accounts.sealed import seal_text, unseal_text
from migrations_app.limits.client_address import client_address
from migrations_app.limits.sign_in import LockedOutError, refuse_locked

logger = logging.getLogger(__name__)

UNKNOWN_ADDRESS = "::"
"""What a session says of a client without an address, such as one behind a unix socket."""
WRONG = "The user name or the password is wrong."


class AccountAdapter(DefaultAccountAdapter):
    """Nobody signs up by themselves; links and mails know one origin, SAM_ORIGIN."""

    error_messages = {
        **DefaultAccountAdapter.error_messages,
        # One sentence, whatever was written: it tells nobody which names and addresses are known.
        "username_password_mismatch": WRONG,
        "email_password_mismatch": WRONG,
    }

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def is_safe_url(self, url: str) -> bool:
        """Whether a sign-in may lead there: only to this very host."""
        request = allauth_context.request
        return url_has_allowed_host_and_scheme(
            url, allowed_hosts={request.get_host()}, require_https=request.is_secure()
        )

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        """Refuse before a password is looked at, as the API does."""
        login = credentials.get("username") or credentials.get("email") or ""
        try:
            refuse_locked(request, login)
        except LockedOutError as error:
            raise ValidationError(str(error), code=error.code) from error

    def get_client_ip(self, request: HttpRequest) -> str:
        # Of an IPv6 client its network is known.
        return client_address(request).partition("/")[0] or UNKNOWN_ADDRESS

    def get_reset_password_from_key_url(self, key: str) -> str:
        path = reverse(
            "account_reset_password_from_key", kwargs={"uidb36": "UID", "key": "KEY"}
        ).replace("UID-KEY", key)
        return absolute_link(path)

    def get_email_confirmation_url(
        self, request: HttpRequest, emailconfirmation: EmailConfirmation
    ) -> str:
        return absolute_link(reverse("account_confirm_email", args=[emailconfirmation.key]))

    def send_confirmation_mail(
        self,
        request: HttpRequest,
        emailconfirmation: EmailConfirmation,
        signup: bool,  # noqa: FBT001 - allauth's signature
    ) -> None:
        """Send the link, but not while the address is another person's, which nobody is told."""
        wanted = emailconfirmation.email_address
        others = User.objects.filter(email__iexact=wanted.email).exclude(pk=wanted.user_id)
        if not others.exists():
            super().send_confirmation_mail(request, emailconfirmation, signup)

    def get_password_change_redirect_url(self, request: HttpRequest) -> str:
        return reverse("settings-account")

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Send a mail now; a server that refuses it is logged and told to nobody.

        Whether a mail went out would tell whether an address is known.
        """
        known = {"origin": settings.SAM_ORIGIN, "email": email, **context}
        message = self.render_mail(template_prefix, email, known)
        try:
            message.send()
        except (OSError, SMTPException) as error:
            logger.error("The mail %s was not sent: %s", template_prefix, error)  # noqa: TRY400 - a trace would hold the address


class OidcAdapter(DefaultSocialAccountAdapter):
    """Whom the organisation's provider names comes in if SAM knows, invited or admits them."""

    def pre_social_login(self, request: HttpRequest, sociallogin: SocialLogin) -> None:
        """Refuse to tie an account of the provider to whoever happens to be signed in.

        A link on another site could begin that; people are found by their verified address instead.
        """
        if sociallogin.state.get("process") == AuthProcess.CONNECT:
            raise PermissionDenied
        # An address that the provider did not verify may be anybody's: as if it had not been told.
        verified = [address for address in sociallogin.email_addresses if address.verified]
        sociallogin.email_addresses = verified
        if not sociallogin.is_existing:
            cast("User", sociallogin.user).email = verified[0].email if verified else ""

    def is_open_for_signup(self, request: HttpRequest, sociallogin: SocialLogin) -> bool:
        if settings.SAM_OIDC_SIGN_UP:
            return True
        return any(has_open_invitation(told.email) for told in sociallogin.email_addresses)

    def save_user(self, request: HttpRequest, sociallogin: SocialLogin, form: Any = None) -> User:
        """Make the person, with what an invitation of one of their addresses gives."""
        with transaction.atomic():
            user = cast("User", super().save_user(request, sociallogin, form))
            for told in sociallogin.email_addresses:
                accept_for_address(user, told.email)
        return user


class SecondFactorAdapter(DefaultMFAAdapter):
    """The second factor's secret is sealed in the database; of a passkey only its public key is there."""

    def encrypt(self, text: str) -> str:
        return seal_text(text)

    def decrypt(self, encrypted_text: str) -> str:
        return unseal_text(encrypted_text)

    def generate_authenticator_name(self, user: AbstractBaseUser, type: Authenticator.Type) -> str:
        """Return the name of a passkey that was given none."""
        number = Authenticator.objects.filter(user_id=user.pk, type=type).count() + 1
        return "Passkey" if number == 1 else f"Passkey {number}"

    def get_public_key_credential_rp_entity(self) -> dict[str, str]:
        """Return who asks for a passkey: this site, by the name in the browser's address line."""
        return {**super().get_public_key_credential_rp_entity(), "name": "SAM"}
