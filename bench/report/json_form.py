"""Boards → JSON for other programs, at full precision."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from bench.report.board import Board
from bench.report.overall import Overall, efficient, gains_and_costs

SCHEMA = 1


def as_json(boards: Sequence[Board], overall: Sequence[Overall]) -> str:
    """One object; `schema` is raised when a name in it changes its meaning or goes, not when one is added.

    - `boards`: a list with an object for each board, whose names are those of `Board` and what it is made of:
      `setting`, `seeds`, `counts`, `rows`, `comparison`, `remarks`, `replaced`, `decision`. What is unknown, a gap or
      does not apply is null. Each of `rows` has `efficient` besides: whether it is on the Pareto frontier of gain
      and fit seconds, null where it has no gain. The matrices of `comparison` are lists of lists in the order of the
      rows that have figures: `better`, and for each of `tests` the p-values `raw` and `holm`.
    - `overall`: a list with an object for each `Overall`, whose names are those of the class.
    """
    content = {"schema": SCHEMA, "boards": [_board(board) for board in boards], "overall": overall}
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"), default=_plain) + "\n"


def _board(board: Board) -> dict[str, Any]:
    points = gains_and_costs(board)
    frontier = efficient(points)
    rows = [{**vars(row), "efficient": row.method in frontier if row.method in points else None} for row in board.rows]
    told = {name: value for name, value in vars(board).items() if name != "changes"}  # which are files of their own
    return {**told, "rows": rows, "decision": board.decision and board.decision.model_dump()}


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray) else vars(value)
