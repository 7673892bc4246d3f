"""What the planner is told of a step gives the step's own answers."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from sampler_rows import thousand_rows

from decodery import Decoder, Pipeline, Recipe
from decodery.contracts.lowering import Edit, Fixed, Map, Seen, Truncation, as_lowered
from decodery.contracts.specs import resolve
from decodery.engine.plan.planned import planned
from decodery.host.registry import Host
from decodery.kernels.history import NewestTokens, SeenTokens
from decodery.testing import RandomTransformer
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
    ("tail_free", {"z": 0.6}),
    ("tail_free", {"z": 0.9, "variant": "kobold", "min_keep": 3}),
    ("top_p_decay", {"p": 0.7}),
    ("top_p_decay", {"p": 0.2, "min_keep": 2}),
    ("p_less", {}),
    ("p_step", {"r": 0.5}),
    ("p_step", {"r": 0.9, "min_keep": 2}),
    ("dynamic_temperature", {"temperature": 0.7}),
    ("dynamic_temperature", {"temperature": 1.0, "range": 0.5}),
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
        ids = IDS.expand(len(rows), -1)
        wanted = pipe.bind(ids, vocab_size=rows.shape[1])(ids, rows)
        undecided = found.isnan()
        assert torch.equal(found[~undecided], wanted[~undecided])


@pytest.mark.parametrize(
    ("name", "params", "answer"),
    [
        ("top_n_sigma", {"n": 0.0}, ()),
        ("top_n_sigma", {"variant": "tgw"}, None),
        ("quadratic", {"factor": 1.0, "curve": 4.0}, None),
        ("tail_free", {}, ()),
        ("top_p_decay", {"p": 1.0}, ()),
        ("top_p_decay", {"p": 0.9, "decay": 0.9}, None),
        ("presence_penalty", {}, ()),
        ("frequency_penalty", {"penalty": 1.0, "window": 4, "decay_range": 2}, None),
        ("dry", {}, ()),
        ("banned_tokens", {"tokens": ["word"]}, None),
        ("banned_tokens", {"tokens": [99]}, None),
        ("logit_bias", {}, ()),
        ("allowed_tokens", {}, ()),
        ("dry", {"multiplier": 1.0, "breakers": ["."]}, None),
    ],
)
def test_what_is_idle_is_nothing_and_what_cannot_be_said_is_opaque(
    name: str, params: dict, answer: object
) -> None:
    step = Pipeline().add(f"decodery-samplers/{name}", **params).processors[0]
    facts = SimpleNamespace(vocab_size=50, tokenizer=None, padding=None)
    assert resolve(SPECS[name].lowering, name)(step.params, facts) == answer


PENALTIES = [
    ("presence_penalty", {"penalty": 0.7}),
    ("presence_penalty", {"penalty": 0.3, "scope": "all", "window": 4}),
    ("frequency_penalty", {"penalty": 0.6}),
    ("frequency_penalty", {"penalty": -0.2, "scope": "all", "window": 6}),
    ("frequency_penalty", {"penalty": 0.6, "scope": "prompt"}),
    ("dry", {"multiplier": 0.8, "allowed_length": 1, "breakers": []}),
    ("dry", {"multiplier": 1.5, "base": 1.2, "allowed_length": 1, "breakers": [3], "window": 6}),
]


@pytest.mark.parametrize(("name", "params"), PENALTIES)
def test_a_penalty_is_an_edit_with_the_steps_very_scores(name: str, params: dict) -> None:
    """Texts that grow, are reordered, and are taken back: the edits give the step's scores, bit for bit."""
    rng = torch.Generator().manual_seed(1)
    step = Pipeline().add(f"decodery-samplers/{name}", **params).processors[0]
    prompts = torch.tensor([2, 3, 1])
    facts = SimpleNamespace(vocab_size=5, tokenizer=None, padding=None, prompt_lengths=prompts)
    (edit,) = as_lowered(resolve(SPECS[name].lowering, name)(step.params, facts), name)
    source = source_of(edit, prompts)
    ids, lengths = torch.randint(0, 5, (3, 30), generator=rng), prompts.clone()

    def agree() -> None:
        scores = torch.randn(len(ids), 5, generator=rng)
        pipe = Pipeline().add(f"decodery-samplers/{name}", **params)
        wanted = torch.cat(
            [
                pipe.bind(row[None, :prompt], vocab_size=5)(row[None, :length], own[None])
                for row, prompt, length, own in zip(
                    ids, prompts.tolist(), lengths.tolist(), scores, strict=True
                )
            ]
        )
        told = edits_of(source, ids, lengths, prompts)
        for row, (tokens, values) in enumerate(told):
            scores[row, tokens] += values
        assert torch.equal(scores, wanted)

    if hasattr(source, "begin"):
        source.begin(ids, lengths)
    for turn in range(14):
        agree()
        if turn == 6:
            rows = torch.tensor([1, 1, 0])
            ids, lengths, prompts = ids[rows], lengths[rows], prompts[rows]
            if hasattr(source, "select"):
                source.select(rows)
        elif turn == 9:
            counts = torch.tensor([3, 0, 2])
            lengths = lengths - counts
            if hasattr(source, "rewind"):
                source.rewind(counts)
        else:
            new = ids[torch.arange(3), lengths]
            if hasattr(source, "observe"):
                source.observe(new, torch.ones(3, dtype=torch.bool))
            lengths = lengths + 1


