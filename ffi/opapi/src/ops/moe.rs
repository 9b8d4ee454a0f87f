//! Mixtures of experts: their gates, and how many rows each expert has.

use super::declare::operators;
use super::elementwise::{arithmetic, check_shape};
use super::loss::need_float;
use super::movement::{constant, copy, fill};
use super::pointwise::{self, dense};
use crate::dims::Dims;
use crate::dtype::DType;
use crate::error::{OpError, Result, invalid};
use crate::objects::Scalar;
use crate::program::Attr::{Float, Int, Type};
use crate::program::Program;
use crate::view::View;

operators! {
    "moe_gating_top_k_softmax" { /// y = the k largest of softmax(x), expertIdx their experts (their number where a row is finished), rowIdx = the row's number in column order.
        aclnnMoeGatingTopKSoftmax(x: Tensor, finishedOptional: OptTensor, k: Int, yOut: Out, expertIdxOut: Out, rowIdxOut: Out) =>
            |p: &mut Program, x: View, finished, k, y: View, e: View, r: View| {
                gate_by_softmax(p, &x, finished, k, false, &y, &e, None)?;
                row_numbers(p, &r, &e.dims)
            }; }
    "moe_gating_top_k_softmax_v2" { /// y = the k largest of softmax(x), or softmax of the k largest of x if renorm is 1; expertIdx as aclnnMoeGatingTopKSoftmax has it.
        aclnnMoeGatingTopKSoftmaxV2(x: Tensor, finishedOptional: OptTensor, k: Int, renorm: Int, outputSoftmaxResultFlag: Bool, yOut: Out,
            expertIdxOut: Out, softmaxResultOutOptional: OptOut) =>
            |p: &mut Program, x: View, finished, k, renorm, flag, y: View, e: View, all: Option<View>| match renorm {
                0 | 1 => gate_by_softmax(p, &x, finished, k, renorm == 1, &y, &e, all.filter(|_| flag)),
                _ => Err(invalid!("renorm {renorm}; 0 and 1 are known")),
            }; }
    "moe_gating_top_k" { /// y = the k best of sigmoid or softmax of x, by their sum with bias, of the best kGroup of groupCount groups, times routedScalingFactor; those of sigmoid by their sum + eps.
        aclnnMoeGatingTopK(x: Tensor, biasOptional: OptTensor, k: Int, kGroup: Int, groupCount: Int, groupSelectMode: Int, renorm: Int, normType: Int,
            outFlag: Bool, routedScalingFactor: Double, eps: Double, yOut: Tensor, expertIdxOut: Tensor, outOut: OptTensor) =>
            |p, x, bias, k, k_group, groups, mode, renorm, norm, flag, factor, eps, y, experts, all: Option<View>| {
                if renorm != 0 {
                    return Err(invalid!("renorm {renorm}; 0 is supported"));
                }
                let gate = Gate { k, k_group, groups, mode, norm, factor, eps };
                gate_in_groups(p, &x, bias, gate, &y, &experts, all.filter(|_| flag))
            }; }
    "moe_compute_expert_tokens" { /// out = for each expert, how many of the sorted experts are it or one before it.
        aclnnMoeComputeExpertTokens(sortedExperts: Tensor, numExperts: Int, out: Out) => compute_expert_tokens; }
}

/// The `k` largest of each row, values or their places.
fn top(p: &mut Program, x: &View, k: i64, values: Option<&View>, places: Option<&View>) -> Result<()> {
    let outputs: Vec<_> = values.into_iter().chain(places).collect();
    let there = i64::from(values.is_some()) + 2 * i64::from(places.is_some());
    debug_assert!(outputs.iter().all(|o| o.dims.last() == Some(&k)));
    p.launch("sort", &outputs, &[x], &[Int(x.rank() as i64 - 1), Int(1), Int(there)])
}

/// softmax along the last dimension.
fn softmax(p: &mut Program, x: &View, out: &View) -> Result<()> {
    p.launch("softmax", &[out], &[x], &[Int(x.rank() as i64 - 1)])
}

fn need_k(x: &View, k: i64, most: i64) -> Result<Dims> {
    need_float("x", x)?;
    match x.dims[..] {
        [.., _] if (1..=most).contains(&k) && x.rank() >= 2 => {
            let mut dims = x.dims.clone();
            dims[x.rank() - 1] = k;
            Ok(dims)
        }
        _ => Err(invalid!("k is {k} for x of shape {:?}", x.dims)),
    }
}

fn need_int32(name: &str, v: &View) -> Result<()> {
    if v.dtype == DType::I32 { Ok(()) } else { Err(invalid!("{name} has type {:?}; I32 is needed", v.dtype)) }
}

