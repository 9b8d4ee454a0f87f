use proptest::prelude::*;
use vinci_hw::args::{DType, TensorArg};

use crate::testing::{Layout, Ram, f};

const TYPES: [DType; 6] = [DType::F32, DType::BF16, DType::F16, DType::F64, DType::I32, DType::I64];

/// Small integers: every product and sum below is exact in every type.
fn values(n: usize, seed: u64) -> Vec<i64> {
    (0..n as u64).map(|i| ((i + 7).wrapping_mul(seed | 1) >> 13) as i64 % 2).collect()
}

/// a b of row-major matrices.
fn reference(a: &[i64], b: &[i64], (m, n, k): (usize, usize, usize)) -> Vec<i64> {
    let mut c = vec![0; m * n];
    for i in 0..m {
        for (l, &x) in a[i * k..(i + 1) * k].iter().enumerate() {
            c[i * n..(i + 1) * n].iter_mut().zip(&b[l * n..]).for_each(|(c, &y)| *c += x * y);
        }
    }
    c
}

fn order(transposed: bool, rank: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..rank).collect();
    if transposed {
        order.swap(rank - 2, rank - 1);
    }
    order
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(160))]

    #[test]
    fn products(
        (m, n, k) in prop_oneof![
            (0usize..20, 0usize..40, 0usize..20),
            (1usize..70, 1usize..100, 1usize..70),
            Just((1, 130, 600)),
            Just((15, 33, 521)),
        ],
        types in (0..TYPES.len(), 0..TYPES.len(), 0..TYPES.len()),
        same: bool,
        flags: u32,
        seed: u64,
    ) {
        let ram = Ram::new(4 << 20);
        let mut l = Layout::new();
        let ta = TYPES[types.0];
        let (tb, to) = if same { (ta, ta) } else { (TYPES[types.1], TYPES[types.2]) };
        let bit = |i: u32| flags >> i & 1 == 1;
        let (bits, spacing) = (|i: u32| (flags >> i & 3) as u8, |i: u32| 1 + i64::from(bit(i)));
        let batch = 1 + (flags >> 20 & 1) as usize * 2;
        let rank = if batch > 1 { 3 } else { 2 };
        let dims = |r: usize, c: usize| [batch as i64, r as i64, c as i64][3 - rank..].to_vec();
        let a = l.strided(ta, &dims(m, k), &order(bit(0), rank), bits(1), spacing(3));
        let b = l.strided(tb, &dims(k, n), &order(bit(4), rank), bits(5), spacing(7));
        let out = l.strided(to, &dims(m, n), &order(bit(8), rank), bits(9), spacing(11));
        let c = l.strided(DType::F32, &dims(m, n), &order(bit(12), rank), bits(13), 1);
        let (va, vb, vc) = (values(batch * m * k, seed), values(batch * k * n, !seed), values(batch * m * n, seed ^ 5));
        ram.write(&a, &va);
        ram.write(&b, &vb);
        ram.write(&c, &vc);
        let has_c = bit(15);
        let (alpha, beta) = (if bit(16) { 2 } else { 1 }, if bit(17) { 3 } else { 1 });
        let tensors = [out, a, b, c];
        let attrs = [f(alpha as f64), f(beta as f64), u64::from(has_c)];
        ram.launch("matmul", &tensors[..3 + usize::from(has_c)], &attrs).unwrap();
        let got = ram.read::<i64>(&out);
        for i in 0..batch {
            let want = reference(&va[i * m * k..], &vb[i * k * n..], (m, n, k));
            for (at, want) in want.iter().take(m * n).enumerate() {
                let want = alpha * want + if has_c { beta * vc[i * m * n + at] } else { 0 };
                let got = got[i * m * n + at];
                // bfloat16 holds integers up to 256 exactly, binary16 up to 2048.
                let slack = match to { DType::BF16 => want / 256, DType::F16 => want / 2048, _ => 0 };
                prop_assert!((got - want).abs() <= slack, "[{at}] {got} not {want} {ta:?} {tb:?} {to:?} {m} {n} {k}");
            }
        }
    }
}

#[test]
fn a_large_product_runs_on_all_threads() {
    let (m, n, k) = (150, 170, 700);
    for t in [DType::F32, DType::BF16, DType::F64] {
        let ram = Ram::new(8 << 20);
        let mut l = Layout::new();
        let [a, b, out] = [(m, k), (k, n), (m, n)].map(|(r, c)| l.dense(t, &[r as i64, c as i64]));
        let out = TensorArg { dtype: DType::F32 as u32, va: out.va + 8 * (m * n) as u64, ..out };
        let (va, vb) = (values(m * k, 77), values(k * n, 99));
        ram.write(&a, &va);
        ram.write(&b, &vb);
        ram.launch("matmul", &[out, a, b], &[f(1.0), f(0.0), 0]).unwrap();
        assert_eq!(ram.read::<i64>(&out), reference(&va, &vb, (m, n, k)));
    }
}

#[test]
fn no_steps_make_zeros() {
    // On a thread of its own: scratch memory that another product left would take a write into none.
    let test = || {
        for t in [DType::F16, DType::BF16, DType::F32] {
            let ram = Ram::new(1 << 16);
            let mut l = Layout::new();
            let [a, b, out] = [[5, 0], [0, 40], [5, 40]].map(|dims| l.dense(t, &dims));
            ram.write(&out, &[1i64; 200]);
            ram.launch("matmul", &[out, a, b], &[f(1.0), f(0.0), 0]).unwrap();
            assert_eq!(ram.read::<i64>(&out), [0; 200], "{t:?}");
        }
    };
    std::thread::spawn(test).join().unwrap();
}

#[test]
fn nan_and_infinity_pass_through() {
    let ram = Ram::new(1 << 16);
    let mut l = Layout::new();
    for t in [DType::F32, DType::BF16, DType::F16, DType::F64] {
        let [a, b, out] = [0; 3].map(|_| l.dense(t, &[3, 3]));
        ram.write(&a, &[f64::NAN, 0.0, 0.0, f64::INFINITY, 1.0, 0.0, 0.0, 1.0, 0.0]);
        ram.write(&b, &[1.0, 0.0, 2.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]);
        ram.launch("matmul", &[out, a, b], &[f(1.0), f(0.0), 0]).unwrap();
        let v = ram.floats(&out);
        assert!(v[..3].iter().all(|x| x.is_nan()), "{t:?} {v:?}");
        assert!(v[3] == f64::INFINITY && v[4].is_nan() && v[5] == f64::INFINITY, "{t:?} {v:?}");
        assert_eq!(v[6..], [0.0, 1.0, 0.0]);
    }
}

#[test]
fn shapes_that_do_not_fit_are_refused() {
    let ram = Ram::new(1 << 16);
    let mut l = Layout::new();
    let mut t = |dims: &[i64]| l.dense(DType::F32, dims);
    let (a, b, out) = (t(&[2, 3]), t(&[3, 4]), t(&[2, 4]));
    for wrong in [[b, a, b], [out, b, b], [out, a, a], [t(&[2]), t(&[2]), t(&[2])], [t(&[1, 2, 4]), a, b]] {
        assert!(ram.launch("matmul", &wrong, &[f(1.0), f(0.0), 0]).is_err());
    }
    assert!(ram.launch("matmul", &[out, a, b], &[f(1.0), f(1.0), 1]).is_err());
}
