"""A folder's ``tokenizer.json`` read by the library tokenizers; imported in an engine's child only."""

from __future__ import annotations

from pathlib import Path

from tokenizers import Tokenizer

from engines.exceptions import EngineError
from engines.runtimes.text.printable import make_printable

UNKNOWN = ("<unk>", "[UNK]")
MAX_REASON_CHARS = 300
SURROGATES = "surrogatepass"


class TextTokenizer:
    """Texts as tokens; nothing that a text holds is a control token."""

    def __init__(self, path: Path, vocabulary: int) -> None:
        """Raise EngineError for a file that is no tokenizer, or of more tokens than the model has rows for."""
        try:
            self._tokenizer = Tokenizer.from_buffer(path.read_bytes())
        except Exception as error:
            raise EngineError(
                f"{path.name} cannot be read ({make_printable(error, MAX_REASON_CHARS)}); save it again with a "
                "current release of tokenizers."
            ) from error
        # The file may say otherwise: for the batches that somebody trained with.
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._tokenizer.encode_special_tokens = True
        if max(self._tokenizer.get_vocab(with_added_tokens=True).values(), default=0) >= vocabulary:
            raise EngineError(
                "The tokenizer has tokens that the model does not have; the files belong to two models."
            )

    @property
    def unknown(self) -> frozenset[int]:
        """Tokens that stand for something that is not in the vocabulary."""
        names = {getattr(self._tokenizer.model, "unk_token", None), *UNKNOWN} - {None}
        found = {self._tokenizer.token_to_id(name) for name in names}
        return frozenset(token for token in found if token is not None)

    def read(self, text: str) -> list[int]:
        """Return a text's tokens, with those that open and close it."""
        return self._encode(text, framed=True)

    def count(self, text: str) -> int:
        """Return how many tokens a text has, without those that open and close it."""
        return len(self._encode(text, framed=False))

    def _encode(self, text: str, *, framed: bool) -> list[int]:
        # Half a character, as a cut in the middle of a pair leaves it, is none to the library.
        whole = text.encode("utf-16", SURROGATES).decode("utf-16", "replace")
        tokens: list[int] = self._tokenizer.encode(whole, add_special_tokens=framed).ids
        return tokens
