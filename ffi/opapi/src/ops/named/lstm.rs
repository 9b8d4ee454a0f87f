//! DynamicRNNV2: a layer of long short-term memory in one direction, and its gradient.

use super::{check_dummies, check_recurrent};
use crate::by_name::Call;
use crate::error::{Result, invalid};
use crate::ops::elementwise::check_shape;
use crate::ops::linear::product;
use crate::ops::movement::{constant, copy, fill};
use crate::ops::recurrent::{Net, at, part};
use crate::program::Attr::Type;
use crate::program::Program;
use crate::view::View;

/// The layer, with or without a bias.
fn net(p: &mut Program, call: &Call, weights: [&'static str; 2], bias: Option<&View>) -> Result<Net> {
    check_recurrent(call)?;
    check_dummies(call, &["seq_length", "wci", "wcf", "wco", "mask"])?;
    Call::only("cell_type", call.text("cell_type", "LSTM")?, "LSTM".into())?;
    Call::only("use_peephole", call.flag("use_peephole", false)?, false)?;
    Call::only("forget_bias", call.float("forget_bias", 0.0)?, 0.0)?;
    Call::only("recurrent_activation", call.text("recurrent_activation", "sigmoid")?, "sigmoid".into())?;
    Call::only("stateful", call.flag("stateful", false)?, false)?;
    match call.text("gate_order", "ijfo")?.as_str() {
        // c and j are names of the same gate.
        "ifco" | "ifjo" => {}
        other => return Err(invalid!("attribute gate_order is {other:?}; only ifco and ifjo are supported")),
    }
    let x = &steps(call.input("x")?);
    let [input, hidden] = [call.input(weights[0])?, call.input(weights[1])?].map(|w| w.clone());
    let [_, _, width] = x.dims[..] else {
        return Err(invalid!("x has shape {:?}; three dimensions are needed", x.dims));
    };
    let h = hidden.dims.first().copied().unwrap_or(0);
    check_shape(&input, &[width, 4 * h])?;
    check_shape(&hidden, &[h, 4 * h])?;
    let mut params = vec![input.transposed(0, 1), hidden.transposed(0, 1)];
    if let Some(bias) = bias {
        let zeros = p.temporary(bias.dtype, &[4 * h]);
        fill(p, zeros.clone(), constant(0))?;
        params.extend([bias.clone(), zeros]);
    }
    Net::new(x, params, false, bias.is_some(), 1, 0.0, true, false, false)
}

/// What a step has, `[B, N]`, as what one step has, `[1, B, N]`.
fn steps(v: &View) -> View {
    match v.dims[..] {
        [b, n] => v.shaped(&[1, b, n]),
        _ => v.clone(),
    }
}

/// A state of one step without the dimension that it may have for the layer.
fn one(v: &View, net: &Net) -> Result<View> {
    let v = if v.rank() == 3 && v.dims[0] == 1 { v.without(0) } else { v.clone() };
    check_shape(&v, &[net.batch, net.hidden]).map(|()| v)
}

/// States that are given, or zeros.
fn states(p: &mut Program, call: &Call, net: &Net, names: [&str; 2]) -> Result<[View; 2]> {
    let mut get = |name| match call.given(name) {
        Some(v) => one(v, net),
        None => {
            let zeros = p.temporary(net.kind, &[net.batch, net.hidden]);
            fill(p, zeros.clone(), constant(0))?;
            Ok(zeros)
        }
    };
    Ok([get(names[0])?, get(names[1])?])
}

pub fn forward(p: &mut Program, call: &Call) -> Result<()> {
    let net = net(p, call, ["weight_input", "weight_hidden"], call.given("b"))?;
    let [h0, c0] = states(p, call, &net, ["init_h", "init_c"])?;
    let x = net.flat(p, &steps(call.input("x")?))?;
    let [gates, hidden, cells, bent] = net.run(p, &net.layers[0], 0, &x, [&h0, &c0])?;
    let gate = |k| part(&gates, k, net.hidden);
    let found = [
        ("y", hidden.clone()),
        ("output_h", hidden),
        ("output_c", cells),
        ("i", gate(0)),
        ("f", gate(1)),
        ("j", gate(2)),
        ("o", gate(3)),
        ("tanhc", bent),
    ];
    for (name, made) in found {
        let Some(out) = call.wanted(name) else { continue };
        check_shape(out, &[net.steps, net.batch, net.hidden])?;
        copy(p, &made, out)?;
    }
    Ok(())
}

pub fn backward(p: &mut Program, call: &Call) -> Result<()> {
    let net = net(p, call, ["w_x", "w_h"], None)?;
    let layer = &net.layers[0];
    let [h0, c0] = states(p, call, &net, ["init_h", "init_c"])?;
    let [dh, dc] = states(p, call, &net, ["dh", "dc"])?;
    let (t, b, h) = (net.steps, net.batch, net.hidden);
    let mut kept = vec![];
    for name in ["i", "f", "j", "o", "h", "c", "tanhct", "dy"] {
        let v = steps(call.input(name)?);
        check_shape(&v, &[t, b, h])?;
        kept.push(v);
    }
    let kept: Vec<&View> = kept.iter().collect();
    let (sums, first) = net.back(p, layer, 0, &kept[..7], [&c0, kept[7], &dh, &dc])?;
    for (name, made) in ["dh_prev", "dc_prev"].iter().zip(&first) {
        let Some(out) = call.wanted(name) else { continue };
        copy(p, made, &one(out, &net)?)?;
    }
    let given = call.input("x")?;
    let x = net.flat(p, &steps(given))?;
    let sums = sums.reshaped(&[t * b, 4 * h]);
    if let Some(out) = call.wanted("dx") {
        check_shape(out, &given.dims)?;
        product(p, &sums, &layer.input, None, 1.0, &out.shaped(&x.dims))?;
    }
    // h before each step.
    let before = p.temporary(net.kind, &[t, b, h]);
    copy(p, &h0, &at(&before, 0))?;
    copy(p, &kept[4].narrow(0, 0, t - 1, 1), &before.narrow(0, 1, t - 1, 1))?;
    for (name, from) in [("dw_x", x), ("dw_h", before.reshaped(&[t * b, h]))] {
        let Some(out) = call.wanted(name) else { continue };
        product(p, &from.transposed(0, 1), &sums, None, 1.0, out)?;
    }
    let Some(out) = call.wanted("db") else { return Ok(()) };
    check_shape(out, &[4 * h])?;
    p.launch("reduce_sum", &[&out.unsqueeze(&[0])], &[&sums], &[Type(net.kind)])
}
