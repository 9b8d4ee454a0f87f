//! Further forms of attention, rotation, products, indexing and activations, against plain loops or the form that they vary.

use std::ffi::c_char;
use std::ptr::null_mut;

use proptest::prelude::*;

use super::data::{Data, Random, near};
use super::tests::{Handle, ints, last_error, op, run, scalar};
use super::*;
use crate::tensor::aclCreateTensorList;

fn text(s: &'static str) -> *const c_char {
    assert!(s.ends_with('\0'));
    s.as_ptr().cast()
}

pub fn list(handles: &[Handle]) -> Handle {
    // SAFETY: as many live handles as it says.
    unsafe { aclCreateTensorList(handles.as_ptr().cast(), handles.len() as u64) }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn rotations(b in 1usize..3, s in 1usize..4, n in 1usize..3, quarter in 1usize..4, mode in 0i64..4, seed: u64) {
        let random = &mut Random(seed);
        let d = 4 * quarter;
        let dims = [b as i64, s as i64, n as i64, d as i64];
        let small = [1, s as i64, 1, d as i64];
        let all = b * s * n * d;
        let (x, dy) = (random.floats(all as i64), random.floats(all as i64));
        let (cos, sin) = (random.floats((s * d) as i64), random.floats((s * d) as i64));
        let (mut tx, mut tdy) = (Data::scattered(0, &dims, &x), Data::scattered(0, &dims, &dy));
        let (mut tc, mut ts, mut y) = (Data::new(0, &small, &cos), Data::new(0, &small, &sin), Data::out(0, &dims));
        prop_assert_eq!(op!(aclnnRotaryPositionEmbedding, tx.handle(), tc.handle(), ts.handle(), mode, y.handle()), 0);
        let (mut dx, mut dc, mut ds) = (Data::scattered(0, &dims, &vec![0.0; all]), Data::out(0, &small), Data::out(0, &small));
        prop_assert_eq!(op!(aclnnRotaryPositionEmbeddingGrad, tdy.handle(), tc.handle(), ts.handle(), tx.handle(), mode, dx.handle(), dc.handle(), ds.handle()), 0, "{}", last_error());
        // The rotation is linear in x, and in cosine and sine together.
        let wanted = dot(&y.values(), &dy);
        let scale = x.iter().zip(&dy).map(|(a, b)| (a * b).abs() * 8.0).sum::<f64>() + 1.0;
        prop_assert!((dot(&dx.values(), &x) - wanted).abs() < 1e-5 * scale);
        prop_assert!((dot(&dc.values(), &cos) + dot(&ds.values(), &sin) - wanted).abs() < 1e-5 * scale);
        // In each place: of one unit of x.
        let at = random.below(all);
        let mut unit = vec![0.0; all];
        unit[at] = 1.0;
        let mut tu = Data::new(0, &dims, &unit);
        prop_assert_eq!(op!(aclnnRotaryPositionEmbedding, tu.handle(), tc.handle(), ts.handle(), mode, y.handle()), 0);
        prop_assert!((dot(&y.values(), &dy) - dx.values()[at]).abs() < 1e-4);
        // Both at once, in place.
        if mode < 3 {
            let (mut q, mut k) = (Data::new(0, &dims, &x), Data::scattered(0, &dims, &dy));
            let name = text(["half\0", "interleave\0", "quarter\0"][mode as usize]);
            prop_assert_eq!(op!(aclnnApplyRotaryPosEmbV2, q.handle(), k.handle(), tc.handle(), ts.handle(), 1, name), 0, "{}", last_error());
            for (is, from) in [(&q, &mut tx), (&k, &mut tdy)] {
                prop_assert_eq!(op!(aclnnRotaryPositionEmbedding, from.handle(), tc.handle(), ts.handle(), mode, y.handle()), 0);
                near("both", 0, &is.values(), &y.values());
            }
        }
    }

    #[test]
    fn rotations_by_a_table(t in 1usize..5, n in 1usize..3, half in 1usize..4, more in 0usize..3, neox: bool, seed: u64) {
        let random = &mut Random(seed);
        let (width, size, rows) = (2 * half, 2 * half + more, 6);
        let (q, k) = (random.floats((t * n * size) as i64), random.floats((t * size) as i64));
        let (table, positions) = (random.floats((rows * width) as i64), random.integers(t as i64, 0, rows as i64));
        let (mut tq, mut tk) = (Data::scattered(0, &[t as i64, (n * size) as i64], &q), Data::new(0, &[t as i64, size as i64], &k));
        let (mut tt, mut tp) = (Data::new(0, &[rows as i64, width as i64], &table), Data::new(9, &[t as i64], &positions));
        let (mut qo, mut ko) = (Data::out(0, &[t as i64, (n * size) as i64]), Data::out(0, &[t as i64, size as i64]));
        prop_assert_eq!(op!(aclnnRopeWithSinCosCache, tp.handle(), tq.handle(), tk.handle(), tt.handle(), null_mut(), size as i64, neox, qo.handle(), ko.handle()), 0, "{}", last_error());
        let turned = |x: &[f64], heads: usize| {
            let mut y = x.to_vec();
            for i in 0..t * heads {
                let row = &table[positions[i / heads] as usize * width..][..width];
                for j in 0..half {
                    let (a, b) = if neox { (j, j + half) } else { (2 * j, 2 * j + 1) };
                    let (x0, x1, c, s) = (x[i * size + a], x[i * size + b], row[j], row[half + j]);
                    y[i * size + a] = x0 * c - x1 * s;
                    y[i * size + b] = x1 * c + x0 * s;
                }
            }
            y
        };
        near("query", 0, &qo.values(), &turned(&q, n));
        near("key", 0, &ko.values(), &turned(&k, 1));
    }

    #[test]
    fn samples_one_behind_the_other(lengths in prop::collection::vec((0i64..4, 0i64..5), 1..4), group in 1i64..3, d in 1i64..5, mode in 0usize..3, seed: u64) {
        let random = &mut Random(seed);
        let (heads, kv) = (2 * group, 2);
        let ends = |f: fn(&(i64, i64)) -> i64| lengths.iter().scan(0, |s, l| { *s += f(l); Some(*s) }).collect::<Vec<i64>>();
        let (qe, ke) = (ends(|l| l.0), ends(|l| l.1));
        let (tq, tk) = (*qe.last().unwrap(), *ke.last().unwrap());
        let mode = [0, 2, 3][mode];
        let (q, g) = (random.floats(tq * heads * d), random.floats(tq * heads * d));
        let (k, v) = (random.floats(tk * kv * d), random.floats(tk * kv * d));
        let (dq, dk) = ([tq, heads, d], [tk, kv, d]);
        let (mut xq, mut xk, mut xv, mut xg) = (Data::scattered(0, &dq, &q), Data::scattered(0, &dk, &k), Data::new(0, &dk, &v), Data::new(0, &dq, &g));
        let (mut out, mut max, mut sum) = (Data::out(0, &dq), Data::out(0, &[tq, heads, 8]), Data::out(0, &[tq, heads, 8]));
        let none: Handle = null_mut();
        prop_assert_eq!(op!(aclnnFlashAttentionVarLenScore, xq.handle(), xk.handle(), xv.handle(), none, none, none, none, none, ints(&qe), ints(&ke), 0.5, 1.0,
            65536, 65536, heads, text("TND\0"), 0, mode, max.handle(), sum.handle(), none, out.handle()), 0, "{}", last_error());
        let (mut gq, mut gk, mut gv) = (Data::out(0, &dq), Data::out(0, &dk), Data::out(0, &dk));
        prop_assert_eq!(op!(aclnnFlashAttentionUnpaddingScoreGrad, xq.handle(), xk.handle(), xv.handle(), xg.handle(), none, none, none, none, none, none, none, none,
            none, ints(&qe), ints(&ke), 0.5, 1.0, 65536, 65536, heads, text("TND\0"), 0, mode, gq.handle(), gk.handle(), gv.handle(), none), 0, "{}", last_error());
        let (out, gq, gk, gv) = (out.values(), gq.values(), gk.values(), gv.values());
        let (mut q0, mut k0) = (0, 0);
        for (&q1, &k1) in qe.iter().zip(&ke) {
            let (s, t) = (q1 - q0, k1 - k0);
            let part = |v: &[f64], first: i64, end: i64, n: i64| v[(first * n * d) as usize..(end * n * d) as usize].to_vec();
            if s > 0 && t > 0 {
                let (ds, dt) = ([1, s, heads, d], [1, t, kv, d]);
                let (mut a, mut b, mut c, mut e) = (Data::new(0, &ds, &part(&q, q0, q1, heads)), Data::new(0, &dt, &part(&k, k0, k1, kv)), Data::new(0, &dt, &part(&v, k0, k1, kv)),
                    Data::new(0, &ds, &part(&g, q0, q1, heads)));
                let (mut o, mut m, mut u) = (Data::out(0, &ds), Data::out(0, &[1, heads, s, 8]), Data::out(0, &[1, heads, s, 8]));
                prop_assert_eq!(op!(aclnnFlashAttentionScore, a.handle(), b.handle(), c.handle(), none, none, none, none, none, 0.5, 1.0, 65536, 65536, heads, text("BSND\0"), 0,
                    mode, m.handle(), u.handle(), none, o.handle()), 0, "{}", last_error());
                near("out", 0, &part(&out, q0, q1, heads), &o.values());
                let (mut x, mut y, mut z) = (Data::out(0, &ds), Data::out(0, &dt), Data::out(0, &dt));
                prop_assert_eq!(op!(aclnnFlashAttentionScoreGrad, a.handle(), b.handle(), c.handle(), e.handle(), none, none, none, none, none, none, none, none, none, 0.5, 1.0,
                    65536, 65536, heads, text("BSND\0"), 0, mode, x.handle(), y.handle(), z.handle(), none), 0, "{}", last_error());
                near("dq", 0, &part(&gq, q0, q1, heads), &x.values());
                near("dk", 0, &part(&gk, k0, k1, kv), &y.values());
                near("dv", 0, &part(&gv, k0, k1, kv), &z.values());
                let turned = |v: &[f64]| (0..(s * heads) as usize).map(|i| v[(i % heads as usize * s as usize + i / heads as usize) * 8]).collect::<Vec<_>>();
                let mine = |v: &[f64]| v[(q0 * heads * 8) as usize..(q1 * heads * 8) as usize].chunks(8).map(|c| c[0]).collect::<Vec<_>>();
                near("max", 0, &mine(&max.values()), &turned(&m.values()));
                near("sum", 0, &mine(&sum.values()), &turned(&u.values()));
            } else {
                prop_assert!(part(&out, q0, q1, heads).iter().all(|v| *v == 0.0));
            }
            (q0, k0) = (q1, k1);
        }
    }

    #[test]
    fn keys_in_blocks(b in 1usize..4, n in 1usize..3, size in 1usize..4, d in 1usize..5, by_heads: bool, seed: u64) {
        let random = &mut Random(seed);
        let (columns, blocks) = (3, 3 * b + 1);
        let lengths: Vec<i64> = (0..b).map(|_| 1 + random.below(size * columns) as i64).collect();
        // What a sample does not need is no block at all.
        let mut free = random.shuffled(blocks as i64);
        let table: Vec<f64> = (0..b * columns).map(|i| if (i % columns * size) < lengths[i / columns] as usize { free.pop().unwrap() } else { -1.0 }).collect();
        let q = random.floats((b * n * d) as i64);
        let (k, v) = (random.floats((blocks * size * n * d) as i64), random.floats((blocks * size * n * d) as i64));
        let at = |block: usize, place: usize, head: usize, j: usize| if by_heads { ((block * n + head) * size + place) * d + j } else { ((block * size + place) * n + head) * d + j };
        let cache: Vec<i64> = if by_heads { vec![blocks as i64, n as i64, size as i64, d as i64] } else { vec![blocks as i64, size as i64, (n * d) as i64] };
        let (mut tq, mut tk, mut tv) = (Data::new(0, &[b as i64, 1, (n * d) as i64], &q), Data::new(0, &cache, &k), Data::new(0, &cache, &v));
        let (mut tt, mut out) = (Data::new(3, &[b as i64, columns as i64], &table), Data::out(0, &[b as i64, 1, (n * d) as i64]));
        let none: Handle = null_mut();
        prop_assert_eq!(op!(aclnnIncreFlashAttentionV4, tq.handle(), list(&[tk.handle()]), list(&[tv.handle()]), none, none, ints(&lengths), none, none, none, none, none, none,
            none, tt.handle(), none, n as i64, 0.5, text("BSH\0"), n as i64, size as i64, 0, out.handle()), 0, "{}", last_error());
        let mut wanted = vec![];
        for i in 0..b {
            for head in 0..n {
                let place = |t: usize| (table[i * columns + t / size] as usize, t % size);
                let scores: Vec<f64> = (0..lengths[i] as usize).map(|t| { let (block, p) = place(t); 0.5 * (0..d).map(|j| q[(i * n + head) * d + j] * k[at(block, p, head, j)]).sum::<f64>() }).collect();
                let max = scores.iter().copied().fold(f64::MIN, f64::max);
                let sum: f64 = scores.iter().map(|s| (s - max).exp()).sum();
                wanted.extend((0..d).map(|j| scores.iter().enumerate().map(|(t, s)| { let (block, p) = place(t); (s - max).exp() / sum * v[at(block, p, head, j)] }).sum::<f64>()));
            }
        }
        near("attention", 0, &out.values(), &wanted);
    }

    #[test]
    fn combining_at_indices(n in 1usize..6, m in 1usize..5, k in 1usize..6, reduce in 0i64..5, with: bool, dtype in prop::sample::select(&[0, 1, 3][..]), seed: u64) {
        let random = &mut Random(seed);
        let (x, src) = (random.integers((n * m) as i64, -4, 5), random.integers((k * m) as i64, -4, 5));
        let index = random.integers((k * m) as i64, 0, n as i64);
        let (mut tx, mut ts, mut ti) = (Data::scattered(dtype, &[n as i64, m as i64], &x), Data::new(dtype, &[k as i64, m as i64], &src), Data::new(9, &[k as i64, m as i64], &index));
        let mut out = Data::out(dtype, &[n as i64, m as i64]);
        prop_assert_eq!(op!(aclnnScatterReduce, tx.handle(), 0, ti.handle(), ts.handle(), reduce, with, out.handle()), 0, "{}", last_error());
        let wanted: Vec<f64> = (0..n * m).map(|i| {
            let mut all: Vec<f64> = (0..k).filter(|r| index[r * m + i % m] as usize == i / m).map(|r| src[r * m + i % m]).collect();
            if with || all.is_empty() { all.push(x[i]); }
            let sum = all.iter().sum::<f64>();
            match reduce {
                0 => sum,
                1 => all.iter().product(),
                2 if dtype == 3 => (sum / all.len() as f64).floor(),
                2 => sum / all.len() as f64,
                3 => all.iter().copied().fold(f64::MIN, f64::max),
                _ => all.iter().copied().fold(f64::MAX, f64::min),
            }
        }).collect();
        near("reduced", dtype, &out.values(), &wanted);
        // Slices by pairs of indices.
        let table = random.floats((n * m * 3) as i64);
        let mut tt = Data::scattered(0, &[n as i64, m as i64, 3], &table);
        let pairs: Vec<f64> = (0..k).flat_map(|_| [random.below(n) as f64, random.below(m) as f64]).collect();
        let mut tp = Data::new(3, &[k as i64, 2], &pairs);
        let mut found = Data::out(0, &[k as i64, 3]);
        prop_assert_eq!(op!(aclnnGatherNd, tt.handle(), tp.handle(), true, found.handle()), 0, "{}", last_error());
        let at = |r: usize, j: usize| (pairs[2 * r] as usize * m + pairs[2 * r + 1] as usize) * 3 + j;
        prop_assert_eq!(found.values(), (0..3 * k).map(|i| table[at(i / 3, i % 3)]).collect::<Vec<_>>());
        let updates = random.floats((k * 3) as i64);
        let (mut tu, mut to) = (Data::new(0, &[k as i64, 3], &updates), Data::out(0, &[n as i64, m as i64, 3]));
        prop_assert_eq!(op!(aclnnScatterNd, tt.handle(), tp.handle(), tu.handle(), to.handle()), 0, "{}", last_error());
        let mut wanted = table.clone();
        (0..3 * k).for_each(|i| wanted[at(i / 3, i % 3)] = updates[i]);
        prop_assert_eq!(to.values(), wanted.clone());
        prop_assert_eq!(op!(aclnnScatterNdUpdate, tt.handle(), tp.handle(), tu.handle()), 0, "{}", last_error());
        prop_assert_eq!(tt.values(), wanted);
        // Selections in each of a batch.
        let choice = random.integers((n * k) as i64, 0, m as i64);
        let (mut tc, mut got) = (Data::new(9, &[n as i64, k as i64], &choice), Data::out(0, &[n as i64, k as i64, 3]));
        prop_assert_eq!(op!(aclnnGatherV3, tt.handle(), 1, tc.handle(), 1, 0, got.handle()), 0, "{}", last_error());
        let table = tt.values();
        prop_assert_eq!(got.values(), (0..n * k * 3).map(|i| table[(i / 3 / k * m + choice[i / 3] as usize) * 3 + i % 3]).collect::<Vec<_>>());
        // Numbers, each as often as is said.
        let repeats = random.integers(n as i64, 0, 4);
        let all: Vec<f64> = repeats.iter().enumerate().flat_map(|(i, r)| vec![i as f64; *r as usize]).collect();
        let (mut tr, mut to) = (Data::new(9, &[n as i64], &repeats), Data::out(9, &[all.len() as i64]));
        prop_assert_eq!(op!(aclnnRepeatInterleaveTensor, tr.handle(), all.len() as i64, to.handle()), 0, "{}", last_error());
        prop_assert_eq!(to.values(), all);
    }

    #[test]
    fn sums_of_products(n in 1usize..4, m in 1usize..5, k in 1usize..6, l in 1usize..5, dtype in prop::sample::select(&[0, 1, 27][..]), seed: u64) {
        let random = &mut Random(seed);
        let (a, b, c) = (random.floats((n * m * k) as i64), random.floats((n * k * l) as i64), random.floats((m * l) as i64));
        let (mut ta, mut tb, mut tc) = (Data::scattered(dtype, &[n as i64, m as i64, k as i64], &a), Data::scattered(dtype, &[n as i64, k as i64, l as i64], &b), Data::new(dtype, &[m as i64, l as i64], &c));
        let one = |i: usize, r: usize, j: usize| (0..k).map(|s| a[(i * m + r) * k + s] * b[(i * k + s) * l + j]).sum::<f64>();
        let mut out = Data::out(dtype, &[m as i64, l as i64]);
        prop_assert_eq!(op!(aclnnAddbmm, tc.handle(), ta.handle(), tb.handle(), scalar(0.5), scalar(2.0), out.handle(), 0), 0, "{}", last_error());
        let wanted: Vec<f64> = (0..m * l).map(|i| 0.5 * c[i] + 2.0 * (0..n).map(|s| one(s, i / l, i % l)).sum::<f64>()).collect();
        near("addbmm", dtype, &out.values(), &wanted);
        let mut y = Data::out(dtype, &[m as i64, n as i64, l as i64]);
        prop_assert_eq!(op!(aclnnTransposeBatchMatMul, ta.handle(), tb.handle(), null_mut(), null_mut(), ints(&[0, 1, 2]), ints(&[0, 1, 2]), ints(&[1, 0, 2]), 0, 1, y.handle()), 0, "{}", last_error());
        near("transposed", dtype, &y.values(), &(0..m * n * l).map(|i| one(i / l % n, i / l / n, i % l)).collect::<Vec<_>>());
    }

    #[test]
    fn further_activations(n in 1usize..20, dtype in prop::sample::select(&[0, 1, 27][..]), seed: u64) {
        let random = &mut Random(seed);
        let (x, g) = (random.floats(2 * n as i64), random.floats(n as i64));
        let d = [n as i64];
        let (mut tx, mut tg, mut y) = (Data::scattered(dtype, &d, &x[..n]), Data::new(dtype, &d, &g), Data::out(dtype, &d));
        let check = |what: &str, y: &Data, f: &dyn Fn(f64) -> f64| near(what, dtype, &y.values(), &x[..n].iter().map(|v| f(*v)).collect::<Vec<_>>());
        let selu = |v: f64| 1.0507009873554805 * if v > 0.0 { v } else { 1.6732632423543772 * v.exp_m1() };
        prop_assert_eq!(op!(aclnnSelu, tx.handle(), y.handle()), 0);
        check("selu", &y, &selu);
        let mut slope = Data::out(dtype, &d);
        prop_assert_eq!(op!(aclnnSeluBackward, tg.handle(), y.handle(), slope.handle()), 0);
        let wanted: Vec<f64> = (0..n).map(|i| g[i] * 1.0507009873554805 * if x[i] > 0.0 { 1.0 } else { 1.6732632423543772 * x[i].exp() }).collect();
        near("slope of selu", dtype, &slope.values(), &wanted);
        prop_assert_eq!(op!(aclnnSoftsign, tx.handle(), y.handle()), 0);
        check("softsign", &y, &|v| v / (1.0 + v.abs()));
        prop_assert_eq!(op!(aclnnShrink, tx.handle(), scalar(1.0), scalar(0.5), y.handle()), 0);
        check("shrink", &y, &|v| if v > 1.0 { v - 0.5 } else if v < -1.0 { v + 0.5 } else { 0.0 });
        prop_assert_eq!(op!(aclnnHardShrink, tx.handle(), scalar(1.0), y.handle()), 0);
        check("hard shrink", &y, &|v| if v.abs() > 1.0 { v } else { 0.0 });
        prop_assert_eq!(op!(aclnnSwish, tx.handle(), scalar(1.5), y.handle()), 0);
        check("swish", &y, &|v| v / (1.0 + (-1.5 * v).exp()));
        prop_assert_eq!(op!(aclnnSwishBackward, tg.handle(), tx.handle(), scalar(1.5), slope.handle()), 0);
        let sigmoid = |v: f64| 1.0 / (1.0 + (-1.5 * v).exp());
        near("slope of swish", dtype, &slope.values(), &(0..n).map(|i| g[i] * (sigmoid(x[i]) + 1.5 * x[i] * sigmoid(x[i]) * (1.0 - sigmoid(x[i])))).collect::<Vec<_>>());
        let positive: Vec<f64> = x[..n].iter().map(|v| v.abs() + 0.0625).collect();
        let mut tp = Data::new(dtype, &d, &positive);
        prop_assert_eq!(op!(aclnnDigamma, tp.handle(), y.handle()), 0);
        // Its recurrence.
        let mut above = Data::new(0, &d, &positive.iter().map(|v| v + 1.0).collect::<Vec<_>>());
        let mut z = Data::out(0, &d);
        prop_assert_eq!(op!(aclnnDigamma, above.handle(), z.handle()), 0);
        near("digamma", dtype, &y.values(), &z.values().iter().zip(&positive).map(|(z, v)| z - 1.0 / v).collect::<Vec<_>>());
        prop_assert_eq!(op!(aclnnLgamma, above.handle(), z.handle()), 0);
        let mut low = Data::out(0, &d);
        let mut tp = Data::new(0, &d, &positive);
        prop_assert_eq!(op!(aclnnLgamma, tp.handle(), low.handle()), 0);
        near("lgamma", 0, &z.values(), &low.values().iter().zip(&positive).map(|(l, v)| l + v.ln()).collect::<Vec<_>>());
        // Gates.
        let mut whole = Data::new(dtype, &[2 * n as i64], &x);
        prop_assert_eq!(op!(aclnnClippedSwiglu, whole.handle(), null_mut(), -1, 1.702, 2.0, 1.0, true, y.handle()), 0, "{}", last_error());
        let gate = |i: usize| { let (a, b) = (x[2 * i].min(2.0), x[2 * i + 1].clamp(-2.0, 2.0)); a / (1.0 + (-1.702 * a).exp()) * (b + 1.0) };
        near("clipped", dtype, &y.values(), &(0..n).map(gate).collect::<Vec<_>>());
    }
}

