"""Looking for models at the configured Hub: repositories by words, and the GGUF files of one."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar
from urllib.parse import quote

import httpx2
import msgspec
from django.conf import settings
from django.core.exceptions import ValidationError
from msgspec import Struct

from engines.exceptions import InvalidRequestError, NotFoundError, TransferError
from engines.fit.engine_need import GUESS_FACTOR
from engines.gguf.parts import PartName, find_misnomer, part_names
from engines.machine import Machine
from engines.models import ModelRole
from engines.models.validators import validate_repository
from engines.network.transports import GuardedTransport
from engines.parsing import decode
from engines.runtimes.notation.families import family_in
from engines.services.catalog.hub import hub_token
from engines.services.catalog.instructions import find_instructions
from engines.transfer.http import MAX_REDIRECTS, UNTRUSTED, is_untrusted
from engines.transfer.hub_place import HubPlace
from engines.transfer.redirects import next_hop, same_origin

MAX_FOUND = 20
MAX_ID_LENGTH = 128
UNNAMED = "model"
MAX_FAMILY_LENGTH = 64
EMBEDS = "embed"
RANKS = "rerank"
MAX_FILES = 200
MAX_PAGES = 20
"""Of a listing; the Hub puts 1,000 files on one."""
MAX_WORDS_LENGTH = 100
MAX_ANSWER_BYTES = 4 * 1024 * 1024
TIMEOUT_SECONDS = 10.0
GGUF = ".gguf"
_NOT_SHOWN = frozenset({401, 403, 404})

Answer = TypeVar("Answer")
Entry = TypeVar("Entry")


class HubRepository(Struct, frozen=True):
    """A repository that a search found."""

    id: str
    downloads: int = 0
    likes: int = 0


class _TreeEntry(Struct, frozen=True):
    path: str
    size: int = 0
    type: str = "file"


@dataclass(frozen=True, slots=True)
class HubFile:
    """A model's GGUF file in a repository; ``fits`` is None while no host has told its memory."""

    name: str
    """Of a model in parts, the first one's."""
    size: int
    """Bytes, of all parts together."""
    parts: int
    fits: bool | None
    is_best: bool
    """The largest that fits: of one model's quantisations the one that loses least."""


@dataclass(frozen=True, slots=True)
class SuggestedEntry:
    """What an entry of a repository's model might be called, and what it is for; guessed from names."""

    model_id: str
    model_family: str
    role: str


def suggest_entry(name: str) -> SuggestedEntry:
    """Return a guess for an entry by the name of a repository or of a file."""
    last = name.rpartition("/")[2].lower().removesuffix(GGUF).removesuffix("-gguf")
    plain = unicodedata.normalize("NFKD", last).encode("ascii", "ignore").decode()
    # A name in another script leaves nothing.
    model_id = re.sub("[^a-z0-9._-]+", "-", plain).strip("._-")[:MAX_ID_LENGTH] or UNNAMED
    embeds = EMBEDS in last or find_instructions([name]) is not None
    return SuggestedEntry(
        model_id,
        family_in(last) or model_id.partition("-")[0][:MAX_FAMILY_LENGTH],
        _suggested_role(last, embeds=embeds),
    )


def _suggested_role(name: str, *, embeds: bool) -> ModelRole:
    if RANKS in name:
        return ModelRole.RANK
    return ModelRole.EMBEDDING if embeds else ModelRole.CHAT


def search_hub(words: str) -> list[HubRepository]:
    """Return repositories with GGUF files that match, those most downloaded first.

    Raises InvalidRequestError for no words or too many, TransferError when the Hub does not answer.
    """
    words = words.strip()
    if not words or len(words) > MAX_WORDS_LENGTH:
        raise InvalidRequestError(f"Search with 1 to {MAX_WORDS_LENGTH} characters.")
    query = {"search": words, "filter": "gguf", "sort": "downloads", "limit": str(MAX_FOUND)}
    found, _ = _ask(_address("/api/models", query), list[HubRepository])
    return found[:MAX_FOUND]


def list_hub_files(place: HubPlace, machines: Iterable[Machine]) -> list[HubFile]:
    """Return a repository's GGUF files by size, with the best one for these machines marked.

    Raises InvalidRequestError for what is no repository's name, NotFoundError, TransferError.
    """
    try:
        validate_repository(place.repo)
    except ValidationError as error:
        raise InvalidRequestError(" ".join(error.messages)) from error
    # Large models lie in folders, one for each quantisation.
    query = {"recursive": "true"}
    tree = f"/api/models/{quote(place.repo)}/tree/{quote(place.revision, safe='')}"
    entries = _ask_pages(tree, query, list[_TreeEntry])
    sizes = {e.path: e.size for e in entries if e.type == "file" and e.path.lower().endswith(GGUF)}
    models = [_model(name, sizes) for name in sizes if find_misnomer(name) is None]
    whole = sorted(filter(None, models), key=lambda model: (model.size, model.name))[:MAX_FILES]
    return _marked(whole, list(machines))


def choose_hub_file(place: HubPlace, files: Sequence[HubFile]) -> str:
    """Return the file that a place names, else the best one; empty where there are none.

    Raises InvalidRequestError for a file that is no model, NotFoundError for one that is not there.
    """
    if place.filename.lower().endswith(GGUF):
        return _named_file(place, files)
    within = [file for file in files if file.name.startswith(f"{place.filename}/")]
    found = within if place.filename else list(files)
    if place.quantization:
        found = _of_quantization(place, found)
    best = next((file for file in found if file.is_best), None)
    return (best or found[0]).name if found else ""


