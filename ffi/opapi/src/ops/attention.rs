//! Attention and rotary position embedding.

use std::sync::Arc;

use super::declare::operators;
use super::elementwise::{check_shape, need_absent};
use super::loss::need_float;
use crate::dtype::DType;
use crate::error::{Result, invalid};
use crate::program::{Attr, Program};
use crate::view::View;

operators! {
    "rotary_position_embedding" { /// out = x cos + (x with pairs of elements turned) sin; mode 0 halves, 1 neighbours, 2 quarters, 3 neighbours into halves.
        aclnnRotaryPositionEmbedding(x: Tensor, cos: Tensor, sin: Tensor, mode: Int, out: Out) => rotary; }
    "fused_infer_attention_score_v2" { /// attentionOut = softmax(scaleValue query keyᵀ + pseShift, where not masked) value, of one key and value tensor.
        aclnnFusedInferAttentionScoreV2(query: Tensor, key: Tensors, value: Tensors, pseShiftOptional: OptTensor, attenMaskOptional: OptTensor,
            actualSeqLengthsOptional: OptInts, actualSeqLengthsKvOptional: OptInts, deqScale1Optional: OptTensor, quantScale1Optional: OptTensor,
            deqScale2Optional: OptTensor, quantScale2Optional: OptTensor, quantOffset2Optional: OptTensor, antiquantScaleOptional: OptTensor,
            antiquantOffsetOptional: OptTensor, blockTableOptional: OptTensor, queryPaddingSizeOptional: OptTensor, kvPaddingSizeOptional: OptTensor,
            keyAntiquantScaleOptional: OptTensor, keyAntiquantOffsetOptional: OptTensor, valueAntiquantScaleOptional: OptTensor,
            valueAntiquantOffsetOptional: OptTensor, keySharedPrefixOptional: OptTensor, valueSharedPrefixOptional: OptTensor,
            actualSharedPrefixLenOptional: OptInts, numHeads: Int, scaleValue: Double, preTokens: Int, nextTokens: Int, inputLayout: Text,
            numKeyValueHeads: Int, sparseMode: Int, innerPrecise: Int, blockSize: Int, antiquantMode: Int, softmaxLseFlag: Bool,
            keyAntiquantMode: Int, valueAntiquantMode: Int, attentionOut: Tensor, softmaxLse: OptTensor) =>
            |p, q: View, k: Vec<View>, v: Vec<View>, shift, mask, lengths, kv_lengths, d1, q1, d2, q2, o2, a, b, table, qp, kvp, ka, kb, va, vb, kp, vp, _, heads,
             scale, pre, next, layout: String, kv_heads, sparse, _, _, _, lse_flag, _, _, out: View, lse: Option<View>| {
                let absent = [("deqScale1", d1), ("quantScale1", q1), ("deqScale2", d2), ("quantScale2", q2), ("quantOffset2", o2), ("antiquantScale", a),
                    ("antiquantOffset", b), ("queryPaddingSize", qp), ("kvPaddingSize", kvp), ("keyAntiquantScale", ka),
                    ("keyAntiquantOffset", kb), ("valueAntiquantScale", va), ("valueAntiquantOffset", vb), ("keySharedPrefix", kp), ("valueSharedPrefix", vp)];
                need_absent(&absent)?;
                let lse = if lse_flag { Some(lse.ok_or(crate::error::OpError::Null("softmaxLse"))?) } else { None };
                let heads = Heads::new(heads, kv_heads);
                let sight = Sight { sparse, pre, next };
                infer(p, Infer { q, k, v, shift, mask, lengths, kv_lengths, heads, scale, sight, layout, out, lse, table })
            }; }
}

fn rotary(p: &mut Program, x: View, cos: View, sin: View, mode: i64, out: View) -> Result<()> {
    for (name, v) in [("x", &x), ("cos", &cos), ("sin", &sin), ("out", &out)] {
        need_float(name, v)?;
    }
    check_shape(&out, &x.dims)?;
    let (cos, sin) = (cos.expand(&x.dims)?, sin.expand(&x.dims)?);
    let divisor = match mode {
        0 | 1 | 3 => 2,
        2 => 4,
        _ => return Err(invalid!("mode {mode} of a rotation; 0 to 3 are known")),
    };
    if x.dims.last().is_none_or(|d| d % divisor != 0) {
        return Err(invalid!("rows of shape {:?} do not divide into {divisor}", x.dims));
    }
    p.launch("rotary", &[&out], &[&x, &cos, &sin], &[Attr::Int(mode)])
}

/// Numbers of heads.
#[derive(Clone, Copy)]
pub struct Heads {
    /// Of the queries.
    pub query: i64,
    /// Of the keys and values.
    pub key: i64,
}

