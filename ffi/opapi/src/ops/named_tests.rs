//! Operators by name, on host memory: against plain loops, and gradients against differences.

use std::ffi::{CStr, c_void};
use std::ptr::null_mut;

use super::tests::last_error;
use super::training_tests::{check, numbers};
use crate::by_name::vinci_by_name;
use crate::host::Attributes;
use crate::link::Described;

const F32: i32 = 0;
const UNDEFINED: i32 = -1;
const I32: i32 = 3;
const I64: i32 = 9;
const T: usize = 3;
const B: usize = 2;
const I: usize = 3;
const H: usize = 2;

/// A tensor as by-name operators get it.
struct Passed {
    description: Described,
    buffer: (u64, usize),
}

fn tensor(data: &mut [f32], dims: &[i64]) -> Passed {
    let mut all = [0; 8];
    all[..dims.len()].copy_from_slice(dims);
    let description = Described { dtype: F32, memory: 0, rank: dims.len(), dims: all, constant: 0 };
    Passed { description, buffer: (data.as_mut_ptr() as u64, size_of_val(data)) }
}

/// Integers in host memory.
fn host(data: &[i64]) -> Passed {
    let mut dims = [0; 8];
    dims[0] = data.len() as i64;
    let description = Described { dtype: I64, memory: 1, rank: 1, dims, constant: 0 };
    Passed { description, buffer: (data.as_ptr() as u64, size_of_val(data)) }
}

fn missing() -> Passed {
    Passed { description: Described { dtype: UNDEFINED, ..Described::default() }, buffer: (0, 0) }
}

fn text(v: &str) -> (u32, Vec<u8>) {
    (5, v.into())
}

fn int(v: i64) -> (u32, Vec<u8>) {
    (2, v.to_ne_bytes().into())
}

fn flag(v: bool) -> (u32, Vec<u8>) {
    (1, i64::from(v).to_ne_bytes().into())
}

fn float(v: f64) -> (u32, Vec<u8>) {
    (3, v.to_ne_bytes().into())
}

