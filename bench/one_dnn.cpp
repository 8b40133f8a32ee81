// Products of float32 matrices by oneDNN, as two functions that a compiled JAX program calls. See one_dnn.py.
#include <oneapi/dnnl/dnnl.h>

#include "xla/ffi/api/ffi.h"

namespace ffi = xla::ffi;
using Matrix = ffi::Buffer<ffi::F32, 2>;
using Product = ffi::Result<Matrix>;

static ffi::Error Said(dnnl_status_t status) {
  return status == dnnl_success ? ffi::Error::Success() : ffi::Error::Internal("oneDNN refused the product");
}

// x of B x n times w of n x m
static ffi::Error Forward(Matrix x, Matrix w, Product out) {
  auto rows = x.dimensions()[0], inner = x.dimensions()[1], columns = w.dimensions()[1];
  return Said(dnnl_sgemm('N', 'N', rows, columns, inner, 1.0f, x.typed_data(), inner, w.typed_data(), columns, 0.0f,
                         out->typed_data(), columns));
}

// x of B x n, transposed, times error of B x m
static ffi::Error Gradient(Matrix x, Matrix error, Product out) {
  auto inner = x.dimensions()[0], rows = x.dimensions()[1], columns = error.dimensions()[1];
  return Said(dnnl_sgemm('T', 'N', rows, columns, inner, 1.0f, x.typed_data(), rows, error.typed_data(), columns, 0.0f,
                         out->typed_data(), columns));
}

XLA_FFI_DEFINE_HANDLER_SYMBOL(OneDnnForward, Forward, ffi::Ffi::Bind().Arg<Matrix>().Arg<Matrix>().Ret<Matrix>());
XLA_FFI_DEFINE_HANDLER_SYMBOL(OneDnnGradient, Gradient, ffi::Ffi::Bind().Arg<Matrix>().Arg<Matrix>().Ret<Matrix>());
