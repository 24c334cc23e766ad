"""The table of docs/quality.md, which says how it is run.

Recall and nDCG by script, of an English and of a multilingual embedder.
"""

from __future__ import annotations

from rich.console import Console

from engines.runtimes.llama_cpp.engine import LlamaCppEngine
from engines.specs import EmbeddingSpec, EngineSpec
from migrations_app.steps.quality import Quality
from tests.corpus.facts import FACTS
from tests.corpus.measuring import measure_embedder
from tests.corpus.multilingual import SPEC, ensure_multilingual
from tests.fixtures_models import ensure_minilm

ENGLISH = EmbeddingSpec(dimension=384, max_tokens=256)


def run(console: Console) -> None:
    """Measure both and print a table in Markdown."""
    models = {
        "all-MiniLM-L6-v2": (ensure_minilm(), ENGLISH),
        "multilingual-e5-small": (ensure_multilingual(), SPEC),
    }
    found: dict[str, Quality] = {}
    for name, (path, spec) in models.items():
        with LlamaCppEngine.from_spec(EngineSpec(name, name, str(path), embedding=spec)) as engine:
            engine.load_model()
            found[name] = measure_embedder(engine, FACTS)
    heads = [f"{name}: {what}" for name in found for what in ("recall@5", "nDCG@10")]
    console.print(f"| script | facts | {' | '.join(heads)} |", soft_wrap=True)
    console.print(f"|---|---|{'---|' * len(heads)}", soft_wrap=True)
    first = next(iter(found.values()))
    for script in [*first["scripts"], "all"]:
        cells = [one["scripts"].get(script, one["whole"]) for one in found.values()]
        numbers = " | ".join(f"{cell['recall']:.2f} | {cell['ndcg']:.2f}" for cell in cells)
        console.print(f"| {script} | {cells[0]['asked']} | {numbers} |", soft_wrap=True)
