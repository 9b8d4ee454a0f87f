//! Functions of complex numbers. A tensor of such comes as two, of the real and of the imaginary parts; on the way they
//! are float64.

use std::ops::{Add, Div, Mul, Neg, Sub};

use vinci_hw::args::ArgsView;

use crate::lane::TILE;
use crate::tile::{Sink, Source, for_ranges};
use crate::view::Tensor;
use crate::{Ctx, KernelFault};

/// A complex number.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Complex {
    re: f64,
    im: f64,
}

/// A complex number of its parts.
const fn c(re: f64, im: f64) -> Complex {
    Complex { re, im }
}

const ONE: Complex = c(1.0, 0.0);

impl Add for Complex {
    type Output = Self;
    fn add(self, b: Self) -> Self {
        c(self.re + b.re, self.im + b.im)
    }
}

impl Sub for Complex {
    type Output = Self;
    fn sub(self, b: Self) -> Self {
        c(self.re - b.re, self.im - b.im)
    }
}

impl Mul for Complex {
    type Output = Self;
    fn mul(self, b: Self) -> Self {
        c(self.re * b.re - self.im * b.im, self.re * b.im + self.im * b.re)
    }
}

impl Div for Complex {
    type Output = Self;
    /// Scaled, so that no square overflows.
    fn div(self, b: Self) -> Self {
        let scale = b.re.abs().max(b.im.abs());
        if scale == 0.0 {
            return self.map(|v| v / b.re);
        }
        if !scale.is_finite() {
            return self * c(b.re, -b.im).scaled(1.0 / (b.re * b.re + b.im * b.im));
        }
        let (re, im) = (b.re / scale, b.im / scale);
        let square = (re * re + im * im) * scale;
        (self * c(re, -im)).map(|v| v / square)
    }
}

impl Neg for Complex {
    type Output = Self;
    fn neg(self) -> Self {
        c(-self.re, -self.im)
    }
}

impl Complex {
    fn map(self, f: impl Fn(f64) -> f64) -> Self {
        c(f(self.re), f(self.im))
    }

    fn scaled(self, by: f64) -> Self {
        self.map(|v| v * by)
    }

    /// i times it.
    fn turned(self) -> Self {
        c(-self.im, self.re)
    }

    /// −i times it.
    fn turned_back(self) -> Self {
        c(self.im, -self.re)
    }

    fn real(v: f64) -> Self {
        c(v, 0.0)
    }

    /// Its absolute value.
    pub fn abs(self) -> Self {
        Self::real(self.re.hypot(self.im))
    }

    /// Its angle to the real axis.
    pub fn angle(self) -> Self {
        Self::real(self.im.atan2(self.re))
    }

    /// What points its way with length 1, or 0.
    pub fn sign(self) -> Self {
        let length = self.abs().re;
        if length == 0.0 { Self::default() } else { self.map(|v| v / length) }
    }

    /// e to its power.
    pub fn exp(self) -> Self {
        if self.im == 0.0 {
            return c(self.re.exp(), self.im);
        }
        let (sin, cos) = self.im.sin_cos();
        c(cos, sin).scaled(self.re.exp())
    }

    /// The logarithm whose imaginary part is within ±π.
    pub fn log(self) -> Self {
        c(self.abs().re.ln(), self.angle().re)
    }

    /// [`Complex::log`] to the base 2.
    pub fn log2(self) -> Self {
        self.log().scaled(std::f64::consts::LOG2_E)
    }

    /// [`Complex::log`] to the base 10.
    pub fn log10(self) -> Self {
        self.log().scaled(std::f64::consts::LOG10_E)
    }

    /// The root whose real part is not negative.
    pub fn sqrt(self) -> Self {
        if self == Self::default() {
            return c(0.0, self.im);
        }
        let half = ((self.re.abs() + self.abs().re) / 2.0).sqrt();
        let other = self.im / (2.0 * half);
        if self.re >= 0.0 { c(half, other) } else { c(other.abs(), half.copysign(self.im)) }
    }

