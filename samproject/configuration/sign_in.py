"""How people sign in: django-allauth's settings, and the organisation's own identity provider."""

from __future__ import annotations

from samproject import env

OIDC_ID = "organisation"
"""The provider's name in addresses."""
LOGIN_SECONDS = 15 * 60
REAUTHENTICATION_SECONDS = 15 * 60
RESET_SECONDS = 60 * 60


def sign_in_settings() -> dict[str, object]:
    """Return what allauth reads; there is no open sign-up, and mails never tell who is known."""
    return {
        **_account(),
        **_second_factor(),
        "LOGIN_URL": "account_login",
        "LOGIN_REDIRECT_URL": "home",
        "PASSWORD_RESET_TIMEOUT": RESET_SECONDS,
        "SOCIALACCOUNT_ADAPTER": "migrations_app.accounts.adapters.OidcAdapter",
        "SOCIALACCOUNT_PROVIDERS": {"openid_connect": {"APPS": _oidc_apps()}},
        "SOCIALACCOUNT_EMAIL_AUTHENTICATION_AUTO_CONNECT": True,
        "SOCIALACCOUNT_QUERY_EMAIL": True,
        # The policy of our pages lets no form lead to another host, not even by a redirect.
        "SOCIALACCOUNT_LOGIN_ON_GET": True,
    }


def _account() -> dict[str, object]:
    return {
        "ACCOUNT_ADAPTER": "migrations_app.accounts.adapters.AccountAdapter",
        "ACCOUNT_LOGIN_METHODS": {"username", "email"},
        "ACCOUNT_SIGNUP_FIELDS": ["email", "username*", "password1*"],
        "ACCOUNT_EMAIL_VERIFICATION": "optional",
        "ACCOUNT_CHANGE_EMAIL": True,
        "ACCOUNT_EMAIL_SUBJECT_PREFIX": "SAM: ",
        "ACCOUNT_EMAIL_NOTIFICATIONS": True,
        # Whoever finds an open browser must not take the account by another address.
        "ACCOUNT_REAUTHENTICATION_REQUIRED": True,
        "ACCOUNT_REAUTHENTICATION_TIMEOUT": REAUTHENTICATION_SECONDS,
        "ACCOUNT_LOGIN_TIMEOUT": LOGIN_SECONDS,
        "ACCOUNT_SESSION_REMEMBER": True,
        "ACCOUNT_LOGOUT_REDIRECT_URL": "account_login",
        "ACCOUNT_FORMS": {
            "login": "migrations_app.accounts.forms.SignInForm",
            "add_email": "migrations_app.accounts.forms.AddressForm",
            "reauthenticate": "migrations_app.accounts.forms.PasswordAgainForm",
            "change_password": "migrations_app.accounts.forms.PasswordChangeForm",
            "reset_password": "migrations_app.accounts.forms.ForgottenPasswordForm",
        },
        # Failed passwords and codes are counted by migrations_app.limits.sign_in, for every door.
        "ACCOUNT_RATE_LIMITS": {"login_failed": None, "login": None},
    }


def _second_factor() -> dict[str, object]:
    return {
        "MFA_ADAPTER": "migrations_app.accounts.adapters.SecondFactorAdapter",
        "MFA_FORMS": {
            "authenticate": "migrations_app.accounts.forms.SecondFactorForm",
            "reauthenticate": "migrations_app.accounts.forms.SecondFactorAgainForm",
            "add_webauthn": "migrations_app.accounts.forms.AddPasskeyForm",
            "edit_webauthn": "migrations_app.accounts.forms.RenamePasskeyForm",
        },
        "MFA_SUPPORTED_TYPES": ["totp", "recovery_codes", "webauthn"],
        "MFA_PASSKEY_LOGIN_ENABLED": True,
        # Nothing can be guessed there, and a whole organisation may come from one address.
        "MFA_RATE_LIMITS": {"webauthn_login": "120/m/ip"},
        "MFA_TOTP_ISSUER": "SAM",
        # One step of 30 s before and after: phones' clocks differ.
        "MFA_TOTP_TOLERANCE": 1,
        # Addresses are given by administrators and invitations, not by whoever signs up.
        "MFA_ALLOW_UNVERIFIED_EMAIL": True,
    }


def _oidc_apps() -> list[dict[str, object]]:
    """Return the one provider, or none; EnvironmentVariableError when it is named by half."""
    issuer = env.read_str("SAM_OIDC_ISSUER")
    client = env.read_str("SAM_OIDC_CLIENT_ID")
    secret = env.read_secret("SAM_OIDC_CLIENT_SECRET")
    name = env.read_str("SAM_OIDC_NAME", "your organisation")
    if not issuer:
        return []
    if not client:
        raise env.EnvironmentVariableError(
            "SAM_OIDC_ISSUER is set and SAM_OIDC_CLIENT_ID is not; set both, as your provider gave them."
        )
    return [
        {
            "provider_id": OIDC_ID,
            "name": name,
            "client_id": client,
            "secret": secret,
            "settings": {
                "server_url": env.read_url("SAM_OIDC_ISSUER", issuer),
                "oauth_pkce_enabled": True,
                # Only addresses that the provider says it verified; see OidcAdapter.
                "email_authentication": True,
            },
        }
    ]
