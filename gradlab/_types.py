"""Names shared by all rooms: the axes of arrays and the columns of the frame.

Axes, in the order in which they stand in an array:

===========  ==================================================================
``group``    configurations that share one matrix product (absent for one net)
``batch``    examples
``features`` units of a layer, classes at the output
===========  ==================================================================

The columns are the schema of the tidy frame: one row per network, seed, step and layer.
"""

from __future__ import annotations

from gradlab._formats import FORMATS, SHORT_FORMATS

SCHEMA_VERSION = 2

#: Coordinates of a row, in their order in the frame.
COORDINATES: dict[str, str] = {
    "network": "short hash of the network's configuration",
    "architecture": "mlp, resnet, ...",
    "depth": "number of hidden layers L",
    "width": "units of this layer",
    "batch": "examples",
    "activation": "name of this layer's activation; of the readout, the one below it",
    "init": "name of the initialiser",
    "sigma_w2": "fan-in times the weight variance of the hidden layers",
    "sigma_b2": "bias variance of the hidden layers",
    "loss": "name of the loss",
    "data": "name of the data",
    "dtype": "dtype of the forward and backward pass",
    "seed": "number of the seed",
    "step": "training step, 0 at initialisation",
    "layer": "1 = next to the input ... L, then L + 1 = the readout",
    "layer_name": "name of the layer; the last one is 'readout'",
    "fan_in": "inputs of one unit",
    "fan_out": "units that one input feeds",
    "status": "'ok', what to know of the row, or the failure of its network",
}

#: What the shares of entries outside the range of a format are taken of; the short formats are `FORMATS` without
#: float32.
RANGED: dict[str, str] = {
    "activation": "the activation", "delta": "d(mean loss)/dz", "weight_grad": "d(mean loss)/dW",
}  # fmt: skip