impl Heads {
    /// 0 for the keys is as many as for the queries.
    pub fn new(query: i64, key: i64) -> Self {
        Self { query, key: if key == 0 { query } else { key } }
    }
}

/// Which keys a query sees.
#[derive(Clone, Copy)]
pub struct Sight {
    /// CANN's sparseMode.
    pub sparse: i64,
    /// How many keys before it a query sees.
    pub pre: i64,
    /// How many behind it.
    pub next: i64,
}

impl Sight {
    /// The first and last distance key − query, for `s` queries and `t` keys, and whether the mask counts.
    fn band(self, s: i64, t: i64) -> Result<(i64, i64, bool)> {
        // Whoever may look further than any tensor reaches sees all.
        let far = |tokens: i64| if tokens >= i64::from(i32::MAX) { i64::MAX } else { tokens };
        match self.sparse {
            0 => Ok((far(self.pre).saturating_neg(), far(self.next), true)),
            1 => Ok((i64::MIN, i64::MAX, true)),
            2 => Ok((i64::MIN, 0, false)),
            3 => Ok((i64::MIN, t - s, false)),
            4 => Ok(((t - s).saturating_sub(far(self.pre)), (t - s).saturating_add(far(self.next)), false)),
            m => Err(invalid!("sparseMode {m}; 0 to 4 are known")),
        }
    }
}

/// A tensor of layout `layout` as `[B, N, S, D]`.
fn as_bnsd(name: &str, v: &View, layout: &str, heads: i64) -> Result<View> {
    let wrong = || invalid!("{name} has shape {:?}, which is not {layout} with {heads} heads", v.dims);
    let four = match (layout, v.rank()) {
        ("BNSD", 4) => v.clone(),
        ("BSND", 4) => v.transposed(1, 2),
        ("BSH", 3) if heads > 0 && v.dims[2] % heads == 0 => v.split(2, &[heads, v.dims[2] / heads]).transposed(1, 2),
        ("SBH", 3) if heads > 0 && v.dims[2] % heads == 0 => {
            v.transposed(0, 1).split(2, &[heads, v.dims[2] / heads]).transposed(1, 2)
        }
        _ => return Err(wrong()),
    };
    if four.dims[1] == heads { Ok(four) } else { Err(wrong()) }
}

/// What attention of an inference is told.
#[allow(missing_docs)] // CANN's names
pub struct Infer {
    pub q: View,
    pub k: Vec<View>,
    pub v: Vec<View>,
    pub shift: Option<View>,
    pub mask: Option<View>,
    pub lengths: Option<Arc<[i64]>>,
    pub kv_lengths: Option<Arc<[i64]>>,
    pub heads: Heads,
    pub scale: f64,
    pub sight: Sight,
    pub layout: String,
    pub out: View,
    pub lse: Option<View>,
    /// Which blocks of the keys and values each sample has.
    pub table: Option<View>,
}

/// The keys or values of samples that have them in blocks, `[blocks, places, heads * width]` or `[blocks, heads, places,
/// width]`, as `[B, N, S, D]` with the first `most` places of each.
fn of_blocks(p: &mut Program, name: &str, cache: &View, table: &View, heads: i64, most: i64) -> Result<View> {
    let wrong = || invalid!("{name} has shape {:?} and blockTable {:?} for {heads} heads and {most} places", cache.dims, table.dims);
    let (&[b, columns], 3 | 4) = (&table.dims[..], cache.rank()) else { return Err(wrong()) };
    let size = cache.dims[cache.rank() - 2];
    let wanted = if size > 0 { (most + size - 1) / size } else { 0 };
    if wanted > columns || table.dtype != DType::I32 || heads <= 0 || cache.dims[0] == 0 || size == 0 {
        return Err(wrong());
    }
    // What a sample does not use may be anything; it is masked later.
    let blocks = p.temporary(DType::I32, &[b, wanted]);
    let limits = [Attr::Float(0.0), Attr::Float((cache.dims[0] - 1) as f64)];
    p.launch("clamp", &[&blocks], &[&table.narrow(1, 0, wanted, 1)], &limits)?;
    let found = p.temporary(cache.dtype, &[&[b, wanted], &cache.dims[1..]].concat());
    p.launch("index_select", &[&found], &[cache, &blocks], &[Attr::Int(0)])?;
    let all = if cache.rank() == 3 {
        if cache.dims[2] % heads != 0 {
            return Err(wrong());
        }
        found.reshaped(&[b, wanted * size, heads, cache.dims[2] / heads]).transposed(1, 2)
    } else {
        if cache.dims[1] != heads {
            return Err(wrong());
        }
        super::movement::dense(p, &found.transposed(1, 2))?.reshaped(&[b, heads, wanted * size, cache.dims[3]])
    };
    Ok(all.narrow(2, 0, most, 1))
}

