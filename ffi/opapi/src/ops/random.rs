//! Random numbers: functions of seed and offset. The seed is Philox's key, the offset the upper half of its counter.

use std::sync::Arc;

use super::declare::operators;
use super::elementwise::{self as el, check_shape};
use super::movement;
use crate::dtype::DType;
use crate::error::{Result, invalid};
use crate::objects::Scalar;
use crate::program::Attr::{Float, Int};
use crate::program::{Attr, Program};
use crate::view::View;

operators! {
    "uniform" { /// self = numbers even in from..to.
        aclnnInplaceUniform(selfRef: Ref, from: Double, to: Double, seed: UInt, offset: UInt) =>
            |p, o, a, b, s: u64, n: u64| uniform(p, &o, a, b, Source::Given(s, n));
        /// self = numbers even in from..to; seed and offset lie in memory.
        aclnnInplaceUniformTensor(selfRef: Ref, from: Double, to: Double, seedTensor: Tensor, offsetTensor: Tensor, offset: UInt) =>
            |p, o, a, b, s: View, n: View, k: u64| uniform(p, &o, a, b, Source::Tensors(s, n, k)); }
    "normal" { /// self = normal numbers.
        aclnnInplaceNormal(selfRef: Ref, mean: Float, std: Float, seed: Int, offset: Int) =>
            |p, o, a, b, s: i64, n: i64| normal(p, &o, a, b, Source::given(s, n));
        /// self = normal numbers; seed and offset lie in memory.
        aclnnInplaceNormalTensor(selfRef: Ref, mean: Float, std: Float, seedTensor: Tensor, offsetTensor: Tensor, offset: Int) =>
            |p, o, a, b, s: View, n: View, k: i64| normal(p, &o, a, b, Source::Tensors(s, n, k as u64)); }
    "normal_out" { /// out = normal numbers.
        aclnnNormalFloatFloat(mean: Float, std: Float, seed: Int, offset: Int, out: Out) =>
            |p, a, b, s: i64, n: i64, o| normal(p, &o, a, b, Source::given(s, n));
        /// out = normal numbers, a deviation for each.
        aclnnNormalFloatTensor(mean: Float, std: Tensor, seed: Int, offset: Int, out: Out) =>
            |p, a: f32, b: View, s: i64, n: i64, o| spread(p, Err(a), Ok(b), Source::given(s, n), &o);
        /// out = normal numbers, a mean for each.
        aclnnNormalTensorFloat(mean: Tensor, std: Float, seed: Int, offset: Int, out: Out) =>
            |p, a: View, b: f32, s: i64, n: i64, o| spread(p, Ok(a), Err(b), Source::given(s, n), &o);
        /// out = normal numbers, a mean and a deviation for each.
        aclnnNormalTensorTensor(mean: Tensor, std: Tensor, seed: Int, offset: Int, out: Out) =>
            |p, a: View, b: View, s: i64, n: i64, o| spread(p, Ok(a), Ok(b), Source::given(s, n), &o); }
    "random" { /// self = whole numbers in from..to.
        aclnnInplaceRandom(selfRef: Ref, from: Int, to: Int, seed: Int, offset: Int) =>
            |p, o, a, b, s: i64, n: i64| integer(p, &o, a, b, Source::given(s, n));
        /// self = whole numbers in from..to; seed and offset lie in memory.
        aclnnInplaceRandomTensor(selfRef: Ref, from: Int, to: Int, seedTensor: Tensor, offsetTensor: Tensor, offset: Int) =>
            |p, o, a, b, s: View, n: View, k: i64| integer(p, &o, a, b, Source::Tensors(s, n, k as u64)); }
    "bernoulli" { /// self = 1 with probability prob, else 0.
        aclnnInplaceBernoulli(selfRef: Ref, prob: Scalar, seed: Int, offset: Int) =>
            |p, o, q: Scalar, s: i64, n: i64| bernoulli(p, &o, q.float, Source::given(s, n));
        /// self = 1 with a probability for each, else 0.
        aclnnInplaceBernoulliTensor(selfRef: Ref, prob: Tensor, seed: Int, offset: Int) =>
            |p, o: View, q: View, s: i64, n: i64| draw(p, "random_bernoulli", &o, (0.0, 0), (0.0, 0), Source::given(s, n), &[&q.expand(&o.dims)?]); }
    "bernoulli" { /// out = 1 with probability prob, else 0, in self's shape.
        aclnnBernoulli(self_: Tensor, prob: Scalar, seed: Int, offset: Int, out: Out) => |p, x: View, q: Scalar, s: i64, n: i64, o: View| {
            check_shape(&o, &x.dims)?;
            bernoulli(p, &o, q.float, Source::given(s, n))
        };
        /// out = 1 with a probability for each, else 0, in self's shape.
        aclnnBernoulliTensor(self_: Tensor, prob: Tensor, seed: Int, offset: Int, out: Out) => |p, x: View, q: View, s: i64, n: i64, o: View| {
            check_shape(&o, &x.dims)?;
            draw(p, "random_bernoulli", &o, (0.0, 0), (0.0, 0), Source::given(s, n), &[&q.expand(&o.dims)?])
        }; }
    "sim_thread_exponential" { /// self = exponential numbers of rate lambda.
        aclnnSimThreadExponential(selfRef: Ref, count: Int, lambda: Double, seed: Int, offset: Int) =>
            |p, o, _, l, s: i64, n: i64| draw(p, "random_exponential", &o, (l, l as i64), (0.0, 0), Source::given(s, n), &[]); }
    "randperm" { /// out = a permutation of 0..n.
        aclnnRandperm(n: Int, seed: Int, offset: Int, out: Out) => |p, n, s: i64, k: i64, o: View| {
            check_shape(&o, &[n])?;
            draw(p, "random_permutation", &o, (0.0, 0), (0.0, 0), Source::given(s, k), &[])
        }; }
    "multinomial" { /// out = numsamples categories in proportion to the weights in self.
        aclnnMultinomial(self_: Tensor, numsamples: Int, replacement: Bool, seed: Int, offset: Int, out: Out) =>
            |p, w, n, r, s: i64, k: i64, o| multinomial(p, &w, n, r, Source::given(s, k), &o);
        /// As aclnnMultinomial; seed and offset lie in memory.
        aclnnMultinomialTensor(self_: Tensor, numsamples: Int, replacement: Bool, seedTensor: Tensor, offsetTensor: Tensor, offset: Int, out: Out) =>
            |p, w, n, r, s: View, t: View, k: i64, o| multinomial(p, &w, n, r, Source::Tensors(s, t, k as u64), &o); }
    "dropout_gen_mask" { /// out = bits, 0 with probability prob, one for each element of shape.
        aclnnDropoutGenMask(shape: Ints, prob: Double, seed: Int, offset: Int, out: Out) =>
            |p, d: Arc<[i64]>, q, s: i64, n: i64, o| mask(p, &d, q, Source::given(s, n), &o); }
    "dropout_gen_mask_v2" { /// out = bits, 0 with probability prob, one for each element of shape.
        aclnnDropoutGenMaskV2(shape: Ints, prob: Double, seed: Int, offset: Int, probDataType: Type, out: Out) =>
            |p, d: Arc<[i64]>, q, s: i64, n: i64, _, o| mask(p, &d, q, Source::given(s, n), &o);
    }
    "dropout_gen_mask" { /// As aclnnDropoutGenMaskV2; seed and offset lie in memory.
        aclnnDropoutGenMaskV2Tensor(shape: Ints, prob: Double, seedTensor: Tensor, offsetTensor: Tensor, offset: Int, probDataType: Type, out: Out) =>
            |p, d: Arc<[i64]>, q, s: View, n: View, k: i64, _, o| mask(p, &d, q, Source::Tensors(s, n, k as u64), &o); }
    "dropout_do_mask" { /// out = self / (1 - prob) where the bit of mask is set, else 0.
        aclnnDropoutDoMask(self_: Tensor, mask: Tensor, prob: Double, out: Out) => do_mask; }
    "dropout" { /// out = input / (1 - p) with probability 1 - p, else 0; maskOut tells which.
        aclnnDropout(input: Tensor, p: Double, train: Bool, seed: Int, offset: Int, out: Out, maskOut: Out) => dropout; }
    "dropout_backward" { /// out = gradOutput * scale where the bit of mask is set, else 0.
        aclnnDropoutBackward(gradOutput: Tensor, mask: Tensor, scale: Double, out: Out) => |p, g, m, s, o| masked(p, &g, &m, s, &o); }
}

