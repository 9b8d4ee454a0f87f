//! DynamicGRUV2: a layer of gated recurrent units in one direction, and its gradient.

use super::{check_dummies, check_recurrent};
use crate::by_name::Call;
use crate::dtype::DType;
use crate::error::{Result, invalid};
use crate::ops::elementwise::check_shape;
use crate::ops::linear::product;
use crate::ops::movement::{constant, copy, fill};
use crate::ops::recurrent::{at, part};
use crate::program::Attr::{Float, Int, Type};
use crate::program::Program;
use crate::view::View;

/// Sizes and weights.
struct Layer<'a> {
    steps: i64,
    batch: i64,
    hidden: i64,
    /// x of all steps one below the other.
    x: View,
    input: &'a View,
    state: &'a View,
    /// In which sums are made.
    kind: DType,
    /// Whether the gates are update, reset, new, and not reset, update, new.
    update_first: bool,
}

impl<'a> Layer<'a> {
    fn new(call: &'a Call) -> Result<Self> {
        check_recurrent(call)?;
        check_dummies(call, &["seq_length", "mask"])?;
        Call::only("reset_after", call.flag("reset_after", true)?, true)?;
        let update_first = match call.text("gate_order", "zrh")?.as_str() {
            "zrh" => true,
            "rzh" => false,
            other => return Err(invalid!("attribute gate_order is {other:?}; zrh and rzh are known")),
        };
        let (x, input, state) = (call.input("x")?, call.input("weight_input")?, call.input("weight_hidden")?);
        let [steps, batch, width] = x.dims[..] else {
            return Err(invalid!("x has shape {:?}; three dimensions are needed", x.dims));
        };
        let hidden = state.dims.first().copied().unwrap_or(0);
        check_shape(input, &[width, 3 * hidden])?;
        check_shape(state, &[hidden, 3 * hidden])?;
        let kind = if x.dtype == DType::F64 { DType::F64 } else { DType::F32 };
        let x = x.shaped(&[steps * batch, width]);
        Ok(Self { steps, batch, hidden, x, input, state, kind, update_first })
    }

    fn all(&self) -> [i64; 3] {
        [self.steps, self.batch, self.hidden]
    }

    /// `[T, B, 3 H]` as `[T B, 3 H]`.
    fn flat(&self, gates: &View) -> View {
        gates.shaped(&[self.steps * self.batch, 3 * self.hidden])
    }

    /// A state of one step `[B, H]`, with or without a dimension for the layer, or zeros.
    fn one(&self, p: &mut Program, given: Option<&View>) -> Result<View> {
        let dims = [self.batch, self.hidden];
        match given {
            Some(v) if v.dims == [1, self.batch, self.hidden] => Ok(v.without(0)),
            Some(v) => check_shape(v, &dims).map(|()| v.clone()),
            None => {
                let zeros = p.temporary(self.kind, &dims);
                fill(p, zeros.clone(), constant(0))?;
                Ok(zeros)
            }
        }
    }
}

pub fn forward(p: &mut Program, call: &Call) -> Result<()> {
    let l = Layer::new(call)?;
    let (t, b, h) = (l.steps, l.batch, l.hidden);
    let gates = p.temporary(l.kind, &[t, b, 3 * h]);
    let [hidden, inner] = [0; 2].map(|_| p.temporary(l.kind, &l.all()));
    let of_state = p.temporary(l.kind, &[b, 3 * h]);
    let bias = call.given("bias_input").map(|v| (v, 1.0));
    product(p, &l.x, l.input, bias, 1.0, &l.flat(&gates))?;
    let bias = call.given("bias_hidden").map(|v| (v, 1.0));
    let mut before = l.one(p, call.given("init_h"))?;
    for i in 0..t {
        product(p, &before, l.state, bias, 1.0, &of_state)?;
        let (now, sums) = (at(&hidden, i), at(&gates, i));
        let outputs = [&now, &sums, &at(&inner, i)];
        p.launch("gru", &outputs, &[&sums, &of_state, &before], &[Int(l.update_first.into())])?;
        before = now;
    }
    let [reset, update] = if l.update_first { [1, 0] } else { [0, 1] };
    let found = [
        ("y", hidden.clone()),
        ("output_h", hidden),
        ("update", part(&gates, update, h)),
        ("reset", part(&gates, reset, h)),
        ("new", part(&gates, 2, h)),
        ("hidden_new", inner),
    ];
    for (name, made) in found {
        let Some(out) = call.wanted(name) else { continue };
        check_shape(out, &l.all())?;
        copy(p, &made, out)?;
    }
    Ok(())
}

pub fn backward(p: &mut Program, call: &Call) -> Result<()> {
    let l = Layer::new(call)?;
    let (t, b, h) = (l.steps, l.batch, l.hidden);
    let names = ["reset", "update", "new", "hidden_new", "h", "dy"];
    let mut kept = vec![];
    for name in names {
        let v = call.input(name)?;
        check_shape(v, &l.all())?;
        kept.push(v);
    }
    let states = kept[4];
    // h before each step.
    let before = p.temporary(l.kind, &l.all());
    let [h0, dh] = [l.one(p, call.given("init_h"))?, l.one(p, call.given("dh"))?];
    copy(p, &h0, &at(&before, 0))?;
    copy(p, &states.narrow(0, 0, t - 1, 1), &before.narrow(0, 1, t - 1, 1))?;
    let [first, second] = [0; 2].map(|_| p.temporary(l.kind, &[t, b, 3 * h]));
    let [slope, past] = [0; 2].map(|_| p.temporary(l.kind, &[b, h]));
    copy(p, &dh, &past)?;
    let back = l.state.transposed(0, 1);
    for i in (0..t).rev() {
        let sum = [Type(l.kind), Float(1.0), Int(1)];
        p.launch("add", &[&slope], &[&at(kept[5], i), &past], &sum)?;
        if i + 1 < t {
            product(p, &at(&second, i + 1), &back, Some((&slope, 1.0)), 1.0, &slope)?;
        }
        let inputs: Vec<View> =
            kept[..4].iter().map(|v| at(v, i)).chain([at(&before, i), slope.clone()]).collect();
        let inputs: Vec<&View> = inputs.iter().collect();
        let outputs = [&at(&first, i), &at(&second, i), &past];
        p.launch("gru_backward", &outputs, &inputs, &[Int(l.update_first.into())])?;
    }
    let (first, sums) = (l.flat(&first), l.flat(&second));
    if let Some(out) = call.wanted("dh_prev") {
        let out = l.one(p, Some(out))?;
        product(p, &at(&second, 0), &back, Some((&past, 1.0)), 1.0, &out)?;
    }
    if let Some(out) = call.wanted("dx") {
        check_shape(out, &[t, b, l.x.dims[1]])?;
        product(p, &first, &l.input.transposed(0, 1), None, 1.0, &out.shaped(&l.x.dims))?;
    }
    let before = before.shaped(&[t * b, h]);
    for (name, from, by) in [("dw_input", &l.x, &first), ("dw_hidden", &before, &sums)] {
        let Some(out) = call.wanted(name) else { continue };
        product(p, &from.transposed(0, 1), by, None, 1.0, out)?;
    }
    for (name, by) in [("db_input", &first), ("db_hidden", &sums)] {
        let Some(out) = call.wanted(name) else { continue };
        check_shape(out, &[3 * h])?;
        p.launch("reduce_sum", &[&out.unsqueeze(&[0])], &[by], &[Type(l.kind)])?;
    }
    Ok(())
}
