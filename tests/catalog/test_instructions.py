"""What embedders' publishers ask for: known by name or architecture, proposed, never applied."""

from __future__ import annotations

import shlex
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from rest_framework.test import APIClient

from engines.models import CatalogModel, ModelRole
from engines.services.catalog.instructions import differing_instructions, find_instructions
from engines.services.catalog.starter.entries import starter_catalog
from engines.services.people.roles import CURATOR
from tests.api.roles import make_model
from tests.sam_command import run_sam

REPRESENT = "Represent this sentence for searching relevant passages: "
CODE = "Represent this query for searching relevant code: "
INSTRUCT = (
    "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery:"
)
QWEN = ["catalog", "add", "q", "--name", "Q", "--family", "qwen", "--role", "embedding"]
QWEN += ["--repo", "Qwen/Qwen3-Embedding-0.6B-GGUF", "--file", "Qwen3-Embedding-0.6B-Q8_0.gguf"]


@pytest.mark.parametrize(
    ("name", "architecture", "query", "document"),
    [
        ("ChristianAzinn/e5-base-v2-gguf", "bert", "query: ", "passage: "),
        ("x/multilingual-e5-large-GGUF", "", "query: ", "passage: "),
        ("x/multilingual-e5-large-instruct-GGUF", "", f"{INSTRUCT} ", ""),
        ("second-state/E5-Mistral-7B-Instruct-Embedding-GGUF", "llama", f"{INSTRUCT} ", ""),
        ("CompendiumLabs/bge-small-en-v1.5-gguf", "bert", REPRESENT, ""),
        ("x/bge-large-zh-v1.5-gguf", "", "为这个句子生成表示以用于检索相关文章：", ""),
        ("gpustack/bge-m3-GGUF", "bert", "", ""),
        ("nomic-ai/nomic-embed-text-v1.5-GGUF", "", "search_query: ", "search_document: "),
        ("nomic-ai/nomic-embed-text-v2-moe-GGUF", "", "search_query: ", "search_document: "),
        ("x/gte-Qwen2-1.5B-instruct-Q4_K_M-GGUF", "qwen2", f"{INSTRUCT} ", ""),
        ("x/gte_large_gguf", "bert", "", ""),
        ("Qwen/Qwen3-Embedding-4B-GGUF", "qwen3", INSTRUCT, ""),
        (
            "unsloth/embeddinggemma-300m-GGUF",
            "gemma-embedding",
            "task: search result | query: ",
            "title: none | text: ",
        ),
        ("x/snowflake-arctic-embed-m-v1.5-GGUF", "bert", REPRESENT, ""),
        ("x/snowflake-arctic-embed-l-v2.0-GGUF", "", "query: ", ""),
        ("gaianet/jina-embeddings-v2-base-de-GGUF", "", "", ""),
        (
            "x/jina-embeddings-v3-GGUF",
            "",
            "Represent the query for retrieving evidence documents: ",
            "Represent the document for retrieval: ",
        ),
        ("jinaai/jina-embeddings-v5-text-nano-retrieval", "eurobert", "Query: ", "Document: "),
        ("mixedbread-ai/mxbai-embed-large-v1", "", REPRESENT, ""),
        ("MongoDB/mdbr-leaf-ir", "bert", REPRESENT, ""),
        # Of Nomic's architecture, with an instruction of its own.
        ("x/CodeRankEmbed-Q8_0.gguf", "nomic-bert", CODE, ""),
        ("x/USER2-base-GGUF", "modern-bert", "search_query: ", "search_document: "),
        ("x/ruri-v3-310m-gguf", "modern-bert", "検索クエリ: ", "検索文書: "),
        ("x/llama-nemotron-embed-1b-v2-GGUF", "llama-embed", "query: ", "passage: "),
        ("x/paraphrase-MiniLM-L6-v2-gguf", "bert", "", ""),
        ("x/LaBSE-Q8_0.gguf", "bert", "", ""),
        ("x/Linq-Embed-Mistral-GGUF", "llama", f"{INSTRUCT} ", ""),
        ("x/inf-retriever-v1-1.5b-GGUF", "qwen2", f"{INSTRUCT} ", ""),
        # Named by nobody, known by what the file is.
        ("x/my-model", "nomic-bert", "search_query: ", "search_document: "),
        ("", "jina-bert-v2", "", ""),
    ],
)
def test_families_are_known_by_name_or_architecture(
    name: str, architecture: str, query: str, document: str
) -> None:
    found = find_instructions([name], architecture)

    assert found is not None
    assert (found.query_prefix, found.document_prefix) == (query, document)
    assert "/" in found.card


