"""A strategy that does anything in any order: what its run tells is what models and steps say of each text alone."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
import transformers as hf
from torch import Tensor

from decodery import Decoder, Pipeline

VOCAB, NEW, STOP = 24, 24, 7
PROMPTS = [[5, 6, 7, 5, 6], [4], [9, 8, 9, 8]]


class Sum:
    """Favours tokens by the sum of what it observed: keeps state, follows rows, an object a row."""

    def __init__(self) -> None:
        self.seen: list[int] = []

    def observe(self, tokens: Tensor, active: Tensor) -> None:
        self.seen += [token for token, on in zip(tokens.tolist(), active.tolist(), strict=True) if on]

    def select(self, rows: Tensor) -> None: ...

    def rewind(self, counts: Tensor) -> None:
        self.seen = self.seen[: len(self.seen) - int(counts)]

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        return scores + 0.1 * ((sum(self.seen) + torch.arange(VOCAB)) % 5)


@dataclass
class Line:
    """A row as it should be."""

    prompt: list[int]
    text: list[int]
    reason: str | None = None

    @property
    def ids(self) -> list[int]:
        return self.prompt + self.text

    def end(self, token: int) -> str | None:
        if token == STOP:
            return "stop_token_ids"
        return "length" if len(self.text) + 1 == NEW else None

    def add(self, token: int, stop: bool = True) -> None:
        self.reason = self.end(token) if stop else None
        self.text = [*self.text, token]


class Mirror:
    """The same rows as the run's, each text fed to the model from its start."""

    def __init__(self, model: Any, run: Any, draw: random.Random) -> None:
        self.model, self.run, self.draw = model, run, draw
        ids = zip(run.input_ids.tolist(), run.lengths.tolist(), strict=True)
        self.lines = [Line(prompt[:length], []) for prompt, length in ids]
        assert all(line.prompt in PROMPTS for line in self.lines)
        self.done: list[str] = []

    def reference(self, ids: list[int]) -> Tensor:
        return self.model(torch.tensor([ids])).logits[0, -1].float()

    def processed(self, line: Line, more: list[int]) -> Tensor:
        ids = torch.tensor([line.ids + more])
        scores = hf.RepetitionPenaltyLogitsProcessor(1.3)(ids, self.reference(ids[0].tolist())[None])
        bias = (sum(line.text + more) + torch.arange(VOCAB)) % 5
        return scores[0] + 0.1 * bias

    def going(self) -> list[int]:
        return [row for row, line in enumerate(self.lines) if line.reason is None]

    def tokens(self) -> Tensor:
        return torch.tensor([self.draw.randrange(VOCAB) for _ in self.lines])

    # -- what may be done -------------------------------------------------------------------------------------

    def append(self) -> None:
        tokens, stop = self.tokens(), self.draw.random() < 0.8
        rows = (
            torch.tensor([self.draw.random() < 0.8 for _ in self.lines]) if self.draw.random() < 0.3 else None
        )
        at = [row for row in self.going() if rows is None or bool(rows[row])]
        self.run.append(tokens, stop=stop, rows=rows)
        for row in at:
            self.lines[row].add(int(tokens[row]), stop)

    def select(self) -> None:
        for _ in range(self.draw.randint(1, 2)):  # the second before anybody has looked
            rows = [self.draw.randrange(len(self.lines)) for _ in range(self.draw.randint(1, 6))]
            self.run.select(torch.tensor(rows))
            self.lines = [replace(self.lines[row]) for row in rows]

    def rewind(self) -> None:
        counts = [self.draw.randint(0, min(3, len(line.text))) for line in self.lines]
        self.run.rewind(torch.tensor(counts))
        for line, count in zip(self.lines, counts, strict=True):
            if count:
                line.text, line.reason = line.text[:-count], None

    def verify(self) -> None:
        width = self.draw.randint(0, 4)
        rows = [[self.draw.randrange(VOCAB) for _ in range(width)] for _ in self.lines]
        drafts = torch.tensor(rows, dtype=torch.int64).view(len(rows), width)
        room = self.run.room.tolist()
        widths = [max(0, min(self.draw.randint(0, width), left - 1)) for left in room]
        scores = self.run.verify(drafts, torch.tensor(widths))
        for row in self.going():
            for place in range(widths[row] + 1):
                wanted = self.processed(self.lines[row], drafts[row, :place].tolist())
                torch.testing.assert_close(scores[row, place], wanted, atol=1e-4, rtol=1e-4)
        if self.draw.random() < 0.2:  # a strategy may think better of it
            return
        counts, following = [self.draw.randint(0, most) for most in widths], self.tokens()
        self.run.accept(torch.tensor(counts), following)
        for row in self.going():
            for token in [*drafts[row, : counts[row]].tolist(), int(following[row])]:
                if self.lines[row].reason is None:
                    self.lines[row].add(token)

    def finish(self) -> None:
        rows = [self.draw.random() < 0.2 for _ in self.lines]
        self.run.finish(torch.tensor(rows), "enough")
        for row in self.going():
            self.lines[row].reason = "enough" if rows[row] else None

    def open(self) -> None:
        other = self.run.open("model", processors=True)
        for row, line in enumerate(self.lines):
            torch.testing.assert_close(other.logits()[row], self.reference(line.ids), atol=1e-4, rtol=1e-4)
        tokens = self.tokens()
        other.append(tokens, stop=False)
        for row, line in enumerate(self.lines):
            wanted = self.reference([*line.ids, int(tokens[row])])
            torch.testing.assert_close(other.logits()[row], wanted, atol=1e-4, rtol=1e-4)

    def hidden(self) -> None:
        states = self.run.hidden([1, -1])
        for row in self.going():
            out = self.model(torch.tensor([self.lines[row].ids]), output_hidden_states=True).hidden_states
            for place, layer in enumerate((1, -1)):
                found = states[place, row, : len(self.lines[row].ids)]
                torch.testing.assert_close(found, out[layer][0], atol=1e-4, rtol=1e-4)

    def stops(self) -> None:
        going = self.going()
        rows = [self.draw.choice(going) for _ in range(5)]
        tokens = [self.draw.choice([STOP, 1, 2]) for _ in range(5)]
        found = self.run.stops(torch.tensor(rows), torch.tensor(tokens))
        assert found == [self.lines[row].end(token) for row, token in zip(rows, tokens, strict=True)]

    # -- what is true whatever was done -----------------------------------------------------------------------

    def check(self) -> None:
        run, lines = self.run, self.lines
        assert list(run.reasons) == [line.reason for line in lines], self.done
        assert run.finished.tolist() == [line.reason is not None for line in lines]
        assert run.lengths.tolist() == [len(line.ids) for line in lines], self.done
        assert run.prompt_lengths.tolist() == [len(line.prompt) for line in lines]
        width = max(len(line.ids) for line in lines)
        assert run.input_ids.tolist() == [line.ids + [0] * (width - len(line.ids)) for line in lines], (
            self.done
        )
        assert [run.generated(row) for row in range(len(lines))] == [line.text for line in lines], self.done
        if run.done or self.draw.random() < 0.3:  # a forward is not always asked for
            return
        raw, scores = run.logits(), run.scores()
        for row in self.going():
            torch.testing.assert_close(raw[row], self.reference(lines[row].ids), atol=1e-4, rtol=1e-4)
            torch.testing.assert_close(scores[row], self.processed(lines[row], []), atol=1e-4, rtol=1e-4)


