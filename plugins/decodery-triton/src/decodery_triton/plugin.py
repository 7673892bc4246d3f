"""What this package gives decodery. Free of torch and of Triton."""

from decodery import hookimpl
from decodery.contracts.specs import KernelSpec


@hookimpl
def provide_kernels() -> list[KernelSpec]:
    """No backend of the plan yet: its own edits and generator states are the CPU's. `SamplingStep` is for own loops."""
    return []
