//! Arithmetic on the lanes: floats as IEEE 754 with NaN propagating, integers wrapping.
//!
//! Where Rust, C and Python differ (remainder, floor division, powers of integers), it is as in PyTorch; an
//! integer divided by zero is 0.

use crate::math;

/// What kernels do with single values.
#[allow(missing_docs)] // the names say it
pub trait Arith: Sized {
    const FLOAT: bool;
    const ZERO: Self;
    const ONE: Self;
    /// Identity of `larger`.
    const LOWEST: Self;
    /// Identity of `smaller`.
    const HIGHEST: Self;

    fn from_f64(v: f64) -> Self;
    fn from_i64(v: i64) -> Self;
    fn to_f64(self) -> f64;
    fn nan(self) -> bool;

    fn add(self, b: Self) -> Self;
    fn sub(self, b: Self) -> Self;
    fn mul(self, b: Self) -> Self;
    fn div(self, b: Self) -> Self;
    fn larger(self, b: Self) -> Self;
    fn smaller(self, b: Self) -> Self;
    fn pow(self, b: Self) -> Self;
    fn atan2(self, b: Self) -> Self;
    /// Remainder with the sign of the dividend.
    fn fmod(self, b: Self) -> Self;
    /// Remainder with the sign of the divisor.
    fn remainder(self, b: Self) -> Self;
    fn floor_div(self, b: Self) -> Self;

    fn neg(self) -> Self;
    fn abs(self) -> Self;
    fn sign(self) -> Self;
    fn exp(self) -> Self;
    fn log(self) -> Self;
    fn sqrt(self) -> Self;
    fn sin(self) -> Self;
    fn cos(self) -> Self;
    fn tanh(self) -> Self;
    fn sigmoid(self) -> Self;
    fn erf(self) -> Self;
    fn floor(self) -> Self;
    fn ceil(self) -> Self;
    fn round(self) -> Self;
    fn trunc(self) -> Self;

    /// The scalar attribute pair of a kernel: the float for floats, the integer for integers.
    #[inline(always)]
    fn scalar(f: f64, i: i64) -> Self {
        if Self::FLOAT { Self::from_f64(f) } else { Self::from_i64(i) }
    }
    #[inline(always)]
    fn truth(v: bool) -> Self {
        if v { Self::ONE } else { Self::ZERO }
    }
}

macro_rules! float {
    ($T:ident, $exp:expr, $log:expr, $tanh:expr, $sigmoid:expr, $erf:expr) => {
        impl Arith for $T {
            const FLOAT: bool = true;
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            const LOWEST: Self = $T::NEG_INFINITY;
            const HIGHEST: Self = $T::INFINITY;

            #[inline(always)]
            fn from_f64(v: f64) -> Self {
                v as $T
            }
            #[inline(always)]
            fn from_i64(v: i64) -> Self {
                v as $T
            }
            #[inline(always)]
            fn to_f64(self) -> f64 {
                self as f64
            }
            #[inline(always)]
            fn nan(self) -> bool {
                self != self
            }
            #[inline(always)]
            fn add(self, b: Self) -> Self {
                self + b
            }
            #[inline(always)]
            fn sub(self, b: Self) -> Self {
                self - b
            }
            #[inline(always)]
            fn mul(self, b: Self) -> Self {
                self * b
            }
            #[inline(always)]
            fn div(self, b: Self) -> Self {
                self / b
            }
            #[inline(always)]
            fn larger(self, b: Self) -> Self {
                if self > b || self != self { self } else { b }
            }
            #[inline(always)]
            fn smaller(self, b: Self) -> Self {
                if self < b || self != self { self } else { b }
            }
            #[inline(always)]
            fn pow(self, b: Self) -> Self {
                self.powf(b)
            }
            #[inline(always)]
            fn atan2(self, b: Self) -> Self {
                $T::atan2(self, b)
            }
            #[inline(always)]
            fn fmod(self, b: Self) -> Self {
                self % b
            }
            #[inline(always)]
            fn remainder(self, b: Self) -> Self {
                let m = self % b;
                if m != 0.0 && (b < 0.0) != (m < 0.0) { m + b } else { m }
            }
            #[inline(always)]
            fn floor_div(self, b: Self) -> Self {
                if b == 0.0 {
                    return self / b;
                }
                let m = self % b;
                let q = (self - m) / b;
                let q = if m != 0.0 && (b < 0.0) != (m < 0.0) { q - 1.0 } else { q };
                if q == 0.0 {
                    return (0.0 as $T).copysign(self / b);
                }
                let f = q.floor();
                if q - f > 0.5 { f + 1.0 } else { f }
            }
            #[inline(always)]
            fn neg(self) -> Self {
                -self
            }
            #[inline(always)]
            fn abs(self) -> Self {
                $T::abs(self)
            }
            #[inline(always)]
            fn sign(self) -> Self {
                if self > 0.0 {
                    1.0
                } else if self < 0.0 {
                    -1.0
                } else {
                    self
                }
            }
            #[inline(always)]
            fn exp(self) -> Self {
                $exp(self)
            }
            #[inline(always)]
            fn log(self) -> Self {
                $log(self)
            }
            #[inline(always)]
            fn sqrt(self) -> Self {
                $T::sqrt(self)
            }
            #[inline(always)]
            fn sin(self) -> Self {
                $T::sin(self)
            }
            #[inline(always)]
            fn cos(self) -> Self {
                $T::cos(self)
            }
            #[inline(always)]
            fn tanh(self) -> Self {
                $tanh(self)
            }
            #[inline(always)]
            fn sigmoid(self) -> Self {
                $sigmoid(self)
            }
            #[inline(always)]
            fn erf(self) -> Self {
                $erf(self)
            }
            #[inline(always)]
            fn floor(self) -> Self {
                $T::floor(self)
            }
            #[inline(always)]
            fn ceil(self) -> Self {
                $T::ceil(self)
            }
            #[inline(always)]
            fn round(self) -> Self {
                self.round_ties_even()
            }
            #[inline(always)]
            fn trunc(self) -> Self {
                $T::trunc(self)
            }
        }
    };
}
float!(f32, math::exp_f32, math::log_f32, math::tanh_f32, math::sigmoid_f32, math::erf_f32);
float!(f64, f64::exp, f64::ln, f64::tanh, |x: f64| 1.0 / (1.0 + (-x).exp()), libm::erf);

