//! Gradients of activations, from the gradient of the output `g` and the input `x` or the output `y`.

use crate::lane::Lane;
use crate::pointwise::{Pointwise, SCALARS, by_f64, c, pointwise_ops};

/// √(2/π)
const TANH_SCALE: f64 = 0.797_884_560_802_865_4;
const TANH_CUBE: f64 = 0.044_715;

#[inline(always)]
fn softplus<L: Lane>(x: L) -> L {
    // max(x, 0) + ln(1 + e^−|x|)
    x.larger(L::ZERO).add(by_f64(x.abs().neg().exp(), f64::ln_1p))
}

pointwise_ops! {
    /// x · Φ(x), Φ the normal distribution
    GeluBackward = |g, x| {
        let cdf = c::<L>(0.5).mul(L::ONE.add(x.mul(c(std::f64::consts::FRAC_1_SQRT_2)).erf()));
        let pdf = x.mul(x).mul(c(-0.5)).exp().mul(c(0.398_942_280_401_432_7));
        g.mul(cdf.add(x.mul(pdf)))
    };
    /// Of gelu's approximation with tanh
    GeluTanhBackward = |g, x| {
        let inner = c::<L>(TANH_SCALE).mul(x.add(c::<L>(TANH_CUBE).mul(x.mul(x).mul(x))));
        let t = inner.tanh();
        let left = c::<L>(0.5).mul(L::ONE.add(t));
        let slope = c::<L>(TANH_SCALE).mul(L::ONE.add(c::<L>(3.0 * TANH_CUBE).mul(x.mul(x))));
        g.mul(left.add(c::<L>(0.5).mul(x).mul(L::ONE.sub(t.mul(t))).mul(slope)))
    };
    /// x · sigmoid(1.702 x)
    FastGeluBackward = |g, x| {
        let s = x.mul(c(1.702)).sigmoid();
        g.mul(s.add(x.mul(c(1.702)).mul(s).mul(L::ONE.sub(s))))
    };
    /// x · sigmoid(x)
    SiluBackward = |g, x| {
        let s = x.sigmoid();
        g.mul(s).mul(L::ONE.add(x.mul(L::ONE.sub(s))))
    };
    /// Scalar scale: of x · sigmoid(scale · x)
    SwishBackward = |g, x; scale| {
        let s = x.mul(scale).sigmoid();
        g.mul(s).mul(L::ONE.add(x.mul(scale).mul(L::ONE.sub(s))))
    };
    /// From the output
    SigmoidBackward = |g, y| g.mul(y.mul(L::ONE.sub(y)));
    /// From the output
    TanhBackward = |g, y| g.mul(L::ONE.sub(y.mul(y)));
    /// Scalars alpha, scale, input scale; from the output if `result` is not zero
    EluBackward = |g, x; alpha, scale, input_scale, result| {
        let negative = if result != L::ZERO {
            g.mul(input_scale).mul(x.add(alpha.mul(scale)))
        } else {
            g.mul(input_scale).mul(alpha.mul(scale)).mul(x.mul(input_scale).exp())
        };
        if x <= L::ZERO { negative } else { g.mul(scale) }
    };
    /// Scalar slope
    LeakyReluBackward = |g, x; slope| if x > L::ZERO { g } else { g.mul(slope) };
    /// Scalars min, max
    HardtanhBackward = |g, x; min, max| if x <= min || x >= max { L::ZERO } else { g };
    /// clamp(x + 3, 0, 6) / 6
    HardsigmoidBackward = |g, x| {
        if x > c::<L>(-3.0) && x < c::<L>(3.0) { g.div(c(6.0)) } else { L::ZERO }
    };
    /// x · hardsigmoid(x); at -3 and 3 the slope of between, as PyTorch has it
    HardswishBackward = |g, x| {
        let middle = g.mul(x.div(c(3.0)).add(c(0.5)));
        if x < c::<L>(-3.0) { L::ZERO } else if x <= c::<L>(3.0) { middle } else { g }
    };
    /// As [`HardswishBackward`]; at -3 and 3 the slope of beyond
    HardswishBackwardV2 = |g, x| {
        let middle = g.mul(x.div(c(3.0)).add(c(0.5)));
        if x <= c::<L>(-3.0) { L::ZERO } else if x < c::<L>(3.0) { middle } else { g }
    };
    /// Scalar lambda; hard and soft shrinking have the same gradient
    ShrinkBackward = |g, x; lambda| if x >= lambda.neg() && x <= lambda { L::ZERO } else { g };
    /// Scalars beta, threshold
    SoftplusBackward = |g, x; beta, threshold| {
        let bx = x.mul(beta);
        if bx > threshold { g } else { g.mul(bx.sigmoid()) }
    };
    /// ln sigmoid(x)
    LogSigmoidBackward = |g, x| g.mul(x.neg().sigmoid());
    /// x · tanh(ln(1 + eˣ))
    MishBackward = |g, x| {
        let t = softplus(x).tanh();
        g.mul(t.add(x.mul(x.sigmoid()).mul(L::ONE.sub(t.mul(t)))))
    };
    /// Of prelu to its weight `w`
    PreluWeight = |g, x, w| if x > L::ZERO { L::ZERO } else { g.mul(x) };
    /// Of prelu to its input
    PreluBackward = |g, x, w| if x > L::ZERO { g } else { g.mul(w) };
    /// Scalar eps: of ln(x / (1 − x)); NaN outside 0..=1 where eps is negative, 0 outside eps..=1 − eps
    LogitBackward = |g, x; eps| {
        let (low, outside) = if eps < L::ZERO { (L::ZERO, c::<L>(f64::NAN)) } else { (eps, L::ZERO) };
        if x < low || x > L::ONE.sub(low) { outside } else { g.div(x.mul(L::ONE.sub(x))) }
    };
    /// Of a · sigmoid(b) to b
    GluGate = |g, a, b| {
        let s = b.sigmoid();
        g.mul(a).mul(s).mul(L::ONE.sub(s))
    };
    /// Of a · sigmoid(b) to a
    GluValue = |g, b| g.mul(b.sigmoid());
    /// Of silu(a) · b to a
    SwigluGate = |g, a, b| {
        let s = a.sigmoid();
        g.mul(b).mul(s).mul(L::ONE.add(a.mul(L::ONE.sub(s))))
    };
    /// Of silu(a) · b to b
    SwigluValue = |g, a| g.mul(a.mul(a.sigmoid()));
}
