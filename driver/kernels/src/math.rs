//! Functions of one float, written without branches and calls so that loops over them vectorise.

const LOG2_E: f32 = std::f32::consts::LOG2_E;
const LN2_HIGH: f32 = 0.693_359_4;
const LN2_LOW: f32 = -2.121_944_4e-4;
/// 1.5 × 2²³: adding it rounds a small float to an integer that stands in the low bits.
const ROUNDER: f32 = 12_582_912.0;

/// 2ⁿ for n in −126..=127.
#[inline(always)]
fn power_of_two(n: i32) -> f32 {
    f32::from_bits(((n + 127) << 23) as u32)
}

/// eˣ to about one unit in the last place; subnormal results included.
#[inline(always)]
pub fn exp_f32(x: f32) -> f32 {
    let clamped = if x < -104.5 { -104.5 } else { x };
    let clamped = if clamped > 89.0 { 89.0 } else { clamped };
    let shifted = clamped * LOG2_E + ROUNDER;
    let n = (shifted.to_bits() as i32).wrapping_sub(ROUNDER.to_bits() as i32);
    let nf = shifted - ROUNDER;
    let r = clamped - nf * LN2_HIGH;
    let r = r - nf * LN2_LOW;
    let p = 1.987_569_1e-4_f32;
    let p = p * r + 1.398_199_9e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 1.666_666_5e-1;
    let p = p * r + 0.5;
    let y = p * (r * r) + r + 1.0;
    // The scale in two factors: each is a normal number even where the result is not. A NaN makes `n`
    // meaningless, so it is bounded before it becomes an exponent.
    let n = n.clamp(-152, 130);
    let half = n >> 1;
    let scaled = y * power_of_two(half) * power_of_two(n - half);
    if x.is_nan() { x } else { scaled }
}

/// 1 / (1 + e⁻ˣ).
#[inline(always)]
pub fn sigmoid_f32(x: f32) -> f32 {
    1.0 / (1.0 + exp_f32(-x))
}

/// tanh x: a polynomial near zero, where the formula with eˣ cancels.
#[inline(always)]
pub fn tanh_f32(x: f32) -> f32 {
    let a = x.abs();
    let z = x * x;
    let p = -5.704_988_7e-3_f32;
    let p = p * z + 2.063_909_e-2;
    let p = p * z - 5.373_971_6e-2;
    let p = p * z + 1.333_144_2e-1;
    let p = p * z - 0.333_332_8;
    let near = p * z * x + x;
    let far = (1.0 - 2.0 / (exp_f32(a + a) + 1.0)).copysign(x);
    if a < 0.625 { near } else { far }
}

/// The error function: an odd polynomial near zero, 1 − e^polynomial elsewhere.
#[inline(always)]
pub fn erf_f32(x: f32) -> f32 {
    let (a, z) = (x.abs(), x * x);
    let p = -5.967_617e-4_f32;
    let p = p * z + 4.991_194e-3;
    let p = p * z - 2.676_813_5e-2;
    let p = p * z + 1.128_199_25e-1;
    let p = p * z - 3.761_253_4e-1;
    let p = p * z + 1.283_791_7e-1;
    let near = p * x + x;
    // Beyond 4 it is 1, and the polynomial is not to turn.
    let t = if a > 4.0 { 4.0 } else { a };
    let p = -1.728_534_7e-5_f32 * t + 3.831_971_3e-4;
    let p = p * (t * t) + (-3.883_964_4e-3 * t + 2.425_462_2e-2);
    let p = p * t - 1.067_778_8e-1;
    let p = p * t - 6.348_467e-1;
    let p = p * t - 1.287_175_1e-1;
    let far = (1.0 - exp_f32(p * t - t)).copysign(x);
    let y = if a > 0.927_734_4 { far } else { near };
    if x.is_nan() { x } else { y }
}

