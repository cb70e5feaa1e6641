"""Trains icon-clip: `python -m bench.embed.train_icon_clip OUT`, with the dependency group `train` installed.

It learns from icons of other sets than Lucide, without those that look like one of Lucide's, and prints the figures of
the card: on names of these sets that it kept aside, by which its settings were chosen, and on Lucide.
"""

from __future__ import annotations

import io
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import click
import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from PIL import Image
from safetensors.torch import save_file
from scipy.sparse import csr_array
from torch import Tensor
from torch.nn import functional

from bench.data import icon_names
from bench.data._rasterise import rasterised
from bench.embed._glyphs import Glyph, glyphs, plain
from bench.embed._look_alikes import look_alikes
from bench.embed.encoders import minilm
from bench.embed.icon_clip import SIDE, WEIGHTS, Network, ink_of

THREADS = 2
EPOCHS = 30
BATCH = 128
PEAK_RATE = 2e-3
DECAY = 0.05
SOFT_SHARE = 0.5  # of the targets; the rest knows only which caption is the picture's
SOFT_SCALE = 20.0  # of the cosines of MiniLM, before the softmax that makes soft targets of them
AVERAGE = 0.998  # of the weights that are kept, at each step
HELD_OUT = 0.04  # of the names


@dataclass(frozen=True)
class Collection:
    """Pictures and what they are called.

    Attributes:
        ink: (n, 40, 40) uint8, 255 for black.
        vectors: (m, 384) float32: the captions by MiniLM.
        names: (n,) int64: the caption that is each picture's name.
        called: n × m, true where a caption is the picture's name or tag.
        drawings: (n,) int64: pictures that share a number are one icon in several styles.
    """

    ink: NDArray[np.uint8]
    vectors: Tensor
    names: NDArray[np.int64]
    called: csr_array
    drawings: NDArray[np.int64]

    def only(self, rows: NDArray[np.bool_]) -> Collection:
        """The marked pictures."""
        return Collection(self.ink[rows], self.vectors, self.names[rows], self.called[rows], self.drawings[rows])


def collected(icons: Sequence[Glyph], ink: NDArray[np.uint8], vectors: Tensor, captions: Sequence[str]) -> Collection:
    """Puts icons, their pictures, and the captions' vectors together."""
    row_of = {caption: row for row, caption in enumerate(captions)}
    called = [[row_of[caption] for caption in (icon.name, *icon.tags)] for icon in icons]
    ends = np.cumsum([0, *map(len, called)])
    flat = np.concatenate(called)
    kinds = {kind: number for number, kind in enumerate(dict.fromkeys((icon.family, icon.name) for icon in icons))}
    return Collection(
        ink=ink,
        vectors=vectors,
        names=np.array([own[0] for own in called]),
        called=csr_array((np.ones(len(flat), np.bool_), flat, ends), shape=(len(icons), len(captions))),
        drawings=np.array([kinds[icon.family, icon.name] for icon in icons]),
    )


def train(data: Collection, epochs: int, seed: int = 0) -> Iterator[tuple[Network, float]]:
    """Trains a network, and yields the average of its weights and the mean loss after each epoch.

    In an epoch each icon is seen in one of its styles. The text map starts as the captions' principal axes. AdamW, its
    rate rising and falling in one cycle.
    """
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    network = Network()
    network.text_mean = data.vectors.mean(dim=0)
    axes = torch.linalg.eigh(data.vectors.T.cov()).eigenvectors.T.flip(0)
    network.texts_out.weight.data = axes[: len(network.texts_out.weight)].contiguous()
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = torch.optim.swa_utils.AveragedModel(
        network, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(AVERAGE), use_buffers=True
    )
    scale = torch.nn.Parameter(torch.tensor(2.5))
    optimiser = torch.optim.AdamW([*network.parameters(), scale], weight_decay=DECAY)
    steps = math.ceil(len(np.unique(data.drawings)) / BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, PEAK_RATE, epochs * steps, pct_start=0.1)
    for _ in range(epochs):
        losses = []
        for rows in _batches(data.drawings, steps, random):
            loss = _loss(network, scale, data, rows, random)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            average.update_parameters(network)
            losses.append(loss.item())
        yield cast("Network", average.module), float(np.mean(losses))


