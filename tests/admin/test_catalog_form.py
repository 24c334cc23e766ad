"""The admin's form of entries whose model is elsewhere."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.test import Client

from engines.models import CatalogModel
from tests.api.roles import make_people

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
