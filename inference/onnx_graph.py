"""The U-Net as an ONNX graph, written layer by layer. Needs the package `onnx`.

General converters work, too, but tf2onnx took 12 GB of memory and 50 seconds for this network;
its nine kinds of layers are quickly named, and the result is compared with Keras by `export.py`.
"""

import keras
import numpy as np
from keras import layers

OPSET = 17  # understood by ONNX Runtime since 1.12
IR_VERSION = 8  # the file format of that opset


def build_onnx(network, input_name, output_name):
    """Translate a network of `model.build_unet`.

    Args:
        network: `keras.Model` in float32 from (B, S, S, 3) to the same.
        input_name: what the graph calls its input.
        output_name: what the graph calls its output.

    Returns:
        `onnx.ModelProto` with the layout of Keras: input and output float32 (B, S, S, 3).

    Raises:
        NotImplementedError: the network has a layer that `build_unet` does not use.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    # ONNX convolves (B, 3, S, S): one transposition at either end, none between.
    nodes = [helper.make_node("Transpose", [input_name], ["channels_first"], perm=[0, 3, 1, 2])]
    weights = []
    names = {id(network.input): "channels_first"}
    for layer in network.layers[1:]:
        inputs = [names[id(tensor)] for tensor in keras.tree.flatten(layer.input)]
        if isinstance(layer, layers.Dropout):
            names[id(layer.output)] = inputs[0]
            continue
        kind, arrays, attributes = _translate(layer)
        for i, array in enumerate(arrays):
            array = np.ascontiguousarray(array, np.float32)
            weights.append(numpy_helper.from_array(array, f"{layer.name}/{i}"))
            inputs.append(f"{layer.name}/{i}")
        nodes.append(
            helper.make_node(kind, inputs, [f"{layer.name}/output"], layer.name, **attributes)
        )
        names[id(layer.output)] = f"{layer.name}/output"
    last = names[id(network.output)]
    nodes.append(helper.make_node("Transpose", [last], [output_name], perm=[0, 2, 3, 1]))

    shape = ["batch", *network.input_shape[1:]]
    graph = helper.make_graph(
        nodes,
        network.name,
        [helper.make_tensor_value_info(input_name, TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(output_name, TensorProto.FLOAT, shape)],
        weights,
    )
    graph.doc_string = "Faces, RGB in [-1, 1]: bicubically enlarged in, super-resolved out."
    model = helper.make_model(
        graph,
        producer_name="ipu-net",
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    onnx.checker.check_model(model)
    return model


def _translate(layer):
    """Return the ONNX operator of a layer, the arrays it takes, and its attributes."""
    match layer:
        # Of either convolution, Keras' kernels end in the axes that ONNX' begin with.
        case layers.Conv2DTranspose() | layers.Conv2D() if layer.padding == "same":
            kind = "ConvTranspose" if isinstance(layer, layers.Conv2DTranspose) else "Conv"
            kernel, *bias = layer.get_weights()
            pads = [(k - s) // 2 for k, s in zip(layer.kernel_size, layer.strides, strict=True)]
            return (
                kind,
                [kernel.transpose(3, 2, 0, 1), *bias],
                {"strides": layer.strides, "pads": [*pads, *pads]},
            )
        case layers.BatchNormalization():
            arrays = layer.gamma, layer.beta, layer.moving_mean, layer.moving_variance
            return "BatchNormalization", map(np.asarray, arrays), {"epsilon": layer.epsilon}
        case layers.LeakyReLU():
            return "LeakyRelu", [], {"alpha": layer.negative_slope}
        case layers.ReLU():
            return "Relu", [], {}
        case layers.Concatenate():
            return "Concat", [], {"axis": 1}
        case layers.Activation() if layer.activation is keras.activations.tanh:
            return "Tanh", [], {}
    raise NotImplementedError(f"cannot write layer {layer.name} ({type(layer).__name__}) as ONNX")
