//! Attention as training uses it, and its gradient. Where probabilities are dropped, in float64, and where the gradient of
//! the shift is asked for, all of the probabilities are made; else the kernels of [`super::attention`] do without.

use super::attention::Attention as Fused;
use super::declare::operators;
use super::elementwise::check_shape;
use crate::dtype::DType;
use crate::error::{Result, invalid};
use crate::program::Attr::{Float, Int, Type};
use crate::program::Program;
use crate::view::View;

operators! {
    "flash_attention_score" { /// attentionOutOut = softmax(scale * query @ key transposed, masked) @ value.
        aclnnFlashAttentionScore(query: Tensor, key: Tensor, value: Tensor, realShiftOptional: OptTensor, dropMaskOptional: OptTensor, paddingMaskOptional: OptTensor, attenMaskOptional: OptTensor, prefixOptional: OptInts, scaleValue: Double, keepProb: Double, preTokens: Int, nextTokens: Int, headNum: Int, inputLayout: Text, innerPrecise: Int, sparseMode: Int, softmaxMaxOut: OptOut, softmaxSumOut: OptOut, softmaxOutOut: OptOut, attentionOutOut: Out) =>
            |p, q, k, v, pse, drop, _, mask, _, scale, keep, pre, next, n, layout, _, mode, max, sum, _, out|
                forward(p, Attention { q, k, v, pse, drop, mask, scale, keep, pre, next, heads: n, layout, mode, scaled_pse: true }, [max, sum], out); }
    "flash_attention_score" { /// As aclnnFlashAttentionScore; pseType 0 adds the shift to scaled scores, 1 scales their sum.
        aclnnFlashAttentionScoreV2(query: Tensor, key: Tensor, value: Tensor, realShiftOptional: OptTensor, dropMaskOptional: OptTensor, paddingMaskOptional: OptTensor, attenMaskOptional: OptTensor, prefixOptional: OptInts, qStartIdxOptional: OptInts, kvStartIdxOptional: OptInts, scaleValue: Double, keepProb: Double, preTokens: Int, nextTokens: Int, headNum: Int, inputLayout: Text, innerPrecise: Int, sparseMode: Int, pseType: Int, softmaxMaxOut: OptOut, softmaxSumOut: OptOut, softmaxOutOut: OptOut, attentionOutOut: Out) =>
            |p, q, k, v, pse, drop, _, mask, _, _, _, scale, keep, pre, next, n, layout, _, mode, kind: i64, max, sum, _, out|
                forward(p, Attention { q, k, v, pse, drop, mask, scale, keep, pre, next, heads: n, layout, mode, scaled_pse: kind != 0 }, [max, sum], out); }
    "flash_attention_score_grad" { /// Gradients of attention to query, key and value.
        aclnnFlashAttentionScoreGrad(query: Tensor, keyIn: Tensor, value: Tensor, dy: Tensor, pseShiftOptional: OptTensor, dropMaskOptional: OptTensor, paddingMaskOptional: OptTensor, attenMaskOptional: OptTensor, softmaxMaxOptional: OptTensor, softmaxSumOptional: OptTensor, softmaxInOptional: OptTensor, attentionInOptional: OptTensor, prefixOptional: OptInts, scaleValue: Double, keepProb: Double, preTokens: Int, nextTokens: Int, headNum: Int, inputLayout: Text, innerPrecise: Int, sparseMode: Int, dqOut: Out, dkOut: Out, dvOut: Out, dpseOut: OptOut) =>
            |p, q, k, v, g, pse, drop, _, mask, _, _, _, _, _, scale, keep, pre, next, n, layout, _, mode, dq, dk, dv, dpse|
                gradient(p, Attention { q, k, v, pse, drop, mask, scale, keep, pre, next, heads: n, layout, mode, scaled_pse: true }, g, [dq, dk, dv], dpse); }
    "flash_attention_score_grad" { /// As aclnnFlashAttentionScoreGrad; pseType 0 adds the shift to scaled scores, 1 scales their sum.
        aclnnFlashAttentionScoreGradV2(query: Tensor, keyIn: Tensor, value: Tensor, dy: Tensor, pseShiftOptional: OptTensor, dropMaskOptional: OptTensor, paddingMaskOptional: OptTensor, attenMaskOptional: OptTensor, softmaxMaxOptional: OptTensor, softmaxSumOptional: OptTensor, softmaxInOptional: OptTensor, attentionInOptional: OptTensor, prefixOptional: OptInts, qStartIdxOptional: OptInts, kvStartIdxOptional: OptInts, scaleValue: Double, keepProb: Double, preTokens: Int, nextTokens: Int, headNum: Int, inputLayout: Text, innerPrecise: Int, sparseMode: Int, pseType: Int, dqOut: Out, dkOut: Out, dvOut: Out, dpseOut: OptOut) =>
            |p, q, k, v, g, pse, drop, _, mask, _, _, _, _, _, _, _, scale, keep, pre, next, n, layout, _, mode, kind: i64, dq, dk, dv, dpse|
                gradient(p, Attention { q, k, v, pse, drop, mask, scale, keep, pre, next, heads: n, layout, mode, scaled_pse: kind != 0 }, g, [dq, dk, dv], dpse); }
}

