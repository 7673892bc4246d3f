"""Read the weights and the tokenizer that lie in this package; nothing is fetched."""

from __future__ import annotations

import json
from dataclasses import asdict
from importlib import resources
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from tokenizers import Tokenizer

from decodery_demo.model import DemoConfig, DemoModel

WEIGHTS = "demo.safetensors"
DRAFT_WEIGHTS = "draft.safetensors"
TOKENIZER = "tokenizer.json"


def load() -> tuple[DemoModel, Tokenizer]:
    """The trained model, in fp32 on the CPU and in eval mode, and its tokenizer."""
    return _from_package(WEIGHTS)


def load_draft() -> tuple[DemoModel, Tokenizer]:
    """The small model that drafts for the other one, and the tokenizer that both share."""
    return _from_package(DRAFT_WEIGHTS)


def _from_package(weights: str) -> tuple[DemoModel, Tokenizer]:
    package = resources.files("decodery_demo")
    with resources.as_file(package / weights) as path:
        model = load_model(path)
    return model, Tokenizer.from_str((package / TOKENIZER).read_text(encoding="utf-8"))


def load_model(path: str | Path) -> DemoModel:
    """A model from a safetensors file whose header holds the configuration."""
    with safe_open(path, framework="pt") as file:
        config = DemoConfig(**json.loads(file.metadata()["config"]))
        weights = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118 (no mapping)
    model = DemoModel(config)
    model.load_state_dict(weights)
    return model.eval()


def save_model(weights: dict[str, torch.Tensor], config: DemoConfig, path: str | Path) -> None:
    """Write weights in fp16, half the size of fp32 and eight times finer than bf16 at their magnitude."""
    halves = {name: weight.to(torch.float16).contiguous().cpu() for name, weight in weights.items()}
    save_file(halves, path, metadata={"format": "pt", "config": json.dumps(asdict(config))})
