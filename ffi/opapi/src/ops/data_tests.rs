//! Operators that move, choose, order and accumulate elements, over random types and views, against plain loops.

use proptest::prelude::*;

use super::property_tests::{dense, *};
use super::tests::{Handle, floats, ints, last_error, op, run, scalar, tensor_of};
use super::*;
use crate::tensor::*;

/// A tensor of one to four dimensions, none of them empty.
fn some() -> impl Strategy<Value = Case> {
    prop::collection::vec(1i64..5, 1..5).prop_flat_map(|dims| case(dims, false))
}

/// Runs an operator from `a` into a dense tensor and compares each element with what `want` says for its index.
fn check(
    a: &Case,
    out: (i32, &[i64]),
    phase1: impl FnOnce(Handle, Handle, *mut u64, *mut Handle) -> i32,
    phase2: super::tests::Phase2,
    want: impl Fn(&[i64]) -> f64,
) -> Result<(), TestCaseError> {
    let (dtype, dims) = out;
    let out = dense(dtype, dims);
    let (mut da, mut dout) = (a.bytes(), out.bytes());
    let (ta, to) = (tensor(a, &mut da), tensor(&out, &mut dout));
    let code = run(|w, e| phase1(ta, to, w, e), phase2);
    prop_assert_eq!(code, 0, "{}", last_error());
    let n = size(dtype);
    for (i, index) in indices(dims).iter().enumerate() {
        let is = decode(dtype, &dout[i * n..][..n]);
        let should = rounded(dtype, want(index));
        prop_assert!(
            is == should || (is - should).abs() <= 1e-2 * should.abs(),
            "{is} not {should} at {index:?}"
        );
    }
    prop_assert!([ta, to].into_iter().all(|t| aclDestroyTensor(t) == 0));
    Ok(())
}

/// `index` with another value at `d`.
fn moved(index: &[i64], d: usize, to: i64) -> Vec<i64> {
    let mut index = index.to_vec();
    index[d] = to;
    index
}

