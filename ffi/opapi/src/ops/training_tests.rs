//! Gradients against differences of the functions themselves, and outputs whose shape the data decides.

use std::ptr::null_mut;

use super::tests::{Handle, floats, ints, last_error, op, run, tensor_of};
use super::*;
use crate::tensor::*;

/// Numbers without a pattern, in −1..1.
pub fn numbers(n: usize, seed: u64) -> Vec<f32> {
    let mut state = seed * 2 + 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..n).map(|_| next()).collect()
}

/// Compares `gradient` with the differences of `f`, whose results are weighted with `weights`.
pub fn check(
    name: &str,
    x: &[f32],
    gradient: &[f32],
    weights: &[f32],
    mut f: impl FnMut(&mut [f32]) -> Vec<f32>,
) {
    const STEP: f32 = 1e-2;
    let mut at = |x: &[f32]| {
        let mut x = x.to_vec();
        f(&mut x).iter().zip(weights).map(|(y, w)| f64::from(*y) * f64::from(*w)).sum::<f64>()
    };
    for i in 0..x.len() {
        let moved = |by: f32| {
            let mut x = x.to_vec();
            x[i] += by;
            x
        };
        let slope = (at(&moved(STEP)) - at(&moved(-STEP))) / f64::from(2.0 * STEP);
        let is = f64::from(gradient[i]);
        assert!((slope - is).abs() < 2e-2 * (1.0 + slope.abs()), "{name}: element {i} is {is}, not {slope}");
    }
}

#[test]
fn activations_go_back_as_they_went() {
    let (x, w) = (numbers(12, 1), numbers(12, 2));
    let forward = |f: &dyn Fn(Handle, Handle) -> i32, x: &mut [f32]| {
        let mut y = vec![0f32; 12];
        assert_eq!(f(floats(x, &[12]), floats(&mut y, &[12])), 0, "{}", last_error());
        y
    };
    let backward = |f: &dyn Fn(Handle, Handle, Handle) -> i32, x: &[f32]| {
        let (mut g, mut x, mut out) = (w.clone(), x.to_vec(), vec![0f32; 12]);
        assert_eq!(
            f(floats(&mut g, &[12]), floats(&mut x, &[12]), floats(&mut out, &[12])),
            0,
            "{}",
            last_error()
        );
        out
    };
    macro_rules! pair {
        ($forward:ident, $backward:ident) => {
            let gradient = backward(&|g, x, o| op!($backward, g, x, o), &x);
            check(stringify!($forward), &x, &gradient, &w, |x| forward(&|x, y| op!($forward, x, y), x));
        };
    }
    pair!(aclnnGelu, aclnnGeluBackward);
    pair!(aclnnSilu, aclnnSiluBackward);
    pair!(aclnnMish, aclnnMishBackward);
    pair!(aclnnHardswish, aclnnHardswishBackward);
    pair!(aclnnHardsigmoid, aclnnHardsigmoidBackward);
    // These go back from what they gave.
    let y = forward(&|x, y| op!(aclnnTanh, x, y), &mut x.clone());
    let gradient = backward(&|g, y, o| op!(aclnnTanhBackward, g, y, o), &y);
    check("aclnnTanh", &x, &gradient, &w, |x| forward(&|x, y| op!(aclnnTanh, x, y), x));
}

