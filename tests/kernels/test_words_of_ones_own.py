"""Steps that plugins describe themselves: callables, sigma, edits with a history; and parameters a row."""

from typing import Annotated, Any

import pytest
import torch
from pydantic import Field
from torch import Tensor

from decodery import Pipeline, hookimpl
from decodery.contracts.lowering import Edit, Map, Seen, Truncation
from decodery.contracts.params import params
from decodery.contracts.specs import StepSpec
from decodery.host.loader import PluginInfo
from decodery.host.registry import Host
from decodery.kernels.torch_backend import TorchBackend


@params
class One:
    value: Annotated[float, Field(gt=0)]


class _Step:
    def __init__(self, *, value: float) -> None:
        self.value = value


class TopA(_Step):
    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        probs = scores.softmax(-1)
        return scores.masked_fill(probs < self.value * probs.amax(-1, keepdim=True) ** 2, -torch.inf)


class Sigma(_Step):
    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        allowed = scores.masked_fill(scores == -torch.inf, torch.nan).double()
        mean = allowed.nanmean(-1, keepdim=True)
        deviation = (allowed - mean).square().nanmean(-1, keepdim=True).sqrt()
        return scores.masked_fill(scores < scores.amax(-1, keepdim=True) - self.value * deviation, -torch.inf)


class PLess(_Step):
    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        probs = scores.softmax(-1)
        return scores.masked_fill(probs < self.value * probs.square().sum(-1, keepdim=True), -torch.inf)


class Quadratic(_Step):
    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        best = scores.amax(-1, keepdim=True)
        return best - self.value * (scores - best) ** 2


class Frequency(_Step):
    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        counts = torch.zeros_like(scores).scatter_add_(1, input_ids, torch.ones(input_ids.shape))
        return scores + counts * -self.value


def _p_less(p: One, facts: Any) -> Truncation:
    return Truncation(
        "custom",
        keep=lambda logs: logs - torch.tensor(p.value).log() - (2 * logs).exp().sum(-1, keepdim=True).log(),
    )


LOWERINGS: dict[str, tuple[type[_Step], Any]] = {
    "top_a": (
        TopA,
        lambda p, facts: Truncation(
            "custom", keep=lambda logs: logs - torch.tensor(p.value).log() - 2 * logs[:, :1], reach="each"
        ),
    ),
    "sigma": (Sigma, lambda p, facts: Truncation("sigma", p.value)),
    "p_less": (PLess, _p_less),
    "quadratic": (
        Quadratic,
        lambda p, facts: Map("custom", apply=lambda v: v[:, :1] - p.value * (v - v[:, :1]) ** 2),
    ),
    "frequency": (Frequency, lambda p, facts: Edit(Seen(-p.value, times=True), "add")),
}


@hookimpl
def provide_steps() -> list[StepSpec]:
    return [
        StepSpec(
            name,
            "processor",
            factory,
            One,
            lowering=lowering,
            traits=frozenset({"stateless"} | ({"reads_history"} if name == "frequency" else set())),
        )
        for name, (factory, lowering) in LOWERINGS.items()
    ]


HOST = Host("tests", plugins=[PluginInfo("tests", "0", __name__)])
CHAINS = [
    (("top_a", 0.3),),
    (("sigma", 1.2),),
    (("top_k", 40), ("sigma", 1.0)),
    (("top_k", 30), ("p_less", 0.5)),
    (("top_k", 30), ("quadratic", 0.2), ("top_p", 0.9)),
    (("quadratic", 0.1), ("top_k", 12)),
    (("frequency", 0.4), ("top_a", 0.2)),
]


@pytest.mark.parametrize("chain", CHAINS, ids=lambda chain: " ".join(name for name, _ in chain))
@pytest.mark.parametrize("hf", [False, True], ids=["row generator", "hf"])
def test_fused_words_draw_the_steps_own_tokens(
    chain: tuple[tuple[str, float], ...], hf: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    fell_back = 0
    for seed in range(12):
        generator = torch.Generator().manual_seed(seed)
        vocab = (50, 3001, 20_000)[seed % 3]
        logits = torch.randn(3, vocab, generator=generator) * 3
        ids = torch.randint(0, vocab, (3, 40), generator=generator)
        pipe = Pipeline(host=HOST)
        for name, value in chain:
            pipe = pipe.add(name, value)
        pipe = pipe.compat("hf" if hf else None).with_strategy("sample", seed=seed)
        monkeypatch.setenv("DECODERY_KERNELS", "reference")
        expected = pipe.bind(ids).pick(ids, logits)
        monkeypatch.setenv("DECODERY_KERNELS", "torch")
        bound = pipe.bind(ids)
        assert bound.plan.choice.name == "torch"
        assert torch.equal(bound.pick(ids, logits), expected)
        fell_back += bound.plan.fallbacks
    assert fell_back < 18, "of 36 rows most should be decided by the fused steps"


def test_a_value_for_each_row_is_each_rows_own() -> None:
    generator = torch.Generator().manual_seed(1)
    scores = torch.randn(3, 4096, generator=generator) * 3
    uniform = torch.rand(3, dtype=torch.float64, generator=generator)
    heats, ks, ps = (
        torch.tensor([0.5, 1.0, 2.0]),
        torch.tensor([5.0, 40.0, 90.0]),
        torch.tensor([0.9, 0.5, 0.99]),
    )
    backend = TorchBackend()

    def drawn(rows: Tensor, heat: Any, k: Any, p: Any, u: Tensor) -> list[int]:
        chain = (Map("temperature", heat), Truncation("k", k), Truncation("mass", p))
        tokens, flags = backend.draw_row(backend.truncate(rows, chain, 128), u)
        assert not flags.any()
        return tokens.tolist()

    together = drawn(scores, heats, ks, ps, uniform)
    alone = [
        drawn(scores[r : r + 1], float(heats[r]), float(ks[r]), float(ps[r]), uniform[r : r + 1])[0]
        for r in range(3)
    ]
    assert together == alone
