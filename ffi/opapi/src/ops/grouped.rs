//! Several products at once: each group of rows, as experts get them, with a weight of its own.

use std::sync::Arc;

use super::declare::operators;
use super::elementwise::check_shape;
use super::grouped_quant::{is_quantised, only, quantised};
use super::linear::product;
use super::loss::need_float;
use crate::error::{Result, invalid};
use crate::program::{Attr, Program};
use crate::view::View;

operators! {
    "grouped_matmul" { /// y = x @ weight + bias for each group; groupList holds the ends of the groups of x's rows.
        aclnnGroupedMatmul(x: Tensors, weight: Tensors, biasOptional: OptTensors, scaleOptional: OptTensors, offsetOptional: OptTensors,
            antiquantScaleOptional: OptTensors, antiquantOffsetOptional: OptTensors, groupListOptional: OptInts, splitItem: Int, y: Tensors) =>
            |p, x: Vec<View>, w, b, s, o, qs, qo, g: Option<Arc<[i64]>>, _, y: Vec<View>| {
                let split = if x.len() == 1 && g.is_some() { 0 } else { -1 };
                grouped(p, x, w, b, [s, o, qs, qo], Groups::Known(g), split, y)
            }; }
    "grouped_matmul_v2" { /// As aclnnGroupedMatmul; groupType says what the groups are of: -1 nothing, 0 rows, 2 steps of the product.
        aclnnGroupedMatmulV2(x: Tensors, weight: Tensors, biasOptional: OptTensors, scaleOptional: OptTensors, offsetOptional: OptTensors,
            antiquantScaleOptional: OptTensors, antiquantOffsetOptional: OptTensors, groupListOptional: OptInts, splitItem: Int, groupType: Int, y: Tensors) =>
            |p, x, w, b, s, o, qs, qo, g, _, split, y| grouped(p, x, w, b, [s, o, qs, qo], Groups::Known(g), split, y); }
    "grouped_matmul_v3" { /// As aclnnGroupedMatmulV2, with the ends of the groups in device memory.
        aclnnGroupedMatmulV3(x: Tensors, weight: Tensors, biasOptional: OptTensors, scaleOptional: OptTensors, offsetOptional: OptTensors,
            antiquantScaleOptional: OptTensors, antiquantOffsetOptional: OptTensors, groupListOptional: OptTensor, splitItem: Int, groupType: Int, y: Tensors) =>
            |p, x, w, b, s, o, qs, qo, g, _, split, y| grouped(p, x, w, b, [s, o, qs, qo], Groups::OnDevice(g, 0), split, y); }
    "grouped_matmul_v4" { /// As aclnnGroupedMatmulV3; groupListType 1 takes groupList as the sizes of the groups.
        aclnnGroupedMatmulV4(x: Tensors, weight: Tensors, biasOptional: OptTensors, scaleOptional: OptTensors, offsetOptional: OptTensors,
            antiquantScaleOptional: OptTensors, antiquantOffsetOptional: OptTensors, perTokenScaleOptional: OptTensors, groupListOptional: OptTensor,
            activationInputOptional: OptTensors, activationQuantScaleOptional: OptTensors, activationQuantOffsetOptional: OptTensors, splitItem: Int,
            groupType: Int, groupListType: Int, actType: Int, out: OutTensors, activationFeatureOutOptional: OptTensors, dynQuantScaleOutOptional: OptTensors) =>
            |p, x, w, b, s, o, qs, qo, t, g, a1, a2, a3, _, split, kind, act, y, f, d| {
                on_device(p, x, w, b, [s, o, qs, qo], t, [a1, a2, a3, f, d], g, (split, kind, act), y)
            }; }
}

/// Where a group's rows, or steps, begin and end.
enum Groups {
    /// The ends, known now.
    Known(Option<Arc<[i64]>>),
    /// The ends (0) or sizes (1), read when the product runs.
    OnDevice(Option<View>, i64),
}

fn need_absent(lists: &[&Option<Vec<View>>]) -> Result<()> {
    if lists.iter().any(|l| l.as_ref().is_some_and(|l| !l.is_empty())) {
        return Err(invalid!("scales, offsets and activations of a grouped product are not supported"));
    }
    Ok(())
}

/// The later forms: groups in device memory, of floats or of int8 with scales.
#[allow(clippy::too_many_arguments)] // CANN's
pub fn on_device(
    p: &mut Program,
    x: Vec<View>,
    w: Vec<View>,
    bias: Option<Vec<View>>,
    [scale, offset, antiquant_scale, antiquant_offset]: [Option<Vec<View>>; 4],
    rows: Option<Vec<View>>,
    absent: [Option<Vec<View>>; 5],
    groups: Option<View>,
    (split, kind, act): (i64, i64, i64),
    y: Vec<View>,
) -> Result<()> {
    if act != 0 || !matches!(kind, 0 | 1) {
        return Err(invalid!("actType {act} and groupListType {kind}; 0 and 0 or 1 are supported"));
    }
    need_absent(&absent.iter().collect::<Vec<_>>())?;
    if !is_quantised(&x) {
        need_absent(&[&rows])?;
        return grouped(p, x, w, bias, [scale, offset, antiquant_scale, antiquant_offset], Groups::OnDevice(groups, kind), split, y);
    }
    need_absent(&[&offset, &antiquant_scale, &antiquant_offset])?;
    if split != 0 {
        return Err(invalid!("groupType {split} of int8; 0 is supported"));
    }
    let list = groups.ok_or(crate::error::OpError::Null("groupListOptional"))?;
    quantised(p, only("x", &x)?, &w, bias, scale, rows, &list, kind, only("y", &y)?)
}

