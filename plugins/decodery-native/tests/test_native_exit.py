"""The end of a process that used the C++ kernels."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest.importorskip("decodery_native.backend", reason="decodery-native was not built")

HELD = """
import threading
import torch
from decodery import Pipeline

begun = threading.Event()


def work():
    x = torch.tensor([[1, 2, 3]])
    bound = Pipeline().add("no_repeat_ngram", 2).add("top_k", 5).with_strategy("sample").bind(x, vocab_size=50)
    bound.pick(x, torch.zeros(1, 50))
    begun.set()
    threading.Event().wait()


threading.Thread(target=work, daemon=True).start()
begun.wait(60)
raise ValueError("the last words")
"""


def test_what_a_frame_still_holds_at_the_end_is_no_leak_to_tell_of() -> None:
    done = subprocess.run(
        [sys.executable, "-c", HELD], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stderr.endswith("ValueError: the last words\n")
