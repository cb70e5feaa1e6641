"""The clock, by a time that the test tells."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bench.clock import Clock

CPU = torch.device("cpu")


class Time:
    """A time that passes only when it is told to."""

    now = 1000.0

    def passes(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Time:
    told = Time()
    monkeypatch.setattr(time, "perf_counter", lambda: told.now)
    return told


def test_a_phase_takes_as_long_as_what_runs_in_it(told: Time) -> None:
    clock = Clock(CPU)
    told.passes(100)
    with clock.phase("fit"):
        told.passes(3)
    told.passes(100)
    assert clock.seconds == {"fit": 3}


def test_a_phase_that_comes_again_goes_on(told: Time) -> None:
    clock = Clock(CPU)
    for seconds in (1, 2, 4):
        with clock.phase("fit"):
            told.passes(seconds)
        told.passes(50)
    assert clock.seconds == {"fit": 7}


def test_what_runs_in_an_inner_phase_counts_for_that_one_alone(told: Time) -> None:
    clock = Clock(CPU)
    with clock.phase("fit"):
        told.passes(1)
        with clock.phase("reencode"):
            told.passes(10)
            with clock.phase("load"):
                told.passes(100)
            told.passes(20)
        told.passes(2)
        with clock.phase("reencode"):
            told.passes(30)
        told.passes(4)
    assert clock.seconds == {"fit": 7, "reencode": 60, "load": 100}


def test_a_phase_inside_itself_is_not_counted_twice(told: Time) -> None:
    clock = Clock(CPU)
    with clock.phase("fit"), clock.phase("fit"):
        told.passes(5)
    assert clock.seconds == {"fit": 5}


def test_a_phase_ends_with_an_error(told: Time) -> None:
    clock = Clock(CPU)

    def fail() -> None:
        with clock.phase("reencode"):
            told.passes(2)
            raise ValueError("wrong")

    with clock.phase("fit"):
        with pytest.raises(ValueError, match="wrong"):
            fail()
        told.passes(3)
    told.passes(9)
    with clock.phase("search"):
        told.passes(1)
    assert clock.seconds == {"fit": 3, "reencode": 2, "search": 1}


TREES = st.recursive(
    st.integers(0, 9),
    lambda inner: st.lists(st.tuples(st.sampled_from("abc"), inner), max_size=4),
    max_leaves=12,
)


@given(tree=st.lists(st.tuples(st.sampled_from("abc"), TREES), min_size=1, max_size=3))
def test_phases_add_up_to_the_whole_time(tree: list) -> None:
    told = Time()
    alone: dict[str, float] = {}

    def walk(tree: list | int, name: str, phase: Callable) -> None:
        if isinstance(tree, int):
            told.passes(tree)
            alone[name] = alone.get(name, 0) + tree
            return
        for inner, below in tree:
            told.passes(1)
            alone[name] = alone.get(name, 0) + 1
            with phase(inner):
                alone.setdefault(inner, 0)
                walk(below, inner, phase)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "perf_counter", lambda: told.now)
        clock = Clock(CPU)
        began = told.now
        with clock.phase("top"):
            walk(tree, "top", clock.phase)
    assert clock.seconds == alone
    assert sum(clock.seconds.values()) == told.now - began


def test_counts_add_up() -> None:
    clock = Clock(CPU)
    clock.count("steps")
    clock.count("steps")
    clock.count("encodes", 32)
    clock.count("steps", 3)
    assert clock.counts == {"steps": 5, "encodes": 32}


def test_curves_keep_their_values_in_order() -> None:
    clock = Clock(CPU)
    clock.log(loss=3, dev=0.1)
    clock.log(loss=torch.tensor(2.0))  # type: ignore[arg-type]
    clock.log(loss=1.5)
    assert clock.curves == {"loss": [3.0, 2.0, 1.5], "dev": [0.1]}
    assert all(type(value) is float for curve in clock.curves.values() for value in curve)


def test_memory_is_the_peak_of_the_process_in_bytes() -> None:
    clock = Clock(CPU)
    before = clock.memory()["rss"]
    assert 50e6 < before < 1e12
    block = torch.ones(100_000_000, dtype=torch.float32)
    assert clock.memory()["rss"] >= before
    assert clock.memory()["rss"] >= block.nbytes
    assert "device" not in clock.memory()
