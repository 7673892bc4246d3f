"""Penalties against float64 references that count one token at a time, and DRY against the plain definition."""

from __future__ import annotations

import math
import sys
from collections import Counter

import numpy as np
import pytest
import torch
from sampler_rows import thousand_rows

from decodery_samplers.penalties.automaton import SuffixAutomaton, repeated_suffixes
from decodery_samplers.penalties.dry import Dry, dry_followers, longest_match
from decodery_samplers.penalties.forced_tokens import ForcedTokens
from decodery_samplers.penalties.occurrences import FrequencyPenalty, PresencePenalty

inf = math.inf
RNG = np.random.default_rng(3)


def histories(rows: int, vocab: int, width: int = 12) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    ids = torch.tensor(RNG.integers(0, vocab, (rows, width)))
    lengths = torch.tensor(RNG.integers(1, width + 1, rows))
    return ids, lengths, torch.minimum(lengths, torch.tensor(RNG.integers(1, width + 1, rows)))


@pytest.mark.parametrize("scope", ["output", "all", "prompt"])
@pytest.mark.parametrize(("window", "decay"), [(None, 0), (4, 0), (3, 5)])
def test_presence_and_frequency_are_openais_on_a_thousand_rows(
    scope: str, window: int | None, decay: int
) -> None:
    for rows in thousand_rows():
        ids, lengths, prompts = histories(*rows.shape)
        options = {"window": window, "scope": scope, "decay_range": decay, "prompt_lengths": prompts}
        shown = {"lengths": lengths, "prompt_lengths": prompts}
        presence = PresencePenalty(penalty=0.6, **options)(ids, rows, **shown)
        frequency = FrequencyPenalty(penalty=0.6, **options)(ids, rows, **shown)
        once, often = rows.double(), rows.double()
        for row, (length, prompt) in enumerate(zip(lengths.tolist(), prompts.tolist(), strict=True)):
            weight: dict[int, list[float]] = {}
            for slot in range(length):
                if (scope == "output" and slot < prompt) or (scope == "prompt" and slot >= prompt):
                    continue
                back = length - slot  # 1 for the newest
                share = (
                    1.0 if window is None or back <= window else max(0.0, 1 - (back - window) / (decay + 1))
                )
                weight.setdefault(int(ids[row, slot]), []).append(share)
            for token, shares in weight.items():
                once[row, token] -= 0.6 * max(shares)
                often[row, token] -= 0.6 * sum(shares)
        torch.testing.assert_close(presence, once.float())
        torch.testing.assert_close(frequency, often.float())


def test_presence_and_frequency_by_hand() -> None:
    ids, scores = torch.tensor([[0, 1, 1, 2, 1]]), torch.zeros(1, 4)
    prompt = torch.tensor([2])
    assert FrequencyPenalty(penalty=0.5, prompt_lengths=prompt)(ids, scores).tolist() == [
        [0.0, -1.0, -0.5, 0.0]
    ]
    assert PresencePenalty(penalty=0.5, prompt_lengths=prompt)(ids, scores).tolist() == [
        [0.0, -0.5, -0.5, 0.0]
    ]
    whole = FrequencyPenalty(penalty=0.5, prompt_lengths=prompt, scope="all")(ids, scores)
    assert whole.tolist() == [[-0.5, -1.5, -0.5, 0.0]]


def test_padding_is_not_counted() -> None:
    """On the right whatever lies there, and in transformers' own layout the pads on the left."""
    scores, prompt = torch.zeros(1, 4), torch.tensor([2])
    right = FrequencyPenalty(penalty=1.0, prompt_lengths=prompt, scope="all")
    answer = right(torch.tensor([[3, 1, 0, 0]]), scores, lengths=torch.tensor([2]), prompt_lengths=prompt)
    assert answer.tolist() == [[0.0, -1.0, 0.0, -1.0]]
    left = FrequencyPenalty(penalty=1.0, prompt_lengths=prompt, scope="all", padding=torch.tensor([2]))
    assert left(torch.tensor([[0, 0, 3, 1]]), scores).tolist() == [[0.0, -1.0, 0.0, -1.0]]
    dry = Dry(multiplier=1.0, allowed_length=1, breakers=[], padding=torch.tensor([2]))
    assert dry(torch.tensor([[0, 0, 3, 0]]), scores).tolist() == [[0.0, 0.0, 0.0, 0.0]]


# -- dry ----------------------------------------------------------------------------------------------------


def by_definition(tokens: list[int], breakers: set[int], least: int, longest: int) -> dict[int, int]:
    """Every earlier place, compared backwards with the end, token by token."""
    found: dict[int, int] = {}
    for place in range(1, len(tokens)):
        length = 0
        while (
            length < min(place, longest)
            and tokens[place - 1 - length] == tokens[-1 - length]
            and tokens[-1 - length] not in breakers
        ):
            length += 1
        if length >= least:
            found[tokens[place]] = max(found.get(tokens[place], 0), length)
    return found


def test_the_automaton_and_the_z_algorithm_find_what_the_definition_says() -> None:
    for seed in range(120):
        rng = np.random.default_rng(seed)
        size, longest = int(rng.integers(1, 5)), int(rng.integers(1, 12))
        breakers = {0} if seed % 3 == 0 else set()
        automaton = SuffixAutomaton(longest, lambda tokens, breakers=breakers: tokens[-1] in breakers)
        tokens: list[int] = []
        for _ in range(60):
            if tokens and rng.random() < 0.3:
                for _ in range(int(rng.integers(1, min(len(tokens), 7) + 1))):
                    automaton.undo()
                    tokens.pop()
            token = int(rng.integers(0, size))
            automaton.append(token)
            tokens.append(token)
            least = int(rng.integers(1, 4))
            wanted = by_definition(tokens, breakers, least, max(longest, least))
            if least <= longest:
                assert automaton.followers(least) == wanted
            since = automaton.since_break[-1]
            assert dry_followers(tokens, since, least, max(longest, least)) == wanted


