//! Long short-term memory: products for all steps at once where they do not depend on each other, the rest step by step.

use super::declare::operators;
use super::elementwise::check_shape;
use super::linear::product;
use super::movement::{constant, copy, fill};
use super::pointwise::dense;
use crate::dtype::DType;
use crate::error::{Result, invalid};
use crate::program::Attr::{Float, Int, Type};
use crate::program::Program;
use crate::view::View;

operators! {
    "lstm" { /// output, hy, cy = layers of long short-term memory over input [T, B, I] ([B, T, I] if batchFirst), from hx; gates and states are kept if train.
        aclnnLSTM(input: Tensor, params: Tensors, hx: OptTensors, batchSizes: OptTensor, hasBias: Bool, numLayers: Int, dropout: Double, train: Bool, bidirectional: Bool, batchFirst: Bool, output: Out, hy: Out, cy: Out, iOut: OptOutTensors, jOut: OptOutTensors, fOut: OptOutTensors, oOut: OptOutTensors, hOut: OptOutTensors, cOut: OptOutTensors, tanhCOut: OptOutTensors) =>
            |p, x, w, hx, s: Option<View>, b, n, d, t, two, first, y, h, c, ki, kj, kf, ko, kh, kc, kt| {
                let net = Net::new(&x, w, s.is_some(), b, n, d, t, two, first)?;
                net.forward(p, &x, hx, [y, h, c], t.then_some([ki, kf, kj, ko, kh, kc, kt]))
            }; }
    "lstm_backward" { /// Gradients of aclnnLSTM to input, hx and params.
        aclnnLstmBackward(input: Tensor, hx: OptTensors, params: Tensors, dy: OptTensor, dh: OptTensor, dc: OptTensor, i: Tensors, g: Tensors, f: Tensors, o: Tensors, h: Tensors, c: Tensors, tanhc: Tensors, batchSizesOptional: OptTensor, hasBias: Bool, numLayers: Int, dropout: Double, train: Bool, bidirectional: Bool, batchFirst: Bool, outputMask: OptBools, dxOut: OptOut, dhPrevOut: OptOut, dcPrevOut: OptOut, dparamsOut: OptOutTensors) =>
            |p, x, hx, w, dy, dh, dc, i, g, f, o, h, c, t, s: Option<View>, b, n, d, train, two, first, _, dx, dhp, dcp, dw| {
                let net = Net::new(&x, w, s.is_some(), b, n, d, train, two, first)?;
                net.backward(p, &x, hx, [dy, dh, dc], [i, f, g, o, h, c, t], [dx, dhp, dcp], dw)
            }; }
    "thnn_fused_lstm_cell" { /// hyOut, cyOut = a step of long short-term memory of the sums of the gates, whose values storageOut keeps.
        aclnnThnnFusedLstmCell(inputGates: Tensor, hiddenGates: Tensor, cx: Tensor, inputBiasOptional: OptTensor, hiddenBiasOptional: OptTensor, hyOut: Out, cyOut: Out, storageOut: Out) => cell; }
    "thnn_fused_lstm_cell_backward" { /// Gradients of aclnnThnnFusedLstmCell to the gates, cx and the biases.
        aclnnThnnFusedLstmCellBackward(gradHyOptional: OptTensor, gradCyOptional: OptTensor, cx: Tensor, cy: Tensor, storage: Tensor, hasBias: Bool, gradGatesOut: Out, gradCxOut: Out, gradBiasOut: OptOut) => cell_backward; }
}

/// The weights of a layer in one direction.
pub struct Layer {
    pub input: View,
    pub hidden: View,
    biases: Option<(View, View)>,
}

pub struct Net {
    /// Layer by layer, both directions of each.
    pub layers: Vec<Layer>,
    directions: usize,
    batch_first: bool,
    pub steps: i64,
    pub batch: i64,
    pub hidden: i64,
    /// In which sums are made.
    pub kind: DType,
}

/// Gate `at` of those that lie side by side in the last dimension.
pub fn part(gates: &View, at: i64, width: i64) -> View {
    let last = gates.rank() - 1;
    gates.narrow(last, at * width, width, 1)
}

