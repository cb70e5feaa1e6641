"""A fit that trains an encoder goes on where it was killed, and is not made twice."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from drifting import QUICK, drifting_problem, equal, weights

from bench.clock import Clock
from methods._corrector import Training
from methods._corrector_step import Stepper


class Killed(BaseException):
    pass


def killed_at(step: int, patched: pytest.MonkeyPatch) -> None:
    made = Stepper.step

    def dying(self, pairs):
        if self.done == step:
            raise Killed
        return made(self, pairs)

    patched.setattr(Stepper, "step", dying)


@pytest.mark.parametrize("selection", ["in-batch", "stale-refresh", "corrector", "corrector-refresh", "exact"])
def test_a_fit_that_was_killed_ends_as_if_it_had_not_been(
    tmp_path, monkeypatch: pytest.MonkeyPatch, selection: str
) -> None:
    recipe = replace(QUICK, selection=selection)
    whole, resumed = Clock(torch.device("cpu")), Clock(torch.device("cpu"))
    expected = recipe.fit(drifting_problem(meter=whole))
    with monkeypatch.context() as patched:
        killed_at(13, patched)
        with pytest.raises(Killed):
            recipe.fit(drifting_problem(scratch=tmp_path))
    with monkeypatch.context() as patched:
        killed_at(9, patched)  # which it does not come to any more
        with resumed.phase("fit"):
            found = recipe.fit(drifting_problem(scratch=tmp_path, meter=resumed))
    assert found.chosen == expected.chosen
    assert equal(weights(found.encoder), weights(expected.encoder))
    assert resumed.counts == whole.counts
    for name, values in whole.curves.items():
        np.testing.assert_array_equal(resumed.curves[name], values)


def test_a_fit_that_has_stopped_by_itself_does_not_go_on(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = replace(QUICK, learning_rate=1.0, max_drop=0.01)
    with monkeypatch.context() as patched:
        patched.setattr(Training, "keep_best", lambda self: (_ for _ in ()).throw(Killed()))
        with pytest.raises(Killed):
            recipe.fit(drifting_problem(scratch=tmp_path))
    monkeypatch.setattr(Stepper, "step", lambda self, pairs: pytest.fail("a step was made"))
    assert recipe.fit(drifting_problem(scratch=tmp_path)).chosen["steps"] == 0


def test_an_equal_fit_takes_the_weights_that_are_there(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = Clock(torch.device("cpu")), Clock(torch.device("cpu"))
    with first.phase("fit"):
        expected = QUICK.fit(drifting_problem(scratch=tmp_path, meter=first))
    monkeypatch.setattr(Stepper, "step", lambda self, pairs: pytest.fail("a step was made"))
    with second.phase("fit"):
        found = QUICK.fit(drifting_problem(scratch=tmp_path, meter=second))
    assert equal(weights(found.encoder), weights(expected.encoder))
    assert (second.counts, second.curves.keys()) == (first.counts, first.curves.keys())
    assert second.seconds["fit"] > 0.5 * first.seconds["fit"], "with the time that they took"
    assert not list(tmp_path.glob("*/checkpoints"))