def test_repeated_suffixes_by_hand() -> None:
    # llama.cpp's example: after a b c c b c y a b c the whole of "a b c" stands at the front.
    text = [1, 2, 3, 3, 2, 3, 9, 1, 2, 3]
    assert repeated_suffixes(text, 99) == [0, 0, 0, 3, 1, 0, 2, 0, 0, 0]
    assert dry_followers(text, 99, 2, 99) == {3: 3, 9: 2}


def test_dry_by_hand() -> None:
    ids, scores = torch.tensor([[5, 1, 2, 3, 4, 1, 2]]), torch.zeros(1, 6)
    step = Dry(multiplier=0.8, base=1.75, allowed_length=2, breakers=[])
    assert step(ids, scores)[0].tolist() == pytest.approx([0, 0, 0, -0.8, 0, 0])
    longer = torch.tensor([[1, 2, 3, 4, 1, 2, 3]])
    step = Dry(multiplier=0.8, base=1.75, allowed_length=2, breakers=[])
    assert step(longer, scores)[0].tolist() == pytest.approx([0, 0, 0, 0, -0.8 * 1.75, 0])
    broken = Dry(multiplier=0.8, allowed_length=2, breakers=[2])
    assert broken(longer, scores).tolist() == scores.tolist()
    unpunished = Dry(multiplier=0.8, allowed_length=2, breakers=[4])
    assert unpunished(longer, scores).tolist() == scores.tolist()


def test_dry_equals_the_formula_on_a_thousand_rows() -> None:
    for rows in thousand_rows():
        ids, lengths, prompts = histories(*rows.shape, 20)
        for window in (0, 7):
            step = Dry(multiplier=0.9, base=1.6, allowed_length=1, breakers=[2], window=window)
            answer = step(ids, rows, lengths=lengths, prompt_lengths=prompts)
            wanted = rows.double()
            for row, length in enumerate(lengths.tolist()):
                tokens = ids[row, :length].tolist()[-window or None :]
                for token, k in by_definition(tokens, {2}, 1, 999).items():
                    if token != 2:
                        wanted[row, token] -= 0.9 * 1.6 ** (k - 1)
            torch.testing.assert_close(answer, wanted.float())


def test_a_long_loop_is_a_finite_price() -> None:
    ids, scores = torch.ones(1, 3000, dtype=torch.int64), torch.zeros(1, 3)
    answer = Dry(multiplier=2.0, base=3.0, allowed_length=2, breakers=[])(ids, scores)
    assert answer.isfinite().all()
    assert answer[0, 1] < -1e29
    assert longest_match(1.0, 1.0, 2, None) == 2  # without growth the longest match is the shortest


def steps_of(automaton: SuffixAutomaton, token: int) -> int:
    """How many lines of the automaton's own code one token runs."""
    count = 0

    def trace(frame, event, argument):
        nonlocal count
        count += event == "line"
        return trace if "automaton" in frame.f_code.co_filename else None

    sys.settrace(trace)
    try:
        automaton.append(token)
        automaton.followers(2)
    finally:
        sys.settrace(None)
    return count


@pytest.mark.parametrize("kind", ["random", "loop", "one"])
def test_a_token_costs_the_same_however_long_the_text_is(kind: str) -> None:
    rng = np.random.default_rng(0)
    tokens = {
        "random": rng.integers(0, 50, 6400).tolist(),
        "loop": [token % 7 for token in range(6400)],
        "one": [1] * 6400,
    }[kind]
    automaton = SuffixAutomaton(longest_match(0.8, 1.75, 2, 20), lambda _: False)
    costs = []
    for place, token in enumerate(tokens):
        if place in range(300, 400) or place in range(6300, 6400):
            costs.append(steps_of(automaton, token))
        else:
            automaton.append(token)
    early, late = sum(costs[:100]), sum(costs[100:])
    assert late < 2.5 * early


# -- forced tokens ------------------------------------------------------------------------------------------


def test_forced_tokens_replay_a_trace_and_keep_its_scores() -> None:
    scores = torch.tensor([[1.0, 2.0, -inf]])
    step = ForcedTokens(ids=[1, 2], prompt_lengths=torch.tensor([2]))
    assert step(torch.tensor([[0, 0]]), scores).tolist() == [[-inf, 2.0, -inf]]
    assert step(torch.tensor([[0, 0, 1]]), scores).tolist() == [[-inf, -inf, 0.0]]
    assert torch.equal(step(torch.tensor([[0, 0, 1, 2]]), scores), scores)


def test_the_counts_of_a_row_are_its_own() -> None:
    seen = Counter([1, 1, 2])
    ids, prompt = torch.tensor([[1, 1, 2], [3, 3, 3]]), torch.tensor([0, 0])
    answer = FrequencyPenalty(penalty=1.0, prompt_lengths=prompt)(ids, torch.zeros(2, 4))
    assert answer[0].tolist() == [-float(seen[token]) for token in range(4)]
    assert answer[1].tolist() == [0.0, 0.0, 0.0, -3.0]
