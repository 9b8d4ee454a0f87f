//! Rows of tokens on their way to the experts that the gate chose, and what comes back from them.

use std::sync::Arc;

use super::declare::operators;
use super::elementwise::check_shape;
use super::loss::need_float;
use super::moe::{Routes, copy_counts, wanted};
use super::moe_rows::{ANYWHERE, Combine, Spread, pairs};
use super::movement::{constant, copy, fill};
use super::quantise;
use crate::dtype::DType;
use crate::error::{OpError, Result, invalid};
use crate::objects::Scalar;
use crate::program::Attr::{Float, Int, Type};
use crate::program::Program;
use crate::view::View;

operators! {
    "moe_init_routing" { /// expandedX = rows of x in order of their experts; rowIdx numbers the elements of expertIdx down the columns, expandedRowIdx says where each went.
        aclnnMoeInitRouting(x: Tensor, rowIdx: Tensor, expertIdx: Tensor, activeNum: Int, expandedXOut: Out, expandedRowIdxOut: Out, expandedExpertIdxOut: Out) =>
            |p, x, r, e, active, xo, ro, eo| by_row_index(p, x, r, e, active, [xo, ro, eo], None); }
    "moe_init_routing_quant" { /// As aclnnMoeInitRouting, expandedX = round(x * scale + offset) as int8.
        aclnnMoeInitRoutingQuant(x: Tensor, rowIdx: Tensor, expertIdx: Tensor, activeNum: Int, scale: Double, offset: Double, expandedXOut: Out,
            expandedRowIdxOut: Out, expandedExpertIdxOut: Out) =>
            |p, x, r, e, active, s, o, xo, ro, eo| by_row_index(p, x, r, e, active, [xo, ro, eo], Some((s, o))); }
    "moe_init_routing_v2" { /// expandedX = rows of x in order of their experts, or, with dropPadMode 1, expertCapacity rows for each expert; expandedRowIdx says where each went, or -1.
        aclnnMoeInitRoutingV2(x: Tensor, expertIdx: Tensor, activeNumOptional: Int, expertCapacityOptional: Int, expertNumOptional: Int,
            dropPadModeOptional: Int, expertTokensCountOrCumsumFlagOptional: Int, expertTokensBeforeCapacityFlagOptional: Bool, expandedXOut: Tensor,
            expandedRowIdxOut: Tensor, expertTokensCountOrCumsumOutOptional: OptTensor, expertTokensBeforeCapacityOutOptional: OptTensor) =>
            |p: &mut Program, x, e, active, capacity, experts, drop, flag, before, xo, ro, counts, all| {
                let to = To { x: xo, rows: ro, counts, all };
                by_expert(p, x, e, Plan { active, capacity, experts, drop, flag, before }, to, Quant::None)
            }; }
    "moe_init_routing_quant_v2" { /// As aclnnMoeInitRoutingV2, of int8: quantMode 0 as round(x * scale + offset), 1 by a scale for each row, which dynamicQuantScale gets.
        aclnnMoeInitRoutingQuantV2(x: Tensor, expertIdx: Tensor, scaleOptional: OptTensor, offsetOptional: OptTensor, activeNum: Int, expertCapacity: Int,
            expertNum: Int, dropPadMode: Int, expertTokensCountOrCumsumFlag: Int, expertTokensBeforeCapacityFlag: Bool, quantMode: Int, expandedXOut: Out,
            expandedRowIdxOut: Out, expertTokensCountOrCumsumOutOptional: OptOut, expertTokensBeforeCapacityOutOptional: OptOut,
            dynamicQuantScaleOutOptional: OptOut) =>
            |p: &mut Program, x, e, scale, offset, active, capacity, experts, drop, flag, before, mode, xo, ro, counts, all, out| {
                let quant = match (mode, scale) {
                    (0, Some(scale)) => Quant::Static { scale, offset },
                    (0, None) => return Err(OpError::Null("scaleOptional")),
                    (1, smooth) => Quant::Dynamic { smooth, out },
                    _ => return Err(invalid!("quantMode {mode}; 0 and 1 are known")),
                };
                let to = To { x: xo, rows: ro, counts, all };
                by_expert(p, x, e, Plan { active, capacity, experts, drop, flag, before }, to, quant)
            }; }
    "moe_init_routing_v3" { /// As aclnnMoeInitRoutingV2, of the experts of a range; rowIdxType 0 says where each row went, 1 which row came to each place; quantMode -1 none, 0 static, 1 by a scale for each row.
        aclnnMoeInitRoutingV3(x: Tensor, expertIdx: Tensor, scaleOptional: OptTensor, offsetOptional: OptTensor, activeNum: Int, expertCapacity: Int,
            expertNum: Int, dropPadMode: Int, expertTokensNumType: Int, expertTokensNumFlag: Bool, quantMode: Int, activeExpertRangeOptional: OptInts,
            rowIdxType: Int, expandedXOut: Tensor, expandedRowIdxOut: Tensor, expertTokensCountOrCumsumOut: Tensor, expandedScaleOut: Tensor) => in_range; }
    "moe_init_routing_v2_grad" { /// out = for each token, the sum of the gradients of the rows that were made of it.
        aclnnMoeInitRoutingV2Grad(gradExpandedX: Tensor, expandedRowIdx: Tensor, topK: Int, dropPadMode: Int, activeNum: Int, out: Tensor) => init_gradient; }
    "moe_finalize_routing" { /// out = x1 + x2 + the sum of scales * (the row of expandedX + the bias of its expert); expandedRowIdx goes down the columns.
        aclnnMoeFinalizeRouting(expandedX: Tensor, x1: Tensor, x2Optional: OptTensor, bias: Tensor, scales: Tensor, expandedRowIdx: Tensor,
            expandedExpertIdx: Tensor, out: Out) =>
            |p: &mut Program, x, x1, x2, bias, scales, rows, experts, o| {
                finalize(p, Final { x, rows, others: [Some(x1), x2], bias: Some(bias), scales: Some(scales), experts: Some(experts), columns: true, out: o })
            }; }
    "moe_finalize_routing_v2" { /// As aclnnMoeFinalizeRouting; dropPadMode 0 and 1 go down the columns, 2 and 3 along the rows; a row -1 was dropped.
        aclnnMoeFinalizeRoutingV2(expandedX: Tensor, expandedRowIdx: Tensor, x1Optional: OptTensor, x2Optional: OptTensor, biasOptional: OptTensor,
            scalesOptional: OptTensor, expertIdxOptional: OptTensor, dropPadMode: Int, out: Tensor) =>
            |p: &mut Program, x, rows, x1, x2, bias, scales, experts, mode, o| {
                if !(0..4).contains(&mode) {
                    return Err(invalid!("dropPadMode {mode}; 0 to 3 are known"));
                }
                finalize(p, Final { x, rows, others: [x1, x2], bias, scales, experts, columns: mode < 2, out: o })
            }; }
    "moe_finalize_routing_v2_grad" { /// Gradients of aclnnMoeFinalizeRoutingV2 to expandedX and scales, its rows along the rows.
        aclnnMoeFinalizeRoutingV2Grad(gradY: Tensor, expandedRowIdx: Tensor, expandedXOptional: OptTensor, scalesOptional: OptTensor,
            expertIdxOptional: OptTensor, biasOptional: OptTensor, dropPadMode: Int, activeNum: Int, expertNum: Int, expertCapacity: Int,
            gradExpandedXOut: Tensor, gradScalesOut: OptTensor) =>
            |p, g, rows, x, scales, experts, bias: Option<View>, _, _, _, _, gx, gs| finalize_gradient(p, g, rows, x, scales, bias.zip(experts), gx, gs); }
}

