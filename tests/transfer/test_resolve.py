"""What is believed of a Hub's answer about a file, and what is not."""

from __future__ import annotations

import hashlib
import json
import urllib.request

import pytest

from deploy.demo.hub.faults import Fault
from engines.exceptions import (
    GatedRepositoryError,
    InvalidRequestError,
    NotFoundError,
    TransferError,
    TransientTransferError,
    UnsafeNameError,
)
from engines.transfer.hub import resolve_file
from engines.transfer.remote_file import MAX_FILE_BYTES
from tests.transfer.support import NAME, REPO, Scene


def test_a_resolved_file_is_pinned_to_its_commit(scene: Scene) -> None:
    remote = scene.resolve()

    assert (remote.repo, remote.filename, remote.size) == (REPO, NAME, len(scene.data))
    assert remote.sha256 == hashlib.sha256(scene.data).hexdigest()
    assert remote.etag == f'"{remote.sha256}"'
    assert remote.url == f"{scene.hub.endpoint}/{REPO}/resolve/{remote.commit}/{NAME}"


def test_the_commit_follows_from_the_content(scene: Scene) -> None:
    first = scene.resolve()
    scene.published.write_bytes(b"new")
    second = scene.resolve()

    assert first.commit != second.commit
    with pytest.raises(NotFoundError, match="has no revision"):
        resolve_file(REPO, NAME, revision=first.commit, endpoint=scene.hub.endpoint)


def test_a_file_in_a_folder_is_found(scene: Scene) -> None:
    nested = scene.published.parent / "q4" / "part 1.gguf"
    nested.parent.mkdir()
    nested.write_bytes(b"nested")

    remote = resolve_file(REPO, "q4/part 1.gguf", endpoint=scene.hub.endpoint)

    assert remote.sha256 == hashlib.sha256(b"nested").hexdigest()
    scene.fetch(remote)
    assert scene.destination.read_bytes() == b"nested"


def test_a_git_object_has_no_published_digest(scene: Scene) -> None:
    scene.hub.faults.add(Fault(method="HEAD", headers={"X-Linked-Etag": '"' + "a" * 40 + '"'}))

    assert scene.resolve().sha256 is None


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("X-Repo-Commit", None),
        ("X-Repo-Commit", "main"),
        ("X-Repo-Commit", "a" * 39),
        ("X-Repo-Commit", "A" * 40),
        ("X-Repo-Commit", "../" + "a" * 37),
        ("X-Linked-Etag", '"' + "a" * 63 + '"'),
        ("X-Linked-Etag", '"' + "A" * 64 + '"'),
        ("X-Linked-Etag", "null"),
        ("X-Linked-Size", "0"),
        ("X-Linked-Size", "-5"),
        ("X-Linked-Size", str(2**63)),
        ("X-Linked-Size", str(MAX_FILE_BYTES + 1)),
        ("X-Linked-Size", "many"),
        ("X-Linked-Size", "1_000"),
        ("X-Linked-Size", "9" * 5_000),
    ],
)
def test_an_answer_that_cannot_be_true_is_refused(
    scene: Scene, header: str, value: str | None
) -> None:
    scene.hub.faults.add(Fault(method="HEAD", headers={header: value}))

    with pytest.raises(TransferError, match="Check the Hub's address"):
        scene.resolve()


def test_an_answer_without_etag_is_refused(scene: Scene) -> None:
    gone: dict[str, str | None] = {"ETag": None, "X-Linked-Etag": None}
    scene.hub.faults.add(Fault(method="HEAD", headers=gone))

    with pytest.raises(TransferError, match=r"as SHA-256 of model\.gguf"):
        scene.resolve()


def test_another_commit_than_the_pinned_one_is_refused(scene: Scene) -> None:
    pinned = scene.resolve().commit
    scene.hub.faults.add(Fault(method="HEAD", headers={"X-Repo-Commit": "b" * 40}))

    with pytest.raises(TransferError, match=f"where {pinned} was asked"):
        resolve_file(REPO, NAME, revision=pinned, endpoint=scene.hub.endpoint)


@pytest.mark.parametrize(
    ("repo", "name", "revision", "sentence"),
    [
        ("demo/none", NAME, "main", "no repository demo/none"),
        (REPO, "other.gguf", "main", "no file other.gguf at main"),
        (REPO, NAME, "v9", "no revision v9"),
    ],
)
def test_what_does_not_exist_is_named(
    scene: Scene, repo: str, name: str, revision: str, sentence: str
) -> None:
    with pytest.raises(NotFoundError, match=sentence):
        resolve_file(repo, name, revision=revision, endpoint=scene.hub.endpoint)


