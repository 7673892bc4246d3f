"""`make bench`: every benchmark, one line a comparison. `python -m benchmarks [NAME ...] [--table FILE]`."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from . import (
    beams,
    edits,
    history,
    llama_cpp,
    on_cuda,
    own_loop,
    page,
    sampling_step,
    step_on_cuda,
    whole_run,
)

ALL = {
    "sampling_step": sampling_step,
    "edits": edits,
    "history": history,
    "whole_run": whole_run,
    "own_loop": own_loop,
    "beams": beams,
    "llama_cpp": llama_cpp,
    "step_on_cuda": step_on_cuda,
    "on_cuda": on_cuda,
}

parser = argparse.ArgumentParser(prog="python -m benchmarks")
parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(ALL)}; all of them")
parser.add_argument("--table", type=Path, help="write the table into this page")
arguments = parser.parse_args()
torch.set_num_threads(1)
found = []
for name, benchmark in ALL.items():
    if not arguments.names or name in arguments.names:
        for comparison in benchmark.run():
            print(page.line(comparison), flush=True)
            found.append(comparison)
if arguments.table:
    page.write(arguments.table, found)
