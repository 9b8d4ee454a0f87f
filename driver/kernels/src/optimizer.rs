//! A step of Adam, all of it in one pass over the weights.

use vinci_hw::args::ArgsView;

use crate::lane::{Lane, LaneKind, TILE, common_lane};
use crate::tile::{Sink, Source, for_ranges};
use crate::view::Tensor;
use crate::{Ctx, KernelFault};

/// Attributes rate, beta1, beta2, weight decay, epsilon, which tensors and signs there are (1 the largest second moment,
/// 2 the gradient is of what is to grow), steps before the one in the tensor.
struct Step {
    rate: f64,
    beta: [f64; 2],
    decay: f64,
    epsilon: f64,
    largest: bool,
    grow: bool,
}

/// Tensors weight, first and second moment, perhaps the largest second moment, all changed in place; gradient, number of
/// the step (one element); attributes as [`Step`].
pub fn adam_w(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let flags = args.attr(5)?;
    let step = Step {
        rate: args.attr_f64(0)?,
        beta: [args.attr_f64(1)?, args.attr_f64(2)?],
        decay: args.attr_f64(3)?,
        epsilon: args.attr_f64(4)?,
        largest: flags & 1 != 0,
        grow: flags & 2 != 0,
    };
    let state = 3 + usize::from(step.largest);
    let weight = Tensor::output(ctx, args, 0)?;
    let moments = (1..state)
        .map(|i| Tensor::output(ctx, args, i)?.same_dims(&weight, i))
        .collect::<Result<Vec<_>, _>>()?;
    let grad = Tensor::input(ctx, args, state)?.same_dims(&weight, state)?;
    let number = Tensor::input(ctx, args, state + 1)?;
    if number.count != 1 {
        return Err(KernelFault::Unsupported("steps of several numbers"));
    }
    let mut t = [0.0];
    Source::<f64>::new(&number, &[0; 8]).read(0, &mut t);
    let t = t[0] + args.attr_i64(6)? as f64;
    match common_lane(weight.dtype, grad.dtype) {
        LaneKind::F64 => adam_in::<f64>(ctx, &step, t, &weight, &moments, &grad),
        _ => adam_in::<f32>(ctx, &step, t, &weight, &moments, &grad),
    }
    Ok(())
}

fn adam_in<L: Lane>(ctx: &Ctx<'_>, step: &Step, t: f64, weight: &Tensor, moments: &[Tensor], grad: &Tensor) {
    let order = weight.order();
    let state: Vec<_> = [weight].into_iter().chain(moments).collect();
    let sources: Vec<_> = state.iter().copied().chain([grad]).map(|t| Source::<L>::new(t, &order)).collect();
    let sinks: Vec<_> = state.iter().map(|t| Sink::<L>::new(t, &order)).collect();
    let f = L::from_f64;
    let [b1, b2] = step.beta;
    // Of the corrected moments: rate / (1 - b1^t) and sqrt(1 - b2^t).
    let (rate, root) = (f(step.rate / (1.0 - b1.powf(t))), f((1.0 - b2.powf(t)).sqrt()));
    let (keep, epsilon) = (f(1.0 - step.rate * step.decay), f(step.epsilon));
    let (b1, b2, new1, new2) = (f(b1), f(b2), f(1.0 - b1), f(1.0 - b2));
    for_ranges(ctx, weight.count, &|start, end| {
        let mut tiles = vec![[L::ZERO; TILE]; sources.len()];
        for at in (start..end).step_by(TILE) {
            let n = TILE.min(end - at);
            sources.iter().zip(&mut tiles).for_each(|(s, t)| s.read(at, &mut t[..n]));
            let (state, grad) = tiles.split_at_mut(sinks.len());
            let [w, m, v, largest @ ..] = state else { return };
            for i in 0..n {
                let g = if step.grow { grad[0][i].neg() } else { grad[0][i] };
                m[i] = m[i].mul(b1).add(g.mul(new1));
                v[i] = v[i].mul(b2).add(g.mul(g).mul(new2));
                let second = match largest {
                    [most, ..] => {
                        most[i] = most[i].larger(v[i]);
                        most[i]
                    }
                    [] => v[i],
                };
                let size = second.sqrt().div(root).add(epsilon);
                w[i] = w[i].mul(keep).sub(m[i].mul(rate).div(size));
            }
            sinks.iter().zip(&tiles).for_each(|(s, t)| s.write(at, &t[..n]));
        }
    });
}
