"""Whether there is a device, Triton, and a torch that draws as the kernels expect."""

from __future__ import annotations


def why_not() -> str:
    """ "" when the backend can be used, else the reason."""
    import torch  # noqa: PLC0415  # the plugin's records are read without it

    if not torch.cuda.is_available():
        return "no CUDA device"
    try:
        import triton  # noqa: PLC0415  # may not be installed
    except ImportError as error:
        return f"Triton cannot be imported ({error}); 'pip install triton' brings it where torch did not"
    if tuple(int(part) for part in triton.__version__.split(".")[:2]) < (3, 2):
        return f"Triton {triton.__version__} is too old; 3.2 is the oldest"
    if torch.version.hip is not None:
        return "the random numbers of ROCm are others"
    return ""
