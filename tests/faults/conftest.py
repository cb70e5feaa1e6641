"""Runs as processes that can be killed; a server that takes W&B runs, as far as its client and `wandb sync` need it."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from processes import Start

KEY = "0123456789abcdef" * 3
# What a client asks of a run beside its name and state.
UNTOLD = {
    **dict.fromkeys(("displayName", "sweepName", "group", "jobType", "commit", "description", "notes", "heartbeatAt")),
    **dict.fromkeys(("projectId", "historyLineCount"), 1),
    "tags": [],
    "readOnly": False,
    "createdAt": "2026-01-01T00:00:00",
    "user": {"name": "someone", "username": "someone"},
}


class _Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: WandbServer

    def _answer(self) -> None:
        content = self._content()
        time.sleep(self.server.delay)
        status, answer = self.server.answer(self.path, content)
        self.server.keys.add(self.headers.get("Authorization"))
        if status is None:
            self.close_connection = True
            self.connection.close()
            return
        written = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(written)))
        self.end_headers()
        self.wfile.write(written)

    do_GET = do_POST = do_PUT = _answer  # noqa: N815 — so the base class calls them

    def _content(self) -> bytes:
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Transfer-Encoding") == "chunked":
            while length := int(self.rfile.readline(), 16):
                content += self.rfile.read(length)
                self.rfile.readline()
            self.rfile.readline()
        return gzip.decompress(content) if self.headers.get("Content-Encoding") == "gzip" else content

    def log_message(self, *args: object) -> None:
        pass


class WandbServer(ThreadingHTTPServer):
    """Takes W&B runs on the loopback.

    Attributes:
        runs: what it was told of each run, by its id: what `upsertBucket` says, the lines of its files, its state.
        views: what it was told of each workspace and report, the last told last.
        projects: the projects that it has.
        sweep: the configuration of its only one, in YAML.
        trials: values of its parameters, for runs `trial0`, `trial1`, …: an agent is given one after the other.
        files: the contents of the files that were sent, by path.
        keys: the credentials that it was shown; `key` is the right one.
        delay: seconds before each answer.
        drops: how often it drops the connection in the midst of a run's history.
        status: of its answers to a query by the query's name; to all under "".
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.runs: dict[str, dict[str, Any]] = {}
        self.views: list[dict[str, Any]] = []
        self.projects = {"someone/tunebench"}
        self.sweep, self.trials = "", list[dict[str, Any]]()
        self.files: dict[str, bytes] = {}
        self.keys: set[str | None] = set()
        self.delay, self.drops, self.key = 0.0, 0, KEY
        self.status: dict[str, int] = {}
        self.further = {  # the answers that are not about runs
            "View": self._view,
            "upsertView": self._upsert_view,
            "UpsertSweep": self._upsert_sweep,
            "SweepWithRuns": self._sweep_with_runs,
            "CreateAgent": self._create_agent,
            "Heartbeat": self._heartbeat,
        }

    def handle_error(self, *args: object) -> None:
        """A client that is gone is no error."""

    def answer(self, path: str, content: bytes) -> tuple[int | None, Any]:
        """Status, or None to drop the connection, and JSON."""
        status = self.status.get("", 200)
        if path == "/graphql":
            asked = json.loads(content)
            name = re.search(r"(?:query|mutation) (\w+)", asked["query"])[1]
            return self.status.get(name, status), {"data": self._data(name, asked.get("variables") or {})}
        if path.endswith("/file_stream"):
            return self._stream(path.split("/")[-2], json.loads(content)), {}
        if path.startswith("/storage/"):
            self.files[path.removeprefix("/storage/")] = content
        return status, {}

    def _stream(self, run: str, told: dict[str, Any]) -> int | None:
        for name, chunk in told.get("files", {}).items():
            lines = self.runs[run]["lines"].setdefault(name, [])
            lines[chunk["offset"] :] = chunk["content"]
        if self.drops:
            self.drops -= 1
            return None
        if told.get("complete"):
            self.runs[run]["state"] = "failed" if told["exitcode"] else "finished"
        return 200

    def _data(self, name: str, asked: dict[str, Any]) -> dict[str, Any]:
        entity = {"id": "E", "name": asked.get("entity") or "someone"}
        if name == "UpsertBucket":
            run = self.runs.setdefault(asked["name"], {"lines": {}, "asked": {}})
            run["asked"] |= {name: value for name, value in asked.items() if value is not None}
            run["state"] = "running"
            about = {"id": "R", "name": asked["name"], "displayName": "", "description": "", "config": "{}"}
            project = {"id": "P", "name": asked["project"], "entity": entity}
            bucket = {**about, "sweepName": None, "historyLineCount": 0, "project": project}
            return {"upsertBucket": {"bucket": bucket, "inserted": True}}
        if name == "Runs":
            return {"project": self._found(json.loads(asked["filters"])) if self.runs else None}
        if name in self.further:
            return self.further[name](asked)
        if name == "CreateArtifact":
            sequence = {"latestArtifact": None}
            return {"createArtifact": {"artifact": {"id": "A", "state": "COMMITTED", "artifactSequence": sequence}}}
        if name == "CreateRunFiles":
            sent = [{"name": file, "uploadUrl": f"{self.url}/storage/{asked['run']}/{file}"} for file in asked["files"]]
            return {"createRunFiles": {"runID": "R", "uploadHeaders": [], "files": sent}}
        viewer = {**entity, "entity": "someone", "username": "someone", "email": "", "flags": "{}"}
        return {"viewer": {**viewer, "teams": {"edges": []}}, "serverInfo": {"features": []}}

    def _view(self, asked: dict[str, Any]) -> dict[str, Any]:
        if f"{asked['entityName']}/{asked['projectName']}" not in self.projects:
            return {"project": None}
        found = [view for view in self.views if all(view[name] == value for name, value in asked.items())]
        return {"project": {"allViews": {"edges": [{"node": {"id": view["id"]}} for view in found]}}}

    def _upsert_view(self, asked: dict[str, Any]) -> dict[str, Any]:
        view = {**asked, "id": asked["id"] or f"id{len(self.views)}"}
        self.views = [*(each for each in self.views if each["id"] != view["id"]), view]
        return {"upsertView": {"view": view, "inserted": asked["id"] is None}}

    def _upsert_sweep(self, asked: dict[str, Any]) -> dict[str, Any]:
        self.sweep = asked["config"]
        sweep = {"name": "sweep0", "project": {"id": "P", "name": asked["projectName"], "entity": None}}
        return {"upsertSweep": {"sweep": sweep, "configValidationWarnings": []}}

    def _sweep_with_runs(self, _asked: dict[str, Any]) -> dict[str, Any]:
        return {"project": {"sweep": {"config": self.sweep, "runs": {"edges": []}}}}

    def _create_agent(self, _asked: dict[str, Any]) -> dict[str, Any]:
        return {"createAgent": {"agent": {"id": "agent0"}}}

    def _heartbeat(self, asked: dict[str, Any]) -> dict[str, Any]:
        commands: list[dict[str, Any]] = []
        if asked["runState"] == "{}":
            args = {key: {"value": value} for key, value in self.trials.pop(0).items()} if self.trials else None
            trial = {"type": "run", "run_id": f"trial{len(self.runs)}", "args": args, "program": "tunebench"}
            commands = [trial if args else {"type": "exit"}]
        return {"agentHeartbeat": {"agent": {"id": "agent0"}, "commands": json.dumps(commands)}}

    def _found(self, filters: dict[str, Any]) -> dict[str, Any]:
        found = [run for run in filters["name"]["$in"] if run in self.runs]
        nodes = [{**UNTOLD, "id": run, "name": run, "state": self.runs[run]["state"]} for run in found]
        edges = [{"node": node, "cursor": node["id"]} for node in nodes]
        page = {"endCursor": None, "hasNextPage": False}
        return {"internalId": 1, "runCount": len(found), "readOnly": False, "runs": {"edges": edges, "pageInfo": page}}


