//! Parts, repetitions, borders and turns: copies between views, and nothing else.

use std::sync::Arc;

use super::declare::operators;
use super::elementwise::check_shape;
use super::movement::{copy, dense, fill};
use crate::error::{Result, invalid};
use crate::objects::Scalar;
use crate::program::{Attr, Program};
use crate::view::{View, wrap_dim};

operators! {
    "slice" { /// out = indices start, start + step, .. before end of self along dim.
        aclnnSlice(self_: Tensor, dim: Int, start: Int, end: Int, step: Int, out: Out) => slice; }
    "repeat" { /// out = self repeated so many times along each dimension.
        aclnnRepeat(self_: Tensor, repeats: Ints, out: Out) => |p, a, r: Arc<[i64]>, o| repeat(p, &a, &r, &o); }
    "repeat_interleave" { /// out = self with each index of dim repeated.
        aclnnRepeatInterleaveIntWithDim(self_: Tensor, repeats: Int, dim: Int, outputSize: Int, out: Out) => interleave;
        /// out = the elements of self in order, each repeated.
        aclnnRepeatInterleaveInt(self_: Tensor, repeats: Int, outputSize: Int, out: Out) => interleave_all; }
    "expand" { /// out = self broadcast to size.
        aclnnExpand(self_: Tensor, size: Ints, out: Out) => |p, a: View, s: Arc<[i64]>, o| { check_shape(&o, &s)?; copy(p, &a, &o) }; }
    "flip" { /// out = self with the order along each of dims turned round.
        aclnnFlip(self_: Tensor, dims: Ints, out: Out) => flip; }
    "roll" { /// out = self moved by shifts along dims, what leaves at one end entering at the other.
        aclnnRoll(x: Tensor, shifts: Ints, dims: Ints, out: Out) => roll; }
    "constant_pad_nd" { /// out = self with a border of value; pad gives before and after for the last dimension, then for the one before it.
        aclnnConstantPadNd(self_: Tensor, pad: Ints, value: Number, out: Out) => |p, a, d: Arc<[i64]>, v, o| constant_pad(p, &a, &d, v, &o); }
    "reflection_pad1d" { /// out = self with a border that mirrors it, without its edge, along the last dimension.
        aclnnReflectionPad1d(self_: Tensor, padding: Ints, out: Out) => |p, a, d: Arc<[i64]>, o| mirror_pad(p, &a, &d, 1, Border::Reflect, &o); }
    "reflection_pad2d" { /// As aclnnReflectionPad1d, along the last two dimensions.
        aclnnReflectionPad2d(self_: Tensor, padding: Ints, out: Out) => |p, a, d: Arc<[i64]>, o| mirror_pad(p, &a, &d, 2, Border::Reflect, &o); }
    "reflection_pad3d" { /// As aclnnReflectionPad1d, along the last three dimensions.
        aclnnReflectionPad3d(self_: Tensor, padding: Ints, out: Out) => |p, a, d: Arc<[i64]>, o| mirror_pad(p, &a, &d, 3, Border::Reflect, &o); }
    "replication_pad1d" { /// out = self with its edge repeated along the last dimension.
        aclnnReplicationPad1d(self_: Tensor, padding: Ints, out: Out) => |p, a, d: Arc<[i64]>, o| mirror_pad(p, &a, &d, 1, Border::Repeat, &o); }
    "replication_pad2d" { /// As aclnnReplicationPad1d, along the last two dimensions.
        aclnnReplicationPad2d(self_: Tensor, padding: Ints, out: Out) => |p, a, d: Arc<[i64]>, o| mirror_pad(p, &a, &d, 2, Border::Repeat, &o); }
    "replication_pad3d" { /// As aclnnReplicationPad1d, along the last three dimensions.
        aclnnReplicationPad3d(self_: Tensor, padding: Ints, out: Out) => |p, a, d: Arc<[i64]>, o| mirror_pad(p, &a, &d, 3, Border::Repeat, &o); }
    "triu" { /// out = self on and right of a diagonal of each matrix, else 0.
        aclnnTriu(self_: Tensor, diagonal: Int, out: Out) => |p, a, d, o| triangle(p, &a, d, true, &o);
        /// As aclnnTriu, in place.
        aclnnInplaceTriu(selfRef: Ref, diagonal: Int) => |p, a: View, d| triangle(p, &a, d, true, &a); }
    "tril" { /// out = self on and left of a diagonal of each matrix, else 0.
        aclnnTril(self_: Tensor, diagonal: Int, out: Out) => |p, a, d, o| triangle(p, &a, d, false, &o);
        /// As aclnnTril, in place.
        aclnnInplaceTril(selfRef: Tensor, diagonal: Int) => |p, a: View, d| triangle(p, &a, d, false, &a); }
    "eye" { /// out = 1 on the diagonal of an n by m matrix, else 0.
        aclnnEye(n: Int, m: Int, out: Out) => eye; }
    "split_with_size" { /// out = parts of self along dim, of the given sizes.
        aclnnSplitWithSize(self_: Tensor, splitSize: Ints, dim: Int, out: OutTensors) => split_with_size; }
}

