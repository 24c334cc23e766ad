from __future__ import annotations

import pytest
from django.test import Client

from engines.models import CopyStatus, ModelCopy
from tests.admin.test_admin import act, curator, engines, operator, people
from tests.api.roles import Engines, make_unsafe_copy

__all__ = ["curator", "engines", "operator", "people"]

COPIES = "/admin/engines/modelcopy/"


@pytest.fixture
def unsafe(engines: Engines) -> ModelCopy:
    return make_unsafe_copy(engines)


def test_an_operator_clears_the_mark_of_an_unsafe_file(operator: Client, unsafe: ModelCopy) -> None:
    assert "It crashed." in operator.get(COPIES).content.decode()

    assert act(operator, COPIES, "clear_unsafe", [unsafe]) == "1 file cleared."

    unsafe.refresh_from_db()
    assert (unsafe.status, unsafe.error) == (CopyStatus.DOWNLOADED, "")
    assert "is not marked unsafe on gpu-1" in act(operator, COPIES, "clear_unsafe", [unsafe])


def test_a_curator_does_not_see_it(curator: Client, unsafe: ModelCopy) -> None:
    assert curator.get(COPIES).status_code == 403

    answer = curator.post(COPIES, {"action": "clear_unsafe", "_selected_action": [unsafe.pk]})

    assert answer.status_code == 403
    unsafe.refresh_from_db()
    assert unsafe.status == CopyStatus.UNSAFE