#[test]
fn layer_norm_goes_back() {
    let (x, gamma, g) = (numbers(12, 3), numbers(4, 4), numbers(12, 5));
    let shape = [4];
    let forward = |x: &mut [f32], gamma: &mut [f32], mean: &mut [f32], rstd: &mut [f32]| {
        let (mut y, mut beta) = (vec![0f32; 12], [0f32; 4]);
        let code = op!(
            aclnnLayerNorm,
            floats(x, &[3, 4]),
            ints(&shape),
            floats(gamma, &[4]),
            floats(&mut beta, &[4]),
            1e-5,
            floats(&mut y, &[3, 4]),
            floats(mean, &[3, 1]),
            floats(rstd, &[3, 1])
        );
        assert_eq!(code, 0, "{}", last_error());
        y
    };
    let (mut mean, mut rstd) = ([0f32; 3], [0f32; 3]);
    let (mut x1, mut gamma1, mut g1) = (x.clone(), gamma.clone(), g.clone());
    forward(&mut x1, &mut gamma1, &mut mean, &mut rstd);
    let (mut dx, mut dgamma, mut dbeta) = ([0f32; 12], [0f32; 4], [0f32; 4]);
    let all = [true; 3];
    // SAFETY: three values.
    let mask = unsafe { aclCreateBoolArray(all.as_ptr(), 3) };
    let code = op!(
        aclnnLayerNormBackward,
        floats(&mut g1, &[3, 4]),
        floats(&mut x1, &[3, 4]),
        ints(&shape),
        floats(&mut mean, &[3, 1]),
        floats(&mut rstd, &[3, 1]),
        floats(&mut gamma1, &[4]),
        null_mut(),
        mask,
        floats(&mut dx, &[3, 4]),
        floats(&mut dgamma, &[4]),
        floats(&mut dbeta, &[4])
    );
    assert_eq!(code, 0, "{}", last_error());
    let (mut m, mut r) = ([0f32; 3], [0f32; 3]);
    check("to x", &x, &dx, &g, |x| forward(x, &mut gamma.clone(), &mut m, &mut r));
    check("to gamma", &gamma, &dgamma, &g, |w| forward(&mut x.clone(), w, &mut m, &mut r));
    for c in 0..4 {
        let sum: f32 = (0..3).map(|r| g[r * 4 + c]).sum();
        assert!((dbeta[c] - sum).abs() < 1e-5);
    }
}

#[test]
fn convolutions_go_back() {
    let (x, w, g) = (numbers(2 * 2 * 5, 6), numbers(4 * 3, 7), numbers(2 * 4 * 3, 8));
    // Two groups, stride 2, padding 1.
    let lists = || (ints(&[2]), ints(&[1]), ints(&[1]), ints(&[0]));
    let forward = |x: &mut [f32], w: &mut [f32]| {
        let mut y = vec![0f32; 24];
        let (stride, padding, dilation, extra) = lists();
        let code = op!(
            aclnnConvolution,
            floats(x, &[2, 2, 5]),
            floats(w, &[4, 1, 3]),
            null_mut(),
            stride,
            padding,
            dilation,
            false,
            extra,
            2,
            floats(&mut y, &[2, 4, 3]),
            0
        );
        assert_eq!(code, 0, "{}", last_error());
        y
    };
    let (mut x1, mut w1, mut g1) = (x.clone(), w.clone(), g.clone());
    let (mut dx, mut dw, mut db) = ([0f32; 20], [0f32; 12], [0f32; 4]);
    let all = [true; 3];
    // SAFETY: three values.
    let mask = unsafe { aclCreateBoolArray(all.as_ptr(), 3) };
    let (stride, padding, dilation, extra) = lists();
    let code = op!(
        aclnnConvolutionBackward,
        floats(&mut g1, &[2, 4, 3]),
        floats(&mut x1, &[2, 2, 5]),
        floats(&mut w1, &[4, 1, 3]),
        ints(&[4]),
        stride,
        padding,
        dilation,
        false,
        extra,
        2,
        mask,
        0,
        floats(&mut dx, &[2, 2, 5]),
        floats(&mut dw, &[4, 1, 3]),
        floats(&mut db, &[4])
    );
    assert_eq!(code, 0, "{}", last_error());
    check("to x", &x, &dx, &g, |x| forward(x, &mut w.clone()));
    check("to w", &w, &dw, &g, |w| forward(&mut x.clone(), w));
}

/// Dimensions of a tensor now.
fn shape(t: Handle) -> Vec<i64> {
    crate::objects::tensor("t", t).unwrap().dims.to_vec()
}

