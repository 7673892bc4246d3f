"""A kept session changes what is fed, and no token of what is made."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from test_following import Cached
from test_room import Echo, llama
from torch import Tensor, nn

from decodery import Decoder, Pipeline
from decodery.contracts.errors import ModelError
from decodery.models.keeping import turns
from decodery.testing import TableModel

VOCAB = 24
PIPE = (
    Pipeline()
    .with_strategy("sample", seed=5)
    .add("repetition_penalty", 1.2)
    .add("top_k", 9)
    .stop("max_new_tokens", 6)
)


class Fed:
    """How many columns the model was fed, whatever it is."""

    def __init__(self, model: Any) -> None:
        self.columns = 0
        self.model = model
        model.register_forward_pre_hook(self._note, with_kwargs=True)

    def _note(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        ids: Tensor = args[0] if args else kwargs["input_ids"]
        self.columns += ids.shape[1]

    def of(self, act: Callable[[], object]) -> int:
        before = self.columns
        act()
        return self.columns - before


MODELS: dict[str, Callable[[], nn.Module]] = {"llama": llama, "cached": Cached, "echo": Echo}


def pair(make: Callable[[], Any], pipe: Pipeline = PIPE, **arguments: Any) -> tuple[Decoder, Decoder]:
    """A decoder that keeps its session, and one of another copy of the model that does not."""
    caching = Decoder(make(), pipe, vocab_size=VOCAB, cache_prompt=True, **arguments)
    return caching, Decoder(make(), pipe, vocab_size=VOCAB, **arguments)


def talk(decoder: Decoder, message: list[int], before: list[int]) -> list[int]:
    """The conversation with a message more and its answer."""
    prompt = before + message
    return prompt + decoder.generate([prompt]).tokens[0]


@pytest.mark.parametrize("name", MODELS)
def test_a_conversation_is_the_same_and_is_fed_once(name: str) -> None:
    caching, anew = pair(MODELS[name])
    fed, text, other, room = Fed(caching.model.model.model), [1, 2, 3], [1, 2, 3], 0  # type: ignore[attr-defined]
    for turn in range(5):
        message, begun = [turn, 7, turn + 1], fed.columns
        text, other = talk(caching, message, text), talk(anew, message, other)
        assert text == other
        # The message, and the answer but for its last token; before them the last token of the answer before.
        wanted = 1 + 3 + 5
        if len(text) > room:  # a session for texts of twice the length is opened, and fed from the beginning
            wanted, room = len(text) - 1, 2 * len(text)
        assert fed.columns - begun == wanted


@pytest.mark.parametrize("name", [*MODELS, "table"])
def test_texts_that_part_or_end_earlier_are_those_of_a_new_session(name: str) -> None:
    caching, anew = pair({**MODELS, "table": lambda: TableModel(VOCAB)}[name])
    long = [1, 2, 3, 4, 5, 6, 7, 8]
    for prompt in (long, long, long[:5], [1, 2, 9, 9], [9], long, [*long, 3, 3, 3], long[:1]):
        assert caching.generate([prompt]).tokens == anew.generate([prompt]).tokens


@pytest.mark.parametrize("name", MODELS)
def test_whatever_comes_between_does_no_harm(name: str) -> None:
    caching, anew = pair(MODELS[name], overflow="stop")
    prompt = [1, 2, 3, 4, 5]
    wanted = anew.generate([prompt]).tokens

    def interrupted() -> None:
        with caching.stream([prompt]) as stream:
            next(stream)

    def failing() -> None:
        with pytest.raises(ZeroDivisionError):
            caching.generate([prompt], on_event=lambda event: 1 / 0)

    def broken() -> None:
        module = caching.model.model.model  # type: ignore[attr-defined]
        calls = iter([1, 1, 0])  # the third forward is broken off

        def third(*_: Any) -> None:
            1 / next(calls)

        hook = module.register_forward_hook(third)
        with pytest.raises(Exception, match="division by zero"):
            caching.generate([[*prompt, 9]])
        hook.remove()

    def beams() -> None:
        pipe, caching.pipeline = caching.pipeline, Pipeline().with_strategy("beam", num_beams=3)
        caching.generate([prompt], max_new_tokens=3)
        caching.pipeline = pipe

    between: list[Callable[[], object]] = [
        interrupted,
        failing,
        broken,
        beams,
        caching.forget,
        lambda: caching.generate([prompt, [7]]),
        lambda: caching.generate([prompt], n=3),
        lambda: caching.generate([prompt], max_new_tokens=30),
    ]
    for act in between:
        act()
        assert caching.generate([prompt]).tokens == wanted


def test_another_decoder_may_take_the_only_cache() -> None:
    model = Cached()
    caching = Decoder(model, PIPE, vocab_size=VOCAB, cache_prompt=True)
    other = Decoder(model, PIPE, vocab_size=VOCAB)
    wanted = Decoder(Cached(), PIPE, vocab_size=VOCAB).generate([[1, 2, 3]]).tokens
    for _ in range(2):
        assert caching.generate([[1, 2, 3]]).tokens == wanted
        assert other.generate([[1, 2, 3]]).tokens == wanted


def test_another_thread_need_not_wait_for_what_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "PATIENCE", 0.3)  # after which it would be an error
    model = Cached()
    caching = Decoder(model, PIPE, vocab_size=VOCAB, cache_prompt=True)
    wanted = caching.generate([[1, 2, 3]]).tokens
    with ThreadPoolExecutor(1) as other:
        assert (
            other.submit(lambda: Decoder(model, PIPE, vocab_size=VOCAB).generate([[1, 2, 3]])).result().tokens
            == wanted
        )
        with caching.stream([[1, 2, 3]]) as stream:
            next(stream)  # in the middle of a text it does wait
            with pytest.raises(ModelError, match="one session at a time"):
                other.submit(lambda: Decoder(model, PIPE, vocab_size=VOCAB)).result()
            assert [event.token for event in stream] == wanted[0][1:]


def test_what_is_kept_is_given_back() -> None:
    model = Cached()
    decoder = Decoder(model, PIPE, vocab_size=VOCAB, cache_prompt=True)
    before = dict(vars(model))
    decoder.generate([[1, 2, 3]])
    assert vars(model).keys() != before.keys()
    decoder.forget()
    assert vars(model).keys() == before.keys()


@pytest.mark.parametrize("strategy", ["assisted", "contrastive", "prompt_lookup"])
def test_strategies_with_a_loop_of_their_own_go_on_too(strategy: str) -> None:
    models = {"draft": llama()} if strategy == "assisted" else {}
    pipe = Pipeline().with_strategy(strategy).stop("max_new_tokens", 6)
    caching, anew = pair(llama, pipe, models=models)
    text = other = [1, 2, 3, 1, 2]
    for message in ([4, 5], [1, 2], [6]):
        text, other = talk(caching, message, text), talk(anew, message, other)
        assert text == other


def test_a_text_that_slides_is_the_same() -> None:
    caching, anew = pair(llama, max_length=12, overflow="slide")
    text = other = [1, 2, 3]
    for message in ([4], [5, 6], [7]):
        text, other = talk(caching, message, text), talk(anew, message, other)
        assert text == other
