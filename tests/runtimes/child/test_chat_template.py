"""Chat templates from outside: nothing runs while they are compiled, little while they are rendered."""

from __future__ import annotations

import resource
import time

import pytest
from jinja2 import TemplateError

from engines.runtimes.child.chat_template import ChatTemplate

GREEDY = {
    "a power": "{{ 10 ** (10 ** 9) }}",
    "a condition": "{% if 10 ** (10 ** 9) %}a{% endif %}",
    "an assignment": "{% set x = 10 ** (10 ** 9) %}",
    "a long word": "{{ 'x' * 10 ** 12 }}",
    "a loop": "{% for i in 'x' * 10 ** 12 %}{% endfor %}",
    "a list": "{{ [1] * 10 ** 12 }}",
    "a product of words": "{{ 10 ** 12 * 'x' }}",
    "a large product": "{% set a = 10 ** 1000 %}{{ a * a }}",
}
FOLDED = {
    **GREEDY,
    "a filter": "{{ 'x' | center(10 ** 11) }}",
    "a format": "{{ '%100000000000d' % 1 }}",
    "two filters": "{{ ('a' * 10 ** 6) | replace('a', 'b' * 10 ** 6) }}",
    "many constants": "{{ ('x' | center(300000)) | length }}" * 3000,
}


def compiled(source: str) -> ChatTemplate:
    return ChatTemplate(source, bos_token="<s>", eos_token="</s>")


@pytest.mark.parametrize("source", FOLDED.values(), ids=FOLDED.keys())
def test_compiling_computes_nothing(source: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.thread_time()

    compiled(source)

    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 200 * 1024
    assert time.thread_time() - started < 10


@pytest.mark.parametrize("source", GREEDY.values(), ids=GREEDY.keys())
def test_what_would_grow_without_bound_is_refused(source: str) -> None:
    template = compiled(source)

    with pytest.raises(TemplateError, match=r"too large|too often"):
        template.render([], None)


def test_ordinary_templates_say_what_they_always_said() -> None:
    source = (
        "{{ bos_token }}{% for m in messages %}{{ m.role ~ ': ' ~ m['content'] | trim }}\n"
        "{% if loop.index > 1 %}{% break %}{% endif %}{% endfor %}"
        "{% generation %}{{ tools | tojson }}{% endgeneration %}{{ 7 % 4 + 2 * 3 - 2 ** 3 }}"
        "{{ '-' * 3 }}{{ [1] * 2 }}{{ none }}{{ unknown }}{% if add_generation_prompt %}>{% endif %}"
    )
    messages = [{"role": "user", "content": f" grün {n} "} for n in range(4)]

    text = compiled(source).render(messages, [{"name": "ü"}])

    assert text == '<s>user: grün 0\nuser: grün 1\n[{"name": "ü"}]1---[1, 1]None>'


def test_a_template_may_refuse() -> None:
    with pytest.raises(ValueError, match="no system"):
        compiled("{{ raise_exception('no system') }}").render([], None)
