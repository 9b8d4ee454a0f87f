//! Tokens put in order of their experts and back, by indices of experts or by a map of tokens and experts.

use std::sync::Arc;

use super::declare::operators;
use super::elementwise::{arithmetic, check_shape};
use super::loss::need_float;
use super::moe::Routes;
use super::moe_rows::{ANYWHERE, Combine, Spread, pairs};
use super::movement::{constant, copy, dense, fill};
use crate::dtype::DType;
use crate::error::{OpError, Result, invalid};
use crate::program::Attr::{Float, Int, Type};
use crate::program::Program;
use crate::view::View;

operators! {
    "moe_token_permute" { /// permuteTokens = each token once for each of its experts, in order of the experts; sortedIndices says where each went.
        aclnnMoeTokenPermute(tokens: Tensor, indices: Tensor, numOutTokens: Int, paddedMode: Bool, permuteTokensOut: Tensor, sortedIndicesOut: Tensor) =>
            |p, x, i, n, padded, o, s| { need_unpadded(padded)?; permute(p, &x, &i, None, kept(&i, n)?, &o, &s, None) }; }
    "moe_token_permute_with_ep" { /// As aclnnMoeTokenPermute, of the places of a range, with probabilities.
        aclnnMoeTokenPermuteWithEp(tokens: Tensor, indices: Tensor, probsOptional: OptTensor, rangeOptional: OptInts, numOutTokens: Int, paddedMode: Bool,
            permuteTokensOut: Out, sortedIndicesOut: Out, permuteProbsOut: OptOut) =>
            |p: &mut Program, x, i: View, probs: Option<View>, range: Option<Arc<[i64]>>, n, padded, o, s, po: Option<View>| {
                need_unpadded(padded)?;
                match places(range)? {
                    Some(range) => permute(p, &x, &i, probs.as_ref(), range, &o, &s, po.as_ref()),
                    None => permute(p, &x, &i, None, kept(&i, n)?, &o, &s, None),
                }
            }; }
    "moe_token_permute_grad" { /// out = for each token, the sum of the gradients of its places.
        aclnnMoeTokenPermuteGrad(permutedOutputGrad: Tensor, sortedIndices: Tensor, numTopk: Int, paddedMode: Bool, out: Out) =>
            |p, g: View, s, k, padded, o| { need_unpadded(padded)?; gather(p, &g, &pairs(&s, k, false)?, None, ANYWHERE, &o) }; }
    "moe_token_permute_with_ep_grad" { /// As aclnnMoeTokenPermuteGrad, of the places of a range; probsGrad = the gradients of their probabilities.
        aclnnMoeTokenPermuteWithEpGrad(permutedTokensOutputGrad: Tensor, sortedIndices: Tensor, permutedProbsOutputGradOptional: OptTensor, numTopk: Int,
            rangeOptional: OptInts, paddedMode: Bool, tokenGradOut: Out, probsGradOut: OptOut) =>
            |p: &mut Program, g: View, s, gp: Option<View>, k, range, padded, o, po: Option<View>| {
                need_unpadded(padded)?;
                let (index, range) = (pairs(&s, k, false)?, places(range)?);
                gather(p, &g, &index, None, range.unwrap_or(ANYWHERE), &o)?;
                match (gp, po, range) {
                    (Some(gp), Some(po), Some(range)) => gather_numbers(p, &gp, &index, range, &po),
                    _ => Ok(()),
                }
            }; }
    "moe_token_unpermute" { /// out = for each token, the sum of its places times their probabilities.
        aclnnMoeTokenUnpermute(permutedTokens: Tensor, sortedIndices: Tensor, probsOptional: OptTensor, paddedMode: Bool, restoreShapeOptional: OptInts,
            out: Out) =>
            |p, x: View, s, probs, padded, _, o| { need_unpadded(padded)?; unpermute(p, &x, &s, probs, 1, ANYWHERE, &o) }; }
    "moe_token_unpermute_with_ep" { /// As aclnnMoeTokenUnpermute, of the places of a range.
        aclnnMoeTokenUnpermuteWithEp(permutedTokens: Tensor, sortedIndices: Tensor, probsOptional: OptTensor, numTopk: Int, rangeOptional: OptInts,
            paddedMode: Bool, restoreShapeOptional: OptInts, out: Out) =>
            |p: &mut Program, x: View, s, probs, k, range, padded, _, o| {
                need_unpadded(padded)?;
                match places(range)? {
                    Some(range) => unpermute(p, &x, &s, probs, k, range, &o),
                    None => unpermute(p, &x, &s, probs, 1, ANYWHERE, &o),
                }
            }; }
    "moe_token_unpermute_grad" { /// Gradients of aclnnMoeTokenUnpermute to its tokens and probabilities.
        aclnnMoeTokenUnpermuteGrad(permuteTokens: Tensor, unpermutedTokensGrad: Tensor, sortedIndices: Tensor, probsOptional: OptTensor, paddedMode: Bool,
            restoreShapeOptional: OptInts, permutedTokensGradOut: Out, probsGradOut: OptOut) =>
            |p, x, g, s, probs, padded, _, gx, gp| { need_unpadded(padded)?; unpermute_gradient(p, Some(x), g, s, probs, (1, ANYWHERE), gx, gp) }; }
    "moe_token_unpermute_with_ep_grad" { /// As aclnnMoeTokenUnpermuteGrad, of the places of a range.
        aclnnMoeTokenUnpermuteWithEpGrad(unpermutedTokensGrad: Tensor, sortedIndices: Tensor, permutedTokensOptional: OptTensor, probsOptional: OptTensor,
            paddedMode: Bool, restoreShapeOptional: OptInts, rangeOptional: OptInts, topkNum: Int, permutedTokensGradOut: Out, probsGradOut: OptOut) =>
            |p: &mut Program, g, s, x, probs, padded, _, range, k, gx, gp| {
                need_unpadded(padded)?;
                let how = places(range)?.map_or((1, ANYWHERE), |range| (k, range));
                unpermute_gradient(p, x, g, s, probs, how, gx, gp)
            }; }
    "moe_token_permute_with_routing_map" { /// permuteTokens = the tokens that the map names for each expert, in order of the experts, or as many for each with dropAndPad; sortedIndices says where each went, or which came.
        aclnnMoeTokenPermuteWithRoutingMap(tokens: Tensor, routingMap: Tensor, probsOptional: OptTensor, numOutTokens: Int, dropAndPad: Bool,
            permuteTokensOut: Out, permuteProbsOutOptional: OptOut, sortedIndicesOut: Out) => permute_by_map; }
    "moe_token_permute_with_routing_map_grad" { /// Gradients of aclnnMoeTokenPermuteWithRoutingMap to its tokens and probabilities.
        aclnnMoeTokenPermuteWithRoutingMapGrad(permutedTokenOutputGrad: Tensor, permutedProbsOutputGradOptional: OptTensor, sortedIndices: Tensor,
            routingMapOptional: OptTensor, numExperts: Int, tokensNum: Int, dropAndPad: Bool, tokensGradOut: Out, probsGradOutOptional: OptOut) =>
            |p, g, gp, s, map, experts, tokens, pads, o, po| permute_by_map_gradient(p, g, gp, s, map, (tokens, experts), pads, o, po); }
    "moe_token_unpermute_with_routing_map" { /// unpermutedTokens = for each token, the sum of its places times their probabilities, which permuteProbs gets; with paddedMode, outIndex and permuteTokenId are the places and tokens in order of the tokens.
        aclnnMoeTokenUnpermuteWithRoutingMap(permutedTokens: Tensor, sortedIndices: Tensor, routingMapOptional: OptTensor, probsOptional: OptTensor,
            paddedMode: Bool, restoreShapeOptional: OptInts, unpermutedTokens: Out, outIndex: OptOut, permuteTokenId: OptOut, permuteProbs: OptOut) =>
            |p, x, s, map, probs, pads, _, o, oi, id, pp| unpermute_by_map(p, x, s, map, probs, pads, o, [oi, id, pp]); }
    "moe_token_unpermute_with_routing_map_grad" { /// Gradients of aclnnMoeTokenUnpermuteWithRoutingMap to its tokens and probabilities.
        aclnnMoeTokenUnpermuteWithRoutingMapGrad(unpermutedTokensGrad: Tensor, outIndex: Tensor, permuteTokenId: Tensor, routingMapOptional: OptTensor,
            permutedTokensOptional: OptTensor, probsOptional: OptTensor, paddedMode: Bool, restoreShapeOptional: OptInts, permutedTokensGradOut: Out,
            probsGradOutOptional: OptOut) =>
            |p, g, oi, id, map, x, probs, pads, _, gx, gp| unpermute_by_map_gradient(p, g, [oi, id], map, x, probs, pads, gx, gp); }
}

