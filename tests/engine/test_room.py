"""More rows than can be held are refused before they take the memory, and others are not asked about."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from test_following import Cached
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM

from decodery import Decoder, Pipeline
from decodery.contracts.errors import InvalidInput, InvalidParams
from decodery.engine.buffers import room
from decodery.testing import TableModel

VOCAB = 24
BEAMS = Pipeline().with_strategy("beam", num_beams=64).stop("max_new_tokens", 3)
MANY = Pipeline().with_strategy("sample", seed=1).stop("max_new_tokens", 3)


def llama() -> nn.Module:
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2}
    sizes["initializer_range"] = 0.5  # so that what is made depends on what was fed
    return LlamaForCausalLM(LlamaConfig(vocab_size=VOCAB, num_attention_heads=2, **sizes)).eval()


class Echo(nn.Module):
    """`model(x, state)`, whose state is what it was fed."""

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        seen = nn.functional.one_hot(x, VOCAB).float().cumsum(1)
        seen = seen if state is None else seen + state[:, None]
        return seen, seen[:, -1]


# What a row of each holds after a prompt of 10 tokens, 3 more to come: 2 layers of keys and values of 32 float32 a
# token; one float32 a token of the vocabulary; 13 int64 of a cache that was set up for the longest text.
HOLDS = {"llama": (llama, 10 * 2 * 2 * 32 * 4), "echo": (Echo, VOCAB * 4), "cached": (Cached, 13 * 8)}


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> Any:
    def leave(count: int) -> None:
        monkeypatch.setattr(room, "ALWAYS", 0)
        monkeypatch.setattr(room, "free_memory", lambda: count)

    return leave


@pytest.mark.parametrize("pipe", [BEAMS, MANY], ids=["beams", "samples"])
@pytest.mark.parametrize("name", HOLDS)
def test_rows_are_refused_exactly_where_scores_and_state_do_not_fit(
    name: str, pipe: Pipeline, free: Any
) -> None:
    make, row = HOLDS[name]
    decoder = Decoder(make(), pipe, vocab_size=VOCAB)
    needed = 64 * (VOCAB * 4 * 3 + row)
    n = 64 if pipe is MANY else 1
    free(needed)
    assert len(decoder.generate([list(range(1, 11))], n=n)) == n
    free(needed - 1)
    with pytest.raises(InvalidInput, match="64 rows at once take at least"):
        decoder.generate([list(range(1, 11))], n=n)


def test_a_model_without_state_is_asked_for_its_scores(free: Any) -> None:
    decoder = Decoder(TableModel(VOCAB), BEAMS, vocab_size=VOCAB)
    free(64 * VOCAB * 4 * 3)
    assert len(decoder.generate([[1]])) == 1
    free(64 * VOCAB * 4 * 3 - 1)
    with pytest.raises(InvalidInput, match="fewer beams, samples or prompts"):
        decoder.generate([[1]])


def test_what_is_small_is_never_asked_about(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "free_memory", lambda: 0)
    assert len(Decoder(TableModel(VOCAB), BEAMS, vocab_size=VOCAB).generate([[1]])) == 1


def test_a_container_and_the_machine_are_read(tmp_path: Path) -> None:
    files = {"memory.max": "1000\n", "memory.current": "300\n", "unlimited": "max\n"}
    files |= {"now": "anon 90\ninactive_file 200\n", "before": "inactive_file 1\ntotal_inactive_file 150\n"}
    for name, text in files.items():
        (tmp_path / name).write_text(text)

    def free(most: str, stat: str) -> int | None:
        return room._of_group(most, "memory.current", stat, tmp_path)

    assert free("memory.max", "missing") == 700
    assert free("memory.max", "now") == 900
    assert free("memory.max", "before") == 850
    assert free("unlimited", "now") is None
    assert free("missing", "now") is None


@pytest.mark.parametrize(
    ("strategy", "name"), [("beam", "num_beams"), ("diverse_beam", "num_beams"), ("mbr", "num_samples")]
)
def test_a_number_of_rows_that_nobody_means_is_no_parameter(strategy: str, name: str) -> None:
    with pytest.raises(InvalidParams, match=f"{name} = 100001: .*less than or equal to 100000"):
        Pipeline().with_strategy(strategy, **{name: 100_001})
