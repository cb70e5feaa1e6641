"""OpenAI's text-embedding-3-large, through its API."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from bench.embed.store import Cost
from bench.errors import BadInput
from methods import Item, Role

if TYPE_CHECKING:
    from openai import APIError, OpenAI

MODEL = "text-embedding-3-large"
DIMENSIONS = 3072
# The limits of https://platform.openai.com/docs/api-reference/embeddings/create are in tokens. They are kept in bytes
# of UTF-8, because no token is shorter than one: nothing is ever refused as too long, in whatever language.
INPUT_BYTES = 8192
REQUEST_BYTES = 300_000
REQUEST_INPUTS = 2048
BYTES_PER_TOKEN = 4  # of English: https://help.openai.com/en/articles/4936856
DOLLARS_PER_TOKEN = 0.13e-6  # https://openai.com/index/new-embedding-models-and-api-updates, 25 January 2024
RETRIES = 12  # of a request; the client doubles its waits up to 8 s: a minute in all, the window of rate limits
SILENCE = 60.0  # seconds after which an answer is given up

KEYS = "https://platform.openai.com/api-keys"
QUOTA = "the account's quota is used up; add credit at https://platform.openai.com/settings/organization/billing"
REMEDIES = {
    401: f"the key in OPENAI_API_KEY is refused; make another at {KEYS}",
    404: f"there is no {MODEL} at OPENAI_BASE_URL, or not for this key's project; check both",
    429: "the rate limit was not lifted in time; run again later",
}


@dataclass(frozen=True)
class OpenAIEncoder:
    """OpenAI's model, or one of that name behind another server with the same API; roles make no difference to it.

    A text is cut after 8,192 bytes of UTF-8, about 2,000 tokens of English. An empty one, which the API refuses, goes
    as a space.

    Attributes:
        name: as it was asked for.
        server: the API's address.
    """

    name: str
    server: str

    @property
    def revision(self) -> str:
        """A hash of the model's name and its server, so that the vectors of one never pass for those of another."""
        return hashlib.sha256(f"{MODEL} {self.server}".encode()).hexdigest()[:16]

    @property
    def settings(self) -> dict[str, str | int]:
        """All that decides a vector, besides the text."""
        return {"encoder": self.name, "revision": self.revision, "max_bytes": INPUT_BYTES, "dtype": "float32"}

    @cached_property
    def client(self) -> OpenAI:
        """The client, which itself tries again after rate limits, server errors, silence and dropped connections."""
        from openai import OpenAI

        return OpenAI(base_url=self.server, max_retries=RETRIES, timeout=SILENCE)

    def check(self) -> None:
        """Raises BadInput when the client is not installed, or there is no key."""
        if find_spec("openai") is None:
            raise BadInput(f"{self.name}: the package openai is missing; pip install 'tunebench[openai]'")
        if not os.environ.get("OPENAI_API_KEY"):
            raise BadInput(f"{self.name}: OPENAI_API_KEY is not set; make a key at {KEYS} and set it to that")

    def price(self, items: Sequence[Item]) -> Cost:
        """About what encoding the items costs: 4 bytes a token, by the list price.

        Raises:
            BadInput: when one is a picture.
        """
        tokens = sum(-(-len(text.encode()) // BYTES_PER_TOKEN) for text in self._texts(items))
        return Cost(tokens, tokens * DOLLARS_PER_TOKEN)

    def encode(self, items: Sequence[Item], role: Role) -> Tensor:  # noqa: ARG002 — it has no prompts
        """Returns (len(items), 3072) float32 on the CPU, as the API gives them.

        Raises:
            BadInput: when an item is a picture, the client or a key is missing, or the server refuses, cannot be
                reached or answers anything else.
        """
        self.check()
        return torch.cat([self._request(texts) for texts in _requests(self._texts(items))])

    def save(self, folder: Path) -> None:
        """Writes the settings as JSON."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "encoder.json").write_text(json.dumps(self.settings, indent=1) + "\n")

    def reopened(self, folder: Path) -> OpenAIEncoder:  # noqa: ARG002 — its weights are on the server
        """The same."""
        return self

    def _texts(self, items: Sequence[Item]) -> list[str]:
        """The items as they are sent."""
        texts = []
        for item in items:
            if not isinstance(item, str):
                raise BadInput(f"{self.name} encodes texts only, not {item.path}; take an encoder of pictures")
            texts.append(item.encode()[:INPUT_BYTES].decode(errors="ignore") or " ")
        return texts

    def _request(self, texts: list[str]) -> Tensor:
        """(len(texts), 3072) float32, in the order of the texts, whatever the order of the answer."""
        from openai import APIError

        try:
            answer = self.client.embeddings.create(model=MODEL, input=texts)
            rows = sorted(answer.data, key=lambda row: row.index)
            vectors = np.array([row.embedding for row in rows], dtype=np.float32)
        except APIError as error:
            raise BadInput(f"{self.name}: {self._reason(error)}") from None
        except (AttributeError, TypeError, ValueError):  # the client does not check what it was answered
            raise BadInput(f"{self.name}: {self.server} answers no vectors; check OPENAI_BASE_URL") from None
        if [row.index for row in rows] != [*range(len(texts))] or vectors.shape[1:] != (DIMENSIONS,):
            raise BadInput(
                f"{self.name}: {self.server} answers {len(texts)} texts with vectors of the shape "
                f"{vectors.shape}, not {(len(texts), DIMENSIONS)}; check OPENAI_BASE_URL"
            )
        return torch.from_numpy(vectors)

    def _reason(self, error: APIError) -> str:
        status = getattr(error, "status_code", None)
        if status is None:
            return f"{self.server} cannot be reached; check the network and OPENAI_BASE_URL"
        if error.code == "insufficient_quota":
            return QUOTA
        return REMEDIES.get(status) or (
            f"{self.server} answers {' '.join(error.message.split())[:200]!r}; mend that, or run again later"
        )


def te3_large(_device: str) -> OpenAIEncoder:
    """text-embedding-3-large where OPENAI_BASE_URL says, or at OpenAI."""
    server = os.environ.get("OPENAI_BASE_URL") or "https://api.openai.com/v1"
    return OpenAIEncoder("te3-large", server.rstrip("/"))


def _requests(texts: Sequence[str]) -> Iterator[list[str]]:
    """Deals the texts, in their order, to requests within the limits."""
    request: list[str] = []
    size = 0
    for text in texts:
        more = len(text.encode())
        if len(request) == REQUEST_INPUTS or size + more > REQUEST_BYTES:
            yield request
            request, size = [], 0
        request.append(text)
        size += more
    yield request
