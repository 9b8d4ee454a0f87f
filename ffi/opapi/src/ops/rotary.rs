//! Rotary position embedding: of query and key at once, from a table, and its gradient.

use super::declare::operators;
use super::elementwise::{arithmetic, check_shape};
use super::loss::need_float;
use super::movement::copy;
use super::pointwise::constant;
use crate::dtype::DType;
use crate::error::{Result, invalid};
use crate::program::Attr::{Int, Type};
use crate::program::Program;
use crate::view::View;

operators! {
    "apply_rotary_pos_emb" { /// query and key = each times cos plus it with its halves turned times sin.
        aclnnApplyRotaryPosEmb(queryRef: Ref, keyRef: Ref, cos: Tensor, sin: Tensor, layout: Int) => |p, q, k, c, s, l| both(p, [q, k], c, s, l, 0); }
    "apply_rotary_pos_emb_v2" { /// As aclnnApplyRotaryPosEmb; rotaryMode half, interleave or quarter.
        aclnnApplyRotaryPosEmbV2(queryRef: Ref, keyRef: Ref, cos: Tensor, sin: Tensor, layout: Int, rotaryMode: Text) =>
            |p, q, k, c, s, l, mode: String| {
                let mode = match &mode[..] {
                    "half" | "" => 0,
                    "interleave" => 1,
                    "quarter" => 2,
                    _ => return Err(invalid!("rotaryMode {mode}; half, interleave and quarter are known")),
                };
                both(p, [q, k], c, s, l, mode)
            }; }
    "rotary_position_embedding_grad" { /// Gradients of aclnnRotaryPositionEmbedding to x, cos and sin; the latter where x is given.
        aclnnRotaryPositionEmbeddingGrad(dy: Tensor, cos: Tensor, sin: Tensor, xOptional: OptTensor, mode: Int, dxOut: Tensor, dcosOut: OptTensor,
            dsinOut: OptTensor) => gradient; }
    "rope_with_sin_cos_cache" { /// queryOut and keyOut = heads turned by the angles of their positions, whose cosines and sines are a row of cosSinCache; isNeoxStyle turns halves, else neighbours.
        aclnnRopeWithSinCosCache(positions: Tensor, queryIn: Tensor, keyIn: Tensor, cosSinCache: Tensor, mropeSection: OptInts, headSize: Int,
            isNeoxStyle: Bool, queryOut: Out, keyOut: Out) => by_table; }
}

fn check_mode(x: &View, mode: i64) -> Result<()> {
    let divisor = match mode {
        0 | 1 | 3 => 2,
        2 => 4,
        _ => return Err(invalid!("mode {mode} of a rotation; 0 to 3 are known")),
    };
    match x.dims.last() {
        Some(d) if d % divisor == 0 => Ok(()),
        _ => Err(invalid!("rows of shape {:?} do not divide into {divisor}", x.dims)),
    }
}

fn turn(p: &mut Program, out: &View, x: &View, cos: &View, sin: &View, mode: i64) -> Result<()> {
    check_mode(x, mode)?;
    p.launch("rotary", &[out], &[x, &cos.expand(&x.dims)?, &sin.expand(&x.dims)?], &[Int(mode)])
}

fn both(p: &mut Program, tensors: [View; 2], cos: View, sin: View, layout: i64, mode: i64) -> Result<()> {
    let rank = match layout {
        1..=3 => 4,
        4 => 3,
        _ => return Err(invalid!("layout {layout}; 1 (BSND), 2 (SBND), 3 (BNSD) and 4 (TND) are known")),
    };
    for v in tensors {
        need_float("query or key", &v)?;
        if v.rank() != rank {
            return Err(invalid!("query or key has shape {:?}; layout {layout} has {rank} dimensions", v.dims));
        }
        turn(p, &v, &v, &cos, &sin, mode)?;
    }
    Ok(())
}

