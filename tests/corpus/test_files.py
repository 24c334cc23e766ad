"""Every fact, in every script, is read out of every kind of file exactly as it was written."""

from __future__ import annotations

import pytest

from engines.reading.dispatch import read_content
from engines.reading.result import Source
from tests.corpus.facts import FACTS, SCRIPTS, facts_of
from tests.corpus.files import KINDS, make_corpus, make_file


@pytest.mark.parametrize("kind", KINDS)
def test_every_script_is_read_out_of_a_kind(kind: str) -> None:
    lost = {}
    for script in SCRIPTS:
        texts = [fact.text for fact in facts_of(script)]
        read = read_content(Source(f"facts.{kind}", make_file(kind, texts))).text
        lacking = [text for text in texts if text not in read]
        if lacking:
            lost[script] = (lacking, read)

    assert lost == {}


def test_the_corpus_has_each_fact_once_and_many_kinds_of_each_script() -> None:
    corpus = make_corpus()

    assert sorted(fact.text for fact, _ in corpus.values()) == sorted(fact.text for fact in FACTS)
    kinds = {
        script: {n.rpartition(".")[2] for n in corpus if n.startswith(script)} for script in SCRIPTS
    }
    assert len(SCRIPTS) == 13
    assert {len(found) for found in kinds.values()} == {8}
    assert set().union(*kinds.values()) == set(KINDS)
