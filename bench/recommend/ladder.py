"""The methods that a budget allows, the cheapest first, and the curves of the best of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from time import monotonic

from bench.names import BASELINE
from bench.recommend.decide import candidates
from bench.recommend.shares import SHARES, share_of, shared
from bench.record import Results
from bench.report.board import make_board
from bench.report.entrants import by_setting
from bench.run.executor import Executor
from bench.run.plan import Planned
from bench.run.scheduler import Ended, Event, run_cells
from bench.spec import Cell
from bench.words import duration, plural
from methods import label, parse

METHODS = 2 / 3  # of the budget; the rest is for the curves
CURVE_SEEDS = 3
CONTENDERS = 3  # methods that have a curve: the best means
LEAST = 1.0  # seconds that a cell must have to be begun


@dataclass
class Ladder:
    """Climbs as far as the budget allows.

    Attributes:
        budget: seconds, of which everything counts that happens once it is made.
        left_out: methods that were not tried, or not to their end, and why.
    """

    budget: float
    left_out: dict[str, str] = field(default_factory=dict)
    began: float = field(init=False)

    def __post_init__(self) -> None:
        self.began = monotonic()

    def climb(self, planned: Sequence[Planned], crew: Executor, results: Results, part: float = 1.0) -> Iterator[Event]:
        """Runs the cells that are due, method by method in their order, each method on all of its seeds or not at all.

        A cell is ended when the other seeds of its method would no longer fit, and its method is left out.

        Args:
            planned: the cells.
            crew: runs them.
            results: where records are.
            part: of the budget, that is then used up.

        Raises:
            BadInput: when nothing can be written.
        """
        methods: dict[tuple[str, str, str], list[Planned]] = {}
        for each in planned:
            methods.setdefault(each.cell.kind, []).append(each)
        for kind, own in methods.items():
            due = [each for each in own if each.due]
            for number, each in enumerate(due):
                began = monotonic()
                left = part * self.budget - (began - self.began)
                # The first cell of all pays for encoding, which the others then share.
                seconds = left if kind[2] == BASELINE and number == 0 else left / (len(due) - number)
                if seconds < LEAST:
                    self.left_out[kind[2]] = f"nothing was left of {duration(self.budget)}"
                    break
                event: Event | None = None
                for event in run_cells([replace(each, seconds=seconds)], crew, results, attempts=1):
                    yield event
                if isinstance(event, Ended) and event.record.status != "ok":
                    over = monotonic() - began >= seconds
                    long = f"{plural(len(own), 'split')} would not fit into the budget: one takes more than"
                    self.left_out[kind[2]] = f"{long} {duration(seconds)}" if over else f"{event.record.reason}"
                    break


def curve_cells(results: Results, cells: Sequence[Cell]) -> list[Cell]:
    """The best methods of each board with shares of their train queries, the largest share first.

    Args:
        results: where the whole methods have run.
        cells: those that were asked for.
    """
    found = []
    for setting, records in by_setting(results.records()).items():
        board = make_board(results, setting, [record for record in records if share_of(record) == 1])
        best = [row.method for row in candidates(board)[:CONTENDERS]]
        own = {
            (cell.method, cell.seed): cell
            for cell in cells
            if (cell.dataset, cell.encoder, cell.limit) == (setting.dataset, setting.encoder, setting.limit)
        }
        found += [
            replace(own[method, seed], method=label(shared(parse(method), share)))
            for share in SHARES
            for method in best
            for seed in board.seeds[:CURVE_SEEDS]
            if (method, seed) in own
        ]
    return found
