//! Elementwise kernels against plain `f64`, over types, shapes and strides.

use proptest::prelude::*;
use vinci_hw::args::DType;

use crate::KernelFault;
use crate::testing::{BASE, Layout, Ram, f, is_float, ty};

const TYPES: [DType; 9] = [
    DType::F32,
    DType::F16,
    DType::BF16,
    DType::F64,
    DType::I64,
    DType::I32,
    DType::I16,
    DType::I8,
    DType::U8,
];

/// Relative error that storing in the type allows.
fn tolerance(t: DType) -> f64 {
    match t {
        DType::F64 => 1e-12,
        DType::F32 => 4e-6,
        DType::F16 => 2e-3,
        DType::BF16 => 1.6e-2,
        _ => 0.0,
    }
}

fn close(got: f64, want: f64, tolerance: f64) -> bool {
    got == want || got.is_nan() && want.is_nan() || (got - want).abs() <= tolerance * want.abs().max(1.0)
}

/// Dimensions, and for each of three tensors an order of the dimensions, their direction and their spacing.
type Shape = (Vec<i64>, Vec<(Vec<usize>, u8, i64)>);

fn shapes() -> impl Strategy<Value = Shape> {
    prop_oneof![
        proptest::collection::vec(0i64..5, 0..=5),
        proptest::collection::vec(1i64..3, 8),
        proptest::collection::vec(1i64..40, 2),
        Just(vec![700]),
        Just(vec![3, 600]),
    ]
    .prop_flat_map(|dims| {
        let order = Just((0..dims.len()).collect::<Vec<_>>()).prop_shuffle();
        (Just(dims), proptest::collection::vec((order, any::<u8>(), 1i64..3), 3))
    })
}