fn need_tokens(x: &View, experts: &View) -> Result<(i64, i64)> {
    match (&x.dims[..], &experts.dims[..]) {
        (&[n, _], &[m, k]) if n == m && experts.dtype == DType::I32 => Ok((n, k)),
        _ => Err(invalid!("x has shape {:?} and expertIdx {:?} of type {:?}", x.dims, experts.dims, experts.dtype)),
    }
}

fn by_row_index(
    p: &mut Program,
    x: View,
    rows: View,
    experts: View,
    active: i64,
    [xo, ro, eo]: [View; 3],
    quant: Option<(f64, f64)>,
) -> Result<()> {
    let (n, k) = need_tokens(&x, &experts)?;
    if rows.dims != experts.dims || rows.dtype != DType::I32 || active < 0 {
        return Err(invalid!("rowIdx has shape {:?} and type {:?}, activeNum is {active}", rows.dims, rows.dtype));
    }
    check_shape(&xo, &[n.min(active) * k, x.dims[1]])?;
    check_shape(&ro, &[n * k])?;
    check_shape(&eo, &[n * k])?;
    let routes = Routes::all(p, &experts)?;
    copy(p, &routes.sorted, &eo)?;
    // Row rowIdx[i] went where the i-th expert did.
    let rows = super::movement::dense(p, &rows)?.reshaped(&[n * k]);
    let went = p.temporary(DType::I32, &[n * k]);
    if n * k > 0 {
        let attrs = [Int(0), Int(0)];
        p.launch("scatter", &[&went], &[&rows, &routes.position.reshaped(&[n * k])], &attrs)?;
    }
    copy(p, &went, &ro)?;
    let x = match quant {
        None => same_type(&x, &xo).map(|()| x)?,
        Some((scale, offset)) => {
            let q = p.temporary(DType::I8, &x.dims);
            quantise::by_numbers(p, &x, scale, offset, &q)?;
            need_int8(&xo)?;
            q
        }
    };
    spread_rows(p, &x, &pairs(&went, k.max(1), true)?, &xo)
}

