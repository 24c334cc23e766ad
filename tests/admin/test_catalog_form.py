"""The admin's form of entries whose model is elsewhere."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.test import Client

from engines.models import CatalogModel, EngineDefault, ModelRole
from tests.admin.test_admin import act
from tests.api.roles import make_model, make_people, use_engine

ADD = "/admin/engines/catalogmodel/add/"
SERVED: dict[str, Any] = {
    "model_id": "qwen-served",
    "display_name": "Qwen on a server",
    "model_family": "qwen",
    "role": "chat",
    "runtime": "openai",
    "endpoint": "http://gpu-9:8000/v1",
    "remote_name": "Qwen/Qwen3-32B",
    "wanted_revision": "main",
    "file_size": 0,
    "context_length": 32768,
    "passage_tokens": 0,
    "device": "auto",
    "gpu_layers": -1,
    "split_mode": "layer",
    "main_gpu": 0,
    "use_flash_attention": "on",
    "normalise": "on",
    "tags": "",
    "tensor_split": "",
}


def curator() -> Client:
    user = make_people().curator
    User.objects.filter(pk=user.pk).update(is_staff=True)
    client = Client()
    client.force_login(user)
    return client


def test_the_form_offers_the_known_runtimes_and_adds_a_served_model(db: None) -> None:
    client = curator()
    form = client.get(ADD).context["adminform"].form

    answer = client.post(ADD, SERVED)

    offered = {name for name, _ in form.fields["runtime"].choices}
    assert {"llama_cpp", "ollama", "openai", "transformers"} <= offered
    assert answer.status_code == 302, answer.context["adminform"].form.errors
    model = CatalogModel.objects.get()
    assert (model.source, model.tags, model.tensor_split) == ("server", [], [])


def test_the_form_refuses_what_does_not_go_together_by_field(db: None) -> None:
    client = curator()

    for change, field in (
        ({"runtime": "abacus"}, "runtime"),
        ({"runtime": "llama_cpp"}, "filename"),
        ({"endpoint": "http://ann:secret@gpu-9/v1"}, "endpoint"),
        ({"pooling": "rank"}, "pooling"),
    ):
        answer = client.post(ADD, {**SERVED, **change})
        assert field in answer.context["adminform"].form.errors

    assert not CatalogModel.objects.exists()


def form_of(client: Client, model: CatalogModel) -> dict[str, Any]:
    """What a browser sends back when nobody changed anything."""
    form = client.get(change_page(model)).context["adminform"].form
    shown = {name: form[name].value() for name in form.fields}
    sent = {name: "" if value is None else value for name, value in shown.items()}
    sent |= {name: "on" for name, value in shown.items() if value is True}
    return {name: value for name, value in sent.items() if value is not False}


def change_page(model: CatalogModel) -> str:
    return f"/admin/engines/catalogmodel/{model.pk}/change/"


def test_saving_an_embedder_untouched_keeps_each_blank_of_its_prefixes(db: None) -> None:
    client = curator()
    embedder = make_model("nomic", role=ModelRole.EMBEDDING)
    prefixes = {"query_prefix": "search:\n ", "document_prefix": "\nsearch_document: "}
    CatalogModel.objects.filter(pk=embedder.pk).update(**prefixes)
    use_engine(User.objects.get(username="alice"), make_model("l", embedding_model=embedder))
    sent = form_of(client, embedder)
    # A browser sends each line break as two characters.
    typed = {name: prefixes[name].replace("\n", "\r\n") for name in prefixes}

    answer = client.post(change_page(embedder), {**sent, **typed, "licence": "mit"})

    assert answer.status_code == 302, answer.context["adminform"].form.errors
    embedder.refresh_from_db()
    assert (embedder.query_prefix, embedder.document_prefix) == tuple(prefixes.values())
    assert embedder.licence == "mit"


def test_what_moves_vectors_in_use_is_confirmed_by_a_box_that_comes_with_the_numbers(
    db: None,
) -> None:
    client = curator()
    embedder = make_model("nomic", role=ModelRole.EMBEDDING)
    use_engine(User.objects.get(username="alice"), make_model("l", embedding_model=embedder))
    box = '<input type="checkbox" name="confirm"'
    assert box not in client.get(change_page(embedder)).content.decode()
    sent = {**form_of(client, embedder), "query_prefix": "search: "}

    asked = client.post(change_page(embedder), sent)

    assert list(asked.context["adminform"].form.errors) == ["confirm"]
    assert "1 person uses it. query_prefix decides" in asked.content.decode()
    assert box in asked.content.decode()
    embedder.refresh_from_db()
    assert embedder.query_prefix == ""
    assert client.post(change_page(embedder), {**sent, "confirm": "on"}).status_code == 302
    embedder.refresh_from_db()
    assert embedder.query_prefix == "search: "


def test_an_entry_in_use_is_not_renamed(db: None) -> None:
    client = curator()
    model = make_model("llama-8b")
    use_engine(User.objects.get(username="alice"), model)

    answer = client.post(
        change_page(model), {**form_of(client, model), "model_id": "llama-9b", "confirm": "on"}
    )

    assert list(answer.context["adminform"].form.errors) == ["model_id"]
    assert CatalogModel.objects.get().model_id == "llama-8b"


def test_a_default_engine_is_not_unpublished(db: None) -> None:
    client = curator()
    default, other = make_model("llama-8b"), make_model("qwen-4b")
    EngineDefault.objects.create(engine=default)

    said = act(client, "/admin/engines/catalogmodel/", "unpublish", [default, other])

    assert "llama-8b is a default engine; choose another default first." in said
    assert "1 model is now unpublished." in said
    assert list(CatalogModel.objects.filter(published=True)) == [default]


def test_the_form_of_defaults_asks_for_an_engine_that_can_answer(db: None) -> None:
    administrator = make_people().administrator
    User.objects.filter(pk=administrator.pk).update(is_staff=True)
    client = Client()
    client.force_login(administrator)
    page = "/admin/engines/enginedefault/add/"
    embedder = make_model("nomic", role=ModelRole.EMBEDDING)
    unfetched = make_model("llama-8b", hub_endpoint="http://127.0.0.1:9")
    unfetched.revisions.update(filename="another.gguf")

    for engine, sentence in ((embedder, "nomic only embeds"), (unfetched, "cannot be resolved")):
        answer = client.post(page, {"engine": engine.pk, "group": ""})
        assert sentence in str(answer.context["adminform"].form.errors["engine"])

    assert not EngineDefault.objects.exists()
    fine = make_model("qwen-4b")
    assert client.post(page, {"engine": fine.pk, "group": ""}).status_code == 302
    assert EngineDefault.objects.get().engine == fine
