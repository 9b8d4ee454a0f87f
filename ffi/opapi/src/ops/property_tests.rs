//! Operators over random types, shapes and views, against plain loops in float64.

use std::ffi::c_void;
use std::ptr::null_mut;

use half::{bf16, f16};
use proptest::prelude::*;

use super::tests::{Handle, run};
use super::*;
use crate::tensor::*;

const TYPES: [i32; 6] = [0, 1, 27, 3, 9, 12]; // float32, float16, bfloat16, int32, int64, bool

/// A tensor over its own storage, with views in mind: dimensions may be permuted, stretched or broadcast.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub dtype: i32,
    pub dims: Vec<i64>,
    pub strides: Vec<i64>,
    pub offset: i64,
    pub values: Vec<f64>,
}

pub(super) fn size(dtype: i32) -> usize {
    match dtype {
        9 => 8,
        0 | 3 => 4,
        12 => 1,
        _ => 2,
    }
}

/// `v` as the type keeps it.
pub(super) fn rounded(dtype: i32, v: f64) -> f64 {
    match dtype {
        0 => f64::from(v as f32),
        1 => f16::from_f64(v).to_f64(),
        27 => bf16::from_f64(v).to_f64(),
        12 => f64::from(u8::from(v != 0.0)),
        _ => v.trunc(),
    }
}

fn encode(dtype: i32, v: f64, to: &mut [u8]) {
    match dtype {
        0 => to.copy_from_slice(&(v as f32).to_ne_bytes()),
        1 => to.copy_from_slice(&f16::from_f64(v).to_ne_bytes()),
        27 => to.copy_from_slice(&bf16::from_f64(v).to_ne_bytes()),
        3 => to.copy_from_slice(&(v as i32).to_ne_bytes()),
        9 => to.copy_from_slice(&(v as i64).to_ne_bytes()),
        _ => to[0] = u8::from(v != 0.0),
    }
}

pub(super) fn decode(dtype: i32, from: &[u8]) -> f64 {
    match dtype {
        0 => f64::from(f32::from_ne_bytes(from.try_into().unwrap())),
        1 => f16::from_ne_bytes(from.try_into().unwrap()).to_f64(),
        27 => bf16::from_ne_bytes(from.try_into().unwrap()).to_f64(),
        3 => f64::from(i32::from_ne_bytes(from.try_into().unwrap())),
        9 => i64::from_ne_bytes(from.try_into().unwrap()) as f64,
        _ => f64::from(from[0]),
    }
}

impl Case {
    pub fn bytes(&self) -> Vec<u8> {
        let n = size(self.dtype);
        let mut bytes = vec![0; self.values.len() * n];
        self.values.iter().zip(bytes.chunks_mut(n)).for_each(|(&v, to)| encode(self.dtype, v, to));
        bytes
    }

    /// The element at an index of the shape `dims` that this one broadcasts to.
    pub fn at(&self, dims: &[i64], index: &[i64]) -> f64 {
        let skip = dims.len() - self.dims.len();
        let step = |(i, &s): (usize, &i64)| if self.dims[i] == 1 { 0 } else { index[skip + i] * s };
        let at = self.offset + self.strides.iter().enumerate().map(step).sum::<i64>();
        rounded(self.dtype, self.values[at as usize])
    }
}

/// A view of shape `dims`, with dimensions of 1 where `ones` says, laid out in a random order with gaps.
pub(super) fn case(dims: Vec<i64>, broadcastable: bool) -> impl Strategy<Value = Case> {
    let rank = dims.len();
    let order = Just((0..rank).collect::<Vec<_>>()).prop_shuffle();
    let ones = prop::collection::vec(prop::bool::weighted(if broadcastable { 0.3 } else { 0.0 }), rank);
    let dtype = prop::sample::select(&TYPES[..]);
    (dtype, order, ones, 1i64..3, 0i64..4, any::<u64>()).prop_map(
        move |(dtype, order, ones, gap, offset, seed)| {
            let dims: Vec<i64> = dims.iter().zip(&ones).map(|(&d, &one)| if one { 1 } else { d }).collect();
            let mut strides = vec![0; rank];
            let mut extent = gap;
            for &i in &order {
                strides[i] = extent;
                extent *= dims[i].max(1);
            }
            let mut state = seed | 1;
            let value = || {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                (state % 41) as f64 / 4.0 - 5.0
            };
            let values = std::iter::repeat_with(value)
                .take((offset + extent) as usize)
                .map(|v| rounded(dtype, v))
                .collect();
            Case { dtype, dims, strides, offset, values }
        },
    )
}

