//! Operators of neural networks, against plain loops in float64.

use half::f16;
use proptest::prelude::*;

use super::property_tests::{dense, *};
use super::tests::{Handle, floats, ints, last_error, op, run, scalar, tensor_of};
use super::*;
use crate::tensor::*;
use std::ptr::null_mut;

/// Numbers that look random, in −2..2.
fn numbers(n: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u64 << 22) as f32 - 2.0
    };
    std::iter::repeat_with(next).take(n).collect()
}

fn close(is: &[f32], want: &[f64], tolerance: f64) {
    assert_eq!(is.len(), want.len());
    for (i, (&a, &b)) in is.iter().zip(want).enumerate() {
        let near = (f64::from(a) - b).abs() <= tolerance * b.abs().max(1.0);
        assert!(near || a.is_nan() && b.is_nan(), "{a} is not {b} at {i}");
    }
}

type Phase1 = unsafe fn(Handle, Handle, *mut u64, *mut Handle) -> i32;
type Activation = (Phase1, super::tests::Phase2, fn(f64) -> f64);

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// Each with its parameters fixed.
const ACTIVATIONS: &[Activation] = &[
    (
        // SAFETY: the caller promises it.
        |x, o, w, e| unsafe { aclnnLeakyReluGetWorkspaceSize(x, scalar(0.1), o, w, e) },
        aclnnLeakyRelu,
        |x| {
            if x > 0.0 { x } else { 0.1f32 as f64 * x }
        },
    ),
    (
        // SAFETY: the caller promises it.
        |x, o, w, e| unsafe { aclnnEluGetWorkspaceSize(x, scalar(1.5), scalar(2.0), scalar(0.5), o, w, e) },
        aclnnElu,
        |x| if x > 0.0 { 2.0 * x } else { 3.0 * (0.5 * x).exp_m1() },
    ),
    (
        // SAFETY: the caller promises it.
        |x, o, w, e| unsafe { aclnnCeluGetWorkspaceSize(x, scalar(2.0), o, w, e) },
        aclnnCelu,
        |x| {
            if x > 0.0 { x } else { 2.0 * (x / 2.0).exp_m1() }
        },
    ),
    (
        // SAFETY: the caller promises it.
        |x, o, w, e| unsafe { aclnnSoftplusGetWorkspaceSize(x, scalar(2.0), scalar(6.0), o, w, e) },
        aclnnSoftplus,
        |x| if 2.0 * x > 6.0 { x } else { (2.0 * x).exp().ln_1p() / 2.0 },
    ),
    (
        // SAFETY: the caller promises it.
        |x, o, w, e| unsafe { aclnnThresholdGetWorkspaceSize(x, scalar(1.0), scalar(-3.0), o, w, e) },
        aclnnThreshold,
        |x| if x > 1.0 { x } else { -3.0 },
    ),
    (
        // SAFETY: the caller promises it.
        |x, o, w, e| unsafe { aclnnHardsigmoidGetWorkspaceSize(x, o, w, e) },
        aclnnHardsigmoid,
        |x| ((x + 3.0) / 6.0).clamp(0.0, 1.0),
    ),
    (
        // SAFETY: the caller promises it.
        |x, o, w, e| unsafe { aclnnHardswishGetWorkspaceSize(x, o, w, e) },
        aclnnHardswish,
        |x| x * ((x + 3.0) / 6.0).clamp(0.0, 1.0),
    ),
    (
        // SAFETY: the caller promises it.
        |x, o, w, e| unsafe { aclnnFastGeluGetWorkspaceSize(x, o, w, e) },
        aclnnFastGelu,
        |x| x * sigmoid(1.702 * x),
    ),
    (
        // SAFETY: the caller promises it.
        |x, o, w, e| unsafe { aclnnMishGetWorkspaceSize(x, o, w, e) },
        aclnnMish,
        |x| x * x.exp().ln_1p().tanh(),
    ),
    (
        // SAFETY: the caller promises it.
        |x, o, w, e| unsafe { aclnnLogSigmoidGetWorkspaceSize(x, o, w, e) },
        aclnnLogSigmoid,
        |x| -(-x).exp().ln_1p(),
    ),
    (
        // SAFETY: the caller promises it.
        |x, o, w, e| unsafe { aclnnHardshrinkGetWorkspaceSize(x, scalar(1.0), o, w, e) },
        aclnnHardshrink,
        |x| {
            if x.abs() <= 1.0 { 0.0 } else { x }
        },
    ),
    (
        // SAFETY: the caller promises it.
        |x, o, w, e| unsafe { aclnnSoftshrinkGetWorkspaceSize(x, scalar(1.0), o, w, e) },
        aclnnSoftshrink,
        |x| {
            if x > 1.0 {
                x - 1.0
            } else if x < -1.0 {
                x + 1.0
            } else {
                0.0
            }
        },
    ),
    (
        // SAFETY: the caller promises it.
        |x, o, w, e| unsafe { aclnnGeluV2GetWorkspaceSize(x, 1, o, w, e) },
        aclnnGeluV2,
        |x| 0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3))).tanh()),
    ),
    (
        // SAFETY: the caller promises it.
        |x, o, w, e| unsafe { aclnnGeluV2GetWorkspaceSize(x, 0, o, w, e) },
        aclnnGeluV2,
        |x| 0.5 * x * (1.0 + libm::erf(x / 2f64.sqrt())),
    ),
];

