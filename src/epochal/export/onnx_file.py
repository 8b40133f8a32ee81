"""The built-in models as ONNX graphs: samples as they are stored in, outputs out, for any number of them.

The graphs are written with ONNX's own helpers, a node for each line of the model: a converter from JAX would bring a
dozen packages, and return JAX's small steps in place of the `Conv` and `RNN` that runtimes have fast kernels for.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Shaped

from epochal.errors import ModelError, OptionError, brief
from epochal.export.description import built_in, describe
from epochal.run.run import Run

OPSET, IR_VERSION = 17, 8
"""Old enough for the runtimes of the last years (ONNX 1.12, onnxruntime 1.12), new enough for all that is used."""


def to_onnx(run: Run) -> bytes:
    """Return an ONNX file's content.

    Raises `ModelError` for a model that is not built in, and `OptionError` where the package onnx is missing.
    """
    name = built_in(run, tuple(_BODIES), "ONNX")
    try:
        import onnx
    except ModuleNotFoundError:
        raise OptionError("ONNX needs the package onnx, which is not installed: pip install 'epochal[onnx]'") from None

    about = describe(run, prepares=True)
    graph = _Graph()
    outputs = _in_units(graph, _BODIES[name](graph, _prepared(graph, run), run.params, run.schema.sample_shape), run)
    graph.node("Identity", [outputs], "outputs")

    helper, types = onnx.helper, onnx.TensorProto
    stored = {"uint8": types.UINT8, "float32": types.FLOAT, "int32": types.INT32}[about["input"]["type"]]
    model = helper.make_model(
        helper.make_graph(
            [helper.make_node(kind, given, made, **options) for kind, given, made, options in graph.nodes],
            about["run"],
            [helper.make_tensor_value_info("samples", stored, about["input"]["shape"])],
            [helper.make_tensor_value_info("outputs", types.FLOAT, about["output"]["shape"])],
            [onnx.numpy_helper.from_array(values, name) for name, values in graph.constants.items()],
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="epochal",
        producer_version=about["epochal"],
    )
    helper.set_model_props(model, {"epochal": json.dumps(about, ensure_ascii=False, allow_nan=False)})
    try:
        onnx.checker.check_model(model, full_check=True)
        content: bytes = model.SerializeToString()
    except ValueError as error:  # protobuf ends at 2 GB
        raise ModelError(f"the model does not fit into an ONNX file: {brief(error)}") from error
    return content


@dataclass(slots=True)
class _Graph:
    """Nodes in their order, (kind, inputs, outputs, attributes), and the numbers that they use by name."""

    nodes: list[tuple[str, list[str], list[str], dict[str, Any]]] = field(default_factory=list)
    constants: dict[str, Shaped[np.ndarray, "..."]] = field(default_factory=dict)

    def node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """Add a node with one output and return that."""
        self.nodes.append((kind, inputs, [output], attributes))
        return output

    def constant(self, name: str, values: Any, kind: type = np.float32) -> str:
        """Add an array and return its name."""
        self.constants[name] = np.ascontiguousarray(np.asarray(values, kind))
        return name

    def dense(self, x: str, layer: Any, name: str) -> str:
        """Add ``x @ weights + bias``."""
        weights, bias = (self.constant(f"{name}.{part}", layer[part]) for part in ("weights", "bias"))
        return self.node("Gemm", [x, weights, bias], f"{name}.sum")

    def dense_layers(self, x: str, layers: Any, prefix: str = "") -> str:
        """Add dense layers with ReLU between them."""
        last = len(layers) - 1
        for number, layer in enumerate(layers):
            x = self.dense(x, layer, f"{prefix}{number}")
            if number < last:
                x = self.node("Relu", [x], f"{prefix}{number}.relu")
        return x


def _prepared(graph: _Graph, run: Run) -> str:
    """Add what turns stored samples into model input."""
    preprocessing = run.schema.preprocessing
    x = graph.node("Cast", ["samples"], "samples.float", to=1)  # TensorProto.FLOAT
    if run.schema.sample_type == np.int32:
        return x
    x = graph.node("Sub", [x, graph.constant("shift", preprocessing.shift)], "samples.shifted")
    return graph.node("Mul", [x, graph.constant("scale", preprocessing.scale)], "samples.prepared")


def _in_units(graph: _Graph, outputs: str, run: Run) -> str:
    """Add what turns outputs into the targets' own units."""
    scaling = run.schema.target_scaling
    if scaling is None:
        return outputs
    outputs = graph.node("Mul", [outputs, graph.constant("target_scale", scaling.scale)], "outputs.scaled")
    return graph.node("Add", [outputs, graph.constant("target_shift", scaling.shift)], "outputs.shifted")


def _linear(graph: _Graph, x: str, params: Any, sample_shape: tuple[int, ...]) -> str:
    return graph.dense(graph.node("Flatten", [x], "flat", axis=1), params, "dense")


def _mlp(graph: _Graph, x: str, params: Any, sample_shape: tuple[int, ...]) -> str:
    return graph.dense_layers(graph.node("Flatten", [x], "flat", axis=1), params)


def _cnn(graph: _Graph, x: str, params: Any, sample_shape: tuple[int, ...]) -> str:
    if len(sample_shape) == 2:
        x = graph.node("Unsqueeze", [x, graph.constant("channel", [1], np.int64)], "images")
    else:
        x = graph.node("Transpose", [x], "images", perm=[0, 3, 1, 2])

    for number, layer in enumerate(params["convolutions"]):
        name, kernel = f"convolutions.{number}", np.asarray(layer["kernel"])
        edge = kernel.shape[0] // 2  # zeros around the image keep its size
        inputs = [graph.constant(f"{name}.kernel", kernel.transpose(3, 2, 0, 1))]  # HWIO, and OIHW in ONNX
        inputs += [graph.constant(f"{name}.bias", layer["bias"])]
        x = graph.node("Conv", [x, *inputs], f"{name}.sum", pads=[edge] * 4)
        x = graph.node("Relu", [x], f"{name}.relu")
        x = graph.node("MaxPool", [x], f"{name}.pooled", kernel_shape=[2, 2], strides=[2, 2])

    # the weights of the dense layers are in the order height, width, channels
    x = graph.node("Transpose", [x], "features", perm=[0, 2, 3, 1])
    return graph.dense_layers(graph.node("Flatten", [x], "flat", axis=1), params["dense"], "dense.")


def _rnn(graph: _Graph, x: str, params: Any, sample_shape: tuple[int, ...]) -> str:
    weights, bias, recurrent = params["input"]["weights"], params["input"]["bias"], params["recurrent"]
    columns, size = weights.shape
    x = graph.node("Reshape", [x, graph.constant("rows", [0, sample_shape[0], columns], np.int64)], "by_row")
    x = graph.node("Transpose", [x], "row_by_row", perm=[1, 0, 2])

    inputs = [graph.constant("input.weights", weights.T[None]), graph.constant("recurrent", recurrent.T[None])]
    inputs += [graph.constant("input.bias", np.concatenate([bias, np.zeros(size)])[None])]
    graph.nodes.append(("RNN", [x, *inputs], ["", "memory"], {"hidden_size": size, "activations": ["Tanh"]}))
    memory = graph.node("Squeeze", ["memory", graph.constant("direction", [0], np.int64)], "last_memory")
    return graph.dense(memory, params["output"], "output")


_BODIES = {"linear": _linear, "mlp": _mlp, "cnn": _cnn, "lenet": _cnn, "rnn": _rnn}
