//! Operators through their C functions, on host memory, against plain loops.

use std::ffi::c_void;
use std::ptr::null_mut;

use super::*;
use crate::executor::{aclDestroyAclOpExecutor, aclSetAclOpExecutorRepeatable};
use crate::host::LAST_ERROR;
use crate::tensor::*;

pub type Handle = *mut c_void;

pub fn tensor_of<T>(
    data: &mut [T],
    dtype: i32,
    dims: &[i64],
    strides: Option<&[i64]>,
    offset: i64,
) -> Handle {
    let storage = [data.len() as i64];
    let strides = strides.map_or(std::ptr::null(), <[i64]>::as_ptr);
    // SAFETY: arrays as long as their counts say.
    unsafe {
        aclCreateTensor(
            dims.as_ptr(),
            dims.len() as u64,
            dtype,
            strides,
            offset,
            2,
            storage.as_ptr(),
            1,
            data.as_mut_ptr().cast(),
        )
    }
}

pub fn floats(data: &mut [f32], dims: &[i64]) -> Handle {
    tensor_of(data, 0, dims, None, 0)
}

pub fn scalar(v: f32) -> Handle {
    // SAFETY: points to a float.
    unsafe { aclCreateScalar((&raw const v).cast_mut().cast(), 0) }
}

pub fn ints(v: &[i64]) -> Handle {
    // SAFETY: as long as it says.
    unsafe { aclCreateIntArray(v.as_ptr(), v.len() as u64) }
}

pub type Phase2 = extern "C" fn(*mut c_void, u64, *mut c_void, *mut c_void) -> i32;

/// Both phases.
pub fn run(phase1: impl FnOnce(*mut u64, *mut Handle) -> i32, phase2: Phase2) -> i32 {
    let (mut size, mut executor) = (0, null_mut());
    match phase1(&mut size, &mut executor) {
        0 => {
            let mut workspace = vec![0u64; size as usize / 8 + 1];
            phase2(workspace.as_mut_ptr().cast(), size, executor, null_mut())
        }
        code => code,
    }
}

macro_rules! op {
    ($name:ident $(, $arg:expr)*) => { paste::paste! {
        // SAFETY: the places for the answers are the harness's own.
        run(|w, e| unsafe { [<$name GetWorkspaceSize>]($($arg,)* w, e) }, $name)
    } };
}

pub(super) use op;

pub fn last_error() -> String {
    LAST_ERROR.take()
}

