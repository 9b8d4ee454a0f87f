"""Complex numbers: their parts, movement, arithmetic, functions and gradients."""

import torch
import torch.nn.functional as F
from torch import randn

from common import Case, main

UNARY = (
    "neg abs angle exp log log2 log10 sqrt rsqrt sin cos tan sinh cosh tanh asinh acosh atanh reciprocal sigmoid sgn "
    "square isnan conj_physical real imag logical_not nonzero sum mean prod any all"
).split()
BINARY = "add sub mul div pow eq ne outer logical_and".split()


def z(*dims):
    return randn(*dims, dtype=torch.complex64)


def at(x, *indices):
    return torch.tensor(indices, device=x.device)


class Complex(Case):
    def each(self, functions, *args):
        for name, function in functions.items():
            with self.subTest(name):
                self.same(function, *args)

    def test_functions(self):
        self.each({name: getattr(torch, name) for name in UNARY}, z(3, 4))

    def test_two(self):
        for name in BINARY:
            with self.subTest(name):
                dims = (4,) if name == "outer" else (3, 4)
                self.same(getattr(torch, name), z(*dims), z(*dims))
        self.each({"broadcast": lambda x, y: x[:, :1] * y[:1], "strides": lambda x, y: (x.t() / y.t())[::2]}, z(3, 4), z(3, 4))

    def test_scalars(self):
        functions = {
            "add": lambda x: x + (1 + 2j), "sub": lambda x: x - 2j, "rsub": lambda x: (1 + 2j) - x,
            "mul": lambda x: x * (1 + 2j), "real": lambda x: x * 2, "div": lambda x: x / (1 + 2j),
            "square": lambda x: x**2, "root": lambda x: x**0.5, "power": lambda x: (2 + 1j) ** x,
            "alpha": lambda x: torch.add(x, x, alpha=2 + 1j), "eq": lambda x: x == 1j, "zero": lambda x: x / 0,
        }
        self.each(functions, z(3, 4))
        self.each({"mul": lambda x: x * (1 + 2j), "add": lambda x: x + 2j}, randn(3, 4))

    def test_parts(self):
        self.same(torch.complex, randn(3, 4), randn(4))
        self.same(torch.polar, randn(3, 4).abs(), randn(3, 4))
        self.same(torch.view_as_complex, randn(3, 2))
        self.each(
            {
                "view_as_real": torch.view_as_real, "conj": lambda x: x.conj().resolve_conj(),
                "product": lambda x: x.conj() * x, "set": lambda x: (x.imag.zero_(), x), "to": lambda x: x.to(torch.complex128),
                "bool": lambda x: (x - x.real).bool(),
            },
            z(3, 4),
        )
        self.same(lambda x: x.to(torch.complex64), randn(3, 4))

    def test_movement(self):
        self.each(
            {
                "t": lambda x: x.t().contiguous(), "flip": lambda x: x.flip(0), "roll": lambda x: x.roll(1, 0),
                "tril": torch.tril, "repeat": lambda x: x.repeat(2, 1), "pad": lambda x: F.pad(x, (1, 1)),
                "cat": lambda x: torch.cat([x, x]), "stack": lambda x: torch.stack([x, x], 1),
                "index": lambda x: x[at(x, 0, 2)], "index_select": lambda x: x.index_select(1, at(x, 3, 0)),
                "gather": lambda x: x.gather(1, at(x, 0, 1, 2)[:, None]), "take": lambda x: torch.take(x, at(x, 0, 11)),
                "where": lambda x: torch.where(x.real > 0, x, x * 2), "masked_select": lambda x: x[x.real > 0],
                "masked_fill": lambda x: x.masked_fill(x.real > 0, 1j), "embedding": lambda x: F.embedding(at(x, 2, 0), x),
                "fill": lambda x: x.fill_(2 - 1j), "set": lambda x: (x.__setitem__(0, 3 + 1j), x),
                "put": lambda x: x.index_put((at(x, 0, 0),), x[:2], accumulate=True),
                "scatter_add": lambda x: x.scatter_add(1, at(x, 0, 1, 1, 2)[None], x), "cumsum": lambda x: x.cumsum(1),
                "index_add": lambda x: x.index_add(0, at(x, 0, 0, 1), x), "diag": lambda x: torch.diag(x[0]),
                "sum": lambda x: x.sum(1), "prod": lambda x: x.prod(0), "item": lambda x: x[0, 0].item(),
            },
            z(3, 4),
        )

    def test_double(self):
        self.each({"mul": lambda x: x * x, "exp": torch.exp, "sum": torch.sum}, z(3, 4).to(torch.complex128))

    def test_rotary(self):
        """Positions as angles, as LLaMA has them."""

        def turn(x):
            angles = torch.outer(torch.arange(5.0, device=x.device), torch.arange(4.0, device=x.device))
            turned = torch.view_as_complex(x.reshape(2, 5, 4, 2)) * torch.polar(torch.ones_like(angles), angles)
            return torch.view_as_real(turned).flatten(2)

        self.same(turn, randn(2, 5, 8), backward=True)

    def test_gradients(self):
        functions = {
            "mul": lambda x, y: x * y, "div": lambda x, y: x / y, "conj": lambda x, y: x.conj() * y,
            "pow": lambda x, y: x**3 + y, "exp": lambda x, y: x.exp() * y.sqrt(), "log": lambda x, y: x.log() + y.sin(),
            "cat": lambda x, y: torch.cat([x[0], y[1]]), "angle": lambda x, y: x.angle() + y.real,
        }
        for name, function in functions.items():
            with self.subTest(name):
                self.same(
                    lambda x, y, u, v, f=function: torch.view_as_real(f(torch.complex(x, y), torch.complex(u, v)) + 0j),
                    *(randn(3, 4) for _ in range(4)), backward=True,
                )


if __name__ == "__main__":
    main()