fn same_type(x: &View, out: &View) -> Result<()> {
    if x.dtype == out.dtype { Ok(()) } else { Err(invalid!("x has type {:?} and expandedX {:?}", x.dtype, out.dtype)) }
}

fn need_int8(out: &View) -> Result<()> {
    if out.dtype == DType::I8 { Ok(()) } else { Err(invalid!("a quantised result has type {:?}; I8 is needed", out.dtype)) }
}

fn spread_rows(p: &mut Program, x: &View, index: &View, out: &View) -> Result<()> {
    Spread { g: x, index, weight: None, slope: None, bias: None, range: ANYWHERE }.launch(p, out)
}

/// How rows go to experts.
struct Plan {
    active: i64,
    capacity: i64,
    experts: i64,
    drop: i64,
    flag: i64,
    before: bool,
}

struct To {
    x: View,
    rows: View,
    counts: Option<View>,
    all: Option<View>,
}

enum Quant {
    None,
    Static { scale: View, offset: Option<View> },
    Dynamic { smooth: Option<View>, out: Option<View> },
}

fn by_expert(p: &mut Program, x: View, experts: View, plan: Plan, to: To, quant: Quant) -> Result<()> {
    let (n, k) = need_tokens(&x, &experts)?;
    let h = x.dims[1];
    let Plan { active, capacity, experts: number, drop, flag, before } = plan;
    let drops = match drop {
        0 => false,
        1 if number > 0 && capacity > 0 => true,
        _ => return Err(invalid!("dropPadMode {drop} with {number} experts and a capacity of {capacity}")),
    };
    let counts = wanted("expertTokensCountOrCumsumOutOptional", to.counts, flag != 0 && !drops)?;
    let all = wanted("expertTokensBeforeCapacityOutOptional", to.all, before && drops)?;
    let routes = if number > 0 {
        Routes::new(p, &experts, (0, number), if drops { capacity } else { 0 })?
    } else if counts.is_none() {
        Routes::all(p, &experts)?
    } else {
        return Err(invalid!("{number} experts; to count their rows, there must be some"));
    };
    check_shape(&to.rows, &[n * k])?;
    let index = routes.position.clone();
    copy(p, &index.reshaped(&[n * k]), &to.rows)?;
    if let Some(out) = counts {
        match flag {
            1 | 2 => copy_counts(p, &routes.counts, flag == 1, &out)?,
            _ => return Err(invalid!("expertTokensCountOrCumsumFlag {flag}; 0, 1 and 2 are known")),
        }
    }
    if let Some(out) = all {
        copy_counts(p, &routes.counts, false, &out)?;
    }
    let rows = match (drops, active) {
        (true, _) => number * capacity,
        (false, a) if a > 0 => a.min(n * k),
        _ => n * k,
    };
    let flat = if drops { to.x.merged(0..to.x.rank() - 1) } else { Some(to.x.clone()) };
    let flat = flat.filter(|v| v.dims == [rows, h]);
    let out = flat.ok_or_else(|| invalid!("expandedX has shape {:?} for {rows} rows of {h}", to.x.dims))?;
    quantised_rows(p, &x, &routes, &index, quant, &out)
}

