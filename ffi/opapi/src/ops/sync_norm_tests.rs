//! Batch norm in parts against the whole, and affine grids, against plain loops.

use std::ptr::null_mut;

use super::tests::{floats, ints, last_error, op, run, tensor_of};
use super::training_tests::numbers;
use super::*;

const EPS: f64 = 1e-3;

fn near(name: &str, is: &[f32], wanted: &[f64]) {
    assert_eq!(is.len(), wanted.len());
    for (i, (a, b)) in is.iter().zip(wanted).enumerate() {
        assert!((f64::from(*a) - b).abs() < 2e-4 * (1.0 + b.abs()), "{name}: element {i} is {a}, not {b}");
    }
}

/// Elements of each channel of `[N, 2, L]`.
fn channel(x: &[f32], l: usize, c: usize) -> Vec<f64> {
    x.chunks(l)
        .enumerate()
        .filter(|(i, _)| i % 2 == c)
        .flat_map(|(_, x)| x.iter().map(|&v| v.into()))
        .collect()
}

fn moments(x: &[f64]) -> (f64, f64) {
    let n = x.len() as f64;
    let mean = x.iter().sum::<f64>() / n;
    (mean, x.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n)
}

#[test]
fn moments_of_devices_are_those_of_all() {
    // Two devices with 3 and 1 samples of [2, 4], around 10.
    let parts: Vec<Vec<f32>> =
        [24, 8].iter().map(|&n| numbers(n, n as u64).iter().map(|v| v + 10.0).collect()).collect();
    let (mut means, mut inverse) = (vec![], vec![]);
    let (mut sums, mut squares) = (vec![], vec![]);
    for part in &parts {
        let (mut x, mut m, mut s) = (part.clone(), [0.0f32; 2], [0.0f32; 2]);
        let shape = [part.len() as i64 / 8, 2, 4];
        let code =
            op!(aclnnBatchNormStats, floats(&mut x, &shape), EPS, floats(&mut m, &[2]), floats(&mut s, &[2]));
        assert_eq!(code, 0, "{}", last_error());
        for c in 0..2 {
            let (mean, var) = moments(&channel(part, 4, c));
            near("moments", &[m[c], s[c]], &[mean, (var + EPS).sqrt().recip()]);
        }
        means.extend(m);
        inverse.extend(s);
        let code =
            op!(aclnnBatchNormReduce, floats(&mut x, &shape), floats(&mut m, &[2]), floats(&mut s, &[2]));
        assert_eq!(code, 0, "{}", last_error());
        for c in 0..2 {
            let all = channel(part, 4, c);
            near("sums", &[m[c], s[c]], &[all.iter().sum(), all.iter().map(|v| v * v).sum()]);
        }
        sums.extend(m);
        squares.extend(s);
    }
    let whole = parts.concat();
    let mut counts = [12.0, 4.0];
    let mut x = [0.0f32; 2];
    for by_sums in [false, true] {
        let (mut rm, mut rv, mut m, mut s) = ([1.0, 2.0], [3.0, 4.0], [0.0f32; 2], [0.0f32; 2]);
        let (trm, trv) = (floats(&mut rm, &[2]), floats(&mut rv, &[2]));
        let (tm, ts, tc) = (floats(&mut m, &[2]), floats(&mut s, &[2]), floats(&mut counts, &[2]));
        let code = if by_sums {
            let (a, b) = (floats(&mut sums, &[2, 2]), floats(&mut squares, &[2, 2]));
            op!(aclnnSyncBatchNormGatherStats, a, b, tc, trm, trv, 0.1, EPS as f32, tm, ts)
        } else {
            let (a, b) = (floats(&mut means, &[2, 2]), floats(&mut inverse, &[2, 2]));
            let x = floats(&mut x, &[1, 2]);
            op!(aclnnBatchNormGatherStatsWithCounts, x, a, b, trm, trv, 0.1, EPS, tc, tm, ts)
        };
        assert_eq!(code, 0, "{}", last_error());
        for c in 0..2 {
            let (mean, var) = moments(&channel(&whole, 4, c));
            near("mean", &m[c..=c], &[mean]);
            near("running mean", &rm[c..=c], &[0.9 * (1.0 + c as f64) + 0.1 * mean]);
            near("running variance", &rv[c..=c], &[0.9 * (3.0 + c as f64) + 0.1 * var * 16.0 / 15.0]);
            // Of sums of squares around 100 that float32 holds.
            let is = f64::from(s[c]);
            let wanted = (var + EPS).sqrt().recip();
            assert!(
                (is - wanted).abs() < if by_sums { 5e-3 } else { 5e-4 } * wanted,
                "{is} instead of {wanted}"
            );
        }
    }
}

