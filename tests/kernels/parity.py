"""One parity suite for every backend: rows of many shapes through a pipeline and through transformers' own classes."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers.generation import logits_process as hf

from decodery import Pipeline

VOCABULARIES = (2, 3, 17, 100, 999, 4096, 32_003, 50_257, 128_256, 262_144)
SHAPES = ("lm", "flat", "uniform", "tied", "banned")
PRECISIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "fp32": lambda rows: rows,
    "bf16": lambda rows: rows.bfloat16().float(),
    "fp16": lambda rows: rows.half().float(),
}
CHAINS: dict[str, tuple[tuple[str, float], ...]] = {
    "chat": (("repetition_penalty", 1.1), ("temperature", 0.8), ("top_k", 50), ("top_p", 0.95)),
    "memo": (("repetition_penalty", 1.1), ("temperature", 0.8), ("top_p", 0.95), ("top_k", 50)),
    "top_p": (("top_p", 0.9),),
    "hot top_p": (("temperature", 1.4), ("top_p", 0.5)),
    "min_p": (("min_p", 0.05),),
    "typical_p": (("typical_p", 0.9),),
    "eta_cutoff": (("eta_cutoff", 3e-4),),
    "epsilon_cutoff": (("epsilon_cutoff", 3e-4),),
    "everything": (
        ("repetition_penalty", 1.3),
        ("temperature", 1.2),
        ("top_k", 200),
        ("typical_p", 0.8),
        ("top_p", 0.9),
        ("min_p", 0.02),
        ("eta_cutoff", 1e-3),
        ("epsilon_cutoff", 1e-4),
    ),
    "two temperatures": (("temperature", 0.5), ("top_p", 0.98), ("temperature", 1.5), ("min_p", 0.1)),
    "temperature": (("temperature", 0.7),),
}
CLASSES = {
    "repetition_penalty": hf.RepetitionPenaltyLogitsProcessor,
    "temperature": hf.TemperatureLogitsWarper,
    "top_k": hf.TopKLogitsWarper,
    "top_p": hf.TopPLogitsWarper,
    "min_p": hf.MinPLogitsWarper,
    "typical_p": hf.TypicalLogitsWarper,
    "eta_cutoff": hf.EtaLogitsWarper,
    "epsilon_cutoff": hf.EpsilonLogitsWarper,
}


@dataclass(frozen=True)
class Case:
    """`rows` (R, V) float32, `ids` (R, T) int64."""

    name: str
    chain: str
    rows: Tensor
    ids: Tensor
    seed: int


def logits(shape: str, rows: int, vocab: int, generator: torch.Generator) -> Tensor:
    """(R, V) float32: as a language model's, flat, all but equal, of few values, or with nine of ten banned."""
    noise = torch.randn(rows, vocab, generator=generator)
    if shape == "flat":
        return noise * 0.3
    if shape == "uniform":
        return noise * 1e-4
    if shape == "tied":
        return (noise * 2).round()
    ranks = torch.stack([torch.randperm(vocab, generator=generator) for _ in range(rows)]) + 1.0
    made = -1.6 * ranks.log() + 0.5 * noise
    if shape == "banned":
        hidden = torch.rand(rows, vocab, generator=generator) < 0.9
        hidden[:, 0] = False
        made = made.masked_fill(hidden, -torch.inf)
    return made


def cases(count: int, seed: int, largest: int = 262_144) -> Iterator[Case]:
    """Cases of `count` rows in all, spread over precisions, shapes, vocabularies and chains; large vocabularies have
    few rows."""
    chance = random.Random(seed)
    made = 0
    while made < count:
        vocab = chance.choice([v for v in VOCABULARIES if v <= largest])
        rows = min(count - made, chance.choice((1, 1, 2, 5)) if vocab <= 4096 else 1)
        shape, precision, chain = (chance.choice(tuple(t)) for t in (SHAPES, PRECISIONS, CHAINS))
        generator = torch.Generator().manual_seed(seed + made)
        scores = PRECISIONS[precision](logits(shape, rows, vocab, generator))
        ids = torch.randint(0, vocab, (rows, 24), generator=generator)
        yield Case(f"{chain}, {shape}, {precision}, V={vocab}", chain, scores, ids, seed + made)
        made += rows


def pipeline(case: Case) -> Pipeline:
    """The chain of the case, without a strategy."""
    pipe = Pipeline()
    for name, value in CHAINS[case.chain]:
        pipe = pipe.add(name, value)
    return pipe


def transformers_draw(case: Case) -> tuple[Tensor, Tensor]:
    """((R,) tokens, the global generator's end state) of transformers' chain and torch.multinomial."""
    chain = hf.LogitsProcessorList([CLASSES[name](value) for name, value in CHAINS[case.chain]])
    torch.manual_seed(case.seed)
    probs = chain(case.ids, case.rows).softmax(-1)
    return torch.multinomial(probs, 1).squeeze(1), torch.get_rng_state()  # (R, 1) -> (R,)


def wrong_rows(count: int, seed: int, largest: int = 262_144) -> tuple[list[str], int, int]:
    """(what differs from transformers, rows tried, rows that fell back) with the backend that the environment names."""
    wrong, tried, fell_back = [], 0, 0
    for case in cases(count, seed, largest):
        expected, after = transformers_draw(case)
        pipe = pipeline(case).compat("hf").with_strategy("sample")
        torch.manual_seed(case.seed)
        drawn = pipe.pick(case.ids, case.rows)
        if not torch.equal(drawn, expected):
            wrong.append(f"{case.name}: {drawn.tolist()} instead of {expected.tolist()}")
        if not torch.equal(torch.get_rng_state(), after):
            wrong.append(f"{case.name}: the generator stands elsewhere")
        tried, fell_back = tried + len(expected), fell_back + pipe.plan.fallbacks
    return wrong, tried, fell_back
