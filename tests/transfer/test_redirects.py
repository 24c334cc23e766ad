"""Redirects are followed with care, and the token stays with the Hub."""

from __future__ import annotations

import httpx2
import pytest

from deploy.demo.hub.faults import Fault
from engines.exceptions import TransferError
from engines.transfer.redirects import next_hop, same_origin
from tests.transfer.support import Scene


def test_the_token_reaches_the_hub_but_not_the_storage(scene: Scene) -> None:
    scene.hub.faults.add(Fault(redirect="{elsewhere}"), Fault(redirect=""))

    scene.fetch(token="hf_secret")

    sent = [(entry.origin, entry.had_authorization) for entry in scene.hub.log]
    assert sent == [("hub", True), ("hub", True), ("elsewhere", False)]
    assert scene.destination.read_bytes() == scene.data


def test_the_metadata_request_keeps_its_token_at_home(scene: Scene) -> None:
    remote = scene.resolve()
    facts: dict[str, str | None] = {
        "X-Repo-Commit": remote.commit,
        "X-Linked-Etag": remote.etag,
        "X-Linked-Size": str(remote.size),
    }
    scene.hub.faults.add(Fault(method="HEAD", redirect="{elsewhere}", headers=facts))

    assert scene.resolve(token="hf_secret") == remote
    assert [entry.origin for entry in scene.hub.log] == ["hub", "hub"]


def test_a_renamed_repository_is_followed_inside_the_hub(scene: Scene) -> None:
    scene.hub.faults.add(Fault(method="HEAD", redirect="{here}"))

    remote = scene.resolve(token="hf_secret")

    assert remote.size == len(scene.data)
    assert [entry.had_authorization for entry in scene.hub.log] == [True, True]


def test_a_resumed_download_asks_the_hub_again_for_its_storage(scene: Scene) -> None:
    scene.hub.faults.add(
        Fault(redirect="{elsewhere}"), Fault(cut_after=100_000), Fault(redirect="{elsewhere}")
    )

    result = scene.fetch(token="hf_secret")

    assert [entry.origin for entry in scene.gets()] == ["hub", "elsewhere"] * 2
    assert scene.gets()[3].range == "bytes=100000-"
    assert result.bytes_fetched == len(scene.data)
    assert not any(e.had_authorization for e in scene.hub.log if e.origin == "elsewhere")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_redirect_loop_ends(scene: Scene, method: str) -> None:
    remote = scene.resolve()
    scene.hub.faults.add(
        Fault(redirect="{here}", times=0), Fault(method="HEAD", redirect="{here}", times=0)
    )

    with pytest.raises(TransferError, match="redirects more than 5 times"):
        _ = scene.fetch(remote) if method == "GET" else scene.resolve()

    assert len(scene.hub.log) == 7
    assert not scene.destination.exists()


@pytest.mark.parametrize(
    "target",
    [
        "file:///etc/passwd",
        "ftp://127.0.0.1/x",
        "http://169.254.169.254/latest/meta-data",
        "http://[::ffff:169.254.169.254]/x",
        "http://[fe80::1]/x",
        "http://0.0.0.0/x",
        "http://[::1",
    ],
)
def test_a_redirect_to_a_forbidden_place_is_refused(scene: Scene, target: str) -> None:
    scene.hub.faults.add(Fault(redirect=target))

    with pytest.raises(TransferError, match="SAM does not follow"):
        scene.fetch()

    assert len(scene.gets()) == 1
    assert not scene.destination.exists()


@pytest.mark.parametrize(
    ("home", "target"),
    [
        ("https://93.184.216.34/a", "http://93.184.216.35/b"),
        ("https://93.184.216.34/a", "https://10.1.2.3/b"),
        ("https://93.184.216.34/a", "https://[fd00::1]/b"),
        ("https://93.184.216.34/a", "https://[::ffff:192.168.0.1]/b"),
    ],
)
def test_a_public_hub_never_leads_inside_or_out_of_encryption(home: str, target: str) -> None:
    with pytest.raises(TransferError, match="SAM does not follow"):
        next_hop(httpx2.URL(home), target)


def test_a_signed_address_is_not_repeated_in_the_error() -> None:
    home = httpx2.URL("https://93.184.216.34/a")

    with pytest.raises(TransferError) as caught:
        next_hop(home, "http://93.184.216.35/b?signature=secret")

    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("https://hub.example/a", "https://hub.example:443/b", True),
        ("https://hub.example/a", "https://HUB.example/b", True),
        ("https://hub.example", "http://hub.example", False),
        ("https://hub.example", "https://cdn.hub.example", False),
        ("https://hub.example", "https://hub.example:8443", False),
        ("https://hub.example", "https://hub.example@evil.example", False),
    ],
)
def test_an_origin_is_scheme_host_and_port(first: str, second: str, *, same: bool) -> None:
    assert same_origin(httpx2.URL(first), httpx2.URL(second)) is same


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_refusal_behind_the_hub_is_not_the_hubs(scene: Scene, status: int) -> None:
    scene.hub.faults.add(Fault(redirect="{elsewhere}"), Fault(status=status))

    with pytest.raises(TransferError, match=f"127.0.0.1 answered {status}.*firewall") as caught:
        scene.fetch(token="hf_secret")

    assert type(caught.value) is TransferError
    assert scene.fetch().bytes_fetched == len(scene.data)