#[test]
fn elements_go_there_and_back() {
    let (mut x, mut g) = (numbers(24, 1), numbers(24, 2));
    let (mut m, mut s, mut w, mut b) = ([0.25, -0.5], [2.0, 3.0], [1.5, -1.0], [0.5, 0.25]);
    let at = |i: usize| i / 4 % 2;
    let mut y = [0.0f32; 24];
    let shape = [3, 2, 4];
    let (tx, tg) = (floats(&mut x, &shape), floats(&mut g, &shape));
    let (tm, ts, tw, tb) =
        (floats(&mut m, &[2]), floats(&mut s, &[2]), floats(&mut w, &[2]), floats(&mut b, &[2]));
    assert_eq!(
        op!(aclnnBatchNormElemt, tx, tw, tb, tm, ts, EPS, floats(&mut y, &shape)),
        0,
        "{}",
        last_error()
    );
    let off = |i: usize| f64::from(x[i] - m[at(i)]);
    let each = |f: &dyn Fn(usize) -> f64| (0..24).map(f).collect::<Vec<_>>();
    near("output", &y, &each(&|i| off(i) * f64::from(s[at(i)] * w[at(i)]) + f64::from(b[at(i)])));

    let [mut dy, mut xmu, mut gw, mut gb] = [[0.0f32; 2]; 4];
    let [tdy, txmu, tgw, tgb] = [&mut dy, &mut xmu, &mut gw, &mut gb].map(|v| floats(v, &[2]));
    let code = op!(aclnnBatchNormReduceBackward, tg, tx, tm, ts, tw, true, true, true, tdy, txmu, tgw, tgb);
    assert_eq!(code, 0, "{}", last_error());
    let sum = |f: &dyn Fn(usize) -> f64, c| (0..24).filter(|&i| at(i) == c).map(f).sum::<f64>();
    for c in 0..2 {
        let (d, e) = (sum(&|i| g[i].into(), c), sum(&|i| f64::from(g[i]) * off(i), c));
        near("sums", &[dy[c], xmu[c], gw[c], gb[c]], &[d, e, e * f64::from(s[c]), d]);
    }

    let (mut counter, mut out) = ([5i32, 7], [0.0f32; 24]);
    let tc = tensor_of(&mut counter, 3, &[2], None, 0);
    let code = op!(aclnnBatchNormElemtBackward, tg, tx, tm, ts, tw, tdy, txmu, tc, floats(&mut out, &shape));
    assert_eq!(code, 0, "{}", last_error());
    let wanted = each(&|i| {
        let c = at(i);
        let (s, w) = (f64::from(s[c]), f64::from(w[c]));
        (f64::from(g[i]) - f64::from(dy[c]) / 12.0 - off(i) * s * s * f64::from(xmu[c]) / 12.0) * s * w
    });
    near("gradient", &out, &wanted);
}

#[test]
fn grids_are_where_theta_puts_them() {
    for aligned in [true, false] {
        for along in [2usize, 3] {
            let size: Vec<i64> = [&[2, 1][..], &[2, 3, 4][3 - along..]].concat();
            let mut theta = numbers(2 * along * (along + 1), 3);
            let cells: i64 = size[2..].iter().product();
            let mut out = vec![0.0f32; (2 * cells) as usize * along];
            let shape = [&[2], &size[2..], &[along as i64]].concat();
            let tt = floats(&mut theta, &[2, along as i64, along as i64 + 1]);
            let code = op!(aclnnAffineGrid, tt, ints(&size), aligned, floats(&mut out, &shape));
            assert_eq!(code, 0, "{}", last_error());
            let mut wanted = vec![];
            for n in 0..2 {
                for cell in 0..cells {
                    let (mut rest, mut at) = (cell, vec![]);
                    for &d in size[2..].iter().rev() {
                        let (i, d) = ((rest % d) as f64, d as f64);
                        at.push(if aligned { 2.0 * i / (d - 1.0) - 1.0 } else { (2.0 * i + 1.0) / d - 1.0 });
                        rest /= size[2..][size.len() - 2 - at.len()];
                    }
                    at.push(1.0);
                    let row = |r: usize| &theta[(n * along + r) * (along + 1)..][..=along];
                    wanted.extend(
                        (0..along)
                            .map(|r| row(r).iter().zip(&at).map(|(t, a)| f64::from(*t) * a).sum::<f64>()),
                    );
                }
            }
            near("grid", &out, &wanted);
        }
    }
    let mut theta = numbers(6, 3);
    let mut out = [0.0f32; 2];
    let (tt, to) = (floats(&mut theta, &[1, 2, 3]), floats(&mut out, &[1, 1, 1, 2]));
    assert_eq!(op!(aclnnAffineGrid, tt, ints(&[1, 1, 1, 1]), true, to), 0);
    near("one place", &out, &[theta[2].into(), theta[5].into()]);
    assert_eq!(op!(aclnnAffineGrid, tt, ints(&[1, 1]), true, null_mut()), 161_001);
}

#[test]
fn unpooling_goes_back() {
    let (mut g, mut x, mut at) = (numbers(12, 4), [0.0f32; 4], [5i64, 0, 2, 3]);
    let mut out = [0.0f32; 4];
    let (tg, tx) = (floats(&mut g, &[2, 2, 3]), floats(&mut x, &[2, 1, 2]));
    let (ti, to) = (tensor_of(&mut at, 9, &[2, 1, 2], None, 0), floats(&mut out, &[2, 1, 2]));
    assert_eq!(op!(aclnnMaxUnpool2dBackward, tg, tx, ti, ints(&[2, 3]), to), 0, "{}", last_error());
    assert_eq!(out, [g[5], g[0], g[8], g[9]]);
}