fn pairs() -> impl Strategy<Value = (Vec<i64>, Case, Case)> {
    let dims = prop::collection::vec(prop_oneof![8 => 1i64..5, 1 => Just(0i64)], 0..4);
    dims.prop_flat_map(|d| (Just(d.clone()), case(d.clone(), true), case(d, true)))
}

pub(super) fn tensor(c: &Case, data: &mut [u8]) -> Handle {
    let storage = [c.values.len() as i64];
    // SAFETY: the arrays are as long as their counts say.
    unsafe {
        let (dims, strides, rank) = (c.dims.as_ptr(), c.strides.as_ptr(), c.dims.len() as u64);
        aclCreateTensor(
            dims,
            rank,
            c.dtype,
            strides,
            c.offset,
            2,
            storage.as_ptr(),
            1,
            data.as_mut_ptr().cast(),
        )
    }
}

pub(super) fn dense(dtype: i32, dims: &[i64]) -> Case {
    let n = dims.iter().product::<i64>().max(1) as usize;
    Case {
        dtype,
        dims: dims.to_vec(),
        strides: crate::view::dense_strides(dims).to_vec(),
        offset: 0,
        values: vec![0.0; n],
    }
}

/// Every index of a shape.
pub(super) fn indices(dims: &[i64]) -> Vec<Vec<i64>> {
    dims.iter().fold(vec![vec![]], |all, &d| {
        all.iter().flat_map(|i| (0..d).map(move |x| i.iter().copied().chain([x]).collect())).collect()
    })
}

type Reference = fn(f64, f64) -> f64;
type Phase1 =
    unsafe extern "C" fn(*const c_void, *const c_void, *mut c_void, *mut u64, *mut *mut c_void) -> i32;
type Phase2 = extern "C" fn(*mut c_void, u64, *mut c_void, *mut c_void) -> i32;

const BINARY: &[(Phase1, Phase2, Reference, bool)] = &[
    (aclnnMulGetWorkspaceSize, aclnnMul, |a, b| a * b, false),
    (aclnnMaximumGetWorkspaceSize, aclnnMaximum, f64::max, false),
    (aclnnMinimumGetWorkspaceSize, aclnnMinimum, f64::min, false),
    (aclnnGtTensorGetWorkspaceSize, aclnnGtTensor, |a, b| f64::from(u8::from(a > b)), true),
    (aclnnLeTensorGetWorkspaceSize, aclnnLeTensor, |a, b| f64::from(u8::from(a <= b)), true),
    (aclnnEqTensorGetWorkspaceSize, aclnnEqTensor, |a, b| f64::from(u8::from(a == b)), true),
];

