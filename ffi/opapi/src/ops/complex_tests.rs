//! Operators on complex numbers, on host memory, against plain formulas.

use super::tests::{Handle, floats, ints, last_error, op, run, scalar, tensor_of};
use super::training_tests::numbers;
use super::*;
use crate::tensor::*;

const C64: i32 = 16;
const C128: i32 = 17;
const BOOL: i32 = 12;
const I64: i32 = 9;

type Z = (f64, f64);

fn mul(a: Z, b: Z) -> Z {
    (a.0 * b.0 - a.1 * b.1, a.0 * b.1 + a.1 * b.0)
}

fn div(a: Z, b: Z) -> Z {
    let q = b.0 * b.0 + b.1 * b.1;
    let z = mul(a, (b.0, -b.1));
    (z.0 / q, z.1 / q)
}

fn exp(z: Z) -> Z {
    (z.0.exp() * z.1.cos(), z.0.exp() * z.1.sin())
}

fn log(z: Z) -> Z {
    ((z.0 * z.0 + z.1 * z.1).sqrt().ln(), z.1.atan2(z.0))
}

fn values(n: usize, seed: u64) -> Vec<Z> {
    numbers(2 * n, seed).chunks(2).map(|c| (f64::from(c[0]) * 2.0, f64::from(c[1]) * 2.0)).collect()
}

/// In memory as CANN has them.
fn flat(z: &[Z]) -> Vec<f32> {
    z.iter().flat_map(|z| [z.0 as f32, z.1 as f32]).collect()
}

fn tensor(data: &mut [f32], dims: &[i64]) -> Handle {
    tensor_of(data, C64, dims, None, 0)
}

fn number(re: f32, im: f32) -> Handle {
    // SAFETY: points to two floats.
    unsafe { aclCreateScalar([re, im].as_ptr().cast_mut().cast(), C64) }
}

#[track_caller]
fn close(made: &[f32], wanted: impl IntoIterator<Item = Z>) {
    let wanted: Vec<Z> = wanted.into_iter().collect();
    assert_eq!(made.len(), 2 * wanted.len());
    for (i, (m, w)) in made.chunks(2).zip(&wanted).enumerate() {
        let far = (f64::from(m[0]) - w.0).hypot(f64::from(m[1]) - w.1);
        assert!(far <= 2e-5 * (1.0 + w.0.hypot(w.1)), "element {i} is {m:?}, not {w:?}");
    }
}

/// The result of an operator that writes `n` complex numbers.
#[track_caller]
fn made(n: usize, f: impl FnOnce(Handle) -> i32) -> Vec<f32> {
    let mut out = vec![7f32; 2 * n];
    assert_eq!(f(tensor(&mut out, &[n as i64])), 0, "{}", last_error());
    out
}

#[test]
fn functions_of_one_complex_number() {
    let z = values(9, 1);
    let mut a = flat(&z);
    let a = tensor(&mut a, &[9]);
    macro_rules! all {
        ($($operator:ident $f:expr;)*) => { $(
            close(&made(9, |o| op!($operator, a, o)), z.iter().map(|&z| ($f)(z)));
        )* };
    }
    let half = |z: Z| (z.0 / 2.0, z.1 / 2.0);
    let sinh = |z: Z| half((exp(z).0 - exp((-z.0, -z.1)).0, exp(z).1 - exp((-z.0, -z.1)).1));
    let cosh = |z: Z| half((exp(z).0 + exp((-z.0, -z.1)).0, exp(z).1 + exp((-z.0, -z.1)).1));
    let turned = |z: Z| (-z.1, z.0);
    let back = |z: Z| (z.1, -z.0);
    all! {
        aclnnNeg |z: Z| (-z.0, -z.1);
        aclnnExp exp;
        aclnnLog log;
        aclnnSqrt |z| exp(half(log(z)));
        aclnnRsqrt |z| div((1.0, 0.0), exp(half(log(z))));
        aclnnReciprocal |z| div((1.0, 0.0), z);
        aclnnSin |z| back(sinh(turned(z)));
        aclnnCos |z| cosh(turned(z));
        aclnnTan |z| back(div(sinh(turned(z)), cosh(turned(z))));
        aclnnSinh sinh;
        aclnnCosh cosh;
        aclnnTanh |z| div(sinh(z), cosh(z));
        aclnnSigmoid |z: Z| div((1.0, 0.0), { let e = exp((-z.0, -z.1)); (1.0 + e.0, e.1) });
        aclnnSign |z: Z| div(z, (z.0.hypot(z.1), 0.0));
    }
    let mut out = [7f32; 9];
    let o = floats(&mut out, &[9]);
    assert_eq!(op!(aclnnAbs, a, o), 0, "{}", last_error());
    assert!(out.iter().zip(&z).all(|(m, z)| (f64::from(*m) - z.0.hypot(z.1)).abs() < 1e-5), "{out:?}");
    assert_eq!(op!(aclnnAngleV2, a, o), 0, "{}", last_error());
    assert!(out.iter().zip(&z).all(|(m, z)| (f64::from(*m) - z.1.atan2(z.0)).abs() < 1e-5), "{out:?}");
    // In place.
    let mut same = flat(&z);
    assert_eq!(op!(aclnnInplaceExp, tensor(&mut same, &[9])), 0, "{}", last_error());
    close(&same, z.iter().map(|&z| exp(z)));
}

