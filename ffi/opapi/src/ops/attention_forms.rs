//! Other forms of attention: of inference in one call, of samples of different lengths one behind the other.

use std::sync::Arc;

use super::attention::{Heads, Infer, Sight, infer};
use super::attention_training::{Attention, forward, gradient};
use super::declare::operators;
use super::elementwise::need_absent;
use super::movement::{constant, copy, fill};
use crate::error::{OpError, Result, invalid};
use crate::program::Program;
use crate::view::View;

operators! {
    "prompt_flash_attention_v3" { /// attentionOut = softmax(scaleValue query keyᵀ + pseShift, where not masked) value; actualSeqLengths are those of the samples.
        aclnnPromptFlashAttentionV3(query: Tensor, key: Tensor, value: Tensor, pseShift: OptTensor, attenMask: OptTensor, actualSeqLengths: OptInts,
            actualSeqLengthsKv: OptInts, deqScale1: OptTensor, quantScale1: OptTensor, deqScale2: OptTensor, quantScale2: OptTensor, quantOffset2: OptTensor,
            numHeads: Int, scaleValue: Double, preTokens: Int, nextTokens: Int, inputLayout: Text, numKeyValueHeads: Int, sparseMode: Int, innerPrecise: Int,
            attentionOut: Tensor) =>
            |p, q: View, k: View, v: View, shift, mask, lengths, kv_lengths, d1, q1, d2, q2, o2, heads, scale, pre, next, layout: String, kv_heads, sparse, _,
             out: View| {
                need_absent(&[("deqScale1", d1), ("quantScale1", q1), ("deqScale2", d2), ("quantScale2", q2), ("quantOffset2", o2)])?;
                let (heads, sight) = (Heads::new(heads, kv_heads), Sight { sparse, pre, next });
                infer(p, Infer { q, k: vec![k], v: vec![v], shift, mask, lengths, kv_lengths, heads, scale, sight, layout, out, lse: None, table: None })
            }; }
    "incre_flash_attention_v4" { /// As aclnnPromptFlashAttentionV3, of one query each; actualSeqLengths are those of the keys, which blocktable may name by blocks.
        aclnnIncreFlashAttentionV4(query: Tensor, key: Tensors, value: Tensors, pseShift: OptTensor, attenMask: OptTensor, actualSeqLengths: OptInts,
            dequantScale1: OptTensor, quantScale1: OptTensor, dequantScale2: OptTensor, quantScale2: OptTensor, quantOffset2: OptTensor,
            antiquantScale: OptTensor, antiquantOffset: OptTensor, blocktable: OptTensor, kvPaddingSize: OptTensor, numHeads: Int, scaleValue: Double,
            inputLayout: Text, numKeyValueHeads: Int, blockSize: Int, innerPrecise: Int, attentionOut: Tensor) =>
            |p, q: View, k: Vec<View>, v: Vec<View>, shift, mask, kv_lengths, d1, q1, d2, q2, o2, a, b, table, padding, heads, scale, layout: String, kv_heads, _, _,
             out: View| {
                need_absent(&[("dequantScale1", d1), ("quantScale1", q1), ("dequantScale2", d2), ("quantScale2", q2), ("quantOffset2", o2),
                    ("antiquantScale", a), ("antiquantOffset", b), ("kvPaddingSize", padding)])?;
                let (heads, sight) = (Heads::new(heads, kv_heads), Sight { sparse: 0, pre: i64::MAX, next: i64::MAX });
                infer(p, Infer { q, k, v, shift, mask, lengths: None, kv_lengths, heads, scale, sight, layout, out, lse: None, table })
            }; }
    "fused_infer_attention_score_v3" { /// As aclnnFusedInferAttentionScoreV2; queryRope and keyRope are further columns of query and key.
        aclnnFusedInferAttentionScoreV3(query: Tensor, key: Tensors, value: Tensors, pseShiftOptional: OptTensor, attenMaskOptional: OptTensor,
            actualSeqLengthsOptional: OptInts, actualSeqLengthsKvOptional: OptInts, deqScale1Optional: OptTensor, quantScale1Optional: OptTensor,
            deqScale2Optional: OptTensor, quantScale2Optional: OptTensor, quantOffset2Optional: OptTensor, antiquantScaleOptional: OptTensor,
            antiquantOffsetOptional: OptTensor, blockTableOptional: OptTensor, queryPaddingSizeOptional: OptTensor, kvPaddingSizeOptional: OptTensor,
            keyAntiquantScaleOptional: OptTensor, keyAntiquantOffsetOptional: OptTensor, valueAntiquantScaleOptional: OptTensor,
            valueAntiquantOffsetOptional: OptTensor, keySharedPrefixOptional: OptTensor, valueSharedPrefixOptional: OptTensor,
            actualSharedPrefixLenOptional: OptInts, queryRopeOptional: OptTensor, keyRopeOptional: OptTensor, keyRopeAntiquantScaleOptional: OptTensor,
            numHeads: Int, scaleValue: Double, preTokens: Int, nextTokens: Int, inputLayout: Text, numKeyValueHeads: Int, sparseMode: Int, innerPrecise: Int,
            blockSize: Int, antiquantMode: Int, softmaxLseFlag: Bool, keyAntiquantMode: Int, valueAntiquantMode: Int, attentionOut: Tensor,
            softmaxLse: OptTensor) =>
            |p, q: View, k: Vec<View>, v: Vec<View>, shift, mask, lengths, kv_lengths, d1, q1, d2, q2, o2, a, b, table, qp, kvp, ka, kb, va, vb, kp, vp, _, qr, kr, kra,
             heads, scale, pre, next, layout: String, kv_heads, sparse, _, _, _, lse_flag, _, _, out: View, lse: Option<View>| {
                need_absent(&[("deqScale1", d1), ("quantScale1", q1), ("deqScale2", d2), ("quantScale2", q2), ("quantOffset2", o2), ("antiquantScale", a),
                    ("antiquantOffset", b), ("queryPaddingSize", qp), ("kvPaddingSize", kvp), ("keyAntiquantScale", ka), ("keyAntiquantOffset", kb),
                    ("valueAntiquantScale", va), ("valueAntiquantOffset", vb), ("keySharedPrefix", kp), ("valueSharedPrefix", vp),
                    ("keyRopeAntiquantScale", kra)])?;
                let lse = if lse_flag { Some(lse.ok_or(OpError::Null("softmaxLse"))?) } else { None };
                let (heads, sight) = (Heads::new(heads, kv_heads), Sight { sparse, pre, next });
                let all = Infer { q, k, v, shift, mask, lengths, kv_lengths, heads, scale, sight, layout, out, lse, table };
                infer_with_rope(p, all, qr, kr)
            }; }
    "fused_infer_attention_score_v4" { /// As aclnnFusedInferAttentionScoreV3; neither a quantised query nor a sink is supported.
        aclnnFusedInferAttentionScoreV4(query: Tensor, key: Tensors, value: Tensors, pseShiftOptional: OptTensor, attenMaskOptional: OptTensor,
            actualSeqLengthsOptional: OptInts, actualSeqLengthsKvOptional: OptInts, deqScale1Optional: OptTensor, quantScale1Optional: OptTensor,
            deqScale2Optional: OptTensor, quantScale2Optional: OptTensor, quantOffset2Optional: OptTensor, antiquantScaleOptional: OptTensor,
            antiquantOffsetOptional: OptTensor, blockTableOptional: OptTensor, queryPaddingSizeOptional: OptTensor, kvPaddingSizeOptional: OptTensor,
            keyAntiquantScaleOptional: OptTensor, keyAntiquantOffsetOptional: OptTensor, valueAntiquantScaleOptional: OptTensor,
            valueAntiquantOffsetOptional: OptTensor, keySharedPrefixOptional: OptTensor, valueSharedPrefixOptional: OptTensor,
            actualSharedPrefixLenOptional: OptInts, queryRopeOptional: OptTensor, keyRopeOptional: OptTensor, keyRopeAntiquantScaleOptional: OptTensor,
            dequantScaleQueryOptional: OptTensor, learnableSinkOptional: OptTensor, numHeads: Int, scaleValue: Double, preTokens: Int, nextTokens: Int,
            inputLayout: Text, numKeyValueHeads: Int, sparseMode: Int, innerPrecise: Int, blockSize: Int, antiquantMode: Int, softmaxLseFlag: Bool,
            keyAntiquantMode: Int, valueAntiquantMode: Int, queryQuantMode: Int, attentionOut: Tensor, softmaxLse: OptTensor) =>
            |p, q: View, k: Vec<View>, v: Vec<View>, shift, mask, lengths, kv_lengths, d1, q1, d2, q2, o2, a, b, table, qp, kvp, ka, kb, va, vb, kp, vp, _, qr, kr, kra, dq,
             sink, heads, scale, pre, next, layout: String, kv_heads, sparse, _, _, _, lse_flag, _, _, _, out: View, lse: Option<View>| {
                need_absent(&[("deqScale1", d1), ("quantScale1", q1), ("deqScale2", d2), ("quantScale2", q2), ("quantOffset2", o2), ("antiquantScale", a),
                    ("antiquantOffset", b), ("queryPaddingSize", qp), ("kvPaddingSize", kvp), ("keyAntiquantScale", ka), ("keyAntiquantOffset", kb),
                    ("valueAntiquantScale", va), ("valueAntiquantOffset", vb), ("keySharedPrefix", kp), ("valueSharedPrefix", vp),
                    ("keyRopeAntiquantScale", kra), ("dequantScaleQuery", dq), ("learnableSink", sink)])?;
                let lse = if lse_flag { Some(lse.ok_or(OpError::Null("softmaxLse"))?) } else { None };
                let (heads, sight) = (Heads::new(heads, kv_heads), Sight { sparse, pre, next });
                let all = Infer { q, k, v, shift, mask, lengths, kv_lengths, heads, scale, sight, layout, out, lse, table };
                infer_with_rope(p, all, qr, kr)
            }; }
    "flash_attention_score" { /// As aclnnFlashAttentionScore, of samples one behind the other (TND); actualSeqQLen and actualSeqKvLen are their ends.
        aclnnFlashAttentionVarLenScore(query: Tensor, key: Tensor, value: Tensor, realShiftOptional: OptTensor, dropMaskOptional: OptTensor,
            paddingMaskOptional: OptTensor, attenMaskOptional: OptTensor, prefixOptional: OptInts, actualSeqQLenOptional: OptInts,
            actualSeqKvLenOptional: OptInts, scaleValue: Double, keepProb: Double, preTokens: Int, nextTokens: Int, headNum: Int, inputLayout: Text,
            innerPrecise: Int, sparseMode: Int, softmaxMaxOut: OptTensor, softmaxSumOut: OptTensor, softmaxOutOut: OptTensor, attentionOutOut: Tensor) =>
            |p, q, k, v, pse, drop, _, mask, _, ql, kl, scale, keep, pre, next, n, layout, _, mode, max, sum, _, out|
                samples(p, Samples { q, k, v, mask, ends: [ql, kl], scale, sight: [pre, next, mode], heads: n, layout }, (pse, drop, keep), [max, sum], out);
        /// As aclnnFlashAttentionVarLenScore.
        aclnnFlashAttentionVarLenScoreV2(query: Tensor, key: Tensor, value: Tensor, realShiftOptional: OptTensor, dropMaskOptional: OptTensor,
            paddingMaskOptional: OptTensor, attenMaskOptional: OptTensor, prefixOptional: OptInts, actualSeqQLenOptional: OptInts,
            actualSeqKvLenOptional: OptInts, qStartIdxOptional: OptInts, kvStartIdxOptional: OptInts, scaleValue: Double, keepProb: Double, preTokens: Int,
            nextTokens: Int, headNum: Int, inputLayout: Text, innerPrecise: Int, sparseMode: Int, pseType: Int, softmaxMaxOut: OptTensor,
            softmaxSumOut: OptTensor, softmaxOutOut: OptTensor, attentionOutOut: Tensor) =>
            |p, q, k, v, pse, drop, _, mask, _, ql, kl, _, _, scale, keep, pre, next, n, layout, _, mode, _, max, sum, _, out|
                samples(p, Samples { q, k, v, mask, ends: [ql, kl], scale, sight: [pre, next, mode], heads: n, layout }, (pse, drop, keep), [max, sum], out);
        /// As aclnnFlashAttentionVarLenScoreV2; queryRope and keyRope are further columns of query and key.
        aclnnFlashAttentionVarLenScoreV3(query: Tensor, queryRope: OptTensor, key: Tensor, keyRope: OptTensor, value: Tensor, realShiftOptional: OptTensor,
            dropMaskOptional: OptTensor, paddingMaskOptional: OptTensor, attenMaskOptional: OptTensor, prefixOptional: OptInts, actualSeqQLenOptional: OptInts,
            actualSeqKvLenOptional: OptInts, qStartIdxOptional: OptInts, kvStartIdxOptional: OptInts, scaleValue: Double, keepProb: Double, preTokens: Int,
            nextTokens: Int, headNum: Int, inputLayout: Text, innerPrecise: Int, sparseMode: Int, pseType: Int, softmaxMaxOut: OptTensor,
            softmaxSumOut: OptTensor, softmaxOutOut: OptTensor, attentionOutOut: Tensor) =>
            |p: &mut Program, q, qr, k, kr, v, pse, drop, _, mask, _, ql, kl, _, _, scale, keep, pre, next, n, layout, _, mode, _, max, sum, _, out| {
                let (q, k) = (beside(p, q, qr)?, beside(p, k, kr)?);
                samples(p, Samples { q, k, v, mask, ends: [ql, kl], scale, sight: [pre, next, mode], heads: n, layout }, (pse, drop, keep), [max, sum], out)
            };
        /// As aclnnFlashAttentionVarLenScore; softmaxOutLayout is that of the input.
        aclnnFlashAttentionVarLenScoreV4(query: Tensor, key: Tensor, value: Tensor, realShiftOptional: OptTensor, dropMaskOptional: OptTensor,
            paddingMaskOptional: OptTensor, attenMaskOptional: OptTensor, prefixOptional: OptInts, actualSeqQLenOptional: OptInts,
            actualSeqKvLenOptional: OptInts, scaleValue: Double, keepProb: Double, preTokens: Int, nextTokens: Int, headNum: Int, inputLayout: Text,
            innerPrecise: Int, sparseMode: Int, softmaxOutLayout: Text, softmaxMaxOut: OptTensor, softmaxSumOut: OptTensor, softmaxOutOut: OptTensor,
            attentionOutOut: Tensor) =>
            |p, q, k, v, pse, drop, _, mask, _, ql, kl, scale, keep, pre, next, n, layout, _, mode, _, max, sum, _, out|
                samples(p, Samples { q, k, v, mask, ends: [ql, kl], scale, sight: [pre, next, mode], heads: n, layout }, (pse, drop, keep), [max, sum], out); }
    "flash_attention_score_grad" { /// Gradients of aclnnFlashAttentionVarLenScore to query, key and value.
        aclnnFlashAttentionUnpaddingScoreGrad(query: Tensor, keyIn: Tensor, value: Tensor, dy: Tensor, pseShiftOptional: OptTensor, dropMaskOptional: OptTensor,
            paddingMaskOptional: OptTensor, attenMaskOptional: OptTensor, softmaxMaxOptional: OptTensor, softmaxSumOptional: OptTensor,
            softmaxInOptional: OptTensor, attentionInOptional: OptTensor, prefixOptional: OptInts, actualSeqQLenOptional: OptInts,
            actualSeqKvLenOptional: OptInts, scaleValue: Double, keepProb: Double, preTokens: Int, nextTokens: Int, headNum: Int, inputLayout: Text,
            innerPrecise: Int, sparseMode: Int, dqOut: Tensor, dkOut: Tensor, dvOut: Tensor, dpseOut: OptTensor) =>
            |p, q, k, v, g, pse, drop, _, mask, _, _, _, _, _, ql, kl, scale, keep, pre, next, n, layout, _, mode, dq, dk, dv, _|
                gradients(p, Samples { q, k, v, mask, ends: [ql, kl], scale, sight: [pre, next, mode], heads: n, layout }, (pse, drop, keep), g, [dq, dk, dv]);
        /// As aclnnFlashAttentionUnpaddingScoreGrad.
        aclnnFlashAttentionUnpaddingScoreGradV2(query: Tensor, keyIn: Tensor, value: Tensor, dy: Tensor, pseShiftOptional: OptTensor,
            dropMaskOptional: OptTensor, paddingMaskOptional: OptTensor, attenMaskOptional: OptTensor, softmaxMaxOptional: OptTensor,
            softmaxSumOptional: OptTensor, softmaxInOptional: OptTensor, attentionInOptional: OptTensor, prefixOptional: OptInts,
            actualSeqQLenOptional: OptInts, actualSeqKvLenOptional: OptInts, qStartIdxOptional: OptInts, kvStartIdxOptional: OptInts, scaleValue: Double,
            keepProb: Double, preTokens: Int, nextTokens: Int, headNum: Int, inputLayout: Text, innerPrecise: Int, sparseMode: Int, pseType: Int,
            dqOut: Tensor, dkOut: Tensor, dvOut: Tensor, dpseOut: OptTensor) =>
            |p, q, k, v, g, pse, drop, _, mask, _, _, _, _, _, ql, kl, _, _, scale, keep, pre, next, n, layout, _, mode, _, dq, dk, dv, _|
                gradients(p, Samples { q, k, v, mask, ends: [ql, kl], scale, sight: [pre, next, mode], heads: n, layout }, (pse, drop, keep), g, [dq, dk, dv]); }
}