def source_of(edit: Edit, prompts: torch.Tensor) -> Any:
    """A `Seen` is followed by the kernels' own trackers."""
    if not isinstance(edit.source, Seen):
        return edit.source
    return SeenTokens(edit.source, prompts) if edit.source.window is None else NewestTokens(edit.source)


def edits_of(
    source: Any, ids: torch.Tensor, lengths: torch.Tensor, prompts: torch.Tensor
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    given = (ids, lengths, prompts) if isinstance(source, NewestTokens) else (ids, lengths)
    tokens, values = source.edits(*given)
    values = values.expand(tokens.shape)
    rows = []
    for row, row_values in zip(tokens, values, strict=True):
        known = row >= 0
        pairs = dict(zip(row[known].tolist(), row_values[known].tolist(), strict=True))  # an id counts once
        rows.append((torch.tensor(list(pairs), dtype=torch.int64), torch.tensor(list(pairs.values()))))
    return rows


@pytest.mark.parametrize("strategy", [{"sample": {"seed": 5}}, "greedy", {"prompt_lookup": {}}])
def test_llama_cpps_chain_with_everything_on_gives_the_same_tokens_fused_or_not(
    strategy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = {
        "recipe": 1,
        "strategy": strategy,
        "processors": [
            {"decodery-samplers/frequency_penalty": {"penalty": 0.2, "window": 8, "scope": "all"}},
            {"decodery-samplers/presence_penalty": {"penalty": 0.1, "scope": "all"}},
            {"decodery-samplers/dry": {"multiplier": 0.8, "allowed_length": 1, "breakers": [7]}},
            {"decodery-samplers/tail_free": 0.97},
            {"top_k": 40},
            {"decodery-samplers/top_p_decay": 0.95},
            {"decodery-samplers/dynamic_temperature": {"temperature": 0.9, "range": 0.4}},
        ],
        "stop": [{"max_new_tokens": 40}],
    }
    model, prompts = RandomTransformer(64, seed=3), [[5, 6, 7, 5, 6], [9], [11, 12, 13]]
    fused = Decoder(model, recipe).generate(prompts)
    monkeypatch.setenv("DECODERY_KERNELS", "reference")
    assert fused.tokens == Decoder(model, recipe).generate(prompts).tokens


def test_the_tail_is_where_it_was_without_the_banned_tokens() -> None:
    """Candidates are what is allowed; the row went on with the others."""
    step = Pipeline().add("decodery-samplers/tail_free", z=0.6).processors[0]
    for banned in (0, 1, 2, 5):
        row = torch.cat([torch.randn(20).sort(descending=True).values, torch.full((banned,), -inf)])
        facts = SimpleNamespace(vocab_size=len(row), tokenizer=None)
        keep = resolve(SPECS["tail_free"].lowering, "tail_free")(step.params, facts).keep
        whole = keep(row.double().log_softmax(-1)[None])
        torch.testing.assert_close(keep(row[:20].double().log_softmax(-1)[None]), whole[:, :20])


IDLE = {
    "xtc": ({}, {"probability": 0.5}),
    "skew": ({"skew": 0.0}, {"skew": -0.3}),
    "adaptive_p": ({"target": -1.0}, {"target": 0.0}),
    "forced_tokens": ({}, {"ids": [2]}),
    "gen_length": ({"factor": 0.0}, {"factor": 0.5}),
    "cite_prompt": ({"boost": 0.0}, {"boost": 0.0, "conditional": 1.0}),
}


@pytest.mark.parametrize("name", IDLE)
def test_what_cannot_be_said_is_nothing_where_it_is_idle(name: str) -> None:
    idle, busy = (
        Pipeline().add(f"decodery-samplers/{name}", **params).processors[0].params for params in IDLE[name]
    )
    lowering = resolve(SPECS[name].lowering, name)
    assert (lowering(idle, None), lowering(busy, None)) == ((), None)


# What is switched on, so that there is something to cut early; top-k that cuts ties is opaque, and last dense one.
ORDERS = {
    "exllamav2": (["temperature=0.9"], "top_k"),
    "kobold": ([], "top_k"),
    "llama.cpp": (["dry.multiplier=0.8", "dry.breakers=[]", "presence_penalty=0.1"], "top_k"),
    "mlx": (["top_p=0.9", "presence_penalty=0.1", "top_k=0"], ""),
    "vllm": (["top_p=0.9", "frequency_penalty=0.1"], ""),
}


@pytest.mark.parametrize("name", ORDERS)
def test_no_idle_step_keeps_an_order_of_an_engine_off_the_fast_path(name: str) -> None:
    overrides, last = ORDERS[name]
    recipe = Recipe.load(name, overrides=overrides)
    plan = planned(recipe.processors, recipe.strategy, Host())
    assert (plan.dense[-1:] or ("",))[0] == last, plan
    assert len(plan.fused) > 2


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
    tried = {name for name, _ in [*CASES, *PENALTIES]} | IDLE.keys()
    assert tried == {spec.name for spec in SPECS.values() if spec.lowering is not None}