proptest! {
    #[test]
    fn slices(a in some(), d: u8, start in -6i64..6, end in -6i64..9, step in 1i64..4) {
        let d = usize::from(d) % a.dims.len();
        let n = a.dims[d];
        let inside = |i: i64| if i < 0 { (i + n).max(0) } else { i.min(n) };
        let named: Vec<i64> = (inside(start)..inside(end)).step_by(step as usize).collect();
        let dims = moved(&a.dims, d, named.len() as i64);
        check(&a, (a.dtype, &dims),
            // SAFETY: live handles; the places for the answers are the harness's own.
            |x, o, w, e| unsafe { aclnnSliceGetWorkspaceSize(x, d as i64, start, end, step, o, w, e) }, aclnnSlice,
            |i| a.at(&a.dims, &moved(i, d, named[i[d] as usize])))?;
    }

    #[test]
    fn repetitions(a in some(), repeats in prop::collection::vec(1i64..4, 4), new in 0usize..2) {
        let new = new.min(4 - a.dims.len());
        let repeats = &repeats[..a.dims.len() + new];
        let padded: Vec<i64> = std::iter::repeat_n(1, new).chain(a.dims.iter().copied()).collect();
        let dims: Vec<i64> = padded.iter().zip(repeats).map(|(d, r)| d * r).collect();
        check(&a, (a.dtype, &dims),
            // SAFETY: as above.
            |x, o, w, e| unsafe { aclnnRepeatGetWorkspaceSize(x, ints(repeats), o, w, e) }, aclnnRepeat,
            |i| a.at(&a.dims, &i.iter().zip(&padded).skip(new).map(|(i, d)| i % d).collect::<Vec<_>>()))?;
    }

    #[test]
    fn interleaved_repetitions(a in some(), d: u8, times in 1i64..4) {
        let d = usize::from(d) % a.dims.len();
        let dims = moved(&a.dims, d, a.dims[d] * times);
        check(&a, (a.dtype, &dims),
            // SAFETY: as above.
            |x, o, w, e| unsafe { aclnnRepeatInterleaveIntWithDimGetWorkspaceSize(x, times, d as i64, dims[d], o, w, e) },
            aclnnRepeatInterleaveIntWithDim,
            |i| a.at(&a.dims, &moved(i, d, i[d] / times)))?;
    }

    #[test]
    fn constant_borders(a in some(), pad in prop::collection::vec(-1i64..3, 8), value in -4i8..4) {
        let rank = a.dims.len();
        let before = |d: usize| pad[2 * (rank - 1 - d)];
        let dims: Vec<i64> = (0..rank).map(|d| a.dims[d] + before(d) + pad[2 * (rank - 1 - d) + 1]).collect();
        prop_assume!(dims.iter().all(|&d| d >= 0));
        check(&a, (a.dtype, &dims),
            // SAFETY: as above.
            |x, o, w, e| unsafe { aclnnConstantPadNdGetWorkspaceSize(x, ints(&pad[..2 * rank]), scalar(value.into()), o, w, e) },
            aclnnConstantPadNd,
            |i| {
                let from: Vec<i64> = (0..rank).map(|d| i[d] - before(d)).collect();
                let inside = from.iter().zip(&a.dims).all(|(i, d)| (0..*d).contains(i));
                if inside { a.at(&a.dims, &from) } else { rounded(a.dtype, value.into()) }
            })?;
    }

    #[test]
    fn mirrored_and_repeated_borders(
        a in prop::collection::vec(2i64..5, 3..5).prop_flat_map(|dims| case(dims, false)),
        pad in prop::collection::vec(0i64..2, 4),
        mirror: bool,
    ) {
        let rank = a.dims.len();
        let before = |d: usize| if d + 2 >= rank { pad[2 * (rank - 1 - d)] } else { 0 };
        let after = |d: usize| if d + 2 >= rank { pad[2 * (rank - 1 - d) + 1] } else { 0 };
        let dims: Vec<i64> = (0..rank).map(|d| a.dims[d] + before(d) + after(d)).collect();
        let place = |d: usize, i: i64| {
            let (i, last) = (i - before(d), a.dims[d] - 1);
            if mirror { if i < 0 { -i } else if i > last { 2 * last - i } else { i } } else { i.clamp(0, last) }
        };
        check(&a, (a.dtype, &dims),
            // SAFETY: as above.
            |x, o, w, e| unsafe {
                if mirror { aclnnReflectionPad2dGetWorkspaceSize(x, ints(&pad), o, w, e) }
                else { aclnnReplicationPad2dGetWorkspaceSize(x, ints(&pad), o, w, e) }
            },
            if mirror { aclnnReflectionPad2d } else { aclnnReplicationPad2d },
            |i| a.at(&a.dims, &(0..rank).map(|d| place(d, i[d])).collect::<Vec<_>>()))?;
    }

    #[test]
    fn rolls_and_flips(a in some(), shifts in prop::collection::vec(-7i64..7, 2), d: u8) {
        let rank = a.dims.len();
        let along = [usize::from(d) % rank, usize::from(d / 16) % rank];
        let dims = [along[0] as i64, along[1] as i64];
        let back = |i: &[i64]| {
            let mut from = i.to_vec();
            for (&d, s) in along.iter().zip(&shifts) {
                from[d] = (from[d] - s).rem_euclid(a.dims[d]);
            }
            from
        };
        check(&a, (a.dtype, &a.dims),
            // SAFETY: as above.
            |x, o, w, e| unsafe { aclnnRollGetWorkspaceSize(x, ints(&shifts), ints(&dims), o, w, e) }, aclnnRoll,
            |i| a.at(&a.dims, &back(i)))?;
        check(&a, (a.dtype, &a.dims),
            // SAFETY: as above.
            |x, o, w, e| unsafe { aclnnFlipGetWorkspaceSize(x, ints(&dims[..1]), o, w, e) }, aclnnFlip,
            |i| a.at(&a.dims, &moved(i, along[0], a.dims[along[0]] - 1 - i[along[0]])))?;
    }

    #[test]
    fn triangles(a in prop::collection::vec(1i64..5, 2..5).prop_flat_map(|dims| case(dims, false)), diagonal in -4i64..5, upper: bool) {
        let r = a.dims.len();
        check(&a, (a.dtype, &a.dims),
            // SAFETY: as above.
            |x, o, w, e| unsafe {
                if upper { aclnnTriuGetWorkspaceSize(x, diagonal, o, w, e) } else { aclnnTrilGetWorkspaceSize(x, diagonal, o, w, e) }
            },
            if upper { aclnnTriu } else { aclnnTril },
            |i| {
                let offset = i[r - 1] - i[r - 2];
                if if upper { offset >= diagonal } else { offset <= diagonal } { a.at(&a.dims, i) } else { 0.0 }
            })?;
    }

    #[test]
    fn selections_and_gathers(a in some(), d: u8, picks in prop::collection::vec(0i64..60, 1..6), wide: bool) {
        let d = usize::from(d) % a.dims.len();
        let mut named: Vec<i64> = picks.iter().map(|p| p % a.dims[d]).collect();
        let n = named.len() as i64;
        let dims = moved(&a.dims, d, n);
        let mut narrow: Vec<i32> = named.iter().map(|&i| i as i32).collect();
        let index = if wide { tensor_of(&mut named.clone(), 9, &[n], None, 0) } else { tensor_of(&mut narrow, 3, &[n], None, 0) };
        if wide {
            // A copy would dangle; the harness keeps this one.
            aclDestroyTensor(index);
        }
        let index = if wide { tensor_of(&mut named, 9, &[n], None, 0) } else { index };
        check(&a, (a.dtype, &dims),
            // SAFETY: as above.
            |x, o, w, e| unsafe { aclnnIndexSelectGetWorkspaceSize(x, d as i64, index, o, w, e) }, aclnnIndexSelect,
            |i| a.at(&a.dims, &moved(i, d, named[i[d] as usize])))?;
        // The same indices for every place beside the dimension: as a gather.
        let strides: Vec<i64> = (0..dims.len()).map(|e| i64::from(e == d)).collect();
        let broad = tensor_of(&mut named, 9, &dims, Some(&strides), 0);
        check(&a, (a.dtype, &dims),
            // SAFETY: as above.
            |x, o, w, e| unsafe { aclnnGatherGetWorkspaceSize(x, d as i64, broad, o, w, e) }, aclnnGather,
            |i| a.at(&a.dims, &moved(i, d, picks[i[d] as usize] % a.dims[d])))?;
    }

    #[test]
    fn sorts(a in some(), d: u8, descending: bool) {
        let d = usize::from(d) % a.dims.len();
        // Where each element of a row goes: by value, then by place.
        let ranked = |i: &[i64]| {
            let mut row: Vec<(f64, i64)> = (0..a.dims[d]).map(|k| (a.at(&a.dims, &moved(i, d, k)), k)).collect();
            let order = |x: f64, y: f64| x.partial_cmp(&y).unwrap();
            row.sort_by(|x, y| if descending { order(y.0, x.0) } else { order(x.0, y.0) });
            row[i[d] as usize]
        };
        let dtype = a.dtype;
        check(&a, (9, &a.dims),
            // SAFETY: as above.
            |x, o, w, e| unsafe { aclnnArgsortGetWorkspaceSize(x, d as i64, descending, o, w, e) }, aclnnArgsort,
            |i| ranked(i).1 as f64)?;
        let mut places = vec![0i64; a.dims.iter().product::<i64>() as usize];
        let k = (a.dims[d] + 1) / 2;
        let dims = moved(&a.dims, d, k);
        let indices = tensor_of(&mut places, 9, &dims, None, 0);
        check(&a, (dtype, &dims),
            // SAFETY: as above.
            |x, o, w, e| unsafe { aclnnTopkGetWorkspaceSize(x, k, d as i64, descending, true, o, indices, w, e) }, aclnnTopk,
            |i| ranked(i).0)?;
    }

    #[test]
    fn running_sums(a in some(), d: u8, product: bool) {
        let d = usize::from(d) % a.dims.len();
        let upto = |i: &[i64]| (0..=i[d]).map(|k| a.at(&a.dims, &moved(i, d, k))).collect::<Vec<f64>>();
        // SAFETY: points to an integer.
        let dim = unsafe { aclCreateScalar((&raw const d).cast_mut().cast(), 9) };
        check(&a, (0, &a.dims),
            // SAFETY: as above.
            |x, o, w, e| unsafe {
                if product { aclnnCumprodGetWorkspaceSize(x, dim, 0, o, w, e) } else { aclnnCumsumGetWorkspaceSize(x, d as i64, 0, o, w, e) }
            },
            if product { aclnnCumprod } else { aclnnCumsum },
            |i| if product { upto(i).iter().product() } else { upto(i).iter().sum() })?;
    }
}