proptest! {
    #[test]
    fn activations_of_any_view(
        a in prop::collection::vec(1i64..5, 0..4).prop_flat_map(|d| case(d, false)),
        which in 0..ACTIVATIONS.len(),
    ) {
        prop_assume!([0, 1, 27].contains(&a.dtype));
        let (phase1, phase2, want) = ACTIVATIONS[which];
        let out = dense(a.dtype, &a.dims);
        let (mut da, mut dout) = (a.bytes(), out.bytes());
        let (ta, to) = (tensor(&a, &mut da), tensor(&out, &mut dout));
        // SAFETY: live handles.
        let code = run(|w, e| unsafe { phase1(ta, to, w, e) }, phase2);
        prop_assert_eq!(code, 0, "{}", last_error());
        let tolerance = [1e-5, 2e-3, 1e-2][[0, 1, 27].iter().position(|&t| t == a.dtype).unwrap()];
        let n = size(a.dtype);
        for (i, index) in indices(&a.dims).iter().enumerate() {
            let (x, is) = (a.at(&a.dims, index), decode(a.dtype, &dout[i * n..][..n]));
            prop_assert!((is - want(x)).abs() <= tolerance * want(x).abs().max(0.1), "{is} at {x}: {}", want(x));
        }
    }

    #[test]
    fn convolutions(
        samples in 1usize..3, groups in 1usize..3, c in 1usize..3, o in 1usize..3,
        size in prop::collection::vec(4usize..7, 2), kernel in prop::collection::vec(1usize..4, 2),
        stride in prop::collection::vec(1usize..3, 2), padding in prop::collection::vec(0usize..2, 2),
        dilation in 1usize..3, transposed: bool, with_bias: bool, seed: u64,
    ) {
        let reach = |d: usize| (kernel[d] - 1) * dilation + 1;
        prop_assume!((0..2).all(|d| size[d] + 2 * padding[d] >= reach(d) && padding[d] < reach(d)));
        let (ci, co) = (groups * c, groups * o);
        let length = |d: usize| if transposed {
            (size[d] - 1) * stride[d] + reach(d) - 2 * padding[d]
        } else {
            (size[d] + 2 * padding[d] - reach(d)) / stride[d] + 1
        };
        let (oh, ow) = (length(0), length(1));
        let mut x = numbers(samples * ci * size[0] * size[1], seed);
        let mut w = numbers(groups * c * o * kernel[0] * kernel[1], seed ^ 1);
        let mut bias = numbers(co, seed ^ 2);
        let mut want = vec![0f64; samples * co * oh * ow];
        for (i, v) in want.iter_mut().enumerate() {
            *v = if with_bias { f64::from(bias[i / (oh * ow) % co]) } else { 0.0 };
        }
        // Each element of the input, with each element of the weight, adds to one of the output.
        for (n, g, ic, oc) in (0..samples).flat_map(|n| (0..groups).flat_map(move |g| (0..c).flat_map(move |i| (0..o).map(move |k| (n, g, i, k))))) {
            for (kh, kw, h, l) in (0..kernel[0]).flat_map(|a| { let k = kernel[1]; (0..k).map(move |b| (a, b)) })
                .flat_map(|(a, b)| { let (hs, ws) = if transposed { (size[0], size[1]) } else { (oh, ow) }; (0..hs).flat_map(move |h| (0..ws).map(move |l| (a, b, h, l))) })
            {
                let place = |at: usize, k: usize, d: usize| (at * stride[d] + k * dilation).checked_sub(padding[d]);
                let (Some(y), Some(z)) = (place(h, kh, 0), place(l, kw, 1)) else { continue };
                let (input, output) = if transposed { ((h, l), (y, z)) } else { ((y, z), (h, l)) };
                if input.0 >= size[0] || input.1 >= size[1] || output.0 >= oh || output.1 >= ow {
                    continue;
                }
                let xi = ((n * ci + g * c + ic) * size[0] + input.0) * size[1] + input.1;
                let (first, second, seconds) = if transposed { (g * c + ic, oc, o) } else { (g * o + oc, ic, c) };
                let wi = ((first * seconds + second) * kernel[0] + kh) * kernel[1] + kw;
                want[((n * co + g * o + oc) * oh + output.0) * ow + output.1] += f64::from(x[xi]) * f64::from(w[wi]);
            }
        }
        let of = |v: &[usize]| v.iter().map(|&v| v as i64).collect::<Vec<_>>();
        let tx = floats(&mut x, &of(&[samples, ci, size[0], size[1]]));
        let (first, second) = if transposed { (ci, o) } else { (co, c) };
        let tw = floats(&mut w, &of(&[first, second, kernel[0], kernel[1]]));
        let tb = if with_bias { floats(&mut bias, &[co as i64]) } else { null_mut() };
        let mut out = vec![7f32; want.len()];
        let to = floats(&mut out, &of(&[samples, co, oh, ow]));
        let (s, pad, d) = (ints(&of(&stride)), ints(&of(&padding)), ints(&[dilation as i64; 2]));
        let code = op!(aclnnConvolution, tx, tw, tb, s, pad, d, transposed, ints(&[0, 0]), groups as i64, to, 0);
        prop_assert_eq!(code, 0, "{}", last_error());
        close(&out, &want, 1e-4);
    }

    #[test]
    fn pools(
        size in prop::collection::vec(3i64..8, 2), kernel in prop::collection::vec(1i64..4, 2), stride in 1i64..3,
        ceil: bool, count: bool, seed: u64,
    ) {
        let padding: Vec<i64> = kernel.iter().map(|k| k / 2).collect();
        let places = |d: usize| {
            let room = size[d] + 2 * padding[d] - kernel[d];
            let n = if ceil { (room + stride - 1) / stride + 1 } else { room / stride + 1 };
            if ceil && (n - 1) * stride >= size[d] + padding[d] { n - 1 } else { n }
        };
        let (oh, ow) = (places(0), places(1));
        let mut x = numbers((2 * size[0] * size[1]) as usize, seed);
        let (mut mean, mut max) = (vec![], vec![]);
        for (c, h, w) in (0..2).flat_map(|c| (0..oh).flat_map(move |h| (0..ow).map(move |w| (c, h, w)))) {
            let (top, left) = (h * stride - padding[0], w * stride - padding[1]);
            let inside: Vec<f64> = (top.max(0)..(top + kernel[0]).min(size[0]))
                .flat_map(|y| (left.max(0)..(left + kernel[1]).min(size[1])).map(move |z| (y, z)))
                .map(|(y, z)| f64::from(x[((c * size[0] + y) * size[1] + z) as usize]))
                .collect();
            let all = ((top + kernel[0]).min(size[0] + padding[0]) - top) * ((left + kernel[1]).min(size[1] + padding[1]) - left);
            mean.push(inside.iter().sum::<f64>() / if count { all as f64 } else { inside.len() as f64 });
            max.push(inside.iter().copied().fold(f64::NEG_INFINITY, f64::max));
        }
        let tx = floats(&mut x, &[1, 2, size[0], size[1]]);
        let mut out = vec![7f32; mean.len()];
        let to = floats(&mut out, &[1, 2, oh, ow]);
        let (k, s, pad) = (ints(&kernel), ints(&[stride]), ints(&padding));
        prop_assert_eq!(op!(aclnnAvgPool2d, tx, k, s, pad, ceil, count, 0, 0, to), 0, "{}", last_error());
        close(&out, &mean, 1e-5);
        let (pads, ones) = (ints(&[padding[0], padding[1], padding[0], padding[1]]), ints(&[1, 1]));
        prop_assert_eq!(op!(aclnnMaxPool, tx, k, s, 0, pads, ones, ceil.into(), to), 0, "{}", last_error());
        close(&out, &max, 0.0);
    }

    #[test]
    fn attentions(
        heads in 1usize..3, group in 1usize..3, s in 1usize..20, t in 1usize..700, d in 1usize..20,
        layout in 0usize..3, shifted: bool, masked: bool, next in prop::option::of(-3i64..600), seed: u64,
    ) {
        let n = heads * group;
        let scale = 0.5;
        let (mut q, mut k, mut v) = (numbers(n * s * d, seed), numbers(heads * t * d, seed ^ 1), numbers(heads * t * d, seed ^ 2));
        let mut shift = numbers(s * t, seed ^ 3);
        let mut mask: Vec<u8> = numbers(s * t, seed ^ 4).iter().map(|&v| u8::from(v > 0.0)).collect();
        // [place, head, width], or [head, place, width].
        let at = |rows: usize, heads: usize, h: usize, i: usize| if layout == 0 { (h * rows + i) * d } else { (i * heads + h) * d };
        let mut want = vec![0f64; n * s * d];
        for (h, i) in (0..n).flat_map(|h| (0..s).map(move |i| (h, i))) {
            let score = |j: usize| {
                let hidden = masked && mask[i * t + j] != 0 || next.is_some_and(|n| j as i64 - i as i64 > n);
                let dot: f64 = (0..d).map(|x| f64::from(q[at(s, n, h, i) + x]) * f64::from(k[at(t, heads, h / group, j) + x])).sum();
                let shift = if shifted { f64::from(shift[i * t + j]) } else { 0.0 };
                if hidden { f64::NEG_INFINITY } else { scale * dot + shift }
            };
            let scores: Vec<f64> = (0..t).map(score).collect();
            let max = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let weights: Vec<f64> = scores.iter().map(|s| if max.is_finite() { (s - max).exp() } else { 0.0 }).collect();
            let sum: f64 = weights.iter().sum();
            for x in 0..d {
                let mixed: f64 = (0..t).map(|j| weights[j] * f64::from(v[at(t, heads, h / group, j) + x])).sum();
                want[at(s, n, h, i) + x] = if sum == 0.0 { 0.0 } else { mixed / sum };
            }
        }
        let of = |v: &[usize]| v.iter().map(|&v| v as i64).collect::<Vec<_>>();
        type Shape = fn(usize, usize, usize) -> Vec<usize>;
        let (name, shape): (&[u8], Shape) = match layout {
            0 => (b"BNSD\0", |rows, heads, d| vec![1, heads, rows, d]),
            1 => (b"BSND\0", |rows, heads, d| vec![1, rows, heads, d]),
            _ => (b"BSH\0", |rows, heads, d| vec![1, rows, heads * d]),
        };
        let tq = floats(&mut q, &of(&shape(s, n, d)));
        let lists = [&mut k, &mut v].map(|x| {
            let one = [floats(x, &of(&shape(t, heads, d)))];
            // SAFETY: one live handle.
            unsafe { aclCreateTensorList(one.as_ptr().cast(), 1) }
        });
        let mut out = vec![7f32; want.len()];
        let to = floats(&mut out, &of(&shape(s, n, d)));
        let ts = if shifted { floats(&mut shift, &of(&[1, 1, s, t])) } else { null_mut() };
        let tm = if masked { tensor_of(&mut mask, 12, &of(&[s, t]), None, 0) } else { null_mut() };
        let none = null_mut();
        let code = op!(aclnnFusedInferAttentionScoreV2, tq, lists[0], lists[1], ts, tm, none, none, none, none, none, none, none, none,
            none, none, none, none, none, none, none, none, none, none, none, n as i64, scale, i64::from(i32::MAX),
            next.unwrap_or(i64::from(i32::MAX)), name.as_ptr().cast(), heads as i64, 0, 0, 0, 0, false, 0, 0, to, none);
        prop_assert_eq!(code, 0, "{}", last_error());
        close(&out, &want, 1e-4);
    }

    #[test]
    fn quantised_products(int4: bool, m in 1usize..4, n in 1usize..5, groups in 1usize..4, turned: bool, seed: u64) {
        let (rows, k) = (32, 32 * groups);
        let mut x: Vec<f16> = numbers(m * k, seed).iter().map(|&v| f16::from_f32(v)).collect();
        let mut scale: Vec<f16> = numbers(groups * n, seed ^ 1).iter().map(|&v| f16::from_f32(v)).collect();
        let most = if int4 { 8 } else { 128 };
        let w: Vec<i8> = numbers(k * n, seed ^ 2).iter().map(|&v| ((v / 2.0 * most as f32) as i32).clamp(-most, most - 1) as i8).collect();
        // Row r, column c of the weight, laid out by columns or by rows.
        let at = |r: usize, c: usize| if turned { c * k + r } else { r * n + c };
        prop_assume!(!int4 || turned || n % 2 == 0);
        let mut packed: Vec<i8> = if int4 { w.chunks(2).map(|p| p[0] & 15 | p[1] << 4).collect() } else { w.clone() };
        let want: Vec<f64> = (0..m * n).map(|i| (0..k).map(|r| {
            x[i / n * k + r].to_f64() * f64::from(w[at(r, i % n)]) * scale[r / rows * n + i % n].to_f64()
        }).sum()).collect();
        let of = |v: &[usize]| v.iter().map(|&v| v as i64).collect::<Vec<_>>();
        let strides = if turned { of(&[1, k]) } else { of(&[n, 1]) };
        let tw = tensor_of(&mut packed, if int4 { 29 } else { 2 }, &of(&[k, n]), Some(&strides), 0);
        let mut out = vec![0f32; m * n];
        let (tx, ts) = (tensor_of(&mut x, 1, &of(&[m, k]), None, 0), tensor_of(&mut scale, 1, &of(&[groups, n]), None, 0));
        let (to, none) = (floats(&mut out, &of(&[m, n])), null_mut());
        let code = op!(aclnnWeightQuantBatchMatmulV2, tx, tw, ts, none, none, none, none, rows as i32, to);
        prop_assert_eq!(code, 0, "{}", last_error());
        let largest = want.iter().fold(1f64, |m, v| m.max(v.abs()));
        close(&out, &want.iter().map(|v| v / 1.0).collect::<Vec<_>>(), 1e-4 * largest);
    }
}

