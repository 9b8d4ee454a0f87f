//! Sampling, sequences, borders and steps of optimisers: against plain loops, and gradients against differences.

use std::ptr::null_mut;

use super::tests::{Handle, floats, ints, last_error, op, run, scalar, tensor_of};
use super::training_tests::{check, numbers};
use super::*;
use crate::tensor::*;

const I64: i32 = 9;

fn indices(data: &mut [i64]) -> Handle {
    let n = data.len() as i64;
    tensor_of(data, I64, &[n], None, 0)
}

fn bools(values: &[bool]) -> Handle {
    // SAFETY: as long as it says.
    unsafe { aclCreateBoolArray(values.as_ptr(), values.len() as u64) }
}

fn list(handles: &[Handle]) -> Handle {
    // SAFETY: live handles, as many as it says.
    unsafe { aclCreateTensorList(handles.as_ptr().cast(), handles.len() as u64) }
}

/// The results of an operator that writes `n` floats of shape `dims`.
fn made(dims: &[i64], f: impl FnOnce(Handle) -> i32) -> Vec<f32> {
    let mut out = vec![7f32; dims.iter().product::<i64>() as usize];
    assert_eq!(f(floats(&mut out, dims)), 0, "{}", last_error());
    out
}

#[test]
fn a_grid_over_the_elements_is_the_image_and_gradients_go_back() {
    let mut image = numbers(12, 1);
    let mut grid: Vec<f32> =
        (0..12).flat_map(|i| [(i % 4) as f32 / 1.5 - 1.0, (i / 4) as f32 - 1.0]).collect();
    let same = made(&[1, 1, 3, 4], |o| {
        op!(
            aclnnGridSampler2D,
            floats(&mut image, &[1, 1, 3, 4]),
            floats(&mut grid, &[1, 3, 4, 2]),
            0,
            0,
            true,
            o
        )
    });
    assert!(same.iter().zip(&image).all(|(a, b)| (a - b).abs() < 1e-5), "{same:?}");
    let places: Vec<f32> = numbers(12, 2).iter().map(|v| v * 1.3 + 0.011).collect();
    let weights = numbers(12, 3);
    for mode in [0, 2] {
        for padding in 0..3 {
            for aligned in [false, true] {
                let sample = |image: &mut [f32], grid: &mut [f32]| {
                    made(&[1, 2, 2, 3], |o| {
                        let (image, grid) = (floats(image, &[1, 2, 3, 2]), floats(grid, &[1, 2, 3, 2]));
                        op!(aclnnGridSampler2D, image, grid, mode, padding, aligned, o)
                    })
                };
                let (mut x, mut g, mut d) = (image.clone(), places.clone(), weights.clone());
                let (mut dx, mut dg) = ([7f32; 12], [7f32; 12]);
                let code = op!(
                    aclnnGridSampler2DBackward,
                    floats(&mut d, &[1, 2, 2, 3]),
                    floats(&mut x, &[1, 2, 3, 2]),
                    floats(&mut g, &[1, 2, 3, 2]),
                    mode,
                    padding,
                    aligned,
                    bools(&[true, true]),
                    floats(&mut dx, &[1, 2, 3, 2]),
                    floats(&mut dg, &[1, 2, 3, 2])
                );
                assert_eq!(code, 0, "{}", last_error());
                check("image", &image, &dx, &weights, |x| sample(x, &mut places.clone()));
                // Only where no corner of the function is near: differences know nothing of those.
                if mode == 2 && padding == 0 {
                    check("grid", &places, &dg, &weights, |g| sample(&mut image.clone(), g));
                }
            }
        }
    }
    let (x, g) = (floats(&mut image, &[1, 1, 3, 4]), floats(&mut grid, &[1, 3, 4, 2]));
    assert_eq!(op!(aclnnGridSampler3D, x, g, 0, 0, false, x), 161_002);
}

