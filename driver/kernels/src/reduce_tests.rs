//! Reductions, softmax and losses against plain `f64`.

use proptest::prelude::*;
use vinci_hw::args::{DType, TensorArg};

use crate::KernelFault;
use crate::testing::{Layout, Ram, f, ty};

/// Row-major indices of `dims`.
fn indices(dims: &[i64]) -> Vec<Vec<i64>> {
    let mut all = vec![vec![]];
    for &d in dims {
        all = all.iter().flat_map(|i| (0..d).map(move |x| [&i[..], &[x]].concat())).collect();
    }
    all
}

/// The values that become each output of a reduction whose output has dimensions `kept`.
fn groups(dims: &[i64], kept: &[i64], values: &[f64]) -> Vec<Vec<f64>> {
    let mut groups = vec![vec![]; kept.iter().product::<i64>() as usize];
    for (index, &v) in indices(dims).iter().zip(values) {
        let at = index.iter().zip(kept).fold(0, |at, (&i, &k)| at * k + if k == 1 { 0 } else { i });
        if !groups.is_empty() {
            groups[at as usize].push(v);
        }
    }
    groups
}

fn pattern(n: usize, seed: u64) -> Vec<f64> {
    (0..n as u64).map(|i| ((i + 3).wrapping_mul(seed | 1) >> 20) as i64 % 9 - 4).map(|v| v as f64).collect()
}

fn close(got: f64, want: f64, tolerance: f64) -> bool {
    got == want || got.is_nan() && want.is_nan() || (got - want).abs() <= tolerance * want.abs().max(1.0)
}

type Reference = fn(&[f64]) -> f64;

const REDUCTIONS: &[(&str, Reference)] = &[
    ("reduce_sum", |v| v.iter().sum()),
    ("reduce_mean", |v| v.iter().sum::<f64>() / v.len() as f64),
    ("reduce_max", |v| v.iter().copied().fold(f64::NEG_INFINITY, f64::max)),
    ("reduce_min", |v| v.iter().copied().fold(f64::INFINITY, f64::min)),
    ("reduce_any", |v| f64::from(v.iter().any(|&x| x != 0.0))),
    ("reduce_all", |v| f64::from(v.iter().all(|&x| x != 0.0))),
    ("var", |v| {
        let mean = v.iter().sum::<f64>() / v.len() as f64;
        v.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (v.len() as f64 - 1.0).max(0.0)
    }),
];

/// Dimensions, order in memory, direction, spacing, reduced dimensions.
type Case = (Vec<i64>, Vec<usize>, u8, i64, u8);

