"""Operators that torch_npu calls by their names in graphs, and modules that want them."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import randn

from common import Case, flat, main

import torch_npu


class Gated(Case):
    def test_layers(self):
        x = randn(5, 3, 6)
        for layers in (1, 2):
            for bidirectional in (False, True):
                for first in (False, True):
                    for bias in (False, True):
                        with self.subTest(layers=layers, bidirectional=bidirectional, first=first, bias=bias):
                            self.twins(
                                lambda: nn.GRU(
                                    6, 4, num_layers=layers, bidirectional=bidirectional, batch_first=first, bias=bias
                                ),
                                x,
                            )

    def test_states(self):
        self.twins(lambda: nn.GRU(6, 4, num_layers=2), randn(5, 3, 6), randn(2, 3, 4))
        self.twins(lambda: nn.GRU(6, 4), randn(1, 3, 6), randn(1, 3, 4))

    def test_half(self):
        self.twins(lambda: nn.GRU(6, 4, num_layers=2, bidirectional=True).half(), randn(5, 3, 6).half(), tol=1e-2)

    def test_large(self):
        self.twins(lambda: nn.GRU(40, 64), randn(20, 16, 40), tol=1e-3)

    def test_without_gradients(self):
        torch.manual_seed(3)
        module, x = nn.GRU(6, 4, num_layers=2), randn(5, 3, 6)
        with torch.no_grad():
            wanted = module(x)
            for want, have in zip(wanted, module.npu()(x.npu())):
                torch.testing.assert_close(have.cpu(), want, rtol=1e-5, atol=1e-5)

    def test_training(self):
        """An echo of the input three steps ago is learned as on the cpu."""

        def losses(device):
            torch.manual_seed(4)
            net, head = nn.GRU(1, 8).to(device), nn.Linear(8, 1).to(device)
            optimiser = torch.optim.Adam([*net.parameters(), *head.parameters()], lr=1e-2)
            made, x = [], randn(12, 4, 1).to(device)
            for _ in range(20):
                loss = (head(net(x)[0])[3:] - x[:-3]).square().mean()
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                made.append(loss.item())
            return made

        wanted, got = losses("cpu"), losses("npu")
        self.assertLess(max(abs(a - b) for a, b in zip(wanted, got)), 1e-4)
        self.assertLess(got[-1], got[0])


class Cells(Case):
    def test_cells(self):
        for cell in (nn.LSTMCell, nn.GRUCell, nn.RNNCell):
            for bias in (False, True):
                with self.subTest(cell=cell.__name__, bias=bias):
                    self.twins(lambda: cell(6, 4, bias=bias), randn(3, 6))

    def test_unrolled(self):
        class Unrolled(nn.Module):
            def __init__(self):
                super().__init__()
                self.cell = nn.LSTMCell(6, 4)

            def forward(self, x, h, c):
                for step in x:
                    h, c = self.cell(step, (h, c))
                return h, c

        self.twins(Unrolled, randn(4, 3, 6), randn(3, 4), randn(3, 4))

    def test_half(self):
        for cell in (nn.LSTMCell, nn.GRUCell):
            with self.subTest(cell.__name__):
                self.twins(lambda: cell(6, 4).half(), randn(3, 6).half(), tol=1e-2)


class Own(Case):
    """Functions of torch_npu itself, beside what torch has for them."""

    def beside(self, own, torch_s, *args):
        want, have = torch_s(*args), own(*(a.npu() for a in args))
        for w, h in zip(flat(want), flat(have)):
            torch.testing.assert_close(h.cpu().to(w.dtype), w, rtol=1e-5, atol=1e-5)

    def test_shapes(self):
        x = randn(2, 3, 4)
        self.beside(lambda x: torch_npu.npu_transpose(x, (2, 0, 1)), lambda x: x.permute(2, 0, 1), x)
        self.beside(lambda x: torch_npu.npu_broadcast(x, (5, 2, 3, 4)), lambda x: x.expand(5, 2, 3, 4), x)
        self.beside(lambda x: torch_npu.npu_slice(x, [0, 1, 2], [2, 2, 1]), lambda x: x[:, 1:3, 2:3], x)
        self.beside(lambda x: torch_npu.npu_pad(x, [1, 0, 0, 2, 0, 0]), lambda x: F.pad(x, (0, 0, 0, 2, 1, 0)), x)

    def test_functions(self):
        x = randn(3, 5)
        self.beside(torch_npu.npu_mish, F.mish, x)
        self.beside(torch_npu.npu_silu, F.silu, x)
        self.beside(lambda x: torch_npu.npu_max(x, 1), lambda x: torch.max(x, 1), x)
        self.beside(lambda x: torch_npu.npu_min(x, 0), lambda x: torch.min(x, 0), x)

    def test_gradients(self):
        def slopes(function, x):
            x = x.detach().requires_grad_()
            (function(x) * torch.arange(15.0, device=x.device).reshape(3, 5)).sum().backward()
            return x.grad

        for own, torch_s in ((torch_npu.npu_mish, F.mish), (torch_npu.npu_silu, F.silu)):
            self.beside(lambda x: slopes(own, x), lambda x: slopes(torch_s, x), randn(3, 5))


if __name__ == "__main__":
    main()
