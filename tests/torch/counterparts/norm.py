"""Normalisation and its gradients."""

import torch
import torch.nn.functional as F

from . import named


def rms(x, gamma, eps):
    """x by the root of its mean square over gamma's dimensions, times gamma, and the reciprocal of that root."""
    over = tuple(range(x.dim() - gamma.dim(), x.dim()))
    rstd = torch.rsqrt((x * x).mean(over, keepdim=True) + eps)
    return x * rstd * gamma, rstd


def moments(x, over, eps):
    mean = x.mean(over, keepdim=True)
    return mean, torch.rsqrt(x.var(over, correction=0, keepdim=True) + eps)


@named("LayerNorm", "LayerNormWithImplMode")
def layer_norm(a):
    y = F.layer_norm(a.input, a.normalizedShape, a.weightOptional, a.biasOptional, a.eps)
    mean, rstd = moments(a.input, tuple(range(-len(a.normalizedShape), 0)), a.eps)
    return {"out": y, "meanOutOptional": mean, "rstdOutOptional": rstd}


@named("LayerNormBackward")
def layer_norm_backward(a):
    x, d = a.input, len(a.normalizedShape)
    shape = x.shape[: x.dim() - d] + (1,) * d
    normal = (x - a.mean.reshape(shape)) * a.rstd.reshape(shape)
    weight = 1 if a.weightOptional is None else a.weightOptional
    over, rows = tuple(range(-d, 0)), tuple(range(x.dim() - d))
    g = a.gradOut * weight
    dx = a.rstd.reshape(shape) * (g - g.mean(over, True) - normal * (g * normal).mean(over, True))
    mask = a.outputMask
    return {"gradInputOut": dx if mask[0] else None,
            "gradWeightOut": (a.gradOut * normal).sum(rows) if mask[1] and rows else None,
            "gradBiasOut": a.gradOut.sum(rows) if mask[2] and rows else None}


@named("AddLayerNorm")
def add_layer_norm(a):
    x = a.x1 + a.x2 + (0 if a.biasOptional is None else a.biasOptional)
    over = tuple(range(-a.gamma.dim(), 0))
    mean, rstd = moments(x, over, a.epsilon)
    return {"yOut": (x - mean) * rstd * a.gamma + a.beta, "meanOut": mean, "rstdOut": rstd,
            "xOut": x if a.additionalOutput else None}


@named("AddLayerNormGrad")
def add_layer_norm_grad(a):
    x, over = a.x1 + a.x2, tuple(range(-a.gamma.dim(), 0))
    rows = tuple(range(x.dim() - a.gamma.dim()))
    normal, g = (x - a.mean) * a.rstd, a.dy * a.gamma
    dx = a.rstd * (g - g.mean(over, True) - normal * (g * normal).mean(over, True))
    return {"dxOut": dx + (0 if a.dsumOptional is None else a.dsumOptional), "dgammaOut": (a.dy * normal).sum(rows),
            "dbetaOut": a.dy.sum(rows)}


@named("DeepNorm")
def deep_norm(a):
    x = a.alpha * a.x + a.gx
    mean, rstd = moments(x, tuple(range(-a.gamma.dim(), 0)), a.epsilon)
    return {"yOut": (x - mean) * rstd * a.gamma + a.beta, "meanOut": mean, "rstdOut": rstd}


@named("DeepNormGrad")
def deep_norm_grad(a):
    x, over = a.alpha * a.x + a.gx, tuple(range(-a.gamma.dim(), 0))
    rows = tuple(range(x.dim() - a.gamma.dim()))
    normal, g = (x - a.mean) * a.rstd, a.dy * a.gamma
    d = a.rstd * (g - g.mean(over, True) - normal * (g * normal).mean(over, True))
    return {"dxOut": a.alpha * d, "dgxOut": d, "dbetaOut": a.dy.sum(rows), "dgammaOut": (a.dy * normal).sum(rows)}


@named("RmsNorm")
def rms_norm(a):
    y, rstd = rms(a.x, a.gamma, a.epsilon)
    return {"yOut": y, "rstdOut": rstd}


@named("GemmaRmsNorm")
def gemma_rms_norm(a):
    y, rstd = rms(a.x, 1 + a.gamma, a.epsilon)
    return {"yOut": y, "rstdOut": rstd}


@named("RmsNormGrad")
def rms_norm_grad(a):
    over = tuple(range(a.x.dim() - a.gamma.dim(), a.x.dim()))
    rows = tuple(range(a.x.dim() - a.gamma.dim()))
    rstd = a.rstd.reshape(a.x.shape[: len(rows)] + (1,) * a.gamma.dim())
    normal, g = a.x * rstd, a.dy * a.gamma
    return {"dxOut": rstd * (g - normal * (g * normal).mean(over, True)), "dgammaOut": (a.dy * normal).sum(rows)}


