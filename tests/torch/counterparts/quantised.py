"""Quantisation, and products of what is quantised."""

import torch
import torch.nn.functional as F

from . import Start, named, table


def int4(a, name):
    """An argument of two numbers to a byte, in its logical shape; others as they are."""
    value, about = getattr(a, name), a.described[name]
    if value is None or about["tensor"] not in ("int4", "int32") or about["tensor"] == "int32" and not _packed(a, name):
        return value
    if about["tensor"] == "int32":
        halves = (value[..., None] >> (4 * torch.arange(8, dtype=torch.int32))) & 15
        numbers = halves.flatten(-2)
        return torch.where(numbers > 7, numbers - 16, numbers)
    return unpacked(value, about)


def _packed(a, name):
    return name in ("weight", "x2") or name == "x1" and a.described["x1"]["tensor"] == "int32"


def unpacked(stored, about):
    stored = stored.reshape(-1).to(torch.int32)
    numbers = torch.stack([stored & 15, stored >> 4], -1).reshape(-1)
    numbers = torch.where(numbers > 7, numbers - 16, numbers)
    shape = about["shape"]
    strides = about.get("strides")
    if strides is None:
        count = 1
        for n in shape:
            count *= n
        return numbers[about.get("offset", 0):][:count].reshape(shape)
    return numbers.as_strided(shape, strides, about.get("offset", 0))


def scales(t):
    """Floats, or those that TransQuantParam put into the low half of 64 bits."""
    if t is None or t.is_floating_point():
        return t
    low = t.view(torch.int64) & 0xFFFFFFFF
    return torch.where(low > 0x7FFFFFFF, low - (1 << 32), low).to(torch.int32).view(torch.float32).to(torch.float64)


def rounded(x, low=-128, high=127):
    return torch.clamp(torch.round(x), low, high)


def to_output(a, x, name="out"):
    """As the type of an output wants it."""
    return rounded(x) if a.outputs[name].dtype == torch.int8 else x


def quant_matmul(a, x1, x2, scale, offset, per_token, bias, t1, t2):
    x1, x2 = (x.mT if t else x for x, t in ((x1, t1), (x2, t2)))
    if x1.dim() == 2 and x1.numel() * x2.shape[-1] > 1 << 33:
        # The first rows of large ones.
        x1, per_token = x1[:16], per_token if per_token is None or per_token.numel() == 1 else per_token.reshape(-1)[:16]
    y = x1.to(torch.float64) @ x2.to(torch.float64)
    late = bias is not None and bias.is_floating_point()
    if bias is not None and not late:
        y = y + bias
    if scale is not None:
        y = y * scale
    if per_token is not None:
        y = y * per_token.reshape(-1, 1)
    if offset is not None:
        y = y + offset
    y = to_output(a, y + bias if late else y)
    return y if y.numel() == a.outputs["out"].numel() else Start(y)


@named("QuantMatmulV2")
def quant_matmul_v2(a):
    return quant_matmul(a, a.x1, a.x2, scales(a.deqScale), None, None, a.bias, a.adjX1, a.adjX2)


@named("QuantMatmulV3", "QuantMatmulV4")
def quant_matmul_v3(a):
    return quant_matmul(a, int4(a, "x1"), int4(a, "x2"), scales(a.scale), a.offset, getattr(a, "pertokenScaleOptional", None),
                        a.bias, a.transposeX1, a.transposeX2)


def by_groups(a):
    """Scales that change along the steps; groupSize has 16 bits each for steps, columns and rows."""
    steps, columns = a.groupSize & 0xFFFF, max(a.groupSize >> 16 & 0xFFFF, 1)
    x1, x2 = (int4(a, name).to(torch.float64) for name in ("x1", "x2"))
    x1, x2 = x1.mT if a.transposeX1 else x1, x2.mT if a.transposeX2 else x2
    scale = scales(a.x2Scale)
    scale = scale.mT if columns > 1 and a.transposeX2 else scale
    spread = lambda t: t.repeat_interleave(steps, 0).repeat_interleave(columns, 1)  # noqa: E731
    x2 = x2 if a.x2Offset is None else x2 - spread(a.x2Offset)
    rows = a.x1Scale
    if rows is not None and rows.dim() == 2 and rows.shape[1] > 1:
        x1, rows = x1 * rows.repeat_interleave(steps, 1), None
    y = x1 @ (x2 * spread(scale))
    y = y if a.yOffset is None else y + a.yOffset
    y = y if rows is None else y * rows.reshape(-1, 1)
    return y if a.bias is None else y + a.bias


