"""The backend: decodery's plan in, one call to C++ a step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from decodery.contracts.lowering import EditSource, Follows, Map, Mode, Truncation
from decodery.kernels import certificate
from decodery.kernels.backends import OUTGROWN, Chain
from decodery.kernels.torch_backend import refuses

from . import _native
from .history import Histories
from .one_call import MODES, OneCall, batch, edit_of, last_flags

KINDS = ("temperature", "renormalise", "k", "mass", "ratio", "floor", "eta", "sigma", "typical")
"""In the order of the C++ enumeration."""
MARGINS = [
    certificate.RACE,
    certificate.MASS,
    certificate.RATIO,
    certificate.FLOOR,
    certificate.ENTROPY,
    certificate.SIGMA,
    certificate.WEIGHT,
    certificate.LOOSE,
]
WIDEST = 2048
"""The greatest k: beyond it the row is as good as whole."""


@dataclass(slots=True)
class Asked:
    """What is to be cut and drawn; everything happens in the draw, in one call."""

    scores: Tensor
    chain: Chain
    flags: Tensor | None = None

    @property
    def outgrown(self) -> Tensor | None:
        """(R,) bool: rows with more candidates than are worth looking at."""
        return None if self.flags is None else self.flags == OUTGROWN


class NativeBackend:
    """`isa` "" takes the best instruction set there is; "plain", "avx2" and "avx512" are for tests."""

    name: ClassVar[str] = "native"
    devices: ClassVar[frozenset[str]] = frozenset({"cpu"})
    dtypes: ClassVar[frozenset[torch.dtype]] = frozenset({torch.float32, torch.bfloat16})

    def __init__(self, isa: str = "") -> None:
        self.isa = isa
        # Keyed by identity: a plan hands over the same tuple at every step. The tuple is kept, so its id stays its own.
        self._chains: dict[int, tuple[Chain, _native.Chain]] = {}

    def refuses(self, chain: Chain) -> str:
        for part in chain:
            if isinstance(part.value, Tensor):
                return f"{part.kind!r} has a value for each row"
            if part.kind == "custom":
                return "a step has a callable of its own"
            if part.kind == "k" and part.value > WIDEST:
                return f"top-k {part.value} is too wide"
        return refuses(chain)

    def truncate(self, scores: Tensor, chain: Chain, window: int) -> Asked:
        return Asked(scores, chain)

    def draw_row(self, found: Asked, uniform: Tensor) -> tuple[Tensor, Tensor]:
        tokens = torch.empty(len(found.scores), dtype=torch.int64)
        self._chain(found.chain).pick_uniform(
            _given(found.scores), [], uniform.contiguous().data_ptr(), tokens.data_ptr()
        )
        found.flags = last_flags(tokens)
        return tokens, found.flags

    def draw_torch(
        self, found: Asked, vocab: int, generator: torch.Generator | None
    ) -> tuple[Tensor, Tensor]:
        tokens = torch.empty(len(found.scores), dtype=torch.int64)
        generator = torch.default_generator if generator is None else generator
        state = generator.get_state()
        self._chain(found.chain).pick_torch(_given(found.scores), [], state.data_ptr(), tokens.data_ptr())
        generator.set_state(state)
        found.flags = last_flags(tokens)
        return tokens, found.flags

    def edit(self, scores: Tensor, ids: Tensor, values: Tensor, mode: Mode) -> None:
        """In place; see `decodery.kernels.edits.edit`."""
        ids, values = ids.contiguous(), values.contiguous()
        rows, vocab = scores.shape
        _native.edit(scores.data_ptr(), rows, vocab, edit_of(ids, values, MODES[mode]))

    def argmax(self, scores: Tensor) -> Tensor:
        """The smallest id among the best; where a row has none that is finite, `Tensor.argmax` answers."""
        tokens = torch.empty(len(scores), dtype=torch.int64)
        if _native.pick_best(_given(scores), [], 0.0, False, tokens.data_ptr()):
            return scores.argmax(-1)
        return tokens

    def one_call(self, modes: Sequence[Mode], chain: Chain, greedy: bool) -> OneCall | None:
        """Edits, chain and choice in one call; None where a best token needs more than its score."""
        if greedy and any(part.kind in ("renormalise", "custom") for part in chain):
            return None
        return OneCall(modes, chain, None if greedy else self.compiled(chain))

    def history(self, follows: Follows) -> EditSource:
        """The same edits, kept in C++."""
        return Histories(follows)

    def compiled(self, chain: Chain) -> _native.Chain:
        """The chain as C++ has it."""
        words = [(KINDS.index(p.kind), float(p.value), _min_keep(p)) for p in chain]
        return _native.Chain(words, MARGINS, self.isa)

    def _chain(self, chain: Chain) -> _native.Chain:
        kept = self._chains.get(id(chain))
        if kept is None:
            if len(self._chains) > 256:
                self._chains.clear()
            kept = self._chains[id(chain)] = (chain, self.compiled(chain))
        return kept[1]


def why_not() -> str:
    """ "" where torch's generator is as the C++ expects, else what differs."""
    if _native.state_bytes != torch.Generator().get_state().numel():
        return "torch's generator has another layout"
    for seed, before in ((1, 0), (2, 5), (3, 1247)):
        theirs, ours = torch.Generator().manual_seed(seed), torch.Generator().manual_seed(seed)
        for generator in (theirs, ours):
            torch.rand(before, generator=generator)  # float32: one word each, so that an odd one is left
        expected = torch.rand(2000, dtype=torch.float64, generator=theirs)
        places = torch.arange(0, 2000, 7, dtype=torch.int32)
        state, found = ours.get_state(), torch.empty(len(places), dtype=torch.float64)
        _native.uniforms(state.data_ptr(), places.data_ptr(), len(places), 2000, found.data_ptr())
        if not torch.equal(found, expected[::7]) or not torch.equal(state, theirs.get_state()):
            return "torch's generator draws otherwise"
    return ""


def _given(scores: Tensor) -> _native.Rows:
    rows = batch(scores)
    if rows is None:
        raise TypeError(f"scores of {scores.dtype} with strides {scores.stride()}")
    return rows


def _min_keep(part: Map | Truncation) -> int:
    return part.min_keep if isinstance(part, Truncation) else 1
