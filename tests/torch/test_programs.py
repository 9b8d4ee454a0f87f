"""Whole programs: the losses of each step on the npu beside those on the cpu, from the same weights."""

import os

import torch
import torch.nn as nn
import torch.nn.functional as F

from common import FULL, ROOT, Case, main


def digits():
    """Images 8 × 8 and their digits."""
    path = os.path.join(ROOT, "tests/data/digits/digits.csv")
    with open(path) as file:
        rows = [[int(v) for v in line.split(",")] for line in file if line[0].isdigit()]
    table = torch.tensor(rows)
    return table[:, :64].float().reshape(-1, 1, 8, 8) / 16, table[:, 64]


class Block(nn.Module):
    def __init__(self, width, heads, dropout):
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        batch, length, width = x.shape
        parts = self.qkv(self.first(x)).split(width, dim=2)
        q, k, v = (t.view(batch, length, self.heads, width // self.heads).transpose(1, 2) for t in parts)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True, dropout_p=self.dropout if self.training else 0.0)
        x = x + self.out(y.transpose(1, 2).reshape(batch, length, width))
        return x + self.down(F.gelu(self.up(self.second(x))))


class Gpt(nn.Module):
    """Characters: 4 layers, 128 wide, 4 heads, context 64."""

    def __init__(self, characters, width=128, heads=4, layers=4, context=64, dropout=0.0):
        super().__init__()
        self.token, self.place = nn.Embedding(characters, width), nn.Embedding(context, width)
        self.blocks = nn.ModuleList(Block(width, heads, dropout) for _ in range(layers))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, characters, bias=False)

    def forward(self, text):
        x = self.token(text) + self.place(torch.arange(text.shape[1], device=text.device))
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


def text():
    """The project's own text, as numbers."""
    with open(os.path.join(ROOT, "ARCHITECTURE.md"), encoding="utf-8") as file:
        data = file.read()
    characters = sorted(set(data))
    number = {c: i for i, c in enumerate(characters)}
    return torch.tensor([number[c] for c in data]), len(characters)


def train(model, device, steps, batch, optimiser):
    """The loss of each step."""
    model = model.to(device)
    optimiser = optimiser(model.parameters())
    losses = []
    for step in range(steps):
        x, y = (t.to(device) for t in batch(step))
        out = model(x)
        loss = F.cross_entropy(out.reshape(-1, out.shape[-1]), y.reshape(-1))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses


class Programs(Case):
    def compare(self, make, steps, batch, optimiser, tol):
        losses = {}
        for device in ("cpu", "npu"):
            torch.manual_seed(0)
            losses[device] = train(make(), device, steps, batch, optimiser)
        worst = max(abs(a - b) for a, b in zip(losses["cpu"], losses["npu"]))
        print(f"{self.id()}: loss {losses['npu'][0]:.4f} to {losses['npu'][-1]:.4f}, off by {worst:.1e} at most")
        self.assertLess(worst, tol)
        self.assertLess(losses["npu"][-1], losses["npu"][0])

    def images(self):
        x, y = digits()
        return lambda step: (x[step * 64 % 1280 :][:64], y[step * 64 % 1280 :][:64])

    def test_mlp(self):
        make = lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
        for optimiser in (lambda p: torch.optim.Adam(p, 1e-3), lambda p: torch.optim.SGD(p, 0.1, momentum=0.9)):
            self.compare(make, 60, self.images(), optimiser, 2e-3)

    def test_cnn(self):
        make = lambda: nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(64, 10),
        )
        self.compare(make, 30, self.images(), lambda p: torch.optim.Adam(p, 1e-3), 5e-3)

    def test_gpt(self):
        data, characters = text()

        def batch(step):
            torch.manual_seed(step)
            at = torch.randint(len(data) - 65, (8,)).tolist()
            return torch.stack([data[i : i + 64] for i in at]), torch.stack([data[i + 1 : i + 65] for i in at])

        steps = 200 if FULL else 20
        self.compare(lambda: Gpt(characters), steps, batch, lambda p: torch.optim.AdamW(p, 1e-3), 2e-2)


if __name__ == "__main__":
    main()