/// What torch_npu sets for a layer.
fn attributes(order: &str) -> Attributes {
    let all: [(&'static CStr, _); 7] = [
        (c"direction", text("UNIDIRECTIONAL")),
        (c"cell_depth", int(1)),
        (c"keep_prob", float(1.0)),
        (c"cell_clip", float(-1.0)),
        (c"time_major", flag(true)),
        (c"activation", text("tanh")),
        (c"gate_order", text(order)),
    ];
    all.into()
}

fn run(name: &CStr, inputs: &[Passed], outputs: &[Passed], attributes: &Attributes) -> i32 {
    let list = |all: &[Passed], f: fn(&Passed) -> *const c_void| all.iter().map(f).collect::<Vec<_>>();
    let description = |t: &Passed| (&raw const t.description).cast();
    let buffer = |t: &Passed| (&raw const t.buffer).cast();
    // SAFETY: arrays as long as their counts say, of what the stand-in of the runtime reads.
    unsafe {
        vinci_by_name(
            name.as_ptr(),
            inputs.len() as i32,
            list(inputs, description).as_ptr(),
            list(inputs, buffer).as_ptr(),
            outputs.len() as i32,
            list(outputs, description).as_ptr(),
            list(outputs, buffer).as_ptr(),
            (&raw const *attributes).cast(),
            null_mut(),
        )
    }
}

/// One slice of `all` for each size.
fn parts<const N: usize>(mut rest: &mut [f32], sizes: [usize; N]) -> [&mut [f32]; N] {
    sizes.map(|n| rest.split_off_mut(..n).unwrap())
}

const STATES: usize = T * B * H;
/// x, weights, biases, the first state.
const GRU: [usize; 6] = [T * B * I, I * 3 * H, H * 3 * H, 3 * H, 3 * H, B * H];

/// h of all steps, and the other outputs as they were kept.
fn gru(all: &mut [f32], order: &str, kept: &mut [f32]) -> Vec<f32> {
    let [x, w, u, b, c, h] = parts(all, GRU);
    let dims = [T, B, H].map(|n| n as i64);
    let inputs = [
        tensor(x, &[T, B, I].map(|n| n as i64)),
        tensor(w, &[I as i64, 3 * H as i64]),
        tensor(u, &[H as i64, 3 * H as i64]),
        tensor(b, &[3 * H as i64]),
        tensor(c, &[3 * H as i64]),
        missing(),
        tensor(h, &[B as i64, H as i64]),
    ];
    let mut y = vec![7f32; STATES];
    let others = parts(kept, [STATES; 5]).map(|k| tensor(k, &dims));
    let outputs: Vec<_> = [tensor(&mut y, &dims)].into_iter().chain(others).collect();
    assert_eq!(run(c"DynamicGRUV2", &inputs, &outputs, &attributes(order)), 0, "{}", last_error());
    y
}

#[test]
fn gated_recurrent_units_step_and_their_gradient() {
    let sigmoid = |v: f32| 1.0 / (1.0 + (-v).exp());
    for (order, reset, update) in [("rzh", 0, 1), ("zrh", 1, 0)] {
        let all = numbers(GRU.iter().sum(), 3);
        let mut kept = vec![0f32; 5 * STATES];
        let y = gru(&mut all.clone(), order, &mut kept);
        assert_eq!(y, kept[..STATES], "y is output_h");
        let mut copy = all.clone();
        let [x, w, u, b, c, h] = parts(&mut copy, GRU);
        for row in 0..B {
            let mut state = h[row * H..][..H].to_vec();
            for t in 0..T {
                let part = |gate: usize, k: usize| {
                    let column = gate * H + k;
                    let input = (0..I).map(|i| x[(t * B + row) * I + i] * w[i * 3 * H + column]).sum::<f32>();
                    let inner = (0..H).map(|i| state[i] * u[i * 3 * H + column]).sum::<f32>();
                    (input + b[column], inner + c[column])
                };
                let new: Vec<f32> = (0..H)
                    .map(|k| {
                        let r = part(reset, k);
                        let z = part(update, k);
                        let n = part(2, k);
                        let z = sigmoid(z.0 + z.1);
                        (1.0 - z) * (n.0 + sigmoid(r.0 + r.1) * n.1).tanh() + z * state[k]
                    })
                    .collect();
                for (k, wanted) in new.iter().enumerate() {
                    let is = y[(t * B + row) * H + k];
                    assert!((is - wanted).abs() < 1e-5, "{order} {t} {row} {k}: {is} {wanted}");
                }
                state = new;
            }
        }

        // Weights of y, then of the last state.
        let weights = numbers(STATES + B * H, 4);
        let (mut input, mut slopes, mut y_given) = (all.clone(), vec![9f32; all.len()], y.clone());
        let mut given = weights.clone();
        let [x, w, u, _, _, h] = parts(&mut input, GRU);
        let [states, update, reset, new, inner] = parts(&mut kept, [STATES; 5]);
        let (dy, dh) = given.split_at_mut(STATES);
        let dims = [T, B, H].map(|n| n as i64);
        let (mut zero, mut mask) = ([0f32], [0f32]);
        let inputs = [
            tensor(x, &[T, B, I].map(|n| n as i64)),
            tensor(w, &[I as i64, 3 * H as i64]),
            tensor(u, &[H as i64, 3 * H as i64]),
            tensor(&mut y_given, &dims),
            tensor(h, &[1, B as i64, H as i64]),
            tensor(states, &dims),
            tensor(dy, &dims),
            tensor(dh, &[B as i64, H as i64]),
            tensor(update, &dims),
            tensor(reset, &dims),
            tensor(new, &dims),
            tensor(inner, &dims),
            tensor(&mut zero, &[]),
            tensor(&mut mask, &[]),
        ];
        let [dx, dw, du, db, dc, dh] = parts(&mut slopes, GRU);
        let outputs = [
            tensor(dw, &[I as i64, 3 * H as i64]),
            tensor(du, &[H as i64, 3 * H as i64]),
            tensor(db, &[3 * H as i64]),
            tensor(dc, &[3 * H as i64]),
            tensor(dx, &[T, B, I].map(|n| n as i64)),
            tensor(dh, &[1, B as i64, H as i64]),
        ];
        let code = run(c"DynamicGRUV2Grad", &inputs, &outputs, &attributes(order));
        assert_eq!(code, 0, "{}", last_error());
        check("gru", &all, &slopes, &weights, |all| {
            let y = gru(all, order, &mut vec![0f32; 5 * STATES]);
            [&y[..], &y[STATES - B * H..]].concat()
        });
    }
}

/// x, weights, the bias, the first states.
const LSTM: [usize; 6] = [T * B * I, I * 4 * H, H * 4 * H, 4 * H, B * H, B * H];

/// h of all steps, the last c, and the other outputs as they were kept: h, c, i, j, f, o, tanh(c).
fn lstm(all: &mut [f32], kept: &mut [f32]) -> Vec<f32> {
    let [x, w, u, b, h, c] = parts(all, LSTM);
    let dims = [T, B, H].map(|n| n as i64);
    let inputs = [
        tensor(x, &[T, B, I].map(|n| n as i64)),
        tensor(w, &[I as i64, 4 * H as i64]),
        tensor(u, &[H as i64, 4 * H as i64]),
        tensor(b, &[4 * H as i64]),
        missing(),
        tensor(h, &[1, B as i64, H as i64]),
        tensor(c, &[1, B as i64, H as i64]),
    ];
    let mut y = vec![7f32; STATES];
    let others = parts(kept, [STATES; 7]).map(|k| tensor(k, &dims));
    let outputs: Vec<_> = [tensor(&mut y, &dims)].into_iter().chain(others).collect();
    assert_eq!(run(c"DynamicRNNV2", &inputs, &outputs, &attributes("ifco")), 0, "{}", last_error());
    [&y[..], &kept[2 * STATES - B * H..2 * STATES]].concat()
}

#[test]
fn long_short_term_memory_by_name_and_its_gradient() {
    let all = numbers(LSTM.iter().sum(), 5);
    let mut kept = vec![0f32; 7 * STATES];
    let y = lstm(&mut all.clone(), &mut kept);
    // The first step of the first sequence.
    let sigmoid = |v: f32| 1.0 / (1.0 + (-v).exp());
    let mut copy = all.clone();
    let [x, w, u, b, h, c] = parts(&mut copy, LSTM);
    let gate = |g: usize| {
        let column = g * H;
        let input = (0..I).map(|i| x[i] * w[i * 4 * H + column]).sum::<f32>();
        input + (0..H).map(|i| h[i] * u[i * 4 * H + column]).sum::<f32>() + b[column]
    };
    let (i, f, g, o) = (sigmoid(gate(0)), sigmoid(gate(1)), gate(2).tanh(), sigmoid(gate(3)));
    let cell = f * c[0] + i * g;
    assert!((y[0] - o * cell.tanh()).abs() < 1e-5, "{} {}", y[0], o * cell.tanh());
    for (k, is) in [y[0], cell, i, g, f, o, cell.tanh()].into_iter().enumerate() {
        assert!((kept[k * STATES] - is).abs() < 1e-5, "output {k}: {} {is}", kept[k * STATES]);
    }

    // Weights of y, of the last c, of the last h.
    let weights = numbers(STATES + 2 * B * H, 6);
    let (mut input, mut slopes, mut y_given) = (all.clone(), vec![9f32; all.len()], y.clone());
    let mut given = weights.clone();
    let [x, w, u, _, h, c] = parts(&mut input, LSTM);
    let [hs, cs, i, j, f, o, bent] = parts(&mut kept, [STATES; 7]);
    let [dy, dc, dh] = parts(&mut given, [STATES, B * H, B * H]);
    let dims = [T, B, H].map(|n| n as i64);
    let mut zeros = [0f32; 5];
    let dummies = parts(&mut zeros, [1; 5]).map(|z| tensor(z, &[]));
    let first = [
        tensor(x, &[T, B, I].map(|n| n as i64)),
        tensor(w, &[I as i64, 4 * H as i64]),
        tensor(u, &[H as i64, 4 * H as i64]),
        tensor(&mut y_given[..STATES], &dims),
        tensor(h, &[B as i64, H as i64]),
        tensor(c, &[B as i64, H as i64]),
    ];
    let kept = [hs, cs, dy].map(|k| tensor(k, &dims));
    let last = [dh, dc].map(|k| tensor(k, &[B as i64, H as i64]));
    let gates = [i, j, f, o, bent].map(|k| tensor(k, &dims));
    let inputs: Vec<_> = first.into_iter().chain(kept).chain(last).chain(gates).chain(dummies).collect();
    let [dx, dw, du, db, dh, dc] = parts(&mut slopes, LSTM);
    let outputs = [
        tensor(dw, &[I as i64, 4 * H as i64]),
        tensor(du, &[H as i64, 4 * H as i64]),
        tensor(db, &[4 * H as i64]),
        tensor(dx, &[T, B, I].map(|n| n as i64)),
        tensor(dh, &[B as i64, H as i64]),
        tensor(dc, &[B as i64, H as i64]),
    ];
    let code = run(c"DynamicRNNV2Grad", &inputs, &outputs, &attributes("ifjo"));
    assert_eq!(code, 0, "{}", last_error());
    check("lstm by name", &all, &slopes, &weights, |all| {
        let y = lstm(all, &mut vec![0f32; 7 * STATES]);
        [&y[..], &y[STATES - B * H..STATES]].concat()
    });
}

#[test]
fn operators_by_name_that_are_aclnn_s() {
    let none = Attributes::new();
    let mut x: Vec<f32> = (0..6).map(|i| i as f32).collect();
    let mut made = |name: &CStr, list: &[i64], more: Option<&[i64]>, dims: &[i64]| {
        let mut out = vec![7f32; dims.iter().product::<i64>() as usize];
        let mut inputs = vec![tensor(&mut x, &[2, 3]), host(list)];
        inputs.extend(more.map(host));
        assert_eq!(run(name, &inputs, &[tensor(&mut out, dims)], &none), 0, "{}", last_error());
        out
    };
    assert_eq!(made(c"Transpose", &[1, 0], None, &[3, 2]), [0., 3., 1., 4., 2., 5.]);
    assert_eq!(made(c"BroadcastTo", &[2, 2, 3], None, &[2, 2, 3])[6..], [0., 1., 2., 3., 4., 5.]);
    assert_eq!(made(c"Slice", &[0, 1], Some(&[2, -1]), &[2, 2]), [1., 2., 4., 5.]);
    assert_eq!(made(c"Pad", &[1, 0, 0, 1], None, &[3, 4])[4..], [0., 1., 2., 0., 3., 4., 5., 0.]);
    for (list, more) in
        [(&[0, 1][..], &[2, 3][..]), (&[0, -1], &[1, 1]), (&[0], &[2]), (&[0, i64::MAX], &[2, 2])]
    {
        let inputs = [tensor(&mut x, &[2, 3]), host(list), host(more)];
        assert_eq!(run(c"Slice", &inputs, &[tensor(&mut [0f32; 4], &[2, 2])], &none), 100_000);
    }
    let perm = [1i64, 0];
    let mut short = host(&perm);
    short.buffer.1 = 8;
    let out = [tensor(&mut [0f32; 6], &[3, 2])];
    assert_eq!(run(c"Transpose", &[tensor(&mut x.clone(), &[2, 3]), short], &out, &none), 100_000);
    assert!(last_error().contains("host memory"));

    let (mut x, mut g) = (numbers(5, 7), numbers(5, 8));
    let (x0, g0) = (x.clone(), g.clone());
    let (sigmoid, soft) = (|v: f32| 1.0 / (1.0 + (-v).exp()), |v: f32| v.exp().ln_1p());
    let mut near = |name: &CStr, gradient: bool, attributes: &Attributes, f: &dyn Fn(usize) -> f32| {
        let mut out = [7f32; 5];
        let mut inputs = vec![tensor(&mut x, &[5])];
        if gradient {
            inputs.insert(0, tensor(&mut g, &[5]));
        }
        assert_eq!(run(name, &inputs, &[tensor(&mut out, &[5])], attributes), 0, "{}", last_error());
        out.iter()
            .enumerate()
            .for_each(|(i, v)| assert!((v - f(i)).abs() < 1e-5, "{name:?} {i}: {v} {}", f(i)));
    };
    let scaled: Attributes = [(c"scale", float(1.5))].into();
    near(c"Swish", false, &scaled, &|i| x0[i] * sigmoid(1.5 * x0[i]));
    near(c"Mish", false, &none, &|i| x0[i] * soft(x0[i]).tanh());
    near(c"SwishGrad", true, &none, &|i| {
        let s = sigmoid(x0[i]);
        g0[i] * (s + x0[i] * s * (1.0 - s))
    });
    near(c"MishGrad", true, &none, &|i| {
        let t = soft(x0[i]).tanh();
        g0[i] * (t + x0[i] * (1.0 - t * t) * sigmoid(x0[i]))
    });

    let mut m = [3f32, 9., 1., 5., 2., 8.];
    let (mut values, mut places) = ([0f32; 2], [7i32; 2]);
    let along: Attributes = [(c"dimension", int(1)), (c"keep_dims", flag(true))].into();
    for (name, wanted, at) in [(c"ArgMaxWithValue", [9., 8.], [1, 2]), (c"ArgMinWithValue", [1., 2.], [2, 1])]
    {
        let out = tensor(&mut values, &[2, 1]);
        let description = Described { dtype: I32, ..out.description };
        let indices = Passed { description, buffer: (places.as_mut_ptr() as u64, size_of_val(&places)) };
        assert_eq!(run(name, &[tensor(&mut m, &[2, 3])], &[indices, out], &along), 0, "{}", last_error());
        assert_eq!((values, places), (wanted, at));
    }
}

#[test]
fn what_operators_by_name_refuse() {
    assert_eq!(run(c"Conv2D", &[], &[], &Attributes::new()), -1);
    let mut data = [0f32; 36];
    let mut refused = |attributes: &Attributes, inputs: usize, dims: &[i64]| {
        let all: Vec<_> = (0..inputs).map(|_| tensor(&mut data, dims)).collect();
        assert_eq!(run(c"DynamicGRUV2", &all, &[], attributes), 100_000);
        last_error()
    };
    let mut two = attributes("rzh");
    two.insert(c"direction", text("BIDIRECTIONAL"));
    assert!(refused(&two, 7, &[1, 1, 1]).contains("direction is \"BIDIRECTIONAL\""));
    assert!(refused(&attributes("hzr"), 7, &[1]).contains("gate_order"));
    two.insert(c"direction", int(1));
    assert!(refused(&two, 7, &[1]).contains("kind"));
    assert!(refused(&attributes("rzh"), 8, &[1]).contains("at most 7"));
    assert!(refused(&attributes("rzh"), 2, &[1, 1, 1]).contains("weight_hidden"));
    assert!(refused(&attributes("rzh"), 7, &[37]).contains("buffer"));
    assert!(refused(&attributes("rzh"), 7, &[2]).contains("seq_length"));
    assert!(refused(&attributes("rzh"), 7, &[1]).contains("three dimensions"));
}