#[test]
fn arithmetic_of_complex_numbers() {
    let (x, y) = (values(6, 2), values(3, 3));
    let (mut a, mut b) = (flat(&x), flat(&y));
    let (a, b) = (tensor(&mut a, &[2, 3]), tensor(&mut b, &[3]));
    let both = || x.iter().enumerate().map(|(i, &x)| (x, y[i % 3]));
    let made = |f: &dyn Fn(Handle) -> i32| {
        let mut out = vec![7f32; 12];
        assert_eq!(f(tensor(&mut out, &[2, 3])), 0, "{}", last_error());
        out
    };
    let pow = |x, y| exp(mul(y, log(x)));
    close(
        &made(&|o| op!(aclnnAdd, a, b, scalar(0.5), o)),
        both().map(|(x, y)| (x.0 + 0.5 * y.0, x.1 + 0.5 * y.1)),
    );
    let twisted = |(x, y): (Z, Z)| (x.0 - mul((0.5, -2.0), y).0, x.1 - mul((0.5, -2.0), y).1);
    close(&made(&|o| op!(aclnnSub, a, b, number(0.5, -2.0), o)), both().map(twisted));
    close(&made(&|o| op!(aclnnMul, a, b, o)), both().map(|(x, y)| mul(x, y)));
    close(&made(&|o| op!(aclnnDiv, a, b, o)), both().map(|(x, y)| div(x, y)));
    close(&made(&|o| op!(aclnnPowTensorTensor, a, b, o)), both().map(|(x, y)| pow(x, y)));

    let s: Z = (1.5, -0.75);
    let n = || number(1.5, -0.75);
    let each = |f: &dyn Fn(Z) -> Z| x.iter().map(|&x| f(x)).collect::<Vec<_>>();
    close(&made(&|o| op!(aclnnAdds, a, n(), scalar(2.0), o)), each(&|x| (x.0 + 3.0, x.1 - 1.5)));
    close(&made(&|o| op!(aclnnSubs, a, n(), scalar(2.0), o)), each(&|x| (x.0 - 3.0, x.1 + 1.5)));
    close(
        &made(&|o| op!(aclnnRsubs, a, n(), scalar(2.0), o)),
        each(&|x| (1.5 - 2.0 * x.0, -0.75 - 2.0 * x.1)),
    );
    close(&made(&|o| op!(aclnnMuls, a, n(), o)), each(&|x| mul(x, s)));
    close(&made(&|o| op!(aclnnMuls, a, scalar(3.0), o)), each(&|x| (3.0 * x.0, 3.0 * x.1)));
    close(&made(&|o| op!(aclnnDivs, a, n(), o)), each(&|x| div(x, s)));
    close(&made(&|o| op!(aclnnPowTensorScalar, a, scalar(3.0), o)), each(&|x| mul(x, mul(x, x))));
    close(&made(&|o| op!(aclnnPowTensorScalar, a, n(), o)), each(&|x| pow(x, s)));
    close(&made(&|o| op!(aclnnPowScalarTensor, n(), a, o)), each(&|x| pow(s, x)));

    // A real tensor becomes complex by what it meets.
    let mut real = [1f32, -2.0, 3.0];
    let r = floats(&mut real, &[3]);
    let meets = |i: usize| f64::from(real[i % 3]);
    close(
        &made(&|o| op!(aclnnMul, a, r, o)),
        x.iter().enumerate().map(|(i, x)| (x.0 * meets(i), x.1 * meets(i))),
    );
    close(
        &made(&|o| op!(aclnnAdd, r, a, scalar(1.0), o)),
        x.iter().enumerate().map(|(i, x)| (x.0 + meets(i), x.1)),
    );
    let mut out = [7f32; 6];
    assert_eq!(op!(aclnnMuls, r, n(), tensor(&mut out, &[3])), 0, "{}", last_error());
    close(&out, real.iter().map(|&r| (1.5 * f64::from(r), -0.75 * f64::from(r))));

    let mut z = flat(&x);
    assert_eq!(op!(aclnnInplaceMul, tensor(&mut z, &[2, 3]), b), 0, "{}", last_error());
    close(&z, both().map(|(x, y)| mul(x, y)));
    let mut z = flat(&x);
    let doubled = tensor(&mut z, &[2, 3]);
    assert_eq!(op!(aclnnInplaceMul, doubled, doubled), 0, "{}", last_error());
    close(&z, x.iter().map(|&x| mul(x, x)));
}

