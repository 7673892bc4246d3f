"""The reference says of every step what it computes, what it costs, when to use it and whence it is; and the pictures
show what the step did."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from math import inf
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import pytest
import torch

from decodery import Pipeline
from decodery.contracts.specs import StepSpec
from decodery.host.registry import Host

pytest.importorskip("decodery_samplers")
EXT = str(Path(__file__).parents[2] / "docs" / "_ext")
HOST = Host(selection="decodery-samplers")
STEPS = HOST.all(StepSpec)
PROCESSORS = [name for name, spec in STEPS if spec.role == "processor"]
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def docs() -> Iterator[Any]:
    """The modules that make the pages."""
    sys.path.insert(0, EXT)
    import reference_text
    import step_acts
    import step_costs
    import step_pictures

    yield SimpleNamespace(text=reference_text, acts=step_acts, costs=step_costs, pictures=step_pictures)
    sys.path.remove(EXT)


def entries(docs: Any) -> dict[str, list[str]]:
    """The lines of each step's entry, from the pages' own text."""
    found: dict[str, list[str]] = {}
    for plugin in ("", "decodery-samplers"):
        for role in ("processor", "stop"):
            for line in docs.text.steps(role, plugin):
                if line.startswith("(step-"):
                    found[line[6:-2]] = now = []
                now.append(line)
    return found


def test_every_step_says_formula_use_cost_and_source(docs: Any) -> None:
    told = entries(docs)
    assert set(told) == {name for name, _ in STEPS}
    for name, spec in STEPS:
        assert spec.formula, name
        assert "`" not in spec.formula, name
        assert spec.when, name
        lines = told[name]
        formula = "ends a row when" if spec.role == "stop" else "formula"
        assert f"- {formula}: `{spec.formula}`" in lines
        assert f"- use: {spec.when}" in lines
        assert any(line.startswith("- source: ") and len(line) > 15 for line in lines), name
        assert any(line.startswith("- cost: ") and len(line) > 20 for line in lines), name


def test_the_glance_lists_every_step_once(docs: Any) -> None:
    lines = list(docs.text.glance())[2:]
    assert sorted(line.split("<step-")[1].split(">")[0] for line in lines) == sorted(
        name for name, _ in STEPS
    )


@pytest.mark.parametrize("name", PROCESSORS)
def test_fused_and_dense_are_what_the_planner_does(docs: Any, name: str) -> None:
    """Fused steps are never called: their record alone is asked."""
    example, spec = docs.acts.EXAMPLES[name], HOST.step(name)[1]
    cost = docs.costs.cost(name, spec)
    assert called(docs, name, dict(example.params)) is cost.startswith("dense"), cost
    if example.dense:
        assert called(docs, name, {**example.params, **example.dense})


def called(docs: Any, name: str, params: dict[str, Any]) -> bool:
    """Whether a draw from a row that the model gave calls the step itself, in a recipe that cuts."""
    model, tokenizer = docs.acts.demo()
    # What cuts comes behind the cut, what edits before it.
    place = int("candidates" in docs.costs.cost(name, HOST.step(name)[1]))
    pipe = Pipeline(host=HOST).add("top_k", 500, at=0).add(name, **params, at=place)
    ids = torch.tensor([tokenizer.encode("She said that she was very").ids])
    bound = pipe.with_strategy("sample").bind(
        prompt=ids, vocab_size=4096, eos_token_id=0, tokenizer=tokenizer, encoder_ids=ids, seed=1
    )
    calls: list[str] = []
    step = bound.plan.processors[place]
    step.instances = [watched(instance, calls) for instance in step.instances]
    with torch.no_grad():
        bound.pick(ids, model(ids)[:, -1])
    return bool(calls)


def watched(instance: Any, calls: list[str]) -> Any:
    def call(*arguments: Any, **facts: Any) -> Any:
        calls.append("called")
        return instance(*arguments, **facts)

    return call


def test_what_sorts_is_said_to_sort(docs: Any) -> None:
    costs = {name: docs.costs.cost(name, HOST.step(name)[1]) for name in PROCESSORS}
    for name in ("top_p", "typical_p"):
        assert "a sort of V" in costs[name]
    for name in ("temperature", "top_k", "min_p", "decodery-samplers/top_a"):
        assert "sort" not in costs[name]
    assert "by itself 1 pass over V" in costs["temperature"]


def test_every_processor_has_a_picture_in_which_it_acts(docs: Any) -> None:
    assert set(docs.acts.EXAMPLES) == set(PROCESSORS)
    for name, example in docs.acts.EXAMPLES.items():
        row = docs.acts.acted(name, example)
        shown = docs.pictures.bars(row, example.scores)
        assert len(shown) == docs.pictures.SHOWN
        ids = [bar.token for bar in shown]
        assert (row.after[ids] != row.before[ids]).any(), name  # not only what others left it
        assert example.see.endswith("."), name


@pytest.mark.parametrize("name", ["top_p", "prefix_allowed_tokens", "temperature"])
def test_a_picture_shows_what_the_step_did(docs: Any, name: str) -> None:
    example = docs.acts.EXAMPLES[name]
    row = docs.acts.acted(name, example)
    root = ElementTree.fromstring(docs.pictures.picture(name, example))
    labels = [text for text in root.iter(f"{SVG}text") if text.get("data-token")]
    ids = torch.tensor([int(text.get("data-token", "")) for text in labels])
    gone = {int(token) for token in ids if row.after[token] == -inf}

    assert {int(t.get("data-token", "")) for t in labels if t.get("class") == "banned"} == gone
    rects = list(root.iter(f"{SVG}rect"))
    assert sum(rect.get("class") == "banned" for rect in rects) == len(gone)
    widths = {
        kind: [float(r.get("width", "")) for r in rects if r.get("class") == kind]
        for kind in ("before", "after")
    }
    assert len(widths["after"]) == len(ids) - len(gone)
    # A decade of probability is a quarter of the axis.
    stay = ids[row.after[ids] > -inf]
    longer = torch.tensor(widths["after"]) - torch.tensor(widths["before"])
    gained = (row.after.softmax(-1)[stay] / row.before.softmax(-1)[stay]).log10() * docs.pictures.BARS / 4
    seen = torch.tensor(widths["after"]) > 0
    assert torch.allclose(longer[seen], gained[seen], atol=0.05)
    left = int((row.after > -inf).sum())
    assert root.findtext(f"{SVG}title", "").startswith(f"{left:,} of 4,096 ")
