"""Operators over lists of tensors."""

import torch

from . import OPERATORS, find, named, table


def one(x):
    """A scalar that comes in a tensor, or by value."""
    return x.reshape(-1)[0] if torch.is_tensor(x) and x.numel() == 1 else x


def scalars(values):
    return list(values.reshape(-1)) if torch.is_tensor(values) else values


def each(function):
    return lambda x: [function(x) for x in x]


for name in ("Abs Acos Asin Atan Cos Cosh Erf Erfc Exp Expm1 Log Log10 Log1p Log2 Neg Reciprocal Sigmoid Sign Sin Sinh Sqrt "
             "Tan Tanh Copy").split():
    table({"Foreach" + name: each(find("aclnn" + name).function)})

BINARY = {
    "Add": lambda x, y: x + y, "Sub": lambda x, y: x - y, "Mul": lambda x, y: x * y, "Div": lambda x, y: x / y,
    "Maximum": lambda x, y: torch.maximum(x, torch.as_tensor(y, dtype=x.dtype)),
    "Minimum": lambda x, y: torch.minimum(x, torch.as_tensor(y, dtype=x.dtype)), "Pow": lambda x, y: torch.pow(x, y),
}
for name, function in BINARY.items():
    table({
        f"Foreach{name}Scalar": lambda x, s, f=function: [f(x, one(s)) for x in x],
        f"Foreach{name}ScalarV2": lambda x, s, f=function: [f(x, one(s)) for x in x],
        f"Foreach{name}ScalarList": lambda x, s, f=function: [f(x, s) for x, s in zip(x, scalars(s))],
        f"Foreach{name}List": lambda x, y, f=function: [f(x, y) for x, y in zip(x, y)],
    }, 2)

table({
    "ForeachAddList": lambda x, y, s: [x + one(s) * y for x, y in zip(x, y)],
    "ForeachAddListV2": lambda x, y, s: [x + one(s) * y for x, y in zip(x, y)],
    "ForeachSubList": lambda x, y, s: [x - one(s) * y for x, y in zip(x, y)],
    "ForeachSubListV2": lambda x, y, s: [x - one(s) * y for x, y in zip(x, y)],
    "ForeachAddcdivScalar": lambda x, a, b, s: [x + one(s) * a / b for x, a, b in zip(x, a, b)],
    "ForeachAddcmulScalar": lambda x, a, b, s: [x + one(s) * a * b for x, a, b in zip(x, a, b)],
    "ForeachAddcdivScalarList": lambda x, a, b, s: [x + s * a / b for x, a, b, s in zip(x, a, b, scalars(s))],
    "ForeachAddcmulScalarList": lambda x, a, b, s: [x + s * a * b for x, a, b, s in zip(x, a, b, scalars(s))],
    "ForeachAddcdivList": lambda x, a, b, s: [x + s * a / b for x, a, b, s in zip(x, a, b, scalars(s))],
    "ForeachAddcmulList": lambda x, a, b, s: [x + s * a * b for x, a, b, s in zip(x, a, b, scalars(s))],
    "ForeachLerpList": lambda x, y, w: [x + w * (y - x) for x, y, w in zip(x, y, w)],
    "ForeachLerpScalar": lambda x, y, w: [x + one(w) * (y - x) for x, y in zip(x, y)],
    "ForeachNorm": lambda x, p: [torch.linalg.vector_norm(x, one(p)).reshape(1) for x in x],
    "ForeachPowScalarAndTensor": lambda s, x: [torch.pow(one(s), x) for x in x],
    "ForeachZeroInplace": lambda x: [torch.zeros_like(x) for x in x],
    "ForeachRoundOffNumberV2": lambda x, mode: [
        {1: torch.round, 2: torch.floor, 3: torch.ceil, 4: torch.trunc, 5: torch.frac}[int(one(mode))](x) for x in x],
    "Sum": lambda x: sum(x),
})
for name in ("ForeachAddcdivScalarV2", "ForeachAddcmulScalarV2"):
    OPERATORS[name] = OPERATORS[name.removesuffix("V2")]


@named("ForeachNonFiniteCheckAndUnscale")
def unscale(a):
    bad = any(not torch.isfinite(x).all() for x in a.scaledGrads)
    found = torch.ones(1, dtype=torch.float64) if bad else a.foundInf
    return [x * one(a.invScale) for x in a.scaledGrads], found


@named("AmpUpdateScale")
def amp_update_scale(a):
    scale, tracker = a.currentScale.clone(), a.growthTracker.clone()
    if a.foundInf.any():
        return scale * a.backoffFactor, torch.zeros_like(tracker)
    if (tracker + 1).item() == a.growthInterval:
        return scale * a.growthFactor, torch.zeros_like(tracker)
    return scale, tracker + 1


@named("ApplyAdamWV2")
def adamw(a):
    gradient = -a.grad if a.maximize else a.grad
    step = a.step.to(torch.float64).item() + 1
    var = a.varRef * (1 - a.lr * a.weightDecay)
    m = a.beta1 * a.mRef + (1 - a.beta1) * gradient
    v = a.beta2 * a.vRef + (1 - a.beta2) * gradient * gradient
    largest = v
    if a.amsgrad:
        largest = torch.maximum(a.maxGradNormOptionalRef, v)
    deviation = largest.sqrt() / (1 - a.beta2 ** step) ** 0.5 + a.eps
    var = var - a.lr / (1 - a.beta1 ** step) * m / deviation
    return {"varRef": var, "mRef": m, "vRef": v, "maxGradNormOptionalRef": largest if a.amsgrad else None}
