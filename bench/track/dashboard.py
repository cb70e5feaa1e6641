"""What the harness sees of the dashboard: where its views are at W&B."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.errors import one_line
from bench.track.tracking import PATIENCE, Unanswered, ask


@dataclass(frozen=True)
class Dashboard:
    """What has become of the dashboard.

    Attributes:
        views: the address of each, by its title.
        problem: why they are not all there.
    """

    views: dict[str, str] = field(default_factory=dict)
    problem: str | None = None

    def __str__(self) -> str:
        addresses = (f"{title}: {address}" for title, address in self.views.items())
        return f"W&B: {self.problem}" if self.problem else "\n".join(addresses)


def save_dashboard(suites: Sequence[str]) -> Dashboard:
    """Has the workspace of the project stored at W&B, and a report of each suite, in the place of former ones.

    Raises:
        BadInput: without an API key or the project, or for a suite whose name W&B cannot filter by.
    """
    try:
        return Dashboard(**ask({"suites": suites}, PATIENCE))
    except (OSError, Unanswered) as error:
        return Dashboard(problem=one_line(error))
