"""Indices, shapes, filling; random numbers, by their range only."""

import math

import torch
import torch.nn.functional as F

from . import named, random, table


def wrapped(index, n):
    return torch.where(index < 0, index + n, index).long()


def filled(x, dim, index, value):
    return x.index_fill(dim, wrapped(torch.as_tensor(index).reshape(-1), x.shape[dim]), value)


def scatter(x, dim, index, source, reduce):
    """reduce: 0 none, 1 sum, 2 product."""
    source = source if torch.is_tensor(source) else torch.full(index.shape, source, dtype=x.dtype)
    how = {1: "sum", 2: "prod"}.get(reduce)
    index = wrapped(index, x.shape[dim])
    return x.scatter(dim, index, source) if how is None else x.scatter_reduce(dim, index, source, how)


def gather_v2(x, dim, index):
    dim %= max(x.dim(), 1)
    flat = x.index_select(dim, wrapped(index.reshape(-1), x.shape[dim]))
    return flat.reshape(x.shape[:dim] + index.shape + x.shape[dim + 1:])


def gather_v3(x, dim, index, batch):
    if batch == 0:
        return gather_v2(x, dim, index)
    return torch.stack([gather_v3(x, dim % x.dim() - 1, i, batch - 1) for x, i in zip(x, index)])


def tuples(indices, x):
    n = indices.shape[-1]
    return tuple(wrapped(indices[..., k], x.shape[k]) for k in range(n))