/// out = the rows of x where `index` puts them, as `quant` has it.
fn quantised_rows(p: &mut Program, x: &View, routes: &Routes, index: &View, quant: Quant, out: &View) -> Result<()> {
    let (rows, h) = (out.dims[0], x.dims[1]);
    match quant {
        Quant::None => {
            same_type(x, out)?;
            spread_rows(p, x, index, out)
        }
        Quant::Static { scale, offset } => {
            need_int8(out)?;
            let q = p.temporary(DType::I8, &x.dims);
            quantise::static_quantise(p, x, &scale, offset.as_ref(), &q)?;
            spread_rows(p, &q, index, out)
        }
        Quant::Dynamic { smooth, out: scales } => {
            need_int8(out)?;
            need_float("x", x)?;
            // Each row with the factors of its expert, so after it was put in its place.
            let placed = p.temporary(DType::F32, &[rows, h]);
            spread_rows(p, x, index, &placed)?;
            let smooth = match smooth {
                Some(s) if s.rank() == 2 && s.dims[1] == h && s.dims[0] == 1 => Some(s.expand(&[rows, h])?),
                Some(s) if s.dims == [routes.counts.dims[0], h] => Some(factors_of_places(p, routes, &s, rows)?),
                Some(s) => return Err(invalid!("the scales have shape {:?} for {} experts", s.dims, routes.counts.dims[0])),
                None => None,
            };
            let steps = match scales {
                Some(v) if v.elements() == rows => match v.merged(0..v.rank()) {
                    Some(flat) => flat.unsqueeze(&[1]),
                    None => return Err(invalid!("the rows' scales have shape {:?} and strides {:?}", v.dims, v.strides)),
                },
                Some(v) => return Err(invalid!("the rows' scales have shape {:?} for {rows} rows", v.dims)),
                None => p.temporary(DType::F32, &[rows, 1]),
            };
            quantise::by_rows(p, &placed, smooth.as_ref(), 127.0, out, &steps, None)
        }
    }
}

/// For each place, the row of `factors` that its expert has.
fn factors_of_places(p: &mut Program, routes: &Routes, factors: &View, rows: i64) -> Result<View> {
    let (experts, places) = (factors.dims[0], routes.source.dims[0]);
    let spread = p.temporary(DType::F32, &[rows, factors.dims[1]]);
    if places == 0 || routes.sorted.dims != [places] {
        // As many places for each expert.
        let each = rows / experts.max(1);
        copy(p, &factors.unsqueeze(&[1]), &spread.split(0, &[experts, each]))?;
        return Ok(spread);
    }
    // The experts in order; those that take no part come last, where nothing reads their factors.
    let number = p.temporary(DType::I32, &[rows]);
    let sorted = routes.sorted.narrow(0, 0, rows, 1);
    p.launch("sub_s", &[&number], &[&sorted], &[Type(DType::I32), Float(routes.first as f64), Int(routes.first)])?;
    p.launch("clamp", &[&number], &[&number], &[Float(0.0), Float((experts - 1) as f64)])?;
    p.launch("index_select", &[&spread], &[factors, &number], &[Int(0)])?;
    Ok(spread)
}

