"""Attention by its formula, in the layouts of CANN."""

import math

import torch

from . import gradients, named

NONE = 2147483647


def apart(x, layout, heads):
    """[B, N, S, D] of a tensor in a layout."""
    if layout in ("BNSD", "BNSD_BSND"):
        return x
    if layout == "BSND":
        return x.permute(0, 2, 1, 3)
    if layout in ("BSH",):
        return x.reshape(x.shape[0], x.shape[1], heads, -1).permute(0, 2, 1, 3)
    if layout == "SBH":
        return x.reshape(x.shape[0], x.shape[1], heads, -1).permute(1, 2, 0, 3)
    return None


def together(y, layout, like):
    if layout == "BNSD":
        return y
    if layout in ("BSND", "BNSD_BSND"):
        return y.permute(0, 2, 1, 3)
    if layout == "BSH":
        return y.permute(0, 2, 1, 3).reshape(like.shape)
    return y.permute(2, 0, 1, 3).reshape(like.shape)


def hidden(mask, mode, before, after, sq, sk):
    """True where a query does not see a key; sparseMode 0 and 1 the mask, 2 to 4 lines from a corner."""
    places = torch.arange(sk)[None, :] - torch.arange(sq)[:, None]
    if mode == 0 and mask is not None:
        band = (places > after) | (places < -before)
        return mask.bool()[..., :sq, :sk] | band
    if mode == 1:
        return None if mask is None else mask.bool()[..., :sq, :sk]
    if mode == 2:
        return places > 0
    if mode == 3:
        return places > sk - sq
    if mode == 4:
        return (places > after + sk - sq) | (places < -before + sk - sq)
    return None


def scores(q, k, scale, shift, shift_first, mask):
    s = q @ k.mT
    if shift is not None and shift_first:
        s = (s + shift) * scale
    else:
        s = s * scale + (0 if shift is None else shift)
    return s if mask is None else s.masked_fill(mask, -math.inf)