@pytest.mark.parametrize("repo", ["", "a/b/c", "../x", "a--b", "-rf", "demo/engine.git", "a b"])
def test_a_repository_name_that_cannot_be_right_is_never_sent(scene: Scene, repo: str) -> None:
    with pytest.raises(InvalidRequestError, match="not a repository name"):
        resolve_file(repo, NAME, endpoint=scene.hub.endpoint)

    assert scene.hub.log == []


@pytest.mark.parametrize("revision", ["", "-rf", "../main", "a..b", "x" * 200, "a\nb"])
def test_a_revision_that_cannot_be_right_is_never_sent(scene: Scene, revision: str) -> None:
    with pytest.raises(InvalidRequestError, match="not a revision"):
        resolve_file(REPO, NAME, revision=revision, endpoint=scene.hub.endpoint)

    assert scene.hub.log == []


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../../b", "a\\..\\b", ".git/x", "a\0b"])
def test_a_file_name_that_leads_out_is_never_sent(scene: Scene, name: str) -> None:
    with pytest.raises(UnsafeNameError):
        resolve_file(REPO, name, endpoint=scene.hub.endpoint)

    assert scene.hub.log == []


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_hub_in_trouble_is_a_transient_error(scene: Scene, status: int) -> None:
    scene.hub.faults.add(Fault(method="HEAD", status=status))

    with pytest.raises(TransientTransferError, match=f"answered {status}"):
        scene.resolve()


def test_a_hub_that_is_away_is_a_transient_error() -> None:
    with pytest.raises(TransientTransferError, match="cannot be reached"):
        resolve_file(REPO, NAME, endpoint="http://127.0.0.1:1")


@pytest.mark.parametrize("endpoint", ["ftp://127.0.0.1", "127.0.0.1:80", "http://[::1"])
def test_an_address_that_is_none_is_refused(endpoint: str) -> None:
    with pytest.raises(InvalidRequestError, match="address is not valid"):
        resolve_file(REPO, NAME, endpoint=endpoint)


def test_a_gated_repository_says_what_to_do(scene: Scene) -> None:
    remote = scene.resolve()
    (scene.published.parent / ".gated").write_text("hf_right\n")

    for token in (None, "hf_wrong"):
        with pytest.raises(GatedRepositoryError, match=r"Accept its licence.*set HF_TOKEN"):
            scene.resolve(token=token)
        with pytest.raises(GatedRepositoryError, match=r"Accept its licence.*set HF_TOKEN"):
            scene.fetch(remote, token=token)

    assert scene.left_behind() == []
    scene.fetch(token="hf_right")
    assert scene.destination.read_bytes() == scene.data


def test_a_refusal_without_a_reason_may_be_a_firewalls(scene: Scene) -> None:
    remote = scene.resolve()
    reason = {"X-Error-Message": "Your token may not read this."}

    for headers in ({}, reason):
        scene.hub.faults.add(
            Fault("HEAD", status=403, headers=headers), Fault(status=403, headers=headers)
        )
        for ask in (scene.resolve, lambda: scene.fetch(remote)):
            with pytest.raises(GatedRepositoryError, match="Accept its licence") as caught:
                ask()
            assert ("firewall" in str(caught.value)) is (not headers)


def test_the_demo_hub_describes_a_repository_as_the_hub_does(scene: Scene) -> None:
    remote = scene.resolve()
    base = f"{scene.hub.endpoint}/api/models/{REPO}"
    with urllib.request.urlopen(f"{base}/revision/main") as answer:  # noqa: S310 - our own server
        model = json.load(answer)
    with urllib.request.urlopen(f"{base}/tree/{remote.commit}") as answer:  # noqa: S310
        tree = json.load(answer)

    assert (model["id"], model["sha"]) == (REPO, remote.commit)
    assert model["siblings"] == [{"rfilename": NAME}]
    assert tree[0]["path"] == NAME
    assert tree[0]["lfs"]["oid"] == remote.sha256


def test_a_repository_that_the_hub_disabled_is_not_called_gated(scene: Scene) -> None:
    message = {"X-Error-Message": "Access to this resource is disabled."}
    scene.hub.faults.add(Fault("HEAD", status=403, headers=message))

    with pytest.raises(TransferError, match="disabled demo/engine") as caught:
        scene.resolve()

    assert type(caught.value) is TransferError