/// Attention of an inference.
pub fn infer(p: &mut Program, a: Infer) -> Result<()> {
    let ([k], [v]) = (&a.k[..], &a.v[..]) else {
        return Err(invalid!("{} key and {} value tensors; one each is supported", a.k.len(), a.v.len()));
    };
    let (layout, out_layout) = match &a.layout[..] {
        "BNSD_BSND" => ("BNSD", "BSND"),
        layout => (layout, layout),
    };
    let q = as_bnsd("query", &a.q, layout, a.heads.query)?;
    let (k, v) = match &a.table {
        None => (as_bnsd("key", k, layout, a.heads.key)?, as_bnsd("value", v, layout, a.heads.key)?),
        Some(table) => {
            let most = a.kv_lengths.as_deref().and_then(|l| l.iter().copied().max()).filter(|&m| m >= 0);
            let most = most.ok_or(crate::error::OpError::Null("actualSeqLengthsKv"))?;
            (of_blocks(p, "key", k, table, a.heads.key, most)?, of_blocks(p, "value", v, table, a.heads.key, most)?)
        }
    };
    let out = as_bnsd("attentionOut", &a.out, out_layout, a.heads.query)?;
    let [b, n, s, _] = q.dims[..] else { return Err(invalid!("query has shape {:?}", q.dims)) };
    let t = k.dims[2];
    let seen = |name: &str, t: &View, dims: [i64; 4]| t.expand(&dims).map_err(|e| invalid!("{name}: {e}"));
    // A shift or a mask may be larger than the tensors need.
    let part = |v: &View| -> Result<View> {
        let r = v.rank();
        if r < 2 || v.dims[r - 2] != 1 && v.dims[r - 2] < s || v.dims[r - 1] < t {
            return Err(invalid!("shape {:?} does not cover {s} queries and {t} keys", v.dims));
        }
        let rows = v.dims[r - 2].min(s);
        Ok(v.narrow(r - 2, 0, rows, 1).narrow(r - 1, 0, t, 1))
    };
    let (low, high, masked) = a.sight.band(s, t)?;
    let shift = a.shift.as_ref().map(|v| seen("pseShift", &part(v)?, [b, n, s, t])).transpose()?;
    let mask = match a.mask.as_ref().filter(|_| masked) {
        // [B, S, T] has no dimension for the heads.
        Some(m) if m.rank() == 3 => Some(seen("attenMask", &part(&m.unsqueeze(&[1]))?, [b, n, s, t])?),
        Some(m) => Some(seen("attenMask", &part(m)?, [b, n, s, t])?),
        None => None,
    };
    let lse = match a.lse {
        Some(l) if l.dims != [b, n, s, 1] => {
            return Err(invalid!("softmaxLse has shape {:?}; [{b}, {n}, {s}, 1] is needed", l.dims));
        }
        l => l,
    };
    let whole = Attention { q, k, v, out, lse, statistics: None, shift, mask, scale: a.scale, sight: (low, high) };
    let (lengths, kv_lengths) = (a.lengths.filter(|l| !l.is_empty()), a.kv_lengths.filter(|l| !l.is_empty()));
    if lengths.is_none() && kv_lengths.is_none() {
        return whole.launch(p);
    }
    // Each sample with the length that it has.
    for i in 0..b {
        let length = |l: &Option<Arc<[i64]>>, most: i64, what: &str| match l.as_deref() {
            None => Ok(most),
            Some(l) => match l.get(if l.len() == 1 { 0 } else { i as usize }) {
                Some(&n) if (0..=most).contains(&n) => Ok(n),
                n => Err(invalid!("{what} of sample {i} is {n:?}; at most {most}")),
            },
        };
        let queries = length(&lengths, s, "actualSeqLengths")?;
        let keys = length(&kv_lengths, t, "actualSeqLengthsKv")?;
        let (low, high, _) = a.sight.band(queries, keys)?;
        whole.sample(i, queries, keys, (low, high)).launch(p)?;
        // What lies behind a sample's own queries is zero.
        let rest = whole.out.narrow(0, i, 1, 1).narrow(2, queries, s - queries, 1);
        super::movement::fill(p, rest, super::movement::constant(0))?;
    }
    Ok(())
}

/// Attention over `[B, N, S, D]`, with fewer heads of keys perhaps.
pub struct Attention {
    /// Queries.
    pub q: View,
    /// Keys.
    pub k: View,
    /// Values.
    pub v: View,
    /// Result.
    pub out: View,
    /// Logarithm of the softmax's sum, `[B, N, S, 1]`.
    pub lse: Option<View>,
    /// The largest score of each query and the softmax's sum, `[B, N, S, any]`.
    pub statistics: Option<[View; 2]>,
    /// Added to the scores.
    pub shift: Option<View>,
    /// Not zero where a score does not count.
    pub mask: Option<View>,
    /// Factor of the scores.
    pub scale: f64,
    /// First and last distance key − query that counts.
    pub sight: (i64, i64),
}

