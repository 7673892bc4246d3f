"""What the planner is told of a step gives the step's own answers."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
from sampler_rows import thousand_rows

from decodery import Pipeline
from decodery.contracts.lowering import Edit, Fixed, Map, Truncation, as_lowered
from decodery.contracts.specs import resolve
from decodery_samplers import plugin

inf = math.inf
SPECS = {spec.name: spec for spec in plugin.provide_steps()}
IDS = torch.tensor([[0]])


def applied(part: Edit | Map | Truncation, scores: torch.Tensor) -> torch.Tensor:
    """The meaning of one description by its docstring, on candidates that are the whole row; -1, undecided, as NaN."""
    if isinstance(part, Edit):
        assert isinstance(part.source, Fixed)
        ids, values = torch.tensor(part.source.ids), torch.tensor(part.source.values)
        edited = scores.clone()
        edited[:, ids] = values if part.mode == "set" else edited[:, ids] + values
        return edited
    order = scores.sort(dim=-1, descending=True, stable=True)
    if isinstance(part, Map):
        made = order.values / part.value if part.apply is None else part.apply(order.values)
        return torch.empty_like(scores).scatter(-1, order.indices, made)
    if part.kind == "sigma":
        allowed = scores.double().masked_fill(scores.isneginf(), torch.nan)
        mean = allowed.nanmean(-1, keepdim=True)
        spread = (allowed - mean).square().nanmean(-1, keepdim=True).sqrt()
        margin = (scores.double() - scores.double().amax(-1, keepdim=True) + part.value * spread).gather(
            -1, order.indices
        )
    else:
        margin = part.keep(order.values.double().log_softmax(-1))
    margin[:, : part.min_keep] = 1.0
    kept = torch.where(margin.abs() < 1e-5, torch.nan, order.values.masked_fill(margin <= 0, -inf))
    return torch.empty_like(scores).scatter(-1, order.indices, kept)


CASES = [
    ("top_n_sigma", {"n": 0.7}),
    ("top_n_sigma", {"n": 1.0, "min_keep": 3}),
    ("top_a", {"a": 0.4}),
    ("top_a", {"a": 0.1, "power": 1.0, "min_keep": 2}),
    ("p_less", {}),
    ("p_step", {"r": 0.5}),
    ("p_step", {"r": 0.9, "min_keep": 2}),
    ("dynamic_temperature", {"temperature": 0.7}),
    ("quadratic", {"factor": 0.3, "curve": 2.0}),
    ("logit_bias", {"biases": {"0": -1.5, "4": 2.0}}),
    ("banned_tokens", {"tokens": [1, 3]}),
    ("allowed_tokens", {"tokens": [0, 2, 4]}),
]


@pytest.mark.parametrize(("name", "params"), CASES)
def test_a_lowering_says_what_the_step_does(name: str, params: dict) -> None:
    pipe = Pipeline().add(f"decodery-samplers/{name}", **params)
    lowering = resolve(SPECS[name].lowering, name)
    for rows in thousand_rows():
        if rows.shape[1] < 5:
            continue
        facts = SimpleNamespace(vocab_size=rows.shape[1], tokenizer=None)
        parts = as_lowered(lowering(pipe.processors[0].params, facts), name)
        assert parts
        found = rows
        for part in parts:
            found = applied(part, found)
        wanted = pipe(IDS.expand(len(rows), -1), rows)
        undecided = found.isnan()
        assert torch.equal(found[~undecided], wanted[~undecided])


@pytest.mark.parametrize(
    ("name", "params", "answer"),
    [
        ("top_n_sigma", {"n": 0.0}, ()),
        ("top_n_sigma", {"variant": "tgw"}, None),
        ("quadratic", {"factor": 1.0, "curve": 4.0}, None),
        ("dynamic_temperature", {"range": 0.5}, None),
        ("banned_tokens", {"tokens": ["word"]}, None),
        ("banned_tokens", {"tokens": [99]}, None),
        ("logit_bias", {}, ()),
        ("allowed_tokens", {}, ()),
        ("dry", {}, ()),
        ("dry", {"multiplier": 1.0, "breakers": [], "window": 5}, None),
        ("dry", {"multiplier": 1.0, "breakers": ["a word"]}, None),
        ("dry", {"multiplier": 1.0, "breakers": ["."]}, None),
        ("dry", {"multiplier": 1.0, "breakers": [], "base": 1.0001}, None),
    ],
)
def test_what_is_idle_is_nothing_and_what_cannot_be_said_is_opaque(
    name: str, params: dict, answer: object
) -> None:
    step = Pipeline().add(f"decodery-samplers/{name}", **params).processors[0]
    facts = SimpleNamespace(vocab_size=50, tokenizer=None, padding=None)
    assert resolve(SPECS[name].lowering, name)(step.params, facts) == answer


@pytest.mark.parametrize("kernels", ["torch", "native"])
@pytest.mark.parametrize(
    "params", [{}, {"allowed_length": 1, "max_match": 3}, {"base": 1.0, "breakers": [3]}]
)
def test_dry_fused_draws_what_the_step_draws(
    kernels: str, params: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kernels == "native":
        pytest.importorskip("decodery_native.backend")
    pipe = Pipeline().add("decodery-samplers/dry", multiplier=1.3, **{"breakers": [], **params})
    pipe = pipe.add("top_k", 8).with_strategy("sample", seed=3)
    ids = torch.randint(0, 9, (3, 300), generator=torch.Generator().manual_seed(1))
    scores = torch.randn(40, 3, 64, generator=torch.Generator().manual_seed(2))
    drawn, fallbacks = {}, 0
    for choice in ("reference", kernels):
        monkeypatch.setenv("DECODERY_KERNELS", choice)
        bound = pipe.bind(ids[:, :200], vocab_size=64)
        drawn[choice] = [bound.pick(ids[:, : 200 + step], scores[step]).tolist() for step in range(40)]
        fallbacks += bound.plan.fallbacks
        assert (bound.plan.choice.name == "reference") is (choice == "reference")
    assert drawn["reference"] == drawn[kernels]
    assert fallbacks < 12, "of 120 rows most should be decided by the fused steps"


def test_every_lowering_is_tried() -> None:
    assert {"dry", *(name for name, _ in CASES)} == {
        spec.name for spec in SPECS.values() if spec.lowering is not None
    }
