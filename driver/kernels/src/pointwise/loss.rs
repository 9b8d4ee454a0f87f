//! Losses of a prediction `x` and a target `t`, and their gradients from `g`. The last scalar of a gradient scales
//! it: 1 over the number of elements for a mean.

use crate::lane::Lane;
use crate::pointwise::{Pointwise, SCALARS, by_f64, c, pointwise_ops};

#[inline(always)]
fn log_at_least<L: Lane>(x: L) -> L {
    x.log().larger(c(-100.0))
}

/// ln(1 + e^−|x|)
#[inline(always)]
fn log1p_exp<L: Lane>(x: L) -> L {
    by_f64(x.abs().neg().exp(), f64::ln_1p)
}

pointwise_ops! {
    /// (x − t)²
    Mse = |x, t| {
        let d = x.sub(t);
        d.mul(d)
    };
    /// Scalar scale
    MseBackward = |g, x, t; scale| c::<L>(2.0).mul(x.sub(t)).mul(g).mul(scale);
    /// |x − t|
    L1 = |x, t| x.sub(t).abs();
    /// Scalar scale
    L1Backward = |g, x, t; scale| x.sub(t).sign().mul(g).mul(scale);
    /// Scalar beta
    SmoothL1 = |x, t; beta| {
        let d = x.sub(t).abs();
        if d < beta { c::<L>(0.5).mul(d).mul(d).div(beta) } else { d.sub(c::<L>(0.5).mul(beta)) }
    };
    /// Scalars beta, scale
    SmoothL1Backward = |g, x, t; beta, scale| {
        let d = x.sub(t);
        let slope = if d <= beta.neg() {
            L::ONE.neg()
        } else if d >= beta {
            L::ONE
        } else {
            d.div(beta)
        };
        slope.mul(g).mul(scale)
    };
    /// Of probabilities; w weighs
    Bce = |x, t, w| {
        let log = |v: L| log_at_least(v);
        t.sub(L::ONE).mul(log(L::ONE.sub(x))).sub(t.mul(log(x))).mul(w)
    };
    /// Scalar scale
    BceBackward = |g, x, t, w; scale| {
        let below = L::ONE.sub(x).mul(x).larger(c(1e-12));
        g.mul(x.sub(t)).div(below).mul(w).mul(scale)
    };
    /// Of logits; w weighs, p weighs the positive ones
    BceLogits = |x, t, w, p| {
        let weight = p.sub(L::ONE).mul(t).add(L::ONE);
        let soft = log1p_exp(x).add(x.neg().larger(L::ZERO));
        L::ONE.sub(t).mul(x).add(weight.mul(soft)).mul(w)
    };
    /// Scalar scale
    BceLogitsBackward = |g, x, t, w, p; scale| {
        let pt = p.mul(t);
        let slope = pt.add(L::ONE).sub(t).mul(x.sigmoid()).sub(pt);
        slope.mul(g).mul(w).mul(scale)
    };
    /// t (ln t − x)
    KlDiv = |x, t| if t > L::ZERO { t.mul(t.log().sub(x)) } else { if t.nan() { t } else { L::ZERO } };
    /// eᵗ (t − x)
    KlDivLog = |x, t| t.exp().mul(t.sub(x));
    /// Scalar scale
    KlDivBackward = |g, x, t; scale| if t > L::ZERO { t.neg().mul(g).mul(scale) } else { L::ZERO };
    /// Scalar scale
    KlDivLogBackward = |g, x, t; scale| t.exp().neg().mul(g).mul(scale);
    /// Of KlDiv to the target; scalar scale
    KlDivTarget = |g, x, t; scale| {
        if t > L::ZERO { L::ONE.add(t.log()).sub(x).mul(g).mul(scale) } else { L::ZERO }
    };
    /// Of KlDivLog to the target; scalar scale
    KlDivLogTarget = |g, x, t; scale| t.exp().mul(t.add(L::ONE).sub(x)).mul(g).mul(scale);
    /// ln(1 + e^(−t x))
    SoftMargin = |x, t| {
        let z = x.mul(t).neg();
        log1p_exp(z).add(z.larger(L::ZERO))
    };
    /// Scalar scale
    SoftMarginBackward = |g, x, t; scale| {
        t.neg().mul(x.mul(t).neg().sigmoid()).mul(g).mul(scale)
    };
}
