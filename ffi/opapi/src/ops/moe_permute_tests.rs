//! Tokens in order of their experts, and back, against plain loops.

use std::ptr::null_mut;

use proptest::prelude::*;

use super::data::{Data, Random, near};
use super::tests::{Handle, ints, last_error, op, run};
use super::*;

const FLOATS: [i32; 3] = [0, 1, 27];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn by_indices(n in 1usize..6, k in 1usize..4, h in 1usize..20, dtype in prop::sample::select(&FLOATS[..]), wide: bool, seed: u64) {
        let random = &mut Random(seed);
        let m = n * k;
        let (x, experts) = (random.floats((n * h) as i64), random.integers(m as i64, 0, 7));
        let mut order: Vec<usize> = (0..m).collect();
        order.sort_by_key(|&i| experts[i] as i64);
        let mut position = vec![0usize; m];
        order.iter().enumerate().for_each(|(rank, &i)| position[i] = rank);
        let sorted: Vec<f64> = position.iter().map(|&p| p as f64).collect();
        let moved = |v: &[f64], w: usize| order.iter().flat_map(|&i| v[i / k * w..][..w].to_vec()).collect::<Vec<_>>();
        let (dh, dk) = ([n as i64, h as i64], [n as i64, k as i64]);
        let mut tx = Data::scattered(dtype, &dh, &x);
        let mut ti = Data::new(if wide { 9 } else { 3 }, &dk, &experts);
        let (mut out, mut ts) = (Data::out(dtype, &[m as i64, h as i64]), Data::out(3, &[m as i64]));
        prop_assert_eq!(op!(aclnnMoeTokenPermute, tx.handle(), ti.handle(), 0, false, out.handle(), ts.handle()), 0, "{}", last_error());
        prop_assert_eq!(out.values(), moved(&x, h));
        prop_assert_eq!(ts.values(), sorted.clone());
        // Only the first few, or all but the last few.
        let kept = 1 + random.below(m);
        let mut few = Data::out(dtype, &[kept as i64, h as i64]);
        let wanted = if random.below(2) == 0 { kept as i64 } else { kept as i64 - m as i64 };
        prop_assert_eq!(op!(aclnnMoeTokenPermute, tx.handle(), ti.handle(), wanted, false, few.handle(), ts.handle()), 0, "{}", last_error());
        prop_assert_eq!(few.values(), moved(&x, h)[..kept * h].to_vec());
        // A range of the places, with probabilities.
        let first = random.below(m);
        let end = first + random.below(m - first + 1);
        let probs = random.floats(m as i64);
        let mut tp = Data::new(dtype, &dk, &probs);
        let (mut out, mut po) = (Data::out(dtype, &[(end - first) as i64, h as i64]), Data::out(dtype, &[(end - first) as i64]));
        let range = ints(&[first as i64, end as i64]);
        prop_assert_eq!(op!(aclnnMoeTokenPermuteWithEp, tx.handle(), ti.handle(), tp.handle(), range, 0, false, out.handle(), ts.handle(), po.handle()), 0, "{}", last_error());
        prop_assert_eq!(out.values(), moved(&x, h)[first * h..end * h].to_vec());
        prop_assert_eq!(po.values(), order[first..end].iter().map(|&i| probs[i]).collect::<Vec<_>>());

        // Back again.
        let (a, g) = (random.floats((m * h) as i64), random.floats((n * h) as i64));
        let (mut ta, mut tg, mut ts) = (Data::new(dtype, &[m as i64, h as i64], &a), Data::scattered(dtype, &dh, &g), Data::new(3, &[m as i64], &sorted));
        let mut back = Data::out(dtype, &dh);
        let none: Handle = null_mut();
        let sum = |weight: &dyn Fn(usize) -> f64, places: std::ops::Range<usize>| (0..n * h).map(|i| {
            (0..k).map(|j| i / h * k + j).filter(|&e| places.contains(&position[e])).map(|e| weight(e) * a[(position[e] - places.start) * h + i % h]).sum::<f64>()
        }).collect::<Vec<_>>();
        prop_assert_eq!(op!(aclnnMoeTokenUnpermute, ta.handle(), ts.handle(), tp.handle(), false, none, back.handle()), 0, "{}", last_error());
        near("unpermuted", dtype, &back.values(), &sum(&|e| probs[e], 0..m));
        prop_assert_eq!(op!(aclnnMoeTokenPermuteGrad, ta.handle(), ts.handle(), k as i64, false, back.handle()), 0, "{}", last_error());
        near("gradient of the permutation", dtype, &back.values(), &sum(&|_| 1.0, 0..m));
        if first < end {
            let mut part = Data::new(dtype, &[(end - first) as i64, h as i64], &a[..(end - first) * h]);
            prop_assert_eq!(op!(aclnnMoeTokenUnpermuteWithEp, part.handle(), ts.handle(), tp.handle(), k as i64, range, false, none, back.handle()), 0, "{}", last_error());
            near("unpermuted range", dtype, &back.values(), &sum(&|e| probs[e], first..end));
            let gp: Vec<f64> = random.floats((end - first) as i64);
            let (mut tgp, mut gpo) = (Data::new(dtype, &[(end - first) as i64], &gp), Data::out(dtype, &dk));
            prop_assert_eq!(op!(aclnnMoeTokenPermuteWithEpGrad, part.handle(), ts.handle(), tgp.handle(), k as i64, range, false, back.handle(), gpo.handle()), 0, "{}", last_error());
            near("gradient of the range", dtype, &back.values(), &sum(&|_| 1.0, first..end));
            prop_assert_eq!(gpo.values(), (0..m).map(|e| if (first..end).contains(&position[e]) { gp[position[e] - first] } else { 0.0 }).collect::<Vec<_>>());
        }
        // The gradient of the way back.
        let (mut gx, mut gs) = (Data::out(dtype, &[m as i64, h as i64]), Data::out(dtype, &dk));
        prop_assert_eq!(op!(aclnnMoeTokenUnpermuteGrad, ta.handle(), tg.handle(), ts.handle(), tp.handle(), false, none, gx.handle(), gs.handle()), 0, "{}", last_error());
        let mut wanted = vec![0.0; m * h];
        (0..m).for_each(|e| (0..h).for_each(|j| wanted[position[e] * h + j] = probs[e] * g[e / k * h + j]));
        near("gradient of the tokens", dtype, &gx.values(), &wanted);
        near("gradient of the probabilities", dtype, &gs.values(), &(0..m).map(|e| (0..h).map(|j| a[position[e] * h + j] * g[e / k * h + j]).sum()).collect::<Vec<f64>>());
        prop_assert_eq!(op!(aclnnMoeTokenUnpermuteWithEpGrad, tg.handle(), ts.handle(), ta.handle(), tp.handle(), false, none, none, 1, gx.handle(), gs.handle()), 0, "{}", last_error());
        near("the same with no range", dtype, &gx.values(), &wanted);
    }

    #[test]
    fn by_a_map(n in 1usize..6, e in 1usize..5, h in 1usize..12, pads: bool, dtype in prop::sample::select(&FLOATS[..]), seed: u64) {
        let random = &mut Random(seed);
        let (x, probs, g) = (random.floats((n * h) as i64), random.floats((n * e) as i64), random.floats((n * h) as i64));
        // As many experts for each token, or any; then each expert takes a number of them.
        let k = 1 + random.below(e);
        let map: Vec<f64> = (0..n).flat_map(|_| {
            let chosen = random.shuffled(e as i64);
            let count = if pads { random.below(e + 1) } else { k };
            (0..e).map(move |i| f64::from(u8::from(chosen[..count].contains(&(i as f64))))).collect::<Vec<_>>()
        }).collect();
        let capacity = 1 + random.below(n);
        let mut places = vec![];
        for i in 0..e {
            let (yes, no): (Vec<usize>, Vec<usize>) = (0..n).partition(|t| map[t * e + i] != 0.0);
            let all: Vec<usize> = if pads { yes.into_iter().chain(no).take(capacity).collect() } else { yes };
            places.extend(all.into_iter().map(|t| (t, i)));
        }
        let m = places.len();
        let mut order: Vec<usize> = (0..m).collect();
        order.sort_by_key(|&p| places[p].0);
        let sorted: Vec<f64> = (0..m).map(|p| if pads { places[p].0 as f64 } else { order[p] as f64 }).collect();
        let (dh, de, dm) = ([n as i64, h as i64], [n as i64, e as i64], [m as i64, h as i64]);
        let (mut tx, mut tm, mut tp) = (Data::scattered(dtype, &dh, &x), Data::scattered(12, &de, &map), Data::scattered(dtype, &de, &probs));
        let (mut out, mut po, mut so) = (Data::out(dtype, &dm), Data::out(dtype, &dm[..1]), Data::out(3, &dm[..1]));
        let wanted = if pads { capacity * e } else { n * k } as i64;
        prop_assert_eq!(op!(aclnnMoeTokenPermuteWithRoutingMap, tx.handle(), tm.handle(), tp.handle(), wanted, pads, out.handle(), po.handle(), so.handle()), 0, "{}", last_error());
        prop_assert_eq!(out.values(), places.iter().flat_map(|&(t, _)| x[t * h..][..h].to_vec()).collect::<Vec<_>>());
        prop_assert_eq!(po.values(), places.iter().map(|&(t, i)| probs[t * e + i]).collect::<Vec<_>>());
        prop_assert_eq!(so.values(), sorted);

        // Its gradient.
        let (ga, gp) = (random.floats((m * h) as i64), random.floats(m as i64));
        let (mut tga, mut tgp) = (Data::new(dtype, &dm, &ga), Data::new(dtype, &dm[..1], &gp));
        let (mut gx, mut gpo) = (Data::out(dtype, &dh), Data::out(dtype, &de));
        prop_assert_eq!(op!(aclnnMoeTokenPermuteWithRoutingMapGrad, tga.handle(), tgp.handle(), so.handle(), tm.handle(), e as i64, n as i64, pads, gx.handle(), gpo.handle()), 0, "{}", last_error());
        let sum = |weight: &dyn Fn(usize) -> f64| {
            let mut sums = vec![0.0; n * h];
            places.iter().enumerate().for_each(|(p, &(t, _))| (0..h).for_each(|j| sums[t * h + j] += weight(p) * ga[p * h + j]));
            sums
        };
        near("gradient of the tokens", dtype, &gx.values(), &sum(&|_| 1.0));
        let mut wanted = vec![0.0; n * e];
        places.iter().enumerate().for_each(|(p, &(t, i))| wanted[t * e + i] = gp[p]);
        prop_assert_eq!(gpo.values(), wanted);

        // Back, with the probabilities of the places.
        let of_place = |p: usize| { let (t, i) = places[p]; probs[t * e + i] };
        let (mut back, mut oi, mut id, mut pp) = (Data::out(dtype, &dh), Data::out(3, &dm[..1]), Data::out(3, &dm[..1]), Data::out(dtype, &dm[..1]));
        let none: Handle = null_mut();
        prop_assert_eq!(op!(aclnnMoeTokenUnpermuteWithRoutingMap, tga.handle(), so.handle(), tm.handle(), tp.handle(), pads, none, back.handle(), oi.handle(), id.handle(), pp.handle()), 0, "{}", last_error());
        near("unpermuted", dtype, &back.values(), &sum(&of_place));
        prop_assert_eq!(pp.values(), (0..m).map(of_place).collect::<Vec<_>>());
        if pads {
            prop_assert_eq!(oi.values(), order.iter().map(|&p| p as f64).collect::<Vec<_>>());
            prop_assert_eq!(id.values(), order.iter().map(|&p| places[p].0 as f64).collect::<Vec<_>>());
        }
        // And the gradient of that.
        let (places_of, tokens): (Vec<f64>, Vec<f64>) = order.iter().map(|&p| (p as f64, places[p].0 as f64)).unzip();
        let (mut oi, mut id, mut tg) = (Data::new(3, &dm[..1], &places_of), Data::new(3, &dm[..1], &tokens), Data::scattered(dtype, &dh, &g));
        let (mut gx, mut gpo) = (Data::out(dtype, &dm), Data::out(dtype, &de));
        prop_assert_eq!(op!(aclnnMoeTokenUnpermuteWithRoutingMapGrad, tg.handle(), oi.handle(), id.handle(), tm.handle(), tga.handle(), tp.handle(), pads, none, gx.handle(), gpo.handle()), 0, "{}", last_error());
        let wanted: Vec<f64> = (0..m).flat_map(|p| g[places[p].0 * h..][..h].iter().map(|v| v * of_place(p)).collect::<Vec<_>>()).collect();
        near("gradient of the places", dtype, &gx.values(), &wanted);
        let mut wanted = vec![0.0; n * e];
        places.iter().enumerate().for_each(|(p, &(t, i))| wanted[t * e + i] = (0..h).map(|j| g[t * h + j] * ga[p * h + j]).sum());
        near("gradient of the probabilities", dtype, &gpo.values(), &wanted);
    }
}