/// Integer functions that go through `f64`.
macro_rules! by_f64 {
    ($($f:ident = $e:expr;)*) => { $(
        #[inline(always)]
        fn $f(self) -> Self {
            Self::from_f64(($e)(self as f64))
        }
    )* };
}

/// Integer functions that change nothing.
macro_rules! identity {
    ($($f:ident)*) => { $(
        #[inline(always)]
        fn $f(self) -> Self {
            self
        }
    )* };
}

macro_rules! integer {
    ($T:ident) => {
        #[allow(unused_comparisons)] // u64 shares the text with the signed types
        impl Arith for $T {
            const FLOAT: bool = false;
            const ZERO: Self = 0;
            const ONE: Self = 1;
            const LOWEST: Self = $T::MIN;
            const HIGHEST: Self = $T::MAX;

            #[inline(always)]
            fn from_f64(v: f64) -> Self {
                v as $T
            }
            #[inline(always)]
            fn from_i64(v: i64) -> Self {
                v as $T
            }
            #[inline(always)]
            fn to_f64(self) -> f64 {
                self as f64
            }
            #[inline(always)]
            fn nan(self) -> bool {
                false
            }
            #[inline(always)]
            fn add(self, b: Self) -> Self {
                self.wrapping_add(b)
            }
            #[inline(always)]
            fn sub(self, b: Self) -> Self {
                self.wrapping_sub(b)
            }
            #[inline(always)]
            fn mul(self, b: Self) -> Self {
                self.wrapping_mul(b)
            }
            #[inline(always)]
            fn div(self, b: Self) -> Self {
                if b == 0 { 0 } else { self.wrapping_div(b) }
            }
            #[inline(always)]
            fn larger(self, b: Self) -> Self {
                if self > b { self } else { b }
            }
            #[inline(always)]
            fn smaller(self, b: Self) -> Self {
                if self < b { self } else { b }
            }
            #[inline(always)]
            fn pow(self, b: Self) -> Self {
                if b < 0 {
                    // The reciprocal, truncated: 0 unless the base is ±1.
                    return if self == 1 {
                        1
                    } else if self == (0 as $T).wrapping_sub(1) {
                        if b & 1 == 0 { 1 } else { self }
                    } else {
                        0
                    };
                }
                let (mut base, mut e, mut r) = (self, b, 1 as $T);
                while e > 0 {
                    if e & 1 == 1 {
                        r = r.wrapping_mul(base);
                    }
                    base = base.wrapping_mul(base);
                    e >>= 1;
                }
                r
            }
            #[inline(always)]
            fn atan2(self, b: Self) -> Self {
                Self::from_f64((self as f64).atan2(b as f64))
            }
            #[inline(always)]
            fn fmod(self, b: Self) -> Self {
                if b == 0 { 0 } else { self.wrapping_rem(b) }
            }
            #[inline(always)]
            fn remainder(self, b: Self) -> Self {
                let m = self.fmod(b);
                if m != 0 && (b < 0) != (m < 0) { m.wrapping_add(b) } else { m }
            }
            #[inline(always)]
            fn floor_div(self, b: Self) -> Self {
                let m = self.fmod(b);
                let q = Arith::div(self, b);
                if m != 0 && (b < 0) != (m < 0) { q.wrapping_sub(1) } else { q }
            }
            #[inline(always)]
            fn neg(self) -> Self {
                self.wrapping_neg()
            }
            #[inline(always)]
            fn abs(self) -> Self {
                if self < 0 { self.wrapping_neg() } else { self }
            }
            #[inline(always)]
            fn sign(self) -> Self {
                if self > 0 {
                    1
                } else if self < 0 {
                    (0 as $T).wrapping_sub(1)
                } else {
                    0
                }
            }
            by_f64! {
                exp = f64::exp;
                log = f64::ln;
                sqrt = f64::sqrt;
                sin = f64::sin;
                cos = f64::cos;
                tanh = f64::tanh;
                sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
                erf = libm::erf;
            }
            identity! { floor ceil round trunc }
        }
    };
}
integer!(i32);
integer!(i64);
integer!(u64);