fn cases() -> impl Strategy<Value = Case> {
    let dims = prop_oneof![
        proptest::collection::vec(0i64..6, 0..=5),
        proptest::collection::vec(1i64..3, 8),
        Just(vec![70, 90]),
        Just(vec![3, 1100]),
        Just(vec![1100, 3]),
        Just(vec![40_000]),
    ];
    dims.prop_flat_map(|dims| {
        let order = Just((0..dims.len()).collect::<Vec<_>>()).prop_shuffle();
        (Just(dims), order, any::<u8>(), 1i64..3, any::<u8>())
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn reductions((dims, order, flip, step, mask) in cases(), seed: u64, t in 0usize..4) {
        let t = [DType::F32, DType::F64, DType::I32, DType::I64][t];
        let ram = Ram::new(2 << 20);
        let mut l = Layout::new();
        let a = l.strided(t, &dims, &order, flip, step);
        let kept: Vec<i64> = dims.iter().enumerate().map(|(i, &d)| if mask >> i & 1 == 1 { 1 } else { d }).collect();
        let v = pattern(a.elements().unwrap() as usize, seed);
        ram.write(&a, &v);
        let groups = groups(&dims, &kept, &v);
        let out = l.strided(DType::F64, &kept, &order, flip, 1);
        for &(name, reference) in REDUCTIONS {
            let attr = if name == "var" { f(1.0) } else { ty(t) };
            ram.launch(name, &[out, a], &[attr]).unwrap();
            for (got, group) in ram.floats(&out).into_iter().zip(&groups) {
                if group.is_empty() && matches!(name, "reduce_max" | "reduce_min") {
                    continue;
                }
                let want = reference(group);
                prop_assert!(close(got, want, 1e-5), "{name} {t:?}: {got} not {want}");
            }
        }
    }

    #[test]
    fn along_a_dimension((dims, order, flip, step, mask) in cases(), seed: u64) {
        prop_assume!(!dims.is_empty() && !dims.contains(&0));
        let dim = usize::from(mask) % dims.len();
        let ram = Ram::new(4 << 20);
        let mut l = Layout::new();
        let a = l.strided(DType::F32, &dims, &order, flip, step);
        let [out, grad_in] = [0; 2].map(|_| l.strided(DType::F64, &dims, &order, !flip, 1));
        let grad = l.dense(DType::F32, &dims);
        let mut kept = dims.clone();
        kept[dim] = 1;
        let index = l.dense(DType::I64, &kept);
        let v = pattern(a.elements().unwrap() as usize, seed);
        let g = pattern(v.len(), !seed);
        ram.write(&a, &v);
        ram.write(&grad, &g);
        let (by_row, grads) = (groups(&dims, &kept, &v), groups(&dims, &kept, &g));
        for (name, largest) in [("argmax", true), ("argmin", false)] {
            ram.launch(name, &[index, a], &[dim as u64]).unwrap();
            for (got, row) in ram.read::<i64>(&index).into_iter().zip(&by_row) {
                let best = row.iter().copied().fold(row[0], if largest { f64::max } else { f64::min });
                prop_assert_eq!(Some(got as usize), row.iter().position(|&x| x == best));
            }
        }
        for log in [false, true] {
            let name = if log { "log_softmax" } else { "softmax" };
            ram.launch(name, &[out, a], &[dim as u64]).unwrap();
            ram.launch(&format!("{name}_backward"), &[grad_in, grad, out], &[(dim as i64 - dims.len() as i64) as u64]).unwrap();
            let (got, got_grad) = (groups(&dims, &kept, &ram.floats(&out)), groups(&dims, &kept, &ram.floats(&grad_in)));
            for (((row, grad), got), got_grad) in by_row.iter().zip(&grads).zip(got).zip(got_grad) {
                let max = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let sum: f64 = row.iter().map(|x| (x - max).exp()).sum();
                let p: Vec<f64> = row.iter().map(|x| (x - max).exp() / sum).collect();
                let dot: f64 = grad.iter().zip(&p).map(|(g, p)| if log { *g } else { g * p }).sum();
                for i in 0..row.len() {
                    let want = if log { row[i] - max - sum.ln() } else { p[i] };
                    prop_assert!(close(got[i], want, 2e-6), "{name} {} not {want}", got[i]);
                    let want = if log { grad[i] - p[i] * dot } else { p[i] * (grad[i] - dot) };
                    prop_assert!(close(got_grad[i], want, 1e-5), "{name} backward {} not {want}", got_grad[i]);
                }
            }
        }
    }
}

#[test]
fn long_sums_stay_accurate() {
    let n = 1 << 20;
    let ram = Ram::new(4 * n + 4096);
    let mut l = Layout::new();
    let a = l.dense(DType::F32, &[n as i64]);
    let out = l.dense(DType::F32, &[1]);
    ram.write(&a, &vec![0.1f32; n]);
    for name in ["reduce_sum", "reduce_mean"] {
        ram.launch(name, &[out, a], &[ty(DType::F32)]).unwrap();
        let want = f64::from(0.1f32) * if name == "reduce_sum" { n as f64 } else { 1.0 };
        let relative = (ram.floats(&out)[0] / want - 1.0).abs();
        assert!(relative < 3e-7, "{name}: {:?} not {want}", ram.floats(&out));
    }
    // The same memory as columns.
    let (a, out) = (
        TensorArg::new(a.va, DType::F32, &[1 << 14, 64], &[64, 1]).unwrap(),
        TensorArg::new(out.va, DType::F32, &[1, 64], &[64, 1]).unwrap(),
    );
    ram.launch("reduce_sum", &[out, a], &[ty(DType::F32)]).unwrap();
    let want = f64::from(0.1f32) * f64::from(1 << 14);
    assert!(ram.floats(&out).iter().all(|&v| close(v, want, 3e-7)), "{:?}", ram.floats(&out));
}

#[test]
fn nan_and_empty() {
    let ram = Ram::new(1 << 14);
    let mut l = Layout::new();
    let a = l.dense(DType::F32, &[5]);
    let out = l.dense(DType::F32, &[1]);
    let index = l.dense(DType::I64, &[1]);
    ram.write(&a, &[1.0, f64::NAN, 7.0, f64::NAN, f64::INFINITY]);
    for name in ["reduce_sum", "reduce_mean", "reduce_max", "reduce_min", "reduce_prod"] {
        ram.launch(name, &[out, a], &[ty(DType::F32)]).unwrap();
        assert!(ram.floats(&out)[0].is_nan(), "{name}");
    }
    for name in ["argmax", "argmin"] {
        ram.launch(name, &[index, a], &[0]).unwrap();
        assert_eq!(ram.read::<i64>(&index), [1], "{name}");
    }
    let none = l.dense(DType::F32, &[0]);
    for (name, want) in [("reduce_sum", 0.0), ("reduce_prod", 1.0), ("reduce_any", 0.0), ("reduce_all", 1.0)]
    {
        ram.launch(name, &[out, none], &[ty(DType::F32)]).unwrap();
        assert_eq!(ram.floats(&out), [want], "{name}");
    }
    ram.launch("reduce_mean", &[out, none], &[ty(DType::F32)]).unwrap();
    assert!(ram.floats(&out)[0].is_nan());
    assert!(ram.launch("argmax", &[index, none], &[0]).is_err());
    assert!(ram.launch("argmax", &[index, a], &[1]).is_err());
    ram.launch("softmax", &[none, none], &[0]).unwrap();
    // A large maximum beside small differences.
    let big = l.dense(DType::F32, &[2]);
    ram.write(&big, &[1e4, 1e4 - 1.0]);
    ram.launch("log_softmax", &[big, big], &[0]).unwrap();
    let ln = (1.0 + (-1f64).exp()).ln();
    assert!(close(ram.floats(&big)[0], -ln, 1e-6) && close(ram.floats(&big)[1], -1.0 - ln, 1e-6));
}

#[test]
fn products_of_dimensions() {
    let ram = Ram::new(1 << 14);
    let mut l = Layout::new();
    let (a, out) = (l.dense(DType::I64, &[2, 3]), l.dense(DType::I64, &[2, 1]));
    ram.write(&a, &[1, 2, 3, 4, 5, -6]);
    ram.launch("reduce_prod", &[out, a], &[ty(DType::I64)]).unwrap();
    assert_eq!(ram.read::<i64>(&out), [6, -120]);
}

#[test]
fn losses() {
    let mut ram = Ram::new(1 << 14);
    let mut l = Layout::new();
    let (none, mean, sum, ignore) = (0, 1, 2, (-100i64) as u64);
    let [input, grad_in] = [0; 2].map(|_| l.strided(DType::F32, &[3, 2], &[1, 0], 1, 1));
    let weight = l.dense(DType::F32, &[2]);
    let [out, total, grad] = [0; 3].map(|_| l.dense(DType::F32, &[]));
    let [rows, grads] = [0; 2].map(|_| l.dense(DType::F32, &[3]));
    ram.write(&input, &[-1.0, -2.0, -3.0, -4.0, -5.0, -6.0]);
    ram.write(&weight, &[0.5, 2.0]);
    ram.write(&grad, &[3.0]);
    ram.write(&grads, &[1.0, 2.0, 3.0]);
    for t in [DType::I64, DType::I32] {
        let target = l.dense(t, &[3]);
        ram.write(&target, &[1, -100, 0]);
        let tensors = [out, total, input, target, weight];
        ram.launch("nll_loss", &tensors, &[sum, ignore]).unwrap();
        assert_eq!((ram.floats(&out)[0], ram.floats(&total)[0]), (6.5, 2.5));
        ram.launch("nll_loss", &tensors, &[mean, ignore]).unwrap();
        assert_eq!((ram.floats(&out)[0], ram.floats(&total)[0]), (2.6f32 as f64, 2.5));
        let backward = [grad_in, grad, input, target, weight, total];
        ram.launch("nll_loss_backward", &backward, &[mean, ignore]).unwrap();
        let want = [0.0, -2.4f32 as f64, 0.0, 0.0, -0.6f32 as f64, 0.0];
        assert!(
            ram.floats(&grad_in).iter().zip(want).all(|(&g, w)| close(g, w, 1e-6)),
            "{:?}",
            ram.floats(&grad_in)
        );
        ram.launch("nll_loss", &[rows, total, input, target, weight], &[none, ignore]).unwrap();
        assert_eq!(ram.floats(&rows), [4.0, 0.0, 2.5]);
        ram.launch("nll_loss_backward", &[grad_in, grads, input, target, weight, total], &[none, ignore])
            .unwrap();
        assert_eq!(ram.floats(&grad_in), [0.0, -2.0, 0.0, 0.0, -1.5, 0.0]);
        // A class that does not exist is an exception, and nothing is written.
        for wrong in [2, -1] {
            ram.write(&target, &[0, wrong, 1]);
            let before = ram.bytes();
            let fault = ram.launch("nll_loss", &tensors, &[mean, ignore]).unwrap_err();
            assert!(matches!(fault, KernelFault::Exception { value, .. } if value == wrong), "{fault}");
            assert!(ram.launch("nll_loss_backward", &backward, &[mean, ignore]).is_err());
            assert_eq!(ram.bytes(), before);
        }
    }
}