#[test]
fn slices_go_into_named_places() {
    let mut a = [0f32; 6];
    let (mut rows, mut source) = ([2i64, 0], [1f32, 2., 3., 4.]);
    let (ta, tr) = (floats(&mut a, &[3, 2]), tensor_of(&mut rows, 9, &[2], None, 0));
    let ts = floats(&mut source, &[2, 2]);
    assert_eq!(op!(aclnnInplaceIndexCopy, ta, 0, tr, ts), 0);
    assert_eq!(a, [3., 4., 0., 0., 1., 2.]);
    let mut sum = [0f32; 6];
    assert_eq!(op!(aclnnIndexAdd, ta, 0, tr, ts, scalar(2.0), floats(&mut sum, &[3, 2])), 0);
    assert_eq!(sum, [9., 12., 0., 0., 3., 6.]);
    assert_eq!(op!(aclnnInplaceIndexFillTensor, ta, 1, ints(&[1, -2]), scalar(7.0)), 0);
    assert_eq!(a, [7.; 6]);
    assert_eq!(op!(aclnnInplaceIndexFillTensor, ta, 1, ints(&[2]), scalar(7.0)), 161_002);
    assert_eq!(op!(aclnnInplaceIndexFill, ta, 0, tr, scalar(1.0)), 0);
    assert_eq!(a, [1., 1., 7., 7., 1., 1.]);
    assert_eq!(op!(aclnnInplaceIndexCopy, ta, 1, tr, ts), 161_002);
}

