"""Mixtures of experts: choosing them, moving rows to them and back."""

import torch

from . import named, table
from .quantised import part, rounded
from .reduction import Place


def order(experts):
    """Which choice comes to each place, and where each choice goes, in order of the experts."""
    came = torch.sort(experts.reshape(-1), stable=True)[1]
    return came, torch.empty_like(came).scatter_(0, came, torch.arange(came.numel()))


@named("MoeComputeExpertTokens")
def expert_tokens(a):
    return torch.searchsorted(a.sortedExperts.contiguous(), torch.arange(a.numExperts), right=True)


def chosen(a, p, k, finished):
    values = torch.topk(p, k)[0]
    return values, Place(p, -1, values) if finished is None or not finished.any() else None


@named("MoeGatingTopKSoftmax")
def gating_softmax(a):
    p = torch.softmax(a.x, -1)
    values, experts = chosen(a, p, a.k, a.finishedOptional)
    rows = values[..., 0].numel()
    row = torch.arange(rows)[:, None] + rows * torch.arange(a.k)
    return {"yOut": values, "expertIdxOut": experts, "rowIdxOut": row}


@named("MoeGatingTopKSoftmaxV2")
def gating_softmax_v2(a):
    p = torch.softmax(a.x, -1)
    values, experts = chosen(a, p, a.k, a.finishedOptional)
    if a.renorm == 1:
        values = torch.softmax(torch.topk(a.x, a.k)[0], -1)
    return {"yOut": values, "expertIdxOut": experts, "softmaxResultOutOptional": p if a.outputSoftmaxResultFlag and a.renorm == 0 else None}


@named("MoeGatingTopK")
def gating(a):
    if a.normType not in (0, 1):
        return None
    normal = torch.softmax(a.x, -1) if a.normType == 0 else torch.sigmoid(a.x)
    biased = normal if a.biasOptional is None else normal + a.biasOptional
    grouped = biased.reshape(biased.shape[0], a.groupCount, -1)
    best = grouped.topk(min(2, grouped.shape[-1]))[0].sum(-1) if a.groupSelectMode == 1 else grouped.amax(-1)
    if a.kGroup < a.groupCount:
        keep = torch.zeros_like(best).scatter_(1, best.topk(a.kGroup)[1], 1).bool()
        biased = grouped.masked_fill(~keep[..., None], -torch.inf).reshape(biased.shape)
    values, experts = biased.topk(a.k)
    y = normal.gather(1, experts)
    if a.normType == 1 or a.renorm == 1:
        y = y / (y.sum(-1, True) + a.eps)
    return {"yOut": y * a.routedScalingFactor, "expertIdxOut": Place(biased, -1, values),
            "outOut": normal if a.outFlag else None}


@named("MoeInitRouting")
def init_routing(a):
    came, _ = order(a.expertIdx)
    rows = a.rowIdx.reshape(-1).long()[came]
    places = torch.empty_like(rows).scatter_(0, rows, torch.arange(rows.numel()))
    n = a.x.shape[0]
    count = min(a.activeNum, n) * a.expertIdx.shape[-1]
    return {"expandedXOut": part(a.outputs["expandedXOut"], a.x[rows[:count] % n]), "expandedRowIdxOut": places,
            "expandedExpertIdxOut": a.expertIdx.reshape(-1)[came]}


def capacity(experts, experts_count, room):
    """The place of each choice, room places to an expert, -1 where there is none left; and how many chose it."""
    places, counts = torch.full((experts.numel(),), -1), torch.zeros(experts_count, dtype=torch.long)
    for n, expert in enumerate(experts.reshape(-1).tolist()):
        if counts[expert] < room:
            places[n] = expert * room + counts[expert]
        counts[expert] += 1
    return places, counts


