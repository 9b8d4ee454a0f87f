//! The table of kernels: one line each. A line names the kernel, the core that runs it, what it costs and the
//! function; the function's comment says which tensors and attributes it takes. Outputs come first.

use vinci_hw::args::{ArgsError, ArgsView};

use crate::CoreType::{Aic, Aiv, Mix};
use crate::activation::{self as act, activation, gate};
use crate::compare::{self, And, Eq, Ge, Gt, Le, Lt, Ne, Or, Xor};
use crate::cost::{many_ops, one_op};
use crate::elementwise::{
    self as two, Add, Atan2, Div, FloorDiv, Fmod, Maximum, Minimum, Mul, Pow, Remainder, Sub,
};
use crate::pointwise::{self as pw, activation as slope, loss as criterion, math};
use crate::unary::{self as one};
use crate::{
    CoreType, Ctx, Kernel, KernelFault, Work, attention, attention_gradient, bag, bins, bitwise, columns,
    cost, ctc, distance, draw, found, grid, index, indexing, linalg, loss, matmul, moe, movement, norm,
    norm_backward, optimizer, order, pool, quantized, random, recurrent, reduce, resample, rotary, scan,
    softmax, sort, ternary, training, triangle,
};

type Estimate = fn(&ArgsView<'_>) -> Result<Work, ArgsError>;
type Run = fn(&Ctx<'_>, &ArgsView<'_>) -> Result<(), KernelFault>;

const fn k(name: &'static str, core: CoreType, estimate: Estimate, run: Run) -> Kernel {
    Kernel { name, core, estimate, run }
}

/// All kernels; a kernel's id is its index here plus one.
#[rustfmt::skip]
pub static KERNELS: &[Kernel] = &[
    k("nop", Aiv, |_| Ok(Work::default()), |_, _| Ok(())),

    // Two operands.
    k("add", Aiv, one_op, two::binary::<Add>),
    k("sub", Aiv, one_op, two::binary::<Sub>),
    k("mul", Aiv, one_op, two::binary::<Mul>),
    k("div", Aiv, one_op, two::binary::<Div>),
    k("maximum", Aiv, one_op, two::binary::<Maximum>),
    k("minimum", Aiv, one_op, two::binary::<Minimum>),
    k("pow", Aiv, many_ops, two::binary::<Pow>),
    k("atan2", Aiv, many_ops, two::binary::<Atan2>),
    k("fmod", Aiv, many_ops, two::binary::<Fmod>),
    k("remainder", Aiv, many_ops, two::binary::<Remainder>),
    k("floor_div", Aiv, many_ops, two::binary::<FloorDiv>),
    k("eq", Aiv, one_op, two::binary::<Eq>),
    k("ne", Aiv, one_op, two::binary::<Ne>),
    k("lt", Aiv, one_op, two::binary::<Lt>),
    k("le", Aiv, one_op, two::binary::<Le>),
    k("gt", Aiv, one_op, two::binary::<Gt>),
    k("ge", Aiv, one_op, two::binary::<Ge>),
    k("logical_and", Aiv, one_op, compare::logical::<And>),
    k("logical_or", Aiv, one_op, compare::logical::<Or>),
    k("logical_xor", Aiv, one_op, compare::logical::<Xor>),

    // A tensor and a scalar.
    k("add_s", Aiv, one_op, two::binary_scalar::<Add>),
    k("sub_s", Aiv, one_op, two::binary_scalar::<Sub>),
    k("rsub_s", Aiv, one_op, two::rsub_scalar),
    k("mul_s", Aiv, one_op, two::binary_scalar::<Mul>),
    k("div_s", Aiv, one_op, two::binary_scalar::<Div>),
    k("pow_s", Aiv, many_ops, two::binary_scalar::<Pow>),
    k("s_pow", Aiv, many_ops, two::scalar_binary::<Pow>),
    k("maximum_s", Aiv, one_op, two::binary_scalar::<Maximum>),
    k("minimum_s", Aiv, one_op, two::binary_scalar::<Minimum>),
    k("fmod_s", Aiv, many_ops, two::binary_scalar::<Fmod>),
    k("remainder_s", Aiv, many_ops, two::binary_scalar::<Remainder>),
    k("floor_div_s", Aiv, many_ops, two::binary_scalar::<FloorDiv>),
    k("eq_s", Aiv, one_op, two::binary_scalar::<Eq>),
    k("ne_s", Aiv, one_op, two::binary_scalar::<Ne>),
    k("lt_s", Aiv, one_op, two::binary_scalar::<Lt>),
    k("le_s", Aiv, one_op, two::binary_scalar::<Le>),
    k("gt_s", Aiv, one_op, two::binary_scalar::<Gt>),
    k("ge_s", Aiv, one_op, two::binary_scalar::<Ge>),

    // One operand.
    k("neg", Aiv, one_op, one::unary::<one::Neg>),
    k("abs", Aiv, one_op, one::unary::<one::Abs>),
    k("exp", Aiv, many_ops, one::unary::<one::Exp>),
    k("log", Aiv, many_ops, one::unary::<one::Log>),
    k("sqrt", Aiv, many_ops, one::unary::<one::Sqrt>),
    k("rsqrt", Aiv, many_ops, one::unary::<one::Rsqrt>),
    k("reciprocal", Aiv, many_ops, one::unary::<one::Reciprocal>),
    k("relu", Aiv, one_op, one::unary::<one::Relu>),
    k("sigmoid", Aiv, many_ops, one::unary::<one::Sigmoid>),
    k("tanh", Aiv, many_ops, one::unary::<one::Tanh>),
    k("silu", Aiv, many_ops, one::unary::<one::Silu>),
    k("gelu", Aiv, many_ops, one::unary::<one::Gelu>),
    k("erf", Aiv, many_ops, one::unary::<one::Erf>),
    k("sin", Aiv, many_ops, one::unary::<one::Sin>),
    k("cos", Aiv, many_ops, one::unary::<one::Cos>),
    k("floor", Aiv, one_op, one::unary::<one::Floor>),
    k("ceil", Aiv, one_op, one::unary::<one::Ceil>),
    k("round", Aiv, one_op, one::unary::<one::Round>),
    k("trunc", Aiv, one_op, one::unary::<one::Trunc>),
    k("sign", Aiv, one_op, one::unary::<one::Sign>),
    k("square", Aiv, one_op, one::unary::<one::Square>),
    k("logical_not", Aiv, one_op, compare::logical_not),

    // Activations, and gates: an activation times another tensor.
    k("leaky_relu", Aiv, one_op, activation::<act::LeakyRelu>),
    k("elu", Aiv, many_ops, activation::<act::Elu>),
    k("celu", Aiv, many_ops, activation::<act::Celu>),
    k("softplus", Aiv, many_ops, activation::<act::Softplus>),
    k("threshold", Aiv, one_op, activation::<act::Threshold>),
    k("hard_sigmoid", Aiv, one_op, activation::<act::HardSigmoid>),
    k("hard_swish", Aiv, one_op, activation::<act::HardSwish>),
    k("gelu_tanh", Aiv, many_ops, activation::<act::GeluTanh>),
    k("gelu_erf", Aiv, many_ops, activation::<act::GeluErf>),
    k("fast_gelu", Aiv, many_ops, activation::<act::FastGelu>),
    k("swish", Aiv, many_ops, activation::<act::Swish>),
    k("mish", Aiv, many_ops, activation::<act::Mish>),
    k("hard_shrink", Aiv, one_op, activation::<act::HardShrink>),
    k("soft_shrink", Aiv, one_op, activation::<act::SoftShrink>),
    k("log_sigmoid", Aiv, many_ops, activation::<act::LogSigmoid>),
    k("gate_silu", Aiv, many_ops, gate::<act::Silu>),
    k("gate_gelu_tanh", Aiv, many_ops, gate::<act::GeluTanh>),
    k("gate_gelu_erf", Aiv, many_ops, gate::<act::GeluErf>),
    k("gate_relu", Aiv, one_op, gate::<act::Relu>),
    k("gate_sigmoid", Aiv, many_ops, gate::<act::Sigmoid>),

    // Other elementwise kernels.
    k("addcmul", Aiv, one_op, ternary::addcmul),
    k("addcdiv", Aiv, one_op, ternary::addcdiv),
    k("lerp_s", Aiv, one_op, ternary::lerp_scalar),
    k("where", Aiv, one_op, ternary::select),
    k("clamp", Aiv, one_op, ternary::clamp),
    k("threshold_backward", Aiv, one_op, ternary::threshold_backward),

    // The cube.
    k("matmul", Aic, cost::matmul, matmul::matmul),
    k("grouped_matmul", Aic, cost::matmul, matmul::grouped_matmul),
    k("attention", Mix, cost::attention, attention::attention),
    k("attention_backward", Mix, cost::attention_backward, attention_gradient::attention_backward),
    k("unpack_int4", Aiv, one_op, quantized::unpack_int4),
    k("pack_int4", Aiv, one_op, quantized::pack_int4),
    k("scaled", Aiv, one_op, pw::pointwise::<quantized::Scaled, 3>),
    k("quantise", Aiv, one_op, pw::pointwise::<quantized::Quantise, 3>),
    k("dequantise", Aiv, one_op, pw::pointwise::<quantized::Dequantise, 4>),
    k("fake_quantise", Aiv, one_op, pw::pointwise::<quantized::FakeQuantise, 3>),
    k("fake_quantise_kept", Aiv, one_op, pw::pointwise::<quantized::FakeQuantiseKept, 3>),
    k("pack_parameters", Aiv, one_op, quantized::pack_parameters),
    k("unpack_parameters", Aiv, cost::two_outputs, quantized::unpack_parameters),
    k("dynamic_quantise", Aiv, many_ops, quantized::dynamic_quantise),

    // Reductions.
    k("reduce_sum", Aiv, one_op, reduce::reduce::<reduce::Sum>),
    k("reduce_mean", Aiv, one_op, reduce::reduce::<reduce::Mean>),
    k("reduce_max", Aiv, one_op, reduce::reduce::<reduce::Max>),
    k("reduce_min", Aiv, one_op, reduce::reduce::<reduce::Min>),
    k("reduce_prod", Aiv, one_op, reduce::reduce::<reduce::Prod>),
    k("reduce_any", Aiv, one_op, reduce::reduce::<reduce::Any>),
    k("reduce_all", Aiv, one_op, reduce::reduce::<reduce::All>),
    k("norm_0", Aiv, one_op, reduce::reduce::<reduce::Norm0>),
    k("norm_1", Aiv, one_op, reduce::reduce::<reduce::Norm1>),
    k("norm_2", Aiv, one_op, reduce::reduce::<reduce::Norm2>),
    k("norm_inf", Aiv, one_op, reduce::reduce::<reduce::NormInf>),
    k("norm_neg_inf", Aiv, one_op, reduce::reduce::<reduce::NormNegInf>),
    k("argmax", Aiv, one_op, reduce::argmax),
    k("argmin", Aiv, one_op, reduce::argmin),
    k("var", Aiv, many_ops, reduce::variance),

    // Along rows.
    k("layer_norm", Aiv, many_ops, norm::layer_norm),
    k("rms_norm", Aiv, many_ops, norm::rms_norm),
    k("rotary", Aiv, one_op, rotary::rotary),
    k("cumsum", Aiv, one_op, scan::cumsum),
    k("cumprod", Aiv, one_op, scan::cumprod),
    k("cumulative_extreme", Aiv, cost::two_outputs, scan::cumulative_extreme),
    k("sort", Aiv, many_ops, sort::sort),
    k("triangle", Aiv, one_op, triangle::triangle),
    k("triangular_solve", Aiv, cost::triangular_solve, triangle::triangular_solve),

    // By index.
    k("index_select", Aiv, cost::into_first, index::index_select),
    k("index_put", Aiv, cost::from_third, index::index_put),
    k("index_fill", Aiv, one_op, index::index_fill),
    k("gather", Aiv, cost::into_first, index::gather),
    k("scatter", Aiv, cost::from_third, index::scatter),

    // Softmax and loss.
    k("softmax", Aiv, many_ops, softmax::softmax),
    k("log_softmax", Aiv, many_ops, softmax::log_softmax),
    k("softmax_backward", Aiv, many_ops, softmax::softmax_backward),
    k("log_softmax_backward", Aiv, many_ops, softmax::log_softmax_backward),
    k("nll_loss", Aiv, cost::two_outputs, loss::nll_loss),
    k("nll_loss_backward", Aiv, one_op, loss::nll_loss_backward),

    // Gradients of activations.
    k("gelu_backward", Aiv, many_ops, pw::pointwise::<slope::GeluBackward, 2>),
    k("gelu_tanh_backward", Aiv, many_ops, pw::pointwise::<slope::GeluTanhBackward, 2>),
    k("fast_gelu_backward", Aiv, many_ops, pw::pointwise::<slope::FastGeluBackward, 2>),
    k("silu_backward", Aiv, many_ops, pw::pointwise::<slope::SiluBackward, 2>),
    k("swish_backward", Aiv, many_ops, pw::pointwise::<slope::SwishBackward, 2>),
    k("sigmoid_backward", Aiv, one_op, pw::pointwise::<slope::SigmoidBackward, 2>),
    k("tanh_backward", Aiv, one_op, pw::pointwise::<slope::TanhBackward, 2>),
    k("elu_backward", Aiv, many_ops, pw::pointwise::<slope::EluBackward, 2>),
    k("leaky_relu_backward", Aiv, one_op, pw::pointwise::<slope::LeakyReluBackward, 2>),
    k("hardtanh_backward", Aiv, one_op, pw::pointwise::<slope::HardtanhBackward, 2>),
    k("hardsigmoid_backward", Aiv, many_ops, pw::pointwise::<slope::HardsigmoidBackward, 2>),
    k("hardswish_backward", Aiv, many_ops, pw::pointwise::<slope::HardswishBackward, 2>),
    k("shrink_backward", Aiv, one_op, pw::pointwise::<slope::ShrinkBackward, 2>),
    k("softplus_backward", Aiv, many_ops, pw::pointwise::<slope::SoftplusBackward, 2>),
    k("log_sigmoid_backward", Aiv, many_ops, pw::pointwise::<slope::LogSigmoidBackward, 2>),
    k("mish_backward", Aiv, many_ops, pw::pointwise::<slope::MishBackward, 2>),
    k("prelu_weight", Aiv, many_ops, pw::pointwise::<slope::PreluWeight, 3>),
    k("prelu_backward", Aiv, many_ops, pw::pointwise::<slope::PreluBackward, 3>),
    k("logit_backward", Aiv, many_ops, pw::pointwise::<slope::LogitBackward, 2>),
    k("glu_gate", Aiv, many_ops, pw::pointwise::<slope::GluGate, 3>),
    k("glu_value", Aiv, many_ops, pw::pointwise::<slope::GluValue, 2>),
    k("swiglu_gate", Aiv, many_ops, pw::pointwise::<slope::SwigluGate, 3>),
    k("swiglu_value", Aiv, many_ops, pw::pointwise::<slope::SwigluValue, 2>),

    // Losses.
    k("mse", Aiv, one_op, pw::pointwise::<criterion::Mse, 2>),
    k("mse_backward", Aiv, one_op, pw::pointwise::<criterion::MseBackward, 3>),
    k("l1", Aiv, one_op, pw::pointwise::<criterion::L1, 2>),
    k("l1_backward", Aiv, one_op, pw::pointwise::<criterion::L1Backward, 3>),
    k("smooth_l1", Aiv, many_ops, pw::pointwise::<criterion::SmoothL1, 2>),
    k("smooth_l1_backward", Aiv, many_ops, pw::pointwise::<criterion::SmoothL1Backward, 3>),
    k("bce", Aiv, many_ops, pw::pointwise::<criterion::Bce, 3>),
    k("bce_backward", Aiv, many_ops, pw::pointwise::<criterion::BceBackward, 4>),
    k("bce_logits", Aiv, many_ops, pw::pointwise::<criterion::BceLogits, 4>),
    k("bce_logits_backward", Aiv, many_ops, pw::pointwise::<criterion::BceLogitsBackward, 5>),
    k("kl_div", Aiv, many_ops, pw::pointwise::<criterion::KlDiv, 2>),
    k("kl_div_log", Aiv, many_ops, pw::pointwise::<criterion::KlDivLog, 2>),
    k("kl_div_backward", Aiv, many_ops, pw::pointwise::<criterion::KlDivBackward, 3>),
    k("kl_div_log_backward", Aiv, many_ops, pw::pointwise::<criterion::KlDivLogBackward, 3>),
    k("kl_div_target", Aiv, many_ops, pw::pointwise::<criterion::KlDivTarget, 3>),
    k("kl_div_log_target", Aiv, many_ops, pw::pointwise::<criterion::KlDivLogTarget, 3>),
    k("soft_margin", Aiv, many_ops, pw::pointwise::<criterion::SoftMargin, 2>),
    k("soft_margin_backward", Aiv, many_ops, pw::pointwise::<criterion::SoftMarginBackward, 3>),

    // Mathematical functions and tests.
    k("acos", Aiv, many_ops, pw::pointwise::<math::Acos, 1>),
    k("acosh", Aiv, many_ops, pw::pointwise::<math::Acosh, 1>),
    k("asin", Aiv, many_ops, pw::pointwise::<math::Asin, 1>),
    k("asinh", Aiv, many_ops, pw::pointwise::<math::Asinh, 1>),
    k("atan", Aiv, many_ops, pw::pointwise::<math::Atan, 1>),
    k("atanh", Aiv, many_ops, pw::pointwise::<math::Atanh, 1>),
    k("cosh", Aiv, many_ops, pw::pointwise::<math::Cosh, 1>),
    k("sinh", Aiv, many_ops, pw::pointwise::<math::Sinh, 1>),
    k("tan", Aiv, many_ops, pw::pointwise::<math::Tan, 1>),
    k("erfc", Aiv, many_ops, pw::pointwise::<math::Erfc, 1>),
    k("erfinv", Aiv, many_ops, pw::pointwise::<math::Erfinv, 1>),
    k("exp2", Aiv, many_ops, pw::pointwise::<math::Exp2, 1>),
    k("expm1", Aiv, many_ops, pw::pointwise::<math::Expm1, 1>),
    k("log10", Aiv, many_ops, pw::pointwise::<math::Log10, 1>),
    k("log1p", Aiv, many_ops, pw::pointwise::<math::Log1p, 1>),
    k("log2", Aiv, many_ops, pw::pointwise::<math::Log2, 1>),
    k("frac", Aiv, one_op, pw::pointwise::<math::Frac, 1>),
    k("angle", Aiv, one_op, pw::pointwise::<math::Angle, 1>),
    k("sinc", Aiv, many_ops, pw::pointwise::<math::Sinc, 1>),
    k("is_finite", Aiv, one_op, pw::pointwise::<math::IsFinite, 1>),
    k("is_inf", Aiv, one_op, pw::pointwise::<math::IsInf, 1>),
    k("is_pos_inf", Aiv, one_op, pw::pointwise::<math::IsPosInf, 1>),
    k("is_neg_inf", Aiv, one_op, pw::pointwise::<math::IsNegInf, 1>),
    k("sign_bit", Aiv, one_op, pw::pointwise::<math::SignBit, 1>),
    k("nan_to_num", Aiv, one_op, pw::pointwise::<math::NanToNum, 1>),
    k("xlogy", Aiv, many_ops, pw::pointwise::<math::XLogY, 2>),
    k("log_add_exp", Aiv, many_ops, pw::pointwise::<math::LogAddExp, 2>),
    k("log_add_exp2", Aiv, many_ops, pw::pointwise::<math::LogAddExp2, 2>),
    k("lerp", Aiv, one_op, pw::pointwise::<math::Lerp, 3>),
    k("is_close", Aiv, one_op, pw::pointwise::<math::IsClose, 2>),
    k("masked_scale", Aiv, one_op, pw::pointwise::<math::MaskedScale, 2>),
    k("round_decimals", Aiv, many_ops, pw::pointwise::<math::RoundDecimals, 1>),
    k("logit", Aiv, many_ops, pw::pointwise::<math::Logit, 1>),
    k("softsign", Aiv, one_op, pw::pointwise::<math::Softsign, 1>),
    k("shrink", Aiv, one_op, pw::pointwise::<math::Shrink, 1>),
    k("lgamma", Aiv, many_ops, pw::pointwise::<math::Lgamma, 1>),
    k("digamma", Aiv, many_ops, pw::pointwise::<math::Digamma, 1>),
    k("product3", Aiv, one_op, pw::pointwise::<math::Product3, 3>),
    k("normalise", Aiv, one_op, pw::pointwise::<math::Normalise, 5>),
    k("add_eps_rsqrt", Aiv, many_ops, pw::pointwise::<math::AddEpsRsqrt, 1>),

    // Bits.
    k("bitwise_and", Aiv, one_op, |c, a| bitwise::binary(c, a, bitwise::AND)),
    k("bitwise_or", Aiv, one_op, |c, a| bitwise::binary(c, a, bitwise::OR)),
    k("bitwise_xor", Aiv, one_op, |c, a| bitwise::binary(c, a, bitwise::XOR)),
    k("shift_left", Aiv, one_op, |c, a| bitwise::binary(c, a, bitwise::SHL)),
    k("shift_right", Aiv, one_op, |c, a| bitwise::binary(c, a, bitwise::SHR)),
    k("gcd", Aiv, many_ops, |c, a| bitwise::binary(c, a, bitwise::GCD)),
    k("bitwise_and_s", Aiv, one_op, |c, a| bitwise::binary_scalar(c, a, bitwise::AND)),
    k("bitwise_or_s", Aiv, one_op, |c, a| bitwise::binary_scalar(c, a, bitwise::OR)),
    k("bitwise_xor_s", Aiv, one_op, |c, a| bitwise::binary_scalar(c, a, bitwise::XOR)),
    k("shift_left_s", Aiv, one_op, |c, a| bitwise::binary_scalar(c, a, bitwise::SHL)),
    k("bitwise_not", Aiv, one_op, bitwise::not),

    // Gradients of normalisations and convolutions.
    k("norm_backward", Aiv, many_ops, norm_backward::backward),
    k("norm_backward_parameters", Aiv, cost::two_outputs, norm_backward::parameters),
    k("unfold", Aiv, one_op, columns::unfold),
    k("fold", Aiv, one_op, columns::fold),
    k("max_pool", Aiv, cost::two_outputs, pool::max),
    k("max_pool_backward", Aiv, one_op, pool::max_backward),
    k("mean_pool", Aiv, one_op, pool::mean),
    k("mean_pool_backward", Aiv, one_op, pool::mean_backward),
    k("resample", Aiv, many_ops, resample::forward),
    k("resample_backward", Aiv, many_ops, resample::backward),
    k("extreme_along", Aiv, cost::two_outputs, order::extreme),
    k("kth_along", Aiv, cost::two_outputs, order::kth),

    // Matrices.
    k("norm", Aiv, many_ops, linalg::norm),
    k("inverse", Aiv, many_ops, linalg::inverse),
    k("slogdet", Aiv, cost::two_outputs, linalg::slogdet),
    k("cholesky", Aiv, many_ops, linalg::cholesky),
    k("qr", Aiv, cost::two_outputs, linalg::qr),
    k("svd", Aiv, cost::three_outputs, linalg::svd),

    // Training.
    k("amp_update_scale", Aiv, cost::two_outputs, training::amp_update_scale),
    k("adam_w", Aiv, cost::three_outputs, optimizer::adam_w),
    k("band_fill", Aiv, one_op, training::band_fill),

    // Indices and what is found.
    k("index_read", Aiv, one_op, indexing::read),
    k("index_write", Aiv, one_op, indexing::write),
    k("embedding_backward", Aiv, one_op, indexing::embedding_backward),
    k("nonzero", Aiv, cost::two_outputs, found::nonzero),
    k("masked_select", Aiv, cost::two_outputs, found::masked_select),
    k("masked_scatter", Aiv, one_op, found::masked_scatter),
    k("unique", Aiv, many_ops, found::unique),

    // Pairs.
    k("cdist_backward", Aiv, many_ops, distance::backward),
    k("multilabel_margin", Aiv, cost::two_outputs, distance::multilabel_margin),

    // Recurrence.
    k("lstm", Aiv, many_ops, recurrent::lstm),
    k("lstm_backward", Aiv, many_ops, recurrent::lstm_backward),
    k("gru", Aiv, many_ops, recurrent::gru),
    k("gru_backward", Aiv, many_ops, recurrent::gru_backward),

    // Places that data names.
    k("grid_sample", Aiv, many_ops, grid::forward),
    k("grid_sample_backward", Aiv, cost::two_outputs, grid::backward),
    k("embedding_bag", Aiv, many_ops, bag::forward),
    k("bin_count", Aiv, one_op, bins::count),
    k("histogram", Aiv, many_ops, bins::histogram),
    k("search_sorted", Aiv, many_ops, bins::search),
    k("ctc_loss", Aiv, cost::two_outputs, ctc::forward),
    k("ctc_loss_backward", Aiv, many_ops, ctc::backward),

    // Mixtures of experts.
    k("moe_route", Aiv, many_ops, moe::route),
    k("moe_map", Aiv, many_ops, moe::map),
    k("moe_combine", Aiv, many_ops, moe::combine),
    k("moe_spread", Aiv, many_ops, moe::spread),

    // Movement.
    k("copy", Aiv, one_op, movement::copy),
    k("fill", Aiv, one_op, movement::fill),
    k("arange", Aiv, one_op, movement::arange),
    k("cat", Aiv, one_op, movement::cat),

    // Random numbers.
    k("random_uniform", Aiv, many_ops, random::uniform),
    k("random_normal", Aiv, many_ops, random::normal),
    k("random_truncated_normal", Aiv, many_ops, random::truncated_normal),
    k("random_bits", Aiv, many_ops, random::bits),
    k("random_integer", Aiv, many_ops, draw::integer),
    k("random_bernoulli", Aiv, many_ops, draw::bernoulli),
    k("random_exponential", Aiv, many_ops, draw::exponential),
    k("random_permutation", Aiv, many_ops, draw::permutation),
    k("random_multinomial", Aiv, many_ops, draw::multinomial),
    k("dropout", Aiv, one_op, draw::dropout),
];
