"""An identity provider on the loopback: discovery, consent, token, userinfo and keys, as the protocol has them."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

CLIENT, SECRET, KEY_ID = "sam", "between-us", "key-1"


@dataclass
class Provider:
    """Who signs in next, and what was asked; ``claims`` are told of the person."""

    claims: dict[str, Any] = field(default_factory=dict)
    refuses: bool = False
    audience: str = CLIENT
    issuer_told: str = ""
    issuer: str = ""
    exchanged: int = 0
    key: RSAPrivateKey = field(default_factory=lambda: rsa.generate_private_key(65537, 2048))
    _granted: dict[str, dict[str, str]] = field(default_factory=dict)
    _tokens: set[str] = field(default_factory=set)

    def describe(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
            "jwks_uri": f"{self.issuer}/keys",
            "response_types_supported": ["code"],
            "token_endpoint_auth_methods_supported": ["client_secret_post"],
        }

    def keys(self) -> dict[str, Any]:
        public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key()))
        return {"keys": [{**public, "kid": KEY_ID, "alg": "RS256", "use": "sig"}]}

    def consent(self, asked: dict[str, str]) -> str:
        """Return where the browser is sent back to."""
        back = {"state": asked["state"]}
        if self.refuses:
            return f"{asked['redirect_uri']}?{urlencode({**back, 'error': 'access_denied'})}"
        code = secrets.token_urlsafe()
        self._granted[code] = asked
        return f"{asked['redirect_uri']}?{urlencode({**back, 'code': code})}"

    def exchange(self, asked: dict[str, str]) -> dict[str, Any] | None:
        """Return tokens for a code, once; None for what a provider refuses."""
        granted = self._granted.pop(asked.get("code", ""), None)
        if granted is None or asked.get("client_secret") != SECRET:
            return None
        verifier = asked.get("code_verifier", "").encode()
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier).digest()).rstrip(b"=")
        if challenge.decode() != granted.get("code_challenge"):
            return None
        self.exchanged += 1
        access = secrets.token_urlsafe()
        self._tokens.add(access)
        return {"access_token": access, "token_type": "Bearer", "id_token": self._id_token()}

    def knows(self, header: str) -> bool:
        return header.removeprefix("Bearer ") in self._tokens

    def _id_token(self) -> str:
        now = int(time.time())
        claims = {
            **self.claims,
            "iss": self.issuer_told or self.issuer,
            "aud": self.audience,
            "iat": now,
            "exp": now + 300,
        }
        return jwt.encode(claims, self.key, algorithm="RS256", headers={"kid": KEY_ID})


@contextmanager
def running_provider() -> Iterator[Provider]:
    """Run a provider in a thread."""
    provider = Provider()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            if parts.path == "/authorize":
                asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
                self.send_response(302)
                self.send_header("Location", provider.consent(asked))
                self.end_headers()
            elif parts.path == "/userinfo":
                known = provider.knows(self.headers.get("Authorization", ""))
                self._answer(provider.claims if known else None)
            elif parts.path == "/keys":
                self._answer(provider.keys())
            else:
                self._answer(provider.describe())

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            asked = {name: values[0] for name, values in parse_qs(body).items()}
            self._answer(provider.exchange(asked))

        def _answer(self, told: dict[str, Any] | None) -> None:
            body = json.dumps(told or {"error": "invalid_grant"}).encode()
            self.send_response(200 if told else 400)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        provider.issuer = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield provider
        server.shutdown()
