"""What several folders of tests share: small data, a small model, a cache that nobody else uses."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import string
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings

settings.register_profile("tunebench", deadline=None)  # the first example often pays for an import
settings.load_profile("tunebench")

Judgement = tuple[str, str, int]
WriteFolder = Callable[..., Path]


@pytest.fixture(scope="session", autouse=True)
def no_wandb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test tells W&B what it does, unless it says so, and none finds the key of who runs it."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("WANDB_")]:
            patch.delenv(name)
        patch.setenv("WANDB_MODE", "disabled")
        patch.setenv("NETRC", os.devnull)
        patch.setenv("WANDB_DIR", str(tmp_path_factory.mktemp("wandb")))
        yield


@pytest.fixture(scope="session", autouse=True)
def in_this_process() -> Iterator[None]:
    """Cells run in the process of the test, which has imported torch already and can be looked into."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TUNEBENCH_WORKERS", "0")
        yield


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache folder that the tests of one module share."""
    folder = tmp_path_factory.mktemp("cache") / "tunebench"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TUNEBENCH_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="session")
def write_beir() -> WriteFolder:
    """Writes a BEIR folder, independently of the code under test."""

    def write(
        folder: Path,
        documents: Mapping[str, Mapping[str, object]],
        queries: Mapping[str, Mapping[str, object]],
        qrels: Mapping[str, Sequence[Judgement]],
    ) -> Path:
        (folder / "qrels").mkdir(parents=True)
        for name, rows in (("corpus", documents), ("queries", queries)):
            lines = [json.dumps({"_id": key, **row}, ensure_ascii=False) for key, row in rows.items()]
            (folder / f"{name}.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        for split, rows in qrels.items():
            lines = ["query-id\tcorpus-id\tscore", *("\t".join(map(str, row)) for row in rows)]
            (folder / "qrels" / f"{split}.tsv").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        return folder

    return write


@pytest.fixture(scope="session")
def toy_folder(tmp_path_factory: pytest.TempPathFactory, write_beir: WriteFolder) -> Path:
    """60 documents and 60 queries. Not to be changed."""
    return write_toy(write_beir, tmp_path_factory.mktemp("toy") / "toy", 60)


def write_toy(write_beir: WriteFolder, folder: Path, n: int) -> Path:
    """n documents of random words and n queries, each a few words of one or two of them."""
    random = np.random.default_rng(0)
    words = ["".join(random.choice(list(string.ascii_lowercase), 5)) for _ in range(150)]
    texts = [random.choice(words, 6, replace=False) for _ in range(n)]
    answers = [random.choice(n, 1 + number % 2, replace=False) for number in range(n)]
    asked = [[word for answer in own for word in random.choice(texts[answer], 3, replace=False)] for own in answers]
    return write_beir(
        folder,
        {f"d{number}": {"text": " ".join(text)} for number, text in enumerate(texts)},
        {f"q{number}": {"text": " ".join(text)} for number, text in enumerate(asked)},
        {"test": [(f"q{number}", f"d{answer}", 1) for number, own in enumerate(answers) for answer in own]},
    )


class _Zips(BaseHTTPRequestHandler):
    """Answers for the files of the server's folder, from the byte that is asked for, as a web server does."""

    server: ZipServer

    def do_GET(self) -> None:
        path = self.server.folder / self.path.lstrip("/")
        self.server.asked.append((self.path, self.headers.get("Range")))
        if not path.is_file():
            self.send_error(404)
            return
        content = path.read_bytes()
        start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").rstrip("-"))
        start = start if self.server.resumes else 0
        if start and start >= len(content):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        self.wfile.write(content[start : self.server.stops_at])

    def log_message(self, *args: object) -> None:
        pass


