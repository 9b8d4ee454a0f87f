//! Tensors of the tests: values in float64 on one side, memory of a type and a layout on the other.

use half::{bf16, f16};

use super::tests::{Handle, tensor_of};
use crate::view::dense_strides;

/// A tensor in host memory.
pub struct Data {
    dtype: i32,
    dims: Vec<i64>,
    strides: Vec<i64>,
    first: i64,
    memory: Vec<u64>,
}

fn size(dtype: i32) -> usize {
    match dtype {
        2 | 4 | 12 => 1,
        1 | 27 => 2,
        0 | 3 => 4,
        _ => 8,
    }
}

impl Data {
    /// Dense, of these values.
    pub fn new(dtype: i32, dims: &[i64], values: &[f64]) -> Self {
        Self::laid_out(dtype, dims, dense_strides(dims).to_vec(), 0, values)
    }

    /// The first dimension innermost, with gaps.
    pub fn scattered(dtype: i32, dims: &[i64], values: &[f64]) -> Self {
        let mut step = 2;
        let next = |d: &i64| {
            step *= d.max(&1);
            step / d.max(&1)
        };
        let strides = dims.iter().map(next).collect();
        Self::laid_out(dtype, dims, strides, 3, values)
    }

    /// Room for a result.
    pub fn out(dtype: i32, dims: &[i64]) -> Self {
        let n = dims.iter().product::<i64>() as usize;
        Self::new(dtype, dims, &vec![77.0; n])
    }

    fn laid_out(dtype: i32, dims: &[i64], strides: Vec<i64>, first: i64, values: &[f64]) -> Self {
        let n: i64 = dims.iter().product();
        assert_eq!(n as usize, values.len(), "{dims:?}");
        let last: i64 = dims.iter().zip(&strides).map(|(d, s)| (d - 1).max(0) * s).sum();
        let memory = vec![0; ((first + last + 1) as usize * size(dtype)).div_ceil(8)];
        let mut made = Self { dtype, dims: dims.to_vec(), strides, first, memory };
        for (at, v) in made.places().into_iter().zip(values) {
            made.store(at, *v);
        }
        made
    }

    fn places(&self) -> Vec<usize> {
        let mut all = vec![self.first];
        for (&d, &s) in self.dims.iter().zip(&self.strides) {
            all = all.iter().flat_map(|&o| (0..d).map(move |i| o + i * s)).collect();
        }
        all.into_iter().map(|o| o as usize).collect()
    }

    fn store(&mut self, at: usize, v: f64) {
        let n = size(self.dtype);
        let bytes: Vec<u8> = match self.dtype {
            0 => (v as f32).to_ne_bytes().into(),
            1 => f16::from_f64(v).to_ne_bytes().into(),
            27 => bf16::from_f64(v).to_ne_bytes().into(),
            2 => (v as i8).to_ne_bytes().into(),
            3 => (v as i32).to_ne_bytes().into(),
            9 => (v as i64).to_ne_bytes().into(),
            10 => (v as u64).to_ne_bytes().into(),
            11 => v.to_ne_bytes().into(),
            _ => vec![v as u8],
        };
        for (i, b) in bytes.into_iter().enumerate() {
            let byte = at * n + i;
            let word = &mut self.memory[byte / 8];
            *word = *word & !(0xff << (byte % 8 * 8)) | u64::from(b) << (byte % 8 * 8);
        }
    }

    fn load(&self, at: usize) -> f64 {
        let n = size(self.dtype);
        let mut b = [0u8; 8];
        for (i, b) in b[..n].iter_mut().enumerate() {
            let byte = at * n + i;
            *b = (self.memory[byte / 8] >> (byte % 8 * 8)) as u8;
        }
        let (two, four) = ([b[0], b[1]], [b[0], b[1], b[2], b[3]]);
        match self.dtype {
            0 => f64::from(f32::from_ne_bytes(four)),
            1 => f16::from_ne_bytes(two).to_f64(),
            27 => bf16::from_ne_bytes(two).to_f64(),
            2 => f64::from(b[0] as i8),
            3 => f64::from(i32::from_ne_bytes(four)),
            9 => i64::from_ne_bytes(b) as f64,
            10 => u64::from_ne_bytes(b) as f64,
            11 => f64::from_ne_bytes(b),
            _ => f64::from(b[0]),
        }
    }

    /// Its aclTensor.
    pub fn handle(&mut self) -> Handle {
        let (dtype, first) = (self.dtype, self.first);
        let (dims, strides) = (self.dims.clone(), self.strides.clone());
        tensor_of(&mut self.memory, dtype, &dims, Some(&strides), first)
    }

    /// Its values, in row-major order, as its type has them.
    pub fn values(&self) -> Vec<f64> {
        self.places().into_iter().map(|at| self.load(at)).collect()
    }

    /// Its memory.
    pub fn words(&self) -> &[u64] {
        &self.memory
    }
}

/// Numbers that look random.
pub struct Random(pub u64);

impl Random {
    /// Below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n.max(1)
    }

    /// `n` multiples of 1/16 in −4..4, which all types have.
    pub fn floats(&mut self, n: i64) -> Vec<f64> {
        (0..n).map(|_| self.below(128) as f64 / 16.0 - 4.0).collect()
    }

    /// Integers of a range.
    pub fn integers(&mut self, n: i64, low: i64, end: i64) -> Vec<f64> {
        (0..n).map(|_| (low + self.below((end - low) as usize) as i64) as f64).collect()
    }

    /// 0..n in some order.
    pub fn shuffled(&mut self, n: i64) -> Vec<f64> {
        let mut v: Vec<f64> = (0..n).map(|i| i as f64).collect();
        (1..v.len()).rev().for_each(|i| v.swap(i, self.below(i + 1)));
        v
    }
}

/// How far a result of a type may lie from the exact one, relatively and at all.
pub fn tolerance(dtype: i32) -> f64 {
    match dtype {
        1 => 2e-3,
        27 => 1.6e-2,
        _ => 3e-6,
    }
}

/// Fails unless the values are near.
pub fn near(what: &str, dtype: i32, is: &[f64], wanted: &[f64]) {
    assert_eq!(is.len(), wanted.len(), "{what}");
    let scale = wanted.iter().fold(1.0f64, |m, v| m.max(v.abs()));
    for (i, (a, b)) in is.iter().zip(wanted).enumerate() {
        let far = (a - b).abs() > tolerance(dtype) * scale && a != b && !(a.is_nan() && b.is_nan());
        assert!(!far, "{what}: element {i} is {a}, not {b}; {is:?} {wanted:?}");
    }
}
