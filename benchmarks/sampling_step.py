"""One sampling step on given logits: transformers' processors and torch.multinomial against a bound `pick`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor
from transformers.generation import logits_process as hf

from decodery import Pipeline

from .measure import Comparison, backends, compare, using
from .rows import logits

VOCAB = 128_256
CHAIN: tuple[tuple[str, float], ...] = (
    ("repetition_penalty", 1.1),
    ("temperature", 0.8),
    ("top_k", 50),
    ("top_p", 0.95),
)
ALONE: tuple[tuple[str, float], ...] = (
    ("top_p", 0.95),
    ("min_p", 0.05),
    ("typical_p", 0.9),
    ("eta_cutoff", 3e-4),
    ("epsilon_cutoff", 3e-4),
)
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
LEAST = {
    "chain B=1": {"torch": 6.0, "native": 60.0},
    "chain B=16": {"torch": 8.0, "native": 100.0},
    "row generator": {"torch": 25.0, "native": 120.0},
    "top_p": {"torch": 6.0, "native": 50.0},
    "min_p": {"torch": 2.5, "native": 50.0},
    "typical_p": {"torch": 6.0, "native": 50.0},
    "eta_cutoff": {"torch": 2.0, "native": 50.0},
    "epsilon_cutoff": {"torch": 2.0, "native": 50.0},
}


def run(rounds: int = 15) -> Iterator[Comparison]:
    """The chain, its cuts alone, and all of them on rows too flat for any shortcut."""
    for vocab, rows in ((32_000, 1), (VOCAB, 1), (VOCAB, 16)):
        for row_generator in (False, True):
            least = LEAST["row generator" if row_generator else f"chain B={rows}"] if vocab == VOCAB else {}
            title = f"chain, V={vocab:,}, B={rows}, {'row generator' if row_generator else 'identical'}"
            yield from _sides(title, CHAIN, "lm", rows, vocab, least, row_generator, rounds)
    for step in ALONE:
        title = f"{step[0]} {step[1]:g}, V={VOCAB:,}, B=1, identical"
        yield from _sides(title, (step,), "lm", 1, VOCAB, LEAST[step[0]], False, rounds)
    for shape in ("flat", "uniform"):
        for steps in (CHAIN, *((step,) for step in ALONE)):
            name = "chain" if len(steps) > 1 else steps[0][0]
            yield from _sides(f"{name}, {shape} row, identical", steps, shape, 1, VOCAB, FLAT, False, rounds)


FLAT = {"torch": 0.9, "native": 0.9}


def transformers_step(steps: Sequence[tuple[str, float]], ids: Tensor, rows: Tensor) -> Callable[[], Tensor]:
    """transformers' step on these rows -> (R,) int64."""
    chain = hf.LogitsProcessorList([CLASSES[name](value) for name, value in steps])
    return lambda: torch.multinomial(chain(ids, rows).softmax(-1), 1).squeeze(1)


def _sides(
    title: str,
    steps: Sequence[tuple[str, float]],
    shape: str,
    rows: int,
    vocab: int,
    least: dict[str, float],
    row_generator: bool,
    rounds: int,
) -> Iterator[Comparison]:
    given = logits(shape, rows, vocab, seed=vocab + rows)
    ids = torch.randint(0, vocab, (rows, 128), generator=torch.Generator().manual_seed(1))
    pipe = Pipeline()
    for name, value in steps:
        pipe = pipe.add(name, value)
    peer = transformers_step(steps, ids, given)
    for backend in backends():
        with using(backend):
            identical = pipe.compat("hf").with_strategy("sample").bind(ids)
            ours = pipe.with_strategy("sample", seed=1).bind(ids) if row_generator else identical
        _check(lambda identical=identical: identical.pick(ids, given), peer, title)  # type: ignore[misc]
        yield compare(
            title,
            backend,
            lambda ours=ours: ours.pick(ids, given),  # type: ignore[misc]
            "transformers",
            peer,
            least.get(backend),
            rounds,
        )


def _check(ours: Callable[[], Tensor], peer: Callable[[], Tensor], title: str) -> None:
    """Several draws from one generator: the tokens and its end state are transformers'."""
    torch.manual_seed(3)
    expected = [peer().tolist() for _ in range(4)]
    state = torch.get_rng_state()
    torch.manual_seed(3)
    if [ours().tolist() for _ in range(4)] != expected or not torch.equal(torch.get_rng_state(), state):
        raise SystemExit(f"{title}: the tokens are not transformers'")
