"""What is wrong with a BEIR folder is said in one line, and nothing is written."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from click.testing import CliRunner

from bench.cli import main

CORPUS, QUERIES, QRELS = "corpus.jsonl", "queries.jsonl", "qrels/test.tsv"


@pytest.fixture
def folder(tmp_path: Path, write_beir: Any) -> Path:
    """12 documents, 12 queries with a judgement each: nothing is wrong with it."""
    return write_beir(
        tmp_path / "data",
        {f"d{number}": {"title": "", "text": f"text {number}"} for number in range(12)},
        {f"q{number}": {"text": f"query {number}"} for number in range(12)},
        {"test": [(f"q{number}", f"d{number}", 1) for number in range(12)]},
    )


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of the one test's own."""
    monkeypatch.setenv("TUNEBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


class Fault(NamedTuple):
    """What breaks a folder, and what the line must then say: the file, the line in it or None, and the remedy."""

    spoil: Callable[[Path], object]
    file: str
    line: int | None
    remedy: str


def line(file: str, number: int, text: str | bytes) -> Callable[[Path], object]:
    """Writes `text` in place of one line."""

    def spoil(folder: Path) -> None:
        lines = (folder / file).read_bytes().splitlines()
        lines[number - 1] = text.encode() if isinstance(text, str) else text
        (folder / file).write_bytes(b"\n".join(lines) + b"\n")

    return spoil


def content(file: str, text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / file).write_text(text)


def judged_twice(folder: Path) -> None:
    (folder / "qrels" / "train.tsv").write_text("query-id\tcorpus-id\tscore\nq3\td1\t1\n")


def too_few_queries(folder: Path) -> None:
    lines = (folder / QRELS).read_text().splitlines()
    (folder / QRELS).write_text("\n".join(lines[:10]) + "\n")


FAULTS = {
    "no corpus": Fault(lambda folder: (folder / CORPUS).unlink(), CORPUS, None, "a BEIR folder has corpus.jsonl"),
    "no queries": Fault(lambda folder: (folder / QUERIES).unlink(), QUERIES, None, "a BEIR folder has .*queries.jsonl"),
    "no judgements": Fault(lambda folder: (folder / QRELS).unlink(), "qrels", None, "write the judgements to"),
    "no qrels folder": Fault(lambda folder: shutil.rmtree(folder / "qrels"), "qrels", None, "write the judgements to"),
    "no folder": Fault(shutil.rmtree, CORPUS, None, "a BEIR folder has corpus.jsonl"),
    "document without id": Fault(line(CORPUS, 3, '{"text": "x"}'), CORPUS, 3, "every line needs _id and text"),
    "document without text": Fault(line(CORPUS, 3, '{"_id": "d2"}'), CORPUS, 3, "every line needs _id and text"),
    "query without text": Fault(line(QUERIES, 5, '{"_id": "q4"}'), QUERIES, 5, "every line needs _id and text"),
    "id that is a number": Fault(line(CORPUS, 1, '{"_id": 1, "text": "x"}'), CORPUS, 1, "not a string"),
    "text that is a list": Fault(line(CORPUS, 1, '{"_id": "d0", "text": []}'), CORPUS, 1, "not a string"),
    "invalid JSON in the corpus": Fault(line(CORPUS, 7, '{"_id": "d6", "text": "x"'), CORPUS, 7, "mend or delete"),
    "invalid JSON in the queries": Fault(line(QUERIES, 7, "{'_id': 'q6'}"), QUERIES, 7, "mend or delete"),
    "a line that is no object": Fault(line(CORPUS, 7, '["d6", "x"]'), CORPUS, 7, "every line needs _id and text"),
    "metadata that is no object": Fault(
        line(QUERIES, 2, '{"_id": "q1", "text": "x", "metadata": "y"}'), QUERIES, 2, "metadata"
    ),
    "group that is no string": Fault(
        line(QUERIES, 2, '{"_id": "q1", "text": "x", "metadata": {"group": ["y"]}}'), QUERIES, 2, "group"
    ),
    "half a surrogate pair": Fault(line(CORPUS, 4, r'{"_id": "d3", "text": "\ud83d"}'), CORPUS, 4, "surrogate|UTF-8"),
    "half a surrogate pair in a query": Fault(
        line(QUERIES, 4, r'{"_id": "q3", "text": "x \ude00"}'), QUERIES, 4, "surrogate|UTF-8"
    ),
    "duplicate document": Fault(
        line(CORPUS, 9, '{"_id": "d2", "text": "x"}'), CORPUS, 9, "'d2' stands in line 3 already; rename or delete"
    ),
    "duplicate query": Fault(line(QUERIES, 9, '{"_id": "q0", "text": "x"}'), QUERIES, 9, "line 1 .*rename or delete"),
    "empty corpus": Fault(content(CORPUS, ""), CORPUS, None, "write one JSON object a line"),
    "empty query": Fault(line(QUERIES, 2, '{"_id": "q1", "text": " "}'), QUERIES, 2, "write one or delete the line"),
    "unknown document": Fault(line(QRELS, 6, "q4\td99\t1"), QRELS, 6, "'d99' is not in corpus.jsonl; add it"),
    "unknown query": Fault(line(QRELS, 6, "q99\td4\t1"), QRELS, 6, "'q99' is not in queries.jsonl; add it"),
    "no judged query": Fault(
        content(QRELS, "query-id\tcorpus-id\tscore\nq1\td1\t0\n"), "qrels", None, "add judgements"
    ),
    "empty qrels": Fault(content(QRELS, ""), "qrels", None, "add judgements"),
    "fewer than 10 judged queries": Fault(too_few_queries, "qrels", None, "only 9 judged queries.* need 10"),
    "a byte that is not UTF-8 in the corpus": Fault(
        line(CORPUS, 5, b'{"_id": "d4", "text": "caf\xe9"}'), CORPUS, 5, "0xe9 is not UTF-8; convert"
    ),
    "a byte that is not UTF-8 in the judgements": Fault(line(QRELS, 5, b"q3\td\xff3\t1"), QRELS, 5, "convert the file"),
    "score that is no number": Fault(line(QRELS, 8, "q6\td6\tyes"), QRELS, 8, "'yes' is not an integer; write 1"),
    "score with a fraction": Fault(line(QRELS, 8, "q6\td6\t0.5"), QRELS, 8, "'0.5' is not an integer; write 1"),
    "no header": Fault(line(QRELS, 1, "q0\td0\t1"), QRELS, 1, "must be query-id, corpus-id, score"),
    "TREC qrels": Fault(line(QRELS, 1, "q0 0 d0 1"), QRELS, 1, "must be query-id, corpus-id, score"),
    "commas for tabs": Fault(line(QRELS, 4, "q2,d2,1"), QRELS, 4, "1 columns instead of 3; separate .* by tabs"),
    "four columns": Fault(line(QRELS, 4, "q2\t0\td2\t1"), QRELS, 4, "4 columns instead of 3; separate"),
    "query judged on itself": Fault(
        lambda folder: [
            path.write_text(path.read_text().replace("q7", "d7")) for path in (folder / QUERIES, folder / QRELS)
        ],
        QRELS,
        9,
        "'d7' is judged on the document of its own id.* give the queries ids of their own",
    ),
    "picture that is not there": Fault(
        line(CORPUS, 3, '{"_id": "d2", "image": "images/x.png"}'), CORPUS, 3, "x.png: No such file.*put the picture"
    ),
    "picture without a byte": Fault(
        lambda folder: [
            (folder / "x.png").write_bytes(b""),
            line(CORPUS, 3, '{"_id": "d2", "image": "x.png"}')(folder),
        ],
        CORPUS,
        3,
        "x.png: holds no byte; put the picture there",
    ),
    "image that is no string": Fault(line(CORPUS, 3, '{"_id": "d2", "image": 3}'), CORPUS, 3, "'image' .*not a string"),
    "text and picture in one": Fault(
        line(QUERIES, 3, '{"_id": "q2", "text": "x", "image": "x.png"}'), QUERIES, 3, "delete the other"
    ),
    "query judged in train and test": Fault(judged_twice, "qrels/train.tsv", 2, "'q3' .*keep it in one of them"),
}


def run(folder: Path, out: Path, *more: str) -> list[str]:
    return ["run", "--data", str(folder), "--methods", "none", "--encoder", "minilm", "--out", str(out), *more]


@pytest.mark.parametrize("name", FAULTS)
def test_a_bad_folder_is_named_in_one_line(folder: Path, tmp_path: Path, cache: Path, name: str) -> None:
    fault = FAULTS[name]
    fault.spoil(folder)
    result = CliRunner().invoke(main, run(folder, tmp_path / "out"))
    assert result.exit_code == 2, result.exception
    assert result.stdout == ""
    assert re.fullmatch(r"tunebench: [^\n]+\n", result.stderr)
    place = folder / fault.file
    named = [f"{place}, line {fault.line}"]
    if fault.file == "qrels/train.tsv":  # which of the two files is read first is nobody's business
        named.append(f"{folder / QRELS}, line 5")
    assert any(f"tunebench: {where}: " in result.stderr for where in named) or (
        fault.line is None and result.stderr.startswith(f"tunebench: {place}: ")
    )
    assert re.search(fault.remedy, result.stderr)
    assert not (tmp_path / "out").exists()
    assert not cache.exists()


def test_all_lines_with_one_kind_of_fault_are_named_at_once(folder: Path, tmp_path: Path, cache: Path) -> None:
    for number in (9, 3, 4):
        line(CORPUS, number, '{"_id": "d5", "text": "x"')(folder)
    line(CORPUS, 6, '["another kind"]')(folder)
    for mended, message in (
        (range(0), r"corpus\.jsonl, line 3: not valid JSON [^\n]*; mend or delete the line; so it is in lines 4, 9\n"),
        ((3, 4), r"corpus\.jsonl, line 6: not a JSON object; [^;]*\n"),
        ((6,), r"corpus\.jsonl, line 9: not valid JSON [^;]*; mend or delete the line\n"),
    ):
        for number in mended:
            line(CORPUS, number, f'{{"_id": "new{number}", "text": "x"}}')(folder)
        result = CliRunner().invoke(main, run(folder, tmp_path / "out"))
        assert re.search(message, result.stderr), result.stderr


def test_of_many_faults_some_are_shown_and_the_rest_are_counted(folder: Path, tmp_path: Path, cache: Path) -> None:
    (folder / QRELS).write_text("query-id\tcorpus-id\tscore\n" + "q1\tnothing\t1\n" * 1500)
    result = CliRunner().invoke(main, run(folder, tmp_path / "out"))
    assert "line 2: document 'nothing' is not in corpus.jsonl;" in result.stderr
    assert result.stderr.endswith("so it is in lines 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 and 1,489 more\n")


def test_a_bad_folder_leaves_earlier_results_as_they_were(folder: Path, tmp_path: Path, cache: Path) -> None:
    out = tmp_path / "out"
    (out / "records").mkdir(parents=True)
    (out / "leaderboard.md").write_text("earlier")
    (folder / CORPUS).unlink()
    assert CliRunner().invoke(main, run(folder, out)).exit_code == 2
    assert {path.relative_to(out).as_posix() for path in out.rglob("*")} == {"records", "leaderboard.md"}
    assert (out / "leaderboard.md").read_text() == "earlier"


@pytest.mark.parametrize(
    ("options", "remedy"),
    [
        (["--limit", "9"], "limit"),
        (["--limit", "0"], "limit"),
        (["--split", "official"], "use random or grouped"),
    ],
)
def test_what_a_folder_is_too_small_for_is_refused_before_anything_runs(
    folder: Path, tmp_path: Path, cache: Path, options: list[str], remedy: str
) -> None:
    result = CliRunner().invoke(main, run(folder, tmp_path / "out", *options))
    assert result.exit_code == 2, result.stderr
    assert re.fullmatch(r"tunebench: [^\n]+\n", result.stderr)
    assert remedy in result.stderr
    assert not (tmp_path / "out").exists()


def test_groups_too_large_to_split_are_refused_before_anything_runs(
    tmp_path: Path, cache: Path, write_beir: Any
) -> None:
    folder = write_beir(
        tmp_path / "data",
        {"d0": {"text": "text"}},
        {f"q{number}": {"text": f"query {number}", "metadata": {"group": "one"}} for number in range(12)},
        {"test": [(f"q{number}", "d0", 1) for number in range(12)]},
    )
    result = CliRunner().invoke(main, run(folder, tmp_path / "out", "--split", "grouped"))
    assert result.exit_code == 2, result.stderr
    assert re.fullmatch(r"tunebench: [^\n]+the grouped split leaves no [^\n]+\n", result.stderr)
    assert not (tmp_path / "out").exists()


def test_the_command_itself_prints_no_traceback(folder: Path, tmp_path: Path, cache: Path) -> None:
    line(CORPUS, 7, "{")(folder)
    code = "import sys; from bench.cli import main; sys.argv[0] = 'tunebench'; main()"
    command = [sys.executable, "-c", code, *run(folder, tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert re.fullmatch(r"tunebench: .*corpus\.jsonl, line 7: not valid JSON [^\n]+\n", done.stderr)
    assert not (tmp_path / "out").exists()
