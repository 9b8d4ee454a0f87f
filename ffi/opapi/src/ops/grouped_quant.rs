//! Products of int8 rows, each group of them with a weight and scales of its own.

use super::declare::operators;
use super::elementwise::check_shape;
use super::grouped::{member, on_device};
use super::movement::{constant, copy, fill};
use super::quant_matmul::{Scales, finish};
use super::quantise::smooth_of_groups;
use super::swiglu_quant::{ends, halves_to_int8};
use crate::dtype::DType;
use crate::error::{OpError, Result, invalid};
use crate::program::Attr::Int;
use crate::program::Program;
use crate::view::View;

operators! {
    "grouped_matmul_v5" { /// As aclnnGroupedMatmulV4; tuningConfig is of no use here.
        aclnnGroupedMatmulV5(x: Tensors, weight: Tensors, biasOptional: OptTensors, scaleOptional: OptTensors, offsetOptional: OptTensors,
            antiquantScaleOptional: OptTensors, antiquantOffsetOptional: OptTensors, perTokenScaleOptional: OptTensors, groupListOptional: OptTensor,
            activationInputOptional: OptTensors, activationQuantScaleOptional: OptTensors, activationQuantOffsetOptional: OptTensors, splitItem: Int,
            groupType: Int, groupListType: Int, actType: Int, tuningConfigOptional: OptInts, out: OutTensors, activationFeatureOutOptional: OptOutTensors,
            dynQuantScaleOutOptional: OptOutTensors) =>
            |p: &mut Program, x, w, b, s, o, qs, qo, t, g, a1, a2, a3, _, split, kind, act, _, y, f, d| {
                on_device(p, x, w, b, [s, o, qs, qo], t, [a1, a2, a3, f, d], g, (split, kind, act), y)
            }; }
    "grouped_matmul_weight_nz" { /// As aclnnGroupedMatmulV5, of weights in FRACTAL_NZ; this device keeps that format as it keeps ND.
        aclnnGroupedMatmulWeightNz(x: Tensors, weight: Tensors, biasOptional: OptTensors, scaleOptional: OptTensors, offsetOptional: OptTensors,
            antiquantScaleOptional: OptTensors, antiquantOffsetOptional: OptTensors, perTokenScaleOptional: OptTensors, groupListOptional: OptTensor,
            activationInputOptional: OptTensors, activationQuantScaleOptional: OptTensors, activationQuantOffsetOptional: OptTensors, splitItem: Int,
            groupType: Int, groupListType: Int, actType: Int, tuningConfigOptional: OptInts, quantGroupSize: Int, out: OutTensors,
            activationFeatureOutOptional: OptOutTensors, dynQuantScaleOutOptional: OptOutTensors) =>
            |p: &mut Program, x, w, b, s, o, qs, qo, t, g, a1, a2, a3, _, split, kind, act, _, group, y, f, d| {
                if group != 0 {
                    return Err(invalid!("quantGroupSize {group}: scales for groups of steps are not supported"));
                }
                on_device(p, x, w, b, [s, o, qs, qo], t, [a1, a2, a3, f, d], g, (split, kind, act), y)
            }; }
    "grouped_matmul_swiglu_quant" { /// output = silu of the first half of x @ weight * weightScale * xScale times the second half, for each group, as int8 by a scale that each row has.
        aclnnGroupedMatmulSwigluQuant(x: Tensor, weight: Tensor, bias: OptTensor, offset: OptTensor, weightScale: Tensor, xScale: Tensor, groupList: Tensor,
            output: Out, outputScale: Out, outputOffset: OptOut) => |p, x, w, b, o, ws, xs, g, q, s, z| swiglu(p, x, w, [b, o, z], ws, xs, g, q, s); }
    "grouped_matmul_swiglu_quant_weight_nz" { /// As aclnnGroupedMatmulSwigluQuant, of weights in FRACTAL_NZ; this device keeps that format as it keeps ND.
        aclnnGroupedMatmulSwigluQuantWeightNZ(x: Tensor, weight: Tensor, bias: OptTensor, offset: OptTensor, weightScale: Tensor, xScale: Tensor,
            groupList: Tensor, output: Out, outputScale: Out, outputOffset: OptOut) =>
            |p, x, w, b, o, ws, xs, g, q, s, z| swiglu(p, x, w, [b, o, z], ws, xs, g, q, s); }
}

/// A row for each group: of one tensor, or of a list of rows.
fn stacked(p: &mut Program, name: &str, list: &[View], groups: i64, n: i64) -> Result<View> {
    if let [all] = list {
        return match all.dims[..] {
            [g, w] if g == groups && (w == n || w == 1) => all.expand(&[groups, n]),
            [g] if g == groups && groups != n => all.unsqueeze(&[1]).expand(&[groups, n]),
            [w] if groups == 1 && (w == n || w == 1) => all.unsqueeze(&[0]).expand(&[groups, n]),
            _ => Err(invalid!("{name} has shape {:?} for {groups} groups of {n} columns", all.dims)),
        };
    }
    let [first, ..] = list else { return Err(invalid!("no {name}")) };
    if list.len() as i64 != groups {
        return Err(invalid!("{} {name} for {groups} groups", list.len()));
    }
    let all = p.temporary(first.dtype, &[groups, n]);
    for (i, row) in list.iter().enumerate() {
        copy(p, &row.expand(&[n])?, &all.narrow(0, i as i64, 1, 1).without(0))?;
    }
    Ok(all)
}

