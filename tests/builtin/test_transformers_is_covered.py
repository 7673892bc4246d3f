"""Every processor and criterion of the installed transformers is a step here, or is left out for a reason."""

from __future__ import annotations

import inspect

import pytest
import torch
import transformers
from transformers.generation import logits_process, stopping_criteria

from decodery.builtin.hf_library import hf_class
from decodery.contracts.errors import Unavailable
from decodery.contracts.specs import StepSpec
from decodery.host.registry import Host

GONE = {"HammingDiversityLogitsProcessor"}
"""Known to transformers 4 only."""
SECOND_RUN = "needs a second run of the model, which is a strategy's to open"
OUT_OF_SCOPE = {
    "LogitsProcessor": "the abstract base",
    "StoppingCriteria": "the abstract base",
    "UnbatchedClassifierFreeGuidanceLogitsProcessor": SECOND_RUN,
    "ClassifierFreeGuidanceLogitsProcessor": f"{SECOND_RUN}: it expects twice as many rows of scores as of ids",
    "DiaClassifierFreeGuidanceLogitsProcessor": f"{SECOND_RUN}: it expects twice as many rows of scores as of ids",
    "HammingDiversityLogitsProcessor": "couples the groups of a diverse beam search, a strategy's own affair",
    "WhisperNoSpeechDetection": f"changes no score: it keeps a probability to be read later, and {SECOND_RUN}",
}


def _classes(module, base):
    return {
        name: kind
        for name, kind in vars(module).items()
        if inspect.isclass(kind) and issubclass(kind, base) and kind.__module__ == module.__name__
    }


PROCESSORS = _classes(logits_process, logits_process.LogitsProcessor)
CRITERIA = _classes(stopping_criteria, stopping_criteria.StoppingCriteria)
STEPS = {alias: spec for spec in Host("").builtin(StepSpec) for alias in spec.aliases}


@pytest.mark.parametrize("name", [*PROCESSORS, *CRITERIA])
def test_a_class_of_transformers_is_a_step_or_left_out_for_a_reason(name):
    assert (name in STEPS) != (name in OUT_OF_SCOPE), (
        f"{name} of transformers {transformers.__version__}: give a step the alias, or say here why not"
    )
    if name in STEPS:
        assert STEPS[name].role == ("processor" if name in PROCESSORS else "stop")


def test_the_list_of_what_is_left_out_is_not_older_than_transformers():
    assert set(OUT_OF_SCOPE) - GONE <= {*PROCESSORS, *CRITERIA}


OWN = [spec for spec in STEPS.values() if str(spec.factory).startswith("decodery.builtin.hf_")]


@pytest.mark.parametrize("spec", {spec.name: spec for spec in OWN}.values(), ids=lambda spec: spec.name)
def test_a_step_that_is_transformers_own_class_finds_it_in_every_supported_version(spec):
    """tests/versions.sh runs this with the oldest one, too: so far no version lacks one."""
    assert set(spec.aliases) & {*PROCESSORS, *CRITERIA}


def test_a_step_with_code_of_its_own_is_there_whatever_transformers_has(monkeypatch, build):
    monkeypatch.delattr(logits_process, "TopHLogitsWarper", raising=False)  # as in 4.57, which has none
    kept = build("top_h", {"h": 0.01})(torch.tensor([[1, 2]]), torch.tensor([[3.0, 2.0, 1.0]]))
    assert kept.isfinite().tolist() == [[True, False, False]]


def test_there_is_something_to_cover():
    assert len(PROCESSORS) > 30
    assert len(CRITERIA) > 4


def test_a_class_that_the_installed_transformers_lacks_is_unavailable_with_its_version(monkeypatch, build):
    monkeypatch.delattr(logits_process, "WatermarkLogitsProcessor")
    # By name: transformers puts another module in its own place when it is asked for more of itself.
    monkeypatch.setattr("transformers.__version__", "4.99.0")
    with pytest.raises(
        Unavailable,
        match=r"watermark: transformers 4\.99\.0 has no WatermarkLogitsProcessor\n.*pip install 'transformers>=4\.57",
    ):
        build("watermark")
    assert hf_class("LogitNormalization", "any") is logits_process.LogitNormalization
