//! Arithmetic of two operands: two tensors, or a tensor and a scalar.

use vinci_hw::args::{ArgsView, DType};

use crate::arith::Arith;
use crate::lane::{Lane, LaneKind, TILE, lane_of, with_lane};
use crate::simd::{Task, vectorize};
use crate::tile::map;
use crate::view::Tensor;
use crate::{Ctx, KernelFault};

/// A function of two values.
pub trait Binary: Sync {
    /// Whether integers are computed as floats.
    const TO_FLOAT: bool = false;
    /// Whether `alpha` multiplies the second operand.
    const ALPHA: bool = false;
    /// The function.
    fn apply<L: Lane>(a: L, b: L) -> L;
}

/// Declares a [`Binary`] type for each `Name = |a, b| expression`.
macro_rules! binary_ops {
    ($($(#[$doc:meta])* $name:ident $({$($konst:ident),*})? = |$a:ident, $b:ident| $e:expr;)*) => { $(
        $(#[$doc])*
        pub struct $name;
        impl Binary for $name {
            $($(const $konst: bool = true;)*)?
            #[inline(always)]
            fn apply<L: Lane>($a: L, $b: L) -> L { $e }
        }
    )* };
}
pub(crate) use binary_ops;

binary_ops! {
    /// a + alpha b
    Add {ALPHA} = |a, b| a.add(b);
    /// a − alpha b
    Sub {ALPHA} = |a, b| a.sub(b);
    /// a b
    Mul = |a, b| a.mul(b);
    /// a / b, a float also for integers
    Div {TO_FLOAT} = |a, b| a.div(b);
    /// The larger one; NaN wins
    Maximum = |a, b| a.larger(b);
    /// The smaller one; NaN wins
    Minimum = |a, b| a.smaller(b);
    /// a to the power of b
    Pow = |a, b| a.pow(b);
    /// Angle of (b, a)
    Atan2 {TO_FLOAT} = |a, b| a.atan2(b);
    /// Remainder with the sign of a
    Fmod = |a, b| a.fmod(b);
    /// Remainder with the sign of b
    Remainder = |a, b| a.remainder(b);
    /// ⌊a / b⌋
    FloorDiv = |a, b| a.floor_div(b);
}

struct BinaryTask<'a, O, L> {
    op: std::marker::PhantomData<O>,
    alpha: L,
    a: &'a [L],
    b: &'a [L],
    out: &'a mut [L],
}

impl<O: Binary, L: Lane> Task for BinaryTask<'_, O, L> {
    type Output = ();
    #[inline(always)]
    fn call(self) {
        // No closures: large ones would not be inlined, and then not be compiled for the level.
        let n = self.out.len();
        let (a, b) = (&self.a[..n], &self.b[..n]);
        if O::ALPHA && self.alpha != L::ONE {
            for (i, out) in self.out.iter_mut().enumerate() {
                *out = O::apply(a[i], b[i].mul(self.alpha));
            }
        } else {
            for (i, out) in self.out.iter_mut().enumerate() {
                *out = O::apply(a[i], b[i]);
            }
        }
    }
}

fn apply<O: Binary, L: Lane>(alpha: L, a: &[L], b: &[L], out: &mut [L]) {
    vectorize(BinaryTask { op: std::marker::PhantomData::<O>, alpha, a, b, out });
}

fn kind<O: Binary>(compute: DType) -> LaneKind {
    match lane_of(compute) {
        LaneKind::I32 if O::TO_FLOAT => LaneKind::F32,
        LaneKind::I64 | LaneKind::U64 if O::TO_FLOAT => LaneKind::F64,
        kind => kind,
    }
}

/// The pair of attributes that gives a scalar as float and as integer; `default` where there is none.
fn scalar<L: Lane>(args: &ArgsView<'_>, first: usize, default: L) -> L {
    match (args.attr_f64(first), args.attr_i64(first + 1)) {
        (Ok(f), Ok(i)) => L::scalar(f, i),
        (Ok(f), Err(_)) => L::from_f64(f),
        _ => default,
    }
}

/// Tensors out, a, b; attributes compute type, alpha as float and as integer.
pub fn binary<O: Binary>(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let out = Tensor::output(ctx, args, 0)?;
    let a = Tensor::input(ctx, args, 1)?.same_dims(&out, 1)?;
    let b = Tensor::input(ctx, args, 2)?.same_dims(&out, 2)?;
    with_lane!(kind::<O>(args.attr_dtype(0)?), L => {
        let alpha = if O::ALPHA { scalar::<L>(args, 1, L::ONE) } else { L::ONE };
        map::<L, 2>(ctx, &out, [&a, &b], &|_, [a, b], out| apply::<O, L>(alpha, a, b, out));
    });
    Ok(())
}

/// Tensors out, a; attributes compute type, scalar as float and as integer, alpha likewise.
pub fn binary_scalar<O: Binary>(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let out = Tensor::output(ctx, args, 0)?;
    let a = Tensor::input(ctx, args, 1)?.same_dims(&out, 1)?;
    with_lane!(kind::<O>(args.attr_dtype(0)?), L => {
        let alpha = if O::ALPHA { scalar::<L>(args, 3, L::ONE) } else { L::ONE };
        let b = [scalar::<L>(args, 1, L::ZERO).mul(alpha); TILE];
        map::<L, 1>(ctx, &out, [&a], &|_, [a], out| apply::<O, L>(L::ONE, a, &b[..a.len()], out));
    });
    Ok(())
}

/// Tensors out, a; attributes compute type, scalar, alpha: out = scalar − alpha a.
pub fn rsub_scalar(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let out = Tensor::output(ctx, args, 0)?;
    let a = Tensor::input(ctx, args, 1)?.same_dims(&out, 1)?;
    with_lane!(lane_of(args.attr_dtype(0)?), L => {
        let alpha = scalar::<L>(args, 3, L::ONE);
        let s = [scalar::<L>(args, 1, L::ZERO); TILE];
        map::<L, 1>(ctx, &out, [&a], &|_, [a], out| apply::<Sub, L>(alpha, &s[..a.len()], a, out));
    });
    Ok(())
}

/// Tensors out, a; attributes compute type, scalar as float and as integer: the function of the scalar and a.
pub fn scalar_binary<O: Binary>(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let out = Tensor::output(ctx, args, 0)?;
    let a = Tensor::input(ctx, args, 1)?.same_dims(&out, 1)?;
    with_lane!(kind::<O>(args.attr_dtype(0)?), L => {
        let s = [scalar::<L>(args, 1, L::ZERO); TILE];
        map::<L, 1>(ctx, &out, [&a], &|_, [a], out| apply::<O, L>(L::ONE, &s[..a.len()], a, out));
    });
    Ok(())
}