#[test]
fn normalisations() {
    let mut x = numbers(2 * 3 * 700, 5);
    let (mut g, mut b) = (numbers(700, 6), numbers(700, 7));
    let (mut y, mut mean, mut rstd) = (vec![0f32; x.len()], [0f32; 6], [0f32; 6]);
    let (tx, ty) = (floats(&mut x, &[2, 3, 700]), floats(&mut y, &[2, 3, 700]));
    let (tg, tb) = (floats(&mut g, &[700]), floats(&mut b, &[700]));
    let (tm, tr) = (floats(&mut mean, &[2, 3, 1]), floats(&mut rstd, &[2, 3, 1]));
    assert_eq!(op!(aclnnLayerNorm, tx, ints(&[700]), tg, tb, 1e-5, ty, tm, tr), 0, "{}", last_error());
    let moments = |row: &[f32]| {
        let mean = row.iter().map(|&v| f64::from(v)).sum::<f64>() / row.len() as f64;
        let square = row.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / row.len() as f64;
        (mean, 1.0 / (square + 1e-5).sqrt())
    };
    let want: Vec<f64> = x
        .chunks(700)
        .flat_map(|row| {
            let (m, r) = moments(row);
            let f = |i: usize| (f64::from(row[i]) - m) * r * f64::from(g[i]) + f64::from(b[i]);
            (0..700).map(f).collect::<Vec<_>>()
        })
        .collect();
    close(&y, &want, 1e-5);
    close(&mean, &x.chunks(700).map(|r| moments(r).0).collect::<Vec<_>>(), 1e-5);
    close(&rstd, &x.chunks(700).map(|r| moments(r).1).collect::<Vec<_>>(), 1e-5);

    let root =
        |row: &[f32]| 1.0 / (row.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>() / 700.0 + 1e-5).sqrt();
    // rstd without the last dimension, as some programs have it.
    let tr = floats(&mut rstd, &[2, 3]);
    assert_eq!(op!(aclnnRmsNorm, tx, tg, 1e-5, ty, tr), 0, "{}", last_error());
    let row = |row: &[f32]| {
        let r = root(row);
        row.iter().zip(&g).map(|(&v, &g)| f64::from(v) * r * f64::from(g)).collect::<Vec<_>>()
    };
    close(&y, &x.chunks(700).flat_map(row).collect::<Vec<_>>(), 1e-5);
    close(&rstd, &x.chunks(700).map(root).collect::<Vec<_>>(), 1e-5);

    // Groups of two channels of four, 525 elements each.
    let tx = floats(&mut x, &[2, 4, 525]);
    let ty = floats(&mut y, &[2, 4, 525]);
    let (tm, tr) = (floats(&mut mean, &[2, 2]), floats(&mut rstd, &[2, 2]));
    assert_eq!(op!(aclnnGroupNorm, tx, tg, tb, 2, 4, 525, 2, 1e-5, ty, tm, tr), 161_002, "gamma has 700");
    let (mut g, mut b) = (numbers(4, 8), numbers(4, 9));
    let (tg, tb) = (floats(&mut g, &[4]), floats(&mut b, &[4]));
    assert_eq!(op!(aclnnGroupNorm, tx, tg, tb, 2, 4, 525, 2, 1e-5, ty, tm, tr), 0, "{}", last_error());
    let want: Vec<f64> = x
        .chunks(1050)
        .enumerate()
        .flat_map(|(group, row)| {
            let (m, r) = moments(row);
            let f = |i: usize| {
                let c = group % 2 * 2 + i / 525;
                (f64::from(row[i]) - m) * r * f64::from(g[c]) + f64::from(b[c])
            };
            (0..1050).map(f).collect::<Vec<_>>()
        })
        .collect();
    close(&y, &want, 1e-5);
}

