"""Low-rank adaptation (Hu et al. 2021, arXiv 2106.09685): full fine-tuning of a small part, through peft."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from torch import nn

from methods._errors import Unsuited
from methods._space import Range, Space
from methods.full_finetune import FullFinetune

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


@dataclass(frozen=True)
class Lora(FullFinetune):
    """Trains a low-rank update of each linear layer, and adds it to the layer in the end.

    Attributes:
        rank: of the updates, which are scaled by 2.
        learning_rate: of Adam; ten times that of all weights, because an update starts from zero.
    """

    space: ClassVar[Space] = {**FullFinetune.space, "learning_rate": Range(5e-5, 2e-3, log=True)}
    rank: int = 16
    learning_rate: float = 2e-4

    def adapted(self, model: SentenceTransformer) -> Callable[[], object]:
        """Puts updates beside the linear layers; what is returned merges them.

        Raises:
            Unsuited: when there is no linear layer.
        """
        from peft import LoraConfig, LoraModel

        whole = nn.ModuleList([model])  # peft asks the outermost module for a transformer's configuration
        layers = [name for name, module in whole.named_modules() if isinstance(module, nn.Linear)]
        if not layers:
            raise Unsuited("the encoder has no linear layer; take full-finetune")
        config = LoraConfig(r=self.rank, lora_alpha=2 * self.rank, target_modules=layers)
        return LoraModel(whole, config, "default").merge_and_unload
