//! Batch norm: normalisation of channels by their own moments or by running ones.

use super::declare::operators;
use super::elementwise::check_shape;
use super::pointwise::{constant, dense, launch};
use crate::dtype::DType;
use crate::error::{OpError, Result, invalid};
use crate::program::Attr::{Float, Int, Type};
use crate::program::Program;
use crate::view::View;

operators! {
    "batch_norm" { /// output = input normalised by channel; training updates the running moments.
        aclnnBatchNorm(input: Tensor, weight: OptTensor, bias: OptTensor, runningMean: OptTensor, runningVar: OptTensor, training: Bool, momentum: Double, eps: Double, output: Out, saveMean: OptOut, saveInvstd: OptOut) => batch_norm; }
}

#[allow(clippy::too_many_arguments)] // CANN's
fn batch_norm(
    p: &mut Program,
    x: View,
    weight: Option<View>,
    bias: Option<View>,
    running_mean: Option<View>,
    running_var: Option<View>,
    training: bool,
    momentum: f64,
    eps: f64,
    out: View,
    save_mean: Option<View>,
    save_rstd: Option<View>,
) -> Result<()> {
    if x.rank() < 2 {
        return Err(invalid!("input has shape {:?}; at least [N, C] is needed", x.dims));
    }
    check_shape(&out, &x.dims)?;
    // Channels first.
    let order: Vec<i64> = [1, 0].into_iter().chain(2..x.rank() as i64).collect();
    let (x, out) = (x.permute(&order)?, out.permute(&order)?);
    let c = x.dims[0];
    let shape: Vec<i64> = [c].into_iter().chain(vec![1; x.rank() - 1]).collect();
    let kind = if x.dtype == DType::F64 { DType::F64 } else { DType::F32 };
    let check = |v: &View, name: &str| match v.elements() == c {
        true => Ok(()),
        false => Err(invalid!("{name} has shape {:?}; [{c}] is needed", v.dims)),
    };
    let channel = |p: &mut Program, v: Option<View>, name: &str, rest: f64| -> Result<View> {
        match v {
            Some(v) => {
                check(&v, name)?;
                dense(p, &v, v.dtype)?.reshaped(&shape).expand(&x.dims)
            }
            None => constant(p, rest, &x.dims),
        }
    };
    let (weight, bias) = (channel(p, weight, "weight", 1.0)?, channel(p, bias, "bias", 0.0)?);
    let (mean, rstd) = (p.temporary(kind, &shape), p.temporary(kind, &shape));
    if training {
        let var = p.temporary(kind, &shape);
        p.launch("reduce_mean", &[&mean], &[&x], &[Type(kind)])?;
        p.launch("var", &[&var], &[&x], &[Float(0.0)])?;
        p.launch("add_eps_rsqrt", &[&rstd], &[&var], &[Type(kind), Float(eps)])?;
        let n = x.elements().checked_div(c).unwrap_or(0);
        let correction = n as f64 / (n as f64 - 1.0);
        for (running, now, factor) in [(&running_mean, &mean, 1.0), (&running_var, &var, correction)] {
            let Some(running) = running else { continue };
            check(running, "a running moment")?;
            // running = (1 − momentum) running + momentum now
            let part = p.temporary(kind, &[c]);
            p.launch("mul_s", &[&part], &[&now.reshaped(&[c])], &[Type(kind), Float(momentum * factor), Int(0)])?;
            p.launch("mul_s", &[running], &[running], &[Type(kind), Float(1.0 - momentum), Int(0)])?;
            p.launch("add", &[running], &[running, &part], &[Type(kind), Float(1.0), Int(1)])?;
        }
        for (save, now) in [(save_mean, &mean), (save_rstd, &rstd)] {
            if let Some(save) = save.filter(|s| s.elements() == c) {
                p.launch("copy", &[&save], &[&now.reshaped(&save.dims)], &[])?;
            }
        }
    } else {
        let m = running_mean.ok_or(OpError::Null("runningMean"))?;
        let v = running_var.ok_or(OpError::Null("runningVar"))?;
        check(&m, "runningMean")?;
        check(&v, "runningVar")?;
        p.launch("copy", &[&mean.reshaped(&[c])], &[&m], &[])?;
        p.launch("add_eps_rsqrt", &[&rstd.reshaped(&[c])], &[&v], &[Type(kind), Float(eps)])?;
    }
    launch(p, "normalise", &[&x, &mean, &rstd, &weight, &bias], &[], &out)
}