#[allow(clippy::too_many_arguments)] // CANN's
fn gate_by_softmax(
    p: &mut Program,
    x: &View,
    finished: Option<View>,
    k: i64,
    choose_first: bool,
    y: &View,
    experts: &View,
    all: Option<View>,
) -> Result<()> {
    let e = *x.dims.last().unwrap_or(&0);
    let dims = need_k(x, k, e)?;
    need_float("y", y)?;
    need_int32("expertIdx", experts)?;
    check_shape(y, &dims)?;
    check_shape(experts, &dims)?;
    let chosen = p.temporary(DType::F32, &dims);
    let places = p.temporary(DType::I32, &dims);
    if choose_first {
        top(p, x, k, Some(&chosen), Some(&places))?;
        softmax(p, &chosen, y)?;
    } else {
        let probabilities = p.temporary(DType::F32, &x.dims);
        softmax(p, x, &probabilities)?;
        if let Some(all) = all {
            check_shape(&all, &x.dims)?;
            copy(p, &probabilities, &all)?;
        }
        top(p, &probabilities, k, Some(&chosen), Some(&places))?;
        copy(p, &chosen, y)?;
    }
    let Some(finished) = finished else { return copy(p, &places, experts) };
    if finished.dtype != DType::Bool || finished.dims != x.dims[..x.rank() - 1] {
        return Err(invalid!("finished has shape {:?} and type {:?} for x of shape {:?}", finished.dims, finished.dtype, x.dims));
    }
    let none = p.temporary(DType::I32, &[]);
    fill(p, none.clone(), constant(e))?;
    let finished = finished.unsqueeze(&[finished.rank()]).expand(&dims)?;
    p.launch("where", &[experts], &[&finished, &none.expand(&dims)?, &places], &[])
}

/// Numbers of `[.., K]` counted down the columns.
fn row_numbers(p: &mut Program, out: &View, dims: &[i64]) -> Result<()> {
    need_int32("rowIdx", out)?;
    check_shape(out, dims)?;
    let k = *dims.last().unwrap_or(&1);
    let numbers = p.temporary(DType::I32, &[dims.iter().product()]);
    p.launch("arange", &[&numbers], &[], &[Float(0.0), Float(1.0), Int(0), Int(1)])?;
    let rows: Vec<_> = [&[k], &dims[..dims.len() - 1]].concat();
    let order: Vec<_> = (1..rows.len() as i64).chain([0]).collect();
    copy(p, &numbers.reshaped(&rows).permute(&order)?, out)
}

/// How a gate chooses.
struct Gate {
    k: i64,
    k_group: i64,
    groups: i64,
    mode: i64,
    norm: i64,
    factor: f64,
    eps: f64,
}

fn gate_in_groups(
    p: &mut Program,
    x: &View,
    bias: Option<View>,
    gate: Gate,
    y: &View,
    experts: &View,
    all: Option<View>,
) -> Result<()> {
    let &[rows, e] = &x.dims[..] else { return Err(invalid!("x has shape {:?}; a matrix is needed", x.dims)) };
    let Gate { k, k_group, groups, mode, norm, factor, eps } = gate;
    if groups < 1 || e % groups != 0 || !(1..=groups).contains(&k_group) || !matches!((mode, norm), (0 | 1, 0 | 1)) {
        return Err(invalid!(
            "kGroup {k_group} of groupCount {groups} with {e} experts, groupSelectMode {mode} and normType {norm}"
        ));
    }
    let of_group = e / groups;
    if mode == 1 && of_group < 2 {
        return Err(invalid!("groups of {of_group} experts; groupSelectMode 1 adds the two best of each"));
    }
    let dims = need_k(x, k, of_group * k_group)?;
    need_float("y", y)?;
    need_int32("expertIdx", experts)?;
    check_shape(y, &dims)?;
    check_shape(experts, &dims)?;
    let scores = p.temporary(DType::F32, &x.dims);
    match norm {
        0 => softmax(p, x, &scores)?,
        _ => p.launch("sigmoid", &[&scores], &[x], &[Type(DType::F32)])?,
    }
    if let Some(all) = all {
        check_shape(&all, &x.dims)?;
        copy(p, &scores, &all)?;
    }
    let mut ranked = scores.clone();
    if let Some(bias) = bias {
        need_float("bias", &bias)?;
        check_shape(&bias, &[e])?;
        ranked = p.temporary(DType::F32, &x.dims);
        arithmetic(p, "add", &scores, &bias, None, &ranked)?;
    }
    if k_group < groups {
        ranked = best_groups(p, &ranked.split(1, &[groups, of_group]), k_group, mode)?.merged(1..3).unwrap_or(ranked);
    }
    let places = dense(p, experts, DType::I32)?;
    top(p, &ranked, k, None, Some(&places))?;
    let weights = p.temporary(DType::F32, &[rows, k]);
    p.launch("gather", &[&weights], &[&scores, &places], &[Int(1)])?;
    if norm == 1 {
        let sum = p.temporary(DType::F32, &[rows, 1]);
        p.launch("reduce_sum", &[&sum], &[&weights], &[Type(DType::F32)])?;
        p.launch("add_s", &[&sum], &[&sum], &[Type(DType::F32), Float(eps), Int(0)])?;
        arithmetic(p, "div", &weights, &sum, None, &weights)?;
    }
    p.launch("mul_s", &[y], &[&weights], &[Type(DType::F32), Float(factor), Int(factor as i64)])?;
    if places == *experts { Ok(()) } else { copy(p, &places, experts) }
}

