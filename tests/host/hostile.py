"""The hostile: packages that pip installs like any other, each bad in its own way, and a good one among them."""

from __future__ import annotations

HEAD = """
from decodery import hookimpl
from decodery.contracts.specs import AdapterSpec, StepSpec, StrategySpec
from decodery.contracts.params import Probability, params
"""


def steps(*records: str) -> str:
    return f"{HEAD}\n@hookimpl\ndef provide_steps():\n    return [{', '.join(records)}]\n"


def step(package: str, name: str, attribute: str) -> str:
    return (
        f"StepSpec({name!r}, 'processor', '{package}.steps:{attribute}', traits=frozenset({{'stateless'}}))"
    )


STEPS = """
import torch

class Halves:
    def __call__(self, ids, scores):
        return scores / 2

class Raises:
    def __init__(self):
        raise OSError("no licence file")

class Writes:
    def __call__(self, ids, scores):
        scores.fill_(0)
        ids.fill_(0)
        return scores

class Nan:
    def __call__(self, ids, scores):
        return scores * torch.nan

class Shrinks:
    def __call__(self, ids, scores):
        return scores[:, :-1]

class Fails:
    def __call__(self, ids, scores):
        raise KeyError("weights")
"""

# Package (its distribution's name with "_") -> (plugin.py, what pip is told it requires)
PACKAGES: dict[str, tuple[str, list[str]]] = {
    "hx_good": (steps(step("hx_good", "halves", "Halves")), []),
    "hx_import_error": ("raise RuntimeError('no such luck')", []),
    "hx_system_exit": ("raise SystemExit(0)", []),
    "hx_syntax": ("def (", []),
    "hx_slow": ("import time\ntime.sleep(0.6)\n" + steps(step("hx_slow", "slow", "Halves")), []),
    "hx_torch": ("import torch\n" + steps(step("hx_torch", "heavy", "Halves")), []),
    "hx_wrong_type": (HEAD + "\n@hookimpl\ndef provide_steps():\n    return 'top_p'\n", []),
    "hx_wrong_record": (steps("StrategySpec('odd', 'json:loads')"), []),
    "hx_twice": (steps(*[step("hx_twice", "same", "Halves")] * 2), []),
    "hx_duplicate": (steps(step("hx_duplicate", "halves", "Halves")), []),
    "hx_shadow": (steps(step("hx_shadow", "top_p", "Nan")), []),
    "hx_missing": ("import hx_no_such_library\n" + steps(), ["hx-no-such-library>=2"]),
    "hx_wrong_api": ("from decodery.contracts.specs import SamplerSpec", ["decodery>=9"]),
    "hx_unknown_hook": (HEAD + "\n@hookimpl\ndef provide_samplers():\n    return []\n", []),
    "hx_raising_hook": (HEAD + "\n@hookimpl\ndef provide_steps():\n    raise OSError('disk')\n", []),
    "hx_nowhere": (steps(step("hx_nowhere", "lost", "Lost").replace(".steps:", ".elsewhere:")), []),
    "hx_raising_factory": (steps(step("hx_raising_factory", "unlicensed", "Raises")), []),
    "hx_mutates": (steps(step("hx_mutates", "writes", "Writes")), []),
    "hx_nan": (steps(step("hx_nan", "nan", "Nan")), []),
    "hx_shrinks": (steps(step("hx_shrinks", "shrinks", "Shrinks")), []),
    "hx_fails": (steps(step("hx_fails", "fails", "Fails")), []),
    "hx_loud": ("print('hello')\n" + steps(step("hx_loud", "loud", "Halves")), []),
}

STATES = {
    "hx-good": "conflict",
    "hx-import-error": "broken",
    "hx-system-exit": "broken",
    "hx-syntax": "broken",
    "hx-slow": "ok",
    "hx-torch": "ok",
    "hx-wrong-type": "broken",
    "hx-wrong-record": "broken",
    "hx-twice": "broken",
    "hx-duplicate": "conflict",
    "hx-shadow": "conflict",
    "hx-missing": "broken",
    "hx-wrong-api": "broken",
    "hx-unknown-hook": "broken",
    "hx-raising-hook": "broken",
    "hx-nowhere": "broken",
    "hx-raising-factory": "ok",
    "hx-mutates": "ok",
    "hx-nan": "ok",
    "hx-shrinks": "ok",
    "hx-fails": "ok",
    "hx-loud": "ok",
}

# What the doctor says of each, and what would mend it.
TOLD = {
    "hx-good": "halves also in hx-duplicate",
    "hx-import-error": "cannot be imported: RuntimeError: no such luck",
    "hx-system-exit": "cannot be imported: SystemExit: 0",
    "hx-syntax": "cannot be imported: SyntaxError",
    "hx-wrong-type": "provide_steps: TypeError: must return a list of StepSpec, not str",
    "hx-wrong-record": "one of its items is StrategySpec",
    "hx-twice": "'same' comes twice",
    "hx-duplicate": "halves also in hx-good",
    "hx-shadow": "top_p also in decodery",
    "hx-missing": "No module named 'hx_no_such_library'",
    "hx-wrong-api": "cannot import name 'SamplerSpec'",
    "hx-unknown-hook": "unknown hook 'provide_samplers'",
    "hx-raising-hook": "provide_steps: OSError: disk",
    "hx-nowhere": "lost: there is no 'hx_nowhere.elsewhere:Lost', its factory",
}
MENDED = {
    "hx-missing": "pip install 'hx-no-such-library>=2'",
    "hx-wrong-api": "pip install 'decodery>=9'",
    "hx-syntax": "pip install --upgrade hx-syntax",
    "hx-nowhere": "pip install --force-reinstall",
}
