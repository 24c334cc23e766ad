"""How a child's frames reach its parent: those of one step together, in their order."""

from __future__ import annotations

import io
from io import BytesIO

import pytest

from engines.runtimes.child import main
from engines.runtimes.child.frames import Frame, read_frame
from engines.runtimes.child.main import FrameSink, Job


class NotingPipe(io.RawIOBase):
    """Notes what each write brings."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        self.writes.append(bytes(data))  # type: ignore[call-overload]
        return len(self.writes[-1])


def test_held_frames_go_out_together_before_the_next_one() -> None:
    pipe = NotingPipe()
    sink = FrameSink(io.BufferedWriter(pipe))
    frames = [Frame({"id": number, "piece": "word"}) for number in range(3)]

    sink.hold(frames[0])
    sink.hold(frames[1])
    held = list(pipe.writes)
    sink.send(frames[2])
    sink.flush()

    assert held == []
    assert len(pipe.writes) == 1
    sent = BytesIO(pipe.writes[0])
    assert [read_frame(sent.read) for _ in frames] == frames


def test_what_is_held_goes_out_without_another_frame() -> None:
    pipe = NotingPipe()
    sink = FrameSink(io.BufferedWriter(pipe))

    sink.hold(Frame({"id": 1, "piece": "word"}))
    sink.flush()

    assert len(pipe.writes) == 1


@pytest.mark.parametrize(("gathers", "writes"), [(float("inf"), [1, 1]), (0.0, [1, 2])])
def test_the_first_piece_of_an_answer_goes_out_at_once_and_others_after_a_while(
    monkeypatch: pytest.MonkeyPatch, gathers: float, writes: list[int]
) -> None:
    monkeypatch.setattr(main, "GATHER_SECONDS", gathers)
    pipe = NotingPipe()
    sink = FrameSink(io.BufferedWriter(pipe))
    job = Job(Frame({"id": 1, "op": "generate"}), sink.send, sink, lambda _job: None)

    seen = []
    for piece in ("Once", " upon"):
        job.hold(piece)
        sink.flush_if_due()
        seen.append(len(pipe.writes))
    job.finish(Frame({}))

    assert seen == writes
    sent = BytesIO(b"".join(pipe.writes))
    assert [read_frame(sent.read).header.get("piece") for _ in range(3)] == ["Once", " upon", None]