#[test]
fn formats_have_names_and_sizes() {
    let mut x = Data::new(1, &[40, 20], &vec![1.5; 800]);
    let (mut shape, mut rank, mut format) = (null_mut::<i64>(), 0u64, 0i32);
    // SAFETY: the places for the answers are locals.
    let code = unsafe {
        super::product_forms::aclnnNpuFormatCastCalculateSizeAndFormat(
            x.handle(),
            29,
            1,
            &mut shape,
            &mut rank,
            &mut format,
        )
    };
    assert_eq!((code, rank, format), (0, 4, 29));
    // SAFETY: an array of as many as was said.
    assert_eq!(unsafe { std::slice::from_raw_parts(shape, 4) }, [2, 3, 16, 16]);
    unsafe extern "C" {
        fn free(block: *mut std::ffi::c_void);
    }
    // SAFETY: the program frees it, once.
    unsafe { free(shape.cast()) };
    let mut y = Data::out(1, &[40, 20]);
    assert_eq!(op!(aclnnNpuFormatCast, x.handle(), y.handle()), 0);
    assert_eq!(y.values(), x.values());
    let mut z = Data::out(0, &[40, 20]);
    assert_eq!(op!(aclnnNpuFormatCast, x.handle(), z.handle()), 161_002);
    assert!(last_error().contains("type F16"));
}
