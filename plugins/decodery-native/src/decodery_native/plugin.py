"""What this package gives decodery. Free of torch."""

from decodery import hookimpl
from decodery.contracts.specs import KernelSpec


@hookimpl
def provide_kernels() -> list[KernelSpec]:
    """One backend, for the CPU."""
    return [
        KernelSpec(
            name="native",
            factory="decodery_native.backend:NativeBackend",
            available="decodery_native.available:why_not",
            priority=100,
            summary="C++ on the CPU: AVX-512, AVX2 or plain, chosen at run time",
        )
    ]