#[test]
fn complex_numbers_are_moved_as_pairs() {
    let x = values(6, 4);
    let mut a = flat(&x);
    // The transposed matrix, into every second element.
    let mut out = vec![7f32; 24];
    let turned = tensor_of(&mut a, C64, &[3, 2], Some(&[1, 3]), 0);
    let to = tensor_of(&mut out, C64, &[3, 2], Some(&[4, 2]), 0);
    assert_eq!(op!(aclnnInplaceCopy, to, turned), 0, "{}", last_error());
    let order = [0, 3, 1, 4, 2, 5];
    let every: Vec<f32> = out.chunks(4).flat_map(|c| [c[0], c[1]]).collect();
    close(&every, order.map(|i| x[i]));
    assert!(out.chunks(4).all(|c| c[2..] == [7.0; 2]));

    let a = tensor(&mut a, &[6]);
    let joined = made(12, |o| op!(aclnnCat, list(&[a, a]), 0, o));
    close(&joined, x.iter().chain(&x).copied());
    close(&made(6, |o| op!(aclnnRoll, a, ints(&[2]), ints(&[0]), o)), [4, 5, 0, 1, 2, 3].map(|i| x[i]));
    close(&made(6, |o| op!(aclnnFlip, a, ints(&[0]), o)), [5, 4, 3, 2, 1, 0].map(|i| x[i]));
    let mut places = [5i64, 0, 3];
    let places = tensor_of(&mut places, I64, &[3], None, 0);
    let chosen = [5, 0, 3].map(|i: usize| x[i]);
    close(&made(3, |o| op!(aclnnIndexSelect, a, 0, places, o)), chosen);
    close(&made(3, |o| op!(aclnnIndex, a, list(&[places]), o)), chosen);
    close(&made(3, |o| op!(aclnnGather, a, 0, places, o)), chosen);
    let mut condition = [1u8, 0, 0, 1, 1, 0];
    let condition = tensor_of(&mut condition, BOOL, &[6], None, 0);
    let mut real = [1f32; 6];
    let either = made(6, |o| op!(aclnnSWhere, condition, a, floats(&mut real, &[6]), o));
    close(&either, (0..6).map(|i| if [0, 3, 4].contains(&i) { x[i] } else { (1.0, 0.0) }));

    close(&made(3, |o| op!(aclnnInplaceFillScalar, o, number(2.0, -3.0))), [(2.0, -3.0); 3]);
    close(&made(3, |o| op!(aclnnInplaceFillScalar, o, scalar(2.0))), [(2.0, 0.0); 3]);
    close(&made(3, |o| op!(aclnnInplaceZero, o)), [(0.0, 0.0); 3]);
    let kept = made(6, |o| {
        assert_eq!(op!(aclnnInplaceCopy, o, a), 0);
        op!(aclnnInplaceMaskedFillScalar, o, condition, number(0.5, 1.0))
    });
    close(&kept, (0..6).map(|i| if [0, 3, 4].contains(&i) { (0.5, 1.0) } else { x[i] }));

    // To and from real numbers, and float64.
    let mut real = [7f32; 6];
    assert_eq!(op!(aclnnReal, a, floats(&mut real, &[6])), 0, "{}", last_error());
    assert!(real.iter().zip(&x).all(|(r, x)| f64::from(*r) == f64::from(x.0 as f32)));
    close(&made(6, |o| op!(aclnnCast, floats(&mut real, &[6]), C64, o)), x.iter().map(|x| (x.0, 0.0)));
    let mut wide = [7f64; 12];
    let wide_tensor = tensor_of(&mut wide, C128, &[6], None, 0);
    assert_eq!(op!(aclnnCast, a, C128, wide_tensor), 0, "{}", last_error());
    assert_eq!(op!(aclnnInplaceMul, wide_tensor, wide_tensor), 0, "{}", last_error());
    for (w, x) in wide.chunks(2).zip(&x) {
        let x = (f64::from(x.0 as f32), f64::from(x.1 as f32));
        assert_eq!((w[0], w[1]), mul(x, x));
    }
}

fn list(handles: &[Handle]) -> Handle {
    // SAFETY: live handles, as many as it says.
    unsafe { aclCreateTensorList(handles.as_ptr().cast(), handles.len() as u64) }
}

