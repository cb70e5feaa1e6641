"""Sessions. All of them run in one environment, `.nox/toolchain`, which is installed once."""

from __future__ import annotations

import hashlib
import os
import re
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

import nox

nox.needs_version = ">=2025.2"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_existing_virtualenvs = True
nox.options.sessions = ["lint", "types", "tests"]

ROOT = Path(__file__).parent
TOOLS = ROOT / ".nox" / "toolchain"
BIN = TOOLS / ("Scripts" if sys.platform == "win32" else "bin")
BOARD = re.compile(r"(<!-- board: (\S+) -->\n).*?(<!-- /board -->)", re.DOTALL)

in_toolchain = {"venv_backend": "none", "requires": ["toolchain"]}


def run(session: nox.Session, program: str, *arguments: str, **options: object) -> None:
    """Runs a program of the toolchain."""
    session.run(str(BIN / program), *arguments, external=True, **options)


@nox.session(default=False)
def toolchain(session: nox.Session) -> None:
    """Install everything, unless it is installed as pyproject.toml and constraints.txt say."""
    written = b"".join((ROOT / name).read_bytes() for name in ("pyproject.toml", "constraints.txt"))
    wanted, stamp = hashlib.sha256(written).hexdigest(), TOOLS / "installed"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    _install(session, "lint", "test", "page", editable=".[embedded,openai,ray]")
    stamp.write_text(wanted)


def _install(session: nox.Session, *groups: str, editable: str, more: Sequence[str] = ()) -> None:
    """Installs this project and what some of its dependency groups name."""
    if "PIP_FIND_LINKS" in os.environ:  # uv has its own name for it
        session.env["UV_FIND_LINKS"] = os.environ["PIP_FIND_LINKS"]
    named = nox.project.dependency_groups(nox.project.load_toml("pyproject.toml"), *groups)
    session.install("-c", "constraints.txt", "-e", editable, *named, *more)


@nox.session(default=False, **in_toolchain)
def quickstart(session: nox.Session) -> None:
    """Compare four methods on real data: the suite `quick`, its table and its page."""
    run(session, "tunebench", "run", "quick", *session.posargs)


@nox.session(**in_toolchain)
def lint(session: nox.Session) -> None:
    """Style and formatting."""
    run(session, "ruff", "check", ".")
    run(session, "ruff", "format", "--check", ".")


@nox.session(**in_toolchain)
def types(session: nox.Session) -> None:
    """Types, strictly."""
    run(session, "mypy")


@nox.session(**in_toolchain)
def tests(session: nox.Session) -> None:
    """All tests but the timings."""
    threads = {"OMP_NUM_THREADS": "1"}  # two workers share the processor
    run(session, "pytest", "-n", "2", *session.posargs, env=threads)


@nox.session(default=False, **in_toolchain)
def perf(session: nox.Session) -> None:
    """Timings, printed; they never fail by the clock."""
    run(session, "pytest", "tests/perf", "-s", "--benchmark-only", *session.posargs)


@nox.session(default=False, **in_toolchain)
def faults(session: nox.Session) -> None:
    """What happens to processes, disks and machines, at length, and what is lost by it: results/reliability.md."""
    threads = {"OMP_NUM_THREADS": "1"}
    report = ("--reliability", "results/reliability.md") if not session.posargs else ()
    run(session, "pytest", "tests/faults", "-m", "long or not long", *report, *session.posargs, env=threads)


@nox.session(default=False)
def plugin(session: nox.Session) -> None:
    """Hold a package of yours to the contracts, in an environment of its own: `nox -s plugin -- PATH`."""
    (path,) = session.posargs
    _install(session, "test", editable=".[embedded]", more=[path])
    session.run("pytest", "tests/contract", "-n", "2", env={"OMP_NUM_THREADS": "1"})


@nox.session(default=False)
def llama_index(session: nox.Session) -> None:
    """What is exported, searched by the in-memory store of LlamaIndex."""
    _install(session, "test", "llama-index", editable=".[embedded]")
    session.run("pytest", "tests/parity/test_llama_index.py", *session.posargs)


@nox.session(default=False, **in_toolchain)
def gpu(session: nox.Session) -> None:
    """What needs a GPU: the same results as on the CPU, and the time of a problem of FEVER's size."""
    run(session, "pytest", "tests/gpu", "-s", *session.posargs)


@nox.session(default=False, **in_toolchain)
def page(session: nox.Session) -> None:
    """The leaderboard page in Chromium, which must be installed."""
    run(session, "pytest", "tests/page", *session.posargs)


@nox.session(default=False, venv_backend="none")
def picture(session: nox.Session) -> None:
    """The picture of the page that README.md shows, taken by Chromium."""
    folder = ROOT / "results" / "embedded"
    quiet = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--hide-scrollbars")
    picture = f"--screenshot={folder / 'leaderboard.png'}"
    page = (folder / "leaderboard.html").as_uri()
    session.run("chromium", "--headless", *quiet, "--window-size=1120,1420", picture, page, external=True)


@nox.session(default=False, **in_toolchain)
def leaderboard(session: nox.Session) -> None:
    """Write the leaderboards of all committed results, and the board that README.md shows."""
    for records in sorted((ROOT / "results").glob("*/records")):
        if records.parent.name != "local":
            run(session, "tunebench", "report", str(records.parent.relative_to(ROOT)), silent=True)
    readme = ROOT / "README.md"
    readme.write_text(BOARD.sub(_board, readme.read_text(encoding="utf-8")), encoding="utf-8")


def _board(found: re.Match[str]) -> str:
    head, path, tail = found.groups()
    text = re.sub(r"\A# .*\n", "", (ROOT / path).read_text(encoding="utf-8"))
    return f"{head}{text.replace(chr(10) + '## ', chr(10) + '### ')}\n{tail}"


def _labels(suite: str) -> list[str]:
    """The methods of a suite, with their settings."""
    methods = tomllib.loads((ROOT / "bench" / "suites" / f"{suite}.toml").read_text(encoding="utf-8"))["methods"]
    return methods if isinstance(methods, list) else [label for labels in methods.values() for label in labels]


def _method_session(name: str) -> None:
    """A session for a method: it against `none`, with the first settings that a suite for a CPU has for it, if any."""
    labels = [label for suite in ("quick", "embedded", "corrector") for label in _labels(suite)]
    label = next((label for label in labels if re.sub(r"\[.*", "", label) == name), name)

    @nox.session(name=f"method-{name}", default=False, **in_toolchain)
    def method(session: nox.Session) -> None:
        out = ("--out", f"results/local/{name}")
        run(session, "tunebench", "run", "quick", "--methods", f"none,{label}", *out, *session.posargs)

    method.__doc__ = f"Compare {name} with none; `-- --datasets apidocs` and all options of `tunebench run` apply."


for _path in sorted((ROOT / "methods").glob("[!_]*.py")):
    _method_session(_path.stem.replace("_", "-"))