def _batches(drawings: NDArray[np.int64], steps: int, random: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """One row of each icon, in random order, in batches."""
    shuffled = random.permutation(len(drawings))
    _, first = np.unique(drawings[shuffled], return_index=True)
    rows = random.permutation(shuffled[first])
    for step in range(steps):
        yield rows[step * BATCH : (step + 1) * BATCH]


def _loss(
    network: Network, scale: Tensor, data: Collection, rows: NDArray[np.int64], random: np.random.Generator
) -> Tensor:
    """Cross entropy in both directions between pictures and their captions: the name, and a tag of each.

    A target is shared by all captions in the batch that are the picture's; a part of it goes to the others by how near
    MiniLM has them to its name.
    """
    called = data.called[rows]
    tags = called.indices[called.indptr[:-1] + (random.random(len(rows)) * np.diff(called.indptr)).astype(np.int64)]
    columns = np.unique(np.concatenate([data.names[rows], tags]))
    vectors = data.vectors[columns]
    own = torch.from_numpy(called[:, columns].toarray()).float()
    near = (SOFT_SCALE * data.vectors[data.names[rows]] @ vectors.T).exp()
    ink = augmented(torch.from_numpy(data.ink[rows]), random)
    with torch.autocast("cpu", torch.bfloat16):
        pictures, texts = network.pictures(ink), network.texts(vectors)
    logits = scale.exp() * pictures @ texts.T
    loss = torch.zeros(())
    for direction in (0, 1):
        hard, soft = (weights / weights.sum(1 - direction, keepdim=True) for weights in (own, near))
        target = (1 - SOFT_SHARE) * hard + SOFT_SHARE * soft
        loss = loss - (target * logits.log_softmax(1 - direction)).sum() / logits.shape[direction] / 2
    return loss


def augmented(ink: Tensor, random: np.random.Generator) -> Tensor:
    """Pictures moved, turned, scaled, drawn with thicker or thinner strokes, or in outline.

    Args:
        ink: (n, 40, 40) uint8.
        random: decides what is done to each.

    Returns:
        (n, 1, 40, 40) float32, from 0 to 1.
    """
    n = len(ink)
    drawn = ink[:, None].float() / 255
    thick, thin = functional.max_pool2d(drawn, 3, 1, 1), -functional.max_pool2d(-drawn, 3, 1, 1)
    much, outlined = (torch.from_numpy(random.random((n, 1, 1, 1), np.float32)) for _ in range(2))
    outline = thick - thin
    drawn = torch.where(
        outlined < 0.15, outline, drawn + much * (torch.where(outlined < 0.6, thick, thin) - drawn) * 0.6
    )
    turn, stretch, x, y = (random.uniform(-1, 1, n) for _ in range(4))
    size = 1 / random.uniform(0.8, 1.15, n)
    cos, sin = np.cos(turn * 0.2) * size, np.sin(turn * 0.2) * size
    wide = 1 + 0.1 * stretch
    affine = np.stack([cos * wide, -sin, x * 0.1, sin, cos / wide, y * 0.1], axis=1).reshape(n, 2, 3)
    grid = functional.affine_grid(torch.from_numpy(affine).float(), [n, 1, SIDE, SIDE], align_corners=False)
    return functional.grid_sample(drawn, grid, align_corners=False).contiguous(memory_format=torch.channels_last)


def kept_aside(data: Collection) -> NDArray[np.bool_]:
    """Marks the pictures of the names that are not learnt."""
    names = np.unique(data.names)
    return np.isin(data.names, np.random.default_rng(0).choice(names, int(HELD_OUT * len(names)), replace=False))


def held_out_figures(network: Network, data: Collection) -> str:
    """Finds pictures, one of each icon, by their names and by the tags that at most ten of them carry."""
    _, first = np.unique(data.drawings, return_index=True)
    data = data.only(np.isin(np.arange(len(data.ink)), first))
    carriers = data.called.T.tocsr()
    count = np.diff(carriers.indptr)
    tags = np.setdiff1d(np.flatnonzero((count > 0) & (count <= icon_names.MOST_ICONS)), data.names)
    pictures = encoded(network, data.ink)
    by_name = recalls(network, data.vectors[data.names], pictures, [[row] for row in range(len(data.ink))])
    by_tag = recalls(network, data.vectors[tags], pictures, [carriers[[tag]].indices for tag in tags])
    return f"held out: name {by_name.mean():.3f}, tag {by_tag.mean():.3f}"


def lucide_figures(network: Network, seen: set[str], ink: NDArray[np.uint8], names: Sequence[str]) -> str:
    """Finds Lucide's pictures by their own names, and by their tags as the data set `icon-names` has them."""
    extraction = icon_names.extract()
    row_of = {name: row for row, name in enumerate(names)}
    answers = [[row_of[name] for name in grades] for grades in extraction.qrels.values()]
    called, tags = [plain(name) for name in names], [str(tag) for tag in extraction.queries.values()]
    text, pictures = minilm("cpu"), encoded(network, ink)
    by_name = recalls(network, text.encode(called, "query"), pictures, [[row] for row in range(len(names))])
    by_tag = recalls(network, text.encode(tags, "query"), pictures, answers)
    new = np.array([name not in seen for name in called])
    return (
        f"Lucide: {len(names)} pictures by their names, R@10 {by_name.mean():.3f}; "
        f"by the {new.sum()} names never seen, {by_name[new].mean():.3f}; "
        f"by {len(tags)} tags, recall@10 {by_tag.mean():.3f}; by chance {10 / len(names):.3f}"
    )


@torch.inference_mode()
def encoded(network: Network, ink: NDArray[np.uint8]) -> Tensor:
    """(n, 256) of (n, 40, 40)."""
    parts = torch.from_numpy(ink)[:, None].split(BATCH)
    return torch.cat([network.eval().pictures(part.float() / 255) for part in parts])


@torch.inference_mode()
def recalls(network: Network, texts: Tensor, pictures: Tensor, answers: Iterable[ArrayLike]) -> NDArray[np.float64]:
    """For each text the fraction of its answers, rows of pictures, that are among the first ten."""
    first = (network.texts(texts) @ pictures.T).topk(10).indices.numpy()
    return np.array([np.isin(rows, found).mean() for rows, found in zip(answers, first, strict=True)])


def lucide() -> tuple[list[str], NDArray[np.uint8]]:
    """Names and pictures."""
    svg = icon_names.read_icons("icon-clip").svg
    return list(svg), drawn(svg.values())


def drawn(svgs: Iterable[str]) -> NDArray[np.uint8]:
    """(n, 40, 40) uint8."""
    return np.stack([ink_of(Image.open(io.BytesIO(rasterised(svg)))) for svg in svgs])


@click.command()
@click.argument("out", type=click.Path(path_type=Path, file_okay=False))
def main(out: Path) -> None:
    """Trains icon-clip, writes its weights into the folder OUT, and prints the figures of its card."""
    torch.set_num_threads(THREADS)
    names, lucide_ink = lucide()
    icons = glyphs()
    ink = drawn(icon.svg for icon in icons)
    alike = look_alikes(ink, lucide_ink)
    click.echo(f"{len(icons)} pictures, {alike.sum()} of them look like one of Lucide's and are left out")
    icons, ink = [icon for icon, one in zip(icons, alike, strict=True) if not one], ink[~alike]
    click.echo(dict(Counter(icon.family for icon in icons)))
    captions = sorted({caption for icon in icons for caption in (icon.name, *icon.tags)})
    click.echo(f"{len({icon.name for icon in icons})} names and {len(captions)} captions in all")
    data = collected(icons, ink, minilm("cpu").encode(captions, "document"), captions)
    aside = kept_aside(data)
    learnt, tested = data.only(~aside), data.only(aside)
    for epoch, (network, loss) in enumerate(train(learnt, EPOCHS), start=1):
        click.echo(f"epoch {epoch}: loss {loss:.3f}; {held_out_figures(network, tested)}")
    network = network.half().float()  # as the weights are written
    out.mkdir(parents=True, exist_ok=True)
    save_file({name: value.half().contiguous() for name, value in network.state_dict().items()}, out / WEIGHTS)
    seen = {captions[column] for column in np.unique(learnt.called.indices)}
    click.echo(lucide_figures(network, seen, lucide_ink, names))


if __name__ == "__main__":
    main()
