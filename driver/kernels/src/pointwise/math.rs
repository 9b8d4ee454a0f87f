//! Mathematical functions, tests for special values, and functions of two and three tensors.

use crate::lane::Lane;
use crate::pointwise::{Pointwise, SCALARS, by_f64, gamma, pointwise_ops};

/// sin(πx) / (πx)
fn sinc(x: f64) -> f64 {
    let p = std::f64::consts::PI * x;
    if p == 0.0 { 1.0 } else { p.sin() / p }
}

/// The value whose error function is `y`: a rational guess (Giles, 2010), then two steps of Newton.
fn erfinv(y: f64) -> f64 {
    if !(-1.0..=1.0).contains(&y) {
        return f64::NAN;
    }
    if y.abs() == 1.0 {
        return y * f64::INFINITY;
    }
    let w = -((1.0 - y) * (1.0 + y)).ln();
    let (start, coefficients): (f64, [f64; 9]) = if w < 5.0 {
        (
            w - 2.5,
            [
                2.810_226_36e-8,
                3.432_739_39e-7,
                -3.523_387_7e-6,
                -4.391_506_54e-6,
                2.185_808_7e-4,
                -1.253_725_03e-3,
                -4.177_681_64e-3,
                0.246_640_727,
                1.501_409_41,
            ],
        )
    } else {
        (
            w.sqrt() - 3.0,
            [
                -2.002_142_57e-4,
                1.009_505_58e-4,
                1.349_343_22e-3,
                -3.673_428_44e-3,
                5.739_507_73e-3,
                -7.622_461_3e-3,
                9.438_870_47e-3,
                1.001_674_06,
                2.832_976_82,
            ],
        )
    };
    let mut x = y * coefficients.iter().fold(0.0, |p, c| p * start + c);
    for _ in 0..2 {
        let slope = std::f64::consts::FRAC_2_SQRT_PI * (-x * x).exp();
        // From the nearer tail: 1 − erf would lose what is left of y.
        let error = if y.abs() < 0.5 {
            libm::erf(x) - y
        } else {
            ((1.0 - y.abs()) - libm::erfc(x.abs())) * y.signum()
        };
        let step = error / slope;
        if step.is_finite() {
            x -= step;
        }
    }
    x
}