#[allow(clippy::too_many_arguments)] // CANN's
fn in_range(
    p: &mut Program,
    x: View,
    experts: View,
    scale: Option<View>,
    offset: Option<View>,
    active: i64,
    capacity: i64,
    number: i64,
    drop: i64,
    kind: i64,
    flag: bool,
    mode: i64,
    range: Option<Arc<[i64]>>,
    row_kind: i64,
    xo: View,
    ro: View,
    counts: View,
    so: View,
) -> Result<()> {
    let _ = (active, capacity);
    let (n, k) = need_tokens(&x, &experts)?;
    let (first, end) = match range.as_deref() {
        None | Some([]) => (0, number),
        Some(&[first, end]) if 0 <= first && first < end && end <= number => (first, end),
        Some(r) => return Err(invalid!("activeExpertRange {r:?} of {number} experts")),
    };
    if drop != 0 || !matches!((kind, mode, row_kind), (0..=2, -1..=1, 0 | 1)) || !(1..=10240).contains(&number) {
        return Err(invalid!(
            "dropPadMode {drop}, expertTokensNumType {kind}, quantMode {mode}, rowIdxType {row_kind}, expertNum {number}"
        ));
    }
    check_shape(&xo, &[n * k, x.dims[1]])?;
    check_shape(&ro, &[n * k])?;
    let routes = Routes::new(p, &experts, (first, end), 0)?;
    let index = routes.position.clone();
    copy(p, &if row_kind == 0 { index.reshaped(&[n * k]) } else { routes.source.clone() }, &ro)?;
    match (flag, kind) {
        (false, _) => {}
        (true, 2) => keys_and_counts(p, &routes.counts, first, &counts)?,
        (true, kind) => copy_counts(p, &routes.counts, kind == 0, &counts)?,
    }
    let quant = match (mode, scale) {
        (-1, Some(scale)) => {
            // Each row takes its scale along.
            check_shape(&scale, &[n])?;
            check_shape(&so, &[n * k])?;
            spread_rows(p, &scale.unsqueeze(&[1]), &index, &so.unsqueeze(&[1]))?;
            Quant::None
        }
        (-1, None) => Quant::None,
        (0, Some(scale)) => Quant::Static { scale, offset },
        (0, None) => return Err(OpError::Null("scaleOptional")),
        (_, smooth) => Quant::Dynamic { smooth, out: Some(so) },
    };
    if mode == -1 && x.dtype != xo.dtype {
        // CANN casts here, although its documentation wants one type.
        let cast = p.temporary(xo.dtype, &x.dims);
        copy(p, &x, &cast)?;
        return spread_rows(p, &cast, &index, &xo);
    }
    quantised_rows(p, &x, &routes, &index, quant, &xo)
}

/// `[experts, 2]`: the experts that have rows, and how many; then zeros.
fn keys_and_counts(p: &mut Program, counts: &View, first: i64, out: &View) -> Result<()> {
    let e = counts.dims[0];
    if out.rank() != 2 || out.dims[1] != 2 || out.dims[0] < e || out.dtype != DType::I64 {
        return Err(invalid!("expertTokensCountOrCumsum has shape {:?} for {e} experts", out.dims));
    }
    fill(p, out.clone(), constant(0))?;
    // Those without rows come last: in a stable order of "has none".
    let none = p.temporary(DType::I32, &[e]);
    super::elementwise::compare_scalar(p, "eq_s", counts, constant(0), &none)?;
    let order = p.temporary(DType::I64, &[e]);
    p.launch("sort", &[&order], &[&none], &[Int(0), Int(0), Int(2)])?;
    let found = p.temporary(DType::I64, &[e]);
    p.launch("index_select", &[&found], &[counts, &order], &[Int(0)])?;
    copy(p, &found, &out.narrow(1, 1, 1, 1).narrow(0, 0, e, 1).without(1))?;
    let some = p.temporary(DType::I64, &[e]);
    super::elementwise::compare_scalar(p, "ne_s", &found, constant(0), &some)?;
    let shift = Scalar::real(DType::I64, first as f64, first);
    super::elementwise::with_scalar(p, "add_s", &order, shift, None, &order)?;
    super::elementwise::arithmetic(p, "mul", &order, &some, None, &out.narrow(1, 0, 1, 1).narrow(0, 0, e, 1).without(1))
}