@named("QuantMatmulV5", "QuantMatmulWeightNz")
def quant_matmul_v5(a):
    if a.yScale is not None or a.x1Offset is not None:
        return None
    if a.groupSize:
        return by_groups(a)
    if a.yOffset is not None:
        return None
    return quant_matmul(a, int4(a, "x1"), int4(a, "x2"), scales(a.x2Scale), a.x2Offset, a.x1Scale, a.bias,
                        a.transposeX1, a.transposeX2)


def weight_quant(a):
    if a.quantScaleOptional is not None:
        return None
    weight = int4(a, "weight").to(torch.float64)
    scale, offset = scales(a.antiquantScale), a.antiquantOffsetOptional
    if a.antiquantGroupSize:
        scale = scale.repeat_interleave(a.antiquantGroupSize, 0)[: weight.shape[0]]
        offset = offset if offset is None else offset.repeat_interleave(a.antiquantGroupSize, 0)[: weight.shape[0]]
    y = a.x @ ((weight if offset is None else weight + offset) * scale)
    return {"y": y if a.biasOptional is None else y + a.biasOptional}


named("WeightQuantBatchMatmulV2", "WeightQuantBatchMatmulV3", "WeightQuantBatchMatmulNz")(weight_quant)


@named("QuantMatmulDequant")
def quant_matmul_dequant(a):
    if a.xOffsetOptional is not None or not a.weightScale.is_floating_point():
        return None
    x = a.x if a.smoothScaleOptional is None else a.x * a.smoothScaleOptional
    weight = (a.weight.mT if a.transposeWeight else a.weight).to(torch.float64)
    scale = x.abs().amax(-1, True) / 127 if a.xScaleOptional is None else a.xScaleOptional.reshape(-1, 1)
    y = torch.clamp(torch.round(x / scale), -128, 127) @ weight
    if a.biasOptional is not None:
        y = y + a.biasOptional
    return y * scale * scales(a.weightScale)


@named("TransQuantParamV2", "TransQuantParamV3")
def trans_quant_param(a):
    cut = getattr(a, "roundMode", 0) == 0
    bits = a.raw["scale"].reshape(-1).contiguous().view(torch.int32).to(torch.int64) & 0xFFFFFFFF
    bits = bits & ~0x1FFF if cut else (bits + 0xFFF + ((bits >> 13) & 1)) & ~0x1FFF
    y = bits | (1 << 46)
    if a.offset is not None:
        offset = torch.clamp(torch.round(a.offset.reshape(-1)), -256, 255).to(torch.int64) & 0x1FF
        y = y | (offset << 37)
    return {"out": y.reshape(next(iter(a.outputs.values())).shape) if y.numel() == next(iter(a.outputs.values())).numel() else y}


ROUND = {"round": torch.round, "ceil": torch.ceil, "floor": torch.floor, "trunc": torch.trunc, None: torch.round, "": torch.round}


def along(t, x, axis):
    if t is None or t.numel() == 1:
        return t if t is None else t.reshape(())
    return t if t.dim() == x.dim() else t.reshape([-1 if d == axis % x.dim() else 1 for d in range(x.dim())])


@named("AscendQuant", "AscendQuantV3")
def ascend_quant(a):
    axis = getattr(a, "axis", -1)
    scale = along(a.scale, a.x, axis)
    y = a.x * scale * (scale if a.sqrtMode else 1)
    if a.offset is not None:
        y = y + along(a.offset, a.x, axis)
    y = ROUND[a.roundMode](y)
    if a.described["y"]["tensor"] == "int8":
        return {"y": torch.clamp(y, -128, 127)}
    if a.described["y"]["tensor"] not in ("int4", "int32"):
        return None
    return {"y": packed(torch.clamp(y, -8, 7), a.outputs["y"])}


