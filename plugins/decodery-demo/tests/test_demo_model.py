from __future__ import annotations

import os
import subprocess
import sys
from importlib import resources

import pytest
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer

from decodery_demo.load import TOKENIZER, WEIGHTS, load, load_model, save_model
from decodery_demo.model import DemoConfig, DemoModel

# Written for this test, in the manner of the books; it is in none of them.
PASSAGE = (
    "The old gentleman put down his hat upon the table, and looked at me for some time without a word. "
    '"You have been a long while away," he said at last, "and I am glad to see you come back to us."\n\n'
    "I thanked him, and sat down by the fire, for the night was cold and I had walked a great distance. "
    "My sister was in the next room; I could hear her voice, and the sound of the door as she opened it."
)


@pytest.fixture(scope="module")
def demo() -> tuple[DemoModel, Tokenizer]:
    return load()


@pytest.fixture
def small() -> DemoModel:
    torch.manual_seed(0)
    model = DemoModel(DemoConfig(vocab_size=97, block_size=32, n_layer=2, n_head=2, n_embd=16, n_hidden=24))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)  # blocks start as the identity, which would test nothing
    return model.eval()


@torch.no_grad()
def cached(model: DemoModel, x: torch.Tensor, prefill: int) -> torch.Tensor:
    """Logits (B, T, V) of x, LongTensor (B, T): the first `prefill` tokens at once, then one by one."""
    pieces = [model(x[:, :prefill], torch.arange(prefill))]
    pieces += [model(x[:, i : i + 1], torch.tensor([i])) for i in range(prefill, x.size(1))]
    return torch.cat(pieces, dim=1)


@torch.no_grad()
def greedy(model: DemoModel, ids: list[int], steps: int, penalty: float = 1.0) -> list[int]:
    model.setup_caches(1, len(ids) + steps)
    ids, x, positions = list(ids), torch.tensor([ids]), torch.arange(len(ids))
    for _ in range(steps):
        scores = model(x, positions)[0, -1]
        assert torch.isfinite(scores).all()
        seen = torch.tensor(sorted(set(ids)))
        scores[seen] = torch.where(scores[seen] < 0, scores[seen] * penalty, scores[seen] / penalty)
        ids.append(int(scores.argmax()))
        x, positions = torch.tensor([ids[-1:]]), positions[-1:] + 1
    return ids