/// Where seed and offset are.
pub enum Source {
    /// In the call.
    Given(u64, u64),
    /// In tensors of one element, and a number that is added to the second.
    Tensors(View, View, u64),
}

impl Source {
    fn given(seed: i64, offset: i64) -> Self {
        Self::Given(seed as u64, offset as u64)
    }
}

/// Attribute bits: the seed is in a tensor, the counter in attributes, the counter's step in a tensor.
const SEED_TENSOR: i64 = 4;
const COUNTER_GIVEN: i64 = 8;
const STEP_TENSOR: i64 = 16;

/// Launches a kernel of random numbers with two parameters, each as float and as integer.
pub fn draw(
    p: &mut Program,
    k: &'static str,
    out: &View,
    first: (f64, i64),
    second: (f64, i64),
    source: Source,
    more: &[&View],
) -> Result<()> {
    let pair = |(f, i): (f64, i64)| [Float(f), Int(i)];
    let (seed, offset, bits, mut inputs) = match &source {
        Source::Given(seed, offset) => (*seed, *offset, COUNTER_GIVEN, vec![]),
        Source::Tensors(seed, step, offset) => {
            for (name, t) in [("seedTensor", seed), ("offsetTensor", step)] {
                el::single(name, t)?;
            }
            (0, *offset, COUNTER_GIVEN | SEED_TENSOR | STEP_TENSOR, vec![seed, step])
        }
    };
    inputs.extend(more);
    let ([a, b], [c, d]) = (pair(first), pair(second));
    let attrs: [Attr; 8] = [Int(seed as i64), a, b, c, d, Int(bits), Int(0), Int(offset as i64)];
    p.launch(k, &[out], &inputs, &attrs)
}