@named("AddRmsNorm")
def add_rms_norm(a):
    y, rstd = rms(a.x1 + a.x2, a.gamma, a.epsilon)
    return {"yOut": y, "rstdOut": rstd, "xOut": a.x1 + a.x2}


@named("AddRmsNormCast")
def add_rms_norm_cast(a):
    y, rstd = rms(a.x1 + a.x2, a.gamma, a.epsilon)
    return {"y1Out": y, "y2Out": y, "rstdOut": rstd, "xOut": a.x1 + a.x2}


@named("InplaceAddRmsNorm")
def inplace_add_rms_norm(a):
    y, rstd = rms(a.x1Ref + a.x2Ref, a.gamma, a.epsilon)
    return {"x1Ref": y, "x2Ref": a.x1Ref + a.x2Ref, "rstdOut": rstd}


def group_norm(x, gamma, beta, groups, eps):
    y = F.group_norm(x, groups, gamma, beta, eps)
    parts = x.reshape(x.shape[0], groups, -1)
    mean, rstd = moments(parts, (2,), eps)
    return y, mean.reshape(-1, groups), rstd.reshape(-1, groups)


@named("GroupNorm")
def group_norm_plain(a):
    y, mean, rstd = group_norm(a.self, a.gamma, a.beta, a.group, a.eps)
    return {"out": y, "meanOut": mean, "rstdOut": rstd}


@named("GroupNormSilu", "GroupNormSiluV2")
def group_norm_silu(a):
    y, mean, rstd = group_norm(a.self, a.gamma, a.beta, a.group, a.eps)
    return {"out": F.silu(y) if getattr(a, "activateSilu", True) else y, "meanOut": mean, "rstdOut": rstd}


@named("GroupNormSwish")
def group_norm_swish(a):
    y, mean, rstd = group_norm(a.x, a.gamma, a.beta, a.numGroups, a.eps)
    return {"yOut": y * torch.sigmoid(a.swishScale * y) if a.activateSwish else y, "meanOut": mean, "rstdOut": rstd}


def by_group(x, gamma, beta, mean, rstd, groups):
    """What group norm gives from moments that are given, which have gradients of their own."""
    n, c = x.shape[:2]
    parts = x.reshape(n, groups, -1)
    normal = (parts - mean.reshape(n, groups, 1)) * rstd.reshape(n, groups, 1)
    shape = (1, c) + (1,) * (x.dim() - 2)
    gamma = torch.ones(c, dtype=x.dtype) if gamma is None else gamma
    return normal.reshape(x.shape) * gamma.reshape(shape) + (0 if beta is None else beta.reshape(shape))


def group_norm_gradients(x, gamma, mean, rstd, groups, g):
    n, c = x.shape[:2]
    normal = by_group(x, None, None, mean, rstd, groups)
    shape = (1, c) + (1,) * (x.dim() - 2)
    over = (0,) + tuple(range(2, x.dim()))
    d = (g if gamma is None else g * gamma.reshape(shape)).reshape(n, groups, -1)
    parts = normal.reshape(n, groups, -1)
    dx = rstd.reshape(n, groups, 1) * (d - d.mean(2, True) - parts * (d * parts).mean(2, True))
    return dx.reshape(x.shape), (g * normal).sum(over), g.sum(over)


@named("GroupNormBackward")
def group_norm_backward(a):
    shape = (a.N, a.C) + ((a.HxW,) if a.HxW != 1 or a.input.dim() > 2 else ())
    x, g = a.input.reshape(shape), a.gradOut.reshape(shape)
    found = group_norm_gradients(x, a.gamma, a.mean, a.rstd, a.group, g)
    names = ("gradInput", "gradGammaOut", "gradBetaOut")
    return {name: d if wanted else None for name, d, wanted in zip(names, found, a.outputMask)}


@named("GroupNormSwishGrad")
def group_norm_swish_grad(a):
    y = by_group(a.x, a.gamma, a.beta, a.mean, a.rstd, a.numGroups)
    s = torch.sigmoid(a.swishScale * y)
    g = a.dy * (s + y * a.swishScale * s * (1 - s))
    dx, dgamma, dbeta = group_norm_gradients(a.x, a.gamma, a.mean, a.rstd, a.numGroups, g)
    return {"dxOut": dx, "dgammaOut": dgamma if a.dgammaIsRequire else None, "dbetaOut": dbeta if a.dbetaIsRequire else None}