def packed(numbers, like):
    """Numbers of 4 bits as they lie in a tensor of bytes or of int32."""
    per = 8 if like.dtype == torch.int32 else 2
    parts = numbers.reshape(-1, per).to(torch.int64) & 15
    whole = (parts << (4 * torch.arange(per))).sum(-1)
    if per == 8:
        whole = torch.where(whole > 0x7FFFFFFF, whole - (1 << 32), whole)
    return whole.reshape(-1)


@named("AscendAntiQuant")
def ascend_anti_quant(a):
    x = int4(a, "x") if a.described["x"]["tensor"] == "int4" else a.x
    if a.described["x"]["tensor"] == "int32":
        return None
    y = x.to(torch.float64) if a.offset is None else x + a.offset
    return {"y": y * a.scale * (a.scale if a.sqrtMode else 1)}


def groups(rows, ends, count):
    """For each row, which group's smoothing it has."""
    return torch.searchsorted(ends.long().contiguous(), torch.arange(rows), right=True).clamp(max=count - 1)


def smoothed(x, smooth, ends):
    if smooth is None:
        return x
    if ends is None:
        return x * smooth
    flat = x.reshape(-1, x.shape[-1])
    return (flat * smooth[groups(flat.shape[0], ends, smooth.shape[0])]).reshape(x.shape)


@named("DynamicQuant", "DynamicQuantV2")
def dynamic_quant(a):
    most = {"int8": 127, "int4": 7}.get(a.described["yOut"]["tensor"])
    if most is None:
        return None
    x = smoothed(a.x, a.smoothScalesOptional, getattr(a, "groupIndexOptional", None))
    if "offsetOut" in a.outputs:
        high, low = x.amax(-1, True), x.amin(-1, True)
        scale = (high - low) / (2 * most + 1)
        offset = most - high / scale
        return {"yOut": rounded(x / scale + offset) if most == 127 else None, "scaleOut": scale, "offsetOut": offset}
    scale = x.abs().amax(-1, True) / most
    y = torch.round(x / scale)
    return {"yOut": y if most == 127 else packed(y, a.outputs["yOut"]), "scaleOut": scale}


@named("Quantize")
def quantize(a):
    y = a.x / along(a.scales, a.x, a.axis)
    if a.zeroPoints is not None:
        y = y + along(a.zeroPoints, a.x, a.axis)
    low, high = {torch.int8: (-128, 127), torch.uint8: (0, 255)}.get(a.dtype, (-(1 << 31), (1 << 31) - 1))
    return torch.clamp(torch.round(y), low, high)


def fake(x, scale, zero, low, high):
    q = torch.round(x / scale) + zero
    return (torch.clamp(q, low, high) - zero) * scale, (q >= low) & (q <= high)


table({
    "FakeQuantPerTensorAffineCachemask": lambda x, scale, zero, enabled, low, high: (
        fake(x, scale, zero, low, high) if enabled else (x, torch.ones(x.shape, dtype=torch.bool))),
    "FakeQuantPerChannelAffineCachemask": lambda x, scale, zero, axis, low, high: fake(
        x, along(scale, x, axis), along(zero, x, axis), low, high),
})


@named("DequantBias")
def dequant_bias(a):
    x = a.x.to(torch.float64)
    if a.biasOptional is not None and not a.biasOptional.is_floating_point():
        x = x + a.biasOptional
    y = x * a.weightScale
    if a.activateScaleOptional is not None:
        y = y * a.activateScaleOptional.reshape(-1, 1)
    if a.biasOptional is not None and a.biasOptional.is_floating_point():
        y = y + a.biasOptional
    return {"out": y}


def silu_product(x, left):
    a, b = x.chunk(2, -1)
    return F.silu(a) * b if left else F.silu(b) * a


