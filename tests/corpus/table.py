"""The table of docs/quality.md: ``.venv/bin/python -m tests.corpus.table`` prints it.

Recall and nDCG by script, of an English and of a multilingual embedder, alone and in the search that people use.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import django
from rich.console import Console


def run(console: Console) -> None:
    """Measure both and print a table in Markdown."""
    # Only after setup.
    from engines.files.artifacts import ArtifactStore  # noqa: PLC0415
    from engines.runtimes.llama_cpp.engine import LlamaCppEngine  # noqa: PLC0415
    from engines.specs import EmbeddingSpec, EngineSpec  # noqa: PLC0415
    from migrations_app.steps.quality import Quality  # noqa: PLC0415
    from tests.corpus import measuring  # noqa: PLC0415
    from tests.corpus.facts import FACTS  # noqa: PLC0415
    from tests.corpus.multilingual import SPEC, ensure_multilingual  # noqa: PLC0415
    from tests.fixtures_models import ensure_minilm  # noqa: PLC0415

    english = EmbeddingSpec(dimension=measuring.DIMENSION, max_tokens=256)
    models = {
        "all-MiniLM-L6-v2": (ensure_minilm(), english),
        "multilingual-e5-small": (ensure_multilingual(), SPEC),
    }
    found: dict[str, Quality] = {}
    documents = [(f"{fact.script} {fact.number}", fact.text, "text/plain") for fact in FACTS]
    for name, (path, spec) in models.items():
        with (
            tempfile.TemporaryDirectory() as folder,
            LlamaCppEngine.from_spec(EngineSpec(name, name, str(path), embedding=spec)) as engine,
        ):
            engine.load_model()
            store = ArtifactStore(f"{folder}/store")
            found[name] = measuring.measure_embedder(engine, FACTS)
            base = measuring.make_corpus_base(name, engine, documents, store, Path(folder))
            found[f"{name} and words"] = measuring.measure_search(engine, base, FACTS, store)
    heads = [f"{name}: {what}" for name in found for what in ("recall@5", "nDCG@10")]
    console.print(f"| script | facts | {' | '.join(heads)} |", soft_wrap=True)
    console.print(f"|---|---|{'---|' * len(heads)}", soft_wrap=True)
    first = next(iter(found.values()))
    for script in [*first["scripts"], "all"]:
        cells = [one["scripts"].get(script, one["whole"]) for one in found.values()]
        numbers = " | ".join(f"{cell['recall']:.2f} | {cell['ndcg']:.2f}" for cell in cells)
        console.print(f"| {script} | {cells[0]['asked']} | {numbers} |", soft_wrap=True)


def main() -> None:
    """Run on servers of its own."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    django.setup()
    from django.conf import settings  # noqa: PLC0415 - only after setup
    from django.core.management import call_command  # noqa: PLC0415

    from samproject.supervisor.embedded import EmbeddedServices  # noqa: PLC0415

    with EmbeddedServices(settings.SAM_LOCATIONS):
        call_command("migrate", interactive=False, verbosity=0)
        run(Console(width=200))


if __name__ == "__main__":
    main()