@named("MoeInitRoutingV2")
def init_routing_v2(a):
    k, count = a.expertIdx.shape[-1], a.expertNumOptional
    if a.dropPadModeOptional == 1:
        places, counts = capacity(a.expertIdx, count, a.expertCapacityOptional)
        x = torch.zeros(count * a.expertCapacityOptional, a.x.shape[-1], dtype=torch.float64)
        kept = places >= 0
        x[places[kept]] = a.x[torch.arange(places.numel())[kept] // k]
        return {"expandedXOut": x, "expandedRowIdxOut": places,
                "expertTokensBeforeCapacityOutOptional": counts if a.expertTokensBeforeCapacityFlagOptional else None}
    came, places = order(a.expertIdx)
    active = a.activeNumOptional if a.activeNumOptional > 0 else came.numel()
    counts = torch.bincount(a.expertIdx.reshape(-1).long(), minlength=max(count, 1))
    flag = a.expertTokensCountOrCumsumFlagOptional
    return {"expandedXOut": part(a.outputs["expandedXOut"], a.x[came[:active] // k]), "expandedRowIdxOut": places,
            "expertTokensCountOrCumsumOutOptional": {1: counts.cumsum(0), 2: counts}.get(flag)}


@named("MoeInitRoutingV3")
def init_routing_v3(a):
    first, last = a.activeExpertRangeOptional or (0, a.expertNum)
    inside = (a.expertIdx >= first) & (a.expertIdx < last)
    if a.dropPadMode != 0 or a.quantMode not in (-1, 1) or not inside.all():
        return None
    k = a.expertIdx.shape[-1]
    came, places = order(a.expertIdx)
    counts = torch.bincount(a.expertIdx.reshape(-1).long(), minlength=a.expertNum)[first:last]
    active = a.activeNum if a.activeNum > 0 else came.numel()
    rows, outputs = a.x[came[:active] // k], {}
    if a.quantMode == 1:
        if a.scaleOptional is not None:
            return None
        scale = rows.abs().amax(-1, True) / 127
        rows, outputs = torch.round(rows / scale), {"expandedScaleOut": part(a.outputs["expandedScaleOut"], scale)}
    elif a.scaleOptional is not None:
        outputs = {"expandedScaleOut": part(a.outputs["expandedScaleOut"], a.scaleOptional[came[:active] // k])}
    numbers = {0: counts.cumsum(0), 1: counts}.get(a.expertTokensNumType)
    return outputs | {"expandedXOut": part(a.outputs["expandedXOut"], rows),
                      "expandedRowIdxOut": places if a.rowIdxType == 0 else came,
                      "expertTokensCountOrCumsumOut": numbers if a.expertTokensNumFlag else None}


@named("MoeInitRoutingQuant")
def init_routing_quant(a):
    found = init_routing(a)
    if found is None or a.outputs["expandedXOut"].dtype != torch.int8:
        return None
    came, _ = order(a.expertIdx)
    rows = a.rowIdx.reshape(-1).long()[came][: min(a.activeNum, a.x.shape[0]) * a.expertIdx.shape[-1]] % a.x.shape[0]
    return found | {"expandedXOut": part(a.outputs["expandedXOut"], rounded(a.x[rows] * a.scale + a.offset))}


@named("MoeInitRoutingQuantV2")
def init_routing_quant_v2(a):
    if a.dropPadMode != 0:
        return None
    came, places = order(a.expertIdx)
    x = a.x[came[: a.activeNum if a.activeNum > 0 else came.numel()] // a.expertIdx.shape[-1]]
    if a.quantMode == 0:
        return {"expandedXOut": part(a.outputs["expandedXOut"], rounded(x * a.scaleOptional + a.offsetOptional)),
                "expandedRowIdxOut": places}
    if a.scaleOptional is not None:
        smooth = a.scaleOptional if a.scaleOptional.shape[0] == 1 else a.scaleOptional[
            a.expertIdx.reshape(-1).long()[came][: x.shape[0]]]
        x = x * smooth
    scale = x.abs().amax(-1, True) / 127
    return {"expandedXOut": part(a.outputs["expandedXOut"], torch.round(x / scale)), "expandedRowIdxOut": places,
            "dynamicQuantScaleOutOptional": part(a.outputs["dynamicQuantScaleOutOptional"], scale)}


@named("MoeInitRoutingV2Grad")
def init_routing_grad(a):
    g = a.gradExpandedX.reshape(-1, a.gradExpandedX.shape[-1])
    places = a.expandedRowIdx.long()
    here = (places >= 0) & (places < (a.activeNum if a.dropPadMode == 0 and a.activeNum > 0 else g.shape[0]))
    rows = torch.where(here[:, None], g[places.clamp(0, g.shape[0] - 1)], 0)
    return {"out": rows.reshape(-1, a.topK, g.shape[-1]).sum(1)}


def finalized(x, places, k, by_columns, a, x1, x2, bias, scales, experts):
    n = places.numel() // k
    at = (places.reshape(k, n).T if by_columns else places.reshape(n, k)).long()
    flat = x.reshape(-1, x.shape[-1])
    here = (at >= 0) & (at < flat.shape[0])
    rows = torch.where(here[..., None], flat[at.clamp(0, flat.shape[0] - 1)], 0)
    if bias is not None:
        rows = rows + bias[experts.long()]
    y = (rows if scales is None else rows * scales[..., None]).sum(1)
    return y + (0 if x1 is None else x1) + (0 if x2 is None else x2)


@named("MoeFinalizeRouting")
def finalize(a):
    k = a.scales.shape[-1]
    return finalized(a.expandedX, a.expandedRowIdx, k, True, a, a.x1, a.x2Optional, a.bias, a.scales, a.expandedExpertIdx)


@named("MoeFinalizeRoutingV2")
def finalize_v2(a):
    k = 1 if a.scalesOptional is None else a.scalesOptional.shape[-1]
    return {"out": finalized(a.expandedX, a.expandedRowIdx, k, a.dropPadMode in (0, 1), a, a.x1Optional, a.x2Optional,
                             a.biasOptional, a.scalesOptional, a.expertIdxOptional)}


@named("MoeFinalizeRoutingV2Grad")
def finalize_grad(a):
    if a.scalesOptional is None or a.dropPadMode != 0:
        return None
    n, k = a.scalesOptional.shape
    at = a.expandedRowIdx.long()
    rows = a.gradY.repeat_interleave(k, 0)
    dx = torch.zeros(a.outputs["gradExpandedXOut"].shape, dtype=torch.float64)
    here = (at >= 0) & (at < dx.shape[0])
    dx[at[here]] = (rows * a.scalesOptional.reshape(-1, 1))[here]
    x = a.expandedXOptional[at.clamp(0, dx.shape[0] - 1)]
    if a.biasOptional is not None:
        x = x + a.biasOptional[a.expertIdxOptional.reshape(-1).long()]
    return {"gradExpandedXOut": dx, "gradScalesOut": (x * rows).sum(-1).reshape(n, k)}


@named("MoeTokenPermute")
def permute(a):
    k = 1 if a.indices.dim() == 1 else a.indices.shape[-1]
    came, places = order(a.indices)
    count = a.numOutTokens if a.numOutTokens > 0 else came.numel() + a.numOutTokens
    return {"permuteTokensOut": part(a.outputs["permuteTokensOut"], a.tokens[came[:count] // k]), "sortedIndicesOut": places}


@named("MoeTokenPermuteGrad")
def permute_grad(a):
    at = a.sortedIndices.long()
    rows = torch.where((at < a.permutedOutputGrad.shape[0])[:, None], a.permutedOutputGrad[at.clamp(max=a.permutedOutputGrad.shape[0] - 1)], 0)
    return rows.reshape(-1, a.numTopk, rows.shape[-1]).sum(1)


def back(rows, at, probs):
    k = 1 if probs is None else probs.shape[-1]
    x = torch.where((at < rows.shape[0])[:, None], rows[at.clamp(max=rows.shape[0] - 1)], 0).reshape(-1, k, rows.shape[-1])
    return (x if probs is None else x * probs[..., None]).sum(1), x


@named("MoeTokenUnpermute")
def unpermute(a):
    return back(a.permutedTokens, a.sortedIndices.long(), a.probsOptional)[0]


@named("MoeTokenUnpermuteGrad")
def unpermute_grad(a):
    at, probs, g = a.sortedIndices.long(), a.probsOptional, a.unpermutedTokensGrad
    k = 1 if probs is None else probs.shape[-1]
    rows = g.repeat_interleave(k, 0)
    dx = torch.zeros(a.outputs["permutedTokensGradOut"].shape, dtype=torch.float64)
    here = at < dx.shape[0]
    dx[at[here]] = (rows if probs is None else rows * probs.reshape(-1, 1))[here]
    if probs is None:
        return {"permutedTokensGradOut": dx}
    x = back(a.permuteTokens, at, probs)[1]
    return {"permutedTokensGradOut": dx, "probsGradOut": (x * g[:, None]).sum(-1)}


def kept(at, first, last):
    """Which places are in a range, and their rows."""
    here = (at >= first) & (at < last)
    return here, torch.where(here, at - first, 0)


def span(a, rows):
    return a.rangeOptional or (0, rows)


@named("MoeTokenPermuteWithEp")
def permute_with_ep(a):
    if not a.rangeOptional:
        return None
    k = 1 if a.indices.dim() == 1 else a.indices.shape[-1]
    came, places = order(a.indices)
    came = came[a.rangeOptional[0]: a.rangeOptional[1]]
    probs = None if a.probsOptional is None else a.probsOptional.reshape(-1)[came]
    return {"permuteTokensOut": a.tokens[came // k], "sortedIndicesOut": places, "permuteProbsOut": probs}


@named("MoeTokenPermuteWithEpGrad")
def permute_with_ep_grad(a):
    g = a.permutedTokensOutputGrad
    here, at = kept(a.sortedIndices.long(), *span(a, g.shape[0]))
    rows = torch.where(here[:, None], g[at], 0).reshape(-1, a.numTopk, g.shape[-1])
    probs = None
    if a.permutedProbsOutputGradOptional is not None and a.rangeOptional:
        probs = torch.where(here, a.permutedProbsOutputGradOptional[at], 0)
    return {"tokenGradOut": rows.sum(1), "probsGradOut": probs}


@named("MoeTokenUnpermuteWithEp")
def unpermute_with_ep(a):
    x, probs = a.permutedTokens, a.probsOptional
    k = (1 if probs is None else probs.shape[-1]) if not a.rangeOptional or probs is not None else a.numTopk
    here, at = kept(a.sortedIndices.long(), *span(a, x.shape[0]))
    rows = torch.where(here[:, None], x[at], 0).reshape(-1, k, x.shape[-1])
    return (rows if probs is None else rows * probs.reshape(-1, k, 1)).sum(1)


@named("MoeTokenUnpermuteWithEpGrad")
def unpermute_with_ep_grad(a):
    g, probs = a.unpermutedTokensGrad, a.probsOptional
    k = (1 if probs is None else probs.shape[-1]) if not a.rangeOptional or probs is not None else a.topkNum
    rows = a.outputs["permutedTokensGradOut"].shape[0]
    here, at = kept(a.sortedIndices.long(), *span(a, rows))
    each = g.repeat_interleave(k, 0)
    dx = torch.zeros(rows, g.shape[-1], dtype=torch.float64)
    dx[at[here]] = (each if probs is None else each * probs.reshape(-1, 1))[here]
    if probs is None or a.permutedTokensOptional is None:
        return {"permutedTokensGradOut": dx}
    dots = torch.where(here, (a.permutedTokensOptional[at] * each).sum(-1), 0)
    return {"permutedTokensGradOut": dx, "probsGradOut": dots}


@named("MoeTokenPermuteWithRoutingMapGrad")
def permute_by_map_grad(a):
    g, at = a.permutedTokenOutputGrad, a.sortedIndices.long()
    if a.dropAndPad:
        dx = torch.zeros(a.tokensNum, g.shape[-1], dtype=torch.float64).index_add(0, at, g)
        return {"tokensGradOut": dx}
    return {"tokensGradOut": g[at].reshape(a.tokensNum, -1, g.shape[-1]).sum(1)}


@named("MoeTokenPermuteWithRoutingMap")
def permute_by_map(a):
    if a.dropAndPad:
        return None
    experts, tokens = a.routingMap.bool().T.nonzero(as_tuple=True)
    count = min(a.outputs["permuteTokensOut"].shape[0], tokens.numel())
    probs = None if a.probsOptional is None else a.probsOptional[tokens, experts]
    return {"permuteTokensOut": part(a.outputs["permuteTokensOut"], a.tokens[tokens[:count]]),
            "permuteProbsOutOptional": None if probs is None else part(a.outputs["permuteProbsOutOptional"], probs[:count])}


@named("MoeTokenUnpermuteWithRoutingMap")
def unpermute_by_map(a):
    tokens = a.outputs["unpermutedTokens"].shape[0]
    if a.paddedMode:
        # The same number of places for each expert, and whose token each is.
        at, x = a.sortedIndices.long(), a.permutedTokens
        outputs = {}
        if a.probsOptional is not None:
            expert = torch.arange(at.numel()) // (at.numel() // a.probsOptional.shape[1])
            outputs["permuteProbs"] = a.probsOptional[at, expert]
            x = x * outputs["permuteProbs"][:, None]
        token, place = torch.sort(at, stable=True)
        y = torch.zeros(tokens, x.shape[-1], dtype=torch.float64).index_add(0, at, x)
        return outputs | {"unpermutedTokens": y, "outIndex": place, "permuteTokenId": token}
    rows = a.permutedTokens[a.sortedIndices.long()].reshape(tokens, -1, a.permutedTokens.shape[-1])
    if a.probsOptional is None:
        return {"unpermutedTokens": rows.sum(1)}
    named = a.routingMapOptional.bool()
    return {"unpermutedTokens": (rows * a.probsOptional[named].reshape(tokens, -1, 1)).sum(1),
            "permuteProbs": a.probsOptional.T[named.T]}


@named("MoeTokenUnpermuteWithRoutingMapGrad")
def unpermute_by_map_grad(a):
    if a.paddedMode:
        return None
    g, at = a.unpermutedTokensGrad, a.outIndex.long()
    each = g.repeat_interleave(at.numel() // g.shape[0], 0)
    dx = torch.zeros(a.outputs["permutedTokensGradOut"].shape, dtype=torch.float64)
    if a.probsOptional is None:
        dx[at] = each
        return {"permutedTokensGradOut": dx}
    named = a.routingMapOptional.bool()
    dx[at] = each * a.probsOptional[named][:, None]
    probs = torch.zeros(named.shape, dtype=torch.float64)
    probs[named] = (a.permutedTokensOptional[at] * each).sum(-1)
    return {"permutedTokensGradOut": dx, "probsGradOutOptional": probs}
