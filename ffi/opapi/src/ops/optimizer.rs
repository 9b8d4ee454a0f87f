//! Steps of optimisers that are one operator.

use super::declare::operators;
use super::elementwise::check_shape;
use crate::error::{Result, invalid};
use crate::program::Attr::{Float, Int};
use crate::program::Program;
use crate::view::View;

operators! {
    "apply_adam_w_v2" { /// A step of AdamW, number step + 1: varRef, and its moments mRef and vRef, follow grad (or go against it, to maximize).
        aclnnApplyAdamWV2(varRef: Ref, mRef: Ref, vRef: Ref, maxGradNormOptionalRef: OptRef, grad: Tensor, step: Tensor, lr: Float, beta1: Float, beta2: Float, weightDecay: Float, eps: Float, amsgrad: Bool, maximize: Bool) =>
            |p, w, m, v, x, g, t, lr, b1, b2, d, e, a, up| adam_w(p, [w, m, v], x, [g, t], [lr, b1, b2, d, e], a, up); }
}

fn adam_w(
    p: &mut Program,
    state: [View; 3],
    largest: Option<View>,
    [grad, step]: [View; 2],
    numbers: [f32; 5],
    amsgrad: bool,
    maximize: bool,
) -> Result<()> {
    let shape = state[0].dims.clone();
    let largest = largest.filter(|_| amsgrad);
    if amsgrad && largest.is_none() {
        return Err(invalid!("amsgrad without maxGradNormOptionalRef"));
    }
    let state: Vec<&View> = state.iter().chain(&largest).collect();
    state.iter().chain([&&grad]).try_for_each(|v| check_shape(v, &shape))?;
    if step.elements() != 1 || !grad.dtype.is_float() {
        return Err(invalid!("step has shape {:?} and grad type {:?}; one number and floats are needed", step.dims, grad.dtype));
    }
    let flags = i64::from(amsgrad) + 2 * i64::from(maximize);
    let mut attrs: Vec<_> = numbers.iter().map(|&n| Float(f64::from(n))).collect();
    attrs.extend([Int(flags), Int(1)]);
    p.launch("adam_w", &state, &[&grad, &step], &attrs)
}