#[test]
fn rotations() {
    let (mut x, mut angle) = (numbers(2 * 8, 1), numbers(8, 2));
    let mut cos: Vec<f32> = angle.iter().map(|a| a.cos()).collect();
    let mut sin: Vec<f32> = angle.iter_mut().map(|a| a.sin()).collect();
    let mut out = vec![0f32; 16];
    let (tx, to) = (floats(&mut x, &[2, 8]), floats(&mut out, &[2, 8]));
    let (tc, ts) = (floats(&mut cos, &[1, 8]), floats(&mut sin, &[1, 8]));
    // The element that turns with element i, and its sign, for rows whose elements are in order.
    let turned = |mode: i64, i: usize| match mode {
        0 if i < 4 => (i + 4, -1.0),
        0 => (i - 4, 1.0),
        1 if i.is_multiple_of(2) => (i + 1, -1.0),
        1 => (i - 1, 1.0),
        _ if i % 4 < 2 => (i + 2, -1.0),
        _ => (i - 2, 1.0),
    };
    for mode in 0..3 {
        assert_eq!(op!(aclnnRotaryPositionEmbedding, tx, tc, ts, mode, to), 0, "{}", last_error());
        let want: Vec<f64> = (0..16)
            .map(|at| {
                let (row, i) = (at / 8 * 8, at % 8);
                let (j, sign) = turned(mode, i);
                f64::from(x[row + i]) * f64::from(cos[i]) + sign * f64::from(x[row + j]) * f64::from(sin[i])
            })
            .collect();
        close(&out, &want, 1e-6);
    }
    assert_eq!(op!(aclnnRotaryPositionEmbedding, tx, tc, ts, 4, to), 161_002);
}

