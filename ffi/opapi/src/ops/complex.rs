//! Complex numbers from their parts, and parts of them. All other operators on complex numbers are those of real ones.

use super::declare::operators;
use super::elementwise::check_shape;
use super::movement::copy;
use crate::complex::part;
use crate::dtype::is_complex;
use crate::error::{Result, invalid};
use crate::program::Attr::{Float, Int, Type};
use crate::program::Program;
use crate::view::{View, broadcast};

operators! {
    "complex" { /// out = real + imag i.
        aclnnComplex(real: Tensor, imag: Tensor, out: Out) => complex; }
    "real" { /// out = the real part of self.
        aclnnReal(self_: Tensor, out: Out) => |p, a: View, o| real(p, &a, &o); }
    "polar" { /// out = the complex numbers of absolute value input and of this angle.
        aclnnPolar(input: Tensor, angle: Tensor, out: Out) => polar; }
}

/// The parts of a complex output, for inputs that are broadcast to it.
fn parts(a: &View, b: &View, out: &View) -> Result<[View; 2]> {
    if let Some(v) = [a, b].into_iter().find(|v| !v.dtype.is_float()) {
        return Err(invalid!("a part of type {:?}; a float is needed", v.dtype));
    }
    if !is_complex(out.dtype) {
        return Err(invalid!("out has type {:?}; C64 or C128 is needed", out.dtype));
    }
    check_shape(out, &broadcast(&a.dims, &b.dims)?)?;
    Ok([0, 1].map(|which| part(out, which)))
}

fn complex(p: &mut Program, re: View, im: View, out: View) -> Result<()> {
    let [to_re, to_im] = parts(&re, &im, &out)?;
    copy(p, &re, &to_re)?;
    copy(p, &im, &to_im)
}

fn real(p: &mut Program, a: &View, out: &View) -> Result<()> {
    check_shape(out, &a.dims)?;
    if is_complex(out.dtype) || !out.dtype.is_float() {
        return Err(invalid!("out has type {:?}; a float is needed", out.dtype));
    }
    copy(p, &part(a, 0), out)
}

fn polar(p: &mut Program, length: View, angle: View, out: View) -> Result<()> {
    let to = parts(&length, &angle, &out)?;
    let (length, angle) = (length.expand(&out.dims)?, angle.expand(&out.dims)?);
    for (k, to) in ["cos", "sin"].into_iter().zip(&to) {
        let turned = p.temporary(to.dtype, &out.dims);
        p.launch(k, &[&turned], &[&angle], &[Type(to.dtype)])?;
        p.launch("mul", &[to], &[&length, &turned], &[Type(to.dtype), Float(1.0), Int(1)])?;
    }
    Ok(())
}