#[test]
fn bags_are_sums_means_and_maxima() {
    let mut table: Vec<f32> = (0..8).map(|x| x as f32).collect();
    let (mut index, mut offsets, mut factors) = ([3i64, 1, 0, 2, 1], [0i64, 2, 2], [1f32, 2., 3., 4., 5.]);
    let mut bag = |mode: i64, factors: Handle, padding: i64| {
        let (mut of, mut sizes, mut places) = ([7i64; 5], [7i64; 3], [7i64; 6]);
        let out = made(&[3, 2], |o| {
            op!(
                aclnnEmbeddingBag,
                floats(&mut table, &[4, 2]),
                indices(&mut index),
                indices(&mut offsets),
                false,
                mode,
                false,
                factors,
                false,
                padding,
                o,
                indices(&mut of),
                indices(&mut sizes),
                tensor_of(&mut places, I64, &[3, 2], None, 0)
            )
        });
        assert_eq!(of, [0, 0, 2, 2, 2]);
        (out, sizes, places)
    };
    assert_eq!(bag(0, null_mut(), -1), (vec![8., 10., 0., 0., 6., 9.], [2, 0, 3], [0; 6]));
    assert_eq!(bag(0, floats(&mut factors, &[5]), -1).0, [10., 13., 0., 0., 26., 38.]);
    assert_eq!(bag(1, null_mut(), 2), (vec![4., 5., 0., 0., 1., 2.], [2, 0, 2], [0; 6]));
    assert_eq!(bag(2, null_mut(), -1), (vec![6., 7., 0., 0., 4., 5.], [2, 0, 3], [3, 3, 0, 0, 2, 2]));
}

#[test]
fn bins_and_places_in_sequences() {
    let (mut numbers, mut weights, mut counts) = ([1i64, 3, 1, 0], [0.5f32, 1., 2., 4.], [7i64; 5]);
    let n = indices(&mut numbers);
    assert_eq!(op!(aclnnBincount, n, null_mut(), 5, indices(&mut counts)), 0);
    assert_eq!(counts, [1, 2, 0, 1, 0]);
    let sums = made(&[4], |o| op!(aclnnBincount, n, floats(&mut weights, &[4]), 0, o));
    assert_eq!(sums, [4., 2.5, 0., 1.]);
    let mut x = [0f32, 0.99, 1.0, 2.5, 4.0, 5.0];
    let hist = made(&[4], |o| op!(aclnnHistc, floats(&mut x, &[6]), 4, scalar(0.0), scalar(4.0), o));
    assert_eq!(hist, [2., 1., 1., 1.]);
    let (mut sorted, mut wanted, mut found) = ([1f32, 3., 3., 5.], [3f32, 0., 6., f32::NAN], [7i64; 4]);
    for (right, expect) in [(false, [1, 0, 4, 4]), (true, [3, 0, 4, 4])] {
        let (s, w) = (floats(&mut sorted, &[4]), floats(&mut wanted, &[4]));
        assert_eq!(op!(aclnnSearchSorted, s, w, false, right, null_mut(), indices(&mut found)), 0);
        assert_eq!(found, expect);
    }
}

/// All ways to label the steps, those that spell the text added up.
fn unlikelihood(log_probs: &[f32], classes: usize, text: &[usize]) -> f64 {
    let steps = log_probs.len() / classes;
    let mut likely = 0.0;
    for way in 0..classes.pow(steps as u32) {
        let labels: Vec<usize> = (0..steps).map(|t| way / classes.pow(t as u32) % classes).collect();
        let mut spelt: Vec<usize> = labels.clone();
        spelt.dedup();
        spelt.retain(|&l| l != 0);
        if spelt == text {
            likely += labels
                .iter()
                .enumerate()
                .map(|(t, &l)| f64::from(log_probs[t * classes + l]))
                .sum::<f64>()
                .exp();
        }
    }
    -likely.ln()
}