/// Index `at` of the first dimension.
pub fn at(v: &View, at: i64) -> View {
    v.narrow(0, at, 1, 1).without(0)
}

impl Net {
    #[allow(clippy::too_many_arguments)] // CANN's
    pub fn new(
        x: &View,
        params: Vec<View>,
        packed: bool,
        biased: bool,
        layers: i64,
        dropout: f64,
        train: bool,
        bidirectional: bool,
        batch_first: bool,
    ) -> Result<Self> {
        if packed {
            return Err(invalid!("packed sequences (batchSizes) are not supported"));
        }
        let directions = if bidirectional { 2 } else { 1 };
        if train && dropout != 0.0 && layers > 1 {
            return Err(invalid!("dropout {dropout} between layers is not supported"));
        }
        let each = if biased { 4 } else { 2 };
        if layers < 1 || params.len() as i64 != layers * directions * each || x.rank() != 3 {
            return Err(invalid!("{} parameters for {layers} layers, and input has shape {:?}", params.len(), x.dims));
        }
        let hidden = params[1].dims.get(1).copied().unwrap_or(0);
        let mut all = vec![];
        for (i, p) in params.chunks(each as usize).enumerate() {
            let width = if i as i64 >= directions { directions * hidden } else { x.dims[2] };
            check_shape(&p[0], &[4 * hidden, width])?;
            check_shape(&p[1], &[4 * hidden, hidden])?;
            let biases = if let [_, _, a, b] = p {
                check_shape(a, &[4 * hidden])?;
                check_shape(b, &[4 * hidden])?;
                Some((a.clone(), b.clone()))
            } else {
                None
            };
            all.push(Layer { input: p[0].clone(), hidden: p[1].clone(), biases });
        }
        let (steps, batch) = if batch_first { (x.dims[1], x.dims[0]) } else { (x.dims[0], x.dims[1]) };
        let kind = if x.dtype == DType::F64 { DType::F64 } else { DType::F32 };
        Ok(Self { layers: all, directions: directions as usize, batch_first, steps, batch, hidden, kind })
    }

    /// Steps first.
    fn by_step(&self, v: &View) -> View {
        if self.batch_first { v.transposed(0, 1) } else { v.clone() }
    }

    /// A state that a program gives, or zeros: `[layers, B, H]`.
    fn state(&self, p: &mut Program, hx: Option<&View>) -> Result<View> {
        let dims = [self.layers.len() as i64, self.batch, self.hidden];
        if let Some(v) = hx {
            check_shape(v, &dims)?;
            return Ok(v.clone());
        }
        let zeros = p.temporary(self.kind, &dims);
        fill(p, zeros.clone(), constant(0))?;
        Ok(zeros)
    }

    fn states(&self, p: &mut Program, hx: Option<Vec<View>>) -> Result<[View; 2]> {
        let hx = hx.filter(|h| !h.is_empty());
        if hx.as_ref().is_some_and(|h| h.len() != 2) {
            return Err(invalid!("hx has other than two tensors"));
        }
        let get = |i: usize| hx.as_ref().map(|h| &h[i]);
        Ok([self.state(p, get(0))?, self.state(p, get(1))?])
    }

    /// The step that comes as number `i`, and the one before it.
    fn step(&self, layer: usize, i: i64) -> (i64, i64) {
        if layer.is_multiple_of(self.directions) { (i, i - 1) } else { (self.steps - 1 - i, self.steps - i) }
    }

    /// `[T, B, D]` in sequence as `[T B, D]`.
    pub fn flat(&self, p: &mut Program, v: &View) -> Result<View> {
        let dense = dense(p, v, v.dtype)?;
        Ok(dense.reshaped(&[self.steps * self.batch, v.dims[2]]))
    }

