//! Attention and its gradients against the formulas in float64.

use vinci_hw::args::{DType, TensorArg};

use crate::testing::{Layout, Ram, f};

const SCALE: f64 = 0.7;

struct Case {
    groups: usize,
    queries: usize,
    keys: usize,
    width: usize,
    masked: bool,
    sight: (i64, i64),
}

fn numbers(n: usize, seed: u64) -> Vec<f64> {
    (0..n as u64)
        .map(|i| ((i + 3).wrapping_mul(seed | 1) >> 7) as i64 % 17)
        .map(|v| v as f64 / 9.0 - 0.9)
        .collect()
}

impl Case {
    /// Whether a query, counted over all groups, sees a key.
    fn sees(&self, row: usize, key: usize) -> bool {
        let distance = key as i64 - (row % self.queries) as i64;
        (self.sight.0..=self.sight.1).contains(&distance)
            && !(self.masked && (row * 7 + key * 3).is_multiple_of(5))
    }

    fn run(&self) {
        let (rows, t, d) = (self.groups * self.queries, self.keys, self.width);
        let [q, k, v, grad] =
            [(rows, 11), (t, 23), (t, 37), (rows, 53)].map(|(n, seed)| numbers(n * d, seed));
        let dot = |a: &[f64], i: usize, b: &[f64], j: usize| {
            (0..d).map(|c| a[i * d + c] * b[j * d + c]).sum::<f64>()
        };
        let [mut out, mut dq, mut dk, mut dv] = [rows, rows, t, t].map(|n| vec![0.0; n * d]);
        for r in 0..rows {
            let score =
                |j: usize| if self.sees(r, j) { SCALE * dot(&q, r, &k, j) } else { f64::NEG_INFINITY };
            let most = (0..t).map(score).fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = (0..t).map(|j| (score(j) - most).exp()).sum();
            let p: Vec<f64> =
                (0..t).map(|j| if self.sees(r, j) { (score(j) - most).exp() / sum } else { 0.0 }).collect();
            let mean: f64 = (0..t).map(|j| p[j] * dot(&grad, r, &v, j)).sum();
            for j in 0..t {
                let slope = SCALE * p[j] * (dot(&grad, r, &v, j) - mean);
                for c in 0..d {
                    out[r * d + c] += p[j] * v[j * d + c];
                    dv[j * d + c] += p[j] * grad[r * d + c];
                    dq[r * d + c] += slope * k[j * d + c];
                    dk[j * d + c] += slope * q[r * d + c];
                }
            }
        }
        let ram = Ram::new(8 << 20);
        let mut l = Layout::new();
        let [g, s, n, w] = [self.groups, self.queries, t, d].map(|n| n as i64);
        let mut put = |dims: &[i64], values: &[f64]| {
            let tensor = l.dense(DType::F32, dims);
            ram.write(&tensor, values);
            tensor
        };
        let (of_rows, of_keys) = ([1, 1, g, s, w], [1, 1, n, w]);
        let [q, k, v, grad] =
            [(&of_rows[..], &q), (&of_keys, &k), (&of_keys, &v), (&of_rows, &grad)].map(|(d, v)| put(d, v));
        let [o, a, b, c] = [&of_rows[..], &of_rows, &of_keys, &of_keys].map(|dims| {
            let n = dims.iter().product::<i64>() as usize;
            put(dims, &vec![f64::NAN; n])
        });
        let hidden: Vec<i64> = (0..rows * t)
            .map(|i| i64::from(self.masked && (i / t * 7 + i % t * 3).is_multiple_of(5)))
            .collect();
        let mask = l.dense(DType::Bool, &[1, 1, g, s, n]);
        ram.write(&mask, &hidden);
        let there = if self.masked { 4 } else { 0 };
        let attrs = [f(SCALE), there, self.sight.0 as u64, self.sight.1 as u64];
        let with_mask = |before: &[TensorArg], after: &[TensorArg]| {
            let mask: &[TensorArg] = if self.masked { &[mask] } else { &[] };
            [before, mask, after].concat()
        };
        ram.launch("attention", &with_mask(&[o, q, k, v], &[]), &attrs).unwrap();
        ram.launch("attention_backward", &with_mask(&[a, b, c, q, k, v], &[grad]), &attrs).unwrap();
        for (name, tensor, want) in [("out", o, out), ("dq", a, dq), ("dk", b, dk), ("dv", c, dv)] {
            for (i, (got, want)) in ram.floats(&tensor).iter().zip(&want).enumerate() {
                assert!(
                    (got - want).abs() < 1e-4 * (1.0 + want.abs()),
                    "{name}[{i}]: {got} instead of {want}"
                );
            }
        }
    }
}

#[test]
fn attention_and_its_gradients() {
    let all = (i64::MIN, i64::MAX);
    for (groups, queries, keys, width, masked, sight) in [
        (1, 5, 7, 3, false, all),
        (2, 5, 7, 3, true, all),
        (1, 40, 40, 16, false, (i64::MIN, 0)),
        (3, 70, 90, 20, true, (-30, 8)),
        (1, 150, 1300, 8, false, all),
        // Queries behind all keys see none.
        (1, 9, 4, 5, false, (0, 2)),
    ] {
        Case { groups, queries, keys, width, masked, sight }.run();
    }
}