/// The columns of both, side by side.
fn beside(p: &mut Program, a: View, b: Option<View>) -> Result<View> {
    let Some(b) = b else { return Ok(a) };
    let last = a.rank().saturating_sub(1);
    if a.rank() != b.rank() || a.rank() == 0 || a.dims[..last] != b.dims[..last] || a.dtype != b.dtype {
        return Err(invalid!("columns of shape {:?} beside {:?}", b.dims, a.dims));
    }
    let mut dims = a.dims.clone();
    dims[last] += b.dims[last];
    let both = p.temporary(a.dtype, &dims);
    copy(p, &a, &both.narrow(last, 0, a.dims[last], 1))?;
    copy(p, &b, &both.narrow(last, a.dims[last], b.dims[last], 1))?;
    Ok(both)
}

/// As [`infer`], with further columns of query and key.
fn infer_with_rope(p: &mut Program, mut a: Infer, query: Option<View>, key: Option<View>) -> Result<()> {
    if query.is_some() != key.is_some() {
        return Err(invalid!("queryRope and keyRope go together"));
    }
    if query.is_some() {
        if !matches!(&a.layout[..], "BNSD" | "BSND" | "BNSD_BSND") && a.heads.query != 1 || a.k.len() != 1 {
            return Err(invalid!("queryRope with layout {} and {} keys; BNSD and BSND are supported", a.layout, a.k.len()));
        }
        a.q = beside(p, a.q, query)?;
        a.k[0] = beside(p, a.k[0].clone(), key)?;
    }
    infer(p, a)
}