def _named_file(place: HubPlace, files: Sequence[HubFile]) -> str:
    part = PartName.parse(place.filename)
    name = part.first if part is not None and part.is_possible else place.filename
    if any(file.name == name for file in files):
        return name
    if misnomer := find_misnomer(name):
        raise InvalidRequestError(misnomer)
    raise NotFoundError(
        f"{place.repo} has no model {name} at {place.revision}, or not all of its parts; "
        f"`sam catalog add {place.repo}` lists what it has."
    )


def _of_quantization(place: HubPlace, files: Sequence[HubFile]) -> list[HubFile]:
    wanted = re.compile(rf"(?<![a-z0-9]){re.escape(place.quantization.lower())}(?![a-z0-9_])")
    found = [file for file in files if wanted.search(file.name.lower())]
    if not found:
        raise NotFoundError(
            f"{place.repo} has no model whose name says {place.quantization}; "
            f"`sam catalog add {place.repo}` lists what it has."
        )
    # UD-Q4_K_M says Q4_K_M as well.
    return sorted(found, key=lambda file: len(file.name))[:1]


def _model(name: str, sizes: Mapping[str, int]) -> HubFile | None:
    """Return the model that a file is or begins; None when one of its parts is not there."""
    parts = [sizes.get(part) for part in part_names(name)]
    if None in parts:
        return None
    return HubFile(name, sum(filter(None, parts)), len(parts), fits=None, is_best=False)


def _marked(models: Sequence[HubFile], machines: Sequence[Machine]) -> list[HubFile]:
    room = max((m.memory_bytes + m.vram_bytes for m in machines), default=0)
    fitting = [model.name for model in models if room and model.size * GUESS_FACTOR <= room]
    best = fitting[-1] if fitting else ""
    return [
        replace(model, fits=model.name in fitting if room else None, is_best=model.name == best)
        for model in models
    ]


def _address(path: str, query: dict[str, str]) -> httpx2.URL:
    return httpx2.URL(f"{settings.HF_ENDPOINT.rstrip('/')}{path}", params=query)


def _ask_pages(path: str, query: dict[str, str], kind: type[list[Entry]]) -> list[Entry]:
    """Ask for a list that the Hub gives in pages, each with the address of the next (RFC 8288)."""
    found: list[Entry] = []
    url: httpx2.URL | None = _address(path, query)
    for _ in range(MAX_PAGES):
        if url is None:
            return found
        page, url = _ask(url, kind)
        found += page
    raise TransferError(
        f"The repository has more than {len(found)} files, which are not all looked through. Name the "
        "file in the catalog entry."
    )


def _ask(url: httpx2.URL, kind: type[Answer]) -> tuple[Answer, httpx2.URL | None]:
    try:
        with httpx2.Client(transport=GuardedTransport(), timeout=TIMEOUT_SECONDS) as client:
            return _follow(client, url, kind)
    except httpx2.HTTPError as error:
        if is_untrusted(error):
            raise TransferError(f"The Hub is not asked: {UNTRUSTED}") from error
        raise TransferError(
            f"The Hub at {settings.HF_ENDPOINT} does not answer: {error}"
        ) from error


def _follow(
    client: httpx2.Client, url: httpx2.URL, kind: type[Answer]
) -> tuple[Answer, httpx2.URL | None]:
    """Ask, also where the repository is called now: the Hub sends on from a name before a renaming."""
    token = hub_token(str(url))
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    for _ in range(MAX_REDIRECTS + 1):
        with client.stream("GET", url, headers=headers) as response:
            if not response.has_redirect_location:
                return _read(response, kind), _next_page(response, url)
            target = next_hop(url, response.headers["Location"])
        if not same_origin(target, url):
            break
        url = target
    raise TransferError(
        f"The Hub at {url.host} redirects elsewhere. Check its address (HF_ENDPOINT)."
    )


def _next_page(response: httpx2.Response, url: httpx2.URL) -> httpx2.URL | None:
    following = response.links.get("next", {}).get("url")
    if not following:
        return None
    target = next_hop(url, following)
    if not same_origin(target, url):
        raise TransferError(
            f"The Hub at {url.host} has the next page elsewhere. Check its address (HF_ENDPOINT)."
        )
    return target


def _read(response: httpx2.Response, kind: type[Answer]) -> Answer:
    if response.status_code in _NOT_SHOWN:
        # Without a token the Hub answers 401 for what is not there, too.
        raise NotFoundError(
            "The Hub has no such repository, or it is private. Check its name and revision; a private one "
            "needs HF_TOKEN, and for a gated one its terms must be accepted at the Hub."
        )
    if not response.is_success:
        raise TransferError(f"The Hub answered {response.status_code}; try again later.")
    body = bytearray()
    for piece in response.iter_bytes():
        body += piece
        if len(body) > MAX_ANSWER_BYTES:
            raise TransferError(
                f"The Hub's answer has more than {MAX_ANSWER_BYTES} bytes. Check its address (HF_ENDPOINT)."
            )
    try:
        return decode(bytes(body), kind)
    except msgspec.MsgspecError as error:
        raise TransferError(f"The Hub's answer cannot be read: {error}") from error
