"""How the next token is chosen; imported in an engine's child only."""

from __future__ import annotations

from typing import Any

from llama_cpp import llama_cpp as api

from engines.runtimes.llama_cpp.constraint import Constraint, address_of, make_mark_namer
from engines.runtimes.llama_cpp.native import LoadedModel
from engines.runtimes.notation.description import Notation
from engines.runtimes.notation.grammars import grammar_of
from engines.runtimes.notation.reader import PromptEnd
from engines.runtimes.text.generation import GenerationOptions

PENALTY_WINDOW = 64
"""Tokens that penalties look back on."""


def sampler_of(
    model: LoadedModel,
    options: GenerationOptions,
    notation: Notation | None = None,
    end: PromptEnd | None = None,
) -> Any:
    """A chain in llama.cpp's default order: penalties, then greedy or the filters and a draw; the caller frees it.

    First comes the grammar, if the options ask for one; ``end`` says what the prompt has written of the
    answer. Raises InvalidRequestError for a schema that cannot be kept.
    """
    mark = make_mark_namer(model)
    grammar = grammar_of(options, notation or Notation(), mark, end or PromptEnd())
    # First, so that penalties and filters choose among tokens the grammar allows; a filter before it
    # could leave none of them.
    first = [] if grammar is None else [Constraint(model, grammar).native]
    chain = api.llama_sampler_chain_init(api.llama_sampler_chain_default_params())
    for part in (*first, *_penalties(model, options), *_choice(options)):
        api.llama_sampler_chain_add(chain, part)
    return chain


def require_grammar_kept(chain: Any) -> None:
    """InvalidRequestError when the chain's grammar failed while it chose a token."""
    if api.llama_sampler_chain_n(chain):
        Constraint.check(address_of(api.llama_sampler_chain_get(chain, 0)))


def _penalties(model: LoadedModel, options: GenerationOptions) -> list[Any]:
    return [
        api.llama_sampler_init_penalties(
            int(api.llama_vocab_n_tokens(model.vocab)),
            PENALTY_WINDOW,
            options.repeat_penalty,
            options.frequency_penalty,
            options.presence_penalty,
        )
    ]


def _choice(options: GenerationOptions) -> list[Any]:
    if options.temperature == 0:
        return [api.llama_sampler_init_greedy()]
    return [
        api.llama_sampler_init_top_k(options.top_k),
        api.llama_sampler_init_top_p(options.top_p, 1),
        api.llama_sampler_init_min_p(options.min_p, 1),
        api.llama_sampler_init_temp(options.temperature),
        api.llama_sampler_init_dist(options.seed),
    ]