proptest! {
    #[test]
    fn two_operands((dims, a, b) in pairs(), which in 0..BINARY.len()) {
        let (phase1, phase2, reference, is_compare) = BINARY[which];
        let kinds = [a.dtype, b.dtype].map(|d| crate::dtype::DType::from_raw(d as u32).unwrap());
        let kind = crate::dtype::promote(kinds[0], kinds[1]) as u32 as i32;
        let rank = dims.len();
        let shape: Vec<i64> = (0..rank).map(|i| if a.dims[i] == 1 { b.dims[i] } else { a.dims[i] }).collect();
        let out = dense(if is_compare { 12 } else { kind }, &shape);
        let (mut da, mut db, mut dout) = (a.bytes(), b.bytes(), out.bytes());
        let (ta, tb, to) = (tensor(&a, &mut da), tensor(&b, &mut db), tensor(&out, &mut dout));
        // SAFETY: live handles; the places for the answers are the harness's own.
        let code = run(|w, e| unsafe { phase1(ta, tb, to, w, e) }, phase2);
        prop_assert_eq!(code, 0, "{}", crate::host::LAST_ERROR.take());
        let n = size(out.dtype);
        for (i, index) in indices(&shape).iter().enumerate() {
            let (x, y) = (rounded(kind, a.at(&shape, index)), rounded(kind, b.at(&shape, index)));
            let is = decode(out.dtype, &dout[i * n..][..n]);
            prop_assert_eq!(is, rounded(out.dtype, reference(x, y)), "at {:?}: {} and {}", index, x, y);
        }
        prop_assert!([ta, tb, to].into_iter().all(|t| aclDestroyTensor(t) == 0));
    }

    #[test]
    fn copies_cast_and_broadcast((_, a, _) in pairs(), dtype in prop::sample::select(&TYPES[..])) {
        let out = dense(dtype, &a.dims);
        let (mut da, mut dout) = (a.bytes(), out.bytes());
        let (ta, to) = (tensor(&a, &mut da), tensor(&out, &mut dout));
        // SAFETY: as above.
        let code = run(|w, e| unsafe { aclnnInplaceCopyGetWorkspaceSize(to, ta, w, e) }, aclnnInplaceCopy);
        prop_assert_eq!(code, 0);
        let n = size(dtype);
        for (i, index) in indices(&a.dims).iter().enumerate() {
            prop_assert_eq!(decode(dtype, &dout[i * n..][..n]), rounded(dtype, a.at(&a.dims, index)));
        }
        prop_assert!([ta, to].into_iter().all(|t| aclDestroyTensor(t) == 0));
    }

    #[test]
    fn sums_over_any_dimensions((_, a, _) in pairs(), mask in any::<u8>(), keep in any::<bool>()) {
        let named: Vec<i64> = (0..a.dims.len() as i64).filter(|d| mask & (1 << d) != 0).collect();
        let gone = |i: usize| named.is_empty() || named.contains(&(i as i64));
        let kept: Vec<i64> = a.dims.iter().enumerate().map(|(i, &d)| if gone(i) { 1 } else { d }).collect();
        let left: Vec<i64> = (0..a.dims.len()).filter(|&i| !gone(i)).map(|i| a.dims[i]).collect();
        let out = dense(0, if keep { &kept } else { &left });
        let (mut da, mut dout) = (a.bytes(), out.bytes());
        let (ta, to) = (tensor(&a, &mut da), tensor(&out, &mut dout));
        // SAFETY: as above.
        let dims = unsafe { aclCreateIntArray(named.as_ptr(), named.len() as u64) };
        // SAFETY: as above.
        let code = run(|w, e| unsafe { aclnnReduceSumGetWorkspaceSize(ta, dims, keep, 0, to, w, e) }, aclnnReduceSum);
        prop_assert_eq!(code, 0, "{}", crate::host::LAST_ERROR.take());
        for (i, index) in indices(&kept).iter().enumerate() {
            let inside = |x: &&Vec<i64>| (0..kept.len()).all(|d| gone(d) || x[d] == index[d]);
            let sum: f64 = indices(&a.dims).iter().filter(inside).map(|x| a.at(&a.dims, x)).sum();
            prop_assert_eq!(decode(0, &dout[i * 4..][..4]), f64::from(sum as f32), "at {:?}", index);
        }
        prop_assert!([ta, to].into_iter().all(|t| aclDestroyTensor(t) == 0));
        aclDestroyIntArray(dims);
    }

    /// Whatever handles, dimensions and types phase 1 gets, it answers; nothing is dereferenced.
    #[test]
    fn nonsense_is_refused(handles in prop::collection::vec(any::<usize>(), 3), dim in any::<i64>()) {
        let h = |i: usize| handles[i] as Handle;
        // SAFETY: wild handles are what is tried.
        unsafe {
            let (mut w, mut e) = (0, null_mut());
            prop_assert_ne!(aclnnMulGetWorkspaceSize(h(0), h(1), h(2), &mut w, &mut e), 0);
            prop_assert_ne!(aclnnSoftmaxGetWorkspaceSize(h(0), dim, h(2), &mut w, &mut e), 0);
            prop_assert_ne!(aclnnCatGetWorkspaceSize(h(1), dim, h(0), &mut w, &mut e), 0);
        }
        prop_assert_ne!(aclDestroyTensor(h(0)), 0);
        prop_assert_ne!(aclnnMul(null_mut(), 0, h(1), null_mut()), 0);
    }
}
