"""One step of an encoder's training with negatives from a softmax over all documents."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from methods._contract import Problem, Role, TrainableEncoder
from methods._corpus import Item
from methods._csr import Csr
from methods._errors import ProblemError
from methods._negatives import CorrectorNetwork, Drawn, gumbel_top_k, in_batch, sampled_softmax, unit
from methods._scratch import Tensors, moments, restore_moments
from methods._search import has_bfloat16, listed
from methods._tuned import VectorTuned

if TYPE_CHECKING:
    from methods.corrector import Corrector

EXTRA = 0.1  # further documents that the network learns from, for each that a step encodes for the encoder
EPSILON = 1e-4  # of Adam for the network: far smaller gradients, such as rounding makes, do not set it swinging


class Stepper:
    """An encoder in training, with its cache of document vectors and the network that corrects them.

    Attributes:
        encoder: what is trained.
        cache: all documents as they were encoded last.
        network: what corrects them, or None when they are taken as they are.
        encoded: (n,) bool, the documents that were encoded in a step.
        counts: of steps and of encoded documents.
    """

    def __init__(self, recipe: Corrector, problem: Problem, encoder: TrainableEncoder) -> None:
        self.recipe, self.problem, self.encoder = recipe, problem, encoder
        self.cache = problem.corpus
        self.network: CorrectorNetwork | None = None
        self.encoded = torch.zeros(problem.corpus.n, dtype=torch.bool)
        self.counts: Counter[str] = Counter()
        if recipe.selection not in {"uniform", "in-batch"}:
            self.counts["encodes_cache"] = problem.corpus.n
        self._random = torch.Generator().manual_seed(problem.seed)
        self._no_negatives = problem.train.no_negatives()
        self._optimiser = torch.optim.AdamW(encoder.model.eval().parameters(), lr=recipe.learning_rate)
        self._new_network()

    @property
    def done(self) -> int:
        """Steps that were made."""
        return self.counts["steps"]

    @property
    def encodes(self) -> int:
        """Documents that were encoded: for the first cache, the later ones, and steps."""
        return sum(count for name, count in self.counts.items() if name.startswith("encodes_"))

    def step(self, pairs: Tensor) -> float:
        """Makes a step on some of the train pairs, (b,) int64, and returns the encoder's loss before it.

        Raises:
            ProblemError: when a loss is not finite, or the device has no memory for it.
        """
        try:
            if self._refresh_is_due():
                self._refresh()
            loss, network_loss = self.losses(pairs)
            for value, rate in ((loss, "learning_rate or scale"), (network_loss, "corrector_rate")):
                if not value.isfinite():
                    raise ProblemError(f"the loss is {value.item()} at step {self.done}; lower {rate}")
            self._optimiser.zero_grad()
            loss.backward()
            self._optimiser.step()
            if self.network is not None:
                self._network_optimiser.zero_grad()
                network_loss.backward()
                self._network_optimiser.step()
        except torch.OutOfMemoryError:
            device = self.problem.device
            raise ProblemError(f"{device} has no memory for a step; lower batch or negatives") from None
        self.counts["steps"] += 1
        return loss.item()

    def losses(self, pairs: Tensor) -> tuple[Tensor, Tensor]:
        """The encoder's loss on some of the train pairs, (b,) int64, and that of the network, 0 without one.

        The first is a function of the encoder's weights alone, the second of the network's.
        """
        train, device, n = self.problem.train, self.problem.device, self.problem.corpus.n
        asked, positives = train.relevant.rows[pairs], train.relevant.columns[pairs]
        barred = self._no_negatives.take(asked)
        queries = self._embedded([train.items[row] for row in asked.tolist()], "query")
        drawn = self._drawn(queries.detach(), positives, barred)
        negatives = torch.where(drawn.rows < 0, positives[:, None], drawn.rows)  # which are left out as answers
        candidates = torch.cat([positives[:, None], negatives], dim=1)
        documents, place = candidates.unique(return_inverse=True)
        vectors = self._documents(documents)
        loss = sampled_softmax(
            (self.recipe.scale * queries @ vectors.T).gather(1, place.to(device)),
            drawn.log_inclusion.to(device) if self.recipe.log_inclusion else None,
            listed(candidates, barred, n).to(device),
        )
        if self.network is None:
            return loss, torch.zeros(())
        return loss, self._network_loss(self.network, documents, vectors.detach(), drawn.rows)

    def _network_loss(self, network: CorrectorNetwork, documents: Tensor, vectors: Tensor, drawn: Tensor) -> Tensor:
        """The mean of ‖corrected − current‖² over the documents drawn and a tenth more, from all alike."""
        extra = torch.randint(self.problem.corpus.n, (round(EXTRA * len(documents)) or 1,), generator=self._random)
        learnt = torch.cat([drawn[drawn >= 0], extra]).unique()
        known = torch.isin(learnt, documents)
        current = torch.empty(len(learnt), vectors.shape[1], device=vectors.device)
        current[known] = vectors[torch.isin(documents, learnt)]
        if not known.all():
            with torch.no_grad():
                current[~known] = self._documents(learnt[~known])
        corrected: Tensor = network(self.cache.rows(learnt).to(current.device))
        return (corrected - current).square().sum(1).mean()

    def _drawn(self, queries: Tensor, positives: Tensor, barred: Csr) -> Drawn:
        recipe = self.recipe
        if recipe.selection == "in-batch":
            relevant = self.problem.train.relevant
            return in_batch(positives, torch.bincount(relevant.columns, minlength=self.problem.corpus.n))
        return gumbel_top_k(
            queries,
            self.cache,
            recipe.negatives,
            scale=0.0 if recipe.selection == "uniform" else recipe.scale,
            barred=barred,
            random=self._random,
            current=unit if self.network is None or self.done < recipe.warmup else self.network,
        )

    def _documents(self, rows: Tensor) -> Tensor:
        """(m, d): documents as the encoder gives them now, which counts."""
        self.encoded[rows] = True
        self.counts["encodes_step"] += len(rows)
        return self._embedded([self.problem.corpus.items[row] for row in rows.tolist()], "document")

    def _embedded(self, items: Sequence[Item], role: Role) -> Tensor:
        """(m, d) float32 of unit length, with gradient."""
        model = self.encoder.model
        features = {
            name: value.to(model.device) if isinstance(value, Tensor) else value
            for name, value in self.encoder.features(items, role).items()
        }
        with torch.autocast(model.device.type, torch.bfloat16, enabled=has_bfloat16(model.device)):
            vectors: Tensor = model(features)["sentence_embedding"]
        return unit(vectors.float().to(self.problem.device))

    def _refresh_is_due(self) -> bool:
        selection = self.recipe.selection
        if selection != "exact" and not selection.endswith("-refresh"):
            return False
        return self.done > 0 and self.done % (1 if selection == "exact" else self.recipe.refresh) == 0

    def _refresh(self) -> None:
        """Encodes all documents anew, and forgets the corrections."""
        self.cache = VectorTuned(self.problem.corpus, encoder=self.encoder).reencode().corpus
        self.counts["encodes_refresh"] += self.problem.corpus.n
        self._new_network()

    def _new_network(self) -> None:
        if self.recipe.selection.startswith("corrector"):
            self.network = CorrectorNetwork(self.problem.corpus.d, self.problem.seed).to(self.problem.device)
            self._network_optimiser = torch.optim.Adam(
                self.network.parameters(), lr=self.recipe.corrector_rate, eps=EPSILON
            )

    def state(self) -> dict[str, Tensors]:
        """All tensors that the next step depends on, in named groups."""
        parts = {
            "model": self.encoder.model.state_dict(),
            "optimiser": moments(self._optimiser),
            "random": {"state": self._random.get_state()},
            "encoded": {"documents": self.encoded},
        }
        if self.cache is not self.problem.corpus:
            parts["cache"] = {"vectors": torch.from_numpy(self.cache.shards[0])}
        if self.network is not None:
            parts |= {"network": self.network.state_dict(), "network_optimiser": moments(self._network_optimiser)}
        return parts

    def restore(self, parts: dict[str, Tensors], counts: dict[str, int]) -> None:
        """Goes on from a `state`, and the counts that belong to it."""
        self.counts = Counter(counts)
        self.encoder.model.load_state_dict(parts["model"])
        restore_moments(self._optimiser, parts["optimiser"])
        self._random.set_state(parts["random"]["state"])
        self.encoded = parts["encoded"]["documents"]
        if "cache" in parts:
            self.cache = replace(self.problem.corpus, shards=(parts["cache"]["vectors"].numpy(),), moved=None)
        if self.network is not None:
            self.network.load_state_dict(parts["network"])
            restore_moments(self._network_optimiser, parts["network_optimiser"])
