"""Operations that cannot be spikes: the reason and the way out, by operator or module."""

from __future__ import annotations

from collections.abc import Mapping

_CURVED = (
    "is a function that has no staircase here",
    "train with one that has: ReLU, LeakyReLU, ELU, SiLU, GELU, Hardswish, Mish, Softplus, Sigmoid or Tanh",
)
_RECURRENT = ("is recurrent: one sample would take many passes", "train a feed-forward network, or a 1-d CNN over time")
_ATTENTION = (
    "multiplies activations with each other; synapses have constant weights",
    "use convolutions or fully connected layers",
)
_BATCH = ("normalises with statistics of the sample itself", "train with BatchNorm, whose statistics are constants")
_RANDOM = ("draws random numbers at inference", "pass training=self.training to dropout, and call model.eval()")
_SMOOTH = ("interpolates between values", 'use mode="nearest" with a whole factor')
_SPACE3 = ("has three spatial axes", "use one or two spatial axes")
_TRANSPOSED = ("is a transposed convolution", "use nearest upsampling followed by a convolution")
_PADDING = ("pads with something other than zeros", "use zero padding: silence is zero")
_CHOICE = ("chooses by the data", "return the scores; take the largest outside the model")

MODULES: Mapping[str, tuple[str, str]] = {
    **dict.fromkeys(("LSTM", "GRU", "RNN", "LSTMCell", "GRUCell", "RNNCell"), _RECURRENT),
    **dict.fromkeys(
        ("MultiheadAttention", "Transformer", "TransformerEncoder", "TransformerEncoderLayer", "TransformerDecoder"),
        _ATTENTION,
    ),
    **dict.fromkeys(
        ("LayerNorm", "GroupNorm", "InstanceNorm1d", "InstanceNorm2d", "LocalResponseNorm", "RMSNorm"), _BATCH
    ),
    **dict.fromkeys(("GLU", "Hardshrink", "PReLU", "RReLU", "Softshrink", "Softsign"), _CURVED),
    "Embedding": ("looks indices up", "convert the part of the model after the embedding"),
}
"""Modules of `torch.nn` that are refused as a whole, rather than by each operator in them."""

OPERATORS: Mapping[str, tuple[str, str]] = {
    **dict.fromkeys(("prelu", "_prelu_kernel", "rrelu", "softshrink", "hardshrink", "glu"), _CURVED),
    **dict.fromkeys(("exp", "log", "sqrt", "rsqrt", "sin", "cos", "erf"), _CURVED),
    **dict.fromkeys(("pow", "square", "abs"), _CURVED),
    **dict.fromkeys(
        ("lstm", "gru", "rnn_tanh", "rnn_relu", "lstm_cell", "gru_cell", "rnn_tanh_cell", "rnn_relu_cell"), _RECURRENT
    ),
    **dict.fromkeys(("bmm", "baddbmm", "scaled_dot_product_attention"), _ATTENTION),
    **dict.fromkeys(("layer_norm", "native_layer_norm", "group_norm", "native_group_norm", "instance_norm"), _BATCH),
    **dict.fromkeys(("_native_batch_norm_legit", "var", "std", "var_mean", "linalg_vector_norm", "norm"), _BATCH),
    **dict.fromkeys(("rand_like", "randn_like", "bernoulli", "rand", "randn", "native_dropout"), _RANDOM),
    **dict.fromkeys(("upsample_bilinear2d", "upsample_linear1d", "upsample_bicubic2d", "grid_sampler"), _SMOOTH),
    **dict.fromkeys(("conv3d", "max_pool3d", "avg_pool3d", "adaptive_avg_pool3d"), _SPACE3),
    **dict.fromkeys(("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"), _TRANSPOSED),
    **dict.fromkeys(("reflection_pad1d", "reflection_pad2d", "replication_pad1d", "replication_pad2d"), _PADDING),
    **dict.fromkeys(
        ("argmax", "argmin", "topk", "sort", "where", "gt", "lt", "ge", "le", "eq", "ne", "nonzero"), _CHOICE
    ),
    "reciprocal": ("divides by activations", "synapses have constant weights: divide by constants"),
    "embedding": MODULES["Embedding"],
}

SUPPORTED = (
    "spikeport converts Linear, Conv1d/2d, BatchNorm1d/2d, ReLU and its curved relatives, Sigmoid, Tanh, clamp, max and average pooling, mean, views, "
    "slices, zero padding, sums, concatenation, constants and nearest upsampling"
)


def refusal(operator: str, module: str) -> tuple[str, str]:
    """Why an operator is refused, and the way out."""
    return OPERATORS.get(operator) or MODULES.get(module) or ("has no form as synapses and neurons", SUPPORTED)
