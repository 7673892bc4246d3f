"""What this package gives decodery. Free of torch and of Triton."""

from decodery import hookimpl
from decodery.contracts.specs import KernelSpec


@hookimpl
def provide_kernels() -> list[KernelSpec]:
    """A sampler for the graphs of `Decoder(compile=...)`."""
    return [
        KernelSpec(
            name="triton",
            factory="decodery_triton.backend:TritonSampler",
            available="decodery_triton.available:why_not",
            priority=20,
            summary="penalty, cuts and draw of a CUDA graph in two launches",
        )
    ]
