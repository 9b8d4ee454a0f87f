"""Products of matrices and their factors."""

import torch

from . import named, positional, table


def times(factor, x):
    """torch's products leave out what beta 0 multiplies, NaN too."""
    return 0 if factor == 0 else (1 if factor is None else factor) * x


table({"Matmul": torch.matmul, "Mm": torch.matmul, "BatchMatMul": torch.matmul, "Mv": torch.matmul, "Dot": torch.dot,
       "BatchMatMulWeightNz": torch.matmul, "MatmulWeightNz": torch.matmul, "Ger": torch.outer}, 2)
table({
    "Addmm": lambda c, a, b, beta, alpha: times(beta, c) + alpha * (a @ b),
    "AddmmWeightNz": lambda c, a, b, beta, alpha: times(beta, c) + alpha * (a @ b),
    "Baddbmm": lambda c, a, b, beta, alpha: times(beta, c) + alpha * (a @ b),
    "Addbmm": lambda c, a, b, beta, alpha: times(beta, c) + alpha * (a @ b).sum(0),
    "Addmv": lambda c, a, b, alpha, beta: times(beta, c) + alpha * (a @ b),
    "Addr": lambda c, a, b, beta, alpha: (
        times(beta, c) | (torch.outer(a, b) if alpha is None or alpha else torch.outer(a, b) & False)
        if c.dtype == torch.bool else times(beta, c) + times(alpha, torch.outer(a, b))),
    "Gemm": lambda a, b, c, alpha, beta, ta, tb: alpha * ((a.mT if ta else a) @ (b.mT if tb else b)) + times(beta, c),
    "Inverse": lambda x: torch.linalg.inv(x),
    "LinalgCholesky": lambda x, upper: torch.linalg.cholesky(x, upper=upper),
    "LinalgCross": lambda x, y, dim: torch.linalg.cross(x, y, dim=dim),
    "Slogdet": lambda x: tuple(torch.linalg.slogdet(x)),
    "TriangularSolve": lambda b, a, upper, transpose, unit: (
        torch.linalg.solve_triangular(a.mT if transpose else a, b, upper=upper != transpose, unitriangular=unit), a),
    "Cdist": lambda x, y, p: torch.cdist(x, y, p, compute_mode="donot_use_mm_for_euclid_dist"),
    "CdistBackward": lambda g, x, y, distance, p: torch.ops.aten._cdist_backward(g, x, y, p, distance),
    "Pdist": lambda x, p: torch.nn.functional.pdist(x, p),
})


@named("LinalgQr")
def qr(a):
    """Columns have a sign of their own: the product and the shape of the factors say whether they are right."""
    q, r = a.outputs["Q"].to(torch.float64), a.outputs["R"].to(torch.float64)
    if a.mode == 2:
        return None
    n = q.shape[-1]
    return Properties((q @ r, a.self), (q.mT @ q, torch.eye(n, dtype=q.dtype).expand(q.mT.shape[:-1] + (n,))), (r, r.triu()))


@named("Svd")
def svd(a):
    sigma = torch.linalg.svdvals(a.input)
    if not a.computeUV:
        return {"sigma": sigma}
    u, v = a.outputs["u"].to(torch.float64), a.outputs["v"].to(torch.float64)
    k = sigma.shape[-1]
    return Properties((a.outputs["sigma"], sigma), (u[..., :k] * sigma[..., None, :] @ v[..., :k].mT, a.input))


class Properties:
    """Pairs of tensors that have to be equal, instead of outputs."""

    def __init__(self, *pairs):
        self.pairs = pairs


@named("TransposeBatchMatMul", "TransposeBatchMatMulWeightNz")
def transpose_batch_matmul(a):
    x1 = a.x1.permute(a.permX1) if a.permX1 else a.x1
    x2 = a.x2.permute(a.permX2) if a.permX2 else a.x2
    y = x1 @ x2
    if a.bias is not None:
        y = y + a.bias
    return None if a.scale is not None else y.permute(a.permY) if a.permY else y