table({
    "Arange": lambda start, end, step: (
        torch.arange(start, end, step) if math.isfinite(start) and math.isfinite(end) else None),
    "Range": lambda start, end, step: start + step * torch.arange(math.floor((end - start) / step) + 1, dtype=torch.float64),
    "Cat": lambda x, dim: torch.cat(x, dim),
    "Stack": lambda x, dim: torch.stack(x, dim),
    "Expand": lambda x, size: x.expand(size),
    "Eye": lambda n, m: torch.eye(n, m),
    "Flip": lambda x, dims: torch.flip(x, dims),
    "FillDiagonal": lambda x, value, wrap: x.clone().fill_diagonal_(value, wrap),
    "Gather": lambda x, dim, index: torch.gather(x, dim, wrapped(index, x.shape[dim])),
    "GatherV2": gather_v2,
    "GatherV3": gather_v3,
    "GatherNd": lambda x, indices: x[tuples(indices, x)],
    "IndexAdd": lambda x, dim, index, source, alpha: x.index_add(dim, index.long(), source, alpha=alpha),
    "IndexAddV2": lambda x, dim, index, source, alpha: x.index_add(dim, index.long(), source, alpha=alpha),
    "IndexCopy": lambda x, dim, index, source: x.index_copy(dim, index.long(), source),
    "IndexFill": filled,
    "IndexFillTensor": filled,
    "IndexSelect": lambda x, dim, index: x.index_select(dim, wrapped(index, x.shape[dim])),
    "Linspace": lambda start, end, steps: torch.linspace(start, end, steps, dtype=torch.float64),
    "LogSpace": lambda start, end, steps, base: torch.logspace(start, end, steps, base, dtype=torch.float64),
    "MaskedScatter": lambda x, mask, source: x.masked_scatter(mask.bool(), source.to(x.dtype)),
    "MaskedSelect": lambda x, mask: x.masked_select(mask.bool()),
    "Nonzero": lambda x: torch.nonzero(x),
    "NonzeroV2": lambda x: torch.nonzero(x).T,
    "Permute": lambda x, dims: x.permute(dims),
    "Put": lambda x, index, source, accumulate: x.put(wrapped(index, x.numel()), source, accumulate),
    "Repeat": lambda x, repeats: x.repeat(repeats),
    "RepeatInterleave": lambda x, repeats: torch.repeat_interleave(x, repeats.long()),
    "RepeatInterleaveInt": lambda x, repeats: torch.repeat_interleave(x, repeats),
    "RepeatInterleaveIntWithDim": lambda x, repeats, dim: torch.repeat_interleave(x, repeats, dim),
    "RepeatInterleaveWithDim": lambda x, repeats, dim: torch.repeat_interleave(x, repeats.long(), dim),
    "RepeatInterleaveTensor": lambda repeats: torch.repeat_interleave(repeats.long()),
    "RepeatInterleaveGrad": lambda g, repeats, axis: torch.zeros(
        g.shape[:axis % g.dim()] + ((repeats.numel(),) if repeats.numel() > 1 else (g.shape[axis] // int(repeats),))
        + g.shape[axis % g.dim() + 1:], dtype=g.dtype).index_add(
            axis, torch.repeat_interleave(repeats.long() if repeats.numel() > 1
                                          else torch.full((g.shape[axis] // int(repeats),), int(repeats))), g),
    "Roll": lambda x, shifts, dims: torch.roll(x, shifts, dims or None),
    "ScatterAdd": lambda x, dim, index, source: x.scatter_add(dim, wrapped(index, x.shape[dim]), source),
    "Scatter": scatter,
    "ScatterValue": scatter,
    "ScatterReduce": lambda x, dim, index, source, how, whole: x.scatter_reduce(
        dim, index.long(), source, ["sum", "prod", "mean", "amax", "amin"][how], include_self=whole),
    "ScatterNd": lambda x, indices, updates: x.index_put(tuples(indices, x), updates),
    "ScatterNdUpdate": lambda x, indices, updates: x.index_put(tuples(indices, x), updates),
    "Slice": lambda x, dim, start, end, step: x[(slice(None),) * (dim % x.dim()) + (slice(start, end, step),)],
    "SplitWithSize": lambda x, sizes, dim: [t for t in torch.split(x, sizes, dim)],
    "Take": lambda x, index: torch.take(x, wrapped(index, x.numel())),
    "Tril": lambda x, diagonal: torch.tril(x, diagonal),
    "Triu": lambda x, diagonal: torch.triu(x, diagonal),
    "Embedding": lambda weight, indices: F.embedding(indices.long(), weight),
    "EmbeddingRenorm": lambda x, indices, most, p: torch.embedding_renorm_(x.clone(), indices.long(), most, p),
    "NpuFormatCast": lambda x: x,
    "TransMatmulWeight": lambda x: x,
})


@named("EmbeddingDenseBackward")
def embedding_backward(a):
    padding = a.paddingIdx if a.paddingIdx < a.numWeights else -1
    grad = a.grad.reshape(-1, a.grad.shape[-1])
    return torch.ops.aten.embedding_dense_backward(grad, a.indices.long().reshape(-1), a.numWeights, padding, a.scaleGradByFreq)


@named("EmbeddingBag")
def embedding_bag(a):
    y = F.embedding_bag(a.indices.long(), a.weight, a.offsets.long(), mode=["sum", "mean", "max"][a.mode],
                        per_sample_weights=a.perSampleWeights, include_last_offset=a.includeLastOffset,
                        padding_idx=None if a.paddingIdx < 0 else a.paddingIdx)
    return {"output": y}


@named("Index")
def index(a):
    return a.self[tuple(slice(None) if i.numel() == 0 else (i if i.dtype == torch.bool else i.long()) for i in a.indices)]


@named("IndexPutImpl")
def index_put(a):
    indices = tuple(i if i.dtype in (torch.bool, torch.uint8) else i.long() for i in a.indices)
    return a.selfRef.index_put(indices, a.values.to(a.selfRef.dtype), a.accumulate)


@named("OneHot")
def one_hot(a):
    classes = torch.arange(a.numClasses)
    axis = a.axis % (a.self.dim() + 1)
    hot = a.self.long().unsqueeze(axis) == classes.reshape((-1,) + (1,) * (a.self.dim() - axis))
    return torch.where(hot, a.onValue.reshape(()), a.offValue.reshape(()))


@named("InplaceScatterUpdate")
def scatter_update(a):
    data, axis = a.data.clone(), a.axis % a.data.dim()
    for row, start in enumerate(a.indices.reshape(-1).tolist()):
        data[row].narrow(axis - 1, start, a.updates.shape[axis]).copy_(a.updates[row])
    return data


def within(x, low, high):
    x = x.to(torch.float64)
    assert ((x >= low) & (x <= high)).all(), f"not between {low} and {high}"


@random("InplaceUniform", "InplaceUniformTensor", "InplaceRandom", "InplaceRandomTensor")
def uniform(a):
    within(a.outputs["selfRef"], getattr(a, "from"), a.to)


@random("InplaceBernoulli", "InplaceBernoulliTensor", "Bernoulli", "BernoulliTensor")
def bernoulli(a):
    for x in a.outputs.values():
        assert ((x == 0) | (x == 1)).all(), "neither 0 nor 1"


@random("InplaceNormal", "InplaceNormalTensor", "NormalFloatFloat", "NormalFloatTensor", "NormalTensorFloat", "NormalTensorTensor")
def normal(a):
    x = next(iter(a.outputs.values())).to(torch.float64)
    mean, std = torch.as_tensor(a.mean), torch.as_tensor(a.std)
    if mean.numel() not in (1, x.numel()) or std.numel() not in (1, x.numel()):
        mean, std = mean.expand(x.shape), std.expand(x.shape)
    assert ((x.reshape(-1) - mean.reshape(-1)).abs() <= 8 * std.reshape(-1).abs() + 1e-3).all(), "more than eight deviations away"


@random("Randperm")
def randperm(a):
    x = next(iter(a.outputs.values())).long()
    assert x.sort()[0].equal(torch.arange(a.n)), "no permutation"


@random("Multinomial", "MultinomialTensor")
def multinomial(a):
    x = next(iter(a.outputs.values())).long()
    rows = a.self.reshape(-1, a.self.shape[-1])
    for chosen, weights in zip(x.reshape(rows.shape[0], -1), rows):
        assert (weights[chosen] > 0).all(), "a category of no weight"
        assert a.replacement or chosen.unique().numel() == chosen.numel(), "a category twice"


@random("SimThreadExponential")
def exponential(a):
    assert (a.outputs["selfRef"] >= 0).all(), "negative"


@random("DropoutGenMask", "DropoutGenMaskV2", "DropoutGenMaskV2Tensor")
def dropout_mask(a):
    count = 1
    for n in a.shape:
        count *= n
    assert next(iter(a.outputs.values())).numel() * 8 >= count, "fewer bits than elements"


@random("RReluWithNoise", "InplaceRReluWithNoise")
def rrelu(a):
    noise = a.outputs["noise"].to(torch.float64)
    y = a.outputs["out" if "out" in a.outputs else "selfRef"].to(torch.float64)
    x = a.selfRef if getattr(a, "selfRef", None) is not None else a.self
    if a.training:
        negative = x <= 0
        within(noise[negative], a.lower - 1e-3, a.upper + 1e-3)
        assert torch.allclose(y, torch.where(negative, x * noise, x), rtol=1e-2), "not the input times the noise"
    else:
        assert torch.allclose(y, F.leaky_relu(x, (a.lower + a.upper) / 2), rtol=1e-2), "not of the middle slope"