#[test]
fn outputs_take_the_shape_of_what_is_found() {
    let mut a = [0f32, 3., 0., -1., 0., f32::NAN];
    let mut places = [9i64; 12];
    let out = tensor_of(&mut places, 9, &[6, 2], None, 0);
    assert_eq!(op!(aclnnNonzero, floats(&mut a, &[2, 3]), out), 0, "{}", last_error());
    assert_eq!((shape(out), &places[..6]), (vec![3, 2], &[0, 1, 1, 0, 1, 2][..]));

    let (mut mask, mut picked) = ([1u8, 0, 1], [0f32; 6]);
    let out = floats(&mut picked, &[6]);
    let mut b = [1f32, 2., 3., 4., 5., 6.];
    let mask = tensor_of(&mut mask, 12, &[3], None, 0);
    assert_eq!(op!(aclnnMaskedSelect, floats(&mut b, &[2, 3]), mask, out), 0, "{}", last_error());
    assert_eq!((shape(out), &picked[..4]), (vec![4], &[1., 3., 4., 6.][..]));

    let (mut values, mut inverse, mut counts) = ([0i64; 5], [0i64; 5], [0i64; 5]);
    let mut c = [3i64, 1, 3, 2, 1];
    let (v, n) = (tensor_of(&mut values, 9, &[5], None, 0), tensor_of(&mut counts, 9, &[5], None, 0));
    let (c, i) = (tensor_of(&mut c, 9, &[5], None, 0), tensor_of(&mut inverse, 9, &[5], None, 0));
    assert_eq!(op!(aclnnUnique2, c, true, true, true, v, i, n), 0, "{}", last_error());
    assert_eq!((shape(v), &values[..3], &counts[..3]), (vec![3], &[1, 2, 3][..], &[2, 1, 2][..]));
    assert_eq!(inverse, [2, 0, 2, 1, 0]);
}

#[test]
fn indices_read_and_write() {
    let (mut t, mut i, mut o) = ([1f32, 2., 3., 4., 5., 6.], [2i64, 0, -1], [0f32; 6]);
    let undefined = floats(&mut [], &[0]);
    let index = tensor_of(&mut i, 9, &[3], None, 0);
    let parts = [undefined, index];
    // SAFETY: two live handles.
    let list = unsafe { aclCreateTensorList(parts.as_ptr().cast(), 2) };
    let table = floats(&mut t, &[2, 3]);
    assert_eq!(op!(aclnnIndex, table, list, floats(&mut o, &[2, 3])), 0, "{}", last_error());
    assert_eq!(o, [3., 1., 3., 6., 4., 6.]);
    let mut one = [10f32];
    assert_eq!(
        op!(aclnnIndexPutImpl, table, list, floats(&mut one, &[1]), true, false),
        0,
        "{}",
        last_error()
    );
    assert_eq!(t, [11., 2., 23., 14., 5., 26.]);

    let (mut words, mut grad, mut sum) = ([1i64, 3, 1], numbers(6, 9), [0f32; 8]);
    let words = tensor_of(&mut words, 9, &[3], None, 0);
    let (g, s) = (floats(&mut grad, &[3, 2]), floats(&mut sum, &[4, 2]));
    assert_eq!(op!(aclnnEmbeddingDenseBackward, g, words, 4, 3, false, s), 0, "{}", last_error());
    assert_eq!(sum[..2], [0.0; 2]);
    assert!((sum[2] - grad[0] - grad[4]).abs() < 1e-6);
    assert_eq!(sum[6..], [0.0; 2], "the padding has no gradient");
}

#[test]
fn dropout_keeps_what_its_bits_say() {
    let (mut bits, mut x, mut y) = ([0u8; 16], [1f32; 100], [0f32; 100]);
    let mask = tensor_of(&mut bits, 4, &[16], None, 0);
    assert_eq!(op!(aclnnDropoutGenMaskV2, ints(&[100]), 0.25, 5, 0, 0, mask), 0, "{}", last_error());
    let code = op!(aclnnDropoutDoMask, floats(&mut x, &[100]), mask, 0.25, floats(&mut y, &[100]));
    assert_eq!(code, 0, "{}", last_error());
    for (i, y) in y.iter().enumerate() {
        assert_eq!(*y, if bits[i / 8] >> (i % 8) & 1 == 1 { 1.0 / 0.75 } else { 0.0 });
    }
    let kept = y.iter().filter(|y| **y > 0.0).count();
    assert!((55..95).contains(&kept), "{kept} of 100 kept");
    assert_eq!(op!(aclnnDropoutDoMask, floats(&mut x, &[100]), mask, 1.5, floats(&mut y, &[100])), 161_002);
    assert!(last_error().contains("probability 1.5"));
}
