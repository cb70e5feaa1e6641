"""A GPU that is not there: the CPU computes what lies on it, but it meets none of the CPU's own and has its own memory.

Torch is told that tensors of a class of their own lie on `cuda:0`. Every operation on them comes by here, where what
CUDA refuses is refused: operands on two devices, numpy without a copy, more than the memory holds. It shows that code
names its devices rightly, not that CUDA computes well.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self
from unittest.mock import patch
from weakref import finalize

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

CPU, GPU = torch.device("cpu"), torch.device("cuda:0")
COMPOSITE = torch._C.DispatchKey.CompositeImplicitAutograd
aten = torch.ops.aten
COPIES = {aten.copy_, aten._to_copy}  # between devices
INDEXED = {aten.index, aten.index_put, aten.index_put_, aten._index_put_impl_}  # by indices of any device
ANSWERS = {  # what torch.cuda says of it
    "_lazy_init": None,
    "current_device": 0,
    "device_count": 1,
    "get_device_name": "simulated GPU",
    "is_available": True,
    "is_bf16_supported": True,
    "reset_peak_memory_stats": None,
    "set_device": None,
    "synchronize": None,
}


@dataclass(frozen=True, eq=False)
class Lease:
    """Keeps what begins at a place in memory; of several on one place the last ends it."""

    place: int


class Memory:
    """What its tensors take, in bytes.

    Attributes:
        size: how much there is.
        peak: the most that was taken.
        refused: how often there was not enough.
    """

    def __init__(self, size: float) -> None:
        self.size = size
        self.peak = self.refused = self._taken = 0
        self._leases: Counter[int] = Counter()  # by place

    def take(self, storage: torch.UntypedStorage) -> Lease:
        """Raises torch.OutOfMemoryError when it is too much."""
        lease = Lease(storage.data_ptr())
        if not self._leases[lease.place]:
            if self._taken + storage.nbytes() > self.size:
                self.refused += 1
                raise torch.OutOfMemoryError
            self._taken += storage.nbytes()
            self.peak = max(self.peak, self._taken)
        self._leases[lease.place] += 1
        finalize(lease, self._end, lease.place, storage.nbytes())
        return lease

    def _end(self, place: int, size: int) -> None:
        self._leases[place] -= 1
        if not self._leases[place]:
            self._taken -= size


class OnGpu(Tensor):
    """A tensor on the GPU; torch's own C++ takes it for one without data."""

    inner: Tensor
    lease: Lease
    device = GPU
    is_cuda = True
    is_meta = False

    @staticmethod
    def __new__(cls, inner: Tensor, memory: Memory) -> Self:
        with torch.inference_mode(False):
            made = Tensor._make_wrapper_subclass(
                cls, inner.shape, inner.stride(), inner.storage_offset(), dtype=inner.dtype, device="meta"
            )
        made.inner = inner
        made.lease = memory.take(inner.untyped_storage())
        return made

    def tolist(self) -> list[Any]:
        return self.inner.tolist()

    def __repr__(self) -> str:
        return f"OnGpu({self.inner})"

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise NotImplementedError("the simulated GPU is switched off")


class _Computing(TorchDispatchMode):
    def __init__(self, memory: Memory) -> None:
        super().__init__()
        self._memory = memory

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if torch.is_inference_mode_enabled() and func.has_kernel_for_dispatch_key(COMPOSITE):
            with self:
                return func.decompose(*args, **kwargs)
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        _refuse_mixed(func, args, tensors)
        known = {id(tensor.inner): tensor for tensor in tensors if isinstance(tensor, OnGpu)}
        on_gpu, device = bool(known), kwargs.get("device")
        if device is not None:
            on_gpu = device.type in {"cuda", "meta"}
            kwargs = {key: CPU if key == "device" else value for key, value in kwargs.items() if key != "pin_memory"}
        results = func(*tree_map(_inner, args), **tree_map(_inner, kwargs))
        if func.overloadpacket is aten.copy_:
            return args[0]

        def placed(result: Any) -> Any:
            if not isinstance(result, Tensor) or not on_gpu:
                return result
            written_to = known.get(id(result))
            return OnGpu(result, self._memory) if written_to is None else written_to

        return tree_map(placed, results)


class _Naming(TorchFunctionMode):
    """Gives the GPU its number; and takes over what torch computes without asking a dispatch mode."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        args, kwargs = tree_map(_numbered, (args, kwargs or {}))
        if func in {torch.tensor, torch.as_tensor} and kwargs.get("device") == GPU:
            return func(*args, **{**kwargs, "device": "cpu"}).to(GPU)
        return func(*args, **kwargs)


def _numbered(value: Any) -> Any:
    return GPU if isinstance(value, (str, torch.device)) and str(value) == "cuda" else value


def _inner(value: Any) -> Any:
    return value.inner if isinstance(value, OnGpu) else value


def _refuse_mixed(func: Any, args: Any, tensors: list[Tensor]) -> None:
    """Raises RuntimeError for operands on two devices; single numbers of the CPU's may go anywhere."""
    if len({isinstance(tensor, OnGpu) for tensor in tensors}) < 2 or func.overloadpacket in COPIES:
        return
    if func.overloadpacket in INDEXED and isinstance(args[0], OnGpu):
        tensors = [args[0], *(value for value in args[2:] if isinstance(value, Tensor))]
    here = [tuple(tensor.shape) for tensor in tensors if tensor.dim() and not isinstance(tensor, OnGpu)]
    if here or (func.overloadpacket in INDEXED and not isinstance(args[0], OnGpu)):
        raise RuntimeError(f"{func}: expected all tensors to be on the same device, but found {here} on the CPU")


@contextmanager
def simulated_gpu(size: float = float("inf")) -> Iterator[Memory]:
    """Has torch believe, within the block, that there is a GPU with a memory of so many bytes."""
    answers = {name: lambda *_, _answer=answer, **__: _answer for name, answer in ANSWERS.items()}
    memory = Memory(size)
    random = {"get_rng_state": lambda *_: torch.get_rng_state(), "set_rng_state": lambda state, *_: None}
    swaps = torch.__future__.get_swap_module_params_on_conversion()
    torch.__future__.set_swap_module_params_on_conversion(True)
    try:
        with (
            patch.multiple(torch.cuda, **answers, **random, max_memory_allocated=lambda *_: memory.peak),
            patch.multiple(torch.cuda.random, **random),
            _Computing(memory),
            _Naming(),
        ):
            yield memory
    finally:
        torch.__future__.set_swap_module_params_on_conversion(swaps)
