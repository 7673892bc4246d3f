"""`make bench`: every benchmark, one line a comparison."""

from __future__ import annotations

from . import sampling_step, whole_run

for benchmark in (sampling_step, whole_run):
    benchmark.run()