/// Sums of the products of each group's rows, 0 behind the last group.
fn sums(p: &mut Program, x: &View, w: &[View], bias: Option<&View>, list: &View, kind: i64, n: i64) -> Result<View> {
    let groups = list.dims[0];
    let sums = p.temporary(DType::I32, &[x.dims[0], n]);
    fill(p, sums.clone(), constant(0))?;
    for i in 0..groups {
        let w = member(w, i as usize, 2)?;
        if w.dims != [x.dims[1], n] || w.dtype != DType::I8 {
            return Err(invalid!("x has shape {:?} and its weight {:?} of type {:?}", x.dims, w.dims, w.dtype));
        }
        let bias = bias.map(|b| b.narrow(0, i, 1, 1).expand(&sums.dims)).transpose()?;
        let inputs: Vec<_> = [x, &w, list].into_iter().chain(&bias).collect();
        p.launch("grouped_matmul", &[&sums], &inputs, &[i, 0, kind, bias.is_some().into()].map(Int))?;
    }
    Ok(sums)
}

/// y = x @ weight of int8, with the scales of each group's columns, and of the rows.
#[allow(clippy::too_many_arguments)] // CANN's
pub fn quantised(
    p: &mut Program,
    x: &View,
    w: &[View],
    bias: Option<Vec<View>>,
    scale: Option<Vec<View>>,
    rows: Option<Vec<View>>,
    list: &View,
    kind: i64,
    y: &View,
) -> Result<()> {
    let (&[m, _], &[groups]) = (&x.dims[..], &list.dims[..]) else {
        return Err(invalid!("x has shape {:?} and groupList {:?}", x.dims, list.dims));
    };
    let n = *member(w, 0, 2)?.dims.last().unwrap_or(&0);
    check_shape(y, &[m, n])?;
    let ends = if kind == 1 { ends(p, list)? } else { list.clone() };
    let bias = match bias.filter(|b| !b.is_empty()) {
        Some(b) => Some(stacked(p, "bias", &b, groups, n)?),
        None => None,
    };
    let whole = bias.as_ref().filter(|b| b.dtype == DType::I32);
    let sums = sums(p, x, w, whole, list, kind, n)?;
    let place = View { dtype: DType::F32, ..y.clone() };
    let after = match bias.as_ref().filter(|b| b.dtype != DType::I32) {
        Some(b) => Some(smooth_of_groups(p, &place, b, &ends)?),
        None => None,
    };
    let columns = match scale.filter(|s| !s.is_empty()) {
        Some(s) => {
            let all = stacked(p, "scale", &s, groups, n)?;
            Some(smooth_of_groups(p, &place, &all, &ends)?)
        }
        None => None,
    };
    let rows = match rows.filter(|r| !r.is_empty()).as_deref() {
        None => None,
        Some([r]) if r.elements() == m => Some(super::movement::dense(p, r)?.reshaped(&[m])),
        Some(r) => return Err(invalid!("{} perTokenScale for {m} rows", r.len())),
    };
    finish(p, &sums, Scales { columns, rows, offset: None, bias: after }, y)
}

#[allow(clippy::too_many_arguments)] // CANN's
fn swiglu(
    p: &mut Program,
    x: View,
    w: View,
    absent: [Option<View>; 3],
    scale: View,
    rows: View,
    list: View,
    q: View,
    steps: View,
) -> Result<()> {
    if absent.iter().any(Option::is_some) {
        return Err(invalid!("bias, offset and outputOffset are not supported; null pointers are needed"));
    }
    // In the shape that FRACTAL_NZ has, a weight lies in it: [E, N / 32, K / 16, 16, 32].
    let w = match w.dims[..] {
        [e, n, k, 16, 32] => {
            let whole = p.temporary(w.dtype, &[e, k * 16, n * 32]);
            super::movement::copy(p, &w.permute(&[0, 2, 3, 1, 4])?, &whole.split(2, &[n, 32]).split(1, &[k, 16]))?;
            whole
        }
        _ => w,
    };
    if x.dtype != DType::I8 || q.dtype != DType::I8 || x.rank() != 2 || w.rank() != 3 || list.rank() != 1 {
        return Err(invalid!(
            "x has shape {:?} and type {:?}, weight {:?}, groupList {:?}, output type {:?}",
            x.dims,
            x.dtype,
            w.dims,
            list.dims,
            q.dtype
        ));
    }
    let value = p.temporary(DType::F32, &[x.dims[0], w.dims[2]]);
    quantised(p, &x, &[w], None, Some(vec![scale]), Some(vec![rows]), &list, 0, &value)?;
    halves_to_int8(p, &value, &q, &steps)
}

/// Whether these are products of integers.
pub fn is_quantised(x: &[View]) -> bool {
    x.iter().all(|v| v.dtype == DType::I8)
}

/// Its only member.
pub fn only<'a>(name: &'static str, list: &'a [View]) -> Result<&'a View> {
    match list {
        [v] => Ok(v),
        [] => Err(OpError::Null(name)),
        _ => Err(invalid!("{} {name}; one is supported", list.len())),
    }
}