#[test]
fn sums_comparisons_and_parts_of_complex_numbers() {
    let x = values(6, 5);
    let mut a = flat(&x);
    let a = tensor(&mut a, &[2, 3]);
    let columns = |i: usize| (x[i].0 + x[i + 3].0, x[i].1 + x[i + 3].1);
    close(&made(3, |o| op!(aclnnReduceSum, a, ints(&[0]), false, C64, o)), (0..3).map(columns));
    let half = |z: Z| (z.0 / 2.0, z.1 / 2.0);
    close(&made(3, |o| op!(aclnnMean, a, ints(&[0]), false, C64, o)), (0..3).map(|i| half(columns(i))));

    let all = x.iter().fold((1.0, 0.0), |z, &x| mul(z, x));
    let one = |f: &dyn Fn(Handle) -> i32| {
        let mut out = [7f32; 2];
        assert_eq!(f(tensor(&mut out, &[])), 0, "{}", last_error());
        out
    };
    close(&one(&|o| op!(aclnnProd, a, C64, o)), [all]);
    close(&made(3, |o| op!(aclnnProdDim, a, 0, false, C64, o)), (0..3).map(|i| mul(x[i], x[i + 3])));

    // What is not 0 is true, also without a real part.
    let mut some = [0f32, 2.0, 0.0, 0.0, 1.0, 0.0];
    let some = tensor(&mut some, &[3]);
    let mut truth = [7u8; 3];
    let t = tensor_of(&mut truth, BOOL, &[3], None, 0);
    assert_eq!(op!(aclnnCast, some, BOOL, t), 0, "{}", last_error());
    assert_eq!(truth, [1, 0, 1]);
    assert_eq!(op!(aclnnLogicalNot, some, t), 0, "{}", last_error());
    assert_eq!(truth, [0, 1, 0]);
    let mut last = [0f32, 0.0, 1.0, 0.0, 1.0, 0.0];
    let last = tensor(&mut last, &[3]);
    assert_eq!(op!(aclnnLogicalAnd, some, last, t), 0, "{}", last_error());
    assert_eq!(truth, [0, 0, 1]);
    assert_eq!(op!(aclnnAll, some, ints(&[0]), true, tensor_of(&mut truth[..1], BOOL, &[1], None, 0)), 0);
    assert_eq!(truth, [0, 0, 1]);
    assert_eq!(op!(aclnnAny, some, ints(&[0]), true, tensor_of(&mut truth[..1], BOOL, &[1], None, 0)), 0);
    assert_eq!(truth, [1, 0, 1]);

    let mut other = flat(&x);
    other[3] += 1.0;
    other[10] += 1.0;
    let other = tensor(&mut other, &[2, 3]);
    let mut same = [7u8; 6];
    let answer = tensor_of(&mut same, BOOL, &[2, 3], None, 0);
    assert_eq!(op!(aclnnEqTensor, a, other, answer), 0, "{}", last_error());
    assert_eq!(same, [1, 0, 1, 1, 1, 0]);
    assert_eq!(op!(aclnnNeTensor, a, other, answer), 0, "{}", last_error());
    assert_eq!(same, [0, 1, 0, 0, 0, 1]);
    assert_eq!(op!(aclnnEqScalar, a, number(x[2].0 as f32, x[2].1 as f32), answer), 0, "{}", last_error());
    assert_eq!(same, [0, 0, 1, 0, 0, 0]);

    let (mut re, mut im) = ([1f32, -2.0, 3.0], [0.5f32]);
    let (re, im) = (floats(&mut re, &[3]), floats(&mut im, &[1]));
    close(&made(3, |o| op!(aclnnComplex, re, im, o)), [(1.0, 0.5), (-2.0, 0.5), (3.0, 0.5)]);
    let polar = [1.0f64, -2.0, 3.0].map(|r| (r * 0.5f64.cos(), r * 0.5f64.sin()));
    close(&made(3, |o| op!(aclnnPolar, re, im, o)), polar);

    // What complex numbers do not have.
    let refused = |code: i32, what: &str| {
        let text = last_error();
        assert!(code == 161_002 && text.contains(what), "{what}: {code}, {text}");
    };
    refused(op!(aclnnLtTensor, a, other, answer), "lt of complex numbers");
    refused(op!(aclnnFloor, a, a), "floor of complex numbers");
    refused(op!(aclnnAdd, a, other, scalar(1.0), floats(&mut [0f32; 6], &[2, 3])), "does not fit");
    refused(op!(aclnnComplex, re, im, re), "C64 or C128");
    refused(op!(aclnnInplaceFillScalar, re, number(1.0, 2.0)), "1 + 2i does not fit");
    refused(op!(aclnnClampMin, re, number(1.0, 2.0), re), "a real number is needed");
}
