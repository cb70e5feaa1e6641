"""What the harness sees of W&B: a process that is asked to write or to send records, and is not waited for too long."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib import metadata, util
from pathlib import Path
from typing import Any, Literal

from bench.errors import BadInput, one_line
from bench.record import Results, cell_id

Mode = Literal["online", "offline", "off"]
MODES: dict[str, Mode] = {  # by what WANDB_MODE says
    "online": "online",
    "run": "online",
    "offline": "offline",
    "dryrun": "offline",
    "disabled": "off",
}
NO_KEY = "no API key; `wandb login` takes one, or WANDB_API_KEY"
PROJECT = "tunebench"  # unless WANDB_PROJECT names another
PATIENCE = 60.0  # seconds that W&B has
ANSWER = 10  # seconds that the server has for one answer
PER_RUN = 5.0  # seconds more for each run; so long it takes to write a curve of 10,000 values


class Unanswered(Exception):
    """The process has no answer; the text says why."""


@dataclass(frozen=True)
class Question:
    """What the process is asked about records.

    Attributes:
        folder: of the results. Offline runs go to `wandb` in it.
        group: of the runs.
        mode: "online", "offline", or None for the first of them that a key allows.
        cells: ids of the cells whose records are to be runs.
        dry_run: only to find out what is there.
    """

    folder: str
    group: str
    mode: Mode | None
    cells: list[str]
    dry_run: bool


@dataclass(frozen=True)
class Tracked:
    """What has become of some records.

    Attributes:
        mode: "online" or "offline"; None when it is not known.
        runs: how many are to be at W&B, or in the folder of offline runs.
        there: how many of them were there before.
        done: how many have been added.
        problem: why not all are there.
    """

    mode: Mode | None
    runs: int
    there: int = 0
    done: int = 0
    problem: str | None = None

    def __str__(self) -> str:
        counts = {
            "there already": self.there,
            "written" if self.mode == "offline" else "sent": self.done,
            "lacking": self.runs - self.there - self.done,
        }
        counted = ", ".join(f"{n} {word}" for word, n in counts.items() if n)
        return f"W&B: {self.problem or f'{self.runs} runs, {counted}'}"


def chosen_mode(asked: Mode | None) -> Mode | None:
    """What to do with W&B; None is online with a key and offline without.

    Args:
        asked: on the command line; WANDB_MODE counts without it, and nothing is done where wandb is not installed.

    Raises:
        BadInput: when W&B is asked for on the command line and is not installed, or WANDB_MODE is none of its modes.
    """
    installed = util.find_spec("wandb") is not None
    if asked not in {None, "off"} and not installed:
        raise BadInput(f"--wandb {asked}: wandb is not installed; pip install wandb")
    if asked is not None or not installed:
        return asked or "off"
    said = os.environ.get("WANDB_MODE")
    if said and said not in MODES:
        raise BadInput(f"WANDB_MODE={said}: no mode of W&B; write online, offline or disabled")
    return MODES[said] if said else None


def has_key() -> bool:
    """Whether the environment, netrc or the settings of W&B hold a key; no server is asked, and nobody.

    Raises:
        wandb.errors.AuthenticationError: when it cannot be one.
    """
    import wandb

    wandb.setup(wandb.Settings(silent=True))
    return wandb.login(prompt=False, verify=False)


def wandb_state() -> tuple[str, str]:
    """Whether W&B can be used, and what becomes of records when a run does not say it."""
    try:
        version = metadata.version("wandb")
        mode = chosen_mode(None)
        why = "WANDB_MODE" if mode else "a key" if has_key() else "no key"
    except metadata.PackageNotFoundError:
        return "absent", "not installed; pip install wandb"
    except Exception as error:  # noqa: BLE001 — of a package that must not stop what is not about it
        return "broken", one_line(error)
    return "ok", f"{version}; without --wandb: {mode or ('online' if why == 'a key' else 'offline')} ({why})"


def track(
    results: Results, group: str, mode: Mode | None, cells: Collection[str] | None = None, *, dry_run: bool = False
) -> Tracked:
    """Has W&B runs made of the records that have none yet; whatever goes wrong with W&B is told, not raised.

    Args:
        results: where the records are.
        group: of the runs.
        mode: as `chosen_mode` returns it.
        cells: ids of the cells; None takes all. Those that were skipped are never runs.
        dry_run: only finds out what is there.

    Raises:
        BadInput: when there are no records, or one cannot be read.
    """
    found = {cell_id(record.identity) for record in results.records() if record.status != "skipped"}
    chosen = sorted(found if cells is None else found.intersection(cells))
    if mode == "off" or not chosen:
        return Tracked(mode, len(chosen))
    question = Question(str(results.folder), group, mode, chosen, dry_run)
    try:
        return Tracked(**ask(asdict(question), PATIENCE + PER_RUN * len(chosen)))
    except (OSError, Unanswered) as error:
        return Tracked(mode, len(chosen), problem=one_line(error))


def _environment(scratch: str) -> dict[str, str]:
    return {
        "WANDB_PROJECT": PROJECT,
        "WANDB_ERROR_REPORTING": "false",
        "WANDB__GRAPHQL_RETRY_MAX": "2",
        **os.environ,
        "WANDB_SILENT": "true",
        "WANDB_DIR": scratch,  # or it would write to where the user is
        "WANDB_MODE": "online",  # how to ask the server; each run says for itself that it is written offline
    }


def ask(question: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    """Starts the process and waits for its answer. It and what it starts are a session, which is ended as a whole.

    Raises:
        BadInput: when it has found the question wrong.
        Unanswered: when it has failed, or not answered in time.
        OSError: when it cannot start.
    """
    with tempfile.TemporaryDirectory(prefix="tunebench-wandb-", ignore_cleanup_errors=True) as scratch:
        (Path(scratch) / "question.json").write_text(json.dumps(question))
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "bench.track", scratch],
            stdin=subprocess.DEVNULL,  # no terminal: nothing can be asked there
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=_environment(scratch),
            start_new_session=True,
        )
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Unanswered(f"not done after {seconds:.0f} s") from None
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if code:
            raise Unanswered(f"wandb ended with code {code}")
        answer: dict[str, Any] = json.loads((Path(scratch) / "answer.json").read_text())
    if "bad_input" in answer:
        raise BadInput(answer["bad_input"])
    if "error" in answer:
        raise Unanswered(answer["error"])
    return answer
