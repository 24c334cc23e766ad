"""The time left, held against traces of work as workers tell it: (seconds, units done)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from migrations_app.plans.time_left import Amount, Pace, PaceMeter, Unit

Trace = list[tuple[float, float]]
TOTAL = 2000.0
NEAR = 0.30


def play(trace: Trace, total: float = TOTAL) -> Iterator[tuple[float, float, float | None]]:
    """Yield at each report: when, how much is done, and what is said of the time left."""
    meter = PaceMeter()
    for at, done in trace:
        meter.add(Amount(done, total, "texts"), at)
        yield at, done, meter.pace(at).seconds_left


def steady(seconds: float = 600.0, reports: int = 200) -> Trace:
    # Batches differ by a third, as texts do in length.
    wobble = (0.0, 0.3, -0.3, 0.2, -0.2)
    step = seconds / reports
    return [
        (number * step + wobble[number % 5] * step, TOTAL * number / reports)
        for number in range(reports + 1)
    ]


def slowing() -> Trace:
    """The last texts take a third longer than the first."""
    at, trace = 0.0, [(0.0, 0.0)]
    for number in range(1, 251):
        at += 2.0 * (1 + number / 250 / 3)
        trace.append((at, 8.0 * number))
    return trace


def downloading() -> Trace:
    """Recorded of a file of 98 MB: fast at first, then held to 1.6 MB/s by a mirror."""
    burst = [(0.5 * number, 4e6 * number) for number in range(4)]
    return burst + [(1.5 + 0.5 * number, 12e6 + 0.8e6 * number) for number in range(1, 109)]


@pytest.mark.parametrize("trace", [steady(), steady(40.0, 60), slowing()])
def test_after_a_tenth_of_the_work_the_time_left_is_near_the_truth(trace: Trace) -> None:
    end = trace[-1][0]
    told = [(at, left) for at, done, left in play(trace) if 0.1 * TOTAL <= done < 0.97 * TOTAL]

    assert told
    for at, left in told:
        assert left is not None
        assert abs(left - (end - at)) <= NEAR * (end - at), at


def test_work_that_becomes_slower_at_once_is_followed() -> None:
    trace = downloading()
    end, total = trace[-1][0], trace[-1][1]

    late = [
        (at, left) for at, done, left in play(trace, total) if 0.5 * total <= done < 0.95 * total
    ]

    for at, left in late:
        assert left is not None
        assert abs(left - (end - at)) <= NEAR * (end - at), at


def test_what_stalls_is_unknown_and_what_is_resumed_goes_at_its_own_pace() -> None:
    meter = PaceMeter()
    for number in range(101):
        meter.add(Amount(10.0 * number, TOTAL, "texts"), float(number))
    before = meter.pace(100.0).seconds_left

    # A worker that waits goes on telling the same.
    for second in range(101, 400):
        meter.add(Amount(1000.0, TOTAL, "texts"), float(second))
    stalled = meter.pace(399.0)
    for number in range(1, 6):
        meter.add(Amount(1000.0 + 10.0 * number, TOTAL, "texts"), 400.0 + number)
    resumed = meter.pace(405.0)

    assert before == pytest.approx(100.0, rel=0.05)
    assert (stalled.rate, stalled.seconds_left) == (None, None)
    assert resumed.rate == pytest.approx(10.0, rel=0.1)
    assert resumed.seconds_left == pytest.approx(95.0, rel=0.1)


def test_slow_batches_are_not_taken_for_a_stall() -> None:
    trace = [(60.0 * number, 32.0 * number) for number in range(20)]

    *_, (at, _, left) = play(trace)

    assert left == pytest.approx((TOTAL - 32 * 19) / 32 * 60, rel=0.05)
    assert at == 60.0 * 19


@pytest.mark.parametrize(
    "other",
    [
        Amount(0.0, TOTAL, "texts"),
        Amount(2000.0, 9000.0, "texts"),
        Amount(2000.0, TOTAL, "bytes"),
        Amount(2000.0, TOTAL, "texts", "checking"),
    ],
    ids=["anew", "another total", "another unit", "another phase"],
)
def test_other_work_is_measured_anew(other: Amount) -> None:
    meter = PaceMeter()
    for number in range(30):
        meter.add(Amount(50.0 * number, TOTAL, "texts"), float(number))

    meter.add(other, 30.0)

    assert meter.pace(30.0).seconds_left is None


def test_nothing_is_said_before_there_is_something_to_measure() -> None:
    meter = PaceMeter()
    assert meter.pace(0.0).seconds_left is None
    meter.add(Amount(0.0, TOTAL, "texts"), 0.0)
    meter.add(Amount(100.0, TOTAL, "texts"), 0.2)

    assert meter.pace(0.2).seconds_left is None


@pytest.mark.parametrize(
    ("pace", "unit", "words"),
    [
        (Pace(), "texts", ""),
        (Pace(12.34, 2), "texts", "12.3 texts/s, about 5 s left"),
        (Pace(1.64e6, 43), "bytes", "1.6 MB/s, about 45 s left"),
        (Pace(100, 58), "texts", "100 texts/s, about 1 min left"),
        (Pace(0.5, 9000), "texts", "0.5 texts/s, about 2.5 h left"),
    ],
)
def test_a_pace_in_words(pace: Pace, unit: Unit, words: str) -> None:
    assert pace.in_words(unit) == words