/// The arguments of attention.
#[allow(missing_docs)] // CANN's names
pub struct Attention {
    pub q: View,
    pub k: View,
    pub v: View,
    pub pse: Option<View>,
    pub drop: Option<View>,
    pub mask: Option<View>,
    pub scale: f64,
    pub keep: f64,
    pub pre: i64,
    pub next: i64,
    pub heads: i64,
    pub layout: String,
    pub mode: i64,
    pub scaled_pse: bool,
}

/// `[batch, heads, length, width]` of a tensor in a layout; `heads` is what the layout does not tell.
fn four(name: &str, v: &View, layout: &str, heads: i64) -> Result<View> {
    let (rank, order): (usize, &[i64]) = match layout {
        "BNSD" => (4, &[0, 1, 2, 3]),
        "BSND" => (4, &[0, 2, 1, 3]),
        "BSH" => (3, &[0, 2, 1, 3]),
        "SBH" => (3, &[1, 2, 0, 3]),
        _ => return Err(invalid!("layout {layout:?}; BNSD, BSND, BSH and SBH are supported")),
    };
    if v.rank() != rank {
        return Err(invalid!("{name} has shape {:?}; layout {layout} has {rank} dimensions", v.dims));
    }
    if rank == 4 {
        return v.permute(order);
    }
    if heads <= 0 || v.dims[2] % heads != 0 {
        return Err(invalid!("{name} has shape {:?}, which is not {heads} heads", v.dims));
    }
    let mut split = v.unsqueeze(&[2]);
    split.dims[2] = heads;
    split.dims[3] /= heads;
    split.strides[2] = split.dims[3] * split.strides[3];
    split.permute(order)
}

/// `[batch, heads, …]` with the heads as `[groups, heads in a group]`.
fn grouped(v: &View, group: i64) -> View {
    let mut v = v.unsqueeze(&[2]);
    v.strides[2] = v.strides[1];
    v.strides[1] *= group;
    v.dims[2] = group;
    v.dims[1] /= group;
    v
}

fn turned(v: &View) -> Result<View> {
    v.permute(&[0, 1, 2, 4, 3])
}

fn product(p: &mut Program, out: &View, a: &View, b: &View, scale: f64) -> Result<()> {
    p.launch("matmul", &[out], &[a, b], &[Float(scale), Float(0.0), Int(0)])
}

impl Attention {
    /// Whether probabilities are dropped.
    fn drops(&self) -> bool {
        self.drop.is_some() && self.keep < 1.0
    }

    /// First and last distance key − query that is seen, for so many of both.
    fn sight(&self, rows: i64, columns: i64) -> Result<(i64, i64)> {
        let shift = if matches!(self.mode, 3 | 4) { columns - rows } else { 0 };
        match self.mode {
            2 | 3 => Ok((i64::MIN, shift)),
            0 | 4 => Ok((shift.saturating_sub(self.pre), shift.saturating_add(self.next))),
            1 => Ok((i64::MIN, i64::MAX)),
            other => Err(invalid!("sparseMode {other}; 0 to 4 are supported")),
        }
    }

    /// The mask, where it says more than the sight.
    fn seen_mask(&self) -> Option<&View> {
        self.mask.as_ref().filter(|_| matches!(self.mode, 0 | 1))
    }

    /// The same without the probabilities, for a result `[batch, heads, length, width]` and its statistics.
    fn fused(&self, p: &mut Program, out: &View, statistics: Option<[View; 2]>) -> Result<Fused> {
        let [q, k, v] = self.heads()?;
        let scores = [q.dims[0], q.dims[1], q.dims[2], k.dims[2]];
        let shift = match &self.pse {
            Some(pse) if self.scaled_pse && self.scale != 1.0 => {
                let scaled = p.temporary(DType::F32, &pse.dims);
                p.launch("mul_s", &[&scaled], &[pse], &[Type(DType::F32), Float(self.scale), Int(1)])?;
                Some(scaled)
            }
            pse => pse.clone(),
        };
        let seen = |v: Option<&View>| v.map(|v| v.expand(&scores)).transpose();
        let (shift, mask) = (seen(shift.as_ref())?, seen(self.seen_mask())?);
        let sight = self.sight(scores[2], scores[3])?;
        Ok(Fused { q, k, v, out: out.clone(), lse: None, statistics, shift, mask, scale: self.scale, sight })
    }