    fn forward(
        &self,
        p: &mut Program,
        x: &View,
        hx: Option<Vec<View>>,
        [y, hy, cy]: [View; 3],
        kept: Option<[Option<Vec<View>>; 7]>,
    ) -> Result<()> {
        let (t, b, h) = (self.steps, self.batch, self.hidden);
        let [h0, c0] = self.states(p, hx)?;
        check_shape(&hy, &h0.dims)?;
        check_shape(&cy, &h0.dims)?;
        let wide = h * self.directions as i64;
        check_shape(&self.by_step(&y), &[t, b, wide])?;
        if let Some(kept) = &kept {
            for list in kept {
                let list = list.as_deref().unwrap_or(&[]);
                if list.len() != self.layers.len() || list.iter().any(|v| v.dims != [t, b, h]) {
                    return Err(invalid!("a list of {} tensors to keep; one of {:?} for each layer is needed", list.len(), [t, b, h]));
                }
            }
        }
        let mut below = self.by_step(x);
        for (i, both) in self.layers.chunks(self.directions).enumerate() {
            let above = p.temporary(self.kind, &[t, b, wide]);
            let flat = self.flat(p, &below)?;
            for (side, layer) in both.iter().enumerate() {
                let number = i * self.directions + side;
                let made = self.run(p, layer, number, &flat, [&at(&h0, number as i64), &at(&c0, number as i64)])?;
                let [gates, hidden, cells, bent] = &made;
                copy(p, hidden, &part(&above, side as i64, h))?;
                let last = self.step(number, t - 1).0;
                copy(p, &at(hidden, last), &at(&hy, number as i64))?;
                copy(p, &at(cells, last), &at(&cy, number as i64))?;
                for (k, list) in kept.iter().flatten().enumerate() {
                    let from = match k {
                        0..=3 => part(gates, k as i64, h),
                        4 => hidden.clone(),
                        5 => cells.clone(),
                        _ => bent.clone(),
                    };
                    list.iter().flatten().nth(number).map_or(Ok(()), |to| copy(p, &from, to))?;
                }
            }
            below = above;
        }
        copy(p, &below, &self.by_step(&y))
    }

    /// Gates, h, c and tanh(c) of all steps of a layer in one direction.
    pub fn run(&self, p: &mut Program, layer: &Layer, number: usize, x: &View, state: [&View; 2]) -> Result<[View; 4]> {
        let (t, b, h) = (self.steps, self.batch, self.hidden);
        let sums = p.temporary(self.kind, &[t, b, 4 * h]);
        let [hidden, cells, bent] = [0; 3].map(|_| p.temporary(self.kind, &[t, b, h]));
        let bias = match &layer.biases {
            Some((first, second)) => {
                let bias = p.temporary(self.kind, &[4 * h]);
                p.launch("add", &[&bias], &[first, second], &[Type(self.kind), Float(1.0), Int(1)])?;
                Some(bias)
            }
            None => None,
        };
        let flat = sums.reshaped(&[t * b, 4 * h]);
        product(p, x, &layer.input.transposed(0, 1), bias.as_ref().map(|c| (c, 1.0)), 1.0, &flat)?;
        let back = layer.hidden.transposed(0, 1);
        for i in 0..t {
            let (now, before) = self.step(number, i);
            let (old_h, old_c) = if i == 0 { (state[0].clone(), state[1].clone()) } else { (at(&hidden, before), at(&cells, before)) };
            let sum = at(&sums, now);
            product(p, &old_h, &back, Some((&sum, 1.0)), 1.0, &sum)?;
            p.launch("lstm", &[&at(&hidden, now), &at(&cells, now), &at(&bent, now), &sum], &[&sum, &old_c], &[])?;
        }
        Ok([sums, hidden, cells, bent])
    }