#[test]
fn a_text_is_as_unlikely_as_all_its_labellings() {
    let x = numbers(5 * 3, 4);
    let text = [1i64, 1, 2];
    let loss = |x: &mut [f32]| {
        let (mut alpha, mut text) = ([0f32; 5 * 7], text);
        made(&[1], |o| {
            let (x, alpha) = (floats(x, &[5, 1, 3]), floats(&mut alpha, &[1, 5, 7]));
            op!(aclnnCtcLoss, x, indices(&mut text), ints(&[5]), ints(&[3]), 0, false, o, alpha)
        })
    };
    let found = loss(&mut x.clone());
    assert!((f64::from(found[0]) - unlikelihood(&x, 3, &[1, 1, 2])).abs() < 1e-5, "{found:?}");
    let (mut one, mut alpha, mut kept) = ([1f32], [0f32; 35], found);
    let mut y = x.clone();
    let grad = made(&[5, 1, 3], |o| {
        let (g, l, a) = (floats(&mut one, &[1]), floats(&mut kept, &[1]), floats(&mut alpha, &[1, 5, 7]));
        let mut text = text;
        let text = indices(&mut text);
        op!(
            aclnnCtcLossBackward,
            g,
            floats(&mut y, &[5, 1, 3]),
            text,
            ints(&[5]),
            ints(&[3]),
            l,
            a,
            0,
            false,
            o
        )
    });
    // The gradient is of what the logarithms of a softmax are made of: its rows sum to what softmax gives.
    let slopes: Vec<f32> = grad.iter().zip(&x).map(|(g, x)| g - x.exp()).collect();
    check("ctc", &x, &slopes, &[1.0], |x| loss(x));
}

#[test]
fn long_short_term_memory_steps_and_its_gradient() {
    const T: i64 = 3;
    const B: i64 = 2;
    const I: i64 = 2;
    const H: i64 = 2;
    let sizes = [T * B * I, 8 * I, 8 * H, 8, 8, 8 * I, 8 * H, 8, 8, 2 * B * H, 2 * B * H].map(|n| n as usize);
    let total: usize = sizes.iter().sum();
    let all = numbers(total, 5);
    let shapes: [&[i64]; 11] =
        [&[T, B, I], &[8, I], &[8, H], &[8], &[8], &[8, I], &[8, H], &[8], &[8], &[2, B, H], &[2, B, H]];
    let handles = |all: &mut [f32]| {
        let mut rest = all;
        let mut handles = vec![];
        for (n, shape) in sizes.iter().zip(shapes) {
            let (now, later) = rest.split_at_mut(*n);
            handles.push(floats(now, shape));
            rest = later;
        }
        handles
    };
    let mut kept = vec![vec![0f32; (T * B * H) as usize]; 14];
    let lists = |kept: &mut Vec<Vec<f32>>| -> Vec<Handle> {
        let handles: Vec<Handle> = kept.iter_mut().map(|k| floats(k, &[T, B, H])).collect();
        handles.chunks(2).map(list).collect()
    };
    let forward = |all: &mut [f32], kept: &mut Vec<Vec<f32>>| {
        let h = handles(all);
        let (mut y, mut hy, mut cy) = (vec![0f32; 24], vec![0f32; 8], vec![0f32; 8]);
        let l = lists(kept);
        let code = op!(
            aclnnLSTM,
            h[0],
            list(&h[1..9]),
            list(&h[9..]),
            null_mut(),
            true,
            1,
            0.0,
            true,
            true,
            false,
            floats(&mut y, &[T, B, 2 * H]),
            floats(&mut hy, &[2, B, H]),
            floats(&mut cy, &[2, B, H]),
            l[0],
            l[1],
            l[2],
            l[3],
            l[4],
            l[5],
            l[6]
        );
        assert_eq!(code, 0, "{}", last_error());
        [y, hy, cy].concat()
    };
    let y = forward(&mut all.clone(), &mut kept);
    // The first step of the first direction, of the first sequence.
    let gate = |k: usize| {
        let [x, w, u, b1, b2, h] = [0, 12, 28, 44, 52, 108].map(|at| &all[at..]);
        (0..2).map(|j| w[k * 2 + j] * x[j] + u[k * 2 + j] * h[j]).sum::<f32>() + b1[k] + b2[k]
    };
    let sigmoid = |v: f32| 1.0 / (1.0 + (-v).exp());
    let c = sigmoid(gate(2)) * all[116] + sigmoid(gate(0)) * gate(4).tanh();
    assert!((y[0] - sigmoid(gate(6)) * c.tanh()).abs() < 1e-5, "{y:?}");
    let weights = numbers(40, 6);
    let mut given = weights.clone();
    let (gy, rest) = given.split_at_mut(24);
    let (gh, gc) = rest.split_at_mut(8);
    let (mut x, mut slopes) = (all.clone(), vec![9f32; total]);
    let (h, d, l) = (handles(&mut x), handles(&mut slopes), lists(&mut kept));
    let code = op!(
        aclnnLstmBackward,
        h[0],
        list(&h[9..]),
        list(&h[1..9]),
        floats(gy, &[T, B, 2 * H]),
        floats(gh, &[2, B, H]),
        floats(gc, &[2, B, H]),
        l[0],
        l[1],
        l[2],
        l[3],
        l[4],
        l[5],
        l[6],
        null_mut(),
        true,
        1,
        0.0,
        true,
        true,
        false,
        bools(&[true; 4]),
        d[0],
        d[9],
        d[10],
        list(&d[1..9])
    );
    assert_eq!(code, 0, "{}", last_error());
    let mut scratch = vec![vec![0f32; (T * B * H) as usize]; 14];
    check("lstm", &all, &slopes, &weights, |all| forward(all, &mut scratch));
}