    /// Query, key and value as `[batch, heads, length, width]`.
    fn heads(&self) -> Result<[View; 3]> {
        let q = four("query", &self.q, &self.layout, self.heads)?;
        let width = q.dims[3].max(1);
        let key_heads = if self.k.rank() == 3 { self.k.dims[2] / width } else { self.heads };
        let k = four("key", &self.k, &self.layout, key_heads)?;
        let v = four("value", &self.v, &self.layout, k.dims[1])?;
        Ok([q, k, v])
    }

    /// Masks scores `[B, N, Sq, Skv]`: by the tensor, and by position.
    fn hide(&self, p: &mut Program, scores: &View) -> Result<()> {
        let (rows, columns) = (scores.dims[2], scores.dims[3]);
        // Columns first..=last of row r are seen; both move with r.
        let (low, high) = self.sight(rows, columns)?;
        if low > -rows || high < columns {
            p.launch("band_fill", &[scores], &[], &[Float(f64::from(f32::MIN)), Int(low), Int(high)])?;
        }
        let Some(mask) = self.seen_mask() else { return Ok(()) };
        let mask = match mask.rank() {
            2 => mask.clone(),
            _ => mask.expand(&scores.dims)?,
        };
        let hidden = super::pointwise::constant(p, f64::from(f32::MIN), &scores.dims)?;
        p.launch("where", &[scores], &[&mask.expand(&scores.dims)?, &hidden, scores], &[])
    }

    fn dropped(&self, p: &mut Program, v: &View) -> Result<View> {
        match &self.drop {
            Some(mask) if self.keep < 1.0 => {
                let out = p.temporary(v.dtype, &v.dims);
                p.launch("dropout", &[&out], &[v, mask], &[Float(1.0 / self.keep)])?;
                Ok(out)
            }
            _ => Ok(v.clone()),
        }
    }
}

/// Query, key and value as `[batch, heads that share, heads in a share, length, width]`.
struct Heads {
    q: View,
    k: View,
    v: View,
    /// Heads of the query for each of the key.
    group: i64,
    /// Heads of the key.
    kv: i64,
    kind: DType,
    /// Shape of the scores.
    scores: [i64; 4],
}

impl Heads {
    fn new(a: &Attention) -> Result<Self> {
        let [q, k, v] = a.heads()?;
        let kv = k.dims[1];
        let (batch, heads) = (q.dims[0], q.dims[1]);
        if kv == 0 || heads % kv != 0 || k.dims[0] != batch || v.dims[..3] != k.dims[..3] || k.dims[3] != q.dims[3] {
            return Err(invalid!("query {:?}, key {:?} and value {:?} do not belong together", q.dims, k.dims, v.dims));
        }
        let group = heads / kv;
        let each = |v: &View| {
            let v = v.unsqueeze(&[2]);
            let mut dims = v.dims.clone();
            dims[2] = group;
            v.expand(&dims)
        };
        Ok(Self {
            k: each(&k)?,
            v: each(&v)?,
            group,
            kv,
            kind: if q.dtype == DType::F64 { DType::F64 } else { DType::F32 },
            scores: [batch, heads, q.dims[2], k.dims[2]],
            q: grouped(&q, group),
        })
    }

    /// The masked scores.
    fn score(&self, p: &mut Program, a: &Attention) -> Result<View> {
        let scores = p.temporary(self.kind, &self.scores);
        product(p, &grouped(&scores, self.group), &self.q, &turned(&self.k)?, a.scale)?;
        if let Some(pse) = &a.pse {
            let alpha = if a.scaled_pse { a.scale } else { 1.0 };
            let pse = pse.expand(&scores.dims)?;
            p.launch("add", &[&scores], &[&scores, &pse], &[Type(self.kind), Float(alpha), Int(1)])?;
        }
        a.hide(p, &scores)?;
        Ok(scores)
    }
}

