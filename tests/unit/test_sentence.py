"""Encoders through sentence-transformers: precision, batches, memory, pictures, and code that nobody trusts."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor
from torch.nn.functional import cosine_similarity

from bench.cli import main
from bench.embed import sentence
from bench.embed.encoders import open_encoder
from bench.embed.sentence import SentenceEncoder
from bench.errors import BadInput
from methods import Item, Picture, Role

TEXTS = [f"{'word ' * (number % 12)}text {number}" for number in range(50)]


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Picture]:
    """Noise of several sizes and kinds."""
    folder, found = tmp_path_factory.mktemp("pictures"), []
    for number, mode in enumerate(["RGB", "RGBA", "L", "P", "RGB", "1"]):
        path = folder / f"{number}.png"
        Image.effect_noise((30 + 9 * number, 50), 90).convert(mode).save(path)
        found.append(Picture(path, hashlib.sha256(path.read_bytes()).hexdigest()))
    return found


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> list[list[Item]]:
    """What is encoded at a time."""
    asked: list[list[Item]] = []
    encode = SentenceEncoder._batch

    def noted(self: SentenceEncoder, items: Sequence[Item], role: Role) -> Tensor:
        asked.append(list(items))
        return encode(self, items, role)

    monkeypatch.setattr(SentenceEncoder, "_batch", noted)
    return asked


@pytest.mark.parametrize(("has", "dtype"), [(True, "bfloat16"), (False, "float32")])
def test_the_precision_is_the_processors_and_is_told(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has: bool, dtype: str
) -> None:
    from safetensors.torch import load_file
    from sentence_transformers import SentenceTransformer

    monkeypatch.setattr(sentence, "has_bfloat16", lambda device: has)
    encoder = open_encoder(f"st:{tiny_model}")
    assert encoder.settings["dtype"] == dtype
    vectors = encoder.encode(TEXTS, "query")
    exact = SentenceTransformer(str(tiny_model), device="cpu").encode(TEXTS, convert_to_tensor=True)
    assert vectors.dtype == torch.float32
    assert cosine_similarity(vectors, exact).min() > 0.999
    assert torch.allclose(vectors, exact, atol=1e-5) is not has
    encoder.save(tmp_path / "saved")
    saved = load_file(tmp_path / "saved" / "model.safetensors").values()
    assert {weights.dtype for weights in saved if weights.is_floating_point()} == {torch.float32}


def test_items_are_encoded_by_length_in_batches_of_so_many_tokens(
    tiny_model: Path, batches: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sentence, "TOKENS", 100)
    encoder = open_encoder(f"st:{tiny_model}")
    encoder.encode(TEXTS, "query")
    lengths = [[len(encoder.model.tokenizer.tokenize(text)) for text in batch] for batch in batches]
    flat = [length for batch in lengths for length in batch]
    assert sorted(text for batch in batches for text in batch) == sorted(TEXTS)
    assert flat == sorted(flat, reverse=True)
    assert all(len(batch) == 1 or max(batch) * len(batch) <= 100 for batch in lengths)
    assert max(map(len, batches)) > 5 > min(map(len, batches)), "short texts make larger batches"


@given(order=st.permutations(range(len(TEXTS))))
@settings(max_examples=10)
def test_the_order_of_the_items_decides_nothing(tiny_model: Path, order: list[int]) -> None:
    encoder = open_encoder(f"st:{tiny_model}")
    found = encoder.encode([TEXTS[row] for row in order], "query")
    assert torch.equal(found, encoder.encode(TEXTS, "query")[order])


def out_of_memory_above(monkeypatch: pytest.MonkeyPatch, most: int) -> list[int]:
    """Lets a device have memory for so many items; returns how many it is asked for."""
    asked, encode = [], SentenceEncoder._batch

    def limited(self: SentenceEncoder, items: Sequence[Item], role: Role) -> Tensor:
        asked.append(len(items))
        if len(items) > most:
            raise torch.OutOfMemoryError
        return encode(self, items, role)

    monkeypatch.setattr(SentenceEncoder, "_batch", limited)
    return asked


def test_half_as_much_is_encoded_at_a_time_when_memory_runs_out(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder, texts = open_encoder(f"st:{tiny_model}"), [f"text {number}" for number in range(10, 50)]
    whole = encoder.encode(texts, "query")
    asked = out_of_memory_above(monkeypatch, 12)
    torch.testing.assert_close(encoder.encode(texts, "query"), whole, atol=0.05, rtol=0.05)
    assert asked == [40, 20, 10, 10, 10, 10], "what did not fit is not tried again"


def test_an_item_that_does_not_fit_alone_is_named(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = out_of_memory_above(monkeypatch, 0)
    with pytest.raises(BadInput, match="cpu has no memory for 'text 7' alone; free some, or use a smaller") as error:
        open_encoder(f"st:{tiny_model}").encode([f"text {number}" for number in range(8)], "query")
    assert asked == [8, 4, 2, 1]
    assert "\n" not in str(error.value)


@pytest.mark.usefixtures("float32")
def test_clip_gives_the_vectors_of_transformers(tiny_clip: Path, pictures: list[Picture]) -> None:
    from transformers import AutoTokenizer, CLIPImageProcessorPil, CLIPModel

    model, tokenizer = CLIPModel.from_pretrained(tiny_clip), AutoTokenizer.from_pretrained(tiny_clip)
    images = [Image.open(picture.path).convert("RGB") for picture in pictures]
    pixels = CLIPImageProcessorPil.from_pretrained(tiny_clip)(images, return_tensors="pt")
    with torch.inference_mode():
        by_text = model.get_text_features(**tokenizer(TEXTS, padding=True, truncation=True, return_tensors="pt"))
        by_picture = model.get_image_features(**pixels)
    encoder = open_encoder(f"st:{tiny_clip}")
    torch.testing.assert_close(encoder.encode(TEXTS, "query"), by_text.pooler_output, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(encoder.encode(pictures, "document"), by_picture.pooler_output, atol=1e-5, rtol=1e-4)


def test_pictures_are_scaled_by_pillow(tiny_clip: Path) -> None:
    assert type(open_encoder(f"st:{tiny_clip}").model.processor.image_processor).__name__ == "CLIPImageProcessorPil"


def test_texts_and_pictures_in_any_order_are_encoded_each_as_what_it_is(
    tiny_clip: Path, pictures: list[Picture]
) -> None:
    encoder = open_encoder(f"st:{tiny_clip}")
    mixed = [item for pair in zip(TEXTS, pictures, strict=False) for item in pair]
    found = encoder.encode(mixed, "document")
    torch.testing.assert_close(found[::2], encoder.encode(TEXTS[: len(pictures)], "document"), atol=0.02, rtol=0.02)
    torch.testing.assert_close(found[1::2], encoder.encode(pictures, "document"), atol=0.02, rtol=0.02)
    assert torch.equal(found.flip(0), encoder.encode(mixed[::-1], "document"))


def test_pictures_are_opened_when_their_batch_comes(
    tiny_clip: Path, pictures: list[Picture], batches: list[list[Item]], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, opener = [], sentence.opened

    def noted(picture: Picture) -> Image.Image:
        opened.append(len(batches))
        return opener(picture)

    monkeypatch.setattr(sentence, "opened", noted)
    monkeypatch.setattr(sentence, "TOKENS", 2 * sentence.PICTURE)
    open_encoder(f"st:{tiny_clip}").encode(pictures, "document")
    assert opened == [1, 1, 2, 2, 3, 3]


def test_pictures_for_a_model_that_reads_texts_are_refused_before_anything_is_encoded(
    tiny_model: Path, pictures: list[Picture], batches: list[list[Item]]
) -> None:
    with pytest.raises(BadInput, match=r"tiny encodes texts only; use icon-clip, clip-b32 or clip-l14$"):
        open_encoder(f"st:{tiny_model}").encode(["a text", pictures[0]], "document")
    assert batches == []


@pytest.mark.parametrize("spoil", [b"", b"no picture", None])
def test_a_file_that_is_no_picture_is_named(
    tiny_clip: Path, pictures: list[Picture], tmp_path: Path, spoil: bytes | None
) -> None:
    path = tmp_path / "some.png"
    path.write_bytes(pictures[0].path.read_bytes()[:-200] if spoil is None else spoil)
    with pytest.raises(BadInput, match=f"{path}: not a picture that Pillow can read .* drop its row") as error:
        open_encoder(f"st:{tiny_clip}").encode([*pictures, Picture(path, "")], "document")
    assert "\n" not in str(error.value)


@pytest.fixture
def with_code(tiny_model: Path, tmp_path: Path) -> Path:
    """A model that comes with Python code, which leaves a file called `ran` beside the model."""
    folder = tmp_path / "with code"
    shutil.copytree(tiny_model, folder)
    modules = (folder / "modules.json").read_text()
    name = json.loads(modules)[0]["type"]
    (folder / "modules.json").write_text(modules.replace(name, "own.Transformer"))
    module, _, kind = name.rpartition(".")
    code = f"from pathlib import Path\nfrom {module} import {kind}\nPath({str(tmp_path / 'ran')!r}).touch()\n"
    (folder / "own.py").write_text(code)
    return folder


@pytest.mark.parametrize("trust", [False, True])
def test_code_of_a_model_runs_only_where_a_person_says_so(
    with_code: Path, toy_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trust: bool
) -> None:
    monkeypatch.setenv("TUNEBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    run = ["run", "--data", str(toy_folder), "--encoder", f"st:{with_code}", "--methods", "none", "--seeds", "0"]
    result = CliRunner().invoke(
        main, [*run, "--out", str(tmp_path / "out"), *(["--trust-remote-code"] if trust else [])]
    )
    assert result.exit_code == (0 if trust else 1), result.stderr
    assert (tmp_path / "ran").exists() is trust
    assert ("if you trust it, pass --trust-remote-code" in result.stderr) is not trust


def test_a_photograph_is_encoded_upright(tiny_clip: Path, tmp_path: Path) -> None:
    upright = Image.effect_noise((40, 60), 90).convert("RGB")
    lying, note = upright.transpose(Image.Transpose.ROTATE_90), Image.Exif()
    note[0x0112] = 6  # EXIF's word for: turn it clockwise by a quarter
    upright.save(tmp_path / "upright.png")
    lying.save(tmp_path / "noted.png", exif=note)
    lying.save(tmp_path / "lying.png")
    pictures = [Picture(tmp_path / f"{name}.png", name) for name in ("upright", "noted", "lying")]
    first, second, third = open_encoder(f"st:{tiny_clip}").encode(pictures, "document")
    torch.testing.assert_close(first, second)
    assert (first - third).norm() > 1e-3


@pytest.mark.parametrize("named", [{}, {"query": "find: ", "passage": "text: "}, {"other": "as ever: "}], ids=str)
@pytest.mark.parametrize("role", ["query", "document"])
def test_the_model_reads_what_it_encodes(tiny_model: Path, float32: None, role: Role, named: dict[str, str]) -> None:
    encoder = SentenceEncoder("tiny", tiny_model, "1")
    encoder.model.prompts.update(named)
    encoder.model.default_prompt_name = "other" if "other" in named else None
    encoder.model.eval()
    with torch.no_grad():
        found = encoder.model(encoder.features(TEXTS, role))["sentence_embedding"]
    torch.testing.assert_close(found, encoder.encode(TEXTS, role), atol=1e-5, rtol=0)


def test_the_model_reads_pictures(tiny_clip: Path, pictures: list[Picture], float32: None) -> None:
    encoder = SentenceEncoder("tiny", tiny_clip, "1")
    encoder.model.eval()
    with torch.no_grad():
        found = encoder.model(encoder.features(pictures, "document"))["sentence_embedding"]
    torch.testing.assert_close(found, encoder.encode(pictures, "document"), atol=1e-5, rtol=0)