#[test]
fn borders_and_windows_give_back_what_they_took() {
    let (x, weights) = (numbers(20, 7), numbers(42, 8));
    macro_rules! pad {
        ($forward:ident, $backward:ident) => {
            let pad = || ints(&[1, 2, 2, 0]);
            let forward =
                |x: &mut [f32]| made(&[1, 6, 7], |o| op!($forward, floats(x, &[1, 4, 4]), pad(), o));
            let (mut g, mut x) = (weights.clone(), x[..16].to_vec());
            let grad = made(&[1, 4, 4], |o| {
                op!($backward, floats(&mut g, &[1, 6, 7]), floats(&mut x, &[1, 4, 4]), pad(), o)
            });
            check(stringify!($forward), &x, &grad, &weights, forward);
        };
    }
    pad!(aclnnReflectionPad2d, aclnnReflectionPad2dBackward);
    pad!(aclnnReplicationPad2d, aclnnReplicationPad2dBackward);
    // Cut off whole, and as many times its edge.
    let (mut row, mut given) = ([1f32, 2., 3.], [1f32, 2.]);
    for (pad, edge) in [([-4, 3], 2), ([3, -4], 0)] {
        let all = made(&[1, 2], |o| op!(aclnnReplicationPad1d, floats(&mut row, &[1, 3]), ints(&pad), o));
        assert_eq!(all, [row[edge]; 2]);
        let (g, x) = (floats(&mut given, &[1, 2]), floats(&mut row, &[1, 3]));
        let back = made(&[1, 3], |o| op!(aclnnReplicationPad1dBackward, g, x, ints(&pad), o));
        assert_eq!(back[edge], 3.0);
        assert_eq!(back.iter().sum::<f32>(), 3.0);
    }
    // Nothing, rolled as one dimension.
    let mut none = [0f32; 0];
    made(&[3, 0], |o| op!(aclnnRoll, floats(&mut none, &[3, 0]), ints(&[1]), ints(&[]), o));
    // Windows of 3, 2 apart, of 7 elements.
    let mut g: Vec<f32> = (1..=9).map(|v| v as f32).collect();
    let back = made(&[7], |o| op!(aclnnUnfoldGrad, floats(&mut g, &[3, 3]), ints(&[7]), 0, 3, 2, o));
    assert_eq!(back, [1., 2., 7., 5., 13., 8., 9.]);
    let (mut small, mut place) = ([5f32, 6.], [3i64, 0]);
    let at = tensor_of(&mut place, I64, &[1, 1, 2], None, 0);
    let big =
        made(&[1, 2, 2], |o| op!(aclnnMaxUnpool2d, floats(&mut small, &[1, 1, 2]), at, ints(&[2, 2]), o));
    assert_eq!(big, [6., 0., 0., 5.]);
    // Volumes without a batch: the gradient goes back within its own volume.
    let (mut one, mut volume, mut place) = ([1f32, 2.], [0f32; 16], [7i64, 0]);
    let at = tensor_of(&mut place, I64, &[2, 1, 1, 1], None, 0);
    let (g, x) = (floats(&mut one, &[2, 1, 1, 1]), floats(&mut volume, &[2, 2, 2, 2]));
    let back = made(&[2, 2, 2, 2], |o| op!(aclnnAdaptiveMaxPool3dBackward, g, x, at, o));
    assert_eq!((back[7], back[8], back.iter().sum::<f32>()), (1.0, 2.0, 3.0));
    let columns = |x: &mut [f32]| {
        made(&[1, 8, 4], |o| {
            op!(
                aclnnIm2col,
                floats(x, &[1, 2, 3, 3]),
                ints(&[2, 2]),
                ints(&[1, 1]),
                ints(&[0, 0]),
                ints(&[1, 1]),
                o
            )
        })
    };
    let mut g = weights[..32].to_vec();
    let back = made(&[1, 2, 3, 3], |o| {
        let g = floats(&mut g, &[1, 8, 4]);
        op!(
            aclnnIm2colBackward,
            g,
            ints(&[3, 3]),
            ints(&[2, 2]),
            ints(&[1, 1]),
            ints(&[0, 0]),
            ints(&[1, 1]),
            o
        )
    });
    let x = numbers(18, 9);
    check("im2col", &x, &back, &weights[..32], columns);
}

