"""The scripts beside the package, which no import finds: they are loaded from their files."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import nn


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, Path(__file__).parents[1] / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="torch.optim.Muon came with torch 2.9")
def test_muon_takes_the_steps_of_torchs_own() -> None:
    torch.manual_seed(0)
    ours = [nn.Parameter(torch.randn(shape)) for shape in [(48, 16), (48, 16), (16, 40), (16, 16)]]
    theirs = [nn.Parameter(parameter.detach().clone()) for parameter in ours]
    settings = {"lr": 4e-3, "weight_decay": 0.5}
    optimizers = (
        script("muon").Muon(ours, **settings),
        torch.optim.Muon(theirs, adjust_lr_fn="match_rms_adamw", **settings),
    )
    for _ in range(3):
        for a, b in zip(ours, theirs, strict=True):
            a.grad = torch.randn_like(a)
            b.grad = a.grad.clone()
        for optimizer in optimizers:
            optimizer.step()
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-3)


def test_the_held_out_part_is_the_end_and_is_not_trained_on(tmp_path: Path) -> None:
    corpus = script("corpus")
    works = [[f"{work} paragraph {i}." for i in range(200)] for work in ("First", "Second")]
    path = tmp_path / "text.txt"
    path.write_text("\n<|endoftext|>\n".join("\n\n".join(work) for work in works), encoding="utf-8")
    read = corpus.read_works(path)
    assert read == works
    held_out = corpus.held_out_texts(read)
    assert [text.split("\n\n") for text in held_out] == [work[-4:] for work in works]
    trained = "\n\n".join(corpus.training_texts(read))
    assert not any(paragraph in trained for text in held_out for paragraph in text.split("\n\n"))


def test_a_text_begins_at_a_chapter_but_not_at_a_line_of_contents() -> None:
    prose = "It was a long evening. " * 10
    paragraphs = ["A BOOK", "CHAPTER 1", "CHAPTER 2", *["-"] * 3, "CHAPTER 1", prose, "CHAPTER 2", prose]
    texts = script("corpus").chapters(paragraphs)
    assert [text.split("\n\n")[0] for text in texts] == ["A BOOK", "CHAPTER 1", "CHAPTER 2"]