#[test]
fn gated_units() {
    let mut x = numbers(2 * 6, 3);
    let (mut out, mut inner) = (vec![0f32; 6], vec![0f32; 6]);
    let (tx, to, ti) = (floats(&mut x, &[2, 6]), floats(&mut out, &[2, 3]), floats(&mut inner, &[2, 3]));
    let half = |at: usize, second: bool| f64::from(x[at / 3 * 6 + at % 3 + if second { 3 } else { 0 }]);
    assert_eq!(op!(aclnnSwiGlu, tx, -1, to), 0);
    close(
        &out,
        &(0..6).map(|i| half(i, false) * sigmoid(half(i, false)) * half(i, true)).collect::<Vec<_>>(),
        1e-6,
    );
    assert_eq!(op!(aclnnGlu, tx, 1, to), 0);
    close(&out, &(0..6).map(|i| half(i, false) * sigmoid(half(i, true))).collect::<Vec<_>>(), 1e-6);
    let gelu = |v: f64| 0.5 * v * (1.0 + libm::erf(v / 2f64.sqrt()));
    assert_eq!(op!(aclnnGeGluV3, tx, -1, 0, true, to, ti), 0);
    close(&inner, &(0..6).map(|i| gelu(half(i, false))).collect::<Vec<_>>(), 1e-6);
    close(&out, &(0..6).map(|i| gelu(half(i, false)) * half(i, true)).collect::<Vec<_>>(), 1e-6);
    assert_eq!(op!(aclnnGeGlu, tx, -1, 0, to, ti), 0);
    close(&out, &(0..6).map(|i| gelu(half(i, true)) * half(i, false)).collect::<Vec<_>>(), 1e-6);
    let (mut row, mut odd) = ([0f32; 6], [0f32; 3]);
    let (row, odd) = (floats(&mut row, &[1, 6]), floats(&mut odd, &[3]));
    assert_eq!(op!(aclnnSwiGlu, tx, 0, row), 0);
    assert_eq!(op!(aclnnSwiGlu, odd, 0, to), 161_002);
}