/// Natural logarithm to about one unit in the last place; subnormal arguments included.
#[inline(always)]
pub fn log_f32(x: f32) -> f32 {
    let tiny = x < f32::MIN_POSITIVE;
    let scaled = if tiny { x * 8_388_608.0 } else { x };
    let bits = scaled.to_bits() as i32;
    // Mantissa in [√½, √2).
    let e = bits.wrapping_sub(0x3f35_04f3) >> 23;
    let m = f32::from_bits(bits.wrapping_sub(e << 23) as u32) - 1.0;
    let ef = e as f32 - if tiny { 23.0 } else { 0.0 };
    let z = m * m;
    let p = 7.037_683_6e-2_f32;
    let p = p * m - 1.151_461e-1;
    let p = p * m + 1.167_699_9e-1;
    let p = p * m - 1.242_014_1e-1;
    let p = p * m + 1.424_932_3e-1;
    let p = p * m - 1.666_805_8e-1;
    let p = p * m + 2.000_071_5e-1;
    let p = p * m - 2.499_999_4e-1;
    let p = p * m + 0.333_333_3;
    let y = p * m * z + ef * LN2_LOW - 0.5 * z;
    let y = m + y + ef * LN2_HIGH;
    let y = if x == f32::INFINITY { x } else { y };
    let y = if x == 0.0 { f32::NEG_INFINITY } else { y };
    if x < 0.0 || x.is_nan() { f32::NAN } else { y }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Distance from `want` in units in the last place of `want`.
    fn ulps(got: f32, want: f64) -> f64 {
        if got.is_nan() && want.is_nan() || f64::from(got) == want || got == want as f32 {
            return 0.0;
        }
        let w = want as f32;
        let ulp = f64::from(f32::from_bits(w.abs().to_bits() + 1)) - f64::from(w.abs());
        (f64::from(got) - want).abs() / ulp
    }

    #[test]
    fn within_two_ulps_of_double_precision() {
        let (mut worst_exp, mut worst_log, mut worst_tanh, mut worst_erf) = (0f64, 0f64, 0f64, 0f64);
        for i in 0..2_000_000u32 {
            let x = f32::from_bits(i.wrapping_mul(2147).wrapping_add(i << 21));
            if x.is_nan() {
                continue;
            }
            worst_log = worst_log.max(ulps(log_f32(x), f64::from(x).ln()));
            worst_exp = worst_exp.max(ulps(exp_f32(x), f64::from(x).exp()));
            worst_erf = worst_erf.max(ulps(erf_f32(x), libm::erf(f64::from(x))));
            let t = (i as f32 / 1e6 - 1.0) * 110.0;
            worst_exp = worst_exp.max(ulps(exp_f32(t), f64::from(t).exp()));
            worst_tanh = worst_tanh.max(ulps(tanh_f32(t / 10.0), f64::from(t / 10.0).tanh()));
            worst_erf = worst_erf.max(ulps(erf_f32(t / 20.0), libm::erf(f64::from(t / 20.0))));
        }
        assert!(
            worst_exp < 2.0 && worst_log < 2.0 && worst_tanh < 3.0 && worst_erf < 3.0,
            "{worst_exp} {worst_log} {worst_tanh} {worst_erf}"
        );
    }

    #[test]
    fn special_values() {
        for f in [exp_f32, log_f32, tanh_f32, sigmoid_f32, erf_f32] {
            assert!(f(f32::NAN).is_nan());
        }
        let inf = f32::INFINITY;
        assert_eq!((exp_f32(inf), exp_f32(-inf), exp_f32(0.0)), (inf, 0.0, 1.0));
        assert_eq!((log_f32(inf), log_f32(0.0), log_f32(-0.0), log_f32(1.0)), (inf, -inf, -inf, 0.0));
        assert!(log_f32(-1.0).is_nan() && log_f32(-inf).is_nan());
        assert_eq!((tanh_f32(inf), tanh_f32(-inf)), (1.0, -1.0));
        assert_eq!((erf_f32(inf), erf_f32(-inf), erf_f32(0.0)), (1.0, -1.0, 0.0));
        assert_eq!((sigmoid_f32(inf), sigmoid_f32(-inf), sigmoid_f32(0.0)), (1.0, 0.0, 0.5));
    }
}
