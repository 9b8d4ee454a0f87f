//! Mixtures of experts against plain loops.

use std::ptr::null_mut;

use proptest::prelude::*;

use super::data::{Data, Random, near};
use super::tests::{ints, last_error, op, run};
use super::*;

const FLOATS: [i32; 3] = [0, 1, 27];

fn softmax(row: &[f64]) -> Vec<f64> {
    let max = row.iter().copied().fold(f64::MIN, f64::max);
    let sum: f64 = row.iter().map(|v| (v - max).exp()).sum();
    row.iter().map(|v| (v - max).exp() / sum).collect()
}

/// Places of the `k` largest, in order.
fn top(row: &[f64], k: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..row.len()).collect();
    order.sort_by(|&a, &b| row[b].total_cmp(&row[a]));
    order.truncate(k);
    order
}

/// Rows whose values differ from each other, in every type.
fn scores(random: &mut Random, rows: usize, e: usize) -> Vec<f64> {
    (0..rows).flat_map(|_| random.shuffled(e as i64).into_iter().map(|v| v / 8.0 - 1.0)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn gates_by_softmax(n in 1usize..6, e in 1usize..20, dtype in prop::sample::select(&FLOATS[..]), renorm: bool, seed: u64) {
        let random = &mut Random(seed);
        let k = 1 + random.below(e);
        let x = scores(random, n, e);
        let finished: Vec<f64> = (0..n).map(|_| random.below(2) as f64).collect();
        let (d, dk) = ([n as i64, e as i64], [n as i64, k as i64]);
        let mut tx = Data::scattered(dtype, &d, &x);
        let mut tf = Data::new(12, &d[..1], &finished);
        let (mut y, mut experts, mut rows) = (Data::out(dtype, &dk), Data::out(3, &dk), Data::out(3, &dk));
        prop_assert_eq!(op!(aclnnMoeGatingTopKSoftmax, tx.handle(), tf.handle(), k as i64, y.handle(), experts.handle(), rows.handle()), 0);
        let best: Vec<_> = x.chunks(e).map(|row| top(row, k)).collect();
        let places: Vec<f64> = (0..n * k).map(|i| if finished[i / k] != 0.0 { e as f64 } else { best[i / k][i % k] as f64 }).collect();
        let wanted: Vec<f64> = x.chunks(e).zip(&best).flat_map(|(row, b)| { let s = softmax(row); b.iter().map(move |&i| s[i]).collect::<Vec<_>>() }).collect();
        near("y", dtype, &y.values(), &wanted);
        prop_assert_eq!(experts.values(), places.clone());
        prop_assert_eq!(rows.values(), (0..n * k).map(|i| (i % k * n + i / k) as f64).collect::<Vec<_>>());

        let mut all = Data::out(0, &d);
        prop_assert_eq!(op!(aclnnMoeGatingTopKSoftmaxV2, tx.handle(), tf.handle(), k as i64, i64::from(renorm), true, y.handle(), experts.handle(), all.handle()), 0);
        prop_assert_eq!(experts.values(), places);
        if renorm {
            let wanted: Vec<f64> = x.chunks(e).zip(&best).flat_map(|(row, b)| softmax(&b.iter().map(|&i| row[i]).collect::<Vec<_>>())).collect();
            near("renormed", dtype, &y.values(), &wanted);
        } else {
            near("y", dtype, &y.values(), &wanted);
            near("softmax", 0, &all.values(), &x.chunks(e).flat_map(softmax).collect::<Vec<_>>());
        }
    }

    #[test]
    fn gates_by_groups(n in 1usize..5, groups in 1usize..5, size in 2usize..6, mode in 0i64..2, norm in 0i64..2, biased: bool, seed: u64) {
        let random = &mut Random(seed);
        let e = groups * size;
        let x = scores(random, n, e);
        // Of a size that neither the bias nor the order within a row decides alone, and that makes no ties.
        let bias: Vec<f64> = random.shuffled(e as i64).into_iter().map(|v| v * 0.013).collect();
        let k_group = 1 + random.below(groups);
        let k = 1 + random.below(k_group * size);
        let (d, dk) = ([n as i64, e as i64], [n as i64, k as i64]);
        let (mut tx, mut tb) = (Data::new(0, &d, &x), Data::new(0, &d[1..], &bias));
        let (mut y, mut experts, mut all) = (Data::out(0, &dk), Data::scattered(3, &dk, &vec![0.0; n * k]), Data::out(0, &d));
        let tb = if biased { tb.handle() } else { null_mut() };
        prop_assert_eq!(op!(aclnnMoeGatingTopK, tx.handle(), tb, k as i64, k_group as i64, groups as i64, mode, 0, norm, true, 2.5, 0.25,
            y.handle(), experts.handle(), all.handle()), 0, "{}", last_error());
        let (mut wanted, mut places, mut normed) = (vec![], vec![], vec![]);
        for row in x.chunks(e) {
            let s = if norm == 1 { row.iter().map(|v| 1.0 / (1.0 + (-v).exp())).collect() } else { softmax(row) };
            let ranked: Vec<f64> = s.iter().zip(&bias).map(|(s, b)| if biased { s + b } else { *s }).collect();
            let of_group: Vec<f64> = ranked.chunks(size).map(|g| top(g, if mode == 1 { 2 } else { 1 }).iter().map(|&i| g[i]).sum()).collect();
            let chosen = top(&of_group, k_group);
            let masked: Vec<f64> = ranked.iter().enumerate().map(|(i, v)| if chosen.contains(&(i / size)) { *v } else { f64::MIN }).collect();
            let best = top(&masked, k);
            let sum: f64 = best.iter().map(|&i| s[i]).sum::<f64>() + 0.25;
            wanted.extend(best.iter().map(|&i| 2.5 * s[i] / if norm == 1 { sum } else { 1.0 }));
            places.extend(best.iter().map(|&i| i as f64));
            normed.extend(s);
        }
        prop_assert_eq!(experts.values(), places);
        near("y", 0, &y.values(), &wanted);
        near("out", 0, &all.values(), &normed);
    }

    #[test]
    fn rows_go_to_their_experts(n in 1usize..6, k in 1usize..4, e in 1usize..6, h in 1usize..9, dtype in prop::sample::select(&FLOATS[..]), seed: u64) {
        let random = &mut Random(seed);
        let (x, experts) = (random.floats((n * h) as i64), random.integers((n * k) as i64, 0, e as i64));
        let (dx, di, m) = ([n as i64, h as i64], [n as i64, k as i64], (n * k) as i64);
        let (mut tx, mut te) = (Data::scattered(dtype, &dx, &x), Data::scattered(3, &di, &experts));
        let mut order: Vec<usize> = (0..n * k).collect();
        order.sort_by_key(|&i| experts[i] as i64);
        let mut position = vec![0.0; n * k];
        order.iter().enumerate().for_each(|(rank, &i)| position[i] = rank as f64);
        let moved = |order: &[usize]| order.iter().flat_map(|&i| x[i / k * h..][..h].to_vec()).collect::<Vec<_>>();
        let counts: Vec<f64> = (0..e).map(|i| experts.iter().filter(|v| **v == i as f64).count() as f64).collect();
        let sums: Vec<f64> = counts.iter().scan(0.0, |s, c| { *s += c; Some(*s) }).collect();

        // The first form numbers its rows down the columns.
        let columns: Vec<f64> = (0..n * k).map(|i| (i % k * n + i / k) as f64).collect();
        let mut tr = Data::new(3, &di, &columns);
        let active = 1 + random.below(n);
        let (mut xo, mut ro, mut eo) = (Data::out(dtype, &[(active * k) as i64, h as i64]), Data::out(3, &[m]), Data::out(3, &[m]));
        prop_assert_eq!(op!(aclnnMoeInitRouting, tx.handle(), tr.handle(), te.handle(), active as i64, xo.handle(), ro.handle(), eo.handle()), 0);
        prop_assert_eq!(xo.values(), moved(&order[..active * k]));
        let mut wanted = vec![0.0; n * k];
        (0..n * k).for_each(|i| wanted[columns[i] as usize] = position[i]);
        prop_assert_eq!(ro.values(), wanted);
        prop_assert_eq!(eo.values(), order.iter().map(|&i| experts[i]).collect::<Vec<_>>());

        // The second form, all rows.
        let (mut xo, mut ro, mut co) = (Data::out(dtype, &[m, h as i64]), Data::out(3, &[m]), Data::out(3, &[e as i64]));
        let cumulative = random.below(2) == 0;
        prop_assert_eq!(op!(aclnnMoeInitRoutingV2, tx.handle(), te.handle(), 0, 0, e as i64, 0, if cumulative { 1 } else { 2 }, false,
            xo.handle(), ro.handle(), co.handle(), null_mut()), 0);
        prop_assert_eq!(xo.values(), moved(&order));
        prop_assert_eq!(ro.values(), position.clone());
        prop_assert_eq!(co.values(), if cumulative { sums.clone() } else { counts.clone() });

        // With a capacity.
        let capacity = 1 + random.below(n);
        let rows = e * capacity;
        let (mut xo, mut ro, mut co) = (Data::out(dtype, &[e as i64, capacity as i64, h as i64]), Data::out(3, &[m]), Data::out(3, &[e as i64]));
        prop_assert_eq!(op!(aclnnMoeInitRoutingV2, tx.handle(), te.handle(), 0, capacity as i64, e as i64, 1, 0, true,
            xo.handle(), ro.handle(), null_mut(), co.handle()), 0);
        let (mut placed, mut places, mut used) = (vec![0.0; rows * h], vec![-1.0; n * k], vec![0; e]);
        for i in 0..n * k {
            let expert = experts[i] as usize;
            used[expert] += 1;
            if used[expert] <= capacity {
                let place = expert * capacity + used[expert] - 1;
                places[i] = place as f64;
                placed[place * h..][..h].copy_from_slice(&x[i / k * h..][..h]);
            }
        }
        prop_assert_eq!(xo.values(), placed);
        prop_assert_eq!(ro.values(), places.clone());
        prop_assert_eq!(co.values(), counts.clone());

        // The gradient of those.
        let g = random.floats((rows * h) as i64);
        let (mut tg, mut out) = (Data::new(dtype, &[e as i64, capacity as i64, h as i64], &g), Data::out(dtype, &dx));
        prop_assert_eq!(op!(aclnnMoeInitRoutingV2Grad, tg.handle(), ro.handle(), k as i64, 1, 0, out.handle()), 0);
        let mut wanted = vec![0.0; n * h];
        for i in (0..n * k).filter(|&i| places[i] >= 0.0) {
            (0..h).for_each(|j| wanted[i / k * h + j] += g[places[i] as usize * h + j]);
        }
        near("gradient", dtype, &out.values(), &wanted);

        // A range of the experts.
        let first = random.below(e);
        let end = first + 1 + random.below(e - first);
        let inside: Vec<usize> = order.iter().copied().filter(|&i| (first..end).contains(&(experts[i] as usize))).collect();
        let scale = random.floats(n as i64);
        let (mut ts, mut so) = (Data::new(0, &[n as i64], &scale), Data::out(0, &[m]));
        let (mut xo, mut ro, mut co) = (Data::out(dtype, &[m, h as i64]), Data::out(3, &[m]), Data::out(9, &[(end - first) as i64]));
        let kind = random.below(2) as i64;
        prop_assert_eq!(op!(aclnnMoeInitRoutingV3, tx.handle(), te.handle(), ts.handle(), null_mut(), m, 0, e as i64, 0, 1, true, -1,
            ints(&[first as i64, end as i64]), kind, xo.handle(), ro.handle(), co.handle(), so.handle()), 0);
        prop_assert_eq!(&xo.values()[..inside.len() * h], &moved(&inside)[..]);
        prop_assert_eq!(co.values(), counts[first..end].to_vec());
        prop_assert_eq!(&so.values()[..inside.len()], &inside.iter().map(|&i| scale[i / k]).collect::<Vec<_>>()[..]);
        let rows = ro.values();
        for (place, &i) in inside.iter().enumerate() {
            prop_assert_eq!(if kind == 0 { rows[i] } else { rows[place] }, if kind == 0 { place as f64 } else { i as f64 });
        }
        if kind == 0 {
            prop_assert_eq!(rows.iter().filter(|r| **r == -1.0).count(), n * k - inside.len());
        }
        let mut pairs = Data::out(9, &[e as i64, 2]);
        prop_assert_eq!(op!(aclnnMoeInitRoutingV3, tx.handle(), te.handle(), null_mut(), null_mut(), m, 0, e as i64, 0, 2, true, -1,
            ints(&[first as i64, end as i64]), kind, xo.handle(), ro.handle(), pairs.handle(), so.handle()), 0);
        let mut wanted: Vec<f64> = (first..end).filter(|&i| counts[i] > 0.0).flat_map(|i| [i as f64, counts[i]]).collect();
        wanted.resize(2 * e, 0.0);
        prop_assert_eq!(pairs.values(), wanted);

        // How many rows end with each expert.
        let mut sorted = Data::new(3, &[m], &order.iter().map(|&i| experts[i]).collect::<Vec<_>>());
        let mut ends = Data::out(3, &[e as i64]);
        prop_assert_eq!(op!(aclnnMoeComputeExpertTokens, sorted.handle(), e as i64, ends.handle()), 0);
        prop_assert_eq!(ends.values(), sums);
    }

    #[test]
    fn quantised_rows_go_to_their_experts(n in 1usize..5, k in 1usize..4, e in 1usize..5, h in 1usize..9, seed: u64) {
        let random = &mut Random(seed);
        let (x, experts) = (random.floats((n * h) as i64), random.integers((n * k) as i64, 0, e as i64));
        let (mut tx, mut te) = (Data::new(0, &[n as i64, h as i64], &x), Data::new(3, &[n as i64, k as i64], &experts));
        let mut order: Vec<usize> = (0..n * k).collect();
        order.sort_by_key(|&i| experts[i] as i64);
        let m = (n * k) as i64;
        let (mut xo, mut ro, mut so) = (Data::out(2, &[m, h as i64]), Data::out(3, &[m]), Data::out(0, &[m]));
        let (mut scale, mut offset) = (Data::new(0, &[1], &[7.5]), Data::new(0, &[1], &[1.0]));
        prop_assert_eq!(op!(aclnnMoeInitRoutingQuantV2, tx.handle(), te.handle(), scale.handle(), offset.handle(), 0, 0, e as i64, 0, 0, false, 0,
            xo.handle(), ro.handle(), null_mut(), null_mut(), null_mut()), 0);
        let wanted: Vec<f64> = order.iter().flat_map(|&i| x[i / k * h..][..h].iter().map(|v| (v * 7.5 + 1.0).round_ties_even()).collect::<Vec<_>>()).collect();
        prop_assert_eq!(xo.values(), wanted.clone());
        let columns: Vec<f64> = (0..n * k).map(|i| (i % k * n + i / k) as f64).collect();
        let (mut tr, mut eo) = (Data::new(3, &[n as i64, k as i64], &columns), Data::out(3, &[m]));
        prop_assert_eq!(op!(aclnnMoeInitRoutingQuant, tx.handle(), tr.handle(), te.handle(), n as i64, 7.5, 1.0, xo.handle(), ro.handle(), eo.handle()), 0);
        prop_assert_eq!(xo.values(), wanted);
        // By a scale for each row, with the factors of its expert.
        let factors = random.floats((e * h) as i64).iter().map(|v| v.abs() + 0.5).collect::<Vec<_>>();
        let mut tf = Data::new(0, &[e as i64, h as i64], &factors);
        prop_assert_eq!(op!(aclnnMoeInitRoutingQuantV2, tx.handle(), te.handle(), tf.handle(), null_mut(), 0, 0, e as i64, 0, 0, false, 1,
            xo.handle(), ro.handle(), null_mut(), null_mut(), so.handle()), 0);
        let (numbers, steps) = (xo.values(), so.values());
        for (place, &i) in order.iter().enumerate() {
            let row: Vec<f64> = (0..h).map(|j| x[i / k * h + j] * factors[experts[i] as usize * h + j]).collect();
            let step = row.iter().fold(0.0f64, |m, v| m.max(v.abs())) / 127.0;
            near("step", 0, &steps[place..=place], &[step]);
            for (j, v) in row.iter().enumerate() {
                let q = numbers[place * h + j];
                prop_assert!((q * step - v).abs() <= step * 0.5001, "{q} steps of {step} for {v}");
            }
        }
    }

    #[test]
    fn rows_come_back(n in 1usize..5, k in 1usize..4, e in 1usize..4, h in 1usize..40, dtype in prop::sample::select(&FLOATS[..]), columns: bool, seed: u64) {
        let random = &mut Random(seed);
        let rows = n * k + 1;
        let (a, scales, bias) = (random.floats((rows * h) as i64), random.floats((n * k) as i64), random.floats((e * h) as i64));
        let (x1, g) = (random.floats((n * h) as i64), random.floats((n * h) as i64));
        let experts = random.integers((n * k) as i64, 0, e as i64);
        let index: Vec<f64> = random.shuffled(rows as i64)[..n * k].iter().map(|&v| if random.below(5) == 0 { -1.0 } else { v }).collect();
        let at = |t: usize, j: usize| index[if columns { j * n + t } else { t * k + j }];
        let (dh, dk) = ([n as i64, h as i64], [n as i64, k as i64]);
        let mut ta = Data::scattered(dtype, &[rows as i64, h as i64], &a);
        let mut ti = Data::new(3, &[(n * k) as i64], &index);
        let (mut ts, mut tb, mut te) = (Data::scattered(dtype, &dk, &scales), Data::new(dtype, &[e as i64, h as i64], &bias), Data::new(3, &dk, &experts));
        let (mut t1, mut tg) = (Data::new(dtype, &dh, &x1), Data::scattered(dtype, &dh, &g));
        let mut out = Data::scattered(dtype, &dh, &vec![0.0; n * h]);
        prop_assert_eq!(op!(aclnnMoeFinalizeRoutingV2, ta.handle(), ti.handle(), t1.handle(), null_mut(), tb.handle(), ts.handle(), te.handle(),
            if columns { 1 } else { 3 }, out.handle()), 0);
        let term = |t: usize, i: usize, j: usize| {
            let row = at(t, i);
            let value = if row < 0.0 { 0.0 } else { a[row as usize * h + j] };
            value + bias[experts[t * k + i] as usize * h + j]
        };
        let sum = |t: usize, j: usize| x1[t * h + j] + (0..k).map(|i| scales[t * k + i] * term(t, i, j)).sum::<f64>();
        near("out", dtype, &out.values(), &(0..n * h).map(|i| sum(i / h, i % h)).collect::<Vec<_>>());
        if columns {
            // The first form goes down the columns too, with two tensors to add.
            prop_assert_eq!(op!(aclnnMoeFinalizeRouting, ta.handle(), t1.handle(), t1.handle(), tb.handle(), ts.handle(), ti.handle(), te.handle(), out.handle()), 0);
            near("first form", dtype, &out.values(), &(0..n * h).map(|i| x1[i] + sum(i / h, i % h)).collect::<Vec<_>>());
            return Ok(());
        }
        let (mut gx, mut gs) = (Data::out(dtype, &[rows as i64, h as i64]), Data::out(dtype, &dk));
        prop_assert_eq!(op!(aclnnMoeFinalizeRoutingV2Grad, tg.handle(), ti.handle(), ta.handle(), ts.handle(), te.handle(), tb.handle(), 0, 0, 0, 0,
            gx.handle(), gs.handle()), 0);
        let mut wanted = vec![0.0; rows * h];
        for (t, i) in (0..n * k).map(|i| (i / k, i % k)).filter(|&(t, i)| at(t, i) >= 0.0) {
            (0..h).for_each(|j| wanted[at(t, i) as usize * h + j] = scales[t * k + i] * g[t * h + j]);
        }
        near("gradient of the rows", dtype, &gx.values(), &wanted);
        let slope = |t: usize, i: usize| (0..h).map(|j| term(t, i, j) * g[t * h + j]).sum::<f64>();
        near("gradient of the scales", dtype, &gs.values(), &(0..n * k).map(|i| slope(i / k, i % k)).collect::<Vec<_>>());
    }
}

#[test]
fn what_a_gate_does_not_take_is_said() {
    let (mut x, mut y, mut i) = (Data::out(0, &[2, 4]), Data::out(0, &[2, 5]), Data::out(3, &[2, 5]));
    assert_eq!(
        op!(aclnnMoeGatingTopKSoftmax, x.handle(), null_mut(), 5, y.handle(), i.handle(), i.handle()),
        161_002
    );
    assert!(last_error().contains("k is 5 for x of shape [2, 4]"));
    assert_eq!(
        op!(
            aclnnMoeGatingTopK,
            x.handle(),
            null_mut(),
            1,
            3,
            2,
            0,
            0,
            0,
            false,
            1.0,
            0.0,
            y.handle(),
            i.handle(),
            null_mut()
        ),
        161_002
    );
    assert!(last_error().contains("kGroup 3 of groupCount 2"));
    assert_eq!(op!(aclnnMoeTokenPermute, x.handle(), i.handle(), 0, true, y.handle(), i.handle()), 161_002);
    assert!(last_error().contains("paddedMode is not supported"));
}