fn slice(p: &mut Program, a: View, dim: i64, start: i64, end: i64, step: i64, out: View) -> Result<()> {
    let d = wrap_dim(dim, a.rank())?;
    if a.rank() == 0 || step <= 0 {
        return Err(invalid!("a slice of shape {:?} with step {step}", a.dims));
    }
    let n = a.dims[d];
    let inside = |i: i64| (if i < 0 { i.saturating_add(n) } else { i }).clamp(0, n);
    let (start, end) = (inside(start), inside(end));
    let length = (end - start).max(0).unsigned_abs().div_ceil(step.unsigned_abs()) as i64;
    let part = a.narrow(d, start, length, step);
    check_shape(&out, &part.dims)?;
    copy(p, &part, &out)
}

/// out = `a`, which has fewer dimensions than out at most, repeated.
pub fn repeat(p: &mut Program, a: &View, repeats: &[i64], out: &View) -> Result<()> {
    let new = repeats.len().checked_sub(a.rank());
    let new = new.ok_or_else(|| invalid!("{repeats:?} are fewer than the dimensions of {:?}", a.dims))?;
    let a = a.unsqueeze(&(0..new).collect::<Vec<_>>());
    let shape: Vec<_> = a.dims.iter().zip(repeats).map(|(&d, &r)| d.wrapping_mul(r)).collect();
    if repeats.iter().any(|&r| r < 0) {
        return Err(invalid!("{repeats:?} repetitions"));
    }
    check_shape(out, &shape)?;
    repeat_from(p, &a, repeats, 0, out)
}

/// Repeats along the dimensions from `first` on: each as one more dimension of the output if there is room for it,
/// else as several copies.
fn repeat_from(p: &mut Program, a: &View, repeats: &[i64], first: usize, out: &View) -> Result<()> {
    // Positions in `a` and `out` move as dimensions are put in before them.
    let moved = out.rank() - repeats.len();
    let Some(d) = (first..repeats.len()).find(|&d| repeats[d] != 1) else { return copy(p, a, out) };
    let (at, n) = (d + moved, a.dims[d + moved]);
    if out.elements() == 0 {
        return Ok(());
    }
    if out.rank() < vinci_hw::args::MAX_RANK {
        let a = a.unsqueeze(&[at]).narrow(at, 0, 1, 1);
        return repeat_from(p, &a, repeats, d + 1, &out.split(at, &[repeats[d], n]));
    }
    (0..repeats[d]).try_for_each(|i| repeat_from(p, a, repeats, d + 1, &out.narrow(at, i * n, n, 1)))
}

fn interleave(p: &mut Program, a: View, repeats: i64, dim: i64, size: i64, out: View) -> Result<()> {
    let d = wrap_dim(dim, a.rank())?;
    let a = if a.rank() == 0 { a.unsqueeze(&[0]) } else { a };
    let mut shape = a.dims.clone();
    shape[d] = shape[d].wrapping_mul(repeats);
    if repeats < 0 || size != shape[d] {
        return Err(invalid!("{repeats} repetitions of {} indices are not outputSize {size}", a.dims[d]));
    }
    check_shape(&out, &shape)?;
    if a.rank() < vinci_hw::args::MAX_RANK {
        return copy(p, &a.unsqueeze(&[d + 1]), &out.split(d, &[a.dims[d], repeats]));
    }
    (0..repeats).try_for_each(|i| copy(p, &a, &out.narrow(d, i, a.dims[d], repeats)))
}

fn interleave_all(p: &mut Program, a: View, repeats: i64, size: i64, out: View) -> Result<()> {
    let n = a.elements();
    if repeats < 0 || n.checked_mul(repeats) != Some(size) {
        return Err(invalid!("{repeats} repetitions of {n} elements are not outputSize {size}"));
    }
    check_shape(&out, &[size])?;
    let flat = flat(p, &a)?;
    copy(p, &flat.unsqueeze(&[1]), &out.split(0, &[n, repeats]))
}

/// All elements of `a` as one dimension; copied first if they are not equally spaced.
pub fn flat(p: &mut Program, a: &View) -> Result<View> {
    if let Some(flat) = a.merged(0..a.rank()) {
        return Ok(flat);
    }
    let dense = dense(p, a)?;
    dense.merged(0..dense.rank()).ok_or_else(|| crate::error::OpError::Inner("a dense tensor is not flat".into()))
}

