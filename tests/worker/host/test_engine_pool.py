from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from engines.exceptions import (
    AdapterCrashed,
    ArtifactMissingError,
    EngineError,
    LoadCrashed,
    UnsafeModelFileError,
)
from engines.fit.engine_need import Need
from engines.specs import AdapterSpec, EmbeddingSpec, EngineSpec
from tests.worker.counted_engine import CountedEngine, make_pool, spec, use
from tests.worker.processes import PATIENCE, wait_until
from worker.host import engine_pool
from worker.host.engine_pool import EnginePool


@pytest.fixture
def pool(log: list[str]) -> EnginePool:
    return make_pool(log, lambda _, size: Need(size))


def test_an_engine_is_loaded_once_and_kept(
    pool: EnginePool, log: list[str], tmp_path: Path
) -> None:
    for _ in range(3):
        use(pool, spec(tmp_path, "a"))

    assert log == ["+a"]


def test_many_threads_that_ask_at_once_share_one_engine(
    pool: EnginePool, log: list[str], tmp_path: Path
) -> None:
    wanted = spec(tmp_path, "a")
    threads = [threading.Thread(target=use, args=(pool, wanted)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert log == ["+a"]


def test_the_longest_unused_engine_makes_room(
    pool: EnginePool, log: list[str], tmp_path: Path
) -> None:
    a, b, c = (spec(tmp_path, name) for name in "abc")
    for wanted in (a, b, a, c):
        use(pool, wanted)

    assert log == ["+a", "+b", "-b", "+c"]


def test_an_engine_in_use_is_never_ended_a_request_waits_for_it(
    pool: EnginePool, log: list[str], tmp_path: Path
) -> None:
    a, large = spec(tmp_path, "a"), spec(tmp_path, "large", size=90)
    waiting = threading.Thread(target=use, args=(pool, large))
    with pool.acquire(a):
        waiting.start()
        waiting.join(0.3)
        assert (log, waiting.is_alive()) == (["+a"], True)
    waiting.join()

    assert log == ["+a", "-a", "+large"]


def test_who_waits_for_room_is_asked_and_may_give_up(
    pool: EnginePool, log: list[str], tmp_path: Path
) -> None:
    a, large = spec(tmp_path, "a"), spec(tmp_path, "large", size=90)
    asked: list[int] = []

    def give_up() -> None:
        asked.append(len(log))
        if len(asked) == 3:
            raise TimeoutError

    with pool.acquire(a):
        with pytest.raises(TimeoutError), pool.acquire(large, give_up):
            pytest.fail("there was no room")
        use(pool, a)
    assert (asked, log) == ([1, 1, 1], ["+a"])

    use(pool, large)
    assert log == ["+a", "-a", "+large"]


def test_a_model_larger_than_the_host_is_refused_with_both_numbers(
    pool: EnginePool, log: list[str], tmp_path: Path
) -> None:
    with (
        pytest.raises(EngineError, match=r"giant needs .* GiB and this host lends engines"),
        pool.acquire(spec(tmp_path, "giant", size=101)),
    ):
        pass

    assert log == []


def test_a_file_that_is_not_there_is_said_and_nothing_is_loaded(
    pool: EnginePool, log: list[str], tmp_path: Path
) -> None:
    gone = EngineSpec("a", "a", str(tmp_path / "gone.gguf"))

    with pytest.raises(ArtifactMissingError, match="download it again"), pool.acquire(gone):
        pass

    assert (log, pool.describe()) == ([], [])


def test_an_engine_that_does_not_load_is_forgotten(pool: EnginePool, tmp_path: Path) -> None:
    with (
        pytest.raises(EngineError, match="cannot be loaded"),
        pool.acquire(spec(tmp_path, "broken")),
    ):
        pass

    assert pool.describe() == []


class CountingLock:
    """A lock that knows how many have asked for it."""

    def __init__(self) -> None:
        self.asked = 0
        self._lock, self._counting = threading.Lock(), threading.Lock()

    def __enter__(self) -> None:
        with self._counting:
            self.asked += 1
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


@pytest.mark.parametrize("name", ["broken", "crashing"])
def test_those_who_wait_while_an_engine_fails_to_load_share_its_failure(
    pool: EnginePool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    tries: list[str] = []
    all_wait = threading.Event()
    load = CountedEngine.load_model

    def slow_load(engine: CountedEngine) -> bool:
        tries.append(engine.engine_id)
        all_wait.wait(PATIENCE)
        return load(engine)

    monkeypatch.setattr(CountedEngine, "load_model", slow_load)
    loading: Any = CountingLock()
    monkeypatch.setattr(engine_pool, "_Entry", partial(engine_pool._Entry, loading=loading))
    wanted = spec(tmp_path, name)
    with ThreadPoolExecutor(8) as threads:
        calls = [threads.submit(use, pool, wanted) for _ in range(8)]
        wait_until(lambda: loading.asked == 8, "all to wait for the first one's attempt")
        all_wait.set()
        errors = [type(call.exception()) for call in calls]

    assert tries == [name]
    assert len(set(errors)) == 1
    assert issubclass(errors[0], EngineError)
    with pytest.raises(EngineError):
        use(pool, wanted)
    assert tries == [name, name]


def test_embedding_and_chatting_with_one_file_are_two_engines(
    pool: EnginePool, log: list[str], tmp_path: Path
) -> None:
    use(pool, spec(tmp_path, "a"))
    use(pool, spec(tmp_path, "a", embedding=EmbeddingSpec(dimension=2, max_tokens=8)))

    assert log == ["+a", "+a"]


def test_a_file_that_was_replaced_is_loaded_anew(
    pool: EnginePool, log: list[str], tmp_path: Path
) -> None:
    wanted = spec(tmp_path, "a")
    use(pool, wanted)
    os.utime(wanted.model_path, (1, 1))
    use(pool, wanted)

    assert log == ["+a", "+a"]


def test_unloading_ends_idle_engines_at_once_and_those_in_use_after_their_last_user(
    pool: EnginePool, log: list[str], tmp_path: Path
) -> None:
    a, b = spec(tmp_path, "a"), spec(tmp_path, "b")
    use(pool, a)
    with pool.acquire(b):
        assert (pool.unload(a.model_path), pool.unload(b.model_path)) == (1, 1)
        assert log == ["+a", "+b", "-a"]

    assert log == ["+a", "+b", "-a", "-b"]


def test_only_engines_nobody_used_lately_are_ended_as_idle(
    pool: EnginePool, log: list[str], tmp_path: Path
) -> None:
    use(pool, spec(tmp_path, "a"))

    assert (pool.unload_idle(3600), pool.unload_idle(-1)) == (0, 1)
    assert log == ["+a", "-a"]


def test_a_file_that_crashes_its_engine_is_told_to_be_unsafe(
    pool: EnginePool, log: list[str], tmp_path: Path
) -> None:
    with pytest.raises(LoadCrashed):
        use(pool, spec(tmp_path, "crashing"))

    assert log == ["!crashing", "unsafe crashing.gguf: It crashed."]
    assert pool.describe() == []


def test_a_crash_with_adapters_blames_no_model_and_is_not_repeated(
    pool: EnginePool, log: list[str], tmp_path: Path
) -> None:
    theirs, ours = AdapterSpec("/crashing.gguf"), AdapterSpec("/sound.gguf")
    with pytest.raises(AdapterCrashed):
        use(pool, spec(tmp_path, "a", adapters=(theirs,)))
    with pytest.raises(UnsafeModelFileError, match=r"^a crashed with these adapters"):
        use(pool, spec(tmp_path, "a", adapters=(theirs,)))
    use(pool, spec(tmp_path, "a", adapters=(ours,)))

    assert log == ["+a", "a+['crashing']", "a+['sound']"]


def test_people_with_adapters_of_their_own_share_one_engine(
    pool: EnginePool, log: list[str], tmp_path: Path
) -> None:
    for name in ("one", "two"):
        use(pool, spec(tmp_path, "a", adapters=(AdapterSpec(f"/{name}.gguf"),)))
    use(pool, spec(tmp_path, "a"))

    assert log == ["+a", "a+['one']", "a+['two']"]
    assert len(pool.describe()) == 1


def test_a_model_that_crashes_is_unsafe_whoever_asks_with_which_adapters(
    pool: EnginePool, log: list[str], tmp_path: Path
) -> None:
    with pytest.raises(LoadCrashed):
        use(pool, spec(tmp_path, "crashing", adapters=(AdapterSpec("/sound.gguf"),)))

    assert log == ["!crashing", "unsafe crashing.gguf: It crashed."]


def test_an_engine_on_a_gpu_takes_little_memory_and_makes_room_on_the_gpu(
    log: list[str], tmp_path: Path
) -> None:
    on_gpu = {"a": Need(30, 60, 90), "b": Need(30, 60, 90), "c": Need(60)}
    pool = make_pool(log, lambda spec, _: on_gpu[spec.engine_id], vram=100)
    CountedEngine.gpus = ["CUDA0"]
    try:
        for name in "abc":
            use(pool, spec(tmp_path, name))
    finally:
        CountedEngine.gpus = []

    assert log == ["+a", "-a", "+b", "+c"]


def test_an_engine_that_finds_no_gpu_counts_where_it_is(log: list[str], tmp_path: Path) -> None:
    needs = {"a": Need(10, 80, 110), "far": Need(0), "b": Need(20)}
    pool = make_pool(log, lambda spec, _: needs[spec.engine_id], vram=100)
    for name in ("a", "far", "b"):
        use(pool, spec(tmp_path, name))

    assert log == ["+a", "+far", "-a", "+b"]


def test_an_engine_that_openvino_computes_counts_as_what_it_takes(
    log: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = make_pool(log, lambda _spec, size: Need(size))
    monkeypatch.setattr(CountedEngine, "resident_bytes", 70)
    use(pool, spec(tmp_path, "a"))
    monkeypatch.setattr(CountedEngine, "resident_bytes", 0)
    use(pool, spec(tmp_path, "b"))

    assert log == ["+a", "-a", "+b"]


def test_an_engine_that_takes_nothing_here_ends_no_other(log: list[str], tmp_path: Path) -> None:
    pool = make_pool(log, lambda spec, size: Need(0 if spec.engine_id == "far" else size))
    use(pool, spec(tmp_path, "a", size=100))
    use(pool, spec(tmp_path, "far", size=1000))

    assert log == ["+a", "+far"]
