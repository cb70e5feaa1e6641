"""Records → tables: `load_boards` gives the figures, `sheet` their wording, `write_leaderboards` the files."""

from bench.report.board import Board, load_boards
from bench.report.overall import Overall, overall
from bench.report.overall_sheet import overall_sheet
from bench.report.published_sheet import published_tables
from bench.report.render import leaderboards, write_leaderboards
from bench.report.sheet import Sheet, sheet
from bench.report.tables import Table

__all__ = [
    "Board",
    "Overall",
    "Sheet",
    "Table",
    "leaderboards",
    "load_boards",
    "overall",
    "overall_sheet",
    "published_tables",
    "sheet",
    "write_leaderboards",
]