/// Scores `[rows, groups, experts of a group]` with −∞ outside the best groups of each row.
fn best_groups(p: &mut Program, scores: &View, k_group: i64, mode: i64) -> Result<View> {
    let (rows, groups) = (scores.dims[0], scores.dims[1]);
    let best = if mode == 1 { 2 } else { 1 };
    let leaders = p.temporary(DType::F32, &[rows, groups, best]);
    top(p, scores, best, Some(&leaders), None)?;
    let sums = p.temporary(DType::F32, &[rows, groups, 1]);
    p.launch("reduce_sum", &[&sums], &[&leaders], &[Type(DType::F32)])?;
    let chosen = p.temporary(DType::I32, &[rows, k_group]);
    top(p, &sums.without(2), k_group, None, Some(&chosen))?;
    let mask = p.temporary(DType::Bool, &[rows, groups]);
    fill(p, mask.clone(), constant(0))?;
    let yes = pointwise::constant(p, 1.0, &chosen.dims)?;
    p.launch("scatter", &[&mask], &[&chosen, &yes], &[Int(1), Int(0)])?;
    let none = p.temporary(DType::F32, &[]);
    fill(p, none.clone(), Scalar::real(DType::F32, f64::NEG_INFINITY, 0))?;
    let masked = p.temporary(DType::F32, &scores.dims);
    let condition = mask.unsqueeze(&[2]).expand(&scores.dims)?;
    p.launch("where", &[&masked], &[&condition, scores, &none.expand(&scores.dims)?], &[])?;
    Ok(masked)
}

fn compute_expert_tokens(p: &mut Program, sorted: View, experts: i64, out: View) -> Result<()> {
    need_int32("sortedExperts", &sorted)?;
    need_int32("out", &out)?;
    if sorted.rank() != 1 || experts <= 0 {
        return Err(invalid!("sortedExperts has shape {:?} for {experts} experts", sorted.dims));
    }
    check_shape(&out, &[experts])?;
    let routes = Routes::new(p, &sorted, (0, experts), 0)?;
    copy_counts(p, &routes.counts, true, &out)
}

/// Where rows of tokens go.
pub struct Routes {
    /// Of each row, its place or −1, in the shape of the experts.
    pub position: View,
    /// Of each place, its row or −1.
    pub source: View,
    /// The experts in order.
    pub sorted: View,
    /// Rows of each expert, before any is dropped.
    pub counts: View,
    /// The first expert that takes part.
    pub first: i64,
}

impl Routes {
    /// Routes rows to the experts first..end, which take `capacity` rows each, or 0: all.
    pub fn new(p: &mut Program, experts: &View, (first, end): (i64, i64), capacity: i64) -> Result<Self> {
        Self::launch(p, experts, (first, end), capacity, true)
    }

    /// Routes all rows in order of their experts, whatever numbers these have.
    pub fn all(p: &mut Program, experts: &View) -> Result<Self> {
        Self::launch(p, experts, (0, 0), 0, false)
    }

    fn launch(p: &mut Program, experts: &View, (first, end): (i64, i64), capacity: i64, ranged: bool) -> Result<Self> {
        let (rows, active) = (experts.elements(), end - first);
        let places = if capacity == 0 { rows } else { active.saturating_mul(capacity) };
        if places >= 1 << 31 || active < 0 {
            return Err(invalid!("experts {first} to {end} with {capacity} rows each"));
        }
        let routes = Self {
            position: p.temporary(DType::I32, &experts.dims),
            source: p.temporary(DType::I32, &[places]),
            sorted: p.temporary(DType::I32, &[rows]),
            counts: p.temporary(DType::I64, &[active]),
            first,
        };
        let outputs = [&routes.position, &routes.source, &routes.sorted, &routes.counts];
        p.launch("moe_route", &outputs, &[experts], &[Int(first), Int(capacity), Int(ranged.into())])?;
        Ok(routes)
    }
}

/// Numbers of rows, or their sums up to each expert.
pub fn copy_counts(p: &mut Program, counts: &View, sums: bool, out: &View) -> Result<()> {
    if out.dims != counts.dims {
        return Err(invalid!("numbers of rows have shape {:?}; out has {:?}", counts.dims, out.dims));
    }
    match sums {
        false => copy(p, counts, out),
        true => p.launch("cumsum", &[out], &[counts], &[Type(DType::I64), Int(0)]),
    }
}

/// An optional argument that a flag asks for.
pub fn wanted<T>(name: &'static str, value: Option<T>, flag: bool) -> Result<Option<T>> {
    match (flag, value) {
        (true, None) => Err(OpError::Null(name)),
        (true, value) => Ok(value),
        (false, _) => Ok(None),
    }
}
