"""icon-clip: that its weights do what its card says, that it reads any picture, and how it is trained."""

from __future__ import annotations

import hashlib
import re
import sqlite3
from contextlib import closing
from copy import deepcopy
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from bench.data import icon_names
from bench.data._rasterise import rasterised
from bench.embed._glyphs import Glyph, named, sharing_tags
from bench.embed._look_alikes import look_alikes
from bench.embed.encoders import open_encoder
from bench.embed.icon_clip import FOLDER, SIDE, IconClip, Network, ink_of
from bench.embed.sentence import SentenceEncoder
from bench.embed.train_icon_clip import augmented, collected, recalls, train
from bench.errors import BadInput
from methods import Picture

CARD = FOLDER / "README.md"


@pytest.fixture(scope="module")
def encoder() -> IconClip:
    opened = open_encoder("icon-clip")
    assert isinstance(opened, IconClip)
    return opened


@pytest.fixture(scope="module")
def svgs() -> dict[str, str]:
    path = str(distribution("python-lucide").locate_file("lucide/data/lucide-icons.db"))
    with closing(sqlite3.connect(path)) as database:
        return dict(database.execute("SELECT name, svg FROM icons ORDER BY name"))


@pytest.fixture(scope="module")
def pictures(svgs: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> list[Picture]:
    folder = tmp_path_factory.mktemp("pictures")
    return [picture(folder / f"{name}.png", rasterised(svg)) for name, svg in svgs.items()]


def picture(path: Path, content: bytes) -> Picture:
    path.write_bytes(content)
    return Picture(path, hashlib.sha256(content).hexdigest())


def said(kind: str) -> float:
    return float(re.findall(rf"^\| {kind} \| .* \| (\.\d{{3}}) \|$", CARD.read_text(), re.MULTILINE)[0])


def mean_recall(encoder: IconClip, answers: dict[str, set[int]], documents: np.ndarray) -> float:
    first = np.argsort(-(encoder.encode(list(answers), "query").numpy() @ documents.T), axis=1)[:, :10]
    found = [len(right & set(row)) / len(right) for right, row in zip(answers.values(), first, strict=True)]
    return float(np.mean(found))


def test_it_finds_lucide_icons_as_its_card_says(
    encoder: IconClip, svgs: dict[str, str], pictures: list[Picture]
) -> None:
    documents = encoder.encode(pictures, "document").numpy()
    rows = {name: row for row, name in enumerate(svgs)}
    names = {name.replace("-", " "): {row} for name, row in rows.items()}
    assert mean_recall(encoder, names, documents) == pytest.approx(said("names"), abs=0.003)
    extraction = icon_names.extract()
    some = {str(text): extraction.qrels[key] for key, text in list(extraction.queries.items())[::4]}
    tags = {tag: {rows[name] for name in grades} for tag, grades in some.items()}
    assert mean_recall(encoder, tags, documents) == pytest.approx(said("tags"), abs=0.02), "a quarter of the tags"


def test_a_vector_does_not_depend_on_what_is_encoded_with_it(encoder: IconClip, pictures: list[Picture]) -> None:
    texts = ["house", "a much longer text about a house", "sea"]
    mixed = encoder.encode([texts[0], pictures[5], texts[1], *pictures[:300], texts[2]], "document")
    assert mixed.dtype == torch.float32
    assert mixed.shape == (304, 256)
    torch.testing.assert_close(mixed.norm(dim=1), torch.ones(304))
    torch.testing.assert_close(mixed[[0, 2, -1]], torch.cat([encoder.encode([text], "query") for text in texts]))
    torch.testing.assert_close(mixed[[1]], encoder.encode([pictures[5]], "document"))
    torch.testing.assert_close(mixed[1], mixed[8])
    again = encoder.encode(pictures[:40], "document")
    assert torch.equal(again, encoder.encode(pictures[:40], "document"))
    assert encoder.encode([], "query").shape == (0, 256)


@pytest.mark.parametrize("mode", ["RGBA", "RGB", "P", "LA", "L", "1"])
def test_every_kind_of_png_shows_the_same(encoder: IconClip, tmp_path: Path, mode: str) -> None:
    drawn = Image.new("L", (64, 64), 255)
    ImageDraw.Draw(drawn).rectangle((10, 20, 50, 40), fill=0)
    if mode in {"RGBA", "LA"}:  # black throughout, and transparent where it is white
        other = Image.merge(mode, [Image.new("L", (64, 64), 0)] * (len(mode) - 1) + [drawn.point(lambda v: 255 - v)])
    else:
        other = drawn.convert(mode)
    drawn.save(tmp_path / "grey.png")
    other.save(tmp_path / "other.png")
    np.testing.assert_array_equal(*(ink_of(Image.open(tmp_path / name)) for name in ("other.png", "grey.png")))
    same = [picture(path, path.read_bytes()) for path in (tmp_path / "grey.png", tmp_path / "other.png")]
    first, second = encoder.encode(same, "document")
    assert torch.equal(first, second)


def test_ink_is_dark_and_keeps_its_proportions() -> None:
    ink = ink_of(Image.new("L", (80, 40), 0))
    assert ink.shape == (SIDE, SIDE)
    assert ink[SIDE // 2].min() == 255
    assert ink[: SIDE // 4].max() == ink[-SIDE // 4 :].max() == 0


@pytest.mark.parametrize("content", [b"", b"not a picture", "cut short"])
def test_a_damaged_picture_is_named(
    encoder: IconClip, pictures: list[Picture], tmp_path: Path, content: bytes | str
) -> None:
    damaged = pictures[0].path.read_bytes()[:200] if isinstance(content, str) else content
    with pytest.raises(
        BadInput, match=r"damaged\.png: not a picture that Pillow can read \(.*\); replace it or drop its row$"
    ):
        encoder.encode([pictures[0], picture(tmp_path / "damaged.png", damaged)], "document")


def test_a_saved_encoder_opens_and_encodes_alike(encoder: IconClip, pictures: list[Picture], tmp_path: Path) -> None:
    encoder.save(tmp_path / "saved")
    texts = SentenceEncoder("minilm", tmp_path / "saved" / "text", "1", max_length=128)
    again = IconClip("icon-clip", tmp_path / "saved", texts)
    items = ["house", *pictures[:3]]
    assert torch.equal(again.encode(items, "query"), encoder.encode(items, "query"))


def test_what_is_trained_is_a_copy_that_encodes_as_its_model_does(
    encoder: IconClip, pictures: list[Picture], tmp_path: Path, float32: None
) -> None:
    copy = deepcopy(encoder)
    untrained = encoder.encode(["house", *pictures], "document")
    copy.model.train()
    assert not any(module.training for module in copy.network.modules()), "a batch is too small to normalise by"
    optimiser = torch.optim.SGD(copy.model.parameters(), lr=0.01)
    parts = [copy.model(copy.features(part, "document"))["sentence_embedding"] for part in (["house"], pictures)]
    (parts[0] @ parts[1].T).sum().backward()
    optimiser.step()
    copy.model.eval()
    trained = copy.encode(["house", *pictures], "document")
    assert (trained - untrained).abs().amax(dim=1).min() > 1e-4
    assert torch.equal(encoder.encode(["house", *pictures], "document"), untrained)
    with torch.no_grad():
        parts = [copy.model(copy.features(part, "document"))["sentence_embedding"] for part in (["house"], pictures)]
    torch.testing.assert_close(torch.cat(parts), trained, atol=1e-5, rtol=0)
    copy.save(tmp_path)
    again = IconClip("icon-clip", tmp_path, SentenceEncoder("minilm", tmp_path / "text", "1", max_length=128))
    assert torch.equal(again.encode(["house", *pictures], "document"), trained)


def test_the_revision_tells_other_weights_apart(encoder: IconClip, tmp_path: Path) -> None:
    encoder.save(tmp_path)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes() + b" ")
    assert IconClip("icon-clip", tmp_path, encoder.text_encoder).revision != encoder.revision


def glyph(shape: str, box: tuple[float, float, float, float], stroke: int) -> np.ndarray:
    """A shape as ink, drawn large and shrunk."""
    drawn = Image.new("L", (480, 480), 0)
    pen = ImageDraw.Draw(drawn)
    left, top, right, bottom = (round(480 * edge) for edge in box)
    if shape == "house":
        middle = (left + right) // 2
        roof, eaves = (middle, top), top + (bottom - top) // 2
        corners = [roof, (right, eaves), (right, bottom), (left, bottom), (left, eaves), roof]
        pen.line([*corners, corners[1]], fill=255, width=stroke, joint="curve")
    elif shape == "circle":
        pen.ellipse((left, top, right, bottom), outline=255, width=stroke)
    elif shape == "cross":
        pen.line((left, top, right, bottom), fill=255, width=stroke)
        pen.line((left, bottom, right, top), fill=255, width=stroke)
    else:
        for edge in (left, (left + right) // 2, right):
            pen.line((edge, top, edge, bottom), fill=255, width=stroke)
    return np.asarray(drawn.resize((SIDE, SIDE), Image.Resampling.BILINEAR))


SHAPES = ["house", "circle", "cross", "bars"]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("box", "stroke"),
    [
        ((0.1, 0.1, 0.9, 0.9), 40),
        ((0.05, 0.15, 0.75, 0.85), 36),
        ((0.3, 0.3, 0.8, 0.8), 25),
        ((0.1, 0.1, 0.9, 0.9), 28),
    ],
    ids=["same", "shifted", "smaller", "thinner"],
)
def test_copies_of_a_glyph_look_alike(shape: str, box: tuple[float, float, float, float], stroke: int) -> None:
    theirs = np.stack([glyph(shape, (0.1, 0.1, 0.9, 0.9), 40)])
    assert look_alikes(glyph(shape, box, stroke)[None], theirs).all()


@pytest.mark.parametrize("shape", SHAPES)
def test_different_glyphs_do_not_look_alike(shape: str) -> None:
    others = np.stack([glyph(other, (0.1, 0.1, 0.9, 0.9), 40) for other in SHAPES if other != shape])
    assert not look_alikes(glyph(shape, (0.1, 0.1, 0.9, 0.9), 40)[None], others).any()


def test_a_blank_picture_looks_like_nothing() -> None:
    blank = np.zeros((1, SIDE, SIDE), np.uint8)
    assert not look_alikes(blank, blank).any()


def test_training_lowers_the_loss_and_repeats() -> None:
    icons = [Glyph("toy", shape, (f"{shape} like",), "") for shape in SHAPES for _ in range(3)]
    ink = np.stack([glyph(icon.name, (0.1, 0.1, 0.9 - 0.1 * (row % 3), 0.9), 40) for row, icon in enumerate(icons)])
    captions = sorted({caption for icon in icons for caption in (icon.name, *icon.tags)})
    vectors = torch.nn.functional.normalize(torch.randn(len(captions), 384, generator=torch.manual_seed(0)))
    losses, again = ([loss for _, loss in train(collected(icons, ink, vectors, captions), 12)] for _ in range(2))
    assert losses == again
    assert np.mean(losses[-3:]) < 0.9 * np.mean(losses[:3])


@pytest.mark.parametrize(
    ("style", "stem", "name"),
    [
        ("light", "acorn-light", "acorn"),
        ("bold", "traffic-light-bold", "traffic light"),
        ("icons", "airplane-fill", "airplane"),
        ("icons", "Card_variant-outline", "card"),
        ("filled", "fill", "fill"),
        ("solid", "a-b-2", "a b 2"),
    ],
)
def test_an_icon_is_named_without_its_style(style: str, stem: str, name: str) -> None:
    assert named("set", style, stem.replace("_", "-"), "<svg/>", {}).name == name


def test_tags_come_from_a_list_and_from_a_comment() -> None:
    svg = '<!--\ntags: [adding up, "Math"]\nversion: 1\n-->\n<svg/>'
    assert named("set", "outline", "abacus", svg, {}).tags == ("adding up", "math")
    assert named("set", "bold", "abacus-bold", "<svg/>", {"abacus": ["*Sums*", ""]}).tags == ("sums",)


def test_icons_of_one_name_share_their_tags_without_the_common_ones() -> None:
    many = [Glyph("one", f"icon {row}", ("thing",), "") for row in range(150)]
    some = [Glyph("one", "boat", ("ship", "thing"), ""), Glyph("two", "boat", ("boat", "ferry"), "")]
    assert [icon.tags for icon in sharing_tags([*many, *some])][-3:] == [(), ("ferry", "ship"), ("ferry", "ship")]


def test_augmentation_keeps_a_glyph_in_sight_and_repeats() -> None:
    ink = torch.from_numpy(np.stack([glyph("house", (0.2, 0.2, 0.8, 0.8), 40)] * 50))
    first, second = (augmented(ink, np.random.default_rng(0)) for _ in range(2))
    assert torch.equal(first, second)
    assert first.shape == (50, 1, SIDE, SIDE)
    assert first.min() >= 0
    assert first.max() <= 1
    assert len({float(one.sum()) for one in first}) == 50
    assert first.sum(dim=(1, 2, 3)).min() > 0.1 * ink[0].float().sum() / 255


def test_recall_is_the_fraction_of_answers_among_the_first_ten() -> None:
    network = Network()
    texts = torch.randn(2, 384, generator=torch.manual_seed(0))
    near = network.texts(texts).detach()
    pictures = torch.cat([near[:1].repeat(10, 1), -near[:1], near[1:]])  # ten that answer the first text
    np.testing.assert_allclose(recalls(network, texts[:1], pictures, [[0, 9, 10, 3]]), [0.75])
    np.testing.assert_allclose(recalls(network, texts[1:], pictures, [[11]]), [1])