#[test]
fn systems_and_norms() {
    let mut a = [2f32, 9., 1., 4.];
    let (mut b, mut x, mut m) = ([4f32, 8., 6., 4.], [0f32; 4], [0f32; 4]);
    let (ta, tb) = (floats(&mut a, &[2, 2]), floats(&mut b, &[2, 2]));
    let (tx, tm) = (floats(&mut x, &[2, 2]), floats(&mut m, &[2, 2]));
    assert_eq!(op!(aclnnTriangularSolve, tb, ta, false, false, false, tx, tm), 0);
    assert_eq!((x, m), ([2., 4., 1., 0.], a));
    assert_eq!(op!(aclnnTriangularSolve, tb, ta, true, false, false, tx, tm), 0);
    assert_eq!(x, [(4. - 9. * 1.5) / 2., (8. - 9.) / 2., 1.5, 1.]);
    assert_eq!(op!(aclnnTriangularSolve, tb, ta, true, true, true, tx, tm), 0);
    assert_eq!(x, [4., 8., 6. - 36., 4. - 72.]);
    let mut n = [0f32; 2];
    let tn = floats(&mut n, &[2]);
    for (p, want) in
        [(2.0, [85f32.sqrt(), 17f32.sqrt()]), (1.0, [11., 5.]), (f32::INFINITY, [9., 4.]), (0.0, [2., 2.])]
    {
        assert_eq!(op!(aclnnNorm, ta, scalar(p), ints(&[1]), false, tn), 0);
        assert_eq!(n, want);
    }
    assert_eq!(op!(aclnnNorm, ta, scalar(3.0), ints(&[1]), false, tn), 0);
    close(&n, &[(8f64 + 729.).cbrt(), 65f64.cbrt()], 1e-6);
}