fn need_unpadded(padded: bool) -> Result<()> {
    if padded { Err(invalid!("paddedMode is not supported")) } else { Ok(()) }
}

/// The places of a range that there is.
fn places(range: Option<Arc<[i64]>>) -> Result<Option<(i64, i64)>> {
    match range.as_deref() {
        None | Some([]) => Ok(None),
        Some(&[first, end]) if 0 <= first && first <= end => Ok(Some((first, end))),
        Some(r) => Err(invalid!("range {r:?}; a first place and an end are needed")),
    }
}

/// The places that `numOutTokens` keeps: all if it is 0, those before the last few if it is negative.
fn kept(indices: &View, wanted: i64) -> Result<(i64, i64)> {
    let all = indices.elements();
    let n = if wanted > 0 { wanted.min(all) } else { all + wanted };
    if n < 0 { Err(invalid!("numOutTokens {wanted} of {all}")) } else { Ok((0, n)) }
}

fn by_token(indices: &View) -> Result<View> {
    match indices.rank() {
        1 => Ok(indices.unsqueeze(&[1])),
        2 => Ok(indices.clone()),
        _ => Err(invalid!("indices have shape {:?}", indices.dims)),
    }
}

#[allow(clippy::too_many_arguments)] // CANN's
fn permute(
    p: &mut Program,
    x: &View,
    indices: &View,
    probs: Option<&View>,
    range: (i64, i64),
    out: &View,
    sorted: &View,
    probs_out: Option<&View>,
) -> Result<()> {
    if !matches!(indices.dtype, DType::I32 | DType::I64) || x.rank() != 2 || x.dtype != out.dtype {
        return Err(invalid!("indices of {:?}, tokens of shape {:?} and type {:?} into {:?}", indices.dtype, x.dims, x.dtype, out.dtype));
    }
    let indices = by_token(indices)?;
    let end = range.1.min(indices.elements());
    check_shape(out, &[(end - range.0).max(0), x.dims[1]])?;
    check_shape(sorted, &[indices.elements()])?;
    let routes = Routes::all(p, &indices)?;
    copy(p, &routes.position.reshaped(&sorted.dims), sorted)?;
    let spread = |g, index, out: &View, p: &mut Program| {
        Spread { g, index, weight: None, slope: None, bias: None, range }.launch(p, out)
    };
    spread(x, &routes.position, out, p)?;
    let (Some(probs), Some(to)) = (probs, probs_out) else { return Ok(()) };
    let flat = dense(p, &by_token(probs)?)?;
    if flat.dims != indices.dims || to.dims != out.dims[..1] {
        return Err(invalid!("probs have shape {:?} and permuteProbs {:?}", probs.dims, to.dims));
    }
    let n = indices.elements();
    spread(&flat.reshaped(&[n, 1]), &routes.position.reshaped(&[n, 1]), &to.unsqueeze(&[1]), p)
}