    #[allow(clippy::too_many_arguments)] // CANN's
    fn backward(
        &self,
        p: &mut Program,
        x: &View,
        hx: Option<Vec<View>>,
        [dy, dh, dc]: [Option<View>; 3],
        kept: [Vec<View>; 7],
        [dx, dh0, dc0]: [Option<View>; 3],
        params: Option<Vec<View>>,
    ) -> Result<()> {
        let (t, b, h, d) = (self.steps, self.batch, self.hidden, self.directions);
        let [h0, c0] = self.states(p, hx)?;
        let [dh, dc] = [self.state(p, dh.as_ref())?, self.state(p, dc.as_ref())?];
        if kept.iter().any(|list| list.len() != self.layers.len() || list.iter().any(|v| v.dims != [t, b, h])) {
            return Err(invalid!("what the forward pass kept is not one tensor of {:?} for each layer", [t, b, h]));
        }
        let params = params.filter(|list| !list.is_empty());
        let each = if self.layers[0].biases.is_some() { 4 } else { 2 };
        if params.as_ref().is_some_and(|list| list.len() != each * self.layers.len()) {
            return Err(invalid!("dparamsOut has other than {} tensors", each * self.layers.len()));
        }
        let mut above = p.temporary(self.kind, &[t, b, h * d as i64]);
        match &dy {
            Some(dy) => copy(p, &self.by_step(dy), &above)?,
            None => fill(p, above.clone(), constant(0))?,
        }
        for i in (0..self.layers.len() / d).rev() {
            let below = if i == 0 {
                self.by_step(x)
            } else {
                let below = p.temporary(self.kind, &[t, b, h * d as i64]);
                for side in 0..d {
                    copy(p, &kept[4][(i - 1) * d + side], &part(&below, side as i64, h))?;
                }
                below
            };
            let flat = self.flat(p, &below)?;
            let under = p.temporary(self.kind, &[t * b, flat.dims[1]]);
            for side in 0..d {
                let number = i * d + side;
                let layer = &self.layers[number];
                let state = |v: &View| at(v, number as i64);
                let lists: Vec<&View> = kept.iter().map(|list| &list[number]).collect();
                let [h0, c0, dh, dc] = [&h0, &c0, &dh, &dc].map(state);
                let grads = part(&above, side as i64, h);
                let (sums, first) = self.back(p, layer, number, &lists, [&c0, &grads, &dh, &dc])?;
                let turned = sums.reshaped(&[t * b, 4 * h]);
                for (out, made) in [(&dh0, &first[0]), (&dc0, &first[1])] {
                    out.as_ref().map_or(Ok(()), |out| copy(p, made, &state(out)))?;
                }
                product(p, &turned, &layer.input, (side > 0).then_some((&under, 1.0)), 1.0, &under)?;
                let Some(params) = &params else { continue };
                let params = &params[each * number..][..each];
                product(p, &turned.transposed(0, 1), &flat, None, 1.0, &params[0])?;
                // h before each step.
                let before = p.temporary(self.kind, &[t, b, h]);
                let forward = side == 0;
                copy(p, &h0, &at(&before, if forward { 0 } else { t - 1 }))?;
                let (to, from) = if forward { (1, 0) } else { (0, 1) };
                copy(p, &lists[4].narrow(0, from, t - 1, 1), &before.narrow(0, to, t - 1, 1))?;
                product(p, &turned.transposed(0, 1), &before.reshaped(&[t * b, h]), None, 1.0, &params[1])?;
                for bias in &params[2..] {
                    check_shape(bias, &[4 * h])?;
                    p.launch("reduce_sum", &[&bias.unsqueeze(&[0])], &[&turned], &[Type(self.kind)])?;
                }
            }
            if i == 0 {
                let Some(dx) = &dx else { continue };
                let dx = self.by_step(dx);
                check_shape(&dx, &[t, b, flat.dims[1]])?;
                copy(p, &under.reshaped(&dx.dims), &dx)?;
            } else {
                above = under.reshaped(&[t, b, h * d as i64]);
            }
        }
        Ok(())
    }