    /// 1 / its root.
    pub fn rsqrt(self) -> Self {
        ONE / self.sqrt()
    }

    /// 1 / it.
    pub fn reciprocal(self) -> Self {
        ONE / self
    }

    /// Its square.
    pub fn square(self) -> Self {
        self * self
    }

    /// Its power of `b`. Small whole powers are products.
    pub fn pow(self, b: Self) -> Self {
        if b == Self::default() {
            return ONE;
        }
        if b.im == 0.0 && b.re.fract() == 0.0 && b.re.abs() <= 32.0 {
            let power = (1..b.re.abs() as u32).fold(self, |power, _| power * self);
            return if b.re < 0.0 { ONE / power } else { power };
        }
        if self == Self::default() { self } else { (b * self.log()).exp() }
    }

    /// Hyperbolic sine.
    pub fn sinh(self) -> Self {
        c(self.re.sinh() * self.im.cos(), self.re.cosh() * self.im.sin())
    }

    /// Hyperbolic cosine.
    pub fn cosh(self) -> Self {
        c(self.re.cosh() * self.im.cos(), self.re.sinh() * self.im.sin())
    }

    /// Hyperbolic tangent.
    pub fn tanh(self) -> Self {
        // Beyond that the real part is ±1 to the last bit.
        if self.re.abs() > 20.0 {
            let small = 4.0 * self.im.sin() * self.im.cos() * (-2.0 * self.re.abs()).exp();
            return c(1f64.copysign(self.re), small);
        }
        let (x, y) = (2.0 * self.re, 2.0 * self.im);
        let below = x.cosh() + y.cos();
        c(x.sinh() / below, y.sin() / below)
    }

    /// Sine.
    pub fn sin(self) -> Self {
        self.turned().sinh().turned_back()
    }

    /// Cosine.
    pub fn cos(self) -> Self {
        self.turned().cosh()
    }

    /// Tangent.
    pub fn tan(self) -> Self {
        self.turned().tanh().turned_back()
    }

    /// Inverse of [`Complex::sinh`].
    pub fn asinh(self) -> Self {
        // Of the two signs the one without cancellation.
        let positive = |v: Self| (v + (v * v + ONE).sqrt()).log();
        if self.re < 0.0 { -positive(-self) } else { positive(self) }
    }

    /// Inverse of [`Complex::cosh`].
    pub fn acosh(self) -> Self {
        (self + (self + ONE).sqrt() * (self - ONE).sqrt()).log()
    }

    /// Inverse of [`Complex::tanh`].
    pub fn atanh(self) -> Self {
        ((ONE + self).log() - (ONE - self).log()).scaled(0.5)
    }

    /// 1 / (1 + e to the power of −it).
    pub fn sigmoid(self) -> Self {
        ONE / (ONE + (-self).exp())
    }
}

/// 1 if both are the same.
pub fn eq([a, b]: [Complex; 2]) -> Complex {
    Complex::real(f64::from(u8::from(a == b)))
}

/// 1 unless both are the same.
pub fn ne([a, b]: [Complex; 2]) -> Complex {
    Complex::real(f64::from(u8::from(a != b)))
}

