//! The logarithm of the gamma function and its slope, in float64.

use std::f64::consts::PI;

/// Lanczos' coefficients for g = 7.
const LANCZOS: [f64; 9] = [
    0.999_999_999_999_809_9,
    676.520_368_121_885_1,
    -1_259.139_216_722_402_8,
    771.323_428_777_653_1,
    -176.615_029_162_140_6,
    12.507_343_278_686_905,
    -0.138_571_095_265_720_12,
    9.984_369_578_019_572e-6,
    1.505_632_735_149_311_6e-7,
];

/// ln |Γ(x)|
pub fn ln_gamma(x: f64) -> f64 {
    if x.is_infinite() || x <= 0.0 && x == x.floor() {
        return f64::INFINITY;
    }
    if x < 0.5 {
        // Γ(x) Γ(1 − x) = π / sin πx
        let fraction = x - x.floor();
        return (PI / (PI * fraction).sin()).abs().ln() - ln_gamma(1.0 - x);
    }
    if x == 1.0 || x == 2.0 {
        return 0.0;
    }
    let x = x - 1.0;
    let series = LANCZOS[1..].iter().enumerate().fold(LANCZOS[0], |s, (i, c)| s + c / (x + i as f64 + 1.0));
    let t = x + 7.5;
    0.5 * (2.0 * PI).ln() + (x + 0.5) * t.ln() - t + series.ln()
}

/// The slope of ln Γ(x); NaN at the poles, −∞ at +0 and ∞ at −0, as PyTorch has it.
pub fn digamma(x: f64) -> f64 {
    if x == 0.0 {
        return f64::NEG_INFINITY.copysign(-x);
    }
    if x < 0.0 {
        if x == x.floor() {
            return f64::NAN;
        }
        // ψ(1 − x) − ψ(x) = π cot πx
        let fraction = x - x.trunc();
        return digamma(1.0 - x) - PI / (PI * fraction).tan();
    }
    let (mut x, mut sum) = (x, 0.0);
    while x < 10.0 {
        sum -= 1.0 / x;
        x += 1.0;
    }
    // Asymptotic, with Bernoulli's numbers.
    let y = 1.0 / (x * x);
    const TERMS: [f64; 7] =
        [1.0 / 12.0, -1.0 / 120.0, 1.0 / 252.0, -1.0 / 240.0, 1.0 / 132.0, -691.0 / 32_760.0, 1.0 / 12.0];
    let tail = if y < 1e-17 { 0.0 } else { TERMS.iter().rev().fold(0.0, |s, c| (s + c) * y) };
    sum + x.ln() - 0.5 / x - tail
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values() {
        let factorials = [1.0f64, 1.0, 2.0, 6.0, 24.0, 120.0, 720.0];
        for (n, f) in factorials.into_iter().enumerate() {
            assert!((ln_gamma(n as f64 + 1.0) - f.ln()).abs() < 1e-13, "{n}");
        }
        assert!((ln_gamma(0.5) - PI.sqrt().ln()).abs() < 1e-14);
        assert!((ln_gamma(-0.5) - (2.0 * PI.sqrt()).ln()).abs() < 1e-13);
        assert!((ln_gamma(100.0) - 359.134_205_369_575_4).abs() < 1e-10);
        assert!(ln_gamma(0.0).is_infinite() && ln_gamma(-3.0).is_infinite() && ln_gamma(f64::NAN).is_nan());
        let euler = 0.577_215_664_901_532_9;
        assert!((digamma(1.0) + euler).abs() < 1e-14);
        assert!((digamma(0.5) + euler + 2.0 * 2f64.ln()).abs() < 1e-14);
        assert!((digamma(-0.5) - 0.036_489_973_978_576_52).abs() < 1e-13);
        assert!((digamma(20.0) - 2.970_523_992_242_149).abs() < 1e-14);
        assert!(
            digamma(-2.0).is_nan() && digamma(0.0) == f64::NEG_INFINITY && digamma(-0.0) == f64::INFINITY
        );
        // The slope is that of the logarithm.
        for x in [0.3, 1.7, 4.2, 12.0, -1.3, -0.2] {
            let slope = (ln_gamma(x + 1e-6) - ln_gamma(x - 1e-6)) / 2e-6;
            assert!((digamma(x) - slope).abs() < 1e-5 * slope.abs().max(1.0), "{x}: {} {slope}", digamma(x));
        }
    }
}