/// Small integers, so that every type holds them; `nonzero` keeps divisors away from 0.
fn values(n: usize, seed: u64, signed: bool, nonzero: bool) -> Vec<i64> {
    (0..n as u64)
        .map(|i| {
            let x = (i + 1).wrapping_mul(seed | 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 59;
            let v = if signed { x as i64 % 11 - 5 } else { x as i64 % 11 };
            if nonzero && v == 0 { 3 } else { v }
        })
        .collect()
}

/// name, function, whether integers take part
type Reference2 = (&'static str, fn(f64, f64) -> f64, bool);

fn floor_mod(a: f64, b: f64) -> f64 {
    a - b * (a / b).floor()
}

const BINARY: &[Reference2] = &[
    ("add", |a, b| a + b, true),
    ("sub", |a, b| a - b, true),
    ("mul", |a, b| a * b, true),
    ("div", |a, b| a / b, false),
    ("maximum", f64::max, true),
    ("minimum", f64::min, true),
    ("atan2", f64::atan2, false),
    ("fmod", |a, b| a % b, true),
    ("remainder", floor_mod, true),
    ("floor_div", |a, b| (a / b).floor(), true),
    ("eq", |a, b| f64::from(a == b), true),
    ("ne", |a, b| f64::from(a != b), true),
    ("lt", |a, b| f64::from(a < b), true),
    ("le", |a, b| f64::from(a <= b), true),
    ("gt", |a, b| f64::from(a > b), true),
    ("ge", |a, b| f64::from(a >= b), true),
    ("logical_and", |a, b| f64::from(a != 0.0 && b != 0.0), true),
    ("logical_or", |a, b| f64::from(a != 0.0 || b != 0.0), true),
    ("logical_xor", |a, b| f64::from((a != 0.0) != (b != 0.0)), true),
];

/// As [`Reference2`].
type Reference1 = (&'static str, fn(f64) -> f64, bool);

const UNARY: &[Reference1] = &[
    ("neg", |x| -x, true),
    ("abs", f64::abs, true),
    ("exp", f64::exp, false),
    ("log", f64::ln, false),
    ("sqrt", f64::sqrt, false),
    ("rsqrt", |x| 1.0 / x.sqrt(), false),
    ("reciprocal", |x| 1.0 / x, false),
    ("relu", |x| if x < 0.0 { 0.0 } else { x }, true),
    ("sigmoid", |x| 1.0 / (1.0 + (-x).exp()), false),
    ("tanh", f64::tanh, false),
    ("silu", |x| x / (1.0 + (-x).exp()), false),
    ("gelu", |x| x * 0.5 * (1.0 + libm::erf(x / 2f64.sqrt())), false),
    ("erf", libm::erf, false),
    ("sin", f64::sin, false),
    ("cos", f64::cos, false),
    ("floor", f64::floor, true),
    ("ceil", f64::ceil, true),
    ("round", f64::round_ties_even, true),
    ("trunc", f64::trunc, true),
    ("sign", |x| if x == 0.0 || x.is_nan() { x } else { x.signum() }, true),
    ("square", |x| x * x, true),
    ("logical_not", |x| f64::from(x == 0.0), true),
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn binary_kernels((dims, views) in shapes(), seed: u64, t in 0..TYPES.len()) {
        let t = TYPES[t];
        let ram = Ram::new(1 << 17);
        let mut l = Layout::new();
        let [out, a, b] = [0, 1, 2].map(|i| l.strided(t, &dims, &views[i].0, views[i].1, views[i].2));
        let n = a.elements().unwrap() as usize;
        let signed = t != DType::U8;
        let (va, vb) = (values(n, seed, signed, false), values(n, !seed, signed, true));
        ram.write(&a, &va);
        ram.write(&b, &vb);
        for &(name, reference, integers) in BINARY {
            // Differences of unsigned numbers wrap; that has a test of its own.
            if !integers && !is_float(t) || name == "sub" && !signed {
                continue;
            }
            ram.launch(name, &[out, a, b], &[ty(t), f(1.0), 1]).unwrap();
            for ((got, &a), &b) in ram.floats(&out).into_iter().zip(&va).zip(&vb) {
                let want = reference(a as f64, b as f64);
                prop_assert!(close(got, want, tolerance(t)), "{name} {t:?}: {a} {b} gave {got}, not {want}");
            }
        }
        // Scalar forms, in place.
        for (name, reference) in [
            ("add_s", (|a, s| a + 2.0 * s) as fn(f64, f64) -> f64),
            ("rsub_s", |a, s| s - 2.0 * a),
            ("mul_s", |a, s| a * s),
            ("maximum_s", f64::max),
            ("ge_s", |a, s| f64::from(a >= s)),
        ] {
            if name == "rsub_s" && !signed {
                continue;
            }
            ram.write(&a, &va);
            ram.launch(name, &[a, a], &[ty(t), f(3.0), 3, f(2.0), 2]).unwrap();
            for (got, &a) in ram.floats(&a).into_iter().zip(&va) {
                prop_assert!(close(got, reference(a as f64, 3.0), tolerance(t)), "{name} {t:?}: {a} gave {got}");
            }
        }
    }

    #[test]
    fn unary_kernels((dims, views) in shapes(), seed: u64, t in 0..TYPES.len()) {
        let t = TYPES[t];
        let ram = Ram::new(1 << 17);
        let mut l = Layout::new();
        let [out, a] = [0, 1].map(|i| l.strided(t, &dims, &views[i].0, views[i].1, views[i].2));
        let n = a.elements().unwrap() as usize;
        // Halves, to give rounding something to do.
        let scale = if is_float(t) { 0.5 } else { 1.0 };
        let va: Vec<f64> =
            values(n, seed, t != DType::U8, false).into_iter().map(|v| v as f64 * scale).collect();
        ram.write(&a, &va);
        for &(name, reference, integers) in UNARY {
            if !integers && !is_float(t) || name == "neg" && t == DType::U8 {
                continue;
            }
            ram.launch(name, &[out, a], &[ty(t)]).unwrap();
            for (got, &a) in ram.floats(&out).into_iter().zip(&va) {
                prop_assert!(close(got, reference(a), tolerance(t)), "{name} {t:?}: {a} gave {got}");
            }
        }
    }

    #[test]
    fn copies_and_casts((dims, views) in shapes(), seed: u64, from in 0..TYPES.len(), to in 0..TYPES.len()) {
        let ram = Ram::new(1 << 17);
        let mut l = Layout::new();
        let a = l.strided(TYPES[from], &dims, &views[0].0, views[0].1, views[0].2);
        let out = l.strided(TYPES[to], &dims, &views[1].0, views[1].1, views[1].2);
        let v = values(a.elements().unwrap() as usize, seed, false, false);
        ram.write(&a, &v);
        ram.launch("copy", &[out, a], &[]).unwrap();
        prop_assert_eq!(ram.read::<i64>(&out), v);
    }

    #[test]
    fn concatenation(widths in proptest::collection::vec(0i64..6, 1..5), dim in 0usize..3, seed: u64) {
        let ram = Ram::new(1 << 16);
        let mut l = Layout::new();
        let mut dims = [3, 4, 5];
        let ins: Vec<_> = widths.iter().map(|&w| {
            dims[dim] = w;
            l.strided(DType::F32, &dims, &[2, 0, 1], 2, 1)
        }).collect();
        dims[dim] = widths.iter().sum();
        let out = l.dense(DType::F64, &dims);
        for (i, t) in ins.iter().enumerate() {
            ram.write(t, &values(t.elements().unwrap() as usize, seed ^ i as u64, true, false));
        }
        let tensors: Vec<_> = std::iter::once(out).chain(ins.iter().copied()).collect();
        ram.launch("cat", &tensors, &[dim as u64]).unwrap();
        let (rows, inner) = (dims[..dim].iter().product::<i64>(), dims[dim + 1..].iter().product::<i64>());
        let mut want = vec![];
        for r in 0..rows as usize {
            for t in &ins {
                let width = (t.dims[dim] * inner) as usize;
                want.extend_from_slice(&ram.floats(t)[r * width..(r + 1) * width]);
            }
        }
        prop_assert_eq!(ram.floats(&out), want);
    }
}

#[test]
fn broadcast_inputs_and_mixed_types() {
    let ram = Ram::new(1 << 12);
    let mut l = Layout::new();
    let out = l.dense(DType::F32, &[2, 3]);
    let a = l.dense(DType::I32, &[2, 3]);
    let mut b = l.dense(DType::F16, &[3]);
    ram.write(&a, &[1, 2, 3, 4, 5, 6]);
    ram.write(&b, &[0.5, 0.25, 0.125]);
    (b.rank, b.dims[0], b.dims[1], b.strides[0], b.strides[1]) = (2, 2, 3, 0, 1);
    ram.launch("add", &[out, a, b], &[ty(DType::F32), f(2.0), 2]).unwrap();
    assert_eq!(ram.floats(&out), [2.0, 2.5, 3.25, 5.0, 5.5, 6.25]);
}

#[test]
fn integers_wrap_and_floats_saturate() {
    let ram = Ram::new(1 << 12);
    let mut l = Layout::new();
    let [a, b] = [0; 2].map(|_| l.dense(DType::I8, &[2]));
    ram.write(&a, &[127, -128]);
    ram.write(&b, &[1, -1]);
    ram.launch("add", &[a, a, b], &[ty(DType::I8), f(1.0), 1]).unwrap();
    assert_eq!(ram.read::<i64>(&a), [-128, 127]);
    let wide = l.dense(DType::I64, &[2]);
    ram.write(&wide, &[i64::MIN, i64::MAX]);
    ram.launch("neg", &[wide, wide], &[ty(DType::I64)]).unwrap();
    assert_eq!(ram.read::<i64>(&wide), [i64::MIN, -i64::MAX]);
    ram.launch("floor_div", &[wide, wide, b], &[ty(DType::I64)]).unwrap();
    assert_eq!(ram.read::<i64>(&wide), [i64::MIN, i64::MAX]);
    let x = l.dense(DType::F32, &[4]);
    let i = l.dense(DType::I32, &[4]);
    ram.write(&x, &[f64::NAN, 1e30, -1e30, -1.9]);
    ram.launch("copy", &[i, x], &[]).unwrap();
    assert_eq!(ram.read::<i64>(&i), [0, i64::from(i32::MAX), i64::from(i32::MIN), -1]);
    let zero = l.dense(DType::I32, &[4]);
    ram.write(&zero, &[0i64; 4]);
    for name in ["floor_div", "remainder", "fmod"] {
        ram.launch(name, &[zero, i, zero], &[ty(DType::I32)]).unwrap();
        assert_eq!(ram.read::<i64>(&zero), [0; 4]);
    }
}

#[test]
fn nan_and_infinity() {
    let ram = Ram::new(1 << 12);
    let mut l = Layout::new();
    let (nan, inf) = (f64::NAN, f64::INFINITY);
    for t in [DType::F32, DType::F64, DType::F16, DType::BF16] {
        let [out, a, b] = [0; 3].map(|_| l.dense(t, &[4]));
        ram.write(&a, &[nan, 1.0, inf, -inf]);
        ram.write(&b, &[1.0, nan, -inf, inf]);
        let run = |name: &str, attrs: &[u64]| {
            ram.launch(name, &[out, a, b][..if attrs.len() == 2 { 2 } else { 3 }], attrs).unwrap();
            ram.floats(&out)
        };
        let max = run("maximum", &[ty(t)]);
        assert!(max[0].is_nan() && max[1].is_nan() && max[2..] == [inf, inf]);
        let min = run("minimum", &[ty(t)]);
        assert!(min[0].is_nan() && min[1].is_nan() && min[2..] == [-inf, -inf]);
        assert!(run("add", &[ty(t), f(1.0), 1]).iter().all(|v| v.is_nan()));
        assert_eq!(run("eq", &[ty(t)]), [0.0; 4]);
        assert_eq!(run("ne", &[ty(t)]), [1.0; 4]);
        let clamped = run("clamp", &[f(-2.0), f(2.0)]);
        assert!(clamped[0].is_nan() && clamped[1..] == [1.0, 2.0, -2.0]);
        assert!(run("relu", &[ty(t), 0])[0].is_nan());
    }
}

#[test]
fn fused_and_selecting_kernels() {
    let ram = Ram::new(1 << 12);
    let mut l = Layout::new();
    let [out, a, b, c] = [0; 4].map(|_| l.dense(DType::F32, &[3]));
    let cond = l.dense(DType::Bool, &[3]);
    ram.write(&a, &[1.0, 2.0, 3.0]);
    ram.write(&b, &[4.0, 5.0, 6.0]);
    ram.write(&c, &[2.0, 4.0, -8.0]);
    ram.write(&cond, &[1, 0, 1]);
    let run = |name: &str, tensors: &[_], attrs: &[u64]| {
        ram.launch(name, tensors, attrs).unwrap();
        ram.floats(&out)
    };
    assert_eq!(run("addcmul", &[out, a, b, c], &[f(0.5)]), [5.0, 12.0, -21.0]);
    assert_eq!(run("addcdiv", &[out, a, b, c], &[f(2.0)]), [5.0, 4.5, 1.5]);
    assert_eq!(run("lerp_s", &[out, a, b], &[f(0.25)]), [1.75, 2.75, 3.75]);
    assert_eq!(run("lerp_s", &[out, a, b], &[f(1.0)]), [4.0, 5.0, 6.0]);
    assert_eq!(run("where", &[out, cond, a, b], &[]), [1.0, 5.0, 3.0]);
    assert_eq!(run("threshold_backward", &[out, b, c], &[f(2.0)]), [0.0, 5.0, 0.0]);
    assert_eq!(run("fill", &[out], &[f(2.5), 7]), [2.5; 3]);
    assert_eq!(run("arange", &[out], &[f(0.5), f(0.25), 0, 0]), [0.5, 0.75, 1.0]);
    let ints = l.dense(DType::I64, &[3]);
    ram.launch("arange", &[ints], &[f(0.0), f(0.0), 5, (-2i64) as u64]).unwrap();
    assert_eq!(ram.read::<i64>(&ints), [5, 3, 1]);
    ram.launch("fill", &[ints], &[f(2.5), 7]).unwrap();
    assert_eq!(ram.read::<i64>(&ints), [7; 3]);
}

#[test]
fn a_wild_address_faults_and_nothing_is_written() {
    let mut ram = Ram::new(1 << 12);
    let mut l = Layout::new();
    let [out, a] = [0; 2].map(|_| l.dense(DType::F32, &[4]));
    let before = ram.bytes();
    for va in [0, 8, BASE - 4, BASE + (1 << 12) - 12, u64::MAX - 8] {
        let mut wild = a;
        wild.va = va;
        for tensors in [[out, a, wild], [out, wild, a], [wild, a, a]] {
            let fault = ram.launch("add", &tensors, &[ty(DType::F32), f(1.0), 1]).unwrap_err();
            assert!(matches!(fault, KernelFault::Address { .. } | KernelFault::Args(_)), "{va:#x}: {fault}");
        }
    }
    assert!(ram.launch("add", &[out, a], &[ty(DType::F32)]).is_err());
    assert!(ram.launch("add", &[out, a, l.dense(DType::F32, &[3])], &[ty(DType::F32)]).is_err());
    assert!(ram.launch("add", &[out, a, a], &[]).is_err());
    assert!(ram.launch("add", &[out, a, a], &[99]).is_err());
    let mut overlapping = out;
    overlapping.strides[0] = 0;
    assert!(ram.launch("fill", &[overlapping], &[0, 0]).is_err());
    assert_eq!(ram.bytes(), before);
}

#[test]
fn powers_of_integers() {
    let ram = Ram::new(1 << 12);
    let mut l = Layout::new();
    let [out, a, b] = [0; 3].map(|_| l.dense(DType::I32, &[6]));
    ram.write(&a, &[2, -3, 1, -1, -1, 5]);
    ram.write(&b, &[10, 3, -4, -3, -2, -1]);
    ram.launch("pow", &[out, a, b], &[ty(DType::I32)]).unwrap();
    assert_eq!(ram.read::<i64>(&out), [1024, -27, 1, -1, 1, 0]);
}