fn gather(p: &mut Program, a: &View, index: &View, weight: Option<&View>, range: (i64, i64), out: &View) -> Result<()> {
    Combine { a, index, weight, bias: None, others: vec![], range }.launch(p, out)
}

/// out `[T, K]` = the numbers that index names; 0 where it names none.
fn gather_numbers(p: &mut Program, a: &View, index: &View, range: (i64, i64), out: &View) -> Result<()> {
    let n = index.elements();
    if a.rank() != 1 || out.elements() != n {
        return Err(invalid!("probabilities of shape {:?} and their gradient {:?} for {n} places", a.dims, out.dims));
    }
    let found = p.temporary(DType::F32, &[n, 1]);
    let index = dense(p, index)?.reshaped(&[n, 1]);
    gather(p, &a.unsqueeze(&[1]), &index, None, range, &found)?;
    copy(p, &found.reshaped(&out.dims), out)
}

fn unpermute(
    p: &mut Program,
    x: &View,
    sorted: &View,
    probs: Option<View>,
    k: i64,
    range: (i64, i64),
    out: &View,
) -> Result<()> {
    let k = probs.as_ref().map_or(k, |v| if v.rank() == 2 { v.dims[1] } else { 1 });
    let probs = probs.as_ref().map(by_token).transpose()?;
    gather(p, x, &pairs(sorted, k, false)?, probs.as_ref(), range, out)
}

