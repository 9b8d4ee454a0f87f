"""Every sample of every operator of torch's database, npu against cpu, with torch's tolerances."""

import torch

import opinfo
from opinfo import FLOATS, difference, refusal, tensors, to, widened

TYPES = [torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.bool, torch.complex64]


def attempt(op, dtype, limit):
    """passed, unsupported or failed, with a sentence."""
    try:
        samples = list(op.sample_inputs("cpu", dtype, requires_grad=False))
    except Exception as e:
        return "unsupported", f"no samples: {e}"

    def results(device, arguments):
        x, args, kwargs = to(device, arguments)
        return [t.detach().cpu() for t in tensors(op(x, *args, **kwargs))]

    tried = 0
    for sample in samples[:limit]:
        if opinfo.deviates(op, sample):
            continue
        arguments = sample.input, sample.args, sample.kwargs
        try:
            wanted = results("cpu", arguments)
        except Exception:
            continue
        try:
            got = results("npu", arguments)
        except Exception as e:
            return refusal(e)
        tried += 1
        if op.name in opinfo.NOT_COMPARED or "random" in op.name:
            continue
        if op.name in opinfo.FIRST_ONLY:
            wanted, got = wanted[:1], got[:1]
        if op.name in opinfo.SINGULAR:
            wanted, got = wanted[1:2], got[1:2]
        if op.name == "argsort" and sample.input.dim():
            # The order of equals is free: what counts is what stands at the places.
            dim = (*sample.args, sample.kwargs.get("dim", -1))[0]
            wanted, got = ([torch.take_along_dim(sample.input, t, dim) for t in all] for all in (wanted, got))
        why = difference(wanted, got, dtype)
        if why and dtype in FLOATS:
            # The cpu itself rounds on the way; what float64 gives is as right.
            try:
                exact = [t.to(w.dtype) for t, w in zip(results("cpu", widened(arguments)), wanted)]
                why = difference(exact, got, dtype)
            except Exception:
                pass
        if why:
            return "failed", why
    return ("passed", "") if tried else ("unsupported", "no sample runs on the cpu")


if __name__ == "__main__":
    opinfo.main(attempt, TYPES, lambda op, dtype: dtype in op.dtypes, 240)