fn need_float(out: &View) -> Result<()> {
    if out.dtype.is_float() { Ok(()) } else { Err(invalid!("self has type {:?}; a float is needed", out.dtype)) }
}

/// out = numbers even in `from..to`.
pub fn uniform(p: &mut Program, out: &View, from: f64, to: f64, source: Source) -> Result<()> {
    need_float(out)?;
    if from.is_nan() || to.is_nan() || from > to {
        return Err(invalid!("numbers in {from}..{to}"));
    }
    draw(p, "random_uniform", out, (from, 0), (to, 0), source, &[])
}

fn normal(p: &mut Program, out: &View, mean: f32, std: f32, source: Source) -> Result<()> {
    need_float(out)?;
    if std.is_nan() || std < 0.0 {
        return Err(invalid!("standard deviation {std}"));
    }
    draw(p, "random_normal", out, (f64::from(mean), 0), (f64::from(std), 0), source, &[])
}

/// mean + std * normal numbers.
fn spread(
    p: &mut Program,
    mean: std::result::Result<View, f32>,
    std: std::result::Result<View, f32>,
    source: Source,
    out: &View,
) -> Result<()> {
    let numbers = p.temporary(DType::F32, &out.dims);
    normal(p, &numbers, 0.0, 1.0, source)?;
    let scalar = |v: f32| Scalar::real(DType::F32, f64::from(v), v as i64);
    match std {
        Ok(std) => el::arithmetic(p, "mul", &numbers, &std.expand(&out.dims)?, None, &numbers.clone())?,
        Err(std) => el::with_scalar(p, "mul_s", &numbers, scalar(std), None, &numbers.clone())?,
    }
    match mean {
        Ok(mean) => {
            let mean = mean.expand(&out.dims)?;
            el::arithmetic(p, "add", &numbers, &mean, None, &numbers.clone())?;
        }
        Err(mean) => el::with_scalar(p, "add_s", &numbers, scalar(mean), None, &numbers.clone())?,
    }
    movement::copy(p, &numbers, out)
}