def keys_of(x, q):
    return x.repeat_interleave(q.shape[1] // x.shape[1], 1)


def inner(q, k, v, scale, shift, shift_first, mask):
    k, v = keys_of(k, q), keys_of(v, q)
    s = scores(q, k, scale, shift, shift_first, mask)
    return torch.softmax(s, -1) @ v, s


def prefixed(a):
    return a.sparseMode in (5, 6)


@named("FlashAttentionScore", "FlashAttentionScoreV2")
def flash(a):
    if a.keepProb < 1 or prefixed(a) or a.inputLayout == "TND":
        return None
    heads = a.headNum
    q = apart(a.query, a.inputLayout, heads)
    kv = heads if a.inputLayout not in ("BSH", "SBH") else a.key.shape[-1] * heads // a.query.shape[-1]
    k, v = apart(a.key, a.inputLayout, kv), apart(a.value, a.inputLayout, kv)
    mask = hidden(a.attenMaskOptional, a.sparseMode, a.preTokens, a.nextTokens, q.shape[2], k.shape[2])
    y, s = inner(q, k, v, a.scaleValue, a.realShiftOptional, getattr(a, "pseType", 1) == 1, mask)
    top = s.amax(-1, True)
    return {"attentionOutOut": together(y, a.inputLayout, a.query), "softmaxMaxOut": top.expand(top.shape[:-1] + (8,)),
            "softmaxSumOut": (s - top).exp().sum(-1, True).expand(top.shape[:-1] + (8,))}


@named("FlashAttentionScoreGrad", "FlashAttentionScoreGradV2")
def flash_grad(a):
    if a.keepProb < 1 or prefixed(a) or a.inputLayout == "TND":
        return None
    heads = a.headNum
    kv = heads if a.inputLayout not in ("BSH", "SBH") else a.keyIn.shape[-1] * heads // a.query.shape[-1]
    sq = apart(a.query, a.inputLayout, heads).shape[2]
    sk = apart(a.keyIn, a.inputLayout, kv).shape[2]
    mask = hidden(a.attenMaskOptional, a.sparseMode, a.preTokens, a.nextTokens, sq, sk)
    q, k, v = (apart(x, a.inputLayout, n) for x, n in ((a.query, heads), (a.keyIn, kv), (a.value, kv)))
    dy = apart(a.dy, a.inputLayout, heads)
    s = scores(q, keys_of(k, q), a.scaleValue, a.pseShiftOptional, getattr(a, "pseType", 1) == 1, mask)
    p = torch.softmax(s, -1)
    given = (s - a.softmaxMaxOptional[..., :1]).exp() / a.softmaxSumOptional[..., :1]
    if not torch.allclose(p, given, rtol=1e-2, atol=1e-3):
        # Statistics that an example made up.
        return None
    dp = dy @ keys_of(v, q).mT
    ds = p * (dp - (dy * apart(a.attentionInOptional, a.inputLayout, heads)).sum(-1, True)) * a.scaleValue
    group = q.shape[1] // k.shape[1]
    fold = lambda x: x.reshape(x.shape[0], -1, group, *x.shape[2:]).sum(2)  # noqa: E731
    back = lambda x, like: together(x, a.inputLayout, like)  # noqa: E731
    return {"dqOut": back(ds @ keys_of(k, q), a.query), "dkOut": back(fold(ds.mT @ q), a.keyIn),
            "dvOut": back(fold(p.mT @ dy), a.value)}


@named("FlashAttentionVarLenScore", "FlashAttentionVarLenScoreV4")
def flash_of_lengths(a):
    if a.keepProb < 1 or prefixed(a) or a.realShiftOptional is not None:
        return None
    y, q0, k0 = torch.zeros(a.query.shape[:2] + a.value.shape[2:], dtype=torch.float64), 0, 0
    for q1, k1 in zip(a.actualSeqQLenOptional, a.actualSeqKvLenOptional):
        q, k, v = (x[b:e].permute(1, 0, 2)[None] for x, b, e in ((a.query, q0, q1), (a.key, k0, k1), (a.value, k0, k1)))
        mask = hidden(a.attenMaskOptional, a.sparseMode, a.preTokens, a.nextTokens, q1 - q0, k1 - k0)
        y[q0:q1] = inner(q, k, v, a.scaleValue, None, False, mask)[0][0].permute(1, 0, 2)
        q0, k0 = q1, k1
    return {"attentionOutOut": y}


def inferred(a, query, key, value, shift, mask, q_lengths, kv_lengths, tables=None):
    layout, heads, kv = a.inputLayout, a.numHeads, a.numKeyValueHeads or a.numHeads
    if any(getattr(a, name, None) is not None for name in dir(a) if "uant" in name and "Scale" in name or "opeOpt" in name or "SharedPrefix" in name):
        return None
    q = apart(query, layout, heads)
    if q is None or tables is not None:
        return None
    k, v = apart(key, layout, kv), apart(value, layout, kv)
    y = torch.zeros(q.shape[:-1] + v.shape[-1:], dtype=torch.float64)
    for b in range(q.shape[0]):
        sq = q.shape[2] if not q_lengths else q_lengths[b if len(q_lengths) > 1 else 0]
        sk = k.shape[2] if not kv_lengths else kv_lengths[b if len(kv_lengths) > 1 else 0]
        sq, sk = min(sq, q.shape[2]), min(sk, k.shape[2])
        own = mask if mask is None or mask.dim() < 3 or mask.shape[0] == 1 else mask[b: b + 1]
        before, after = getattr(a, "preTokens", NONE), getattr(a, "nextTokens", NONE)
        mode = getattr(a, "sparseMode", 0)
        out = hidden(own, mode, before, after, sq, sk) if mask is not None or mode not in (0, 1) else None
        own_shift = None if shift is None else shift[b if shift.shape[0] > 1 else 0][None, ..., :sq, :sk]
        if out is not None and out.all(-1).any():
            # A query that sees nothing: torch has NaNs there, CANN has no word for it.
            return None
        y[b: b + 1, :, :sq] = inner(q[b: b + 1, :, :sq], k[b: b + 1, :, :sk], v[b: b + 1, :, :sk], a.scaleValue,
                                    own_shift, False, out)[0]
    return {"attentionOut": together(y, layout, query)}


def merged(xs):
    """One tensor of a list of them, one for each sample."""
    return xs[0] if len(xs) == 1 else torch.cat(xs)


@named("PromptFlashAttentionV3", "PromptFlashAttentionV2")
def prompt(a):
    return inferred(a, a.query, a.key, a.value, a.pseShift, a.attenMask, a.actualSeqLengths, a.actualSeqLengthsKv)


@named("IncreFlashAttention", "IncreFlashAttentionV2", "IncreFlashAttentionV3", "IncreFlashAttentionV4")
def incremental(a):
    return inferred(a, a.query, merged(a.key), merged(a.value), getattr(a, "pseShift", None), a.attenMask, None, a.actualSeqLengths, getattr(a, "blocktable", None))


@named("FusedInferAttentionScore", "FusedInferAttentionScoreV2", "FusedInferAttentionScoreV3", "FusedInferAttentionScoreV4")
def fused(a):
    return inferred(a, a.query, merged(a.key), merged(a.value), a.pseShiftOptional, a.attenMaskOptional,
                    a.actualSeqLengthsOptional, a.actualSeqLengthsKvOptional, a.blockTableOptional)


def turn(x, mode):
    """x with its elements turned: 0 halves, 1 neighbours, 2 quarters, 3 neighbours put into halves."""
    if mode == 0:
        a, b = x.chunk(2, -1)
        return torch.cat([-b, a], -1)
    if mode == 1:
        return torch.stack([-x[..., 1::2], x[..., ::2]], -1).flatten(-2)
    a, b, c, d = x.chunk(4, -1)
    return torch.cat([-b, a, -d, c], -1)


def rotated(x, cos, sin, mode):
    if mode == 3:
        x, mode = torch.cat([x[..., ::2], x[..., 1::2]], -1), 0
    return x * cos + turn(x, mode) * sin


@named("RotaryPositionEmbedding")
def rotary(a):
    return rotated(a.x, a.cos, a.sin, a.mode)


@named("RotaryPositionEmbeddingGrad")
def rotary_grad(a):
    x = a.dy if a.xOptional is None else a.xOptional
    dx, dcos, dsin = gradients(lambda x, c, s: rotated(x, c, s, a.mode), (x, a.cos, a.sin), a.dy)
    return {"dxOut": dx, "dcosOut": None if a.xOptional is None else dcos, "dsinOut": None if a.xOptional is None else dsin}


@named("ApplyRotaryPosEmb", "ApplyRotaryPosEmbV2")
def apply_rotary(a):
    mode = {"half": 0, "interleave": 1, "quarter": 2}[getattr(a, "rotaryMode", None) or "half"]
    return {name: rotated(x, a.cos, a.sin, mode) for name, x in (("queryRef", a.queryRef), ("keyRef", a.keyRef))}


@named("RopeWithSinCosCache")
def rope_with_cache(a):
    if a.mropeSection and any(a.mropeSection):
        return None
    cos, sin = a.cosSinCache[a.positions.long()].chunk(2, -1)
    angle = 2 * cos.shape[-1]

    def heads(x):
        x = x.reshape(x.shape[0], -1, a.headSize)
        first, rest = x[..., :angle], x[..., angle:]
        if a.isNeoxStyle:
            y = first * torch.cat([cos, cos], -1)[:, None] + turn(first, 0) * torch.cat([sin, sin], -1)[:, None]
        else:
            y = first * cos.repeat_interleave(2, -1)[:, None] + turn(first, 1) * sin.repeat_interleave(2, -1)[:, None]
        return torch.cat([y, rest], -1).flatten(1)
    return {"queryOut": heads(a.queryIn), "keyOut": heads(a.keyIn)}
