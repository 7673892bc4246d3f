"""How often unmarked text of the demo model is called marked, and marked text is found. The figures are printed:
`pytest -s`."""

from __future__ import annotations

from typing import Any

import pytest
from scipy import stats

from decodery import Decoder
from decodery.builtin.watermarks import detect_synthid_watermark, detect_watermark

pytest.importorskip("decodery_demo")
gumbel = pytest.importorskip("decodery_samplers.choosing.gumbel_watermark")

V = 4096
KEYS = [654, 400, 836, 123, 340, 443, 597, 160, 57, 29]
PROMPTS = ["Once upon a time", "It was", "She said that", "The old man"]
STEPS: dict[str, dict[str, Any]] = {
    "watermark": {},
    "synthid_watermark": {"keys": KEYS},
    "gumbel_watermark": {"key": 1},
}
DETECTORS = {
    "watermark": detect_watermark,
    "synthid_watermark": detect_synthid_watermark,
    "gumbel_watermark": gumbel.detect_gumbel_watermark,
}


@pytest.fixture(scope="module")
def demo() -> Any:
    from decodery_demo.load import load

    return load()


def _generated(demo: Any, texts: int, tokens: int, *steps: str) -> list[list[int]]:
    model, tokenizer = demo
    strategies = [step for step in steps if step == "gumbel_watermark"]
    recipe = {
        "recipe": 1,
        "strategy": {
            (*strategies, "sample")[0]: {**(STEPS[strategies[0]] if strategies else {}), "seed": 11}
        },
        "processors": [{step: STEPS[step]} for step in steps if step not in strategies],
        "stop": [{"max_new_tokens": tokens}],
    }
    return Decoder(model, recipe, tokenizer=tokenizer).generate(PROMPTS, n=texts // len(PROMPTS)).tokens


def _found(step: str, rows: list[list[int]], key: int) -> list[float]:
    """p of each text, by another key of the watermark for each `key`."""
    if step == "watermark":
        return [each.p for each in detect_watermark(rows, vocab_size=V, hashing_key=15485863 + 2 * key)]
    if step == "gumbel_watermark":
        return [each.p for each in gumbel.detect_gumbel_watermark(rows, key=2 + key)]
    return [each.p for each in detect_synthid_watermark(rows, keys=KEYS, sampling_table_seed=key)]


def _check(step: str, rows: list[list[int]], keys: int) -> None:
    """No more of unmarked texts are called marked than the threshold says, by keys that nobody used."""
    found = [p for key in range(keys) for p in _found(step, rows, key)]
    for threshold in (0.05, 0.01, 1e-3):
        hits = sum(p < threshold for p in found)
        print(f"\n{step}: {hits} of {len(found)} at p < {threshold}: {hits / len(found):.4f}", end="")
        # Each of them is a draw of the key: more than so many would be a detector that lies.
        assert stats.binom.sf(hits - 1, len(found), threshold) > 1e-6, (step, threshold, hits)
    assert sum(p < 0.05 for p in found) > 0, "a detector that never says yes has no false positives, either"


@pytest.mark.parametrize("step", STEPS)
def test_unmarked_text_is_called_marked_no_oftener_than_the_threshold_says(demo: Any, step: str) -> None:
    _check(step, _generated(demo, 32, 50), keys=20)


@pytest.mark.slow
@pytest.mark.parametrize("step", STEPS)
def test_unmarked_text_by_the_thousand(demo: Any, step: str) -> None:
    _check(step, _generated(demo, 400, 100), keys=25)


@pytest.mark.parametrize("step", STEPS)
def test_marked_text_of_fifty_tokens_is_found(demo: Any, step: str) -> None:
    rows = _generated(demo, 32, 50, step)
    found = [each.is_marked() for each in DETECTORS[step](rows, vocab_size=V, **STEPS[step])]
    print(f"\n{step}: {sum(found)} of {len(found)} marked texts are found at p < 0.001", end="")
    assert sum(found) >= 0.9 * len(found)
    others = _found(step, rows, 77)  # by another key they look like any text
    assert stats.binom.sf(sum(p < 0.01 for p in others) - 1, len(others), 0.01) > 1e-6