#[test]
fn add_broadcasts_and_scales() {
    let (mut a, mut b, mut o) = ([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [10.0, 20.0], [0.0f32; 6]);
    let (ta, tb, to) = (floats(&mut a, &[2, 3]), floats(&mut b, &[2, 1]), floats(&mut o, &[2, 3]));
    assert_eq!(op!(aclnnAdd, ta, tb, scalar(0.5), to), 0);
    assert_eq!(o, [6.0, 7.0, 8.0, 14.0, 15.0, 16.0]);
}

#[test]
fn views_are_read_and_written_as_views() {
    let mut a: Vec<f32> = (0..12).map(|x| x as f32).collect();
    let mut o = vec![-1.0f32; 12];
    // Columns 1 and 2 of a 3×4 matrix, transposed, into every second element.
    let ta = tensor_of(&mut a, 0, &[2, 3], Some(&[1, 4]), 1);
    let to = tensor_of(&mut o, 0, &[2, 3], Some(&[6, 2]), 0);
    assert_eq!(op!(aclnnInplaceCopy, to, ta), 0);
    assert_eq!(o, [1., -1., 5., -1., 9., -1., 2., -1., 6., -1., 10., -1.]);
}

#[test]
fn errors_have_codes_and_sentences() {
    let (mut a, mut b) = ([0f32; 3], [0f32; 4]);
    let (ta, tb) = (floats(&mut a, &[3]), floats(&mut b, &[4]));
    assert_eq!(op!(aclnnMul, ta, null_mut(), ta), 161_001);
    assert!(last_error().contains("argument other is a null pointer"));
    assert_eq!(op!(aclnnMul, ta, tb, ta), 161_002);
    assert!(last_error().contains("[3] and [4] do not broadcast"));
    assert_eq!(op!(aclnnMul, ta, scalar(1.0), ta), 161_002);
    assert!(last_error().contains("other is not a live aclTensor"));
    assert_eq!(aclDestroyTensor(tb), 0);
    assert_eq!(aclDestroyTensor(tb), 161_002, "destroyed twice");
    assert_eq!(op!(aclnnMul, ta, tb, ta), 161_002);
    assert_eq!(op!(aclnnMul, ta, a.as_ptr() as Handle, ta), 161_002, "a wild pointer");
    let mut i = [0i32; 3];
    let ti = tensor_of(&mut i, 3, &[3], None, 0);
    assert_eq!(op!(aclnnExp, ta, ti), 161_002);
    assert!(last_error().contains("does not fit"));
    // SAFETY: null answers are what is tried.
    assert_eq!(unsafe { aclnnExpGetWorkspaceSize(ta, ta, null_mut(), null_mut()) }, 161_001);
}

#[test]
fn an_executor_is_used_once_unless_repeatable_and_only_by_its_operator() {
    let mut a = [1f32; 3];
    let t = floats(&mut a, &[3]);
    let (mut size, mut e) = (0, null_mut());
    // SAFETY: the places for the answers are locals.
    let prepare = |s: &mut u64, e: &mut Handle| unsafe {
        aclnnInplaceAddsGetWorkspaceSize(t, scalar(1.0), scalar(1.0), s, e)
    };
    assert_eq!(prepare(&mut size, &mut e), 0);
    assert_eq!(aclnnInplaceMuls(null_mut(), 0, e, null_mut()), 161_002);
    assert_eq!(aclnnInplaceAdds(null_mut(), 0, e, null_mut()), 0);
    assert_eq!(aclnnInplaceAdds(null_mut(), 0, e, null_mut()), 161_002);
    assert_eq!(prepare(&mut size, &mut e), 0);
    assert_eq!(aclSetAclOpExecutorRepeatable(e), 0);
    (0..3).for_each(|_| assert_eq!(aclnnInplaceAdds(null_mut(), 0, e, null_mut()), 0));
    assert_eq!(aclDestroyAclOpExecutor(e), 0);
    assert_eq!(a, [5.0; 3]);
}

#[test]
fn division_of_integers() {
    let (mut a, mut b, mut o, mut f) = ([7i32, -7, 7, -7], [2i32, 2, -2, -2], [0i32; 4], [0f32; 4]);
    let t = |d: &mut [i32; 4]| tensor_of(d, 3, &[4], None, 0);
    let (ta, tb, to) = (t(&mut a), t(&mut b), t(&mut o));
    assert_eq!(op!(aclnnDiv, ta, tb, floats(&mut f, &[4])), 0);
    assert_eq!(f, [3.5, -3.5, -3.5, 3.5]);
    assert_eq!(op!(aclnnDivMod, ta, tb, 1, to), 0);
    assert_eq!(o, [3, -3, -3, 3]);
    assert_eq!(op!(aclnnDivMod, ta, tb, 2, to), 0);
    assert_eq!(o, [3, -4, -4, 3]);
    assert_eq!(op!(aclnnDivMod, ta, tb, 3, to), 161_002);
}

#[test]
fn products_of_all_ranks() {
    let mut a: Vec<f32> = (0..24).map(|x| x as f32).collect();
    let mut b: Vec<f32> = (0..12).map(|x| (x % 5) as f32).collect();
    let mut o = vec![0f32; 18];
    let expect = |batch: usize| -> Vec<f32> {
        let at = |n, i, j| (0..4).map(|k| (n * 12 + i * 4 + k) as f32 * ((k * 3 + j) % 5) as f32).sum();
        (0..batch * 9).map(|x| at(x / 9, x / 3 % 3, x % 3)).collect()
    };
    let b43 = floats(&mut b, &[4, 3]);
    assert_eq!(op!(aclnnMatmul, floats(&mut a, &[2, 3, 4]), b43, floats(&mut o, &[2, 3, 3]), 0), 0);
    assert_eq!(o, expect(2));
    let mut c = [1f32, 2., 3.];
    let tc = floats(&mut c, &[3]);
    let out = floats(&mut o[..9], &[3, 3]);
    assert_eq!(op!(aclnnAddmm, tc, floats(&mut a[..12], &[3, 4]), b43, scalar(2.0), scalar(0.5), out, 0), 0);
    let e: Vec<f32> = expect(1).iter().enumerate().map(|(i, x)| x * 0.5 + 2.0 * (i % 3 + 1) as f32).collect();
    assert_eq!(o[..9], e);
    let mut v = [0f32; 3];
    assert_eq!(op!(aclnnMatmul, floats(&mut a[..4], &[4]), b43, floats(&mut v, &[3]), 0), 0);
    assert_eq!(v, expect(1)[..3]);
    assert_eq!(op!(aclnnMm, b43, b43, out, 0), 161_002);
    assert!(last_error().contains("3 columns and 4 rows"));
}

#[test]
fn reductions_and_their_shapes() {
    let mut a: Vec<f32> = (0..6).map(|x| x as f32).collect();
    let (mut o, mut one, mut index) = ([0f32; 3], [0f32], [0i64; 2]);
    let ta = floats(&mut a, &[2, 3]);
    assert_eq!(op!(aclnnReduceSum, ta, ints(&[0]), false, 0, floats(&mut o, &[3])), 0);
    assert_eq!(o, [3., 5., 7.]);
    assert_eq!(op!(aclnnMean, ta, ints(&[]), false, 0, floats(&mut one, &[])), 0);
    assert_eq!(one, [2.5]);
    assert_eq!(op!(aclnnReduceSum, ta, ints(&[]), false, 0, floats(&mut one, &[1])), 0);
    assert_eq!(one, [15.]);
    assert_eq!(op!(aclnnArgMax, ta, -1, false, tensor_of(&mut index, 9, &[2], None, 0)), 0);
    assert_eq!(index, [2, 2]);
    assert_eq!(op!(aclnnReduceSum, ta, ints(&[0, -2]), false, 0, floats(&mut o, &[3])), 161_002);
    assert_eq!(op!(aclnnReduceSum, ta, ints(&[2]), false, 0, floats(&mut o, &[3])), 161_002);
}

#[test]
fn loss_and_its_gradient() {
    let mut x = [0.1f32, 0.2, 0.7, 0.5, 0.3, 0.2];
    let mut y = [0f32; 6];
    let (mut t, mut w, mut loss, mut total) = ([2i64, 0], [1f32, 1., 1.], [0f32], [0f32]);
    let (tx, ty) = (floats(&mut x, &[2, 3]), floats(&mut y, &[2, 3]));
    assert_eq!(op!(aclnnLogSoftmax, tx, 1, ty), 0);
    let sums: Vec<f32> = y.chunks(3).map(|r| r.iter().map(|v| v.exp()).sum()).collect();
    assert!(sums.iter().all(|s| (s - 1.0).abs() < 1e-6));
    let tt = tensor_of(&mut t, 9, &[2], None, 0);
    let (tw, tl, tot) = (floats(&mut w, &[3]), floats(&mut loss, &[]), floats(&mut total, &[]));
    assert_eq!(op!(aclnnNLLLoss, ty, tt, tw, 1, -100, tl, tot), 0);
    assert!((loss[0] + (y[2] + y[3]) / 2.0).abs() < 1e-6 && total[0] == 2.0);
    let (mut g, mut grad) = ([1f32], [9f32; 6]);
    assert_eq!(
        op!(aclnnNLLLossBackward, floats(&mut g, &[]), ty, tt, tw, 1, -100, tot, floats(&mut grad, &[2, 3])),
        0
    );
    assert_eq!(grad, [0., 0., -0.5, -0.5, 0., 0.]);
}

#[test]
fn joining_and_permuting() {
    let (mut a, mut b, mut o) = ([1f32, 2., 3., 4.], [5f32, 6.], [0f32; 6]);
    let parts = [floats(&mut a, &[2, 2]), floats(&mut b, &[2, 1])];
    // SAFETY: two live handles.
    let list = unsafe { aclCreateTensorList(parts.as_ptr().cast(), 2) };
    assert_eq!(op!(aclnnCat, list, 1, floats(&mut o, &[2, 3])), 0);
    assert_eq!(o, [1., 2., 5., 3., 4., 6.]);
    assert_eq!(aclDestroyTensorList(list), 0);
    assert_eq!(aclDestroyTensor(parts[0]), 161_002, "the list owned it");
    let mut t = [0f32; 6];
    assert_eq!(op!(aclnnPermute, floats(&mut o, &[2, 3]), ints(&[1, 0]), floats(&mut t, &[3, 2])), 0);
    assert_eq!(t, [1., 3., 2., 4., 5., 6.]);
}