@named("BatchNorm")
def batch_norm(a):
    over = (0,) + tuple(range(2, a.input.dim()))
    outputs = {}
    if a.training:
        mean, rstd = moments(a.input, over, a.eps)
        if a.runningMean is not None and "runningMean" in a.outputs:
            deviation = a.input.var(over, correction=1)
            outputs = {"runningMean": (1 - a.momentum) * a.runningMean + a.momentum * mean.reshape(-1),
                       "runningVar": (1 - a.momentum) * a.runningVar + a.momentum * deviation}
        outputs |= {"saveMean": mean.reshape(-1), "saveInvstd": rstd.reshape(-1)}
        y = F.batch_norm(a.input, None, None, a.weight, a.bias, True, 0, a.eps)
    else:
        y = F.batch_norm(a.input, a.runningMean, a.runningVar, a.weight, a.bias, False, 0, a.eps)
    return outputs | {"output": y}


@named("BatchNormBackward")
def batch_norm_backward(a):
    x = a.input
    shape, over = (1, -1) + (1,) * (x.dim() - 2), (0,) + tuple(range(2, x.dim()))
    mean, rstd = (a.saveMean, a.saveInvstd) if a.training else (a.runningMean, torch.rsqrt(a.runningVar + a.eps))
    mean, rstd = mean.reshape(shape), rstd.reshape(shape)
    normal = (x - mean) * rstd
    d = a.gradOut if a.weight is None else a.gradOut * a.weight.reshape(shape)
    dx = rstd * (d - d.mean(over, True) - normal * (d * normal).mean(over, True)) if a.training else d * rstd
    found = (dx, (a.gradOut * normal).sum(over), a.gradOut.sum(over))
    names = ("gradInput", "gradWeight", "gradBias")
    return {name: g if wanted else None for name, g, wanted in zip(names, found, a.outputMask)}


def others(x):
    return (0,) + tuple(range(2, x.dim()))


def over(v, x):
    return v.reshape((1, -1) + (1,) * (x.dim() - 2))


@named("BatchNormStats")
def batch_norm_stats(a):
    mean, rstd = moments(a.input, others(a.input), a.eps)
    return mean.reshape(-1), rstd.reshape(-1)


@named("BatchNormElemt")
def batch_norm_elements(a):
    y = (a.input - over(a.mean, a.input)) * over(a.invstd, a.input)
    y = y if a.weight is None else y * over(a.weight, y)
    return {"output": y if a.bias is None else y + over(a.bias, y)}


@named("BatchNormReduce")
def batch_norm_reduce(a):
    return a.x.sum(others(a.x)), (a.x * a.x).sum(others(a.x))


def gathered(mean, variance, n, running_mean, running_var, momentum, eps):
    running = {} if running_mean is None else {0: (1 - momentum) * running_mean + momentum * mean}
    if running_var is not None:
        running[1] = (1 - momentum) * running_var + momentum * variance * n / (n - 1)
    return mean, torch.rsqrt(variance + eps), running.get(0), running.get(1)


@named("SyncBatchNormGatherStats")
def sync_gather(a):
    n = a.sampleCount.to(torch.float64).sum()
    mean = a.totalSum.sum(0) / n
    mean, invstd, running_mean, running_var = gathered(
        mean, a.totalSquareSum.sum(0) / n - mean * mean, n, a.mean, a.variance, a.momentum, a.eps)
    return {"batchMean": mean, "batchInvstd": invstd, "mean": running_mean, "variance": running_var}


@named("BatchNormGatherStatsWithCounts")
def gather_with_counts(a):
    n = a.counts.to(torch.float64).reshape(-1, 1)
    mean = (a.mean * n).sum(0) / n.sum()
    variance = ((a.invstd ** -2 - a.eps + (a.mean - mean) ** 2) * n).sum(0) / n.sum()
    mean, invstd, running_mean, running_var = gathered(
        mean, variance, n.sum(), a.runningMean, a.runningVar, a.momentum, a.eps)
    return {"meanAll": mean, "invstdAll": invstd, "runningMean": running_mean, "runningVar": running_var}


@named("BatchNormReduceBackward")
def batch_norm_reduce_backward(a):
    dy = a.gradOut.sum(others(a.gradOut))
    xmu = (a.gradOut * (a.input - over(a.mean, a.input))).sum(others(a.gradOut))
    return {"sumDy": dy if a.inputG else None, "sumDyXmu": xmu if a.inputG else None,
            "gradWeight": xmu * a.invstd if a.weightG else None, "gradBias": dy if a.biasG else None}


