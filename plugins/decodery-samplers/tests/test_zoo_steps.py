"""The seven of logits-processor-zoo: by hand, in whole runs, and against the project itself where it is installed."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from test_texts_are_bound_to_tokens import Pieces

from decodery import Decoder, Pipeline
from decodery.testing import ScriptedModel
from decodery_samplers.zoo.endings import GenLength, MaxTimeEos
from decodery_samplers.zoo.forced_phrases import PreventHallucination, TriggerPhrase
from decodery_samplers.zoo.from_prompt import CitePrompt, MultipleChoice, choice_words

inf = math.inf
TOKENS = Pieces("a", "b", ".", "\n", "A", "B", " x", "", eos=[7])
EOS = 7


def greedy(script: list[list[float]], step: str, *, stop: int = 12, **params: object) -> str:
    """What a model whose logits are `script`, one position after another, writes after one token."""
    pipe = Pipeline().add(step, **params).stop("eos").stop("max_new_tokens", stop)
    decoder = Decoder(ScriptedModel(torch.tensor(script)), pipe, tokenizer=TOKENS, eos_token_id=EOS)
    rows = decoder.generate([[6], [6]]).tokens
    assert rows[0] == rows[1]
    return "".join(TOKENS.pieces[token] or "$" for token in rows[0])


def likes(*tokens: int) -> list[list[float]]:
    return [[3.0 if token == best else 0.0 for token in range(8)] for best in tokens]


def test_the_end_becomes_likelier_with_length() -> None:
    step = GenLength(factor=2.0, tokenizer=TOKENS, eos=[EOS], prompt_lengths=torch.tensor([1]))
    scores = torch.zeros(1, 8)
    assert step(torch.tensor([[6]]), scores)[0, EOS] == 0.0
    assert step(torch.tensor([[6, 0, 0, 0, 0, 0]]), scores)[0, EOS].item() == pytest.approx(
        0.5
    )  # 2 (5/10)**2
    only = GenLength(
        factor=2.0, tokenizer=TOKENS, eos=[EOS], prompt_lengths=torch.tensor([1]), complete_sentences=True
    )
    assert only(torch.tensor([[6, 0, 0, 0, 0, 0]]), scores)[0, EOS] == 0.0
    assert only(torch.tensor([[6, 0, 0, 0, 0, 2]]), scores)[0, EOS].item() == pytest.approx(0.5)
    other = GenLength(
        factor=1.0, power=1, token=["b"], tokenizer=TOKENS, eos=[EOS], prompt_lengths=torch.tensor([0])
    )
    assert other(torch.tensor([[0, 0]]), scores)[0].tolist() == pytest.approx([0, 0.2, 0, 0, 0, 0, 0, 0])
    assert torch.equal(other(torch.tensor([[0, 1]]), scores), scores)  # it has come


def test_the_tokens_of_the_prompt_become_likelier() -> None:
    step = CitePrompt(boost=1.0, conditional=5.0, eos=[EOS], prompt_lengths=torch.tensor([3]))
    ids, scores = torch.tensor([[0, 1, 2, 0]]), torch.zeros(1, 8)
    assert step(ids, scores).tolist() == [[1, 6, 1, 0, 0, 0, 0, 1]]  # after "a" in the prompt comes "b"
    assert step(ids[:, :3], scores).tolist() == [[1, 1, 1, 0, 0, 0, 0, 1]]  # nothing is generated yet


def test_a_phrase_comes_before_the_end() -> None:
    script = likes(0, 0, 7)  # "a", "a", then the end for ever
    assert greedy(script, "force_last_phrase", phrase="ab.") == "aaab.$"
    assert greedy(script, "force_last_phrase", phrase="b") == "aab$"


def test_a_token_triggers_a_phrase() -> None:
    script = likes(0, 1, 0, 1, 0, 7)  # a b a b a, then the end for ever
    assert greedy(script, "trigger_phrase", phrase="A.", trigger="b") == "aA.ba$"
    assert greedy(script, "trigger_phrase", phrase="A.", trigger="b", after=True) == "abA.a$"
    assert greedy(script, "trigger_phrase", phrase="A.", trigger="b", count=2) == "aA.A.$"


def test_time_triggers_a_phrase_too() -> None:
    now = [0.0]
    step = TriggerPhrase(phrase="A.", tokenizer=TOKENS, trigger_time=5.0, clock=lambda: now[0])
    scores = torch.zeros(1, 8)
    assert torch.equal(step(torch.tensor([[0]]), scores), scores)
    now[0] = 6.0
    assert step(torch.tensor([[0]]), scores).isfinite().nonzero().tolist() == [[0, 4]]


def test_a_model_that_is_unsure_too_often_says_so() -> None:
    step = PreventHallucination(tokenizer=TOKENS, min_p=0.4, tolerate=1, phrase="A.")
    flat, ids, active = torch.zeros(1, 8), torch.tensor([[0]]), torch.tensor([True])
    assert torch.equal(step(ids, flat), flat)
    step.observe(torch.tensor([0]), active)
    assert step(ids, flat).isfinite().nonzero().tolist() == [[0, 4]]
    step.observe(torch.tensor([4]), active)
    assert step(ids, flat).isfinite().nonzero().tolist() == [[0, 2]]
    step.rewind(torch.tensor([1]))
    assert step(ids, flat).isfinite().nonzero().tolist() == [[0, 4]]


def test_only_the_choices_may_come() -> None:
    step = MultipleChoice(tokenizer=TOKENS, choices=["A", "B"], prompt_lengths=torch.tensor([8]))
    scores = torch.tensor([[9.0, 8, 7, 6, 1, 2, 0, 0]])
    assert step(torch.tensor([[0]]), scores).tolist() == [[-inf, -inf, -inf, -inf, 1, 2, -inf, -inf]]
    prompt = TOKENS.encode("\nA.a\nB.b")
    assert choice_words([TOKENS.pieces[t] for t in prompt], prompt, ["A", "B", "C"], ".") == [0, 1, None]
    boosted = MultipleChoice(
        tokenizer=TOKENS,
        choices=["A", "B"],
        boost_first_words=0.5,
        prompt_lengths=torch.tensor([len(prompt)]),
    )
    assert boosted(torch.tensor([prompt]), scores)[0, 4:6].tolist() == [1 + 4.5, 2 + 4.0]


def test_after_some_time_the_end_is_the_only_token() -> None:
    now = [0.0]
    step = MaxTimeEos(
        max_time=5.0,
        complete_sentences=True,
        tokenizer=TOKENS,
        eos=[EOS],
        prompt_lengths=torch.tensor([1, 1]),
        clock=lambda: now[0],
    )
    ids, scores = torch.tensor([[6, 0], [6, 2]]), torch.zeros(2, 8)
    assert torch.equal(step(ids, scores), scores)
    now[0] = 5.1
    answer = step(ids, scores)
    assert torch.equal(answer[0], scores[0])
    assert answer[1].isfinite().nonzero().tolist() == [[EOS]]


# -- against the project itself -----------------------------------------------------------------------------


class Theirs:
    """A tokenizer as the project expects it."""

    bos_token = eos_token = None
    bos_token_id, eos_token_id, add_prefix_space = None, EOS, False

    def encode(self, text: str, add_special_tokens: bool = False) -> list[int]:
        return TOKENS.encode("".join(letter for letter in text if letter in "ab.\nAB"))

    def decode(self, token: int) -> str:
        return TOKENS.pieces[token]

    def get_vocab(self) -> dict[str, int]:
        return {piece: token for token, piece in enumerate(TOKENS.pieces)}


@pytest.fixture
def theirs() -> Callable[[str], type]:
    """Their classes, by name; their package imports vllm and TensorRT only where asked."""
    package = pytest.importorskip("logits_processor_zoo.transformers")
    return lambda name: getattr(package, name)


def same_row(ours: torch.Tensor, mine: torch.Tensor) -> None:
    """Equal where probabilities are: they enforce by large gaps, we by -inf."""
    torch.testing.assert_close(ours.softmax(-1), mine.softmax(-1), atol=1e-4, rtol=0)


@pytest.mark.slow
def test_lengths_and_citations_are_theirs(theirs: Callable[[str], type]) -> None:
    generator = torch.Generator().manual_seed(1)
    prompt, prompt_lengths = torch.tensor([[0, 1, 2], [5, 5, 6]]), torch.tensor([3, 3])
    pairs = [
        (
            theirs("GenLengthLogitsProcessor")(Theirs(), boost_factor=0.7, p=2),
            GenLength(factor=0.7, tokenizer=TOKENS, eos=[EOS], prompt_lengths=prompt_lengths),
        ),
        (
            theirs("CiteFromPromptLogitsProcessor")(Theirs(), boost_factor=1.5, conditional_boost_factor=2.0),
            CitePrompt(boost=1.5, conditional=2.0, eos=[EOS], prompt_lengths=prompt_lengths),
        ),
    ]
    for their, mine in pairs:
        ids = prompt
        for _ in range(8):
            scores = torch.randn(2, 8, generator=generator)
            same_row(their(ids, scores.clone()), mine(ids, scores))
            ids = torch.cat((ids, torch.randint(0, 7, (2, 1), generator=generator)), dim=1)


@pytest.mark.slow
def test_choices_are_theirs(theirs: Callable[[str], type]) -> None:
    prompt = torch.tensor([TOKENS.encode("\nA.a\nB.ba")])
    their = theirs("MultipleChoiceLogitsProcessor")(Theirs(), choices=["A", "B"], boost_first_words=0.5)
    mine = MultipleChoice(
        tokenizer=TOKENS,
        choices=["A", "B"],
        boost_first_words=0.5,
        prompt_lengths=torch.tensor([prompt.shape[1]]),
    )
    scores = torch.randn(1, 8, generator=torch.Generator().manual_seed(0)) * 3
    found = their(prompt, scores.clone())[:, 4:6]
    same_row(found, mine(prompt, scores)[:, 4:6])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "their_params", "step", "params"),
    [
        ("ForceLastPhraseLogitsProcessor", {"phrase": "ab."}, "force_last_phrase", {"phrase": "ab."}),
        (
            "TriggerPhraseLogitsProcessor",
            {"phrase": "A.", "trigger_token_phrase": "b", "trigger_count": 2},
            "trigger_phrase",
            {"phrase": "A.", "trigger": "b", "count": 2},
        ),
        (
            "TriggerPhraseLogitsProcessor",
            {"phrase": "A.", "trigger_token_phrase": "b", "trigger_after": True},
            "trigger_phrase",
            {"phrase": "A.", "trigger": "b", "after": True},
        ),
    ],
)
def test_phrases_are_theirs(
    theirs: Callable[[str], type], name: str, their_params: dict, step: str, params: dict
) -> None:
    script = torch.tensor(likes(0, 0, 1, 0, 1, 1, 0, 7))
    their = theirs(name)(tokenizer=Theirs(), batch_size=1, **their_params)
    model = ScriptedModel(script)
    ids = torch.tensor([[6]])
    for _ in range(12):
        scores = their(ids, model(ids)[:, -1].clone())
        ids = torch.cat((ids, scores.argmax(-1, keepdim=True)), dim=1)
    pipe = Pipeline().add(step, **params).stop("max_new_tokens", 12)
    mine = Decoder(model, pipe, tokenizer=TOKENS, eos_token_id=EOS).generate([[6]]).tokens[0]
    assert mine == ids[0, 1:].tolist()