#[allow(clippy::too_many_arguments)] // CANN's
fn unpermute_gradient(
    p: &mut Program,
    x: Option<View>,
    g: View,
    sorted: View,
    probs: Option<View>,
    (k, range): (i64, (i64, i64)),
    gx: View,
    gp: Option<View>,
) -> Result<()> {
    let k = probs.as_ref().map_or(k, |v| if v.rank() == 2 { v.dims[1] } else { 1 });
    let index = pairs(&sorted, k, false)?;
    let probs = probs.as_ref().map(by_token).transpose()?;
    let gp = gp.as_ref().map(by_token).transpose()?;
    let slope = match (&probs, &x, &gp) {
        (None, ..) => None,
        (Some(_), Some(x), Some(gp)) => Some((x, gp)),
        (Some(_), ..) => return Err(OpError::Null("permutedTokens and probsGradOut")),
    };
    need_float("unpermutedTokensGrad", &g)?;
    Spread { g: &g, index: &index, weight: probs.as_ref(), slope, bias: None, range }.launch(p, &gx)
}

/// What a routing map comes to.
struct Mapped {
    /// Of each place, its token.
    token: View,
    /// Of each place, the number of its element in the map.
    flat: View,
    /// The places in order of their tokens.
    back: View,
}

impl Mapped {
    fn new(p: &mut Program, map: &View, places: i64, capacity: i64) -> Result<Self> {
        if map.rank() != 2 || !matches!(map.dtype, DType::Bool | DType::I8 | DType::U8) {
            return Err(invalid!("the routing map has shape {:?} and type {:?}", map.dims, map.dtype));
        }
        let [token, flat, back] = [(); 3].map(|()| p.temporary(DType::I32, &[places]));
        p.launch("moe_map", &[&token, &flat, &back], &[map], &[Int(capacity)])?;
        Ok(Self { token, flat, back })
    }
}

/// Elements of a dense `[T, E]` by their numbers.
fn select(p: &mut Program, from: &View, numbers: &View, to: &View) -> Result<()> {
    let all = dense(p, from)?;
    let flat = all.reshaped(&[all.elements()]);
    let found = p.temporary(flat.dtype, &numbers.dims);
    p.launch("index_select", &[&found], &[&flat, numbers], &[Int(0)])?;
    copy(p, &found, to)
}

/// `to` `[T, E]` = 0 but for the elements of these numbers.
fn put(p: &mut Program, values: &View, numbers: &View, to: &View) -> Result<()> {
    let made = p.temporary(to.dtype, &[to.elements()]);
    fill(p, made.clone(), constant(0))?;
    if numbers.elements() > 0 {
        p.launch("index_put", &[&made], &[numbers, values], &[Int(0), Int(0), Float(1.0)])?;
    }
    copy(p, &made.reshaped(&to.dims), to)
}

#[allow(clippy::too_many_arguments)] // CANN's
fn permute_by_map(
    p: &mut Program,
    x: View,
    map: View,
    probs: Option<View>,
    wanted: i64,
    pads: bool,
    out: View,
    probs_out: Option<View>,
    sorted: View,
) -> Result<()> {
    let (&[tokens, experts], &[n, h]) = (&map.dims[..], &x.dims[..]) else {
        return Err(invalid!("tokens have shape {:?} and the routing map {:?}", x.dims, map.dims));
    };
    if n != tokens || x.dtype != out.dtype || wanted < 0 || tokens == 0 || experts == 0 {
        return Err(invalid!("tokens have shape {:?}, the routing map {:?}, numOutTokens is {wanted}", x.dims, map.dims));
    }
    let capacity = if pads { wanted / experts } else { 0 };
    let rows = if pads { capacity * experts } else { wanted / tokens * tokens };
    if pads && !(1..=tokens).contains(&capacity) {
        return Err(invalid!("{capacity} of {tokens} tokens for each expert"));
    }
    check_shape(&out, &[rows, h])?;
    check_shape(&sorted, &[rows])?;
    let mapped = Mapped::new(p, &map, rows, capacity)?;
    p.launch("index_select", &[&out], &[&x, &mapped.token], &[Int(0)])?;
    copy(p, if pads { &mapped.token } else { &mapped.back }, &sorted)?;
    let (Some(probs), Some(to)) = (probs, probs_out) else { return Ok(()) };
    if probs.dims != map.dims || to.dims != [rows] {
        return Err(invalid!("probs have shape {:?} and permuteProbs {:?}", probs.dims, to.dims));
    }
    select(p, &probs, &mapped.flat, &to)
}