impl Attention {
    /// One sample, shortened.
    fn sample(&self, i: i64, queries: i64, keys: i64, sight: (i64, i64)) -> Self {
        let rows = |v: &View| v.narrow(0, i, 1, 1).narrow(2, 0, queries, 1);
        let scores = |v: &Option<View>| v.as_ref().map(|v| rows(v).narrow(3, 0, keys, 1));
        let columns = |v: &View| v.narrow(0, i, 1, 1).narrow(2, 0, keys, 1);
        Self {
            q: rows(&self.q),
            k: columns(&self.k),
            v: columns(&self.v),
            out: rows(&self.out),
            lse: self.lse.as_ref().map(rows),
            statistics: self.statistics.as_ref().map(|s| s.each_ref().map(rows)),
            shift: scores(&self.shift),
            mask: scores(&self.mask),
            scale: self.scale,
            sight,
        }
    }

    /// Checks shapes and types; the key's number of heads.
    fn check(&self) -> Result<i64> {
        for (name, v) in [("query", &self.q), ("key", &self.k), ("value", &self.v), ("attentionOut", &self.out)] {
            need_float(name, v)?;
        }
        let [b, n, s, d] = self.q.dims[..] else { return Err(invalid!("query has shape {:?}", self.q.dims)) };
        let [_, h, t, _] = self.k.dims[..] else { return Err(invalid!("key has shape {:?}", self.k.dims)) };
        if h == 0 || n % h != 0 || self.k.dims != [b, h, t, d] || self.v.dims[..3] != [b, h, t] {
            return Err(invalid!(
                "query {:?}, key {:?} and value {:?} (batch, heads, places, width) do not fit",
                self.q.dims,
                self.k.dims,
                self.v.dims
            ));
        }
        check_shape(&self.out, &[b, n, s, self.v.dims[3]])?;
        if let Some(m) = self.mask.as_ref().filter(|m| !matches!(m.dtype, DType::Bool | DType::I8 | DType::U8)) {
            return Err(invalid!("the mask has type {:?}; Bool, I8 or U8 is needed", m.dtype));
        }
        Ok(h)
    }

    /// Checks and launches.
    pub fn launch(&self, p: &mut Program) -> Result<()> {
        let (h, n) = (self.check()?, self.q.dims[1]);
        let grouped = |v: &View| v.split(1, &[h, n / h]);
        let (out, q) = (grouped(&self.out), grouped(&self.q));
        let [lse, shift, mask] = [&self.lse, &self.shift, &self.mask].map(|v| v.as_ref().map(grouped));
        let statistics = self.statistics.as_ref().map(|s| s.each_ref().map(grouped));
        let outputs: Vec<_> = [&out].into_iter().chain(&lse).chain(statistics.iter().flatten()).collect();
        let inputs: Vec<_> = [&q, &self.k, &self.v].into_iter().chain(&shift).chain(&mask).collect();
        p.launch("attention", &outputs, &inputs, &self.attributes())
    }

    /// Launches the gradients: of query, key and value, from that of the result. `out` is only looked at for its shape.
    pub fn launch_backward(&self, p: &mut Program, grads: [&View; 3], grad: &View) -> Result<()> {
        let (h, n) = (self.check()?, self.q.dims[1]);
        let [dq, dk, dv] = grads;
        check_shape(dq, &self.q.dims)?;
        check_shape(dk, &self.k.dims)?;
        check_shape(dv, &self.v.dims)?;
        check_shape(grad, &self.out.dims)?;
        let grouped = |v: &View| v.split(1, &[h, n / h]);
        let (q, dq, grad) = (grouped(&self.q), grouped(dq), grouped(grad));
        let [shift, mask] = [&self.shift, &self.mask].map(|v| v.as_ref().map(grouped));
        let inputs: Vec<_> =
            [&q, &self.k, &self.v].into_iter().chain(&shift).chain(&mask).chain([&grad]).collect();
        p.launch("attention_backward", &[&dq, dk, dv], &inputs, &self.attributes())
    }

    fn attributes(&self) -> [Attr; 4] {
        let bit = |there: bool, bit: i64| if there { bit } else { 0 };
        let there = bit(self.lse.is_some(), 1)
            | bit(self.shift.is_some(), 2)
            | bit(self.mask.is_some(), 4)
            | bit(self.statistics.is_some(), 8);
        let (first, last) = self.sight;
        [Attr::Float(self.scale), Attr::Int(there), Attr::Int(first), Attr::Int(last)]
    }
}