#[test]
fn a_step_of_adam_is_the_formula() {
    let (rate, b1, b2, decay, eps) = (0.1f32, 0.9f32, 0.99f32, 0.05f32, 1e-6f32);
    let (w, g) = (numbers(5, 10), numbers(5, 11));
    let (mut w2, mut m, mut v, mut most, mut g2, mut step) =
        (w.clone(), [0.1f32; 5], [0.2f32; 5], [0.3f32; 5], g.clone(), [2f32]);
    let t = [&mut w2[..], &mut m, &mut v, &mut most, &mut g2].map(|x| floats(x, &[5]));
    let s = floats(&mut step, &[1]);
    assert_eq!(
        op!(aclnnApplyAdamWV2, t[0], t[1], t[2], t[3], t[4], s, rate, b1, b2, decay, eps, true, false),
        0
    );
    for i in 0..5 {
        let (m1, v1) = (0.1 * b1 + g[i] * (1.0 - b1), 0.2 * b2 + g[i] * g[i] * (1.0 - b2));
        assert!(
            (m[i] - m1).abs() < 1e-6 && (v[i] - v1).abs() < 1e-6 && most[i] == v1.max(0.3),
            "{m:?} {v:?} {most:?}"
        );
        let (a, b) = (m1 / (1.0 - b1.powi(3)), most[i] / (1.0 - b2.powi(3)));
        let wanted = w[i] * (1.0 - rate * decay) - rate * a / (b.sqrt() + eps);
        assert!((w2[i] - wanted).abs() < 1e-5, "{} is not {wanted}", w2[i]);
    }
    assert_eq!(
        op!(aclnnApplyAdamWV2, t[0], t[1], t[2], null_mut(), t[4], s, rate, b1, b2, decay, eps, true, false),
        161_002
    );
}

#[test]
fn distances_of_pairs_and_their_gradient() {
    let (x, y, weights) = (numbers(6, 12), numbers(12, 13), numbers(8, 14));
    for order in [1.0f32, 1.5, 2.0, 3.0] {
        let forward = |x: &mut [f32]| {
            let mut y = y.clone();
            let (a, b) = (floats(x, &[2, 3]), floats(&mut y, &[4, 3]));
            made(&[2, 4], |o| op!(aclnnCdist, a, b, order, 0, o))
        };
        let mut far = forward(&mut x.clone());
        let (mut g, mut a, mut b) = (weights.clone(), x.clone(), y.clone());
        let (d, g) = (floats(&mut far, &[2, 4]), floats(&mut g, &[2, 4]));
        let (a, b) = (floats(&mut a, &[2, 3]), floats(&mut b, &[4, 3]));
        let grad = made(&[2, 3], |o| op!(aclnnCdistBackward, g, a, b, d, order, o));
        check("cdist", &x, &grad, &weights, forward);
    }
    let mut line = [0f32, 3., 7.];
    assert_eq!(made(&[3], |o| op!(aclnnPdist, floats(&mut line, &[3, 1]), 2.0, o)), [3., 7., 4.]);
}