/// Tensor `i` of a list: one of several matrices, or a slice of one tensor that has a dimension more.
pub fn member(list: &[View], i: usize, rank: usize) -> Result<View> {
    let v = if list.len() == 1 { &list[0] } else { list.get(i).ok_or_else(|| invalid!("{} weights", list.len()))? };
    if v.rank() == rank + 1 && list.len() == 1 && (i as i64) < v.dims[0] {
        let one = v.narrow(0, i as i64, 1, 1);
        return Ok(View { dims: one.dims[1..].into(), strides: one.strides[1..].into(), ..one });
    }
    if v.rank() == rank { Ok(v.clone()) } else { Err(invalid!("group {i} has shape {:?}", v.dims)) }
}

#[allow(clippy::too_many_arguments)] // CANN's
fn grouped(
    p: &mut Program,
    x: Vec<View>,
    w: Vec<View>,
    bias: Option<Vec<View>>,
    quantised: [Option<Vec<View>>; 4],
    groups: Groups,
    split: i64,
    y: Vec<View>,
) -> Result<()> {
    need_absent(&quantised.iter().collect::<Vec<_>>())?;
    let bias = bias.filter(|b| !b.is_empty());
    for v in x.iter().chain(&w).chain(&y) {
        need_float("a matrix", v)?;
    }
    let bias_of = |i: usize, y: &View| match &bias {
        Some(b) => member(b, i, 1)?.expand(&y.dims).map(Some),
        None => Ok(None),
    };
    let multiply = |p: &mut Program, x: &View, w: &View, b: Option<View>, y: &View| {
        product(p, x, w, b.as_ref().map(|b| (b, 1.0)), 1.0, y)
    };
    if split == -1 {
        if x.len() != w.len() || x.len() != y.len() {
            return Err(invalid!("{} x, {} weights and {} y", x.len(), w.len(), y.len()));
        }
        return (0..x.len()).try_for_each(|i| {
            if w[i].rank() != 2 || x[i].rank() < 2 {
                return Err(invalid!("x has shape {:?} and its weight {:?}", x[i].dims, w[i].dims));
            }
            multiply(p, &x[i], &w[i], bias_of(i, &y[i])?, &y[i])
        });
    }
    let ([x], true) = (&x[..], matches!(split, 0 | 2)) else {
        return Err(invalid!("{} x and groupType {split}; one x, and -1, 0 or 2 are supported", x.len()));
    };
    if x.rank() != 2 {
        return Err(invalid!("x has shape {:?}; a matrix is needed", x.dims));
    }
    // Rows are split of x and y, steps of x and the weight.
    let target = |i: usize| member(&y, i, 2);
    let weight = |i: usize| member(&w, i, 2);
    match groups {
        Groups::Known(ends) => {
            let ends = ends.ok_or(crate::error::OpError::Null("groupListOptional"))?;
            let mut start = 0;
            for (i, &end) in ends.iter().enumerate() {
                let n = x.dims[if split == 0 { 0 } else { 1 }];
                if end < start || end > n {
                    return Err(invalid!("groupList {ends:?} of {n}"));
                }
                let (to, w) = (target(i)?, weight(i)?);
                let part = x.narrow(if split == 0 { 0 } else { 1 }, start, end - start, 1);
                let to = if split == 0 && y.len() == 1 { to.narrow(0, start, end - start, 1) } else { to };
                let w = if split == 2 { w.narrow(0, start, end - start, 1) } else { w };
                multiply(p, &part, &w, bias_of(i, &to)?, &to)?;
                start = end;
            }
            Ok(())
        }
        Groups::OnDevice(list, kind) => {
            let list = list.ok_or(crate::error::OpError::Null("groupListOptional"))?;
            if list.rank() != 1 || y.len() != 1 {
                return Err(invalid!("groupList has shape {:?} for {} y", list.dims, y.len()));
            }
            for i in 0..list.dims[0] {
                let (to, w) = (target(i as usize)?, weight(i as usize)?);
                if w.rank() != 2 || (split == 0 && w.dims[0] != x.dims[1]) {
                    return Err(invalid!("x has shape {:?} and its weight {:?}", x.dims, w.dims));
                }
                check_shape(&to, &[x.dims[0], w.dims[1]])?;
                let bias = bias_of(i as usize, &to)?;
                let inputs: Vec<_> = [x, &w, &list].into_iter().chain(&bias).collect();
                let attrs = [i, split, kind, bias.is_some().into()].map(Attr::Int);
                p.launch("grouped_matmul", &[&to], &inputs, &attrs)?;
            }
            Ok(())
        }
    }
}