@pytest.fixture
def wandb_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[WandbServer]:
    """A server with no run yet, for whose use there is a key."""
    with WandbServer() as server:
        monkeypatch.setenv("WANDB_BASE_URL", server.url)
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        monkeypatch.setenv("WANDB__GRAPHQL_RETRY_MAX", "1")  # each takes seconds
        monkeypatch.delenv("WANDB_MODE")
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


POINTS = ("dies = faulty:Dies", "hangs = faulty:Hangs", "eats = faulty:Eats", "blabs = faulty:Blabs")


@pytest.fixture
def faulty(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the package `faulty`, which processes started from now on find installed."""
    folder = tmp_path_factory.mktemp("site")
    shutil.copy(Path(__file__).with_name("faulty.py"), folder)
    about = folder / "faulty-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: faulty\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("\n".join(["[tunebench.methods]", *POINTS, ""]))
    monkeypatch.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)
    monkeypatch.setenv("SOME_API_KEY", "what-nobody-may-read")
    return folder


@pytest.fixture
def start(
    cache: Path, toy_folder: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Start]:
    """Starts `tunebench run` on the toy data as a process of its own, which is gone when the test ends."""
    started: list[subprocess.Popen[str]] = []
    monkeypatch.delenv("TUNEBENCH_WORKERS")
    # Where the tests run in the background, a shell has told them to ignore Ctrl-C, which processes inherit.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def start(methods: str, *options: str, out: Path | None = None) -> subprocess.Popen[str]:
        arguments = ["run", "--data", str(toy_folder), "--encoder", f"st:{tiny_model}", "--methods", methods]
        arguments += ["--out", str(out or tmp_path / "out"), *options]
        if "--seeds" not in options:
            arguments += ["--seeds", "0"]
        code = f"from bench.cli import main; main({arguments!r})"
        piped = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        started.append(subprocess.Popen([sys.executable, "-c", code], **piped, start_new_session=True))
        return started[-1]

    yield start
    signal.signal(signal.SIGINT, before)
    for process in started:
        process.kill()
        process.communicate()


ABOUT = """# Reliability

What was done to `tunebench run`, how often, and how many cells were lost by it: after each fault the same command was \
given again, and then every record was whole, and the scores were those of an undisturbed run. Written by \
`nox -s faults`:

| fault | times | cells lost |
|---|---:|---:|"""
TALLY = pytest.StashKey[dict[str, int]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--reliability", help="A file for what was tried: it gets a line for each kind of fault.")


@pytest.fixture
def tally(request: pytest.FixtureRequest) -> Callable[[str, int], None]:
    """Counts what was tried of a kind of fault, after it was found that nothing was lost."""
    counts = request.config.stash.setdefault(TALLY, {})
    return lambda fault, times: counts.update({fault: counts.get(fault, 0) + times})


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    path, counts = session.config.getoption("--reliability"), session.config.stash.get(TALLY, {})
    if path and exitstatus == 0:
        lines = [f"| {fault} | {times} | 0 |" for fault, times in sorted(counts.items())]
        Path(path).write_text("\n".join([ABOUT, *lines, f"| in all | {sum(counts.values())} | 0 |", ""]))