#: Measured columns with their meaning. ``log10_`` columns hold -inf for a true zero.
#:
#: z is the output of a layer's weight, dL/dz the delta: with a norm between weight and activation, before the norm. The
#: preactivation is what enters the activation, so there it is behind the norm. A block of a residual network or of a
#: transformer has one row: its preactivation, pairs and delta are those of the stream behind the block, its activation
#: the last of its branch, its gradients those of all its weights together.
MEASURED: dict[str, str] = {
    "log10_delta_rms": "rms over batch and units of dL_i/dz, L_i the loss of one example",
    "delta_log10_mean": "mean over examples of log10 of one example's rms over units of dL_i/dz",
    "log10_weight_grad_norm": "Frobenius norm of the gradient of the mean loss by the weight",
    "log10_weight_grad_mean_abs": "mean absolute entry of the gradient of the mean loss by the weight; on request",
    "log10_weight_grad_max_abs": "largest absolute entry of the gradient of the mean loss by the weight; on request",
    "log10_query_grad_norm": "log10_weight_grad_norm of the query weight of attention alone; on request",
    "log10_key_grad_norm": "log10_weight_grad_norm of the key weight of attention alone; on request",
    "log10_value_grad_norm": "log10_weight_grad_norm of the value weight of attention alone; on request",
    "log10_bias_grad_norm": "Euclidean norm of the gradient of the mean loss by the bias; before a batch norm, which "
    "takes the bias away, it is 0 and what is shown is its rounding",
    "log10_activation_rms": "rms over batch and units of the activation",
    "activation_mean_over_rms": "mean over batch and units of the activation, over its rms",
    "activation_p98_over_rms": "98th percentile over batch and units of the activation, between two entries by their "
    "distance, over its rms; on request",
    "log10_preactivation_rms": "rms over batch and units of the preactivation: what enters the activation, behind a "
    "norm that stands before it; of a residual block, the stream behind it",
    "log10_one_minus_c": "1 - c, c the correlation of these preactivations of two inputs, mean over fixed pairs of "
    "which neither is exactly 0; NaN where there is no such pair",
    "zero_pair_fraction": "share of these pairs with a preactivation that is exactly 0, left out of log10_one_minus_c",
    "log10_one_minus_token_c": "1 - c, c the correlation of the stream at two positions of one example, mean over "
    "pairs of positions and over examples; NaN where rounding hides it; on request",
    "attention_logit_max": "largest score q k / sqrt(features of a head) over batch, heads and pairs of positions, "
    "one of which sees the other; on request",
    "attention_entropy": "entropy in nats of the weights with which one position sees the others, mean over batch, "
    "heads and positions; on request",
    "saturated_fraction": "share of activations within 1 % of the range of a limit; NaN where there is none, as "
    "of ReLU",
    "dead_fraction": "share of units whose derivative is exactly 0 on the whole batch; the verdict 'dead' says "
    "that no gradient passes the network at all",
    "weight_norm": "Frobenius norm of the weight",
    "log10_global_grad_norm": "norm of the whole model's gradient as it came in, the same for all layers",
    "log10_update_ratio": "norm of the update over norm of the weight, when training",
    "moved_fraction": "share of the layer's entries that an update changes, in the format they are stored in",
    "log10_weight_update_norm": "Frobenius norm of what is added to the weight, when training",
    "log10_bias_update_norm": "Euclidean norm of what is added to the bias, when training",
    "log10_clipped_weight_grad_norm": "Frobenius norm of the gradient by the weight after clipping, when training",
    "log10_clipped_bias_grad_norm": "Euclidean norm of the gradient by the bias after clipping, when training",
    "gradient_zero_fraction": "share of entries of the layer's gradient that are exactly 0",
    "gradient_underflow_fraction": "share of entries of the layer's gradient that are not 0 but below normal numbers",
    "gradient_absent": "arrays of the layer that have no gradient at all",
    "gradient_not_finite": "entries of the layer's gradient that are NaN or infinite",
    "update_not_finite": "entries of what is added to the layer's weights and biases that are NaN or infinite",
    "weight_not_finite": "entries of the layer's weights and biases that are NaN or infinite",
    "float32_zero_fraction": "of the non-zero entries of d(mean loss)/dz, the share below 2**-126",
    **{
        f"{signal}_below_{name}": f"of the non-zero entries of {meaning}, the share below 2**{FORMATS[name].smallest}, "
        f"the smallest positive number of {name}; NaN where all are 0; on request"
        for signal, meaning in RANGED.items()
        for name in SHORT_FORMATS
    },
    **{
        f"{signal}_above_{name}": f"of the non-zero entries of {meaning}, the share from 2**{FORMATS[name].beyond} on, "
        f"the first power of two above the largest number of {name}; NaN where all are 0; on request"
        for signal, meaning in RANGED.items()
        for name in SHORT_FORMATS
    },
    "log10_per_example_grad_norm_rms": "rms over examples of the norm of one example's weight gradient",
    "gradient_cosine_mean": "mean over pairs of examples of the cosine of their weight gradients; NaN of a block of "
    "several weights, whose cosine is no mean of theirs",
    "gradient_snr": "B |mean gradient|^2 / trace of the unbiased covariance over examples",
    "inverse_noise_scale": "|G|^2 / trace of the covariance over examples, both unbiased: 1 over the simple noise "
    "scale in examples; often below 0 where a gradient is noise alone; on request",
    "zero_example_fraction": "share of examples whose dL_i/dz is exactly 0",
    "log10_abs_loss": "log10 of |mean loss|, the same for all layers",
    "loss_sign": "sign of the mean loss",
    "log10_train_loss": "log10 of the mean loss of all training examples, when training; all layers have the same",
    "log10_test_loss": "log10 of the mean loss of the examples kept apart, when training",
    "train_accuracy": "share of the training examples whose largest output is their label's, when training",
    "test_accuracy": "the same of the examples kept apart",
    "sharpness": "largest eigenvalue of the Hessian of the loss of the measured batch; on request, when training",
    "preconditioned_sharpness": "largest eigenvalue of P**-1/2 H P**-1/2, H this Hessian, P what Adam or RMSProp "
    "divides each entry of the step that follows by, over the factors of muP's rates; on request, when training",
    "sharpness_threshold": "sharpness above which steps on a parabola grow: 2 over the learning rate for gradient "
    "descent, 38 over it for Adam, whose preconditioned sharpness counts; on request, when training",
    "hessian_products": "products of the Hessian with a vector that the sharpness took; on request, when training",
}

#: Columns of a coordinate check, of the product z = x W (+ b) of one weight, since the first weights: step t against 0.
CHANGES: dict[str, str] = {
    "log10_change_rms": "log10 of the rms over batch and units of z_t - z_0",
    "log10_weight_effect_rms": "log10 of the rms of x_t (W_t - W_0): what the update of this weight does",
    "log10_carried_rms": "log10 of the rms of (x_t - x_0) W_0: what the changes of earlier layers do",
    "log10_product_rms": "log10 of the rms of x_t W_t itself",
}
