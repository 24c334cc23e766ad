"""What the Hub says about one file: commit, size, digest; asked through huggingface_hub."""

from __future__ import annotations

import re

import httpx2
from huggingface_hub import constants, hf_hub_url, hf_raise_for_status
from huggingface_hub.errors import (
    DisabledRepoError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from engines.exceptions import (
    InvalidRequestError,
    NotFoundError,
    SamError,
    TransferError,
    TransientTransferError,
)
from engines.files.names import check_name
from engines.network.transports import GuardedTransport
from engines.transfer.http import MAX_REDIRECTS, UNTRUSTED, asked_wait, is_untrusted, refused
from engines.transfer.redirects import same_origin
from engines.transfer.remote_file import RemoteFile

_REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,127}")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SIZE = re.compile(r"[0-9]{1,19}")
_TIMEOUT_SECONDS = 10.0
_REFUSED = frozenset({401, 403})
_PASSING = frozenset({408, 425, 429})
_SERVER_ERROR = 500


def resolve_file(
    repo: str,
    filename: str,
    *,
    revision: str = "main",
    endpoint: str,
    token: str | None = None,
) -> RemoteFile:
    """Ask the Hub at ``endpoint`` what ``filename`` is at ``revision``, and pin the commit.

    The token goes to the endpoint's own origin only. Raises InvalidRequestError, UnsafeNameError,
    GatedRepositoryError, NotFoundError, AddressRefusedError, TransientTransferError (also when
    offline mode is on), TransferError when the answer cannot be true.
    """
    base = endpoint.rstrip("/")
    url = _question(repo, filename, revision, base)
    _require_online()
    try:
        response = _head(url, token)
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise _explain(error, repo, filename, revision) from error
    remote = _read_answer(response, repo, filename, base)
    if _COMMIT.fullmatch(revision) and remote.commit != revision:
        raise TransferError(
            f"The Hub answers with commit {remote.commit} for {repo} where {revision} was asked. "
            "Check the Hub's address in the settings."
        )
    return remote


def pinned_file(
    repo: str, filename: str, *, commit: str, size: int, sha256: str, endpoint: str
) -> RemoteFile:
    """Return the file of a commit that was resolved before, without asking the Hub again.

    InvalidRequestError for what is no repository's name.
    """
    return RemoteFile(
        repo=repo,
        filename=filename,
        commit=commit,
        size=size,
        sha256=sha256,
        url=_address_of(repo, filename, commit, endpoint.rstrip("/")),
        etag="",
    )


def _question(repo: str, filename: str, revision: str, endpoint: str) -> str:
    """Return the address to ask; raises before anything is sent when a name cannot be right."""
    check_name(filename)
    if not _REVISION.fullmatch(revision) or ".." in revision:
        raise InvalidRequestError(
            f"{revision[:100]!a} is not a revision. Give a branch, a tag or a commit."
        )
    return _address_of(repo, filename, revision, endpoint)


def _address_of(repo: str, filename: str, revision: str, endpoint: str) -> str:
    try:
        return hf_hub_url(repo, filename, revision=revision, endpoint=endpoint)
    except HFValidationError as error:
        raise InvalidRequestError(
            f"{repo[:100]!a} is not a repository name. Write it as owner/name."
        ) from error


def _require_online() -> None:
    if constants.is_offline_mode():
        raise TransientTransferError(
            "Offline mode is on (HF_HUB_OFFLINE), so the Hub cannot be asked. Unset it."
        )


def _head(url: str, token: str | None) -> httpx2.Response:
    """Return the answer that carries the metadata: the last one of the Hub's own origin.

    A redirect to another origin ends it (the file's storage), so the token stays; one inside the
    origin (a repository that was renamed) is followed.
    """
    authorization = {"Authorization": f"Bearer {token}"} if token else {}
    headers = {"Accept-Encoding": "identity", **authorization}
    current = httpx2.URL(url)
    with httpx2.Client(transport=GuardedTransport(), timeout=_TIMEOUT_SECONDS) as client:
        for _ in range(MAX_REDIRECTS + 1):
            response = client.head(current, headers=headers, follow_redirects=False)
            hf_raise_for_status(response)
            if not response.has_redirect_location:
                return response
            target = current.join(response.headers["Location"])
            if not same_origin(target, current):
                # The facts are in this answer; the storage behind it knows neither commit nor digest.
                return response
            current = target
    raise TransferError(
        f"The Hub at {current.host} redirects more than {MAX_REDIRECTS} times. Check its address."
    )


def _read_answer(response: httpx2.Response, repo: str, filename: str, endpoint: str) -> RemoteFile:
    """Take the facts from the headers; RemoteFile refuses what cannot be true."""
    headers = {name.lower(): value for name, value in response.headers.items()}
    own_size = "" if response.is_redirect else headers.get("content-length", "")
    etag = headers.get("x-linked-etag") or headers.get("etag", "")
    commit = headers.get("x-repo-commit", "")
    size = headers.get("x-linked-size") or own_size
    return RemoteFile(
        repo=repo,
        filename=filename,
        commit=commit,
        size=int(size) if _SIZE.fullmatch(size) else -1,
        sha256=_published_digest(etag),
        url=_address_of(repo, filename, commit, endpoint),
        etag=etag,
    )


def _published_digest(etag: str) -> str | None:
    """Return the entity tag's value, which is the SHA-256, or None for a git object's 40 digits."""
    value = etag.removeprefix("W/").strip('"')
    return None if _COMMIT.fullmatch(value) else value


def _explain(error: Exception, repo: str, filename: str, revision: str) -> SamError:
    if isinstance(error, HfHubHTTPError):
        return _explain_refusal(error, repo, filename, revision)
    if isinstance(error, httpx2.InvalidURL | httpx2.UnsupportedProtocol):
        return InvalidRequestError(f"The Hub's address is not valid ({error}). Correct it.")
    if is_untrusted(error):
        return TransferError(f"The Hub is not asked for {repo}: {UNTRUSTED}")
    return TransientTransferError(
        f"The Hub cannot be reached for {repo} ({type(error).__name__}: {error}). "
        "Check the network and the Hub's address."
    )


def _explain_refusal(error: HfHubHTTPError, repo: str, filename: str, revision: str) -> SamError:
    status = error.response.status_code
    if isinstance(error, GatedRepoError):
        return refused(repo, status, error.response.headers)
    if isinstance(error, DisabledRepoError):
        return TransferError(f"The Hub has disabled {repo}. Choose another repository.")
    if isinstance(error, RemoteEntryNotFoundError):
        return NotFoundError(f"{repo} has no file {filename} at {revision}. Check its name.")
    if isinstance(error, RevisionNotFoundError):
        return NotFoundError(f"{repo} has no revision {revision}. Check its name.")
    if isinstance(error, RepositoryNotFoundError):
        return NotFoundError(
            f"The Hub has no repository {repo} for this token. Check the name; a private one needs "
            "HF_TOKEN."
        )
    if status in _REFUSED:
        return refused(repo, status, error.response.headers)
    if status in _PASSING or status >= _SERVER_ERROR:
        seconds = asked_wait(error.response.headers)
        when = f"in {seconds:.0f} s" if seconds else "later"
        return TransientTransferError(
            f"The Hub answered {status} for {repo}. Try again {when}.", seconds
        )
    return TransferError(f"The Hub answered {status} for {repo}. Check the Hub's address.")
