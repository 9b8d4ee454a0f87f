"""The gradients of the operators of torch's database, npu against cpu, with torch's tolerances."""

import torch

import opinfo
from opinfo import difference, refusal, tensors, to

# Results are not determined, and neither are gradients.
NOT_COMPARED = opinfo.NOT_COMPARED | {
    # Eigenvectors and the like have a free sign or phase; torch's own tests compare functions of them.
    "svd", "linalg.svd",
}


# Operators of whose first argument only torch_npu has a gradient: its formula, not an operator's.
FIRST_ARGUMENT = {"nn.functional.binary_cross_entropy_with_logits"}


def attempt(op, dtype, limit):
    """passed, unsupported or failed, with a sentence."""
    try:
        samples = list(op.sample_inputs("cpu", dtype, requires_grad=True))
    except Exception as e:
        return "unsupported", f"no samples: {e}"

    def gradients(device, sample):
        x, args, kwargs = to(device, (sample.input, sample.args, sample.kwargs), grad=True)
        leaves = [t for t in tensors((x, args, kwargs)) if t.requires_grad]
        # Operators in place must not write leaves.
        out = sample.output_process_fn_grad(op(x, *args, **kwargs))
        out = [t for t in tensors(out) if t.requires_grad and t.is_floating_point()]
        if not out or not leaves:
            return None
        weights = [torch.linspace(0.5, 1.5, t.numel()).reshape(t.shape).to(t.dtype).to(device) for t in out]
        found = torch.autograd.grad(out, leaves, weights, allow_unused=True)
        return [None if g is None else g.detach().cpu() for g in found]

    tried = 0
    for sample in samples[:limit]:
        if opinfo.deviates(op, sample):
            continue
        try:
            wanted = gradients("cpu", sample)
        except Exception:
            continue
        if wanted is None or all(g is None for g in wanted):
            continue
        try:
            got = gradients("npu", sample)
        except Exception as e:
            return refusal(e)
        tried += 1
        if got is None:
            return "failed", "results on the npu want no gradient"
        if op.name in NOT_COMPARED or "random" in op.name:
            continue
        if op.name in FIRST_ARGUMENT:
            wanted, got = wanted[:1], got[:1]
        lost = [i for i, (w, g) in enumerate(zip(wanted, got)) if w is not None and g is None]
        if lost:
            return "failed", f"no gradient of argument {lost[0]}"
        pairs = [(w, g) for w, g in zip(wanted, got) if w is not None]
        if not pairs:
            continue
        why = difference(*zip(*pairs), dtype)
        if why:
            return "failed", why
    return ("passed", "") if tried else ("unsupported", "no sample has gradients on the cpu")


def wanted(op, dtype):
    return op.supports_autograd and dtype in op.dtypes


if __name__ == "__main__":
    opinfo.main(attempt, [torch.float32], wanted, 150)
