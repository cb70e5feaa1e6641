"""Disks that are full, read-only or wrong: named in one line, nothing half written, and the same command goes on."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from processes import Tally, by_method, scores

from bench.cli import main
from bench.record import Record, Results

METHODS = "none,adaptor[batch=16,steps=5],nudge-m,nudge-n,nudge-loo,nnn"
Run = Callable[..., Result]


@pytest.fixture
def run(toy_folder: Path, tiny_model: Path, cache: Path) -> Run:
    def run(out: Path, *options: str, code: int = 0) -> Result:
        arguments = ["run", "--data", str(toy_folder), "--encoder", f"st:{tiny_model}", "--methods", METHODS]
        result = CliRunner().invoke(main, [*arguments, "--seeds", "0", "--out", str(out), *options])
        assert result.exit_code == code, (result.exception, result.stderr)
        return result

    return run


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 200 kB."""
    place = tmp_path / "disk"
    place.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", place], capture_output=True, check=False)
    if made.returncode:
        pytest.skip("only root can mount a disk")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def mount_again(place: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", place], check=True)


def test_a_full_disk(run: Run, small_disk: Path, tmp_path: Path, tally: Tally) -> None:
    run(tmp_path / "alone")
    mount_again(small_disk, "size=64k")
    out = small_disk / "out"
    said = run(out, code=2).stderr.splitlines()[-1]
    assert said.startswith(f"tunebench: {out}")
    assert said.endswith(": cannot be written (No space left on device); mend that, and run the same again")
    paths = list((out / "records").glob("*.json"))
    assert 0 < len(paths) < 6
    assert {Record.model_validate_json(path.read_bytes()).status for path in paths} == {"ok"}
    assert not list(out.rglob(".*.json.*")), "nothing half written"
    mount_again(small_disk, "size=50m")
    run(out)
    assert scores(out) == scores(tmp_path / "alone")
    tally("a full disk", 1)


def test_a_full_disk_under_the_cache(
    run: Run, small_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tally: Tally
) -> None:
    run(tmp_path / "alone")
    monkeypatch.setenv("TUNEBENCH_CACHE", str(small_disk / "cache"))
    (small_disk / "ballast").write_bytes(bytes(190 * 1024))
    run(tmp_path / "out", code=1)
    assert {record.status for record in by_method(tmp_path / "out").values()} == {"failed"}
    for record in by_method(tmp_path / "out").values():
        assert "cannot be written (No space left on device); mend that, and run the same again" in (record.reason or "")
    (small_disk / "ballast").unlink()
    run(tmp_path / "out")
    assert scores(tmp_path / "out") == scores(tmp_path / "alone")
    tally("a full disk", 1)


def test_a_read_only_disk(run: Run, small_disk: Path, tmp_path: Path, tally: Tally) -> None:
    mount_again(small_disk, "ro")
    out = small_disk / "out"
    assert run(out, code=2).stderr.splitlines()[-1] == (
        f"tunebench: {out}: cannot be written (Read-only file system); mend that, and run the same again"
    )
    mount_again(small_disk, "rw,size=50m")
    run(out)
    run(tmp_path / "alone")
    assert scores(out) == scores(tmp_path / "alone")
    tally("a read-only disk", 1)


@pytest.mark.parametrize("damage", [b"", b"{}", b'{"dataset": "x"', b"\x00" * 400, None], ids=str)
def test_a_damaged_record(run: Run, tmp_path: Path, damage: bytes | None, tally: Tally) -> None:
    out = tmp_path / "out"
    run(out)
    before = scores(out)
    path = Results(out).path(by_method(out)["nudge-m"].identity)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2] if damage is None else damage)
    with pytest.warns(UserWarning, match=f"{path.name}: damaged .*; it is set aside as {path.name}.damaged"):
        said = run(out).stderr
    assert "1 of 6 cells to run" in said
    assert scores(out) == before
    assert path.with_name(f"{path.name}.damaged").exists()
    tally("a damaged record", 1)


def test_a_damaged_shard(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tally: Tally) -> None:
    monkeypatch.setenv("TUNEBENCH_CACHE", str(tmp_path / "cache"))
    run(tmp_path / "alone")
    shards = sorted((tmp_path / "cache" / "embeddings").glob("*/*.npy"))
    assert len(shards) >= 2
    for number, shard in enumerate(shards):
        content = bytearray(shard.read_bytes())
        content[-5] ^= 1
        shard.write_bytes(content)
        with pytest.warns(UserWarning, match=f"{shard.name}: damaged; it is set aside as {shard.name}.damaged"):
            run(tmp_path / f"out {number}")
        assert scores(tmp_path / f"out {number}") == scores(tmp_path / "alone")
        assert shard.read_bytes() != bytes(content)
        tally("a damaged shard of embeddings", 1)


def test_damaged_scores_are_made_again(run: Run, tmp_path: Path, tally: Tally) -> None:
    out = tmp_path / "out"
    run(out)
    path = Results(out).per_query(by_method(out)["nudge-m"])
    content = path.read_bytes()
    for damage in (content[: len(content) // 2], None):
        path.unlink()
        if damage is not None:
            path.write_bytes(damage)
        with pytest.warns(UserWarning, match="damaged"):
            assert "1 of 6 cells to run" in run(out).stderr
        assert path.read_bytes() == content
        tally("a damaged table of scores", 1)


def test_a_results_folder_that_was_moved_goes_on(run: Run, tmp_path: Path) -> None:
    run(tmp_path / "out")
    shutil.move(tmp_path / "out", tmp_path / "elsewhere")
    assert "nothing to run: all 6 cells have a record" in run(tmp_path / "elsewhere").stderr
