//! Quantisation and products of integers against plain loops.

use std::ffi::c_char;
use std::ptr::null_mut;

use proptest::prelude::*;

use super::data::{Data, Random, near};
use super::tests::{Handle, last_error, op, run};
use super::*;
use crate::tensor::aclCreateTensorList;

const FLOATS: [i32; 3] = [0, 1, 27];

fn text(s: &'static str) -> *const c_char {
    assert!(s.ends_with('\0'));
    s.as_ptr().cast()
}

fn list(handles: &[Handle]) -> Handle {
    // SAFETY: as many live handles as it says.
    unsafe { aclCreateTensorList(handles.as_ptr().cast(), handles.len() as u64) }
}

fn int8(v: f64) -> f64 {
    v.round_ties_even().clamp(-128.0, 127.0)
}

unsafe extern "C" {
    fn free(block: *mut std::ffi::c_void);
}

/// Numbers of four bits, two in each byte.
fn unpacked(bytes: &[u8]) -> Vec<f64> {
    bytes.iter().flat_map(|b| [b << 4, *b]).map(|b| f64::from(b as i8 >> 4)).collect()
}

/// Rows that a result of numbers and steps may stand for.
fn check_rows(x: &[f64], n: usize, q: &[f64], steps: &[f64], zeros: Option<&[f64]>) {
    for (i, row) in x.chunks(n).enumerate() {
        let (high, low) = row.iter().fold((f64::MIN, f64::MAX), |(h, l), &v| (h.max(v), l.min(v)));
        let step = if zeros.is_some() { (high - low) / 255.0 } else { high.abs().max(low.abs()) / 127.0 };
        near("step", 0, &steps[i..=i], &[step]);
        for (j, v) in row.iter().enumerate() {
            let q = q[i * n + j];
            let back = (q - zeros.map_or(0.0, |z| z[i])) * step;
            assert!(
                // What is left where float32's exponential ends counts as nothing.
                (back - v).abs() <= step * 0.502 || step < 1e-30,
                "{q} steps of {step} from {zeros:?} for {v}"
            );
            assert!((-128.0..=127.0).contains(&q));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn static_numbers(m in 1usize..5, n in 1usize..6, dtype in prop::sample::select(&FLOATS[..]), axis in -2i64..0, sqrt: bool, offset: bool, mode in 0usize..4, seed: u64) {
        let random = &mut Random(seed);
        let n = 2 * n;
        let x = random.floats((m * n) as i64);
        let along = if axis == -1 { n } else { m };
        let (scale, zero) = (random.floats(along as i64), random.floats(along as i64));
        let d = [m as i64, n as i64];
        let mut tx = Data::scattered(dtype, &d, &x);
        let (mut ts, mut to) = (Data::new(dtype, &[along as i64], &scale), Data::new(dtype, &[along as i64], &zero));
        let to = if offset { to.handle() } else { null_mut() };
        let name = text(["round\0", "floor\0", "ceil\0", "trunc\0"][mode]);
        let at = |i: usize| if axis == -1 { i % n } else { i / n };
        let value = |i: usize| {
            let s = scale[at(i)];
            x[i] * s * if sqrt { s } else { 1.0 } + if offset { zero[at(i)] } else { 0.0 }
        };
        let rounded = |v: f64| [v.round_ties_even(), v.floor(), v.ceil(), v.trunc()][mode];
        let mut y = Data::out(2, &d);
        prop_assert_eq!(op!(aclnnAscendQuantV3, tx.handle(), ts.handle(), to, sqrt, name, 2, axis as i32, y.handle()), 0);
        prop_assert_eq!(y.values(), (0..m * n).map(|i| rounded(value(i)).clamp(-128.0, 127.0)).collect::<Vec<_>>());
        if axis == -1 {
            prop_assert_eq!(op!(aclnnAscendQuant, tx.handle(), ts.handle(), to, sqrt, name, 2, y.handle()), 0);
            prop_assert_eq!(y.values(), (0..m * n).map(|i| rounded(value(i)).clamp(-128.0, 127.0)).collect::<Vec<_>>());
        }
        // Half a byte each.
        let mut bytes = vec![0u8; m * n / 2];
        let packed = super::tests::tensor_of(&mut bytes, 29, &d, None, 0);
        prop_assert_eq!(op!(aclnnAscendQuantV3, tx.handle(), ts.handle(), to, sqrt, name, 29, axis as i32, packed), 0);
        let wanted: Vec<f64> = (0..m * n).map(|i| rounded(value(i)).clamp(-8.0, 7.0)).collect();
        prop_assert_eq!(unpacked(&bytes), wanted.clone());
        // And floats again.
        let mut back = Data::out(0, &d);
        let mut last = Data::new(0, &[n as i64], &random.floats(n as i64));
        prop_assert_eq!(op!(aclnnAscendAntiQuant, packed, last.handle(), null_mut(), 0, sqrt, back.handle()), 0);
        let factors = last.values();
        let wanted: Vec<f64> = wanted.iter().enumerate().map(|(i, q)| q * factors[i % n] * if sqrt { factors[i % n] } else { 1.0 }).collect();
        near("floats", 0, &back.values(), &wanted);
        // Divided instead; a step of 0 counts as 1.
        let mut q = Data::out(3, &d);
        let mut tz = Data::new(3, &[along as i64], &zero);
        let tz = if offset { tz.handle() } else { null_mut() };
        prop_assert_eq!(op!(aclnnQuantize, tx.handle(), ts.handle(), tz, 3, axis as i32, q.handle()), 0);
        for (i, q) in q.values().into_iter().enumerate() {
            let s = if scale[at(i)] == 0.0 { 1.0 } else { scale[at(i)] };
            let exact = x[i] / s + if offset { zero[at(i)].trunc() } else { 0.0 };
            prop_assert!((q - exact).abs() <= 0.5001, "{q} for {exact}");
        }
    }

    #[test]
    fn numbers_of_rows(m in 1usize..6, n in 1usize..40, dtype in prop::sample::select(&FLOATS[..]), asymmetric: bool, smooth: bool, seed: u64) {
        let random = &mut Random(seed);
        let x = random.floats((m * n) as i64);
        let factors: Vec<f64> = random.floats(n as i64).iter().map(|v| if smooth { v.abs() + 1.0 } else { 1.0 }).collect();
        let value: Vec<f64> = x.iter().enumerate().map(|(i, v)| v * factors[i % n]).collect();
        let (d, rows) = ([m as i64, n as i64], [m as i64]);
        let (mut tx, mut tf) = (Data::scattered(dtype, &d, &x), Data::new(dtype, &[n as i64], &factors));
        let tf = if smooth { tf.handle() } else { null_mut() };
        let (mut q, mut step, mut zero) = (Data::scattered(2, &d, &vec![0.0; m * n]), Data::out(0, &rows), Data::out(0, &rows));
        if asymmetric {
            prop_assert_eq!(op!(aclnnDynamicQuantV2, tx.handle(), tf, null_mut(), 2, q.handle(), step.handle(), zero.handle()), 0);
            check_rows(&value, n, &q.values(), &step.values(), Some(&zero.values()));
            prop_assert_eq!(op!(aclnnDynamicQuantV3, tx.handle(), tf, null_mut(), 2, false, text("pertoken\0"), q.handle(), step.handle(), zero.handle()), 0);
            check_rows(&value, n, &q.values(), &step.values(), Some(&zero.values()));
        } else {
            prop_assert_eq!(op!(aclnnDynamicQuant, tx.handle(), tf, q.handle(), step.handle()), 0);
            check_rows(&value, n, &q.values(), &step.values(), None);
        }
        // One scale for all, or for each column.
        let mut one = Data::out(0, &[1]);
        prop_assert_eq!(op!(aclnnDynamicQuantV3, tx.handle(), tf, null_mut(), 2, true, text("pertensor\0"), q.handle(), one.handle(), null_mut()), 0);
        check_rows(&value, m * n, &q.values(), &one.values(), None);
        let mut columns = Data::out(0, &[n as i64]);
        prop_assert_eq!(op!(aclnnDynamicQuantV4, tx.handle(), tf, null_mut(), 2, true, text("perchannel\0"), 0.0, q.handle(), columns.handle(), null_mut()), 0);
        let turn = |v: &[f64]| (0..n * m).map(|i| v[i % m * n + i / m]).collect::<Vec<_>>();
        check_rows(&turn(&value), m, &turn(&q.values()), &columns.values(), None);
        // Factors for groups of rows.
        let groups = 1 + random.below(3);
        let mut ends: Vec<f64> = random.integers(groups as i64 - 1, 0, m as i64 + 1);
        ends.push(m as f64);
        ends.sort_by(f64::total_cmp);
        let each: Vec<f64> = random.floats((groups * n) as i64).iter().map(|v| v.abs() + 1.0).collect();
        let (mut te, mut tg) = (Data::new(dtype, &[groups as i64, n as i64], &each), Data::new(3, &[groups as i64], &ends));
        prop_assert_eq!(op!(aclnnDynamicQuantV2, tx.handle(), te.handle(), tg.handle(), 2, q.handle(), step.handle(), null_mut()), 0);
        let group = |row: usize| ends.iter().position(|e| (row as f64) < *e).unwrap();
        let value: Vec<f64> = x.iter().enumerate().map(|(i, v)| v * each[group(i / n) * n + i % n]).collect();
        check_rows(&value, n, &q.values(), &step.values(), None);
    }

    #[test]
    fn products(m in 1usize..9, k in 1usize..70, n in 1usize..20, ta: bool, tb: bool, out in prop::sample::select(&[1, 27, 3, 2][..]), rows: bool, bias in 0usize..3, seed: u64) {
        let random = &mut Random(seed);
        let (a, b) = (random.integers((m * k) as i64, -128, 128), random.integers((k * n) as i64, -128, 128));
        let (scale, row) = (random.floats(n as i64), random.floats(m as i64));
        let scale: Vec<f64> = scale.iter().map(|v| v / 512.0).collect();
        let whole = random.integers(n as i64, -5000, 5000);
        let (da, db) = ([m as i64, k as i64], [k as i64, n as i64]);
        let turn = |v: &[f64], r: usize, c: usize| (0..r * c).map(|i| v[i % r * c + i / r]).collect::<Vec<_>>();
        let mut xa = if ta { Data::new(2, &[da[1], da[0]], &turn(&a, m, k)) } else { Data::new(2, &da, &a) };
        let mut xb = if tb { Data::scattered(2, &[db[1], db[0]], &turn(&b, k, n)) } else { Data::new(2, &db, &b) };
        let (mut ts, mut tr) = (Data::new(0, &[n as i64], &scale), Data::new(0, &[m as i64], &row));
        let mut tb32 = Data::new(3, &[n as i64], &whole);
        let mut tbf = Data::new(0, &[n as i64], &scale);
        let bias = if out == 3 { bias % 2 } else { bias };
        let hb = [null_mut(), tb32.handle(), tbf.handle()][bias];
        let rows = rows && out != 3;
        let hr = if rows { tr.handle() } else { null_mut() };
        let offset = 3.0;
        let mut to = Data::new(0, &[1], &[offset]);
        let mut y = Data::out(out, &[m as i64, n as i64]);
        prop_assert_eq!(op!(aclnnQuantMatmulV4, xa.handle(), xb.handle(), ts.handle(), to.handle(), hr, hb, ta, tb, y.handle()), 0, "{}", last_error());
        let sum = |i: usize, j: usize| (0..k).map(|l| a[i * k + l] * b[l * n + j]).sum::<f64>() + if bias == 1 { whole[j] } else { 0.0 };
        let value = |i: usize, j: usize| sum(i, j) * scale[j] * if rows { row[i] } else { 1.0 } + if bias == 2 { scale[j] } else { 0.0 };
        let is = y.values();
        for i in 0..m * n {
            let (r, c) = (i / n, i % n);
            match out {
                3 => prop_assert_eq!(is[i], sum(r, c)),
                2 => prop_assert!((is[i] - int8(value(r, c) + offset)).abs() <= f64::from(u8::from((value(r, c).fract().abs() - 0.5).abs() < 1e-3)), "{} for {}", is[i], value(r, c)),
                t => near("element", t, &is[i..=i], &[value(r, c)]),
            }
        }
        // The same by scales of 19 bits, which carry the offset.
        if !rows && bias != 2 && out != 3 && out != 27 {
            let mut packed = Data::out(10, &[n as i64]);
            prop_assert_eq!(op!(aclnnTransQuantParamV2, ts.handle(), to.handle(), packed.handle()), 0);
            prop_assert_eq!(op!(aclnnQuantMatmulV3, xa.handle(), xb.handle(), packed.handle(), null_mut(), hb, ta, tb, y.handle()), 0, "{}", last_error());
            for (i, is) in y.values().into_iter().enumerate() {
                let cut = f64::from(f32::from_bits((scale[i % n] as f32).to_bits() & 0xffff_e000));
                let wanted = sum(i / n, i % n) * cut;
                if out == 2 {
                    prop_assert!((is - int8(wanted + offset)).abs() <= f64::from(u8::from((wanted.fract().abs() - 0.5).abs() < 1e-3)));
                } else {
                    near("packed", out, &[is], &[wanted]);
                }
            }
        }
    }

    #[test]
    fn grouped_products(m in 1usize..9, k in 1usize..20, half in 1usize..6, groups in 1usize..4, counts: bool, seed: u64) {
        let random = &mut Random(seed);
        let n = 2 * half;
        let (a, w) = (random.integers((m * k) as i64, -128, 128), random.integers((groups * k * n) as i64, -128, 128));
        let scale: Vec<f64> = random.floats((groups * n) as i64).iter().map(|v| v / 1024.0).collect();
        let row: Vec<f64> = random.floats(m as i64).iter().map(|v| v.abs() + 0.1).collect();
        let whole = random.integers((groups * n) as i64, -500, 500);
        let mut ends: Vec<f64> = random.integers(groups as i64 - 1, 0, m as i64 + 1);
        ends.push(m as f64);
        ends.sort_by(f64::total_cmp);
        let sizes: Vec<f64> = ends.iter().scan(0.0, |last, e| Some(e - std::mem::replace(last, *e))).collect();
        let (dg, dn) = ([groups as i64], [groups as i64, n as i64]);
        let mut ta = Data::new(2, &[m as i64, k as i64], &a);
        let mut tw = Data::new(2, &[dg[0], k as i64, n as i64], &w);
        let (mut ts, mut tr, mut tb) = (Data::new(0, &dn, &scale), Data::new(0, &[m as i64], &row), Data::new(3, &dn, &whole));
        let mut tg = Data::new(9, &dg, if counts { &sizes } else { &ends });
        let mut y = Data::out(1, &[m as i64, n as i64]);
        let none: Handle = null_mut();
        prop_assert_eq!(op!(aclnnGroupedMatmulV4, list(&[ta.handle()]), list(&[tw.handle()]), list(&[tb.handle()]), list(&[ts.handle()]), none, none, none,
            list(&[tr.handle()]), tg.handle(), none, none, none, 3, 0, i64::from(counts), 0, list(&[y.handle()]), none, none), 0, "{}", last_error());
        let group = |r: usize| ends.iter().position(|e| (r as f64) < *e).unwrap();
        let sum = |r: usize, j: usize| (0..k).map(|l| a[r * k + l] * w[(group(r) * k + l) * n + j]).sum::<f64>();
        let value = |r: usize, j: usize| (sum(r, j) + whole[group(r) * n + j]) * scale[group(r) * n + j] * row[r];
        near("product", 1, &y.values(), &(0..m * n).map(|i| value(i / n, i % n)).collect::<Vec<_>>());
        if !counts {
            let (mut q, mut step) = (Data::out(2, &[m as i64, half as i64]), Data::out(0, &[m as i64]));
            prop_assert_eq!(op!(aclnnGroupedMatmulSwigluQuant, ta.handle(), tw.handle(), none, none, ts.handle(), tr.handle(), tg.handle(), q.handle(), step.handle(), none), 0, "{}", last_error());
            let plain = |r: usize, j: usize| sum(r, j) * scale[group(r) * n + j] * row[r];
            let act: Vec<f64> = (0..m * half).map(|i| (plain(i / half, i % half), plain(i / half, half + i % half))).map(|(a, b)| a / (1.0 + (-a).exp()) * b).collect();
            check_rows(&act, half, &q.values(), &step.values(), None);
        }
    }

    #[test]
    fn gates_between_integers(m in 1usize..5, half in 1usize..9, left: bool, mode in 0i64..3, seed: u64) {
        let random = &mut Random(seed);
        let n = 2 * half;
        let x = random.integers((m * n) as i64, -200, 200);
        let (weight, row, bias): (Vec<f64>, Vec<f64>, Vec<f64>) = (random.floats(n as i64).iter().map(|v| v / 64.0).collect(), random.floats(m as i64), random.floats(n as i64));
        let mut tx = Data::new(3, &[m as i64, n as i64], &x);
        let (mut tw, mut tr, mut tb) = (Data::new(0, &[n as i64], &weight), Data::new(0, &[m as i64], &row), Data::new(0, &[n as i64], &bias));
        let (mut q, mut step) = (Data::out(2, &[m as i64, half as i64]), Data::out(0, &[m as i64]));
        let none: Handle = null_mut();
        prop_assert_eq!(op!(aclnnDequantSwigluQuantV2, tx.handle(), tw.handle(), tr.handle(), tb.handle(), none, none, none, left, text("dynamic\0"), 2, text("rint\0"), -1,
            mode, 2.0, 1.702, 1.0, q.handle(), step.handle()), 0, "{}", last_error());
        let value = |r: usize, j: usize| x[r * n + j] * weight[j] * row[r] + bias[j];
        let act: Vec<f64> = (0..m * half).map(|i| {
            let (r, j) = (i / half, i % half);
            let (a, b) = if mode == 1 { (value(r, 2 * j), value(r, 2 * j + 1)) } else { (value(r, j), value(r, half + j)) };
            match mode {
                0 => { let (a, b) = if left { (a, b) } else { (b, a) }; a / (1.0 + (-a).exp()) * b }
                _ => { let (a, b) = (a.min(2.0), b.clamp(-2.0, 2.0)); a / (1.0 + (-1.702 * a).exp()) * (b + 1.0) }
            }
        }).collect();
        check_rows(&act, half, &q.values(), &step.values(), None);
        if mode == 0 {
            let f: Vec<f64> = random.floats((m * n) as i64);
            let mut tf = Data::scattered(27, &[m as i64, n as i64], &f);
            prop_assert_eq!(op!(aclnnSwiGluQuant, tf.handle(), none, none, none, left, text("dynamic\0"), q.handle(), step.handle()), 0, "{}", last_error());
            let act: Vec<f64> = (0..m * half).map(|i| (f[i / half * n + i % half], f[i / half * n + half + i % half]))
                .map(|(a, b)| if left { (a, b) } else { (b, a) }).map(|(a, b)| a / (1.0 + (-a).exp()) * b).collect();
            // It tells what it multiplied with.
            let steps: Vec<f64> = step.values().iter().map(|s| if s.is_finite() { 1.0 / s } else { 0.0 }).collect();
            check_rows(&act, half, &q.values(), &steps, None);
            let (mut ts, mut to) = (Data::new(0, &[1], &[0.5]), Data::new(0, &[1], &[2.0]));
            prop_assert_eq!(op!(aclnnDequantSwigluQuant, tf.handle(), none, none, none, ts.handle(), to.handle(), none, left, text("static\0"), q.handle(), none), 0, "{}", last_error());
            for (q, v) in q.values().iter().zip(&act) {
                prop_assert!((q - (v / 0.5 + 2.0).clamp(-128.0, 127.0)).abs() <= 0.501, "{q} for {v}");
            }
        }
    }

    #[test]
    fn fused_normalisations(m in 1usize..5, n in 2usize..20, dtype in prop::sample::select(&FLOATS[..]), seed: u64) {
        let random = &mut Random(seed);
        let (a, b) = (random.floats((m * n) as i64), random.floats((m * n) as i64));
        let (gamma, beta) = (random.floats(n as i64), random.floats(n as i64));
        let (d, dn, dm) = ([m as i64, n as i64], [n as i64], [m as i64]);
        let (mut t1, mut t2) = (Data::new(dtype, &d, &a), Data::scattered(dtype, &d, &b));
        let (mut tg, mut tb) = (Data::new(dtype, &dn, &gamma), Data::new(dtype, &dn, &beta));
        let sum: Vec<f64> = a.iter().zip(&b).map(|(a, b)| a + b).collect();
        let rms = |x: &[f64], g: &dyn Fn(usize) -> f64, shift: f64| x.chunks(n).flat_map(|row| {
            let r = (row.iter().map(|v| v * v).sum::<f64>() / n as f64 + 1e-3).sqrt();
            row.iter().enumerate().map(|(j, v)| v / r * g(j) + shift * beta[j]).collect::<Vec<_>>()
        }).collect::<Vec<f64>>();
        let none: Handle = null_mut();
        let (mut y, mut r) = (Data::out(dtype, &d), Data::out(0, &dm));
        prop_assert_eq!(op!(aclnnGemmaRmsNorm, t1.handle(), tg.handle(), 1e-3, y.handle(), r.handle()), 0, "{}", last_error());
        near("gemma", dtype, &y.values(), &rms(&a, &|j| 1.0 + gamma[j], 0.0));
        let (mut q, mut q2, mut x, mut step) = (Data::out(2, &d), Data::out(2, &d), Data::out(dtype, &d), Data::out(0, &dm));
        let (mut scale, mut zero) = (Data::new(0, &dn, &vec![0.125; n]), Data::new(3, &dn, &vec![3.0; n]));
        prop_assert_eq!(op!(aclnnAddRmsNormQuant, t1.handle(), t2.handle(), tg.handle(), scale.handle(), none, zero.handle(), none, -1, 1e-3, true,
            q.handle(), none, x.handle()), 0, "{}", last_error());
        prop_assert_eq!(x.values(), sum.clone());
        let exact = rms(&sum, &|j| gamma[j], 0.0);
        for (q, v) in q.values().iter().zip(&exact) {
            prop_assert!((q - (v / 0.125 + 3.0).clamp(-128.0, 127.0)).abs() <= 0.502, "{q} for {v}");
        }
        prop_assert_eq!(op!(aclnnAddRmsNormDynamicQuantV2, t1.handle(), t2.handle(), tg.handle(), none, none, tb.handle(), 1e-3, none, q.handle(), q2.handle(),
            x.handle(), step.handle(), none), 0, "{}", last_error());
        check_rows(&rms(&sum, &|j| gamma[j], 1.0), n, &q.values(), &step.values(), None);
        prop_assert_eq!(op!(aclnnRmsNormQuant, t1.handle(), tg.handle(), tb.handle(), scale.handle(), zero.handle(), 1e-3, q.handle()), 0, "{}", last_error());
        for (q, v) in q.values().iter().zip(&rms(&a, &|j| gamma[j], 1.0)) {
            prop_assert!((q - (v / 0.125 + 3.0).clamp(-128.0, 127.0)).abs() <= 0.502, "{q} for {v}");
        }
        // Layer norm of a sum, and of a weighted one.
        let layer = |x: &[f64]| x.chunks(n).flat_map(|row| {
            let mean = row.iter().sum::<f64>() / n as f64;
            let r = (row.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n as f64 + 1e-3).sqrt();
            row.iter().enumerate().map(|(j, v)| (v - mean) / r * gamma[j] + beta[j]).collect::<Vec<_>>()
        }).collect::<Vec<f64>>();
        let (mut mean, mut rstd) = (Data::out(0, &[dm[0], 1]), Data::out(0, &[dm[0], 1]));
        prop_assert_eq!(op!(aclnnAddLayerNorm, t1.handle(), t2.handle(), tg.handle(), tb.handle(), none, 1e-3, true, y.handle(), mean.handle(), rstd.handle(), x.handle()), 0, "{}", last_error());
        near("add_layer_norm", dtype, &y.values(), &layer(&sum));
        prop_assert_eq!(x.values(), sum.clone());
        prop_assert_eq!(op!(aclnnDeepNorm, t1.handle(), t2.handle(), tb.handle(), tg.handle(), 0.5, 1e-3, mean.handle(), rstd.handle(), y.handle()), 0, "{}", last_error());
        let weighted: Vec<f64> = a.iter().zip(&b).map(|(a, b)| 0.5 * a + b).collect();
        near("deep_norm", dtype, &y.values(), &layer(&weighted));
        // Its gradient, by differences of a sum that weighs its elements.
        let g = random.floats((m * n) as i64);
        let mut dy = Data::new(0, &d, &g);
        let (mut f1, mut f2, mut fg) = (Data::new(0, &d, &a), Data::new(0, &d, &b), Data::new(0, &dn, &gamma));
        let (mut dx, mut dgx, mut db, mut dg) = (Data::out(0, &d), Data::out(0, &d), Data::out(0, &dn), Data::out(0, &dn));
        prop_assert_eq!(op!(aclnnDeepNormGrad, dy.handle(), f1.handle(), f2.handle(), fg.handle(), mean.handle(), rstd.handle(), 0.5, dx.handle(), dgx.handle(),
            db.handle(), dg.handle()), 0, "{}", last_error());
        let value = |x: &[f64]| layer(x).iter().zip(&g).map(|(y, g)| y * g).sum::<f64>();
        let slopes: Vec<f64> = (0..m * n).map(|i| {
            let mut at = weighted.clone();
            at[i] += 1e-5;
            let high = value(&at);
            at[i] -= 2e-5;
            (high - value(&at)) / 2e-5
        }).collect();
        let close = |is: &[f64], wanted: &[f64]| is.iter().zip(wanted).all(|(a, b)| (a - b).abs() <= 2e-3 * b.abs().max(1.0));
        prop_assert!(close(&dgx.values(), &slopes), "{:?} {slopes:?}", dgx.values());
        prop_assert!(close(&dx.values(), &slopes.iter().map(|s| 0.5 * s).collect::<Vec<_>>()));
        prop_assert!(close(&db.values(), &(0..n).map(|j| (0..m).map(|i| g[i * n + j]).sum()).collect::<Vec<f64>>()));
    }
}

#[test]
fn parameters_of_the_cube_are_packed_as_it_takes_them() {
    let mut scale = Data::new(0, &[3], &[1.0, 1.5 + 1.0 / 2048.0, -0.25]);
    let mut offset = Data::new(0, &[1], &[-3.0]);
    let mut out = Data::out(10, &[3]);
    assert_eq!(op!(aclnnTransQuantParamV2, scale.handle(), offset.handle(), out.handle()), 0);
    let word = |v: f32| u64::from(v.to_bits() & 0xffff_e000) | 1 << 46 | (0x1fd << 37);
    assert_eq!(out.words(), [1.0, 1.5, -0.25].map(word));
    let (mut made, mut n) = (null_mut(), 0);
    // SAFETY: arrays as long as is said; the places are locals; the array that comes is as long as it says.
    let words = unsafe {
        let code = super::quant_matmul::aclnnTransQuantParam(
            [1.0f32, 1.5, -0.25].as_ptr(),
            3,
            [-3.0f32].as_ptr(),
            1,
            &mut made,
            &mut n,
        );
        assert_eq!((code, n), (0, 3));
        let words = std::slice::from_raw_parts(made, 3).to_vec();
        free(made.cast());
        words
    };
    assert_eq!(words, [1.0, 1.5, -0.25].map(word));
    assert_eq!(op!(aclnnTransQuantParamV3, scale.handle(), null_mut(), 1, out.handle()), 0);
    assert_eq!(out.words()[1], u64::from(1.5f32.to_bits()) | 1 << 46, "a tie goes to the even one");
    assert_eq!(op!(aclnnTransQuantParamV3, scale.handle(), null_mut(), 2, out.handle()), 161_002);
    assert!(last_error().contains("roundMode 2"));
}

#[test]
fn fake_quantisation_is_a_round_trip() {
    let x = [-3.0, -0.26, 0.1, 0.4, 9.0, f64::NAN];
    let mut tx = Data::new(0, &[2, 3], &x);
    let (mut s, mut z) = (Data::new(0, &[1], &[0.25]), Data::new(3, &[1], &[2.0]));
    let (mut out, mut mask) = (Data::out(0, &[2, 3]), Data::out(12, &[2, 3]));
    let per_tensor = |[x, s, z, out, mask]: [&mut Data; 5]| {
        op!(
            aclnnFakeQuantPerTensorAffineCachemask,
            x.handle(),
            s.handle(),
            z.handle(),
            1.0,
            0,
            15,
            out.handle(),
            mask.handle()
        )
    };
    assert_eq!(per_tensor([&mut tx, &mut s, &mut z, &mut out, &mut mask]), 0);
    assert_eq!(out.values()[..5], [-0.5, -0.25, 0.0, 0.5, 3.25]);
    assert_eq!(mask.values(), [0.0, 1.0, 1.0, 1.0, 0.0, 0.0]);
    let (mut s, mut z) = (Data::new(0, &[2], &[0.25, 1.0]), Data::new(3, &[2], &[2.0, 0.0]));
    assert_eq!(
        op!(
            aclnnFakeQuantPerChannelAffineCachemask,
            tx.handle(),
            s.handle(),
            z.handle(),
            0,
            0,
            15,
            out.handle(),
            mask.handle()
        ),
        0
    );
    assert_eq!(out.values()[..5], [-0.5, -0.25, 0.0, 0.0, 9.0]);
    assert_eq!(per_tensor([&mut tx, &mut s, &mut z, &mut out, &mut mask]), 161_002);
}

#[test]
fn biases_of_sums_and_of_results() {
    let mut x = Data::new(3, &[2, 2], &[10.0, 20.0, -30.0, 40.0]);
    let (mut w, mut a) = (Data::new(0, &[2], &[0.5, 0.25]), Data::new(0, &[2], &[1.0, 2.0]));
    let (mut whole, mut after, mut y) =
        (Data::new(3, &[2], &[2.0, 4.0]), Data::new(0, &[2], &[0.5, 1.0]), Data::out(1, &[2, 2]));
    assert_eq!(op!(aclnnDequantBias, x.handle(), w.handle(), a.handle(), whole.handle(), 1, y.handle()), 0);
    assert_eq!(y.values(), [6.0, 6.0, -28.0, 22.0]);
    assert_eq!(op!(aclnnDequantBias, x.handle(), w.handle(), a.handle(), after.handle(), 1, y.handle()), 0);
    assert_eq!(y.values(), [5.5, 6.0, -29.5, 21.0]);
    assert_eq!(op!(aclnnDequantBias, x.handle(), w.handle(), null_mut(), null_mut(), 0, y.handle()), 161_002);
    assert!(last_error().contains("outputDtype is 0"));
}

#[test]
fn numbers_of_four_bits_from_words() {
    let values: Vec<f64> = (0..16).map(|i| f64::from(i) - 8.0).collect();
    let mut weight = Data::new(3, &[2, 8], &values);
    let mut packed = Data::out(3, &[2, 1]);
    assert_eq!(op!(aclnnConvertWeightToINT4Pack, weight.handle(), packed.handle()), 0, "{}", last_error());
    let bytes: Vec<u8> = packed.words().iter().flat_map(|w| w.to_le_bytes()).take(8).collect();
    assert_eq!(unpacked(&bytes), values);
}
