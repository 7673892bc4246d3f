"""A text that outgrows the context ends for that reason, or goes on as a loop written by hand would crop it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import transformers as hf
import zoo
from torch import Tensor

from decodery import Decoder, Pipeline
from decodery.contracts.errors import InvalidInput
from decodery.engine.inspect import connect_model
from decodery.models.sliding import Window, slide_where_asked

NEW = 50
PROMPTS = [[1, 2, 3], [4, 5, 6, 7, 8, 9, 10, 11, 12, 13], [20]]


def gpt2() -> Any:
    torch.manual_seed(0)
    config = hf.GPT2Config(
        vocab_size=zoo.VOCAB, n_embd=32, n_layer=2, n_head=4, n_positions=zoo.CONTEXT, initializer_range=0.4,
        bos_token_id=None, eos_token_id=None,
    )  # fmt: skip
    return hf.GPT2LMHeadModel(config).eval()


MODELS: dict[str, Callable[[], Any]] = {"stateless": zoo.NanoGPT, "cache": zoo.Demo, "masks": gpt2}
"""Learned positions, all of them: one id more than the context is an index error."""


def truth(model: Any, ids: Tensor) -> Tensor:
    """(B, T) -> (B, V), all of `ids` at once."""
    with torch.no_grad():
        return model(ids).logits[:, -1] if isinstance(model, hf.GPT2LMHeadModel) else model.plain(ids)[:, -1]


def cropped_by_hand(model: Any, prompt: list[int], keep: int) -> list[int]:
    """nanoGPT's loop: the newest tokens go in, cut to `keep` whenever they are more than the context."""
    text: list[int] = []
    window: list[int] = []
    while len(text) < len(prompt) + NEW:
        new = len(text) >= len(prompt)
        text.append(int(truth(model, torch.tensor([window])).argmax()) if new else prompt[len(text)])
        window.append(text[-1])
        if len(window) > zoo.CONTEXT:
            window = window[-keep:]
    return text[len(prompt) :]


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("keep", [zoo.CONTEXT, 20, 1])
def test_sliding_equals_a_loop_that_crops(name: str, keep: int) -> None:
    model = MODELS[name]()
    overflow: Any = "slide" if keep == zoo.CONTEXT else {"slide": keep}
    decoder = Decoder(model, overflow=overflow)
    expected = [cropped_by_hand(model, prompt, keep) for prompt in PROMPTS]
    assert decoder.generate(PROMPTS, max_new_tokens=NEW).tokens == expected
    result = decoder.generate(PROMPTS[1], max_new_tokens=NEW)
    assert (result.tokens, result.finish_reasons) == ([expected[1]], ["length"])


@pytest.mark.parametrize("name", MODELS)
def test_a_prompt_longer_than_the_context_is_cropped_too(name: str) -> None:
    model, prompt = MODELS[name](), [token % zoo.VOCAB for token in range(7, 57)]
    decoder = Decoder(model, overflow="slide")
    assert decoder.generate([prompt, [3]], max_new_tokens=NEW).tokens == [
        cropped_by_hand(model, prompt, zoo.CONTEXT),
        cropped_by_hand(model, [3], zoo.CONTEXT),
    ]
    with pytest.raises(InvalidInput, match="50 tokens; the model's context is 32"):
        Decoder(model).generate(prompt)


@pytest.mark.parametrize("name", MODELS)
def test_without_sliding_a_row_ends_with_the_context(name: str) -> None:
    result = Decoder(MODELS[name]()).generate(PROMPTS, max_new_tokens=NEW)
    assert result.finish_reasons == ["context"] * 3
    assert [len(row.prompt) + len(row.tokens) for row in result] == [zoo.CONTEXT] * 3


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("overflow", ["slide", {"slide": 20}])
def test_rows_are_reordered_and_tokens_taken_back_across_the_edge(name: str, overflow: Any) -> None:
    model = MODELS[name]()
    session = slide_where_asked(connect_model(model)[0], overflow).open(2, None)
    ids = torch.randint(0, zoo.VOCAB, (2, 44), generator=torch.Generator().manual_seed(0))
    window = Window(zoo.CONTEXT, zoo.CONTEXT if overflow == "slide" else 20)

    def expected(length: int) -> Tensor:
        return truth(model, ids[:, window.start(length) : length])

    session.prefill(ids[:, :30])
    wrong = torch.full((2, 6), 9)
    session.step(wrong)  # beyond the edge, in one step
    session.rewind(torch.tensor([6, 6]))
    close = {"atol": 1e-4, "rtol": 1e-4}
    torch.testing.assert_close(session.step(ids[:, 30:31])[:, -1], expected(31), **close)
    chunk = session.step(ids[:, 31:40])
    torch.testing.assert_close(chunk, torch.stack([expected(n) for n in range(32, 41)], dim=1), **close)
    session.select(torch.tensor([1, 0, 1]))
    ids = ids[[1, 0, 1]]
    torch.testing.assert_close(session.step(ids[:, 40:41])[:, -1], expected(41), **close)
    session.rewind(torch.tensor([2, 2, 2]))
    torch.testing.assert_close(session.step(ids[:, 39:40])[:, -1], expected(40), **close)
    session.close()


def test_cutting_to_fewer_tokens_feeds_the_window_seldom() -> None:
    model, prompt = zoo.Demo(), [1]
    fed: list[int] = []
    model.register_forward_pre_hook(lambda _, args: fed.append(args[0].shape[1]))
    for overflow, prefills in (("slide", 19), ({"slide": 16}, 2)):
        decoder = Decoder(model, overflow=overflow)  # type: ignore[arg-type]
        fed.clear()
        decoder.generate(prompt, max_new_tokens=51)
        assert len([length for length in fed if length > 1]) == prefills


def test_the_window_depends_on_the_length_alone() -> None:
    window = Window(context=10, keep=4)
    assert [window.start(length) for length in (0, 10, 11, 17, 18, 24, 25)] == [0, 0, 7, 7, 14, 14, 21]
    assert [Window(10, 10).start(length) for length in (10, 11, 12)] == [0, 1, 2]


def test_a_model_without_a_context_has_nothing_to_slide() -> None:
    model, _ = connect_model(zoo.bigram)
    assert slide_where_asked(model, "slide") is model


@pytest.mark.parametrize(
    "overflow", ["crop", {"slide": 0}, {"slide": 33}, {"slide": True}, {"stop": 1}, None, {}]
)
def test_other_words_are_refused(overflow: Any) -> None:
    with pytest.raises(InvalidInput, match="overflow"):
        Decoder(zoo.NanoGPT(), Pipeline(), overflow=overflow)
