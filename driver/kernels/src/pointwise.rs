//! Functions of up to five tensors and a few scalars, element by element, in floats: gradients of activations,
//! losses and the mathematical functions that [`crate::unary`] does not have.
//!
//! All take the tensors out, inputs …; attributes compute type, then the scalars as floats. Integers compute in
//! float32. A truth value is 0 or 1.

pub mod activation;
pub mod gamma;
pub mod loss;
pub mod math;

use std::marker::PhantomData;

use vinci_hw::args::ArgsView;

use crate::lane::{Lane, LaneKind, lane_of};
use crate::simd::{Task, vectorize};
use crate::tile::map;
use crate::view::Tensor;
use crate::{Ctx, KernelFault};

/// Most scalars of a function.
pub const SCALARS: usize = 4;

/// A function of `N` values and some scalars.
pub trait Pointwise<const N: usize>: Sync {
    /// Scalars that it reads.
    const SCALARS: usize = 0;
    /// The function.
    fn apply<L: Lane>(x: [L; N], s: [L; SCALARS]) -> L;
}

/// Declares a [`Pointwise`] type for each `Name = |tensors; scalars| expression`.
macro_rules! pointwise_ops {
    ($($(#[$doc:meta])* $name:ident = |$($x:ident),+ $(; $($s:ident),+)?| $e:expr;)*) => { $(
        $(#[$doc])*
        pub struct $name;
        impl Pointwise<{ [$(stringify!($x)),+].len() }> for $name {
            $(const SCALARS: usize = [$(stringify!($s)),+].len();)?
            #[inline(always)]
            #[allow(unused_variables)]
            fn apply<L: Lane>(x: [L; [$(stringify!($x)),+].len()], s: [L; SCALARS]) -> L {
                let [$($x),+] = x;
                $(let [$($s),+, ..] = s;)?
                $e
            }
        }
    )* };
}
pub(crate) use pointwise_ops;

struct PointwiseTask<'a, O, L, const N: usize> {
    op: PhantomData<O>,
    inputs: [&'a [L]; N],
    scalars: [L; SCALARS],
    out: &'a mut [L],
}

impl<O: Pointwise<N>, L: Lane, const N: usize> Task for PointwiseTask<'_, O, L, N> {
    type Output = ();
    #[inline(always)]
    fn call(self) {
        // Slices of the output's length, so that the loop has no bounds to check.
        let n = self.out.len();
        let inputs = self.inputs.map(|t| &t[..n]);
        for (i, out) in self.out.iter_mut().enumerate() {
            *out = O::apply(inputs.map(|t| t[i]), self.scalars);
        }
    }
}

/// Runs a function over tensors.
pub fn pointwise<O: Pointwise<N>, const N: usize>(
    ctx: &Ctx<'_>,
    args: &ArgsView<'_>,
) -> Result<(), KernelFault> {
    let out = Tensor::output(ctx, args, 0)?;
    let mut inputs = [out; N];
    for (i, input) in inputs.iter_mut().enumerate() {
        *input = Tensor::input(ctx, args, i + 1)?.same_dims(&out, i + 1)?;
    }
    let mut scalars = [0.0; SCALARS];
    for (i, s) in scalars[..O::SCALARS].iter_mut().enumerate() {
        *s = args.attr_f64(i + 1)?;
    }
    match lane_of(args.attr_dtype(0)?) {
        LaneKind::F64 => run::<O, f64, N>(ctx, &out, &inputs, scalars),
        _ => run::<O, f32, N>(ctx, &out, &inputs, scalars),
    }
    Ok(())
}

fn run<O: Pointwise<N>, L: Lane, const N: usize>(
    ctx: &Ctx<'_>,
    out: &Tensor,
    inputs: &[Tensor; N],
    scalars: [f64; SCALARS],
) {
    let scalars = scalars.map(L::from_f64);
    map::<L, N>(ctx, out, inputs.each_ref(), &|_, inputs, out| {
        vectorize(PointwiseTask { op: PhantomData::<O>, inputs, scalars, out });
    });
}

/// A lane's functions that have no vector form, by float64.
#[inline(always)]
pub fn by_f64<L: Lane>(x: L, f: fn(f64) -> f64) -> L {
    L::from_f64(f(x.to_f64()))
}

/// A constant.
#[inline(always)]
pub fn c<L: Lane>(v: f64) -> L {
    L::from_f64(v)
}
