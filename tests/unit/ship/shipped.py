"""The cells that the tests of this folder ship."""

from __future__ import annotations

from collections.abc import Callable

from click.testing import Result

Invoke = Callable[..., Result]
METHODS = (
    "none",
    "nudge-m",
    "nudge-n",
    "nudge-loo",
    "nnn",
    "adaptor[steps=40,batch=16]",
    "adaptor[kind=mlp,steps=40,batch=16]",
    "adaptor[kind=ridge,side=both]",
    "adaptor[steps=40,batch=16]+nudge-loo[offset=0.1]",
    "full-finetune[steps=4,check_every=0,learning_rate=0.001]",
    "bm25",
)
