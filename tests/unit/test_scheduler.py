"""Which cell runs when, by an executor that answers as it is told to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.errors import BadInput
from bench.record import Results
from bench.run import local
from bench.run.cell import failed
from bench.run.executor import Lost, Where, start_executor
from bench.run.plan import Planned
from bench.run.scheduler import Begun, Ended, Retried, foresee_cells, plan_cells, run_cells
from bench.run.worker import Job
from bench.spec import Cell

Answers = Callable[[str, Any], Any]


class Told:
    """Answers in an order that is drawn, what it is told to."""

    def __init__(self, seats: int, answers: Answers, pick: Callable[[int], int] = lambda n: 0) -> None:
        self.seats, self._answers, self._pick = seats, answers, pick
        self.asked: list[tuple[str, str, Any]] = []
        self.most = 0

    def begin(self, key: str, ask: str, argument: Any) -> None:
        assert key not in {other for other, _, _ in self.asked}
        self.asked.append((key, ask, argument))
        self.most = max(self.most, len(self.asked))

    def answer(self) -> tuple[str, Any]:
        key, ask, argument = self.asked.pop(self._pick(len(self.asked)))
        return key, self._answers(ask, argument)

    def close(self) -> None:
        pass


def cell(method: str = "none", seed: int = 0, dataset: str = "icons") -> Cell:
    return Cell(dataset, "minilm", method, seed, "default", None)


def planned(each: Cell, **rest: Any) -> Planned:
    links = [{"name": name} for name in each.method.split("+")]
    named = {"hyperparameters": {"links": links}, "split": "random", "limit": None, "accelerator": "cpu", "threads": 1}
    return Planned(
        each, {"dataset": each.dataset, "encoder": "minilm", "method": each.method, "seed": each.seed, **named}, **rest
    )


def plans(ask: str, argument: Any) -> Any:
    assert ask == "plan"
    return [planned(each) for each in argument], {}


def test_data_sets_are_planned_in_any_order_and_stand_in_that_of_the_suite() -> None:
    cells = [cell(seed=seed, dataset=name) for name in ("a", "b", "c") for seed in (0, 1)]
    executor = Told(3, plans, lambda n: n - 1)
    found, costs = plan_cells(cells, executor)
    assert [each.cell for each in found] == cells
    assert executor.most == 3
    assert costs == {}


def test_a_data_set_that_kills_its_worker_costs_its_own_cells() -> None:
    def answers(ask: str, argument: Any) -> Any:
        if ask == "plan":
            return Lost("it died") if argument[0].dataset == "a" else plans(ask, argument)
        cells, reason = argument
        return [planned(each, problem=BadInput(reason)) for each in cells], {}

    found, _ = plan_cells([cell(dataset="a"), cell(dataset="b")], Told(1, answers))
    assert [str(each.problem) for each in found] == ["it died", "None"]


def test_where_every_worker_dies_it_says_so() -> None:
    executor = Told(1, lambda ask, argument: Lost("no such library"))
    with pytest.raises(BadInput, match="no such library"):
        plan_cells([cell()], executor)
    with pytest.raises(BadInput, match="no such library"):
        foresee_cells([cell()], executor)


def test_where_nothing_can_run_it_says_why() -> None:
    def answers(ask: str, argument: Any) -> Any:
        return [planned(each, problem=BadInput(f"no {each.dataset}")) for each in argument], {}

    with pytest.raises(BadInput, match="no a"):
        plan_cells([cell(dataset="a"), cell(dataset="b")], Told(1, answers))


def ends(ask: str, each: Planned) -> Any:
    assert ask == "run"
    return failed(each.cell, each.identity, "of nothing")


@settings(suppress_health_check=list(HealthCheck))
@given(
    methods=st.lists(st.sampled_from(["a", "b", "a+b", "a+c", "c+a"]), min_size=1, unique=True),
    seeds=st.integers(1, 3),
    seats=st.integers(1, 4),
    data=st.data(),
)
def test_cells_that_share_work_follow_each_other(
    tmp_path_factory: pytest.TempPathFactory, methods: list[str], seeds: int, seats: int, data: st.DataObject
) -> None:
    cells = [cell(method, seed) for seed in range(seeds) for method in methods]
    results = Results(tmp_path_factory.mktemp("results"))

    def answers(ask: str, each: Planned) -> Any:
        results.write(record := ends(ask, each), None)
        return record

    executor = Told(seats, answers, lambda n: data.draw(st.integers(0, n - 1)))
    at_work: Counter[tuple[str, int]] = Counter()
    done: list[Cell] = []
    for event in run_cells([planned(each) for each in cells], executor, results):
        shared = (event.cell.method.split("+")[0], event.cell.seed)
        at_work[shared] += 1 if isinstance(event, Begun) else -1
        assert at_work[shared] in {0, 1}, "never two at once that share their scratch folder"
        if isinstance(event, Ended):
            done.append(event.cell)
    assert executor.most <= seats
    assert sorted(done, key=str) == sorted(cells, key=str), "each once"
    for first in {each.method.split("+")[0] for each in cells}:
        for seed in range(seeds):
            order = [each for each in done if each.method.split("+")[0] == first and each.seed == seed]
            assert order == [each for each in cells if each in order], "in the order of the suite"


@pytest.mark.parametrize(("deaths", "status"), [(1, "skipped"), (2, "failed")])
def test_a_lost_cell_runs_once_more_and_its_neighbours_go_on(tmp_path: Path, deaths: int, status: str) -> None:
    left = [deaths]

    def answers(ask: str, each: Planned) -> Any:
        if each.cell.method == "a" and left[0]:
            left[0] -= 1
            return Lost("it died")
        return ends(ask, each).model_copy(update={"status": "skipped"})

    results = Results(tmp_path)
    events = list(run_cells([planned(cell(method)) for method in ("a", "a+b", "c")], Told(1, answers), results))
    ended = {event.cell.method: event.record for event in events if isinstance(event, Ended)}
    assert {method: record.status for method, record in ended.items()} == {
        "a": status,
        "a+b": "skipped",
        "c": "skipped",
    }
    assert [event.reason for event in events if isinstance(event, Retried)] == ["it died"]
    assert [record.reason for record in results.records()] == ["it died"], "it was recorded at once"


def test_each_gpu_is_one_workers_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)

    def visible(workers: int | None) -> list[str]:
        return [variables["CUDA_VISIBLE_DEVICES"] for variables in local._seats("cuda", workers)]

    assert visible(None) == visible(7) == ["0", "1", "2"]
    assert visible(2) == ["0", "1"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,GPU-8f")
    assert visible(None) == ["5", "GPU-8f"]
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(BadInput, match="there is no GPU"):
        visible(None)


def test_workers_share_the_threads_of_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(local.os, "cpu_count", lambda: 8)
    assert "OMP_NUM_THREADS" not in local._seats("cpu", None)[0]
    assert [variables["OMP_NUM_THREADS"] for variables in local._seats("cpu", 3)] == ["2", "2", "2"]
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert local._seats("cpu", 3)[0]["OMP_NUM_THREADS"] == "5", "what the user has set counts"


@pytest.mark.parametrize(
    ("where", "said"),
    [
        (Where(workers=0), "--timeout ends a cell's process; leave out --workers 0"),
        (Where(address="auto"), "--address and --per-cell are for --executor ray"),
        (Where(per_cell={"cpus": 1}), "--address and --per-cell are for --executor ray"),
        (Where("ray", workers=0), "--workers 0 runs cells in this process"),
    ],
)
def test_what_does_not_go_together_is_refused(tmp_path: Path, where: Where, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        start_executor(Job(tmp_path, timeout=1.0), where, lambda *_: None, lambda _: None)


def test_without_ray_it_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(BadInput, match=r"ray is not installed; pip install 'tunebench\[ray\]'"):
        start_executor(Job(tmp_path), Where("ray"), lambda *_: None, lambda _: None)