/// Tensors out (one of real numbers, two of complex ones), two of each input, all of the same dimensions.
pub fn map<const OUT: usize, const N: usize>(
    ctx: &Ctx<'_>,
    args: &ArgsView<'_>,
    f: fn([Complex; N]) -> Complex,
) -> Result<(), KernelFault> {
    let first = Tensor::output(ctx, args, 0)?;
    let mut outs = [first; OUT];
    for (i, out) in outs.iter_mut().enumerate().skip(1) {
        *out = Tensor::output(ctx, args, i)?.same_dims(&first, i)?;
    }
    let mut inputs = [[first; 2]; N];
    for (i, input) in inputs.iter_mut().flatten().enumerate() {
        *input = Tensor::input(ctx, args, OUT + i)?.same_dims(&first, OUT + i)?;
    }
    let order = first.order();
    let sinks = outs.map(|t| Sink::<f64>::new(&t, &order));
    let sources = inputs.map(|pair| pair.map(|t| Source::<f64>::new(&t, &order)));
    for_ranges(ctx, first.count, &|start, end| {
        let mut tiles = [[[0.0; TILE]; 2]; N];
        let mut results = [[0.0; TILE]; 2];
        for at in (start..end).step_by(TILE) {
            let n = TILE.min(end - at);
            for (source, tile) in sources.iter().flatten().zip(tiles.iter_mut().flatten()) {
                source.read(at, &mut tile[..n]);
            }
            for i in 0..n {
                let result = f(tiles.each_ref().map(|[re, im]| c(re[i], im[i])));
                [results[0][i], results[1][i]] = [result.re, result.im];
            }
            for (sink, result) in sinks.iter().zip(&results) {
                sink.write(at, &result[..n]);
            }
        }
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: Complex, b: Complex) -> bool {
        (a - b).abs().re <= 1e-12 * (1.0 + b.abs().re)
    }

    /// Each function beside what defines it: its inverse, or the power series of e.
    #[test]
    fn functions_agree_with_their_definitions() {
        let exp = |z: Complex| {
            let next = |(sum, term): (Complex, Complex), n: i32| {
                let term = term * z.scaled(1.0 / f64::from(n));
                (sum + term, term)
            };
            (1..60).fold((ONE, ONE), next).0
        };
        for i in 0..64 {
            let z = c((f64::from(i) * 0.7).sin() * 3.0, (f64::from(i) * 1.3).cos() * 2.0);
            let (up, down) = (exp(z), exp(-z));
            assert!(near(z.exp(), up), "exp {z:?}");
            assert!(
                near(z.sinh(), (up - down).scaled(0.5)) && near(z.cosh(), (up + down).scaled(0.5)),
                "{z:?}"
            );
            assert!(near(z.tanh() * (up + down), up - down), "tanh {z:?}");
            let (up, down) = (exp(z.turned()), exp(-z.turned()));
            assert!(near(z.sin().turned(), (up - down).scaled(0.5)), "sin {z:?}");
            assert!(near(z.cos(), (up + down).scaled(0.5)), "cos {z:?}");
            assert!(near(z.tan() * z.cos(), z.sin()), "tan {z:?}");
            assert!(near(exp(z.log()), z) && z.log().im.abs() <= std::f64::consts::PI, "log {z:?}");
            assert!(near(exp(z.log2().scaled(2f64.ln())), z) && near(exp(z.log10().scaled(10f64.ln())), z));
            assert!(near(z.sqrt().square(), z) && z.sqrt().re >= 0.0, "sqrt {z:?}");
            assert!(
                near(z.asinh().sinh(), z) && near(z.acosh().cosh(), z) && near(z.atanh().tanh(), z),
                "{z:?}"
            );
            let w = c(0.3, -1.1);
            assert!(near(z / w * w, z) && near(z.reciprocal() * z, ONE) && near(z.rsqrt() * z.sqrt(), ONE));
            assert!(near(z.pow(w), exp(w * z.log())) && near(z.pow(c(-3.0, 0.0)) * z * z * z, ONE), "{z:?}");
            assert!(near(z.sigmoid() * (ONE + exp(-z)), ONE));
            assert!(
                near(z.sign().scaled(z.abs().re), z)
                    && near(exp(Complex::real(z.angle().re).turned()), z.sign())
            );
        }
        assert_eq!(
            (Complex::default().pow(c(0.0, 0.0)), Complex::default().sqrt()),
            (ONE, Complex::default())
        );
        assert_eq!(c(1e300, 1e300) / c(1e300, 1e300), ONE);
        assert_eq!(c(1.0, -2.0) / c(0.0, 0.0), c(f64::INFINITY, f64::NEG_INFINITY));
        assert_eq!(c(-4.0, 0.0).sqrt(), c(0.0, 2.0));
        assert_eq!(c(-4.0, -0.0).sqrt(), c(0.0, -2.0));
        assert!(near(c(-300.0, 1.0).tanh(), c(-1.0, 0.0)));
    }
}
