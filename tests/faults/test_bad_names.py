"""A name that nothing is called by is answered with the nearest that exists, in one line, before anything runs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import NoReturn

import pytest
from click.testing import CliRunner, Result

from bench.cli import main
from methods import _registry

pytestmark = pytest.mark.usefixtures("cache")


def refused(arguments: list[str], out: Path) -> str:
    """Runs the command and returns the one line that it must answer with."""
    result: Result = CliRunner().invoke(main, ["run", *arguments, "--out", str(out)])
    assert result.exit_code == 2, result.exception or result.stderr
    assert result.stdout == ""
    assert re.fullmatch(r"tunebench: [^\n]+\n", result.stderr)
    assert not out.exists()
    return result.stderr


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        ("nudge-k", "unknown method 'nudge-k'; did you mean 'nudge-"),
        ("adapter", "unknown method 'adapter'; did you mean 'adaptor'?"),
        ("nudge_n", "unknown method 'nudge_n'; did you mean 'nudge-n'?"),
        ("none+adaptr", "unknown method 'adaptr'; did you mean 'adaptor'?"),
        ("xyz", "unknown method 'xyz'; known: "),
        ("adaptor[bach=64]", "unknown hyperparameter of adaptor 'bach'; did you mean 'batch'?"),
        ("nudge-n[compat=referense]", "unknown value of nudge-n[compat] 'referense'; did you mean 'reference'?"),
        ("adaptor[batch=many]", "adaptor[batch]: 'many' is not a valid int"),
        ("adaptor[batch]", "adaptor[batch]: '' is not a valid int"),
        ("nudge-n[gamma=nan]", "nudge-n[gamma]: 'nan' is not a valid float"),
        ("adaptor[scale=inf]", "adaptor[scale]: 'inf' is not a valid float"),
        ("adaptor[batch=64", "write name or name[key=value,…]"),
        ("adaptor]batch=64[", "write name or name[key=value,…]"),
        ("none+", "write name or name[key=value,…]"),
    ],
)
def test_method(toy_folder: Path, tmp_path: Path, method: str, answer: str) -> None:
    assert answer in refused(["--data", str(toy_folder), "--methods", method], tmp_path / "out")


def test_no_method_at_all(toy_folder: Path, tmp_path: Path) -> None:
    assert "methods" in refused(["--data", str(toy_folder), "--methods", ","], tmp_path / "out")


def test_a_method_whose_package_is_missing_says_so(
    toy_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load() -> NoReturn:
        raise ModuleNotFoundError("No module named 'someone'", name="someone")

    names: Mapping[str, object] = {
        **_registry.method_names(),
        "borrowed": SimpleNamespace(value="x", dist=None, load=load),
    }
    monkeypatch.setattr(_registry, "method_names", lambda: names)
    arguments = ["run", "--data", str(toy_folder), "--methods", "borrowed", "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    said, line = result.stderr.splitlines()
    assert said == "borrowed comes from x"
    assert line.startswith("tunebench: method 'borrowed' is not available: No module named 'someone'; ")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("dataset", "answer"),
    [
        ("icon-name", "unknown data set 'icon-name'; did you mean 'icon-names'?"),
        ("api-docs", "unknown data set 'api-docs'; did you mean 'apidocs'?"),
        ("zzz", "unknown data set 'zzz'; known: "),
    ],
)
def test_data_set(tmp_path: Path, dataset: str, answer: str) -> None:
    assert answer in refused(["--datasets", dataset], tmp_path / "out")


@pytest.mark.parametrize(
    ("encoder", "answer"),
    [
        ("mini-lm", "unknown encoder 'mini-lm'; did you mean 'minilm'?"),
        ("zzz", "unknown encoder 'zzz'; known: "),
    ],
)
def test_encoder(toy_folder: Path, tmp_path: Path, encoder: str, answer: str) -> None:
    assert answer in refused(["--data", str(toy_folder), "--encoder", encoder], tmp_path / "out")


def test_encoder_in_a_folder_that_holds_no_model(toy_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    line = refused(["--data", str(toy_folder), "--encoder", f"st:{tmp_path / 'model'}"], tmp_path / "out")
    assert str(tmp_path / "model") in line


def test_suite(tmp_path: Path) -> None:
    assert "unknown suite 'quikc'; did you mean 'quick'?" in refused(["quikc"], tmp_path / "out")
    assert "unknown suite 'zzz'; known: " in refused(["zzz"], tmp_path / "out")


@pytest.mark.parametrize("device", ["cuad", "cpuu", "gpu"])
def test_device(toy_folder: Path, tmp_path: Path, device: str) -> None:
    line = refused(["--data", str(toy_folder), "--device", device], tmp_path / "out")
    assert f"device '{device}': " in line
    assert "cpu, cuda" in line
    assert "tunebench doctor" in line


def test_device_that_is_not_there(toy_folder: Path, tmp_path: Path) -> None:
    line = refused(["--data", str(toy_folder), "--device", "cuda:63"], tmp_path / "out")
    assert "device 'cuda:63': " in line


GOOD = 'datasets = ["apidocs"]\nmethods = ["none"]\nseeds = [0]\n'


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (GOOD + 'encoder = ["minilm"]\n', "unknown field 'encoder'; did you mean 'encoders'"),
        (GOOD.replace("methods", "method"), "unknown field 'method'; did you mean 'methods'"),
        (GOOD.replace("apidocs", "apidoc"), "unknown data set 'apidoc'; did you mean 'apidocs'"),
        (GOOD.replace("none", "nome"), "unknown method 'nome'; did you mean 'none'"),
        (GOOD + 'encoders = ["minlm"]\n', "unknown encoder 'minlm'; did you mean 'minilm'"),
        (GOOD + 'encoders = {apidocs = ["minlm"]}\n', "unknown encoder 'minlm'; did you mean 'minilm'"),
        (GOOD + 'encoders = {apidoc = ["minilm"]}\n', "unknown data set 'apidoc'; did you mean 'apidocs'"),
        (GOOD + 'split = "grouepd"\n', "suite.toml: split: .*'grouped'"),
        (GOOD + "limit = 0\n", "suite.toml: limit: .*greater than or equal to 1"),
        (GOOD.replace("[0]", '["zero"]'), "suite.toml: seeds.0: .*integer"),
        (GOOD.replace("[0]", "[]"), "suite.toml: seeds: .*at least 1"),
        (GOOD.replace("seeds = [0]\n", ""), "suite.toml: seeds: Field required"),
        (GOOD + "seeds = [1]\n", "suite.toml: not valid TOML"),
        ("datasets: [apidocs]", "suite.toml: not valid TOML .*line 1"),
    ],
)
def test_suite_file(tmp_path: Path, text: str, answer: str) -> None:
    (tmp_path / "suite.toml").write_text(text)
    assert re.search(answer, refused([str(tmp_path / "suite.toml")], tmp_path / "out"))


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        (["--seeds", "0,x"], "0,1,2"),
        (["--split", "grouepd"], "grouped"),
        (["--overwrite", "all"], "always"),
        (["--limit", "many"], "not a valid integer"),
        (["--method", "none"], "--methods"),
    ],
)
def test_option(toy_folder: Path, tmp_path: Path, arguments: list[str], answer: str) -> None:
    result = CliRunner().invoke(main, ["run", "--data", str(toy_folder), "--out", str(tmp_path / "out"), *arguments])
    assert result.exit_code == 2
    assert answer in result.stderr
    assert not (tmp_path / "out").exists()


def test_out_that_is_a_file_is_refused_before_anything_runs(toy_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    result = CliRunner().invoke(main, ["run", "--data", str(toy_folder), "--out", str(tmp_path / "out"), "--dry-run"])
    assert result.exit_code == 2, result.exception
    assert str(tmp_path / "out") in result.stderr
    assert (tmp_path / "out").read_text() == "mine"


def test_report_on_a_folder_without_records(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["report", str(tmp_path)])
    assert result.exit_code == 2
    assert re.fullmatch(r"tunebench: [^\n]+ holds no records; [^\n]+\n", result.stderr)
    assert list(tmp_path.iterdir()) == []