#[test]
fn elements_are_scattered() {
    let mut a = [1f32; 6];
    let (mut index, mut src) = ([0i64, 1, 1, 0], [2f32, 3., 4., 5.]);
    let (ta, ti) = (floats(&mut a, &[2, 3]), tensor_of(&mut index, 9, &[2, 2], None, 0));
    let (ts, mut o) = (floats(&mut src, &[2, 2]), [0f32; 6]);
    let to = floats(&mut o, &[2, 3]);
    assert_eq!(op!(aclnnScatter, ta, 0, ti, ts, 0, to), 0);
    assert_eq!(o, [2., 5., 1., 4., 3., 1.]);
    assert_eq!(op!(aclnnScatterAdd, ta, 1, ti, ts, to), 0);
    assert_eq!(o, [3., 4., 1., 6., 5., 1.]);
    assert_eq!(op!(aclnnInplaceScatterValue, ta, 1, ti, scalar(3.0), 2), 0);
    assert_eq!(a, [3., 3., 1., 3., 3., 1.]);
    assert_eq!(op!(aclnnScatter, ta, 0, ti, ts, 9, to), 161_002);
}

#[test]
fn extremes_up_to_here() {
    let mut a = [1f32, 3., 2., f32::NAN, 5.];
    let (mut v, mut i) = ([0f32; 5], [0i64; 5]);
    let (ta, tv, ti) = (floats(&mut a, &[5]), floats(&mut v, &[5]), tensor_of(&mut i, 9, &[5], None, 0));
    assert_eq!(op!(aclnnCummax, ta, 0, tv, ti), 0);
    assert_eq!((&v[..3], &i), (&[1., 3., 3.][..], &[0, 1, 1, 3, 3]));
    assert!(v[3].is_nan() && v[4].is_nan());
    assert_eq!(op!(aclnnCummin, ta, 0, tv, ti), 0);
    assert_eq!((v[2], i[2]), (1., 0));
}

#[test]
fn sorting_puts_nan_last_and_keeps_order() {
    let mut a = [2f32, f32::NAN, -0.0, 0.0, f32::NEG_INFINITY, 2.0];
    let (mut v, mut i) = ([0f32; 6], [0i64; 6]);
    let (ta, tv, ti) = (floats(&mut a, &[6]), floats(&mut v, &[6]), tensor_of(&mut i, 9, &[6], None, 0));
    assert_eq!(op!(aclnnSort, ta, true, 0, false, tv, ti), 0);
    assert_eq!(i, [4, 2, 3, 0, 5, 1]);
    assert_eq!(op!(aclnnSort, ta, true, 0, true, tv, ti), 0);
    assert_eq!(i, [1, 0, 5, 2, 3, 4]);
    assert!(v[0].is_nan() && v[1] == 2.0);
}

#[test]
fn identity_and_parts() {
    let mut e = [9f32; 6];
    assert_eq!(op!(aclnnEye, 2, 3, floats(&mut e, &[2, 3])), 0);
    assert_eq!(e, [1., 0., 0., 0., 1., 0.]);
    let (mut a, mut b) = ([0f32; 2], [0f32; 4]);
    let parts = [floats(&mut a, &[2, 1]), floats(&mut b, &[2, 2])];
    // SAFETY: two live handles.
    let list = unsafe { aclCreateTensorList(parts.as_ptr().cast(), 2) };
    assert_eq!(op!(aclnnSplitWithSize, floats(&mut e, &[2, 3]), ints(&[1, 2]), 1, list), 0);
    assert_eq!((a, b), ([1., 0.], [0., 0., 1., 0.]));
}