/// Numbers in `[T, E]` of places that belong to the experts in turn, `capacity` each, of the given tokens.
fn padded_numbers(p: &mut Program, tokens: &View, experts: i64) -> Result<View> {
    let n = tokens.elements();
    if experts <= 0 || n % experts != 0 {
        return Err(invalid!("{n} places of {experts} experts"));
    }
    let expert = p.temporary(DType::I32, &[experts]);
    p.launch("arange", &[&expert], &[], &[Float(0.0), Float(1.0), Int(0), Int(1)])?;
    let numbers = p.temporary(DType::I32, &[n]);
    p.launch("mul_s", &[&numbers], &[tokens], &[Type(DType::I32), Float(experts as f64), Int(experts)])?;
    let each = numbers.split(0, &[experts, n / experts]);
    arithmetic(p, "add", &each, &expert.unsqueeze(&[1]), None, &each)?;
    Ok(numbers)
}

/// out `[T, H]` = for each token, the sum of the rows of its places, `tokens` saying whose each is.
fn add_rows(p: &mut Program, rows: &View, tokens: &View, out: &View) -> Result<()> {
    need_float("out", out)?;
    let sums = p.temporary(DType::F32, &out.dims);
    fill(p, sums.clone(), constant(0))?;
    if rows.elements() > 0 {
        p.launch("index_put", &[&sums], &[tokens, rows], &[Int(0), Int(1), Float(1.0)])?;
    }
    copy(p, &sums, out)
}

#[allow(clippy::too_many_arguments)] // CANN's
fn permute_by_map_gradient(
    p: &mut Program,
    g: View,
    gp: Option<View>,
    sorted: View,
    map: Option<View>,
    (tokens, experts): (i64, i64),
    pads: bool,
    out: View,
    probs_out: Option<View>,
) -> Result<()> {
    let &[rows, h] = &g.dims[..] else { return Err(invalid!("gradients have shape {:?}", g.dims)) };
    if sorted.dims != [rows] || tokens <= 0 || experts <= 0 || rows % if pads { experts } else { tokens } != 0 {
        return Err(invalid!("sortedIndices have shape {:?} for {rows} rows of {tokens} tokens, {experts} experts", sorted.dims));
    }
    check_shape(&out, &[tokens, h])?;
    if pads {
        add_rows(p, &g, &sorted, &out)?;
    } else {
        gather(p, &g, &pairs(&sorted, (rows / tokens).max(1), false)?, None, ANYWHERE, &out)?;
    }
    let (Some(gp), Some(to)) = (gp, probs_out) else { return Ok(()) };
    check_shape(&to, &[tokens, experts])?;
    check_shape(&gp, &[rows])?;
    let numbers = if pads {
        padded_numbers(p, &sorted, experts)?
    } else {
        let map = map.ok_or(OpError::Null("routingMapOptional"))?;
        check_shape(&map, &to.dims)?;
        Mapped::new(p, &map, rows, 0)?.flat
    };
    put(p, &gp, &numbers, &to)
}