@pytest.mark.parametrize(
    ("name", "architecture"),
    [
        ("Qwen/Qwen3-4B-GGUF", "qwen3"),
        ("x/phi3-e5-large", "phi3"),
        ("x/some-bge3-large-en", "bert"),
        ("x/bge-en-icl", "llama"),
        ("x/gte-largest", "bert"),
        ("", ""),
    ],
)
def test_what_is_not_known_gets_no_proposal(name: str, architecture: str) -> None:
    assert find_instructions([name], architecture) is None


def test_the_starter_catalogs_embedders_carry_theirs(db: None) -> None:
    embedders = [m for m in starter_catalog()["models"] if m["role"] == ModelRole.EMBEDDING]
    prefixes = {m["model_id"]: (m["query_prefix"], m["document_prefix"]) for m in embedders}

    run_sam("catalog", "starter")

    assert prefixes["qwen3-embedding-4b"] == (INSTRUCT, "")
    assert prefixes["embeddinggemma-300m"][1] == "title: none | text: "
    assert prefixes["granite-embedding-125m-english"] == ("", "")
    written = CatalogModel.objects.filter(role=ModelRole.EMBEDDING)
    assert [m.model_id for m in written if differing_instructions(m) is not None] == []
    assert len(written) == len(embedders)


def test_a_proposal_is_told_and_taken_by_the_command_it_comes_with(db: None) -> None:
    said = run_sam(*QWEN)
    added = CatalogModel.objects.get(model_id="q")
    assert (added.query_prefix, added.document_prefix) == ("", "")
    assert "the card of Qwen/Qwen3-Embedding-0.6B asks for other instructions" in said

    command = next(line for line in said.splitlines() if "sam catalog add" in line)
    again = run_sam(*shlex.split(command.partition("To take them: sam ")[2]))

    added.refresh_from_db()
    assert (added.query_prefix, added.document_prefix) == (INSTRUCT, "")
    assert "asks for" not in again


def test_line_breaks_and_backslashes_are_typed_in_one_line(db: None) -> None:
    run_sam(*QWEN, "--query-prefix", r"Task\n\tC:\\new ", "--document-prefix", "a\nb")

    added = CatalogModel.objects.get(model_id="q")
    assert (added.query_prefix, added.document_prefix) == ("Task\n\tC:\\new ", "a\nb")


@pytest.fixture
def curator(db: None) -> User:
    person = User.objects.create_user("carol", password="only-for-tests", is_staff=True)
    person.groups.add(Group.objects.get_or_create(name=CURATOR)[0])
    return person


def test_the_api_answers_with_the_proposal_and_leaves_the_fields_alone(curator: User) -> None:
    client = APIClient()
    client.force_authenticate(curator)
    entry: dict[str, Any] = {
        "model_id": "e5",
        "display_name": "E5",
        "model_family": "e5",
        "role": "embedding",
        "huggingface_repo": "intfloat/e5-small-v2",
        "filename": "e5-small-v2.gguf",
        "query_prefix": "frage:\n",
    }

    answer = client.post("/api/v1/catalog", entry, format="json").json()

    assert (answer["query_prefix"], answer["document_prefix"]) == ("frage:\n", "")
    assert answer["proposed_instructions"] == {
        "query_prefix": "query: ",
        "document_prefix": "passage: ",
        "card": "intfloat/e5-large-v2",
    }
    make_model("chat")
    assert client.get("/api/v1/catalog/chat").json()["proposed_instructions"] is None


def test_the_admins_form_proposes_to_a_new_entry_and_only_tells_an_old_one(curator: User) -> None:
    client = Client()
    client.force_login(curator)
    place = "huggingface_repo=Qwen/Qwen3-Embedding-4B-GGUF&filename=q.gguf&runtime=llama_cpp"
    new = client.get(f"/admin/engines/catalogmodel/add/?{place}").context["adminform"].form
    assert (new["role"].value(), new["query_prefix"].value()) == ("embedding", INSTRUCT)
    assert "Qwen/Qwen3-Embedding-0.6B" in new.fields["query_prefix"].help_text

    old = make_model("nomic-embed-text-v1.5", role=ModelRole.EMBEDDING, query_prefix="ask: ")
    page = f"/admin/engines/catalogmodel/{old.pk}/change/"
    form = client.get(page).context["adminform"].form
    assert form["query_prefix"].value() == "ask: "
    assert "“search_query: ”" in form.fields["query_prefix"].help_text
    values = {name: form[name].value() for name in form.fields}
    sent = {name: "" if value is None else value for name, value in values.items()}
    saved = client.post(page, {**sent, "licence": "mit"}, follow=True)
    assert "This entry has others" in saved.content.decode()
    old.refresh_from_db()
    assert (old.query_prefix, old.licence) == ("ask: ", "mit")
