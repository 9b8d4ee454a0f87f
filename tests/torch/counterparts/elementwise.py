"""One element at a time, and their gradients."""

import torch
import torch.nn.functional as F

from . import OPERATORS, Counterpart, Start, gradient, positional, table

table({
    "Abs": torch.abs, "Acos": torch.acos, "Acosh": torch.acosh, "Asin": torch.asin, "Asinh": torch.asinh,
    "Atan": torch.atan, "Atanh": torch.atanh, "Ceil": torch.ceil, "Cos": torch.cos, "Cosh": torch.cosh,
    "Digamma": torch.digamma, "Erf": torch.erf, "Erfc": torch.erfc, "Erfinv": torch.erfinv, "Exp": torch.exp,
    "Exp2": torch.exp2, "Expm1": torch.expm1, "Floor": torch.floor, "Frac": torch.frac, "Hardsigmoid": F.hardsigmoid,
    "Hardswish": F.hardswish, "IsFinite": torch.isfinite, "IsInf": torch.isinf, "IsNegInf": torch.isneginf,
    "IsPosInf": torch.isposinf, "Lgamma": torch.lgamma, "Log": torch.log, "Log10": torch.log10, "Log1p": torch.log1p,
    "Log2": torch.log2, "LogSigmoid": F.logsigmoid, "LogicalNot": torch.logical_not, "Mish": F.mish, "Neg": torch.neg,
    "Relu": torch.relu, "Round": torch.round, "Rsqrt": torch.rsqrt, "Selu": F.selu, "Sigmoid": torch.sigmoid,
    "Sign": torch.sign, "Signbit": torch.signbit, "Silu": F.silu, "Sin": torch.sin, "Sinc": torch.sinc,
    "Sinh": torch.sinh, "Softsign": F.softsign, "Sqrt": torch.sqrt, "Tan": torch.tan, "Tanh": torch.tanh,
    "Trunc": torch.trunc, "BitwiseNot": torch.bitwise_not, "AngleV2": torch.angle, "Gelu": F.gelu,
    "Reciprocal": torch.reciprocal, "Square": torch.square, "Copy": lambda x: x, "One": torch.ones_like,
    "Zero": torch.zeros_like, "IsNan": torch.isnan,
}, 1)

table({
    "Atan2": torch.atan2, "BitwiseAndTensor": torch.bitwise_and, "BitwiseOrTensor": torch.bitwise_or,
    "BitwiseXorTensor": torch.bitwise_xor, "BitwiseAndScalar": torch.bitwise_and, "BitwiseOrScalar": torch.bitwise_or,
    "BitwiseXorScalar": torch.bitwise_xor, "Div": torch.true_divide, "Divs": torch.true_divide,
    "FloorDivide": torch.floor_divide, "FloorDivides": torch.floor_divide, "FmodScalar": torch.fmod,
    "FmodTensor": torch.fmod, "Gcd": torch.gcd, "LogAddExp": torch.logaddexp, "LogAddExp2": torch.logaddexp2,
    "LogicalAnd": torch.logical_and, "LogicalOr": torch.logical_or, "LogicalXor": torch.logical_xor,
    "Maximum": torch.maximum, "Minimum": torch.minimum, "Mul": torch.mul, "Muls": torch.mul,
    "PowTensorScalar": torch.pow, "PowTensorTensor": torch.pow, "PowScalarTensor": torch.pow,
    "LeftShift": torch.bitwise_left_shift,
    "LeftShifts": torch.bitwise_left_shift, "RightShift": torch.bitwise_right_shift, "XLogYScalarOther": torch.xlogy,
    "XLogYScalarSelf": torch.xlogy, "XLogYTensor": torch.xlogy,
    "EqScalar": torch.eq, "EqTensor": torch.eq, "NeScalar": torch.ne, "NeTensor": torch.ne, "GtScalar": torch.gt,
    "GtTensor": torch.gt, "GeScalar": torch.ge, "GeTensor": torch.ge, "LtScalar": torch.lt, "LtTensor": torch.lt,
    "LeScalar": torch.le, "LeTensor": torch.le,
}, 2)


def fast_gelu(x):
    return x / (1 + torch.exp(-1.702 * x.abs())) * torch.exp(0.851 * (x - x.abs()))


def swish(x, beta):
    return x * torch.sigmoid((1 if beta is None else beta) * x)


def elu(x, alpha, scale, input_scale):
    return scale * torch.where(x > 0, x, alpha * (torch.exp(x * input_scale) - 1))


TANH = {0: "none", 1: "tanh", "": "none", None: "none", "none": "none", "tanh": "tanh"}

