"""Single operators, forward and backward."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import randn

from common import Case, main

ACTIVATIONS = (
    "silu sigmoid tanh elu leaky_relu hardtanh hardsigmoid hardswish hardshrink softshrink softplus logsigmoid mish "
    "relu relu6 selu celu gelu"
).split()
FUNCTIONS = (
    "acos asin atan sinh cosh tan erfc erfinv exp2 expm1 log10 log1p log2 frac sinc isfinite isinf isnan signbit "
    "nan_to_num exp log sqrt rsqrt sin cos floor ceil round trunc sign abs neg reciprocal erf"
).split()


class Elementwise(Case):
    def test_activations(self):
        for name in ACTIVATIONS:
            with self.subTest(name):
                self.same(getattr(F, name, None) or getattr(torch, name), randn(4, 8) * 3, backward=True)

    def test_functions(self):
        for name in FUNCTIONS:
            with self.subTest(name):
                self.same(getattr(torch, name), torch.rand(5, 3) * 0.9 + 0.05)

    def test_prelu_and_glu(self):
        self.same(F.prelu, randn(2, 3, 4), randn(3), backward=True)
        self.same(F.glu, randn(4, 8), backward=True)

    def test_bits(self):
        a, b = (torch.randint(-99, 99, (9,)) for _ in range(2))
        self.same(lambda a, b: (a & b, a | b, a ^ b, ~a, a << 2, a >> 1), a, b)

    def test_print(self):
        self.same(lambda x: str(x.cpu()), randn(3, 4))
        str(torch.arange(6.0, device="npu"))


class Norms(Case):
    def test_layer(self):
        self.same(lambda x, w, b: F.layer_norm(x, (8,), w, b), randn(4, 8), randn(8), randn(8), backward=True)

    def test_group(self):
        self.same(lambda x, w, b: F.group_norm(x, 2, w, b), randn(2, 4, 3, 3), randn(4), randn(4), backward=True, tol=1e-3)

    def test_batch(self):
        def f(x, w, b):
            mean, var = torch.zeros(4, device=x.device), torch.ones(4, device=x.device)
            return F.batch_norm(x, mean, var, w, b, True), mean, var

        self.same(f, randn(2, 4, 3, 3), randn(4), randn(4), backward=True, tol=1e-3)


class Attention(Case):
    def test_masks_and_lengths(self):
        for s, t, d in ((64, 64, 32), (300, 700, 64), (5, 3, 8), (130, 130, 16)):
            q, k, v = (randn(2, 4, n, d) for n in (s, t, t))
            seen = torch.rand(2, 1, s, t) > 0.3
            seen[..., 0] = True
            shift = randn(2, 1, s, t)
            for mask in (None, seen, shift):
                with self.subTest(s=s, t=t, mask=mask is not None and str(mask.dtype)):
                    f = lambda q, k, v: F.scaled_dot_product_attention(
                        q, k, v, None if mask is None else mask.to(q.device)
                    )
                    self.same(f, q, k, v, backward=True)
            if s == t:
                self.same(lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True), q, k, v, backward=True)


class Products(Case):
    def test_no_steps(self):
        for dtype in (torch.float32, torch.float16, torch.bfloat16):
            self.same(torch.matmul, randn(5, 0).to(dtype), randn(0, 40).to(dtype))


class Indices(Case):
    def test_embedding(self):
        self.same(F.embedding, torch.randint(0, 10, (3, 4)), randn(10, 5), backward=True)

    def test_index(self):
        self.same(lambda x, i: x[i], randn(4, 8), torch.tensor([1, 3, -1]), backward=True)
        i, j = torch.tensor([1, 3, -1]), torch.tensor([[0], [2]])
        self.same(lambda x, i, j: x[:, i, j], randn(3, 4, 5), i, j, backward=True)
        self.same(lambda x, i: x[i, :, i], randn(4, 2, 4), torch.tensor([1, 3]), backward=True)

    def test_index_put(self):
        def f(x, i):
            return x.clone().index_put_((i,), torch.ones(3, 8, device=x.device), accumulate=True)

        self.same(f, randn(4, 8), torch.tensor([1, 3, 1]))

    def test_masks(self):
        self.same(lambda x: x[x > 0], randn(4, 8))
        self.same(lambda x: x.masked_fill(x > 0, -1e9), randn(4, 8), backward=True)
        self.same(lambda x: torch.nonzero(x > 0), randn(4, 8))
        self.same(lambda x: x.masked_scatter(x > 0, torch.arange(32.0, device=x.device)), randn(4, 8))

    def test_unique(self):
        self.same(lambda x: torch.unique(x, return_inverse=True, return_counts=True), torch.randint(0, 5, (4, 6)))
        self.same(lambda x: torch.unique(x, dim=1, return_inverse=True), torch.randint(0, 2, (2, 6)))
        self.same(torch.unique_consecutive, torch.randint(0, 3, (20,)))


class Losses(Case):
    def test_losses(self):
        x, t = randn(4, 8), randn(4, 8).sign()
        for name in ("mse_loss", "l1_loss", "smooth_l1_loss", "soft_margin_loss"):
            for reduction in ("mean", "sum", "none"):
                with self.subTest(name, reduction=reduction):
                    f = getattr(F, name)
                    self.same(lambda x: f(x, t.to(x.device), reduction=reduction), x, backward=True)

    def test_cross_entropies(self):
        self.same(F.cross_entropy, randn(4, 8), torch.randint(0, 8, (4,)), backward=True)
        self.same(lambda x: F.binary_cross_entropy(x.sigmoid(), torch.full_like(x, 0.3)), randn(4, 8), backward=True)
        weight = torch.arange(8.0)
        self.same(
            lambda x: F.binary_cross_entropy_with_logits(
                x, torch.full_like(x, 0.3), pos_weight=weight.to(x.device)
            ),
            randn(4, 8),
            backward=True,
        )
        self.same(
            lambda x, t: F.kl_div(x.log_softmax(1), t.softmax(1), reduction="batchmean"), randn(4, 8), randn(4, 8),
            backward=True,
        )


class Convolutions(Case):
    def test_shapes(self):
        x, w = randn(2, 4, 9, 9), randn(6, 4, 3, 3)
        self.same(lambda x, w, b: F.conv2d(x, w, b, stride=2, padding=1), x, w, randn(6), backward=True, tol=1e-3)
        self.same(lambda x, w: F.conv1d(x, w, groups=2, dilation=2), randn(2, 4, 9), randn(6, 2, 3), backward=True, tol=1e-3)
        self.same(F.conv3d, randn(2, 2, 5, 5, 5), randn(3, 2, 3, 3, 3), backward=True, tol=1e-3)
        self.same(
            lambda x, w: F.conv_transpose2d(x, w, stride=2, output_padding=1), randn(2, 4, 5, 5), randn(4, 3, 3, 3),
            backward=True, tol=1e-3,
        )

    def test_pools(self):
        x = randn(2, 3, 8, 9)
        self.same(lambda x: F.max_pool2d(x, 3, 2, 1), x, backward=True)
        self.same(lambda x: F.avg_pool2d(x, 3, 2, 1), x, backward=True)
        self.same(lambda x: F.adaptive_avg_pool2d(x, (3, 4)), x, backward=True)

    def test_interpolation(self):
        for mode in ("nearest", "bilinear", "bicubic"):
            with self.subTest(mode):
                self.same(lambda x: F.interpolate(x, size=(7, 11), mode=mode), randn(2, 3, 4, 5), backward=True, tol=1e-3)


class Attention(Case):
    def test_attention(self):
        q, k, v = (randn(2, 3, 16, 8) for _ in range(3))
        self.same(F.scaled_dot_product_attention, q, k, v, backward=True, tol=1e-3)
        self.same(
            lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True), q, k, v, backward=True, tol=1e-3
        )

    def test_encoder_layer(self):
        torch.manual_seed(1)
        layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True)
        twin = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True).npu()
        twin.load_state_dict(layer.state_dict())
        x = randn(2, 5, 16)
        a, b = layer(x), twin(x.npu())
        a.square().sum().backward()
        b.square().sum().backward()
        torch.testing.assert_close(b.cpu(), a, rtol=1e-3, atol=1e-3)
        for p, q in zip(layer.parameters(), twin.parameters()):
            torch.testing.assert_close(q.grad.cpu(), p.grad, rtol=2e-3, atol=2e-3)


class Sequences(Case):
    def test_lstm(self):
        x = randn(5, 3, 6)
        for arguments in (
            {}, {"num_layers": 2, "bidirectional": True}, {"batch_first": True, "bias": False, "num_layers": 2},
        ):
            with self.subTest(arguments):
                self.twins(lambda: nn.LSTM(6, 4, **arguments), x)

    def test_other_recurrence(self):
        self.twins(lambda: nn.RNN(6, 4, num_layers=2, nonlinearity="relu"), randn(5, 3, 6))

    def test_ctc(self):
        lengths = torch.tensor([9, 7, 9]), torch.tensor([3, 2, 4])
        targets = torch.randint(1, 6, (3, 4))
        for reduction in ("mean", "sum", "none"):
            self.same(
                lambda x, t: F.ctc_loss(x.log_softmax(2), t, *lengths, reduction=reduction), randn(9, 3, 6), targets,
                backward=True,
            )

    def test_bags(self):
        index, offsets = torch.randint(0, 10, (12,)), torch.tensor([0, 4, 4, 9])
        for mode in ("sum", "mean", "max"):
            with self.subTest(mode):
                self.same(lambda w, i, o: F.embedding_bag(i, w, o, mode=mode), randn(10, 5), index, offsets, backward=True)


class Places(Case):
    def test_grids(self):
        for arguments in (
            {}, {"mode": "nearest"}, {"padding_mode": "border", "align_corners": True}, {"padding_mode": "reflection"},
            {"mode": "bicubic", "align_corners": False},
        ):
            with self.subTest(arguments):
                grid = torch.rand(2, 4, 5, 2) * 2.4 - 1.2
                self.same(lambda x, g: F.grid_sample(x, g, **arguments), randn(2, 3, 6, 5), grid, backward=True, tol=1e-3)
        self.same(F.grid_sample, randn(2, 3, 4, 6, 5), torch.rand(2, 3, 4, 5, 3) * 2.4 - 1.2, backward=True, tol=1e-3)

    def test_borders(self):
        x = randn(2, 3, 5, 6)
        for mode in ("reflect", "replicate", "circular"):
            with self.subTest(mode):
                self.same(lambda x: F.pad(x, (1, 2, 3, 0), mode), x, backward=True)

    def test_bins(self):
        self.same(lambda x: torch.bincount(x, minlength=12), torch.randint(0, 9, (40,)))
        self.same(lambda x: torch.histc(x, 7, -1.0, 1.0), randn(99))
        self.same(torch.searchsorted, randn(3, 9).sort()[0], randn(3, 4))
        self.same(lambda x, b: torch.bucketize(x, b, right=True), randn(3, 4), randn(9).sort()[0])

    def test_unpooling(self):
        # On a card the places are a mask in a form of its own; these are the cpu's.
        y, places = F.max_pool2d(randn(2, 3, 6, 8), 2, return_indices=True)
        self.same(lambda y, places: F.max_unpool2d(y, places, 2), y, places, backward=True)
        self.same(lambda x: x.unfold(1, 3, 2), randn(2, 9), backward=True)
        self.same(lambda x: F.fold(x, (5, 6), 3, padding=1), randn(2, 18, 30), backward=True)


class Algebra(Case):
    def test_norms(self):
        inf = float("inf")
        self.same(lambda x: (x.norm(), torch.linalg.vector_norm(x, 3, dim=1), x.norm(1), x.norm(inf)), randn(4, 8))

    def test_matrices(self):
        self.same(torch.inverse, randn(2, 4, 4) + 4 * torch.eye(4), tol=1e-3)
        self.same(lambda x: torch.linalg.cholesky(x @ x.mT + torch.eye(4).to(x.device)), randn(2, 4, 4), tol=1e-3)
        self.same(lambda x: [a.abs() for a in torch.linalg.qr(x)], randn(5, 3), tol=1e-3)
        self.same(lambda x: torch.linalg.svd(x)[1], randn(5, 3), tol=1e-3)

    def test_statistics(self):
        x = randn(5, 6)
        self.same(lambda x: (x.var(1), x.std(0), x.prod(1), x.logsumexp(1), *x.max(1), *x.median(1)), x)


class Random(Case):
    def mean(self, tensor, low, high):
        value = tensor.float().mean().item()
        self.assertTrue(low <= value <= high, value)

    def test_means(self):
        npu = {"device": "npu"}
        self.mean(torch.rand(1000, **npu), 0.45, 0.55)
        self.mean(torch.randn(1000, **npu), -0.15, 0.15)
        self.mean(torch.randint(0, 10, (1000,), **npu), 4, 5)
        self.mean(torch.full((1000,), 0.3, **npu).bernoulli(), 0.25, 0.35)
        self.mean(torch.empty(1000, **npu).exponential_(2.0), 0.42, 0.58)
        self.mean(torch.multinomial(torch.tensor([0.1, 0.9], **npu), 1000, True), 0.85, 0.95)
        self.mean(F.dropout(torch.ones(1000, **npu), 0.3), 0.9, 1.1)
        self.assertEqual(torch.randperm(100, **npu).cpu().sort()[0].tolist(), list(range(100)))

    def test_a_seed_gives_the_same_numbers(self):
        def draw():
            torch.npu.manual_seed(7)
            return torch.rand(50, device="npu").cpu(), torch.randn(50, device="npu").cpu()

        first, second = draw(), draw()
        self.assertTrue(all(torch.equal(a, b) for a, b in zip(first, second)))
        self.assertFalse(torch.equal(first[0], torch.rand(50, device="npu").cpu()))


class Optimisers(Case):
    def test_optimisers(self):
        for kind in (torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD, torch.optim.RMSprop, torch.optim.Adagrad):
            for foreach in (False, True):
                with self.subTest(kind.__name__, foreach=foreach):

                    def f(x):
                        p, q = nn.Parameter(x.clone()), nn.Parameter(x.clone() * 2)
                        optimiser = kind([p, q], lr=0.1, foreach=foreach)
                        for _ in range(3):
                            optimiser.zero_grad()
                            ((p * p).sum() + (q**3).sum()).backward()
                            nn.utils.clip_grad_norm_([p, q], 1.0)
                            optimiser.step()
                        return p, q

                    self.same(f, randn(4, 8), tol=1e-3)


    def test_a_fused_step(self):
        def f(x):
            p = nn.Parameter(x.clone())
            # The cpu's other forms are the same formula.
            optimiser = torch.optim.AdamW([p], lr=0.1, fused=x.device.type != "cpu")
            for _ in range(3):
                optimiser.zero_grad()
                (p**3).sum().backward()
                optimiser.step()
            return p

        self.same(f, randn(4, 8), tol=1e-3)


class Refusals(Case):
    def test_what_is_refused_leaves_the_stream_usable(self):
        with self.assertRaisesRegex(RuntimeError, "aclnnPrelu: weight has shape"):
            torch.ops.aten._prelu_kernel(randn(2, 3).npu(), randn(2).npu())
        self.assertEqual((torch.ones(3, device="npu") + 1).cpu().tolist(), [2.0] * 3)


if __name__ == "__main__":
    main()