@named("BatchNormElemtBackward")
def batch_norm_elements_backward(a):
    x, n = a.input, a.counter.to(torch.float64).sum()
    d = a.gradOut - over(a.sumDy, x) / n - (x - over(a.mean, x)) * over(a.invstd ** 2 * a.sumDyXmu / n, x)
    d = d * over(a.invstd, x)
    return {"gradInput": d if a.weight is None else d * over(a.weight, x)}


@named("ScaledMaskedSoftmax")
def scaled_masked_softmax(a):
    mask = a.mask.bool() if a.mask is not None else torch.zeros(1, dtype=torch.bool)
    if a.fixedTriuMask:
        mask = torch.ones(a.x.shape[-2:], dtype=torch.bool).triu(1)
    return {"y": torch.softmax((a.x * a.scale).masked_fill(mask, -10000.0), -1)}


@named("ScaledMaskedSoftmaxBackward")
def scaled_masked_softmax_backward(a):
    d = a.y * (a.gradOutput - (a.gradOutput * a.y).sum(-1, True)) * a.scale
    mask = a.mask.bool() if a.mask is not None else torch.zeros(1, dtype=torch.bool)
    if a.fixTriuMask:
        mask = torch.ones(d.shape[-2:], dtype=torch.bool).triu(1)
    return d.masked_fill(mask, 0)


@named("ThnnFusedLstmCell")
def lstm_cell(a):
    gates = a.inputGates + a.hiddenGates
    for bias in (a.inputBiasOptional, a.hiddenBiasOptional):
        gates = gates if bias is None else gates + bias
    i, f, g, o = gates.chunk(4, -1)
    i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
    c = f * a.cx + i * g
    return {"hyOut": o * c.tanh(), "cyOut": c, "storageOut": torch.cat([i, f, g, o], -1)}


@named("ThnnFusedLstmCellBackward")
def lstm_cell_backward(a):
    i, f, g, o = a.storage.chunk(4, -1)
    t = a.cy.tanh()
    dh = 0 if a.gradHyOptional is None else a.gradHyOptional
    dc = dh * o * (1 - t * t) + (0 if a.gradCyOptional is None else a.gradCyOptional)
    gates = torch.cat([dc * g * i * (1 - i), dc * a.cx * f * (1 - f), dc * i * (1 - g * g), dh * t * o * (1 - o)], -1)
    return {"gradGatesOut": gates, "gradCxOut": dc * f, "gradBiasOut": gates.sum(0) if a.hasBias else None}


def lstm(a, x, params, hx):
    """torch's LSTM with CANN's weights; they may stand in an order of their own, so shapes decide nothing here."""
    hx = hx or [torch.zeros(a.numLayers * (2 if a.bidirectional else 1), x.shape[0 if a.batchFirst else 1],
                            params[1].shape[1], dtype=x.dtype)] * 2
    return torch.lstm(x, hx, params, a.hasBias, a.numLayers, 0.0, False, a.bidirectional, a.batchFirst)


@named("LSTM")
def lstm_forward(a):
    if a.batchSizes is not None:
        return None
    y, h, c = lstm(a, a.input, a.params, a.hx)
    return {"output": y, "hy": h, "cy": c}


@named("LstmBackward")
def lstm_backward(a):
    """Of one layer, from the gates and states that are given, whatever they are."""
    if a.batchSizesOptional is not None or a.numLayers != 1 or a.bidirectional or a.batchFirst:
        return None
    (h0, c0), (wi, wh) = (x[0] for x in a.hx), a.params[:2]
    dh, dc = (0 if d is None else d[0] for d in (a.dh, a.dc))
    dx, dw, du, db = torch.zeros_like(a.input), torch.zeros_like(wi), torch.zeros_like(wh), torch.zeros(wi.shape[0], dtype=wi.dtype)
    for t in reversed(range(a.input.shape[0])):
        i, g, f, o, c, tanh = (x[0][t] for x in (a.i, a.g, a.f, a.o, a.c, a.tanhc))
        before, h = (a.c[0][t - 1], a.h[0][t - 1]) if t else (c0, h0)
        dh = dh + a.dy[t]
        dc = dc + dh * o * (1 - tanh * tanh)
        gates = torch.cat([dc * g * i * (1 - i), dc * before * f * (1 - f), dc * i * (1 - g * g), dh * tanh * o * (1 - o)], -1)
        dx[t], dh, dc = gates @ wi, gates @ wh, dc * f
        dw, du, db = dw + gates.mT @ a.input[t], du + gates.mT @ h, db + gates.sum(0)
    return {"dxOut": dx, "dhPrevOut": dh[None], "dcPrevOut": dc[None], "dparamsOut": [dw, du, db, db][: len(a.params)]}