fn integer(p: &mut Program, out: &View, from: i64, to: i64, source: Source) -> Result<()> {
    if from >= to {
        return Err(invalid!("there is no whole number in {from}..{to}"));
    }
    draw(p, "random_integer", out, (from as f64, from), (to as f64, to), source, &[])
}

fn bernoulli(p: &mut Program, out: &View, prob: f64, source: Source) -> Result<()> {
    check_probability(prob)?;
    draw(p, "random_bernoulli", out, (prob, 0), (0.0, 0), source, &[])
}

fn check_probability(prob: f64) -> Result<()> {
    if (0.0..=1.0).contains(&prob) { Ok(()) } else { Err(invalid!("probability {prob}; 0 to 1 is needed")) }
}

fn multinomial(p: &mut Program, weights: &View, n: i64, again: bool, source: Source, out: &View) -> Result<()> {
    let categories = *weights.dims.last().unwrap_or(&0);
    let rows = weights.dims.split_last().map_or(&[][..], |(_, rows)| rows);
    if !matches!(weights.rank(), 1 | 2) || !weights.dtype.is_float() {
        return Err(invalid!("weights of shape {:?} and type {:?}; floats of 1 or 2 dimensions are needed", weights.dims, weights.dtype));
    }
    if n <= 0 || (!again && n > categories) {
        return Err(invalid!("{n} samples of {categories} categories"));
    }
    check_shape(out, &rows.iter().copied().chain([n]).collect::<Vec<_>>())?;
    let two = |v: &View| if v.rank() == 1 { v.unsqueeze(&[0]) } else { v.clone() };
    let again = f64::from(u8::from(again));
    draw(p, "random_multinomial", &two(out), (0.0, 0), (again, again as i64), source, &[&two(weights)])
}

fn mask(p: &mut Program, shape: &[i64], prob: f64, source: Source, out: &View) -> Result<()> {
    check_probability(prob)?;
    let bits: i64 = shape.iter().product();
    if out.dtype != DType::U8 || out.elements() < (bits + 7) / 8 {
        return Err(invalid!("out has {} elements of {:?}; a byte for eight of {bits} elements is needed", out.elements(), out.dtype));
    }
    draw(p, "random_bits", out, (prob, 0), (0.0, 0), source, &[])
}

/// out = a * scale where the bit is set.
fn masked(p: &mut Program, a: &View, mask: &View, scale: f64, out: &View) -> Result<()> {
    check_shape(out, &a.dims)?;
    if mask.dtype != DType::U8 || mask.elements() < (a.elements() + 7) / 8 {
        return Err(invalid!("mask has {} elements of {:?} for {} elements", mask.elements(), mask.dtype, a.elements()));
    }
    p.launch("dropout", &[out], &[a, mask], &[Float(scale)])
}

fn do_mask(p: &mut Program, a: View, mask: View, prob: f64, out: View) -> Result<()> {
    check_probability(prob)?;
    // Nothing is left at 1, and nothing is divided by 0.
    masked(p, &a, &mask, if prob < 1.0 { 1.0 / (1.0 - prob) } else { 0.0 }, &out)
}

#[allow(clippy::too_many_arguments)] // CANN's
fn dropout(p: &mut Program, a: View, prob: f64, train: bool, seed: i64, offset: i64, out: View, bits: View) -> Result<()> {
    check_shape(&out, &a.dims)?;
    if !train {
        movement::fill(p, bits, movement::constant(255))?;
        return movement::copy(p, &a, &out);
    }
    mask(p, &a.dims, prob, Source::given(seed, offset), &bits)?;
    do_mask(p, a, bits, prob, out)
}