pointwise_ops! {
    /// Arc cosine
    Acos = |x| by_f64(x, f64::acos);
    /// Inverse hyperbolic cosine
    Acosh = |x| by_f64(x, libm::acosh);
    /// Arc sine
    Asin = |x| by_f64(x, f64::asin);
    /// Inverse hyperbolic sine
    Asinh = |x| by_f64(x, libm::asinh);
    /// Arc tangent
    Atan = |x| by_f64(x, f64::atan);
    /// Inverse hyperbolic tangent
    Atanh = |x| by_f64(x, libm::atanh);
    /// Hyperbolic cosine
    Cosh = |x| by_f64(x, f64::cosh);
    /// Hyperbolic sine
    Sinh = |x| by_f64(x, f64::sinh);
    /// Tangent
    Tan = |x| by_f64(x, f64::tan);
    /// 1 − erf(x)
    Erfc = |x| by_f64(x, libm::erfc);
    /// Inverse of the error function
    Erfinv = |x| by_f64(x, erfinv);
    /// 2ˣ
    Exp2 = |x| by_f64(x, f64::exp2);
    /// eˣ − 1
    Expm1 = |x| by_f64(x, f64::exp_m1);
    /// Logarithm to base 10
    Log10 = |x| by_f64(x, f64::log10);
    /// ln(1 + x)
    Log1p = |x| by_f64(x, f64::ln_1p);
    /// Logarithm to base 2
    Log2 = |x| by_f64(x, f64::log2);
    /// x − its integer part
    Frac = |x| x.sub(x.trunc());
    /// sin(πx) / (πx)
    Sinc = |x| by_f64(x, sinc);
    /// Whether it is neither infinite nor NaN
    IsFinite = |x| L::truth(x.sub(x) == L::ZERO);
    /// Whether it is infinite
    IsInf = |x| L::truth(x == L::HIGHEST || x == L::LOWEST);
    /// Whether it is +∞
    IsPosInf = |x| L::truth(x == L::HIGHEST);
    /// Whether it is −∞
    IsNegInf = |x| L::truth(x == L::LOWEST);
    /// Whether the sign bit is set
    SignBit = |x| L::truth(x.to_f64().is_sign_negative());
    /// Scalars: what stands for NaN, +∞ and −∞
    NanToNum = |x; nan, positive, negative| {
        if x.nan() { nan } else if x == L::HIGHEST { positive } else if x == L::LOWEST { negative } else { x }
    };
    /// x ln y; 0 where x is 0 and y is a number
    XLogY = |x, y| if y.nan() { y } else if x == L::ZERO { L::ZERO } else { x.mul(y.log()) };
    /// ln(eˣ + eʸ)
    LogAddExp = |x, y| {
        let (a, b) = (x.to_f64(), y.to_f64());
        let high = if a.is_nan() || a > b { a } else { b };
        let sum = high + (-(a - b).abs()).exp().ln_1p();
        L::from_f64(if a.is_infinite() && a == b { a } else { sum })
    };
    /// log₂(2ˣ + 2ʸ)
    LogAddExp2 = |x, y| {
        let (a, b) = (x.to_f64(), y.to_f64());
        let high = if a.is_nan() || a > b { a } else { b };
        let sum = high + (-(a - b).abs()).exp2().ln_1p() / std::f64::consts::LN_2;
        L::from_f64(if a.is_infinite() && a == b { a } else { sum })
    };
    /// The point between a (w 0) and b (w 1)
    Lerp = |a, b, w| {
        let d = b.sub(a);
        if w.abs() < L::from_f64(0.5) { a.add(w.mul(d)) } else { b.sub(d.mul(L::ONE.sub(w))) }
    };
    /// Scalars rtol, atol, whether NaN is close to NaN
    IsClose = |a, b; rtol, atol, nan| {
        let near = a.sub(b).abs() <= atol.add(rtol.mul(b.abs()));
        let finite = a.sub(a) == L::ZERO && b.sub(b) == L::ZERO;
        L::truth(a == b || (finite && near) || (nan != L::ZERO && a.nan() && b.nan()))
    };
    /// Scalar scale: x · mask · scale
    MaskedScale = |x, mask; scale| x.mul(mask).mul(scale);
    /// Scalar 10ⁿ: x rounded to n decimals, ties to even
    RoundDecimals = |x; power| L::from_f64((x.to_f64() * power.to_f64()).round_ties_even() / power.to_f64());
    /// Scalar eps: ln(x / (1 − x)), x limited to eps..=1 − eps unless eps is negative
    Logit = |x; eps| {
        let (x, eps) = (x.to_f64(), eps.to_f64());
        let x = if eps < 0.0 || x.is_nan() { x } else { x.max(eps).min(1.0 - eps) };
        L::from_f64((x / (1.0 - x)).ln())
    };
    /// The angle of a real number
    Angle = |x| {
        let x = x.to_f64();
        L::from_f64(if x.is_nan() { x } else if x < 0.0 { std::f64::consts::PI } else { 0.0 })
    };
    /// a b c
    Product3 = |a, b, c| a.mul(b).mul(c);
    /// (x − m) r w + b
    Normalise = |x, m, r, w, b| x.sub(m).mul(r).mul(w).add(b);
    /// x / (1 + |x|)
    Softsign = |x| x.div(L::ONE.add(x.abs()));
    /// Scalars lambda, bias: x nearer to 0 by the bias, 0 within lambda of it
    Shrink = |x; lambda, bias| {
        if x > lambda { x.sub(bias) } else if x < lambda.neg() { x.add(bias) } else if x.nan() { x } else { L::ZERO }
    };
    /// ln |Γ(x)|
    Lgamma = |x| by_f64(x, gamma::ln_gamma);
    /// The slope of ln Γ(x)
    Digamma = |x| by_f64(x, gamma::digamma);
    /// Scalar eps: 1 / √(x + eps)
    AddEpsRsqrt = |x; eps| L::ONE.div(x.add(eps).sqrt());
}
