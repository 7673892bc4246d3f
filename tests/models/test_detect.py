"""Detection says what it found, what it gave up and why; offenders are named, with a remedy."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
import zoo
import zoo_state
from adapters import ADAPTERS, STATELESS, connected
from test_sessions import IDS, same, truth
from torch import nn

from decodery.contracts.errors import ModelError, UnknownName
from decodery.contracts.specs import AdapterSpec
from decodery.models.adapters.stateless import StatelessModel
from decodery.models.detect import connect, inspect


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("DropoutLeftOn", "not deterministic"),
        ("NotCausal", "not causal"),
        ("MixedRows", "mixes rows"),
        ("HiddenStates", "hidden states instead of logits"),
    ],
)
def test_offenders_are_warned_of(name: str, said: str) -> None:
    report = inspect(getattr(zoo, name)(), ADAPTERS)
    assert report.adapter == "stateless"
    assert [said in warning for warning in report.warnings] == [True], report.warnings


@pytest.mark.parametrize("name", ["NanoGPT", "DictGPT", "GptFast", "Demo", "LitGPT", "LitLlama", "MetaLlama"])
def test_sound_models_are_not_warned_of(name: str) -> None:
    assert inspect(getattr(zoo, name)(), ADAPTERS).warnings == ()


def test_a_time_first_model_is_turned_and_the_report_says_so() -> None:
    decodable, report = connected(zoo.TimeFirst())
    assert (report.adapter, report.warnings) == ("stateless", ())
    assert "time-first, as rows changed one another" in report.evidence
    session = decodable.open(3, None)
    same(session.prefill(IDS[:, :4]), truth(zoo.TimeFirst())[:, 3])
    session.close()
    assert connected(zoo.TimeFirst(), {"time_first": True})[1].warnings == ()


def test_a_model_of_one_row_gets_a_session_a_row() -> None:
    decodable, report = connected(zoo.Unbatched())
    assert (report.adapter, report.warnings) == ("rows", ())
    assert ("stateless", "Unbatched takes one row at a time") in [(n, r[:33]) for n, r in report.rejected]
    session = decodable.open(3, None)
    same(session.prefill(IDS[:, :4]), truth(zoo.Unbatched())[:, 3])
    session.close()


def test_a_model_that_does_not_listen_is_warned_of() -> None:
    report = inspect(lambda ids: torch.zeros(*ids.shape, 7), ADAPTERS, options={"vocab_size": 7})
    assert "do not depend" in report.warnings[0]


def test_probing_uses_only_ids_that_the_vocabulary_has() -> None:
    seen = []

    def watched(ids: torch.Tensor) -> torch.Tensor:
        seen.extend(ids.flatten().tolist())
        return zoo.bigram(ids)[..., :3] + 1.0

    inspect(watched, ADAPTERS, options={"vocab_size": 3})
    assert set(seen) == {0, 1, 2}
    seen.clear()
    inspect(watched, ADAPTERS)  # the width of the answer is the vocabulary, and only 0 was risked to learn it
    assert set(seen) == {0, 1, 2}


def test_detection_leaves_the_callers_random_numbers_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    connected(zoo.DropoutLeftOn())
    assert torch.equal(torch.rand(1), expected)


def test_detection_costs_a_handful_of_tiny_calls() -> None:
    calls = []

    class Counting(zoo.NanoGPT):
        def forward(self, idx: torch.Tensor, targets: None = None) -> object:
            calls.append(idx.numel())
            return super().forward(idx, targets)

    connected(Counting())
    # Three sessions of a prompt and two tokens, the model answering for the last position only.
    assert len(calls) <= 9
    assert max(calls) <= 8


def test_a_report_reads_well() -> None:
    text = str(inspect(zoo.LyingCache(), ADAPTERS))
    lines = text.splitlines()
    assert lines[0] == "LyingCache: adapter 'stateless'"
    assert (
        "  because     LyingCache(x, input_pos=None) can be called with the whole context each step" in lines
    )
    assert any(
        line.startswith("  not         hf, hf_encoder_decoder") and line.endswith(": not its kind of model")
        for line in lines
    )
    assert "  which is    any model(x) that returns logits; the whole text is fed at every step" in lines
    assert "  vocabulary  37 tokens; eos 0, bos and pad unknown" in lines
    assert "  context     32 tokens" in lines
    assert "  runs on     cpu, float32" in lines
    assert "  can         fork and reorder rows, take tokens back by cropping, as many in every row" in lines
    assert "  verified    nothing: no cache is used" in lines
    assert "  warning     adapter 'input_pos' was tried and given up: LyingCache takes input_pos, but" in text
    assert text.count("differ by") == 1


def test_adapters_are_tried_in_the_given_order() -> None:
    first = AdapterSpec("mine", lambda model, options: "it looks right", StatelessModel)
    assert inspect(zoo.NanoGPT(), [first, *ADAPTERS]).adapter == "mine"
    assert inspect(zoo.NanoGPT(), [STATELESS, first]).adapter == "stateless"


def test_an_adapter_that_breaks_does_not_stop_the_others() -> None:
    def broken(model: object, options: object) -> str:
        raise ZeroDivisionError("oh dear")

    missing = AdapterSpec("missing", "no.such.module:probe", "no.such.module:Model")
    report = inspect(zoo.NanoGPT(), [AdapterSpec("broken", broken, StatelessModel), missing, STATELESS])
    assert report.adapter == "stateless"
    assert report.rejected[0] == ("broken", "ZeroDivisionError: oh dear")
    assert report.rejected[1][1].startswith("adapter 'missing': 'no.such.module:probe' cannot be imported")


def test_a_failed_candidate_leaves_nothing_in_the_module() -> None:
    def meddling(model: zoo.NanoGPT, options: object) -> object:
        model.wpe = nn.Embedding(1, 1)
        model.train(False)
        raise ModelError("changed my mind")

    model = zoo.NanoGPT()
    wpe = model.wpe
    connect(model, [AdapterSpec("meddling", lambda model, options: "yes", meddling), STATELESS])
    assert model.wpe is wpe


def test_a_named_adapter_is_taken_at_its_word_and_its_options_reach_it() -> None:
    _, report = connected(zoo.LyingCache(), {"name": "input_pos", "verify": False, "max_length": 9})
    can = report.facts.capabilities
    assert (report.adapter, report.facts.max_length, can.select, can.rewind_by) == (
        "input_pos",
        9,
        False,
        "replay",
    )
    assert connected(zoo.Demo(), "stateless")[1].adapter == "stateless"


def test_an_unknown_adapter_gets_a_suggestion() -> None:
    with pytest.raises(UnknownName, match="unknown adapter 'inputpos'") as caught:
        connected(zoo.Demo(), "inputpos")
    assert caught.value.remedy == "did you mean 'input_pos'?"


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (zoo.NanoGPT, "is a class, not a model"),
        ({"weights": 1}, "a dict cannot be called"),
        (lambda ids, mask: zoo.bigram(ids), "also requires mask"),
        (lambda ids: "text", "returned a str"),
        (lambda ids: 1 / 0, "ZeroDivisionError: division by zero"),
    ],
)
def test_what_cannot_be_driven_gets_a_reason_and_a_remedy(model: object, said: str) -> None:
    with pytest.raises(ModelError, match=said) as caught:
        connected(model, "stateless")
    assert caught.value.remedy
    with pytest.raises(ModelError, match=f"no adapter can drive|{said}") as caught:
        connected(model)
    assert caught.value.remedy


def test_the_users_own_traceback_is_kept() -> None:
    with pytest.raises(ModelError) as caught:
        connected(lambda ids: 1 / 0, "stateless")
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_probing_a_torch_model_does_not_import_transformers() -> None:
    code = (
        "import sys, torch\n"
        "from decodery.models.detect import inspect\n"
        "from decodery.builtin.plugin import provide_adapters\n"
        "specs = sorted(provide_adapters(), key=lambda spec: -spec.priority)\n"
        "model = torch.nn.Sequential(torch.nn.Embedding(9, 4), torch.nn.Linear(4, 9))\n"
        "assert inspect(model, specs).adapter == 'stateless'\n"
        "sys.exit('transformers' in sys.modules)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_doctor_names_the_one_line_that_would_improve_a_model() -> None:
    """A first state that nobody can guess; an end of text that nobody told; a mask that is ignored."""
    assert (
        inspect(zoo_state.ObjectCache(), ADAPTERS).advice == "adapter={'state': lambda batch: MyCache(batch)}"
    )
    assert "which token ends a text" in inspect(zoo.NanoGPT(), ADAPTERS).advice
    assert inspect(zoo.NanoGPT(), ADAPTERS, options={"eos_token_id": 3}).advice == ""