def test_cached_steps_equal_the_full_context(demo: tuple[DemoModel, Tokenizer]) -> None:
    model, _ = demo
    x = torch.randint(4096, (3, 24), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        whole = model(x)
    model.setup_caches(max_batch_size=3, max_seq_length=40)
    torch.testing.assert_close(cached(model, x, prefill=10), whole, atol=2e-4, rtol=1e-4)


def test_reset_caches_forgets_the_text_before(small: DemoModel) -> None:
    first, second = torch.randint(97, (2, 3, 20), generator=torch.Generator().manual_seed(2))
    small.setup_caches(3, 32)
    cached(small, first, prefill=20)
    small.reset_caches()
    assert not any(buffer.any() for name, buffer in small.named_buffers() if "cache" in name)
    torch.testing.assert_close(cached(small, second[:, :12], prefill=5), small(second[:, :12]).detach())


@pytest.mark.parametrize("rows", [1, 2, 5])
def test_a_new_cache_may_be_smaller_or_larger(small: DemoModel, rows: int) -> None:
    small.setup_caches(3, 16)
    small.setup_caches(rows, 32)
    x = torch.randint(97, (rows, 32), generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(cached(small, x, prefill=7), small(x).detach())


def test_a_smaller_batch_fits_a_larger_cache(small: DemoModel) -> None:
    small.setup_caches(4, 32)
    x = torch.randint(97, (2, 9), generator=torch.Generator().manual_seed(4))
    torch.testing.assert_close(cached(small, x, prefill=3), small(x).detach())


def test_a_plain_call_touches_no_cache(small: DemoModel) -> None:
    x = torch.randint(97, (2, 9), generator=torch.Generator().manual_seed(5))
    small.setup_caches(2, 32)
    before = cached(small, x[:, :6], prefill=6)
    small(x.flip(1))
    after = small(x[:, 6:7], torch.tensor([6])).detach()
    torch.testing.assert_close(torch.cat((before, after), dim=1), small(x[:, :7]).detach())


def test_a_cache_made_in_inference_mode_works_outside_it(small: DemoModel) -> None:
    with torch.inference_mode():
        small.setup_caches(1, 8)
    x = torch.tensor([[1, 2, 3]])
    torch.testing.assert_close(cached(small, x, prefill=2), small(x).detach())


def test_caches_are_in_no_checkpoint(small: DemoModel) -> None:
    names = set(small.state_dict())
    small.setup_caches(2, 8)
    assert set(small.state_dict()) == names


@pytest.mark.parametrize(
    ("shape", "positions", "message"),
    [
        ((1, 33), None, "33 tokens exceed the context of 32"),
        ((3, 1), [0], "a batch of 3 rows exceeds the cache of 2"),
        ((2, 17), list(range(17)), "17 tokens exceed the cache of 16"),
        ((2, 1), [16], "positions 16 to 16 do not fit the cache of 16"),
        ((2, 1), [-1], "positions -1 to -1 do not fit"),
        ((2, 2), [0], r"input_pos of shape \(1,\) does not fit 2 tokens"),
    ],
)
def test_what_does_not_fit_is_refused(
    small: DemoModel, shape: tuple[int, int], positions: list[int] | None, message: str
) -> None:
    small.setup_caches(2, 16)
    input_pos = None if positions is None else torch.tensor(positions)
    with pytest.raises(ValueError, match=message):
        small(torch.zeros(shape, dtype=torch.long), input_pos)


def test_a_cache_is_needed_and_must_fit_the_context(small: DemoModel) -> None:
    with pytest.raises(ValueError, match="setup_caches"):
        small(torch.tensor([[1]]), torch.tensor([0]))
    with pytest.raises(ValueError, match="1 to 32 positions"):
        small.setup_caches(1, 33)


def test_the_weights_load_in_fp32_and_eval_mode(demo: tuple[DemoModel, Tokenizer]) -> None:
    model, tokenizer = demo
    assert not model.training
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert sum(parameter.numel() for parameter in model.parameters()) == 7_476_480
    assert model.config.vocab_size == tokenizer.get_vocab_size() == 4096
    end = tokenizer.token_to_id("<|endoftext|>")
    assert model.config.bos_token_id == model.config.eos_token_id == end


def test_saved_weights_load_again(small: DemoModel, tmp_path: os.PathLike[str]) -> None:
    path = os.path.join(tmp_path, "small.safetensors")
    save_model(small.state_dict(), small.config, path)
    again = load_model(path)
    assert again.config == small.config
    x = torch.tensor([[1, 2, 3]])
    torch.testing.assert_close(again(x), small(x), atol=1e-2, rtol=1e-2)  # fp16 has eleven bits


def test_the_files_stay_small() -> None:
    package = resources.files("decodery_demo")
    with resources.as_file(package / WEIGHTS) as weights, resources.as_file(package / TOKENIZER) as tokenizer:
        assert weights.stat().st_size < 16_000_000
        assert tokenizer.stat().st_size < 1_000_000


@pytest.mark.parametrize("text", [PASSAGE, " two  spaces\n\nand\ttabs ", "æther, naïve, 日本語, 🙂", ""])
def test_text_survives_the_tokenizer(demo: tuple[DemoModel, Tokenizer], text: str) -> None:
    _, tokenizer = demo
    assert tokenizer.decode(tokenizer.encode(text).ids) == text


@torch.no_grad()
def test_english_is_likelier_than_its_words_shuffled(demo: tuple[DemoModel, Tokenizer]) -> None:
    model, tokenizer = demo

    def loss(text: str) -> float:
        ids = torch.tensor([tokenizer.encode(text).ids])
        return F.cross_entropy(model(ids[:, :-1])[0], ids[0, 1:]).item()

    assert loss(PASSAGE) < 3.6
    assert loss(" ".join(sorted(PASSAGE.split()))) > loss(PASSAGE) + 2


def test_greedy_text_loops_and_a_repetition_penalty_stops_it(demo: tuple[DemoModel, Tokenizer]) -> None:
    model, tokenizer = demo

    def variety(ids: list[int]) -> float:
        runs = [tuple(ids[i : i + 4]) for i in range(len(ids) - 3)]
        return len(set(runs)) / len(runs)

    prompt = tokenizer.encode("Once upon a time").ids
    assert variety(greedy(model, prompt, steps=60)) < 0.5
    assert variety(greedy(model, prompt, steps=60, penalty=1.2)) > 0.9


def test_the_plugin_module_is_free_of_torch() -> None:
    code = "import sys, decodery_demo.plugin as p; print(p.provide_models()[0].name, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["demo", "False"]
