"""Reductions, scans, order."""

import torch

from . import named, positional, table


def dims(dim, x):
    """CANN takes no dimensions for all of them."""
    return tuple(dim) if dim else tuple(range(x.dim()))


def floating(x, dtype):
    return x if dtype is None or x.is_floating_point() and dtype.is_floating_point else x.to(dtype)


def extreme(function):
    def along(x, dim, keep):
        values, _ = function(x, dim, keep)
        return values, Place(x, dim, values, keep)
    return along


class Place:
    """Where elements are along a dimension: of equal ones any will do."""

    def __init__(self, x, dim, values, keep=True):
        self.x, self.dim, self.values, self.keep = x, dim, values, keep

    def difference(self, found):
        """None if the places that were found hold the values."""
        if self.x.dim() == 0:
            return None if not found.any() else "not 0"
        values, found = self.values, found.long()
        if not self.keep:
            values, found = values.reshape(found.shape).unsqueeze(self.dim), found.unsqueeze(self.dim)
        if found.min() < 0 or found.max() >= self.x.shape[self.dim]:
            return "places beyond the dimension"
        there = self.x.gather(self.dim, found.reshape(values.shape))
        same = (there == values) | (there != there) & (values != values)
        return None if same.all() else f"{(~same).sum().item()} places hold something else"


table({
    "ReduceSum": lambda x, dim, keep, dtype: floating(x, dtype).sum(dims(dim, x), keep),
    "ReduceNansum": lambda x, dim, keep, dtype: floating(x, dtype).nansum(dims(dim, x), keep),
    "Mean": lambda x, dim, keep, dtype: floating(x, dtype).mean(dims(dim, x), keep),
    "Prod": lambda x, dtype: floating(x, dtype).prod(),
    "ProdDim": lambda x, dim, keep, dtype: floating(x, dtype).prod(dim, keep),
    "All": lambda x, dim, keep: torch.all(x.bool(), dims(dim, x), keep),
    "Any": lambda x, dim, keep: torch.any(x.bool(), dims(dim, x), keep),
    "Amax": lambda x, dim, keep: torch.amax(x, dims(dim, x), keep),
    "Amin": lambda x, dim, keep: torch.amin(x, dims(dim, x), keep),
    "Aminmax": lambda x, dim, keep: (torch.amin(x, dims(dim, x), keep), torch.amax(x, dims(dim, x), keep)),
    "AminmaxAll": lambda x: (x.min(), x.max()),
    "AminmaxDim": lambda x, dim, keep: (torch.amin(x, dim, keep), torch.amax(x, dim, keep)),
    "ArgMax": lambda x, dim, keep: Place(x, dim, x.amax(dim, keep), keep),
    "ArgMin": lambda x, dim, keep: Place(x, dim, x.amin(dim, keep), keep),
    "Max": lambda x: x.max(),
    "Min": lambda x: x.min(),
    "MaxV2": lambda x, dim, keep: torch.amax(x, dims(dim, x), keep),
    "MaxDim": extreme(torch.max),
    "MinDim": extreme(torch.min),
    "Median": lambda x: x.median(),
    "NanMedian": lambda x: x.nanmedian(),
    "MedianDim": extreme(torch.median),
    "NanMedianDim": extreme(torch.nanmedian),
    "Kthvalue": lambda x, k, dim, keep: (lambda v: (v, Place(x, dim, v, keep)))(torch.kthvalue(x, k, dim, keep)[0]),
    "Cummax": lambda x, dim: (lambda v: (v, Place(x, dim, v)))(torch.cummax(x, dim)[0]),
    "Cummin": lambda x, dim: (lambda v: (v, Place(x, dim, v)))(torch.cummin(x, dim)[0]),
    "Cumsum": lambda x, dim, dtype: floating(x, dtype).cumsum(dim),
    "CumsumV2": lambda x, dim: x.cumsum(dim),
    "Cumprod": lambda x, dim, dtype: floating(x, dtype).cumprod(int(dim)),
    "LogSumExp": lambda x, dim, keep: torch.logsumexp(x.to(torch.float64), dims(dim, x), keep),
    "Norm": lambda x, p, dim, keep: torch.linalg.vector_norm(x, p, dims(dim, x), keep),
    "LinalgVectorNorm": lambda x, p, dim, keep: torch.linalg.vector_norm(x, p, dims(dim, x), keep),
    "Std": lambda x, dim, correction, keep: torch.std(x, dims(dim, x), correction=correction, keepdim=keep),
    "Var": lambda x, dim, unbiased, keep: torch.var(x, dims(dim, x), correction=int(unbiased), keepdim=keep),
    "VarCorrection": lambda x, dim, correction, keep: torch.var(x, dims(dim, x), correction=correction, keepdim=keep),
    "VarMean": lambda x, dim, correction, keep: torch.var_mean(x, dims(dim, x), correction=correction, keepdim=keep),
    "StdMeanCorrection": lambda x, dim, correction, keep: torch.std_mean(
        x, dims(dim, x), correction=correction, keepdim=keep),
    "Trace": lambda x: x.trace(),
    "Bincount": lambda x, weights, least: torch.bincount(x.long(), weights, least),
    "Histc": lambda x, bins, low, high: torch.histc(x.to(torch.float64), bins, low, high),
    "Equal": lambda x, y: torch.tensor(torch.equal(x, y)),
    "Softmax": lambda x, dim: torch.softmax(x, dim),
    "LogSoftmax": lambda x, dim: torch.log_softmax(x, dim),
    "SoftmaxBackward": lambda g, y, dim: y * (g - (g * y).sum(dim, True)),
    "LogSoftmaxBackward": lambda g, y, dim: g - y.exp() * g.sum(dim, True),
    "Renorm": lambda x, p, dim, most: torch.renorm(x, p, dim, most),
})