#[test]
fn an_index_without_elements_names_nothing() {
    let (mut table, mut index, mut value) = ([1i64, 2], [0i64; 0], [9i64]);
    let all = list(&[tensor_of(&mut index, I64, &[0], None, 0)]);
    assert_eq!(
        op!(aclnnIndexPutImpl, indices(&mut table), all, indices(&mut value), false, false),
        0,
        "{}",
        last_error()
    );
    assert_eq!(table, [1, 2]);
}

#[test]
fn repetitions_that_data_names() {
    let (mut x, mut times, mut grad) = ([1f32, 2., 3., 4., 5., 6.], [2i64, 0, 1], [1f32, 2., 3., 4., 5., 6.]);
    let (a, r) = (floats(&mut x, &[2, 3]), indices(&mut times));
    let all = made(&[2, 3], |o| op!(aclnnRepeatInterleaveWithDim, a, r, 1, 3, o));
    assert_eq!(all, [1., 1., 3., 4., 4., 6.]);
    let back = made(&[2, 3], |o| op!(aclnnRepeatInterleaveGrad, floats(&mut grad, &[2, 3]), r, 1, o));
    assert_eq!(back, [3., 0., 3., 9., 0., 6.]);
    let mut twice = [2i64];
    let all = made(&[12], |o| op!(aclnnRepeatInterleave, a, indices(&mut twice), 12, o));
    assert_eq!(all, [1., 1., 2., 2., 3., 3., 4., 4., 5., 5., 6., 6.]);
}

#[test]
fn margins_slopes_and_angles() {
    let (mut x, mut labels, mut is) = ([0.1f32, 0.2, 0.4, 0.8], [3i64, 0, -1, 1], [7f32; 4]);
    let (a, l, w) =
        (floats(&mut x, &[1, 4]), tensor_of(&mut labels, I64, &[1, 4], None, 0), floats(&mut is, &[1, 4]));
    let loss = made(&[], |o| op!(aclnnMultilabelMarginLoss, a, l, 1, o, w));
    // 0.25 (1 − 0.8 + 0.2 + 1 − 0.8 + 0.4 + 1 − 0.1 + 0.2 + 1 − 0.1 + 0.4)
    assert!((loss[0] - 0.85).abs() < 1e-6, "{loss:?}");
    assert_eq!(is, [1., 0., 0., 1.]);
    let (mut v, mut noise) = ([-1f32, 2., -3., 0.], [7f32; 4]);
    let (a, n) = (floats(&mut v, &[4]), floats(&mut noise, &[4]));
    let half = made(&[4], |o| op!(aclnnRReluWithNoise, a, n, scalar(0.2), scalar(0.4), false, 1, 0, o));
    assert!(
        half.iter().zip([-0.3, 2., -0.9, 0.]).all(|(a, b): (&f32, f32)| (a - b).abs() < 1e-6),
        "{half:?}"
    );
    let bent = made(&[4], |o| op!(aclnnRReluWithNoise, a, n, scalar(0.2), scalar(0.4), true, 1, 0, o));
    assert!(noise[1] == 1.0 && (0.2..=0.4).contains(&noise[0]) && (0.2..=0.4).contains(&noise[2]));
    assert!(bent.iter().zip(v.iter().zip(&noise)).all(|(b, (v, n))| (b - v * n).abs() < 1e-6));
    let angles = made(&[4], |o| op!(aclnnAngleV2, a, o));
    assert_eq!(angles, [std::f32::consts::PI, 0., std::f32::consts::PI, 0.]);
}
