"""How the program of a loss is read past each primitive of JAX. A test walks them all: a new one must be decided on."""

from __future__ import annotations

#: Names of primitives by what is done with them:
#:
#: product     of two arrays, summed over an axis      lookup   rows of the first operand
#: entrywise   entry by entry, operands broadcast      flat     entry by entry, derivative 0 everywhere
#: plain       anything else without a program inside, or with one of a few scalars
#: call        operands are those of the one program inside
#: scan, cond, while, shard_map                        each its own rule
#: high        a Python object decides, `jaxprs.treatment`
#: custom      a derivative rule of its own            kernel   a program that is not JAX's, or for one machine
#: tap         the user's own name for a value
_TREATMENTS: dict[str, str] = {
    "product": "dot_general conv_general_dilated ragged_dot ragged_dot_general scaled_matmul scaled_matmul_wrapper "
    "scaled_dot",
    "lookup": "gather",
    "entrywise": "abs acos acosh add add_any asin asinh atan atan2 atanh bessel_i0e bessel_i1e cbrt clamp "
    "convert_element_type copy cos cosh digamma div erf erf_inv erfc exp exp2 expm1 igamma igamma_grad_a "
    "igammac integer_pow lgamma log log1p log2 logistic max min mul neg one_minus_square optimization_barrier "
    "polygamma polynomial pow random_gamma_grad reciprocal reduce_precision regularized_incomplete_beta rem rsqrt "
    "select_n sharding_constraint sin sinh sqrt square sub tan tanh zeta",
    "flat": "and bitcast_convert_type ceil clz eq eq_to floor ge gt is_finite le le_to lt lt_to ne nextafter not or "
    "population_count round shift_left shift_right_arithmetic shift_right_logical sign stop_gradient xor",
    "plain": "after_all all_gather all_to_all approx_top_k argmax argmin axis_index broadcast_in_dim cholesky complex "
    "concatenate conj create_token cumlogsumexp cummax cummin cumprod cumsum device_put dynamic_slice "
    "dynamic_update_slice eig eigh empty empty2 fft get hessenberg householder_product imag iota lu pad pmax pmin "
    "ppermute psum psum_invariant pvary qr ragged_all_to_all random_bits random_clone random_fold_in random_gamma "
    "random_seed random_split random_unwrap random_wrap real reduce reduce_and reduce_max reduce_min reduce_or "
    "reduce_prod reduce_scatter reduce_sum reduce_window reduce_window_max reduce_window_min reduce_window_sum "
    "reduce_xor reshape reshard rev rng_bit_generator rng_uniform scatter scatter-add scatter-max scatter-min "
    "scatter-mul scatter-sub schur select_and_gather_add select_and_scatter select_and_scatter_add slice sort split "
    "squeeze stack svd swap threefry2x32 tile top_k transpose triangular_solve tridiagonal tridiagonal_solve unstack "
    "addupdate new_ref freeze empty_ref free_ref debug_callback debug_print io_callback pure_callback",
    "call": "call closed_call core_call eval_jaxpr jit pjit remat remat2 checkpoint composite",
    "scan": "scan",
    "cond": "cond",
    "while": "while",
    "shard_map": "shard_map",
    "high": "call_hi_primitive",
    "custom": "custom_jvp_call custom_jvp_call_jaxpr custom_lin custom_linear_solve custom_vjp_call "
    "custom_vjp_call_jaxpr custom_vmap_call linear_call run_state",
    "kernel": "pallas_call core_map mpmd_map ffi_call custom_partitioning call_exported cudnn_fusion "
    "dot_product_attention_fwd_wrapper dot_product_attention_fp8_fwd_wrapper",
    "tap": "name",
}
TREATMENTS: dict[str, str] = {name: how for how, names in _TREATMENTS.items() for name in names.split()}
