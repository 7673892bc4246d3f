"""The pass over inductor's graph for one token a row on a CUDA device."""

from __future__ import annotations

from torch._inductor.custom_graph_pass import CustomGraphPass, get_hash_for_files
from torch.fx import Graph

from .. import passing
from . import attention, counters, one_query, one_row, operations, overlapping, products, surroundings

FILES = (attention, counters, one_query, one_row, operations, overlapping, passing, products, surroundings)


class OneTokenOnCuda(CustomGraphPass):
    """After inductor's own passes; what it does not know stays as it is."""

    def __call__(self, graph: Graph) -> None:
        for part in (attention, products, counters):
            part.rewrite(graph)

    def uuid(self) -> object:
        """What inductor's cache on disk knows this pass by."""
        return get_hash_for_files((__file__, *(str(file.__file__) for file in FILES)))