table({
    "Add": lambda x, y, alpha: torch.add(x, y, alpha=alpha) if x.dtype != torch.bool else x | y,
    "Adds": lambda x, y, alpha: x + y * alpha,
    "AddRelu": lambda x, y, alpha: torch.relu(x + alpha * y),
    "Sub": lambda x, y, alpha: x - alpha * y,
    "Subs": lambda x, y, alpha: x - alpha * y,
    "Rsubs": lambda x, y, alpha: y - alpha * x,
    "Addcdiv": lambda x, a, b, value: x + value * a / b,
    "Addcmul": lambda x, a, b, value: x + value * a * b,
    "DivMod": lambda x, y, mode: torch.div(x, y, rounding_mode=[None, "trunc", "floor"][mode]),
    "DivMods": lambda x, y, mode: torch.div(x, y, rounding_mode=[None, "trunc", "floor"][mode]),
    "Celu": lambda x, alpha: F.celu(x, alpha),
    "Clamp": lambda x, low, high: torch.clamp(x, low, high),
    "ClampTensor": lambda x, low, high: torch.clamp(x, low, high),
    "ClampMin": lambda x, low: torch.clamp(x, min=low),
    "ClampMax": lambda x, high: torch.clamp(x, max=high),
    "ClampMinTensor": lambda x, low: torch.maximum(x, low),
    "ClampMaxTensor": lambda x, high: torch.minimum(x, high),
    "Elu": elu,
    "EluBackward": lambda g, alpha, scale, input_scale, is_result, x: torch.where(
        x > 0, g * scale,
        g * input_scale * ((x + alpha * scale) if is_result else scale * alpha * torch.exp(x * input_scale))),
    "FastGelu": fast_gelu,
    "FastGeluBackward": lambda g, x: gradient(fast_gelu, x, g),
    "GeluBackward": lambda g, x: gradient(F.gelu, x, g),
    "GeluBackwardV2": lambda g, x, how: gradient(lambda x: F.gelu(x, approximate=TANH[how]), x, g),
    "GeluV2": lambda x, how: F.gelu(x, approximate=TANH[how]),
    "Hardshrink": lambda x, lambd: F.hardshrink(x, lambd),
    "HardshrinkBackward": lambda g, x, lambd: torch.where(x.abs() > lambd, g, 0),
    "HardsigmoidBackward": lambda g, x: gradient(F.hardsigmoid, x, g),
    "HardswishBackward": lambda g, x: gradient(F.hardswish, x, g),
    # CANN's formula: torch's but at the ends.
    "HardswishBackwardV2": lambda g, x: g * torch.where(x <= -3, 0, torch.where(x >= 3, 1, x / 3 + 0.5)),
    "Hardtanh": lambda x, low, high: torch.clamp(x, low, high),
    "HardtanhBackward": lambda g, x, low, high: torch.where((x > low) & (x < high), g, 0),
    "IsClose": lambda x, y, rtol, atol, nan: torch.isclose(x, y, rtol=rtol, atol=atol, equal_nan=nan),
    "LeakyRelu": lambda x, slope: F.leaky_relu(x, slope),
    "LeakyReluBackward": lambda g, x, slope: torch.where(x > 0, g, slope * g),
    "Lerp": lambda x, end, weight: torch.lerp(x, end, weight.to(x.dtype)),
    "Lerps": lambda x, end, weight: torch.lerp(x, end, weight),
    "LogSigmoidForward": lambda x: (F.logsigmoid(x), None),
    "LogSigmoidBackward": lambda g, x: gradient(F.logsigmoid, x, g),
    "Logit": lambda x, eps: torch.logit(x, None if eps < 0 else eps),
    "LogitGrad": lambda x, g, eps: torch.ops.aten.logit_backward(g, x, None if eps < 0 else eps),
    "MaskedScale": lambda x, mask, scale: x * mask.to(x.dtype) * scale,
    "MishBackward": lambda g, x: gradient(F.mish, x, g),
    "NanToNum": lambda x, nan, high, low: torch.nan_to_num(x, nan, high, low),
    "Prelu": lambda x, weight: F.prelu(x, weight.reshape(-1)),
    "PreluBackward": lambda g, x, w: torch.ops.aten._prelu_kernel_backward(
        g, x, w.reshape((1, -1) + (1,) * (x.dim() - 2)) if w.numel() > 1 else w.reshape((1,) * x.dim()))[0:1] + (
            (lambda d: d.sum() if w.numel() == 1 else d.sum([i for i in range(x.dim()) if i != 1]))(
                torch.where(x > 0, 0, x * g)),),
    "RoundDecimals": lambda x, decimals: torch.round(x, decimals=decimals),
    "SWhere": lambda condition, x, y: torch.where(condition.bool(), x, y),
    "SeluBackward": lambda g, y: torch.ops.aten.elu_backward(
        g, 1.6732632423543772, 1.0507009873554805, 1.0, True, y),
    "Shrink": lambda x, lambd, bias: torch.where(x > lambd, x - bias, torch.where(x < -lambd, x + bias, 0)),
    "SigmoidBackward": lambda g, y: g * y * (1 - y),
    "SiluBackward": lambda g, x: gradient(F.silu, x, g),
    "SiluMul": lambda x, y: F.silu(x) * y,
    "Softplus": lambda x, beta, threshold: F.softplus(x, beta, threshold),
    "SoftplusBackward": lambda g, x, beta, threshold: gradient(lambda x: F.softplus(x, beta, threshold), x, g),
    "Softshrink": lambda x, lambd: F.softshrink(x, lambd),
    "SoftshrinkBackward": lambda g, x, lambd: torch.where(x.abs() > lambd, g, 0),
    "Swish": swish,
    "SwishBackward": lambda g, x, beta: gradient(lambda x: swish(x, beta), x, g),
    "TanhBackward": lambda g, y: g * (1 - y * y),
    "Threshold": lambda x, threshold, value: F.threshold(x, threshold, value),
    "ThresholdBackward": lambda g, x, threshold: torch.where(x > threshold, g, 0),
    "DropoutBackward": lambda g, mask, scale: g * bits(mask, g) * scale,
    "DropoutDoMask": lambda x, mask, prob: x * bits(mask, x) / (1 - prob) if prob < 1 else torch.zeros_like(x),
    "FillScalar": lambda x, value: torch.full_like(x, value),
    "FillTensor": lambda x, value: torch.full_like(x, value.item()),
    "Cast": lambda x, dtype: x.to(dtype),
    "MaskedFillScalar": lambda x, mask, value: x.masked_fill(mask.bool(), value),
    "MaskedFillTensor": lambda x, mask, value: x.masked_fill(mask.bool(), value.reshape(())),
    "ReluBackward": lambda g, y: torch.where(y > 0, g, 0),
})


