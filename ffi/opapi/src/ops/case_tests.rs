//! Single cases that were wrong, most of them found by comparing CANN's examples with PyTorch.

use std::ptr::null_mut;

use super::forms_tests::list;
use super::tests::{floats, last_error, op, run, tensor_of};
use super::*;
use crate::tensor::{aclDestroyTensor, aclInitTensor};

#[test]
fn hardswish_goes_back_at_its_ends() {
    let mut x = [-4.0, -3.0, 0.0, 3.0, 4.0];
    let mut g = [1.0, 2.0, 3.0, 4.0, 5.0];
    let mut out = [9.0f32; 5];
    let mut slopes = |v2: bool| {
        let (g, x, o) = (floats(&mut g, &[5]), floats(&mut x, &[5]), floats(&mut out, &[5]));
        let code =
            if v2 { op!(aclnnHardswishBackwardV2, g, x, o) } else { op!(aclnnHardswishBackward, g, x, o) };
        assert_eq!(code, 0);
        out
    };
    assert_eq!(slopes(false), [0.0, -1.0, 1.5, 6.0, 5.0]);
    assert_eq!(slopes(true), [0.0, 0.0, 1.5, 4.0, 5.0]);
}

#[test]
fn what_was_found_before_stays_where_gradients_are_finite() {
    let mut scale = [0.5];
    for (before, gradient, after) in
        [(-1.0, 6.0, -1.0), (1.0, 6.0, 1.0), (0.0, f32::INFINITY, 1.0), (-1.0, f32::NAN, 1.0)]
    {
        let (mut a, mut b, mut found) = ([2.0, gradient], [4.0], [before]);
        let grads = list(&[floats(&mut a, &[2]), floats(&mut b, &[1])]);
        assert_eq!(
            op!(
                aclnnForeachNonFiniteCheckAndUnscale,
                grads,
                floats(&mut found, &[1]),
                floats(&mut scale, &[1])
            ),
            0
        );
        assert_eq!((a[0], b, found), (1.0, [2.0], [after]));
    }
}

#[test]
fn a_map_may_name_fewer_places_or_more() {
    let permute = |map: [u8; 6], rows: i64| {
        let (mut x, mut map) = ([1.0, 2.0, 3.0], map);
        let (mut out, mut sorted) = (vec![0.0f32; rows as usize], vec![0i32; rows as usize]);
        let (tx, tm) = (floats(&mut x, &[3, 1]), tensor_of(&mut map, 12, &[3, 2], None, 0));
        let (to, ts) = (floats(&mut out, &[rows, 1]), tensor_of(&mut sorted, 3, &[rows], None, 0));
        let code =
            op!(aclnnMoeTokenPermuteWithRoutingMap, tx, tm, null_mut(), rows, false, to, null_mut(), ts);
        assert_eq!(code, 0, "{}", last_error());
        assert!(sorted.iter().all(|i| (0..rows as i32).contains(i)), "{sorted:?}");
        out
    };
    assert_eq!(permute([1, 0, 0, 0, 1, 0], 6)[..2], [1.0, 3.0]);
    assert_eq!(permute([1; 6], 3), [1.0, 2.0, 3.0]);
}

#[test]
fn scales_of_products_change_along_the_steps() {
    // Two groups of two steps, two columns.
    let (mut a, mut b) = ([1i8, 2, 3, 4], [1i8, 2, 3, 4, 5, 6, 7, 8]);
    let (mut rows, mut columns, mut off) = ([0.5], [1.0, 10.0, 2.0, 20.0], [1.0, 0.0, 0.0, 1.0]);
    let (mut y, mut bias, mut out) = ([100.0, 200.0], [0.25, 0.75], [0.0f32; 2]);
    let (x1, x2) = (tensor_of(&mut a, 2, &[1, 4], None, 0), tensor_of(&mut b, 2, &[4, 2], None, 0));
    let none = null_mut();
    let (r, c, o) = (floats(&mut rows, &[1]), floats(&mut columns, &[2, 2]), floats(&mut off, &[2, 2]));
    let (y, bias, to) = (floats(&mut y, &[2]), floats(&mut bias, &[2]), floats(&mut out, &[1, 2]));
    let code = op!(aclnnQuantMatmulV5, x1, x2, r, c, none, none, o, y, bias, false, false, 2, to);
    assert_eq!(code, 0, "{}", last_error());
    // Column 0: (0 + 2 * 2) * 1 + (3 * 5 + 4 * 7) * 2; column 1: (2 + 2 * 4) * 10 + (3 * 5 + 4 * 7) * 20.
    assert_eq!(out, [(4.0 + 86.0 + 100.0) * 0.5 + 0.25, (100.0 + 860.0 + 200.0) * 0.5 + 0.75]);

    // Blocks of columns, a scale for each row and group; x2 is turned.
    let mut scales = [1.0, 2.0];
    let (mut blocks, mut turned, mut out) = ([1.0, 10.0], [1i8, 3, 5, 7, 2, 4, 6, 8], [0.0f32; 2]);
    let x2 = tensor_of(&mut turned, 2, &[2, 4], None, 0);
    let (r, c) = (floats(&mut scales, &[1, 2]), floats(&mut blocks, &[1, 2]));
    let (to, group) = (floats(&mut out, &[1, 2]), 2 | 2 << 16 | 1 << 32);
    let code = op!(aclnnQuantMatmulV5, x1, x2, r, c, none, none, none, none, none, false, true, group, to);
    assert_eq!(code, 0, "{}", last_error());
    assert_eq!(out, [(1.0 + 6.0) + (15.0 + 28.0) * 20.0, (2.0 + 8.0) + (18.0 + 32.0) * 20.0]);
}

#[test]
fn a_tensor_may_become_another() {
    let (mut x, mut out) = ([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [0.0f32; 6]);
    let t = floats(&mut x, &[2, 3]);
    let (dims, strides, storage) = ([3, 2], [1, 3], [6]);
    // SAFETY: arrays as long as their counts say.
    let init = |t, data: &mut [f32]| unsafe {
        aclInitTensor(
            t,
            dims.as_ptr(),
            2,
            0,
            strides.as_ptr(),
            0,
            2,
            storage.as_ptr(),
            1,
            data.as_mut_ptr().cast(),
        )
    };
    assert_eq!(init(t, &mut x), 0);
    assert_eq!(op!(aclnnNeg, t, floats(&mut out, &[3, 2])), 0);
    assert_eq!(out, [-1.0, -4.0, -2.0, -5.0, -3.0, -6.0]);
    aclDestroyTensor(t);
    assert_eq!(init(t, &mut x), 161_002);
    assert!(last_error().contains("not a live aclTensor"));
}

#[test]
fn clipped_swiglu_has_the_rows_of_its_groups() {
    let (mut x, mut out) = ([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [9.0f32; 3]);
    let mut groups = [1i64, 1];
    let (tx, tg) = (floats(&mut x, &[3, 2]), tensor_of(&mut groups, 9, &[2], None, 0));
    let to = floats(&mut out, &[3, 1]);
    assert_eq!(op!(aclnnClippedSwiglu, tx, tg, -1, 1.0, 7.0, 1.0, false, to), 0, "{}", last_error());
    let wanted = [(1.0f32, 2.0f32), (3.0, 4.0)].map(|(a, b)| a / (1.0 + (-a).exp()) * (b + 1.0));
    assert!(
        out.iter().zip(wanted).all(|(is, wanted)| (is - wanted).abs() < 1e-5),
        "{out:?} instead of {wanted:?}"
    );
    assert_eq!(out[2], 9.0);
}
