"""icon-clip: texts and icons in one space, our own, trained by `bench.embed.train_icon_clip`.

Two encoders as in CLIP (Radford et al., arXiv 2103.00020), both small: MiniLM with a linear layer behind it for texts,
a residual network of four stages for pictures. The card is `icon_clip/README.md`.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from bench.embed.pictures import opened
from methods import Item, Picture, Role

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

    from bench.embed.sentence import SentenceEncoder

FOLDER = Path(__file__).with_suffix("")  # that of the card and the weights
WEIGHTS = "model.safetensors"
SIDE = 40  # pixels of the picture that the network sees
_BATCH = 256
_WIDTHS = (32, 64, 128, 256)
_TEXT, _SHARED = 384, 256  # dimensions of MiniLM, and of the space of texts and pictures


class _Block(nn.Module):
    """Two convolutions beside a shortcut (He et al., arXiv 1512.03385)."""

    def __init__(self, width: int, out: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(width, out, 3, stride, 1, bias=False), nn.BatchNorm2d(out))
        self.second = nn.Sequential(nn.Conv2d(out, out, 3, 1, 1, bias=False), nn.BatchNorm2d(out))
        self.shortcut = nn.Conv2d(width, out, 1, stride, bias=False) if stride > 1 else nn.Identity()

    def forward(self, pixels: Tensor) -> Tensor:
        inner = self.second(torch.relu(self.first(pixels)))
        return torch.relu(inner + self.shortcut(pixels))


class Network(nn.Module):
    """Both encoders: MiniLM's vectors and pictures to vectors of unit length."""

    text_mean: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("text_mean", torch.zeros(_TEXT))
        self.texts_out = nn.Linear(_TEXT, _SHARED, bias=False)
        stem = nn.Sequential(nn.Conv2d(1, _WIDTHS[0], 5, 2, 2, bias=False), nn.BatchNorm2d(_WIDTHS[0]), nn.ReLU())
        blocks = [_Block(_WIDTHS[max(at - 1, 0)], width, 1 if at == 0 else 2) for at, width in enumerate(_WIDTHS)]
        self.stages = nn.Sequential(stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.pictures_out = nn.Linear(_WIDTHS[-1], _SHARED)

    def texts(self, vectors: Tensor) -> Tensor:
        """(n, 384) vectors of MiniLM to (n, 256)."""
        return nn.functional.normalize(self.texts_out(vectors - self.text_mean).float(), dim=1)

    def pictures(self, ink: Tensor) -> Tensor:
        """(n, 1, 40, 40), 0 for white to 1 for black, to (n, 256)."""
        return nn.functional.normalize(self.pictures_out(self.stages(ink)).float(), dim=1)


class _Joined(nn.Module):
    """Both encoders as a module of a sentence-transformers model, for its trainer."""

    modalities = ("text", "image")

    def __init__(self, text_model: SentenceTransformer, network: Network) -> None:
        super().__init__()
        self.text_model = text_model
        self.network = network

    def preprocess(self, inputs: Sequence[str | Image.Image], **named: Any) -> dict[str, Any]:
        """Tokens of texts, or the ink of pictures, (n, 1, 40, 40) from 0 to 1."""
        if isinstance(inputs[0], str):
            return self.text_model.preprocess(inputs, **named)
        ink = np.stack([ink_of(image) for image in inputs if not isinstance(image, str)])
        return {"pixel_values": torch.from_numpy(ink)[:, None].float() / 255}

    def forward(self, features: dict[str, Any]) -> dict[str, Any]:
        """Adds "sentence_embedding", (n, 256)."""
        if "pixel_values" in features:
            return features | {"sentence_embedding": self.network.pictures(features["pixel_values"])}
        vectors = self.text_model(features)["sentence_embedding"]
        return features | {"sentence_embedding": self.network.texts(vectors)}

    def train(self, mode: bool = True) -> _Joined:
        """Sets the mode of all but the network for pictures: a batch is too small to normalise by."""
        super().train(mode)
        self.network.eval()
        return self


@dataclass(frozen=True)
class IconClip:
    """The encoder, its weights in a folder; loaded when it first encodes.

    Attributes:
        name: as it was asked for.
        folder: where its weights are.
        text_encoder: what gives the vectors of texts that its text map starts from.
        device: where it computes.
    """

    name: str
    folder: Path
    text_encoder: SentenceEncoder
    device: str = "cpu"

    @cached_property
    def revision(self) -> str:
        """A hash of both encoders' weights."""
        weights = hashlib.sha256((self.folder / WEIGHTS).read_bytes()).hexdigest()
        return hashlib.sha256(f"{weights} {self.text_encoder.revision}".encode()).hexdigest()[:16]

    @property
    def settings(self) -> dict[str, str | int]:
        """All that decides a vector, besides the item; the role does not matter."""
        return {**self.text_encoder.settings, "encoder": self.name, "revision": self.revision}

    @cached_property
    def network(self) -> Network:
        """The loaded network."""
        network = Network()
        network.load_state_dict({name: value.float() for name, value in load_file(self.folder / WEIGHTS).items()})
        return network.to(self.device).eval()

    @torch.inference_mode()
    def encode(self, items: Sequence[Item], role: Role) -> Tensor:
        """Returns (len(items), 256) float32 of unit length on the CPU.

        Raises:
            BadInput: for a picture that cannot be read.
        """
        vectors = torch.empty(len(items), _SHARED)
        texts = [(row, item) for row, item in enumerate(items) if isinstance(item, str)]
        if texts:
            encoded = self.text_encoder.encode([text for _, text in texts], role).to(self.device)
            vectors[[row for row, _ in texts]] = self.network.texts(encoded).cpu()
        pictures = [(row, item) for row, item in enumerate(items) if isinstance(item, Picture)]
        for start in range(0, len(pictures), _BATCH):
            some = pictures[start : start + _BATCH]
            ink = torch.from_numpy(np.stack([ink_of(opened(picture)) for _, picture in some])).to(self.device)
            vectors[[row for row, _ in some]] = self.network.pictures(ink[:, None].float() / 255).cpu()
        return vectors

    @cached_property
    def model(self) -> SentenceTransformer:
        """Both encoders in one model, for training."""
        from sentence_transformers import SentenceTransformer

        return SentenceTransformer(modules=[_Joined(self.text_encoder.model, self.network)], device=self.device)

    def features(self, items: Sequence[Item], role: Role) -> dict[str, Any]:
        """What the model reads of some items, all texts or all pictures.

        Raises:
            BadInput: for a picture that cannot be read.
        """
        inputs = [opened(item) if isinstance(item, Picture) else item for item in items]
        return self.model.preprocess(inputs, task=role)

    def save(self, folder: Path) -> None:
        """Writes the weights, their card and, in `text/`, the model of texts."""
        shutil.copytree(self.folder, folder, dirs_exist_ok=True)
        save_file(self.network.state_dict(), folder / WEIGHTS)
        self.text_encoder.save(folder / "text")

    def reopened(self, folder: Path) -> IconClip:
        """The encoder with the weights that `save` wrote."""
        return replace(self, folder=folder, text_encoder=self.text_encoder.reopened(folder / "text"))


def icon_clip(device: str) -> IconClip:
    """The encoder that tunebench carries.

    Raises:
        BadInput: when MiniLM is not installed, or is damaged.
    """
    from bench.embed.encoders import minilm

    return IconClip("icon-clip", FOLDER, minilm(device), device)


def ink_of(image: Image.Image) -> NDArray[np.uint8]:
    """A picture on white where it is transparent, shrunk or padded to a square.

    Returns:
        (40, 40) uint8: 0 where it is white, 255 where it is black.
    """
    drawn = image.convert("RGBA")
    grey = Image.alpha_composite(Image.new("RGBA", drawn.size, "white"), drawn).convert("L")
    return 255 - np.asarray(ImageOps.pad(grey, (SIDE, SIDE), Image.Resampling.BILINEAR, color=255))