def bits(mask, like):
    """A mask of bits, low ones first, or of bytes, as zeros and ones in another tensor's shape."""
    mask = mask.reshape(-1)
    if mask.dtype == torch.uint8 and mask.numel() < like.numel() or mask.dtype == torch.uint8 and mask.max() > 1:
        mask = (mask[:, None] >> torch.arange(8)) & 1
    return mask.reshape(-1)[: like.numel()].reshape(like.shape).to(like.dtype)


# In place, comparisons and logic keep the type of what they write.
OPERATORS["InplaceCopy"] = Counterpart(lambda to, source: source.expand(to.shape), 2)


@positional("Glu")
def glu(x, dim):
    return F.glu(x, dim)


@positional("GluBackward")
def glu_backward(g, x, dim):
    return gradient(lambda x: F.glu(x, dim), x, g)


@positional("RemainderTensorScalar", "RemainderTensorTensor", "RemainderScalarTensor")
def remainder(x, y):
    """torch refuses integers by 0."""
    whole = not any(torch.is_tensor(t) and t.is_floating_point() or isinstance(t, float) for t in (x, y))
    return None if whole and not torch.as_tensor(y).all() else torch.remainder(x, y)


def swiglu(x, dim):
    a, b = x.chunk(2, dim)
    return F.silu(a) * b


table({
    "SwiGlu": swiglu,
    "SwiGluGrad": lambda g, x, dim: gradient(lambda x: swiglu(x, dim), x, g),
})


@positional("ClippedSwiglu")
def clipped_swiglu(x, groups, dim, alpha, limit, bias, interleaved):
    if groups is not None and dim % x.dim() != 1:
        return None
    a, b = (x.unflatten(dim, (-1, 2)).unbind(-1) if dim in (-1, x.dim() - 1) else (None, None)) if interleaved else x.chunk(2, dim)
    if a is None:
        return None
    a, b = a.clamp(max=limit), b.clamp(-limit, limit)
    y = a * torch.sigmoid(alpha * a) * (b + bias)
    return y if groups is None else Start(y[: int(groups.sum())].reshape(-1))


def geglu(x, dim, how, left):
    a, b = x.chunk(2, dim)
    if left:
        a, b = b, a
    gelu = F.gelu(b, approximate=TANH[how])
    return a * gelu, gelu


def geglu_backward(g, x, gelu, dim, how, left):
    """From the gelu that is given, whatever it is."""
    a, b = x.chunk(2, dim)
    if left:
        a, b = b, a
    parts = [g * gelu, gradient(lambda b: F.gelu(b, approximate=TANH[how]), b, g * a)]
    return torch.cat(parts[::-1] if left else parts, dim)


table({
    "GeGlu": lambda x, dim, how: geglu(x, dim, how, False),
    "GeGluV3": geglu,
    "GeGluBackward": lambda g, x, gelu, dim, how: geglu_backward(g, x, gelu, dim, how, False),
    "GeGluV3Backward": lambda g, x, gelu, dim, how, left: geglu_backward(g, x, gelu, dim, how, left),
    "GeluMul": lambda x, how: (lambda a, b: F.gelu(a, approximate=TANH[how]) * b)(*x.chunk(2, -1)),
})