#[test]
fn resizing_takes_the_nearest_before() {
    let mut x: Vec<f32> = (0..6).map(|v| v as f32).collect();
    let mut out = [0f32; 20];
    let (tx, to) = (floats(&mut x, &[1, 1, 2, 3]), floats(&mut out, &[1, 1, 4, 5]));
    assert_eq!(op!(aclnnUpsampleNearest2d, tx, ints(&[4, 5]), to), 0, "{}", last_error());
    let row = [0., 0., 1., 1., 2.];
    assert_eq!(out[..5], row);
    assert_eq!(out[5..10], row);
    assert_eq!(out[10..15], row.map(|v| v + 3.0));
}

#[test]
fn losses_of_soft_labels() {
    let mut x = numbers(6, 1);
    let mut labels = [0.2f32, 0.3, 0.5, 1.0, 0.0, 0.0];
    let (mut loss, mut grad) = ([0f32; 2], [0f32; 6]);
    let (tx, tl) = (floats(&mut x, &[2, 3]), floats(&mut labels, &[2, 3]));
    let (to, tg) = (floats(&mut loss, &[2]), floats(&mut grad, &[2, 3]));
    assert_eq!(op!(aclnnSoftmaxCrossEntropyWithLogits, tx, tl, to, tg), 0, "{}", last_error());
    let (mut want, mut gradient) = (vec![], vec![]);
    for (x, l) in x.chunks(3).zip(labels.chunks(3)) {
        let sum: f64 = x.iter().map(|&v| f64::from(v).exp()).sum();
        want.push(x.iter().zip(l).map(|(&x, &l)| -f64::from(l) * (f64::from(x) - sum.ln())).sum());
        gradient.extend(x.iter().zip(l).map(|(&x, &l)| f64::from(x).exp() / sum - f64::from(l)));
    }
    close(&loss, &want, 1e-6);
    close(&grad, &gradient, 1e-6);
}

