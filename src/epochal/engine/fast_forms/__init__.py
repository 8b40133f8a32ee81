"""Convolutions and pools of anyone's model, in forms that XLA computes fast inside a loop on the CPU.

XLA brings a convolution into the form that its fast library takes only in a program's entry (JAX issue 12868): inside a
loop, gradients of convolutions fall into a naive path, 20 to 100 times slower, as do pools of any kind and grouped
convolutions. Epochal's whole training is a loop. So what it differentiates is traced, and rewritten where it has such
operations:

- `own_kernels.py`: convolution, ReLU and 2×2 max-pooling in a row become the package's own fast operation;
- `conv_forms.py`, `kernel_gradients.py`, `depthwise.py`: the other convolutions, those of gradients included;
- `pool_forms.py`: pools and their gradients as slices;
- `choosing.py`: which of them an operation has; `rewriting.py`: walks over the traced function;
- `slow_operations.py`: says which operations are slow in a loop, and have no form here.

What is rewritten depends on the function and its shapes alone, never on a measurement: a resumed run has the same bits.
"""

from epochal.engine.fast_forms.fast_model import fast_apply, fast_function

__all__ = ["fast_apply", "fast_function"]