/// Samples one behind the other.
struct Samples {
    q: View,
    k: View,
    v: View,
    mask: Option<View>,
    ends: [Option<Arc<[i64]>>; 2],
    scale: f64,
    sight: [i64; 3],
    heads: i64,
    layout: String,
}

impl Samples {
    /// Runs `each` for the attention of each sample, with the rows of its queries and its keys.
    fn each(
        &self,
        dropped: (Option<View>, Option<View>, f64),
        mut each: impl FnMut(Attention, (i64, i64), (i64, i64)) -> Result<()>,
    ) -> Result<()> {
        let (pse, drop, keep) = dropped;
        if self.layout != "TND" || pse.is_some() || drop.is_some() && keep < 1.0 {
            return Err(invalid!("layout {}, with a shift or a dropout; TND alone is supported", self.layout));
        }
        if [&self.q, &self.k, &self.v].iter().any(|v| v.rank() != 3) || self.q.dims[1] != self.heads {
            return Err(invalid!("query has shape {:?}, key {:?}, value {:?} for {} heads", self.q.dims, self.k.dims, self.v.dims, self.heads));
        }
        let [queries, keys] = [("actualSeqQLenOptional", &self.ends[0]), ("actualSeqKvLenOptional", &self.ends[1])]
            .map(|(name, ends)| ends.as_deref().ok_or(OpError::Null(name)));
        let (queries, keys) = (queries?, keys?);
        if queries.len() != keys.len() {
            return Err(invalid!("{} ends of queries and {} of keys", queries.len(), keys.len()));
        }
        let (mut q, mut k) = (0, 0);
        for (&qe, &ke) in queries.iter().zip(keys) {
            if qe < q || ke < k || qe > self.q.dims[0] || ke > self.k.dims[0] {
                return Err(invalid!("ends {queries:?} and {keys:?} of {} queries and {} keys", self.q.dims[0], self.k.dims[0]));
            }
            let (rows, columns) = ((q, qe - q), (k, ke - k));
            (q, k) = (qe, ke);
            if rows.1 == 0 {
                continue;
            }
            let [pre, next, mode] = self.sight;
            let mask = match &self.mask {
                Some(m) if matches!(mode, 0 | 1) => {
                    let r = m.rank();
                    if r < 2 || m.dims[r - 2] < rows.1 || m.dims[r - 1] < columns.1 || m.dims[..r - 2].iter().any(|&d| d != 1) {
                        return Err(invalid!("attenMask has shape {:?} for {} queries and {} keys", m.dims, rows.1, columns.1));
                    }
                    Some(m.narrow(r - 2, 0, rows.1, 1).narrow(r - 1, 0, columns.1, 1))
                }
                _ => None,
            };
            let [query, key, value] = [(&self.q, rows), (&self.k, columns), (&self.v, columns)].map(|(v, at)| part(v, at));
            let attention = Attention {
                q: query,
                k: key,
                v: value,
                pse: None,
                drop: None,
                mask,
                scale: self.scale,
                keep: 1.0,
                pre,
                next,
                heads: self.heads,
                layout: "BSND".into(),
                mode,
                scaled_pse: false,
            };
            each(attention, rows, columns)?;
        }
        Ok(())
    }
}