fn init_gradient(p: &mut Program, g: View, rows: View, k: i64, drop: i64, active: i64, out: View) -> Result<()> {
    let flat = g.merged(0..g.rank().saturating_sub(1).max(1));
    let g = flat.filter(|g| g.rank() == 2).ok_or_else(|| invalid!("gradExpandedX has shape {:?}", g.dims))?;
    if !matches!(drop, 0 | 1) || active < 0 {
        return Err(invalid!("dropPadMode {drop} and activeNum {active}"));
    }
    let range = if drop == 0 && active > 0 { (0, active) } else { ANYWHERE };
    let index = pairs(&rows, k, false)?;
    Combine { a: &g, index: &index, weight: None, bias: None, others: vec![], range }.launch(p, &out)
}

struct Final {
    x: View,
    rows: View,
    others: [Option<View>; 2],
    bias: Option<View>,
    scales: Option<View>,
    experts: Option<View>,
    columns: bool,
    out: View,
}

fn finalize(p: &mut Program, f: Final) -> Result<()> {
    let tokens = *f.out.dims.first().unwrap_or(&0);
    let k = match &f.scales {
        Some(s) if s.rank() == 2 => s.dims[1],
        Some(s) => return Err(invalid!("scales have shape {:?}; a matrix is needed", s.dims)),
        None => f.rows.elements() / tokens.max(1),
    };
    let a = if f.x.rank() == 3 { f.x.merged(0..2) } else { Some(f.x.clone()) };
    let a = a.ok_or_else(|| invalid!("expandedX has shape {:?} and strides {:?}", f.x.dims, f.x.strides))?;
    let index = pairs(&f.rows, k, f.columns)?;
    let bias = match (&f.bias, &f.experts) {
        (Some(b), Some(e)) => Some((b, e)),
        (None, _) => None,
        (Some(_), None) => return Err(OpError::Null("expertIdxOptional")),
    };
    let others = f.others.iter().flatten().collect();
    Combine { a: &a, index: &index, weight: f.scales.as_ref(), bias, others, range: ANYWHERE }.launch(p, &f.out)
}

#[allow(clippy::too_many_arguments)] // CANN's
fn finalize_gradient(
    p: &mut Program,
    g: View,
    rows: View,
    x: Option<View>,
    scales: Option<View>,
    bias: Option<(View, View)>,
    gx: View,
    gs: Option<View>,
) -> Result<()> {
    let flat = |v: &View| if v.rank() == 3 { v.merged(0..2) } else { Some(v.clone()) };
    let out = flat(&gx).ok_or_else(|| invalid!("gradExpandedX has strides {:?}", gx.strides))?;
    let k = scales.as_ref().map_or(1, |s| *s.dims.last().unwrap_or(&1));
    let index = pairs(&rows, k, false)?;
    let x = x.as_ref().map(|x| flat(x).ok_or_else(|| invalid!("expandedX has strides {:?}", x.strides))).transpose()?;
    let slope = match (&scales, &x, &gs) {
        (Some(_), Some(x), Some(gs)) => Some((x, gs)),
        (Some(_), ..) => return Err(OpError::Null("expandedXOptional and gradScalesOut")),
        (None, ..) => None,
    };
    let bias = bias.as_ref().filter(|_| slope.is_some()).map(|(b, e)| (b, e));
    Spread { g: &g, index: &index, weight: scales.as_ref(), slope, bias, range: ANYWHERE }.launch(p, &out)
}
