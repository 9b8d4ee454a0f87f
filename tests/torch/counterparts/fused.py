"""Norms with quantisation after them, grouped products."""

import torch
import torch.nn.functional as F

from . import named
from .norm import rms
from .quantised import rounded, scales


@named("RmsNormQuant")
def rms_norm_quant(a):
    y = rms(a.x, a.gamma.reshape(a.gamma.shape[-1:]), a.epsilon)[0]
    y = y if a.beta is None else y + a.beta
    y = y / a.scale
    y = y if a.offset is None else y + a.offset
    return {"y": rounded(y) if a.outputs["y"].dtype == torch.int8 else None}


@named("AddRmsNormQuant", "AddRmsNormQuantV2")
def add_rms_norm_quant(a):
    x = a.x1 + a.x2
    normal = rms(x, a.gamma, a.epsilon)[0]
    y = normal if getattr(a, "betaOptional", None) is None else normal + a.betaOptional
    outputs = {"xOut": x, "rmsNormOut": normal}
    for n, scale, zero in ((1, a.scales1, a.zeroPoints1Optional), (2, a.scales2Optional, a.zeroPoints2Optional)):
        if scale is not None and f"y{n}Out" in a.outputs and a.outputs[f"y{n}Out"].dtype == torch.int8:
            q = y / scale if a.divMode else y * scale
            outputs[f"y{n}Out"] = rounded(q if zero is None else q + zero)
    return outputs


@named("AddRmsNormDynamicQuant", "AddRmsNormDynamicQuantV2")
def add_rms_norm_dynamic_quant(a):
    x = a.x1 + a.x2
    y = rms(x, a.gamma, a.epsilon)[0]
    y = y if getattr(a, "betaOptional", None) is None else y + a.betaOptional
    mask = getattr(a, "outputMask", None)
    smooth = a.smoothScale1Optional, a.smoothScale2Optional
    wanted = mask or (True, smooth[0] is not None and smooth[1] is not None)
    outputs = {"xOut": x}
    for n, (scale, is_wanted) in enumerate(zip(smooth, wanted), 1):
        if is_wanted and f"y{n}Out" in a.outputs and a.outputs[f"y{n}Out"].dtype == torch.int8:
            own = y if scale is None else y * scale
            row = own.abs().amax(-1, True) / 127
            outputs |= {f"y{n}Out": torch.round(own / row), f"scale{n}Out": row}
    return outputs


@named("RmsNormDynamicQuant")
def rms_norm_dynamic_quant(a):
    y = rms(a.x, a.gamma, a.epsilon)[0]
    y = y if a.betaOptional is None else y + a.betaOptional
    y = y if a.smoothScalesOptional is None else y * a.smoothScalesOptional
    if a.outputs["yOut"].dtype != torch.int8:
        return None
    row = y.abs().amax(-1, True) / 127
    return {"yOut": torch.round(y / row), "scaleOut": row}


def parts(x, ends):
    start = 0
    for end in ends:
        yield x[start:end]
        start = end


@named("GroupedMatmulV5", "GroupedMatmulV4", "GroupedMatmulV3", "GroupedMatmulV2")
def grouped_matmul(a):
    """Of floats, and of int8 by scales; rows in groups, or a product for each tensor."""
    odd = ("offsetOptional", "antiquantScaleOptional", "activationQuantScaleOptional", "activationInputOptional")
    if any(getattr(a, name, None) for name in odd) or getattr(a, "actType", 0) or a.groupType not in (-1, 0):
        return None
    bias, scale, token = (getattr(a, name, None) for name in ("biasOptional", "scaleOptional", "perTokenScaleOptional"))
    if a.groupListOptional is None:
        xs, ends = a.x, None
        if len(xs) != len(a.weight):
            return None
    else:
        if len(a.x) != 1 or a.groupListOptional.dim() != 1:
            return None
        ends = a.groupListOptional.long()
        ends = (ends.cumsum(0) if a.groupListType == 1 else ends).tolist()
        xs = list(parts(a.x[0], ends))
    weights = a.weight if len(a.weight) > 1 else list(a.weight[0]) if a.weight[0].dim() == 3 else a.weight
    tokens = list(parts(token[0], ends)) if token and ends else token
    results = []
    for n, (x, weight) in enumerate(zip(xs, weights)):
        y = x.to(torch.float64) @ weight.to(torch.float64)
        one = lambda t: t[n] if len(t) > 1 else t[0][n] if t[0].dim() > 1 else t[0]  # noqa: E731
        late = bias and one(bias).is_floating_point()
        y = y + one(bias) if bias and not late else y
        y = y * scales(one(scale)) if scale else y
        y = y * tokens[n].reshape(-1, 1) if tokens else y
        results.append(y + one(bias) if late else y)
    outputs = a.outputs["out"]
    if len(outputs) == len(results):
        return {"out": results}
    if len(outputs) != 1:
        return None
    whole = torch.cat(results)
    rest = outputs[0][whole.shape[0]:].to(torch.float64)
    return {"out": [torch.cat([whole, rest])]}


@named("GroupedMatmulSwigluQuant")
def grouped_matmul_swiglu_quant(a):
    if a.bias is not None or a.offset is not None:
        return None
    ends, results, weights = a.groupList.long().tolist(), [], a.weight
    if weights.dim() == 5:
        # As FRACTAL_NZ lies: [E, N / 32, K / 16, 16, 32].
        weights = weights.permute(0, 2, 3, 1, 4).flatten(3).flatten(1, 2)
    for n, (x, s) in enumerate(zip(parts(a.x, ends), parts(a.xScale, ends))):
        y = x.to(torch.float64) @ weights[n].to(torch.float64) * a.weightScale[n] * s.reshape(-1, 1)
        left, right = y.chunk(2, -1)
        results.append(F.silu(left) * right)
    y = torch.cat(results)
    row = y.abs().amax(-1, True) / 127
    name, scale = list(a.outputs)[:2]
    whole = lambda t, x: torch.cat([x.reshape(-1), t.reshape(-1)[x.numel():].to(torch.float64)])  # noqa: E731
    return {name: whole(a.outputs[name], torch.round(y / row)), scale: whole(a.outputs[scale], row)}
