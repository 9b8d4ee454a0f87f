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
use crate::unary::{self as one};
use crate::{
    CoreType, Ctx, Kernel, KernelFault, Work, attention, cost, index, loss, matmul, movement, norm,
    quantized, random, reduce, rotary, scan, softmax, sort, ternary, triangle,
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
    k("attention", Mix, cost::attention, attention::attention),
    k("unpack_int4", Aiv, one_op, quantized::unpack_int4),

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
];
