"""``sam generate|stream|embed|fit|recommend``: what they write, and that they need no database."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from pytest_django.fixtures import Settings

from deploy.demo.hub.server import HubServer
from engines.fit.memory import CACHE_TYPES
from engines.model_manager import DEFAULT_CONTEXT, DOMAINS
from engines.models import Host
from engines.runtime_names import list_model_types
from engines.runtimes.registry import EngineRegistry
from samproject.cli.completion import complete_model_types, complete_runtimes
from samproject.cli.errors import CommandError
from samproject.cli.trying import options
from tests.api.roles import GIB, Engines
from tests.commands.elsewhere import PATIENCE, Machine
from tests.fit.shapes import QWEN3_8B, Dense
from tests.gguf.sparse import write_sparse
from tests.sam_command import run_sam

GREEDY = ("--max-tokens", "6", "--temperature", "0", "--context", "256", "--threads", "1")
SMALL = Dense("llama", 2, 256, 512, 4, 2, 1000, head=64, context=4096)


@pytest.fixture(autouse=True)
def models_folder(tmp_path: Path, settings: Settings) -> Path:
    settings.SAM_MODELS_DIR = tmp_path / "models"
    return tmp_path / "models"


def test_a_stream_ends_as_the_whole_answer(tiny_llama: Path) -> None:
    whole = run_sam("generate", "The sea", "--model", str(tiny_llama), *GREEDY)

    assert len(whole) > 1
    assert run_sam("stream", "The sea", "--model", str(tiny_llama), *GREEDY) == whole


def test_ctrl_c_ends_a_stream_without_a_trace(tiny_llama: Path, tmp_path: Path) -> None:
    machine = Machine(tmp_path, {"SAM_DATA_DIR": str(tmp_path / "data")})
    running = machine.start(
        "stream", "The sea", "--model", str(tiny_llama), "--max-tokens", "100000",
        "--context", "2048", "--threads", "1",
    )  # fmt: skip
    assert running.stdout is not None
    begun = running.stdout.read(1)
    running.send_signal(signal.SIGINT)
    _, told = running.communicate(timeout=PATIENCE)

    assert (bool(begun), running.returncode) == (True, 130), told
    assert "Traceback" not in told


def test_a_prompt_may_come_from_the_standard_input(tiny_llama: Path) -> None:
    given = run_sam("generate", "The sea", "--model", str(tiny_llama), *GREEDY)
    arguments = ("generate", "-", "--model", str(tiny_llama), *GREEDY)

    assert run_sam(*arguments, answers="The sea") == given
    assert json.loads(run_sam(*arguments, "--json", answers="The sea"))["text"] == given[:-1]
    pieces = run_sam("stream", *arguments[1:], "--json", answers="The sea").splitlines()
    assert "".join(json.loads(piece)["text"] for piece in pieces) == given[:-1]


def test_vectors_come_one_a_line(tiny_llama: Path, minilm: Path) -> None:
    written = run_sam(
        "embed", "A cat.", "A cat.", "Shares fell.", "--model", str(tiny_llama),
        "--embedder", str(minilm), "--threads", "1",
    )  # fmt: skip

    as_list = run_sam("embed", "A cat.", "--model", str(minilm), "--threads", "1", "--json")

    assert json.loads(as_list) == [json.loads(written.splitlines()[0])]
    first, second, third = (json.loads(line) for line in written.splitlines())
    assert len(first) == 384
    assert np.dot(first, second) > 0.9999 > np.dot(first, third)


def test_a_file_that_only_embeds_needs_no_other_to_embed(tiny_llama: Path, minilm: Path) -> None:
    texts = ("A cat.", "Shares fell.")

    by_itself = run_sam("embed", *texts, "--model", str(minilm), "--threads", "1")

    named = ("--model", str(tiny_llama), "--embedder", str(minilm), "--threads", "1")
    assert by_itself == run_sam("embed", *texts, *named)
    assert len(json.loads(by_itself.splitlines()[0])) == 384


@pytest.mark.parametrize("command", ["generate", "stream"])
def test_a_file_of_the_wrong_kind_is_refused_with_what_to_do(
    command: str, minilm: Path, tiny_lora: Path, tmp_path: Path
) -> None:
    text = tmp_path / "notes.gguf"
    text.write_text("No model at all.")

    for file, reason in (
        (minilm, "only embeds text; choose a chat model to generate, or `sam embed`"),
        (tiny_lora, "is an adapter, not a model; choose the base model"),
        (text, "does not begin with GGUF.*choose another file"),
        (tmp_path, "is a folder.*--type huggingface"),
    ):
        with pytest.raises(CommandError, match=reason):
            run_sam(command, "x", "--model", str(file), *GREEDY)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("generate", "x", "--model", "nothing.gguf"), "no model file"),
        (("generate", "x"), "Name a model_id or a model_size"),
        (("stream", "x", "--size", "qwen3_giant"), "no size"),
        (("generate", "x", "--type", "abacus"), "no type 'abacus'; there are gguf, .*, vllm"),
        (("generate", "x", "--type", "vllm", "--model", "."), "no vllm at /no/vllm.*SAM_VLLM"),
        (("embed", "x", "--type", "llama_server", "--size", "qwen3_small"), "sam download start"),
        (("embed", "x", "--size", "qwen3_small"), "sam download start qwen3-0.6b"),
        (("fit", "nothing.gguf"), "no model file"),
        (("fit", "qwen3-8b", "--context", "0"), "context length"),
        (("fit", "hf:owner"), "organisation/name"),
    ],
)
def test_what_cannot_be_done_is_a_sentence(
    arguments: tuple[str, ...], reason: str, settings: Settings
) -> None:
    settings.SAM_VLLM = "/no/vllm"
    with pytest.raises(CommandError, match=reason):
        run_sam(*arguments)


def test_a_file_is_judged_for_this_machine(tmp_path: Path) -> None:
    path = SMALL.write(tmp_path)

    written = run_sam("fit", str(path), "--context", "1024")
    answer = json.loads(run_sam("fit", str(path), "--context", "1024", "--json"))
    assert "fits" in written
    assert "The longest context that fits has 4096 tokens." in written
    assert answer["fit"]["needs"]["kv_cache"] == 2 * 1024 * 2 * 2 * 64 * 2
    assert answer["load"]["context_length"] == 1024


def test_a_file_at_the_hub_is_judged_without_its_weights(
    tmp_path: Path, settings: Settings, models_folder: Path
) -> None:
    folder = tmp_path / "hub" / "org" / "name"
    folder.mkdir(parents=True)
    model = Dense("llama", 4, 1024, 4096, 8, 8, 1000)
    tensors = model.ends()
    for layer in range(model.layers):
        tensors |= model.attention(layer) | model.dense_part(layer)
    path = write_sparse(folder / "big.gguf", model.metadata(), tensors)
    with HubServer(tmp_path / "hub") as hub:
        settings.HF_ENDPOINT = hub.endpoint
        answer = json.loads(run_sam("fit", "hf:org/name/big.gguf", "--json"))
        fetched = sum(entry.bytes_sent for entry in hub.log if entry.method == "GET")

    assert answer["fit"]["needs"]["weights"] > 100 * 1024**2 > 50 * fetched
    assert path.stat().st_size > 100 * 1024**2
    assert list(models_folder.iterdir()) == []


@pytest.mark.django_db
def test_a_model_that_does_not_fit_a_host_ends_with_an_error() -> None:
    Host.objects.create(name="small-1", memory_bytes=4 * GIB)

    with pytest.raises(CommandError, match="does not fit"):
        run_sam("fit", "qwen3-8b", "--host", "small-1")
    with pytest.raises(CommandError, match="no host 'none'"):
        run_sam("fit", "qwen3-8b", "--host", "none")


@pytest.mark.django_db
def test_a_catalog_entry_is_judged_by_its_name(
    engines: Engines, tmp_path: Path, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    engines.new.current_revision = None
    engines.new.save()
    with HubServer(_hub_folder(tmp_path)) as hub:
        settings.HF_ENDPOINT = hub.endpoint
        answer = json.loads(run_sam("fit", "qwen-4b", "--host", "gpu-1", "--json"))
        table = run_sam("recommend", "--catalog", "--host", "gpu-1")

    assert answer["longest_context"] == 4096
    assert "qwen-4b" in table
    assert "llama-8b: its file could not be read at the Hub." in capsys.readouterr().err


def _hub_folder(folder: Path) -> Path:
    target = folder / "hub" / "org" / "qwen-4b"
    target.mkdir(parents=True)
    SMALL.write(target).rename(target / "qwen-4b.gguf")
    return folder / "hub"


@pytest.mark.django_db
def test_recommendations_say_why_not() -> None:
    Host.objects.create(name="laptop", cores=4, memory_bytes=16 * GIB)

    table = run_sam("recommend", "--host", "laptop")
    answer = json.loads(run_sam("recommend", "--host", "laptop", "--json"))
    assert table.startswith("4 cores, 16.0 GiB of memory, no GPU.")
    assert "It needs 20.8 GiB and this host has 14.4 GiB of memory" in table
    assert [m["model_id"] for m in answer["models"] if m["recommended"]] == [
        "qwen3-4b",
        "qwen3-1.7b",
        "qwen3-0.6b",
    ]


def test_tiers_are_shown() -> None:
    table = run_sam("recommend", "--tiers")

    assert "GPU with 24 GB" in table
    assert "qwen3-32b" in table
    assert "qwen3-32b" in json.loads(run_sam("recommend", "--tiers", "--json"))["GPU with 24 GB"]


def test_help_and_completion_offer_what_there_is() -> None:
    types = sorted({*EngineRegistry().runtimes, "gguf", "huggingface"})
    for name in ("generate", "stream", "embed"):
        assert f"--type [{'|'.join(types)}]" in run_sam(name, "--help")
    assert list_model_types() == complete_model_types("") == types
    assert complete_runtimes("") == EngineRegistry().runtimes
    offered = " ".join(run_sam("catalog", "add", "--help").split())
    assert all(name in offered for name in EngineRegistry().runtimes)
    assert {*get_args(options.DomainName), ""} == set(DOMAINS)
    assert (get_args(options.CacheName), options.CONTEXT) == (CACHE_TYPES, DEFAULT_CONTEXT)
    shown = run_sam("--help")
    for name in ("embed", "generate", "stream", "fit", "recommend", "move"):
        assert f"\n  {name} " in shown
        assert "--settings" not in run_sam(name, "--help")
    assert "--user" not in run_sam("generate", "--help")


@pytest.fixture
def without_database(tmp_path: Path) -> dict[str, str]:
    """An environment whose data folder is empty: no server was ever started there."""
    kept = {name: value for name, value in os.environ.items() if not name.endswith("_URL")}
    return {
        **kept,
        "SAM_DATA_DIR": str(tmp_path / "data"),
        "DJANGO_SETTINGS_MODULE": "samproject.settings",
    }


def test_the_command_line_judges_a_model_without_a_database(
    tmp_path: Path, without_database: dict[str, str]
) -> None:
    path = QWEN3_8B.write(tmp_path)
    program = "import sys; from samproject.command_line import main; sys.argv[0] = 'sam'; main()"

    done = subprocess.run(
        [sys.executable, "-c", program, "fit", str(path), "--context", "512", "--json"],
        env=without_database, capture_output=True, text=True, check=False,
    )  # fmt: skip
    answer = json.loads(done.stdout)
    assert answer["fit"]["needs"]["kv_cache"] == 36 * 512 * 2 * 8 * 128 * 2
    assert done.returncode == (0 if answer["fit"]["fits"] else 1)