fn flip(p: &mut Program, a: View, dims: Arc<[i64]>, out: View) -> Result<()> {
    check_shape(&out, &a.dims)?;
    let mut turned = a;
    for &d in dims.iter() {
        let d = wrap_dim(d, turned.rank())?;
        if turned.rank() > 0 && turned.elements() > 0 {
            turned = turned.flipped(d);
        }
    }
    copy(p, &turned, &out)
}

fn roll(p: &mut Program, a: View, shifts: Arc<[i64]>, dims: Arc<[i64]>, out: View) -> Result<()> {
    check_shape(&out, &a.dims)?;
    if dims.is_empty() && shifts.len() == 1 {
        // As one dimension.
        let from = flat(p, &a)?;
        if let Some(to) = out.merged(0..out.rank()) {
            return roll_along(p, &from, &[(0, shifts[0])], &to);
        }
        let turned = p.temporary(out.dtype, &out.dims);
        let flat_turned = flat(p, &turned)?;
        roll_along(p, &from, &[(0, shifts[0])], &flat_turned)?;
        return copy(p, &turned, &out);
    }
    if shifts.len() != dims.len() {
        return Err(invalid!("{} shifts for {} dimensions", shifts.len(), dims.len()));
    }
    let moves = dims.iter().zip(shifts.iter()).map(|(&d, &s)| Ok((wrap_dim(d, a.rank())?, s)));
    let moves = moves.collect::<Result<Vec<_>>>()?;
    if a.rank() == 0 {
        return copy(p, &a, &out);
    }
    roll_along(p, &a, &moves, &out)
}

fn roll_along(p: &mut Program, a: &View, moves: &[(usize, i64)], out: &View) -> Result<()> {
    let Some((&(d, shift), rest)) = moves.split_first() else { return copy(p, a, out) };
    let n = a.dims[d];
    if n == 0 {
        return Ok(());
    }
    let shift = shift.rem_euclid(n);
    let part = |p: &mut Program, from: i64, to: i64, length: i64| {
        if length == 0 {
            return Ok(());
        }
        // A part of a dimension that is named again would not roll as a whole.
        roll_along(p, &a.narrow(d, from, length, 1), &[], &out.narrow(d, to, length, 1))
    };
    if rest.is_empty() {
        part(p, 0, shift, n - shift)?;
        return part(p, n - shift, 0, shift);
    }
    let turned = p.temporary(a.dtype, &a.dims);
    roll_along(p, a, &[(d, shift)], &turned)?;
    roll_along(p, &turned, rest, out)
}

/// Before and after for each dimension of a shape, from an array that begins with the last one.
fn borders(pad: &[i64], rank: usize) -> Result<Vec<(i64, i64)>> {
    if !pad.len().is_multiple_of(2) || pad.len() > 2 * rank {
        return Err(invalid!("{} numbers pad a tensor of {rank} dimensions", pad.len()));
    }
    let mut borders = vec![(0, 0); rank];
    for (i, pair) in pad.chunks(2).enumerate() {
        borders[rank - 1 - i] = (pair[0], pair[1]);
    }
    Ok(borders)
}

fn padded_shape(a: &View, borders: &[(i64, i64)]) -> Result<Vec<i64>> {
    let dims = a.dims.iter().zip(borders).map(|(&d, &(before, after))| {
        let sum = d.checked_add(before).and_then(|d| d.checked_add(after)).filter(|&d| d >= 0);
        sum.ok_or_else(|| invalid!("shape {:?} cannot be padded by {borders:?}", a.dims))
    });
    dims.collect()
}

/// out = a with a border of `value`; negative numbers cut off.
pub fn constant_pad(p: &mut Program, a: &View, pad: &[i64], value: Scalar, out: &View) -> Result<()> {
    let borders = borders(pad, a.rank())?;
    check_shape(out, &padded_shape(a, &borders)?)?;
    let (mut from, mut to) = (a.clone(), out.clone());
    for (d, &(before, after)) in borders.iter().enumerate() {
        // What is outside along this dimension, of what is inside along those before.
        let n = to.dims[d];
        let (first, last) = (before.clamp(0, n), after.clamp(0, n));
        if first > 0 {
            fill(p, to.narrow(d, 0, first, 1), value)?;
        }
        if last > 0 {
            fill(p, to.narrow(d, n - last, last, 1), value)?;
        }
        let cut = (-before).max(0);
        let kept = (from.dims[d] - cut - (-after).max(0)).max(0);
        from = from.narrow(d, cut, kept, 1);
        to = to.narrow(d, before.max(0), kept, 1);
    }
    copy(p, &from, &to)
}