#[allow(clippy::too_many_arguments)] // CANN's
fn gradient(
    p: &mut Program,
    dy: View,
    cos: View,
    sin: View,
    x: Option<View>,
    mode: i64,
    dx: View,
    dcos: Option<View>,
    dsin: Option<View>,
) -> Result<()> {
    need_float("dy", &dy)?;
    check_shape(&dx, &dy.dims)?;
    check_mode(&dy, mode)?;
    let dims = dy.dims.clone();
    let (cos_all, sin_all) = (cos.expand(&dims)?, sin.expand(&dims)?);
    // The turn's matrix is antisymmetric: its transpose is a turn back.
    let basic = if mode == 3 { 0 } else { mode };
    let by_sin = p.temporary(DType::F32, &dims);
    arithmetic(p, "mul", &dy, &sin_all, None, &by_sin)?;
    let (zero, back) = (constant(p, 0.0, &dims)?, constant(p, -1.0, &dims)?);
    let turned = p.temporary(DType::F32, &dims);
    turn(p, &turned, &by_sin, &zero, &back, basic)?;
    let by_cos = p.temporary(DType::F32, &dims);
    arithmetic(p, "mul", &dy, &cos_all, None, &by_cos)?;
    let last = dims.len() - 1;
    let (half, to) = (dims[last] / 2, dx.split(last, &[dims[last] / 2, 2]).transposed(last, last + 1));
    if mode == 3 {
        // Even elements had been put before odd ones.
        let parts = |v: &View| v.split(last, &[2, half]);
        arithmetic(p, "add", &parts(&by_cos), &parts(&turned), None, &to)?;
    } else {
        arithmetic(p, "add", &by_cos, &turned, None, &dx)?;
    }
    let Some(x) = x else { return Ok(()) };
    check_shape(&x, &dims)?;
    let mut ordered = x.clone();
    if mode == 3 {
        ordered = p.temporary(x.dtype, &dims);
        copy(p, &x.split(last, &[half, 2]).transposed(last, last + 1), &ordered.split(last, &[2, half]))?;
    }
    let one = constant(p, 1.0, &dims)?;
    let x_turned = p.temporary(DType::F32, &dims);
    turn(p, &x_turned, &ordered, &zero, &one, basic)?;
    for (out, factor) in [(dcos, &ordered), (dsin, &x_turned)] {
        let Some(out) = out else { continue };
        check_shape(&out, &cos.dims)?;
        let products = p.temporary(DType::F32, &dims);
        arithmetic(p, "mul", &dy, factor, None, &products)?;
        let ones = dims.len() - cos.dims.len();
        let sums = p.temporary(DType::F32, &[&vec![1; ones], &cos.dims[..]].concat());
        p.launch("reduce_sum", &[&sums], &[&products], &[Type(DType::F32)])?;
        copy(p, &sums.reshaped(&cos.dims), &out)?;
    }
    Ok(())
}

#[allow(clippy::too_many_arguments)] // CANN's
fn by_table(
    p: &mut Program,
    positions: View,
    q: View,
    k: View,
    table: View,
    sections: Option<std::sync::Arc<[i64]>>,
    size: i64,
    neox: bool,
    q_out: View,
    k_out: View,
) -> Result<()> {
    if sections.is_some_and(|s| s.iter().any(|&n| n != 0)) || positions.rank() != 1 {
        return Err(invalid!("mropeSection, or positions of shape {:?}; a vector alone is supported", positions.dims));
    }
    let (&[tokens], &[_, width]) = (&positions.dims[..], &table.dims[..]) else {
        return Err(invalid!("cosSinCache has shape {:?}; a matrix is needed", table.dims));
    };
    if size <= 0 || width > size || width % 2 != 0 || !matches!(positions.dtype, DType::I32 | DType::I64) {
        return Err(invalid!("cosSinCache has shape {:?}, headSize is {size}, positions have type {:?}", table.dims, positions.dtype));
    }
    let rows = p.temporary(table.dtype, &[tokens, width]);
    p.launch("index_select", &[&rows], &[&table, &positions], &[Int(0)])?;
    // Each angle's cosine and sine for both elements that it turns.
    let half = width / 2;
    let spread = |p: &mut Program, first: i64| -> Result<View> {
        let all = p.temporary(table.dtype, &[tokens, width]);
        let angles = rows.narrow(1, first, half, 1);
        if neox {
            copy(p, &angles.unsqueeze(&[1]), &all.split(1, &[2, half]))?;
        } else {
            copy(p, &angles.unsqueeze(&[2]), &all.split(1, &[half, 2]))?;
        }
        Ok(all.unsqueeze(&[1]))
    };
    let (cos, sin) = (spread(p, 0)?, spread(p, half)?);
    for (name, from, to) in [("query", &q, &q_out), ("key", &k, &k_out)] {
        need_float(name, from)?;
        check_shape(to, &from.dims)?;
        let &[t, n] = &from.dims[..] else { return Err(invalid!("{name} has shape {:?}; a matrix is needed", from.dims)) };
        if t != tokens || n % size != 0 {
            return Err(invalid!("{name} has shape {:?} for {tokens} positions and heads of {size}", from.dims));
        }
        let (from, to) = (from.split(1, &[n / size, size]), to.split(1, &[n / size, size]));
        turn(p, &to.narrow(2, 0, width, 1), &from.narrow(2, 0, width, 1), &cos, &sin, i64::from(!neox))?;
        copy(p, &from.narrow(2, width, size - width, 1), &to.narrow(2, width, size - width, 1))?;
    }
    Ok(())
}