#[allow(clippy::too_many_arguments)] // CANN's
fn unpermute_by_map(
    p: &mut Program,
    x: View,
    sorted: View,
    map: Option<View>,
    probs: Option<View>,
    pads: bool,
    out: View,
    [out_index, ids, probs_out]: [Option<View>; 3],
) -> Result<()> {
    let (&[rows, _], &[tokens, _]) = (&x.dims[..], &out.dims[..]) else {
        return Err(invalid!("permutedTokens have shape {:?} and unpermutedTokens {:?}", x.dims, out.dims));
    };
    if sorted.dims != [rows] || (!pads && (tokens == 0 || rows % tokens != 0)) {
        return Err(invalid!("sortedIndices have shape {:?} for {rows} rows of {tokens} tokens", sorted.dims));
    }
    let mut source = x.clone();
    if let Some(probs) = probs {
        if probs.rank() != 2 || probs.dims[0] != tokens {
            return Err(invalid!("probs have shape {:?} for {tokens} tokens", probs.dims));
        }
        let numbers = if pads {
            padded_numbers(p, &sorted, probs.dims[1])?
        } else {
            let map = map.ok_or(OpError::Null("routingMapOptional"))?;
            check_shape(&map, &probs.dims)?;
            Mapped::new(p, &map, rows, 0)?.flat
        };
        let chosen = p.temporary(probs.dtype, &[rows]);
        select(p, &probs, &numbers, &chosen)?;
        if let Some(to) = probs_out {
            check_shape(&to, &[rows])?;
            copy(p, &chosen, &to)?;
        }
        source = p.temporary(DType::F32, &x.dims);
        arithmetic(p, "mul", &x, &chosen.unsqueeze(&[1]), None, &source)?;
    }
    if !pads {
        return gather(p, &source, &pairs(&sorted, rows / tokens, false)?, None, ANYWHERE, &out);
    }
    add_rows(p, &source, &sorted, &out)?;
    let outputs: Vec<_> = ids.iter().chain(&out_index).collect();
    for v in &outputs {
        check_shape(v, &[rows])?;
    }
    let there = i64::from(ids.is_some()) + 2 * i64::from(out_index.is_some());
    if there == 0 { Ok(()) } else { p.launch("sort", &outputs, &[&sorted], &[Int(0), Int(0), Int(there)]) }
}

#[allow(clippy::too_many_arguments)] // CANN's
fn unpermute_by_map_gradient(
    p: &mut Program,
    g: View,
    [out_index, ids]: [View; 2],
    map: Option<View>,
    x: Option<View>,
    probs: Option<View>,
    pads: bool,
    gx: View,
    gp: Option<View>,
) -> Result<()> {
    let (&[rows, h], &[_, width]) = (&gx.dims[..], &g.dims[..]) else {
        return Err(invalid!("gradients have shapes {:?} and {:?}", g.dims, gx.dims));
    };
    need_float("unpermutedTokensGrad", &g)?;
    if h != width || out_index.dims != [rows] || ids.dims != [rows] {
        return Err(invalid!("outIndex has shape {:?} and permuteTokenId {:?} for {rows} rows", out_index.dims, ids.dims));
    }
    // Each place's row of the gradient.
    let of_token = p.temporary(g.dtype, &[rows, h]);
    p.launch("index_select", &[&of_token], &[&g, &ids], &[Int(0)])?;
    let of_place = p.temporary(g.dtype, &[rows, h]);
    fill(p, of_place.clone(), constant(0))?;
    if rows > 0 {
        p.launch("index_put", &[&of_place], &[&out_index, &of_token], &[Int(0), Int(0), Float(1.0)])?;
    }
    let Some(probs) = probs else { return copy(p, &of_place, &gx) };
    let (Some(x), Some(gp)) = (x, gp) else { return Err(OpError::Null("permutedTokensOptional and probsGradOutOptional")) };
    check_shape(&x, &gx.dims)?;
    check_shape(&gp, &probs.dims)?;
    let numbers = if pads {
        // In order of the places.
        let token = p.temporary(DType::I32, &[rows]);
        if rows > 0 {
            p.launch("index_put", &[&token], &[&out_index, &ids], &[Int(0), Int(0), Float(1.0)])?;
        }
        padded_numbers(p, &token, probs.dims[1])?
    } else {
        let map = map.ok_or(OpError::Null("routingMapOptional"))?;
        check_shape(&map, &probs.dims)?;
        Mapped::new(p, &map, rows, 0)?.flat
    };
    let products = p.temporary(DType::F32, &[rows, h]);
    arithmetic(p, "mul", &of_place, &x, None, &products)?;
    let slopes = p.temporary(DType::F32, &[rows, 1]);
    p.launch("reduce_sum", &[&slopes], &[&products], &[Type(DType::F32)])?;
    put(p, &slopes.without(1), &numbers, &gp)?;
    let chosen = p.temporary(probs.dtype, &[rows]);
    select(p, &probs, &numbers, &chosen)?;
    arithmetic(p, "mul", &of_place, &chosen.unsqueeze(&[1]), None, &gx)
}