/// What a border is made of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Border {
    /// The inside, mirrored at the edge element.
    Reflect,
    /// The edge element.
    Repeat,
}

fn mirror_pad(p: &mut Program, a: &View, pad: &[i64], along: usize, border: Border, out: &View) -> Result<()> {
    if pad.len() != 2 * along || a.rank() < along || a.rank() > along + 2 {
        return Err(invalid!("{} numbers pad shape {:?}; {} are needed", pad.len(), a.dims, 2 * along));
    }
    let mut borders = borders(pad, a.rank())?;
    check_shape(out, &padded_shape(a, &borders)?)?;
    // What is cut off is gone before the rest is mirrored.
    let mut rest = a.clone();
    for (d, (before, after)) in borders.iter_mut().enumerate() {
        let (first, last) = ((-*before).max(0), (-*after).max(0));
        if border == Border::Repeat && rest.dims[d] > 0 && first.max(last) >= rest.dims[d] {
            // All of it is cut off; what is repeated is the edge that was cut last.
            rest = rest.narrow(d, if first > 0 { rest.dims[d] - 1 } else { 0 }, 1.min(out.dims[d]), 1);
            (*before, *after) = ((out.dims[d] - 1).max(0), 0);
            continue;
        }
        rest = rest.narrow(d, first, (rest.dims[d] - first - last).max(0), 1);
        (*before, *after) = ((*before).max(0), (*after).max(0));
    }
    let a = &rest;
    for (d, &(before, after)) in borders.iter().enumerate() {
        if before == 0 && after == 0 {
            continue;
        }
        let most = if border == Border::Reflect { a.dims[d] - 1 } else { i64::MAX };
        if before < 0 || after < 0 || before > most || after > most || (before + after > 0 && a.dims[d] == 0) {
            return Err(invalid!("dimension {d} of shape {:?} cannot be padded by {before} and {after}", a.dims));
        }
    }
    let mut inside = out.clone();
    for (d, &(before, _)) in borders.iter().enumerate() {
        inside = inside.narrow(d, before, a.dims[d], 1);
    }
    copy(p, a, &inside)?;
    // From the last dimension on, each border is made of what is there already, along the dimensions behind it too.
    for d in (0..a.rank()).rev() {
        let (before, after) = borders[d];
        let mut whole = out.clone();
        for (e, &(first, _)) in borders.iter().enumerate().take(d) {
            whole = whole.narrow(e, first, a.dims[e], 1);
        }
        let (edge, far) = (before, before + a.dims[d] - 1);
        let (low, high) = match border {
            Border::Reflect => (
                whole.narrow(d, edge + before, before, -1),
                whole.narrow(d, far - 1, after, -1),
            ),
            Border::Repeat => (whole.narrow(d, edge, before, 0), whole.narrow(d, far, after, 0)),
        };
        copy(p, &low, &whole.narrow(d, 0, before, 1))?;
        copy(p, &high, &whole.narrow(d, far + 1, after, 1))?;
    }
    Ok(())
}

fn triangle(p: &mut Program, a: &View, diagonal: i64, upper: bool, out: &View) -> Result<()> {
    check_shape(out, &a.dims)?;
    if a.rank() < 2 {
        return Err(invalid!("shape {:?} has no matrices", a.dims));
    }
    p.launch("triangle", &[out], &[a], &[Attr::Int(diagonal), Attr::Int(upper.into())])
}

fn eye(p: &mut Program, n: i64, m: i64, out: View) -> Result<()> {
    check_shape(&out, &[n, m])?;
    fill(p, out.clone(), super::movement::constant(0))?;
    let mut diagonal = out.narrow(1, 0, 1, 1);
    diagonal.dims = [n.min(m)].into();
    diagonal.strides = [out.strides[0].wrapping_add(out.strides[1])].into();
    fill(p, diagonal, super::movement::constant(1))
}

fn split_with_size(p: &mut Program, a: View, sizes: Arc<[i64]>, dim: i64, out: Vec<View>) -> Result<()> {
    let d = wrap_dim(dim, a.rank())?;
    let total = sizes.iter().try_fold(0i64, |n, &s| n.checked_add(s).filter(|_| s >= 0));
    if a.rank() == 0 || total != Some(a.dims[d]) || sizes.len() != out.len() {
        return Err(invalid!("{} parts of sizes {sizes:?} of dimension {dim} of {:?}", out.len(), a.dims));
    }
    let mut at = 0;
    for (part, &size) in out.iter().zip(sizes.iter()) {
        let from = a.narrow(d, at, size, 1);
        check_shape(part, &from.dims)?;
        copy(p, &from, part)?;
        at += size;
    }
    Ok(())
}