@named("SwiGluQuant", "SwiGluQuantV2")
def swiglu_quant(a):
    y = silu_product(a.x, a.activateLeft)
    ends = a.groupIndexOptional
    if ends is not None and getattr(a, "groupListType", 0) == 1:
        ends = ends.cumsum(0)
    y = y.reshape(-1, y.shape[-1])
    rows = y.shape[0] if ends is None else min(y.shape[0], int(ends[-1]))
    y = y[:rows]
    smooth, offset = a.smoothScalesOptional, a.offsetsOptional
    own = groups(rows, ends, ends.numel()) if ends is not None else torch.zeros(rows, dtype=torch.long)
    if smooth is not None:
        y = y * smooth.reshape(smooth.shape[0], -1)[own]
    if (a.quantModeOptional or "dynamic") == "static":
        y = y if offset is None else y + offset.reshape(offset.shape[0], -1)[own]
        return {"yOut": part(a.outputs["yOut"], rounded(y))}
    most = 127 if a.outputs["yOut"].dtype == torch.int8 else 7
    scale = most / y.abs().amax(-1, True)
    y = torch.round(y * scale)
    return {"yOut": part(a.outputs["yOut"], y if most == 127 else packed(y, a.outputs["yOut"])), "scaleOut": part(a.outputs["scaleOut"], scale)}


def part(output, right):
    """The rows that are defined, before the ones that are not."""
    right = right.reshape(-1).to(torch.float64)
    return torch.cat([right, output.reshape(-1)[right.numel():].to(torch.float64)])


@named("DequantSwigluQuant", "DequantSwigluQuantV2")
def dequant_swiglu_quant(a):
    mode = getattr(a, "swigluMode", 0)
    if getattr(a, "activateDim", -1) not in (-1, a.x.dim() - 1) or a.outputs["yOut"].dtype != torch.int8:
        return None
    x = a.x.to(torch.float64).reshape(-1, a.x.shape[-1])
    ends = None if a.groupIndexOptional is None else a.groupIndexOptional.long().cumsum(0)
    rows = x.shape[0] if ends is None else min(x.shape[0], int(ends[-1]))
    own = torch.zeros(rows, dtype=torch.long) if ends is None else groups(rows, ends, ends.numel())
    x = x[:rows]
    if a.biasOptional is not None and not a.biasOptional.is_floating_point():
        x = x + a.biasOptional.reshape(-1, x.shape[-1])[own]
    if a.weightScaleOptional is not None:
        x = x * a.weightScaleOptional.reshape(-1, x.shape[-1])[own]
    if a.activationScaleOptional is not None:
        x = x * a.activationScaleOptional.reshape(-1, 1)[:rows]
    if a.biasOptional is not None and a.biasOptional.is_floating_point():
        x = x + a.biasOptional.reshape(-1, x.shape[-1])[own]
    if mode == 0:
        y = silu_product(x, a.activateLeft)
    else:
        glu, linear = (x[:, ::2], x[:, 1::2]) if mode == 1 else x.chunk(2, -1)
        if mode == 2 and not a.activateLeft:
            glu, linear = linear, glu
        glu, linear = glu.clamp(max=a.clampLimit), linear.clamp(-a.clampLimit, a.clampLimit)
        y = glu * torch.sigmoid(a.gluAlpha * glu) * (linear + a.gluBias)
    scale, offset = a.quantScaleOptional, a.quantOffsetOptional
    if (a.quantModeOptional or "static") == "static":
        y = y if scale is None else y / scale.reshape(-1, *([y.shape[-1]] if scale.numel() % y.shape[-1] == 0 and y.shape[-1] > 1 else [1]))[own]
        y = y if offset is None else y + offset.reshape(-1, *([y.shape[-1]] if offset.numel() % y.shape[-1] == 0 and y.shape[-1] > 1 else [1]))[own]
        return {"yOut": part(a.outputs["yOut"], rounded(y))}
    y = y if scale is None else y * scale.reshape(-1, y.shape[-1])[own]
    row = y.abs().amax(-1, True) / 127
    return {"yOut": part(a.outputs["yOut"], torch.round(y / row)), "scaleOut": part(a.outputs["scaleOut"], row)}