class ZipServer(ThreadingHTTPServer):
    """Serves the files of a folder on the loopback.

    Attributes:
        folder: whose files it serves.
        resumes: whether it answers for a part of a file.
        stops_at: the byte at which it breaks off, or None.
        asked: path and Range of each request.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Zips)
        self.folder, self.resumes, self.asked = folder, True, []
        self.stops_at: int | None = None
        self.url = f"http://127.0.0.1:{self.server_port}"

    def put(self, name: str, members: Mapping[str, bytes]) -> str:
        """Packs a zip and returns its MD5."""
        with zipfile.ZipFile(self.folder / name, "w", zipfile.ZIP_DEFLATED) as packed:
            for member, content in members.items():
                packed.writestr(zipfile.ZipInfo(member), content)  # which bears no date
        return hashlib.md5((self.folder / name).read_bytes(), usedforsecurity=False).hexdigest()


@pytest.fixture
def zip_server(tmp_path: Path) -> Iterator[ZipServer]:
    """A server with nothing on it yet."""
    folder = tmp_path / "served"
    folder.mkdir()
    with ZipServer(folder) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def packed_folder(folder: Path, inside: str) -> dict[str, bytes]:
    """The files of a folder as members of a zip."""
    return {
        f"{inside}/{path.relative_to(folder).as_posix()}": path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def write_hub(folder: Path, tables: Mapping[tuple[str, str], Mapping[str, list[object]]]) -> Path:
    """Writes a data set repository as the Hub has it: a Parquet file for each (configuration, split), and a card."""
    import yaml
    from datasets import Dataset, disable_progress_bars

    disable_progress_bars()
    files: dict[str, list[dict[str, str]]] = {}
    for (configuration, split), columns in tables.items():
        path = folder / configuration / f"{split}-00000-of-00001.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        Dataset.from_dict(dict(columns)).to_parquet(path)
        files.setdefault(configuration, []).append({"split": split, "path": f"{configuration}/{split}-*"})
    card = {"configs": [{"config_name": name, "data_files": parts} for name, parts in files.items()]}
    (folder / "README.md").write_text(f"---\n{yaml.safe_dump(card)}---\n")
    return folder


DEALT = (range(7), range(7, 8), range(8, 10))  # of ten queries: train, dev and test


def paper_tables(folder: Path) -> dict[tuple[str, str], dict[str, list[object]]]:
    """A BEIR folder as the authors of NUDGE host theirs, its queries dealt to three splits."""
    rows = {
        name: [json.loads(line) for line in (folder / f"{name}.jsonl").read_text().splitlines()]
        for name in ("corpus", "queries")
    }
    judged = [line.split("\t") for line in (folder / "qrels" / "test.tsv").read_text().splitlines()[1:]]
    tables: dict[tuple[str, str], dict[str, list[object]]] = {
        ("data_records", "train"): {
            "record_id": [row["_id"] for row in rows["corpus"]],
            "text": [row["text"] for row in rows["corpus"]],
        }
    }
    for part, split in enumerate(("train", "dev", "test")):
        mine = [row for number, row in enumerate(rows["queries"]) if number % 10 in DEALT[part]]
        ids = {row["_id"] for row in mine}
        own = [row for row in judged if row[0] in ids]
        tables["qs", split] = {"q_id": [row["_id"] for row in mine], "input": [row["text"] for row in mine]}
        tables["qs_rel", split] = {
            "q_id": [row[0] for row in own],
            "record_id": [row[1] for row in own],
            "rel": [int(row[2]) for row in own],
        }
    return tables


def photograph(number: int) -> bytes:
    """A small JPEG of one colour."""
    from PIL import Image

    written = io.BytesIO()
    Image.new("RGB", (8, 8), (number * 8 % 256, 90, 255 - number)).save(written, "JPEG")
    return written.getvalue()


def captioned_copy(source: Any, server: ZipServer, n: int) -> Any:
    """n photographs with three captions each, as Flickr30k's host or COCO's has them."""
    from bench.data.captions import coco_captions
    from bench.data.download import Download

    zipped, written = (download.url.rpartition("/")[2] for download in (source.photographs, source.captions))
    said = {
        number: [f"a thing of colour {number}, {view}" for view in ("left", "right", "above")] for number in range(n)
    }
    if source.read is coco_captions:
        name = "COCO_train2014_{:012d}.jpg".format
        photographs = {f"train2014/{name(number)}": photograph(number) for number in said}
        captions = {
            "images": [{"id": number, "file_name": name(number)} for number in said],
            "annotations": [
                {"id": 9 * number, "image_id": number, "caption": f"{caption}\n"}
                for number, own in said.items()
                for caption in [*own, " "]
            ],
        }
        md5 = server.put(written, {"annotations/captions_train2014.json": json.dumps(captions).encode()})
        captions_at = Download(f"{server.url}/{written}", md5)
    else:
        photographs = {f"flickr30k-images/{number}.jpg": photograph(number) for number in said}
        with (server.folder / written).open("w", newline="") as file:
            table = csv.DictWriter(file, ["raw", "sentids", "split", "filename", "img_id"])
            table.writeheader()
            for number, own in said.items():
                table.writerow(
                    {"raw": json.dumps(own), "split": "train", "filename": f"{number}.jpg", "img_id": number}
                )
        captions_at = Download(f"{server.url}/{written}")
    return replace(
        source,
        photographs=Download(f"{server.url}/{zipped}", server.put(zipped, photographs)),
        captions=captions_at,
    )


@pytest.fixture
def local_copy(
    zip_server: ZipServer, toy_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], None]:
    """Has a data set of the catalogue that lies on a server taken from a small local copy in the server's form."""
    from bench.data import catalogue
    from bench.data.archive import Archive
    from bench.data.captions import Captions
    from bench.data.counts import Counts
    from bench.data.download import Download
    from bench.data.hub import Hub

    def put(name: str, entry: catalogue.Entry) -> None:
        monkeypatch.setattr(catalogue, "CATALOGUE", {**catalogue.CATALOGUE, name: entry})

    def use(name: str, folder: Path = toy_folder) -> None:
        n = len((folder / "corpus.jsonl").read_text().splitlines())
        entry = catalogue.entry(name)
        if isinstance(entry.source, Hub):
            import datasets

            monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "hf"))
            source = Hub(str(write_hub(folder.parent / name, paper_tables(folder))))
            put(name, replace(entry, source=source))
        if isinstance(entry.source, Archive):
            file = entry.source.zip.url.rpartition("/")[2]
            md5 = zip_server.put(file, packed_folder(folder, entry.source.inside))
            source = replace(entry.source, zip=Download(f"{zip_server.url}/{file}", md5))
            put(name, replace(entry, source=source, counts=Counts(n, n, n + n // 2)))
        if isinstance(entry.source, Captions):
            source = captioned_copy(entry.source, zip_server, n)
            put(name, replace(entry, source=source, counts=Counts(n, 3 * n, 3 * n)))

    return use


@pytest.fixture(scope="session")
def write_cell() -> Callable[..., Any]:
    """Writes a record, with the scores of two queries when it is `ok`, and returns it."""
    import pandas as pd

    from bench.record import Record, Results

    def write(folder: Path, seed: int = 0, status: str = "ok", **fields: Any) -> Record:
        named = {"dataset": "apidocs", "encoder": "minilm", "method": "none", "seed": seed}
        ran = {"metrics": {"ndcg@10": 0.5}, "fit_seconds": 1.5} if status == "ok" else {"reason": "bad luck"}
        identity = {**named, "method_version": 1, "accelerator": "cpu", "split": "random", "limit": None, "threads": 2}
        record = Record(**(named | ran | {"status": status, "identity": identity} | fields))
        scores = pd.DataFrame({"query_id": ["q1", "q2"], "nearest": [0.25, np.nan], "ndcg@10": [0.0, 1.0]})
        Results(folder).write(record, scores if status == "ok" else None)
        return record

    return write


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sentence-transformers model with random weights: 32 dimensions, one layer, letters as tokens. Read only."""
    import torch
    from sentence_transformers import SentenceTransformer
    from transformers import BertConfig, BertModel, BertTokenizer

    folder = tmp_path_factory.mktemp("model")
    letters = string.ascii_lowercase + string.digits
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters)]
    (folder / "vocab.txt").write_text("\n".join(tokens))
    BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = BertModel(
            BertConfig(
                vocab_size=len(tokens),
                hidden_size=32,
                intermediate_size=32,
                num_hidden_layers=1,
                num_attention_heads=2,
                max_position_embeddings=64,
                initializer_range=0.5,
            )
        )
    model.save_pretrained(folder)
    SentenceTransformer(str(folder), device="cpu").save_pretrained(str(folder / "tiny"))
    return folder / "tiny"


@pytest.fixture(scope="session")
def tiny_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CLIP with random weights and letters as tokens, in the files that OpenAI's repositories have. Read only."""
    import torch
    from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

    folder = tmp_path_factory.mktemp("clip")
    letters = [chr(code) for code in range(33, 127)]
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({token: number for number, token in enumerate(tokens)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=77).save_pretrained(folder)
    tower = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    last = len(tokens) - 1
    text = {"vocab_size": len(tokens), "bos_token_id": last - 1, "eos_token_id": last, "pad_token_id": last}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        CLIPModel(
            CLIPConfig(
                text_config={**tower, **text},
                vision_config={**tower, "image_size": 32, "patch_size": 16},
                projection_dim=24,
            )
        ).save_pretrained(folder)
    scaling = {"do_resize": True, "size": 32, "resample": 3, "do_center_crop": True, "crop_size": 32}
    colours = {"do_normalize": True, "image_mean": [0.48, 0.46, 0.41], "image_std": [0.27, 0.26, 0.28]}
    legacy = {"feature_extractor_type": "CLIPFeatureExtractor"}
    (folder / "preprocessor_config.json").write_text(json.dumps({**scaling, **colours, **legacy}))
    return folder


@pytest.fixture
def float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """Encoders compute in float32, whatever the processor has."""
    monkeypatch.setattr("bench.embed.sentence.has_bfloat16", lambda device: False)