    /// Gradients of what the gates are functions of, for all steps, and of h and c before the first.
    pub fn back(
        &self,
        p: &mut Program,
        layer: &Layer,
        number: usize,
        kept: &[&View],
        [c0, grads, dh, dc]: [&View; 4],
    ) -> Result<(View, [View; 2])> {
        let (t, b, h) = (self.steps, self.batch, self.hidden);
        let sums = p.temporary(self.kind, &[t, b, 4 * h]);
        let [hidden, cell] = [0; 2].map(|_| p.temporary(self.kind, &[b, h]));
        copy(p, dc, &cell)?;
        for i in (0..t).rev() {
            let (now, before) = self.step(number, i);
            let given = at(grads, now);
            if i == t - 1 {
                p.launch("add", &[&hidden], &[&given, dh], &[Type(self.kind), Float(1.0), Int(1)])?;
            } else {
                let behind = at(&sums, self.step(number, i + 1).0);
                product(p, &behind, &layer.hidden, Some((&given, 1.0)), 1.0, &hidden)?;
            }
            let old = if i == 0 { c0.clone() } else { at(kept[5], before) };
            let [i, f, g, o] = [0, 1, 2, 3].map(|k| at(kept[k], now));
            let bent = at(kept[6], now);
            p.launch("lstm_backward", &[&at(&sums, now), &cell], &[&i, &f, &g, &o, &bent, &old, &hidden, &cell], &[])?;
        }
        product(p, &at(&sums, self.step(number, 0).0), &layer.hidden, None, 1.0, &hidden)?;
        Ok((sums, [hidden, cell]))
    }
}

#[allow(clippy::too_many_arguments)] // CANN's
fn cell(
    p: &mut Program,
    input: View,
    hidden: View,
    c: View,
    first: Option<View>,
    second: Option<View>,
    hy: View,
    cy: View,
    storage: View,
) -> Result<()> {
    let [b, h] = c.dims[..] else { return Err(invalid!("cx has shape {:?}; two dimensions are needed", c.dims)) };
    [&input, &hidden, &storage].iter().try_for_each(|v| check_shape(v, &[b, 4 * h]))?;
    [&hy, &cy].iter().try_for_each(|v| check_shape(v, &c.dims))?;
    let kind = if c.dtype == DType::F64 { DType::F64 } else { DType::F32 };
    let (sum, bent) = (p.temporary(kind, &[b, 4 * h]), p.temporary(kind, &[b, h]));
    let attrs = [Type(kind), Float(1.0), Int(1)];
    p.launch("add", &[&sum], &[&input, &hidden], &attrs)?;
    for bias in first.iter().chain(&second) {
        p.launch("add", &[&sum], &[&sum, &bias.expand(&sum.dims)?], &attrs)?;
    }
    p.launch("lstm", &[&hy, &cy, &bent, &storage], &[&sum, &c], &[])
}

#[allow(clippy::too_many_arguments)] // CANN's
fn cell_backward(
    p: &mut Program,
    dh: Option<View>,
    dc: Option<View>,
    c: View,
    cy: View,
    storage: View,
    has_bias: bool,
    gates: View,
    dcx: View,
    bias: Option<View>,
) -> Result<()> {
    let [b, h] = c.dims[..] else { return Err(invalid!("cx has shape {:?}; two dimensions are needed", c.dims)) };
    [&cy, &dcx].iter().try_for_each(|v| check_shape(v, &c.dims))?;
    [&storage, &gates].iter().try_for_each(|v| check_shape(v, &[b, 4 * h]))?;
    let kind = if c.dtype == DType::F64 { DType::F64 } else { DType::F32 };
    let bent = p.temporary(kind, &c.dims);
    p.launch("tanh", &[&bent], &[&cy], &[Type(kind)])?;
    let zeros = p.temporary(kind, &[]);
    fill(p, zeros.clone(), constant(0))?;
    let [dh, dc] = [dh, dc].map(|v| v.map_or_else(|| zeros.expand(&c.dims), Ok));
    let (dh, dc) = (dh?, dc?);
    let [i, f, g, o] = [0, 1, 2, 3].map(|k| part(&storage, k, h));
    p.launch("lstm_backward", &[&gates, &dcx], &[&i, &f, &g, &o, &bent, &c, &dh, &dc], &[])?;
    match bias.filter(|_| has_bias) {
        Some(bias) => p.launch("reduce_sum", &[&bias.unsqueeze(&[0])], &[&gates], &[Type(kind)]),
        None => Ok(()),
    }
}