/// out = attention, with the largest score and the sum of each row where they are asked for.
pub fn forward(p: &mut Program, a: Attention, statistics: [Option<View>; 2], out: View) -> Result<()> {
    let h = Heads::new(&a)?;
    let [rows, columns] = [h.scores[2], h.scores[3]];
    let out = four("attentionOutOut", &out, &a.layout, a.heads)?;
    let dims = [h.scores[0], h.scores[1], rows, h.v.dims[4]];
    if out.dims != dims {
        return Err(invalid!("attentionOutOut has the form {:?}; {dims:?} is needed", out.dims));
    }
    // The largest score of each row, and the sum of what is left of the others, eight times over.
    let mut kept = h.scores.to_vec();
    kept[3] = 1;
    let wide: Vec<_> = [h.scores[0], h.scores[1], rows, 8].to_vec();
    let is_asked = |v: &Option<View>| v.as_ref().is_some_and(|v| v.dims == wide);
    if !a.drops() && h.kind == DType::F32 {
        let statistics = match statistics {
            [Some(max), Some(sum)] if max.dims == wide && sum.dims == wide => Some([max, sum]),
            _ => None,
        };
        return a.fused(p, &out, statistics)?.launch(p);
    }
    let scores = h.score(p, &a)?;
    if columns > 0 && statistics.iter().any(is_asked) {
        let most = p.temporary(h.kind, &kept);
        p.launch("reduce_max", &[&most], &[&scores], &[Type(h.kind)])?;
        let [max, sum] = statistics;
        if let Some(out) = sum.filter(|v| v.dims == wide) {
            let rest = p.temporary(h.kind, &scores.dims);
            let most = most.expand(&scores.dims)?;
            p.launch("sub", &[&rest], &[&scores, &most], &[Type(h.kind), Float(1.0), Int(1)])?;
            p.launch("exp", &[&rest], &[&rest], &[Type(h.kind)])?;
            let sums = p.temporary(h.kind, &kept);
            p.launch("reduce_sum", &[&sums], &[&rest], &[Type(h.kind)])?;
            p.launch("copy", &[&out], &[&sums.expand(&wide)?], &[])?;
        }
        if let Some(out) = max.filter(|v| v.dims == wide) {
            p.launch("copy", &[&out], &[&most.expand(&wide)?], &[])?;
        }
    }
    p.launch("softmax", &[&scores], &[&scores], &[Int(3)])?;
    let kept = a.dropped(p, &scores)?;
    product(p, &grouped(&out, h.group), &grouped(&kept, h.group), &h.v, 1.0)
}

/// The gradients of query, key and value, and of the shift.
pub fn gradient(p: &mut Program, a: Attention, grad: View, outs: [View; 3], dpse: Option<View>) -> Result<()> {
    let [dq, dk, dv] = &outs;
    check_shape(dq, &a.q.dims)?;
    check_shape(dk, &a.k.dims)?;
    check_shape(dv, &a.v.dims)?;
    let h = Heads::new(&a)?;
    let grad = four("dy", &grad, &a.layout, a.heads)?;
    let (group, kv, kind) = (h.group, h.kv, h.kind);
    if grad.dims[..3] != h.scores[..3] || grad.dims[3] != h.v.dims[4] {
        return Err(invalid!("dy has the form {:?}, query {:?}", grad.dims, h.q.dims));
    }
    let (dq4, dk4, dv4) = (
        four("dq", dq, &a.layout, a.heads)?,
        four("dk", dk, &a.layout, kv)?,
        four("dv", dv, &a.layout, kv)?,
    );
    let dpse = dpse.filter(|o| a.pse.is_some() && o.elements() > 0);
    if !a.drops() && kind == DType::F32 && dpse.is_none() {
        return a.fused(p, &grad, None)?.launch_backward(p, [&dq4, &dk4, &dv4], &grad);
    }
    let (q5, g5, k5, v5) = (&h.q, grouped(&grad, group), &h.k, &h.v);
    let scores = h.score(p, &a)?;
    p.launch("softmax", &[&scores], &[&scores], &[Int(3)])?;
    let kept = a.dropped(p, &scores)?;
    // The gradients of key and value are sums over the heads that share them.
    let sum_into = |p: &mut Program, out: &View, a5: &View, b5: &View, scale: f64| -> Result<()> {
        let out = out.unsqueeze(&[2]);
        if group == 1 {
            return product(p, &out, a5, b5, scale);
        }
        let mut dims = out.dims.clone();
        dims[2] = group;
        let parts = p.temporary(kind, &dims);
        product(p, &parts, a5, b5, scale)?;
        p.launch("reduce_sum", &[&out], &[&parts], &[Type(kind)])
    };
    sum_into(p, &dv4, &turned(&grouped(&kept, group))?, &g5, 1.0)?;
    let slopes = p.temporary(kind, &scores.dims);
    product(p, &grouped(&slopes, group), &g5, &turned(v5)?, 1.0)?;
    let slopes = a.dropped(p, &slopes)?;
    p.launch("softmax_backward", &[&slopes], &[&slopes, &scores], &[Int(3)])?;
    let slopes5 = grouped(&slopes, group);
    product(p, &grouped(&dq4, group), &slopes5, k5, a.scale)?;
    sum_into(p, &dk4, &turned(&slopes5)?, q5, a.scale)?;
    if let Some(out) = dpse {
        let scale = if a.scaled_pse { a.scale } else { 1.0 };
        if out.rank() != 4 {
            return Err(invalid!("dpse has shape {:?}; four dimensions are needed", out.dims));
        }
        let sums = p.temporary(kind, &out.dims);
        p.launch("reduce_sum", &[&sums], &[&slopes], &[Type(kind)])?;
        p.launch("mul_s", &[&out], &[&sums], &[Type(kind), Float(scale), Int(1)])?;
    }
    Ok(())
}
