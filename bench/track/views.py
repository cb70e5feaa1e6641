"""The dashboard as code: a workspace of the project, and a report of each suite, as W&B stores them."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from typing import Any

import wandb
import wandb_workspaces.reports.v2.interface as wr
import wandb_workspaces.workspaces as ws
from wandb_workspaces._graphql import execute_graphql, get_app_url
from wandb_workspaces.reports.v2 import gql

from bench.errors import BadInput
from bench.names import MAIN
from bench.track.tracking import ANSWER, NO_KEY, has_key

ROW = ("setting", "method", "method_version")  # of the configuration: what the runs of one row share, all but the seed
COLUMNS = (MAIN, "gain", "fit_seconds", "recall@10", "mrr@10", f"seen/{MAIN}", f"unseen/{MAIN}")
MOST = 100  # rows that a panel shows
WORKSPACE = "nw-tunebench-v"  # as W&B names a saved view whose address ends in ?nw=tunebench
NOTE = (
    "A row of the table, and a bar, is the mean over the seeds that have run of one method in one setting: one version "
    "of a data set, one split, one encoder, one device. Gain: in NDCG@10 over none, of the same setting and seed. "
    "Seen and unseen: the test queries that have, or have not, a relevant document with a train query. "
    "Intervals and tests are in the leaderboard that `tunebench report` writes."
)

FIND = """
query View($entityName: String, $projectName: String, $type: String, $name: String) {
    project(name: $projectName, entityName: $entityName) {
        allViews(viewType: $type, viewName: $name) { edges { node { id } } }
    }
}
"""


def save(suites: Sequence[str]) -> dict[str, Any]:
    """Stores the views in the project that WANDB_ENTITY and WANDB_PROJECT name, each in the place of its former self.

    Returns:
        Under "views" the address of each, by its title.

    Raises:
        BadInput: without a key, without the project, or as `views`.
    """
    if not has_key():
        raise BadInput(NO_KEY)
    api = wandb.Api(timeout=ANSWER)
    project = {
        "entityName": os.environ.get("WANDB_ENTITY") or api.default_entity or "",
        "projectName": os.environ["WANDB_PROJECT"],
    }
    home = "/".join((get_app_url(api).rstrip("/"), *project.values()))
    return {"views": {view["displayName"]: home + _saved(api, project, view) for view in views(suites)}}


def _saved(api: wandb.Api, project: dict[str, str], view: dict[str, Any]) -> str:
    """Stores a view, and returns its address in the project."""
    found = execute_graphql(api, FIND, {**project, "type": view["type"], "name": view["name"]})["project"]
    if found is None:
        where = "/".join(project.values())
        raise BadInput(f"W&B has no project {where}; `tunebench push` makes it, or name another by WANDB_PROJECT")
    former = [edge["node"]["id"] for edge in found["allViews"]["edges"]]
    asked = {**project, **view, "id": former[0] if former else None, "spec": json.dumps(view["spec"])}
    stored = execute_graphql(api, gql.upsert_view, asked)["upsertView"]["view"]
    if view["name"] == WORKSPACE:
        return "?nw=tunebench"
    return f"/reports/{view['displayName'].replace(' ', '-')}--{stored['id']}"


def views(suites: Sequence[str]) -> list[dict[str, Any]]:
    """What W&B is to store: plain JSON, the same each time.

    Args:
        suites: the groups of runs that get a report each.

    Returns:
        The workspace, then the reports, each with its `type`, its `name`, by which it is found again, its
        `displayName`, its `description` and its `spec`.

    Raises:
        BadInput: for a name of a suite that no filter of W&B can hold.
    """
    for suite in suites:
        if not re.fullmatch(r"[\w. -]{1,100}", suite):
            raise BadInput(f"suite {suite!r}: W&B filters by letters, digits, '.', '-', '_' and spaces; rename it")
    return [_workspace(), *map(_report, dict.fromkeys(suites))]


def _workspace() -> dict[str, Any]:
    runs = ws.RunsetSettings(
        groupby=[ws.Config(name) for name in ROW],
        order=[ws.Ordering(ws.Summary(MAIN), ascending=False)],
        pinned_columns=[f"summary:{name}" for name in COLUMNS],
    )
    workspace = ws.Workspace(
        entity="",
        project="",
        name="tunebench",
        sections=[ws.Section(name=name, panels=panels, is_open=True) for name, panels in _sections()],
        settings=ws.WorkspaceSettings(max_runs=MOST),
        runset_settings=runs,
    )
    return _view("project-view", WORKSPACE, workspace)


def _report(suite: str) -> dict[str, Any]:
    blocks: list[wr.BlockTypes] = [wr.P(text=NOTE)]
    for number, (name, panels) in enumerate(_sections()):
        grid = wr.PanelGrid(runsets=[_runs(suite, name)], panels=panels, hide_run_sets=number > 0)
        blocks += [wr.H2(text=name), grid]
    # Whose it is W&B is told beside it; without any entity the package would ask W&B for one.
    report = wr.Report(entity="", project="", title=f"tunebench {suite}", blocks=blocks, width="fluid")
    return _view("runs", f"tunebench-{suite}", report)


def _runs(suite: str, section: str) -> wr.Runset:
    runs = wr.Runset(
        name=suite,
        filters=ws.And(ws.Metric("Group") == suite),
        groupby=[f"config.{name}" for name in ROW],
        order=[wr.OrderBy(wr.SummaryMetric(MAIN), ascending=False)],
        pinned_columns=["run:displayName", *(f"summary:{name}" for name in COLUMNS)],
        lock_columns=True,
    )
    runs._id = f"runs {section}"  # noqa: SLF001 — random otherwise
    return runs


def _sections() -> Iterator[tuple[str, list[wr.PanelTypes]]]:
    """The panels, which run or draw on the keys that `wandb_run` writes."""
    sections: dict[str, list[Any]] = {
        "Leaderboard": [
            wr.ScatterPlot(title="Gain over none, by seconds to fit", x="fit_seconds", y="gain", log_x=True)
        ],
        "Data sets": [_bars("NDCG@10", MAIN), _bars("Gain over none", "gain")],
        "Seen and unseen": [
            _bars("NDCG@10, seen queries", f"seen/{MAIN}"),
            _bars("NDCG@10, unseen queries", f"unseen/{MAIN}"),
        ],
        "Training": [
            _curve("Loss", "loss"),
            _curve("Metric of the dev queries", "dev"),
            _curve("Metric of the dev queries, by trial", "tuned_dev"),
        ],
        "Costs": [
            _bars("Seconds to fit", "fit_seconds"),
            _bars("Seconds to encode anew", "seconds/reencode"),
            _bars("Seconds to search", "seconds/search"),
            _bars("Memory, bytes", "memory/rss"),
            _bars("Memory of the GPU, bytes", "memory/device"),
        ],
    }
    for name, panels in sections.items():
        for number, panel in enumerate(panels):
            panel._id = f"{name} {number}"  # noqa: SLF001 — random otherwise
        yield name, panels


def _bars(title: str, key: str) -> wr.BarPlot:
    return wr.BarPlot(title=title, metrics=[key], max_runs_to_show=MOST, max_bars_to_show=MOST)


def _curve(title: str, key: str) -> wr.LinePlot:
    return wr.LinePlot(title=title, x=f"{key}/nth", y=[key], max_runs_to_show=MOST)


def _view(kind: str, name: str, content: ws.Workspace | wr.Report) -> dict[str, Any]:
    model = content._to_model()  # noqa: SLF001 — the package has no other way to it without saving
    spec = model.spec.model_dump_json(by_alias=True, exclude_none=True)
    about = {"type": kind, "name": name, "displayName": model.display_name, "description": ""}
    return {**about, "spec": json.loads(spec)}