#[test]
fn grouped_products() {
    // Three rows for the first expert, none for the second, two for the third.
    let (mut x, mut w) = (numbers(5 * 4, 1), numbers(3 * 4 * 2, 2));
    let expert = [0, 0, 0, 2, 2];
    let want: Vec<f64> = (0..10)
        .map(|i| {
            (0..4)
                .map(|k| f64::from(x[i / 2 * 4 + k]) * f64::from(w[(expert[i / 2] * 4 + k) * 2 + i % 2]))
                .sum()
        })
        .collect();
    let mut out = vec![0f32; 10];
    let list = |t: Handle| {
        // SAFETY: one live handle.
        unsafe { aclCreateTensorList([t].as_ptr().cast(), 1) }
    };
    let (tx, tw, to) =
        (list(floats(&mut x, &[5, 4])), list(floats(&mut w, &[3, 4, 2])), list(floats(&mut out, &[5, 2])));
    let none = null_mut();
    let check = |out: &mut [f32]| {
        close(out, &want, 1e-6);
        out.fill(0.0);
    };
    let ends = ints(&[3, 3, 5]);
    assert_eq!(
        op!(aclnnGroupedMatmulV2, tx, tw, none, none, none, none, none, ends, 2, 0, to),
        0,
        "{}",
        last_error()
    );
    check(&mut out);
    let (mut ends, mut counts) = ([3i64, 3, 5], [3i64, 0, 2]);
    let (te, tc) = (tensor_of(&mut ends, 9, &[3], None, 0), tensor_of(&mut counts, 9, &[3], None, 0));
    assert_eq!(
        op!(aclnnGroupedMatmulV3, tx, tw, none, none, none, none, none, te, 2, 0, to),
        0,
        "{}",
        last_error()
    );
    check(&mut out);
    let code = op!(
        aclnnGroupedMatmulV4,
        tx,
        tw,
        none,
        none,
        none,
        none,
        none,
        none,
        tc,
        none,
        none,
        none,
        2,
        0,
        1,
        0,
        to,
        none,
        none
    );
    assert_eq!(code, 0, "{}", last_error());
    check(&mut out);
    let past = ints(&[3, 9]);
    assert_eq!(op!(aclnnGroupedMatmulV2, tx, tw, none, none, none, none, none, past, 2, 0, to), 161_002);
}