/// One sample's rows of `[T, N, D]`, as a batch of one.
fn part(v: &View, (first, n): (i64, i64)) -> View {
    v.narrow(0, first, n, 1).unsqueeze(&[0])
}

fn samples(
    p: &mut Program,
    s: Samples,
    dropped: (Option<View>, Option<View>, f64),
    statistics: [Option<View>; 2],
    out: View,
) -> Result<()> {
    if out.rank() != 3 || out.dims[..2] != s.q.dims[..2.min(s.q.rank())] {
        return Err(invalid!("attentionOut has shape {:?} for query {:?}", out.dims, s.q.dims));
    }
    fill(p, out.clone(), constant(0))?;
    s.each(dropped, |attention, rows, columns| {
        if columns.1 == 0 {
            return Ok(());
        }
        // [T, N, 8] as [1, N, S, 8].
        let rows_of = |v: &View| part(v, rows).transposed(1, 2);
        let statistics = statistics.each_ref().map(|v| v.as_ref().filter(|v| v.rank() == 3).map(rows_of));
        forward(p, attention, statistics, part(&out, rows))
    })
}

fn gradients(p: &mut Program, s: Samples, dropped: (Option<View>, Option<View>, f64), g: View, outs: [View; 3]) -> Result<()> {
    for (out, like) in outs.iter().zip([&s.q, &s.k, &s.v]) {
        super::elementwise::check_shape(out, &like.dims)?;
        fill(p, out.clone(), constant(0))?;
    }
    if g.rank() != 3 {
        return Err(invalid!("dy has shape {:?}", g.dims));
    }
    s.each(dropped, |attention, rows, columns| {
        if columns.1 == 0 {
            return Ok(());
        }
        let parts = [part(&outs[0], rows), part(&outs[1], columns), part(&outs[2], columns)];
        gradient(p, attention, part(&g, rows), parts, None)
    })
}
