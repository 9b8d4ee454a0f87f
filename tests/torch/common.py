"""What the tests of torch_npu share: the same computation on cpu and npu, compared."""

import copy
import os
import sys
import unittest
import warnings

warnings.filterwarnings("ignore")
# Faults are reported where they happen.
os.environ.setdefault("TASK_QUEUE_ENABLE", "0")

import torch  # noqa: E402
import torch_npu  # noqa: E402,F401

# The tensors are small, and other work may want the cores.
torch.set_num_threads(1)

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FULL = os.environ.get("VINCI_TORCH_FULL") == "1"


def is_float(value):
    return isinstance(value, torch.Tensor) and value.is_floating_point()


def flat(value):
    """The tensors and numbers in nested lists."""
    if isinstance(value, (tuple, list)):
        return [leaf for item in value for leaf in flat(item)]
    return [value]


def run(device, function, args, backward):
    """The results of a function on a device, on the cpu; with the gradients of its float arguments if asked."""

    def place(value):
        if not isinstance(value, torch.Tensor):
            return value
        moved = value.detach().clone().to(device)
        return moved.requires_grad_(backward and moved.is_floating_point())

    torch.manual_seed(0)
    placed = [place(value) for value in args]
    results = flat(function(*placed))
    if backward:
        total = 0
        for result in filter(is_float, results):
            weights = torch.linspace(0.5, 1.5, result.numel(), device="cpu").reshape(result.shape).to(device)
            total = total + (result.float() * weights).sum()
        total.backward()
        results += [value.grad for value in placed if is_float(value)]
    return [value.detach().cpu() if isinstance(value, torch.Tensor) else value for value in results]


class Case(unittest.TestCase):
    """A test whose results on the npu are compared with those on the cpu."""

    def same(self, function, *args, tol=1e-4, backward=False):
        wanted, got = (run(device, function, args, backward) for device in ("cpu", "npu"))
        self.assertEqual(len(wanted), len(got))
        for want, have in zip(wanted, got):
            if isinstance(want, torch.Tensor):
                torch.testing.assert_close(have, want, rtol=tol, atol=tol, equal_nan=True)
            else:
                self.assertEqual(want, have)

    def twins(self, make, *args, tol=1e-4):
        """A module and its copy on the npu: results, and gradients of inputs and weights."""
        torch.manual_seed(2)
        module = make()
        twin = copy.deepcopy(module).npu()
        placed = [a.detach().clone().requires_grad_() for a in args], [a.npu().requires_grad_() for a in args]
        results = []
        for m, inputs in zip((module, twin), placed):
            out = flat(m(*inputs))
            sum((o * torch.linspace(0.5, 1.5, o.numel()).reshape(o.shape).to(o.device)).sum() for o in out).backward()
            results.append([*out, *(a.grad for a in inputs), *(q.grad for q in m.parameters())])
        for want, have in zip(*results):
            torch.testing.assert_close(have.cpu(), want, rtol=tol, atol=tol)


def main():
    """Runs the tests of the calling file; the last line is one that `cargo xtask test` counts."""
    program = unittest.main(module="__main__", exit=False, verbosity=1, buffer=False)
    result = program.result
    failed = len(result.failures) + len(result.errors)
    skipped = len(result.skipped)
    passed = result.testsRun - failed - skipped
    for test, reason in result.skipped:
        print(f"skipped: {test.id()}: {reason}")
    outcome = "FAILED" if failed else "ok"
    print(f"test result: {outcome}. {passed} passed; {failed} failed; {skipped} ignored", flush=True)
    sys.exit(1 if failed else 0)