@positional("Sort")
def sort(x, stable, dim, descending):
    values, places = torch.sort(x, dim=dim, descending=descending, stable=True)
    return values, places if stable else Place(x, dim, values)


@positional("Argsort")
def argsort(x, dim, descending):
    return Place(x, dim, torch.sort(x, dim, descending)[0])


@positional("Topk")
def topk(x, k, dim, largest, ordered):
    values = torch.topk(x, k, dim, largest)[0]
    return (values, Place(x, dim, values)) if ordered else None


@positional("Unique")
def unique(x, ordered, inverse):
    values, places = torch.unique(x, sorted=True, return_inverse=True)
    return values, places if inverse else None


@named("Unique2")
def unique2(a):
    values, places, counts = torch.unique(a.self, sorted=True, return_inverse=True, return_counts=True)
    return values, places if a.returnInverse else None, counts if a.returnCounts else None


@named("UniqueDim")
def unique_dim(a):
    values, places, counts = torch.unique(a.self, dim=a.dim, return_inverse=True, return_counts=True)
    return values, places if a.returnInverse else None, counts


@named("UniqueConsecutive")
def unique_consecutive(a):
    dim = None if abs(a.dim) > 100 else a.dim
    values, places, counts = torch.unique_consecutive(a.self, return_inverse=True, return_counts=True, dim=dim)
    return values, places if a.returnInverse else None, counts if a.returnCounts else None


@positional("SearchSorted", "SearchSorteds")
def search_sorted(row, x, int32, right, sorter):
    x = x if torch.is_tensor(x) else torch.tensor(x, dtype=row.dtype)
    return torch.searchsorted(row, x.to(row.dtype), right=right, sorter=sorter)


@positional("Bucketize")
def bucketize(x, boundaries, int32, right):
    return torch.bucketize(x, boundaries, right=right)


table({
    "IsInScalarTensor": lambda x, y, unique, invert: torch.isin(torch.tensor(x, dtype=y.dtype), y, invert=invert),
    "IsInTensorScalar": lambda x, y, unique, invert: torch.isin(x, torch.tensor(y, dtype=x.dtype), invert=invert),
})