@pytest.fixture(scope="module")
def model() -> Any:
    torch.manual_seed(11)
    sizes: dict[str, Any] = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2}
    config = hf.LlamaConfig(
        **sizes, vocab_size=VOCAB, num_attention_heads=4, max_position_embeddings=128, initializer_range=0.3
    )
    return hf.LlamaForCausalLM(config).eval().requires_grad_(False)


@pytest.mark.parametrize("runs", [1, pytest.param(8, marks=pytest.mark.slow)])
@pytest.mark.parametrize("rewind", ["ragged", "uniform", "none"])
@pytest.mark.parametrize("select", [True, False])
@pytest.mark.parametrize("masks", [True, False])
def test_whatever_a_strategy_does_its_rows_are_right(
    model: Any, rewind: str, select: bool, masks: bool, runs: int
) -> None:
    draw, emitted = random.Random(f"{rewind}{select}{masks}{runs}"), []  # type: tuple[random.Random, list[list[int]]]

    class Anything:
        ranks = True

        def decode(self, run: Any) -> None:
            mirror, count = Mirror(model, run, draw), len(run.reasons)
            acts = ["append"] * 3 + [
                "select",
                "rewind",
                "verify",
                "verify",
                "finish",
                "open",
                "hidden",
                "stops",
            ]
            for _ in range(24):
                act = draw.choice(acts if not run.done else ["rewind", "select"])
                mirror.done.append(act)
                getattr(mirror, act)()
                mirror.check()
                if run.done and not any(line.text for line in mirror.lines):
                    break
            for prompt in range(count):
                run.emit(prompt, mirror.lines[0].text, -1.5, "length")
                emitted.append(mirror.lines[0].text)

    pipe = Pipeline().add("repetition_penalty", 1.3).add(Sum)
    pipe = pipe.stop("stop_token_ids", [STOP]).stop("max_new_tokens", NEW).with_strategy(Anything)
    decoder = Decoder(model, pipe, pad_token_id=0)
    facts = decoder.model.facts
    abilities = replace(facts.capabilities, rewind=rewind, select=select, masks=masks)
    decoder.model._facts = replace(facts, capabilities=abilities)  # type: ignore[attr-defined]
    for _ in range(runs):
        emitted.clear()
        found = decoder.generate(PROMPTS)
        assert sorted(found.tokens) == sorted(emitted)
        assert found.sequence_scores == [-1.5] * len(PROMPTS)
