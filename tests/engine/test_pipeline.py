"""A pipeline is a value."""

from __future__ import annotations

import threading

import pytest
import torch
from torch import Tensor, nn
from transformers.generation.logits_process import TopKLogitsWarper

from decodery import Decoder, Pipeline, Recipe
from decodery.contracts.errors import InvalidInput, InvalidParams, NotSerializable, UnknownName
from decodery.testing import TableModel

VOCAB = 50
FULL = (
    Pipeline()
    .compat("hf")
    .with_strategy("sample", seed=4)
    .add("repetition_penalty", 1.1, window=64)
    .add("sequence_bias", [[[4, 5], 2.0]])
    .add("top_p", 0.9, min_keep=2)
    .add("top_p", 0.5)
    .stop("eos")
    .stop("stop_strings", ["\n", "it's"])
    .with_options(on_bad_row="stop_row", include_stop=True)
)


def test_methods_return_new_values() -> None:
    base = Pipeline().add("top_k", 5)
    longer = base.add("top_p", 0.9)
    assert len(base.processors) == 1
    assert longer != base
    assert longer.drop("top_p") == base
    assert hash(longer.drop("top_p")) == hash(base)
    assert longer.replace("top_k", "min_p", 0.1) == Pipeline().add("min_p", 0.1).add("top_p", 0.9)
    assert Pipeline().add("top_p", 0.9).add("top_k", 5, at=0) == longer


def test_defaults_spelled_out_are_equal_to_defaults() -> None:
    assert Pipeline() == Pipeline().with_strategy("greedy").stop("eos").stop("max_new_tokens", 256)
    assert Pipeline().add("top_p", 0.9) == Pipeline().add("top_p", p=0.9, min_keep=1)
    assert Pipeline().add("TopPLogitsWarper", top_p=0.9, min_tokens_to_keep=1) == Pipeline().add("top_p", 0.9)


@pytest.mark.parametrize("pipe", [Pipeline(), FULL, Pipeline().add("top_k", 3).stop("max_time", 1.5)])
def test_repr_and_recipe_make_the_same_pipeline_again(pipe: Pipeline) -> None:
    assert eval(repr(pipe)) == pipe
    recipe = pipe.to_recipe()
    assert recipe.pipeline() == pipe
    assert Recipe.loads(recipe.to_yaml()).pipeline() == pipe


def test_an_unregistered_object_cannot_be_written() -> None:
    with pytest.raises(NotSerializable, match="top_k_logits_warper"):
        Pipeline().add(TopKLogitsWarper(5)).to_recipe()
    assert repr(Pipeline().add(TopKLogitsWarper, top_k=5)) == "Pipeline().add(TopKLogitsWarper, top_k=5)"


def test_mistakes_are_named() -> None:
    with pytest.raises(UnknownName, match="did you mean 'top_p'"):
        Pipeline().add("top_pp", 0.5)
    with pytest.raises(InvalidParams, match=r"1\.5"):
        Pipeline().add("top_p", 1.5)
    with pytest.raises(InvalidParams, match="windw"):
        Pipeline().add("repetition_penalty", 1.1, windw=3)
    with pytest.raises(UnknownName, match=r"\.stop\('eos'"):
        Pipeline().add("eos")
    with pytest.raises(UnknownName, match="its steps: top_k"):
        Pipeline().add("top_k", 4).drop("top_p")
    with pytest.raises(UnknownName, match="top_k#1, top_k#2"):
        Pipeline().add("top_k", 4).add("top_k", 2).drop("top_k")
    with pytest.raises(InvalidInput, match="cannot be called"):
        Pipeline().add(5)
    with pytest.raises(InvalidInput, match="add\\(MyClass"):
        Pipeline().add(TopKLogitsWarper(5), top_k=4)
    assert Pipeline().add("top_k", 4).add("top_k", 2).drop("top_k#2") == Pipeline().add("top_k", 4)


class Stateful:
    """Adds how often it was called: state that must not leak between rows or runs."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        self.calls += 1
        return scores.roll(self.calls, dims=-1)


@pytest.mark.parametrize("added", [Stateful, Stateful()], ids=["class", "instance"])
def test_every_run_and_every_row_gets_fresh_objects(added: object) -> None:
    decoder = Decoder(TableModel(VOCAB), Pipeline().add(added), vocab_size=VOCAB)
    batch = decoder.generate([[1, 2], [3], [4, 5, 6]], max_new_tokens=6).tokens
    again = decoder.generate([[1, 2], [3], [4, 5, 6]], max_new_tokens=6).tokens
    alone = [decoder.generate([p], max_new_tokens=6).tokens[0] for p in ([1, 2], [3], [4, 5, 6])]
    assert batch == again == alone
    if isinstance(added, Stateful):
        assert added.calls == 0


def test_a_model_inside_a_processor_is_shared_not_copied() -> None:
    class Guide:
        def __init__(self, net: nn.Module) -> None:
            self.parts = {"net": [net]}
            self.seen: list[int] = []

        def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
            identities.add(id(self.parts["net"][0]))
            copies.add(id(self.seen))
            return scores

    identities: set[int] = set()
    copies: set[int] = set()
    net = nn.Linear(2, 2)
    Decoder(TableModel(VOCAB), Pipeline().add(Guide(net)), vocab_size=VOCAB).generate(
        [[1], [2]], max_new_tokens=2
    )
    assert identities == {id(net)}
    assert len(copies) == 2


def test_what_cannot_be_copied_is_refused_with_the_class_form() -> None:
    class Locked:
        def __init__(self) -> None:
            self.lock = threading.Lock()

        def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
            return scores

    with pytest.raises(InvalidInput, match=r"add\(Locked, \.\.\.\)"):
        Decoder(TableModel(VOCAB), Pipeline().add(Locked()), vocab_size=VOCAB).generate([[1]])
    gen = Decoder(TableModel(VOCAB), Pipeline().add(Locked), vocab_size=VOCAB).generate(
        [[1]], max_new_tokens=2
    )
    assert gen.finish_reasons == ["length"]


def test_one_value_serves_many_threads() -> None:
    pipe = Pipeline().add("repetition_penalty", 1.2).add("top_p", 0.9).with_strategy("sample", seed=1)
    decoder = Decoder(TableModel(VOCAB), pipe, vocab_size=VOCAB)
    expected = decoder.generate([[1, 2], [3]], max_new_tokens=20).tokens
    results: list[list[list[int]]] = []
    threads = [
        threading.Thread(
            target=lambda: results.append(decoder.generate([[1, 2], [3]], max_new_tokens=20).tokens)
        )
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [expected] * 4


def test_a_recipe_may_come_in_every_form(tmp_path: object) -> None:
    data = {"recipe": 1, "processors": [{"top_k": 3}], "stop": [{"max_new_tokens": 4}]}
    pipe = Pipeline().add("top_k", 3).stop("max_new_tokens", 4)
    path = tmp_path / "r.yaml"  # type: ignore[operator]
    path.write_text(pipe.to_recipe().to_yaml())
    forms = [data, pipe, pipe.to_recipe(), path, str(path)]
    tokens = [Decoder(TableModel(VOCAB), form, vocab_size=VOCAB).generate([[1]]).tokens for form in forms]
    assert tokens == [tokens[0]] * 5
    assert (
        Decoder(TableModel(VOCAB), "greedy", vocab_size=VOCAB).pipeline.effective_strategy.spec.name
        == "greedy"
    )
    assert torch.tensor(tokens[0]).shape == (1, 4)
