"""Encoders through sentence-transformers: any of its architectures, with texts and, where the model can, pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from bench.embed.pictures import opened
from bench.errors import BadInput, one_line
from methods import Item, Picture, Role, has_bfloat16

if TYPE_CHECKING:
    from PIL import Image
    from sentence_transformers import SentenceTransformer

TOKENS = 1_024  # a batch, padding included; what it takes then stays in a processor's cache
ON_GPU = 64  # times as many
PICTURE = 256  # tokens that a picture counts for, those of the larger CLIP


def needs_trust(name: str) -> BadInput:
    """The error of a model that runs code without leave."""
    return BadInput(f"{name}: runs Python code that comes with the model; if you trust it, pass --trust-remote-code")


@dataclass(frozen=True)
class SentenceEncoder:
    """A sentence-transformers model in a folder, loaded when it first encodes.

    It keeps its weights in float32 and computes in bfloat16 where the device has instructions for it.

    Attributes:
        name: as it was asked for.
        folder: where the model is.
        revision: what tells these weights from others: a commit, or a hash of the files.
        max_length: tokens after which a text is cut; 0 leaves the model's own limit.
        device: where it computes.
        trust_remote_code: whether Python code that comes with the model may run.
    """

    name: str
    folder: Path
    revision: str
    max_length: int = 0
    device: str = "cpu"
    trust_remote_code: bool = False

    @cached_property
    def model(self) -> SentenceTransformer:
        """The loaded model.

        Raises:
            BadInput: when the folder holds none, or one that runs code which nobody trusts.
        """
        from sentence_transformers import SentenceTransformer
        from transformers.utils import logging

        logging.disable_progress_bar()  # type: ignore[no-untyped-call] # the harness shows its own
        try:
            model = SentenceTransformer(
                str(self.folder),
                device=self.device,
                trust_remote_code=self.trust_remote_code,
                model_kwargs={"dtype": "float32"},
                # Pictures are scaled alike whether or not torchvision is installed.
                processor_kwargs={"backend": "pil"} if (self.folder / "preprocessor_config.json").exists() else None,
            )
        except Exception as error:  # noqa: BLE001 — a damaged model fails in many ways
            if "trust_remote_code" in str(error):
                raise needs_trust(self.name) from None
            raise BadInput(f"{self.folder}: not a sentence-transformers model ({one_line(error)})") from None
        if self.max_length:
            model.max_seq_length = self.max_length
        return model

    @property
    def dtype(self) -> torch.dtype:
        """What it computes in, a property of the device."""
        return torch.bfloat16 if has_bfloat16(torch.device(self.device)) else torch.float32

    @property
    def settings(self) -> dict[str, str | int]:
        """All that decides a vector, besides the item and its role."""
        return {
            "encoder": self.name,
            "revision": self.revision,
            "max_length": self.max_length,
            "dtype": str(self.dtype).removeprefix("torch."),
        }

    def encode(self, items: Sequence[Item], role: Role) -> Tensor:
        """Encodes by the model's own prompt for the role, longest first, so that little is padded.

        Returns:
            (len(items), d) float32 on the CPU, as the model gives them.

        Raises:
            BadInput: for pictures and a model that reads only texts, before anything is encoded; for a file that is
                no picture; when the device has no memory for a single item.
        """
        pictures = sum(isinstance(item, Picture) for item in items)
        if pictures and "image" not in self.model.modalities:
            raise BadInput(f"{self.name} encodes texts only; use icon-clip, clip-b32 or clip-l14")
        device, lengths = torch.device(self.device), self._lengths(items)
        # Pictures first, and equals by what they are, so that the order of the items decides nothing.
        order = sorted(
            range(len(items)),
            key=lambda row: (isinstance(items[row], Picture), lengths[row], str(items[row])),
            reverse=True,
        )
        vectors: list[Tensor] = []
        at, tokens = 0, TOKENS * (ON_GPU if device.type == "cuda" else 1)
        with torch.autocast(device.type, self.dtype, enabled=self.dtype == torch.bfloat16):
            while at < len(order):
                longest = lengths[order[at]]
                stop = at + max(1, tokens // longest)
                some = [items[row] for row in order[at : min(stop, pictures) if at < pictures else stop]]
                try:
                    vectors.append(self._batch(some, role))
                except torch.OutOfMemoryError:
                    if len(some) == 1:
                        raise BadInput(
                            f"{self.name}: {self.device} has no memory for {str(some[0])[:60]!r} alone; "
                            "free some, or use a smaller encoder or --device cpu"
                        ) from None
                    tokens = longest * len(some) // 2
                else:
                    at += len(some)
        return torch.cat(vectors)[torch.tensor(order).argsort()]

    def features(self, items: Sequence[Item], role: Role) -> dict[str, Any]:
        """What the model reads of some items, all texts or all pictures, by its own prompt for the role.

        Raises:
            BadInput: for a file that is no picture.
        """
        named = ("query",) if role == "query" else ("document", "passage", "corpus")  # as encode_query and so on do
        prompt = next((self.model.prompts[name] for name in named if name in self.model.prompts), None)
        if prompt is None and self.model.default_prompt_name:
            prompt = self.model.prompts[self.model.default_prompt_name]
        return self.model.preprocess([_input(item) for item in items], prompt=prompt, task=role)

    def save(self, folder: Path) -> None:
        """Writes the model with safetensors."""
        self.model.save_pretrained(str(folder), safe_serialization=True)

    def reopened(self, folder: Path) -> SentenceEncoder:
        """The encoder with the weights that `save` wrote."""
        return replace(self, folder=folder)

    def _lengths(self, items: Sequence[Item]) -> list[int]:
        """By how much each item fills a batch: its tokens, or characters where the model has no such tokenizer."""
        from transformers import PreTrainedTokenizerBase

        texts = [item for item in items if isinstance(item, str)]
        tokenizer = getattr(self.model[0], "tokenizer", None)
        if texts and isinstance(tokenizer, PreTrainedTokenizerBase):
            lengths = dict(zip(texts, map(len, tokenizer(texts, truncation=True)["input_ids"]), strict=True))
        else:
            lengths = {text: len(text) for text in texts}
        return [PICTURE if isinstance(item, Picture) else 1 + lengths[item] for item in items]

    def _batch(self, items: Sequence[Item], role: Role) -> Tensor:
        encode = self.model.encode_query if role == "query" else self.model.encode_document
        inputs = [_input(item) for item in items]
        vectors: Tensor = encode(inputs, batch_size=len(inputs), convert_to_tensor=True, show_progress_bar=False)
        return vectors.float().cpu()


def _input(item: Item) -> str | Image.Image:
    return opened(item).convert("RGB") if isinstance(item, Picture) else item
