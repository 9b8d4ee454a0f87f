//! Operators by name: which tensors each has, in order, and the function that writes its program from what the program
//! passed. A name stands here if a client of CANN calls it by that name and by no aclnn function.

mod gru;
mod lstm;
mod plain;

use crate::by_name::Call;
use crate::dtype::DType;
use crate::error::{Result, invalid};
use crate::program::Program;

/// An operator by name.
pub struct Named {
    /// Name.
    pub name: &'static str,
    /// Inputs in order.
    pub inputs: &'static [&'static str],
    /// Outputs in order.
    pub outputs: &'static [&'static str],
    /// Writes the program.
    pub build: fn(&mut Program, &Call) -> Result<()>,
}

/// Declares operators: `Name(inputs) -> (outputs) => builder`.
macro_rules! named {
    ($($name:ident($($input:ident),*) -> ($($output:ident),*) => $build:expr;)*) => {
        /// All of them.
        pub const OPERATORS: &[Named] = &[$(Named {
            name: stringify!($name),
            inputs: &[$(stringify!($input)),*],
            outputs: &[$(stringify!($output)),*],
            build: $build,
        }),*];
    };
}

named! {
    DynamicGRUV2(x, weight_input, weight_hidden, bias_input, bias_hidden, seq_length, init_h)
        -> (y, output_h, update, reset, new, hidden_new) => gru::forward;
    DynamicGRUV2Grad(x, weight_input, weight_hidden, y, init_h, h, dy, dh, update, reset, new, hidden_new, seq_length, mask)
        -> (dw_input, dw_hidden, db_input, db_hidden, dx, dh_prev) => gru::backward;
    DynamicRNNV2(x, weight_input, weight_hidden, b, seq_length, init_h, init_c, wci, wcf, wco, mask)
        -> (y, output_h, output_c, i, j, f, o, tanhc) => lstm::forward;
    DynamicRNNV2Grad(x, w_x, w_h, y, init_h, init_c, h, c, dy, dh, dc, i, j, f, o, tanhct, seq_length, wci, wcf, wco, mask)
        -> (dw_x, dw_h, db, dx, dh_prev, dc_prev) => lstm::backward;
    Transpose(x, perm) -> (y) => plain::transpose;
    BroadcastTo(x, shape) -> (y) => plain::broadcast;
    Slice(x, offsets, size) -> (y) => plain::slice;
    Pad(x, paddings) -> (y) => plain::pad;
    Mish(x) -> (y) => plain::mish;
    MishGrad(grad, x, tanhx) -> (x_grad) => plain::mish_gradient;
    Swish(x) -> (y) => plain::swish;
    SwishGrad(grad, x, y) -> (grad_x) => plain::swish_gradient;
    ArgMaxWithValue(x) -> (indice, values) => |p, call| plain::extreme(p, call, 1);
    ArgMinWithValue(x) -> (indice, values) => |p, call| plain::extreme(p, call, 0);
}

/// The operator of a name.
pub fn find(name: &str) -> Option<&'static Named> {
    OPERATORS.iter().find(|o| o.name == name)
}

/// What every recurrent operator has, of which one value each is computed here.
fn check_recurrent(call: &Call) -> Result<()> {
    Call::only("direction", call.text("direction", "UNIDIRECTIONAL")?, "UNIDIRECTIONAL".into())?;
    Call::only("cell_depth", call.int("cell_depth", 1)?, 1)?;
    Call::only("keep_prob", call.float("keep_prob", 1.0)?, 1.0)?;
    Call::only("cell_clip", call.float("cell_clip", -1.0)?, -1.0)?;
    Call::only("num_proj", call.int("num_proj", 0)?, 0)?;
    Call::only("time_major", call.flag("time_major", true)?, true)?;
    Call::only("activation", call.text("activation", "tanh")?, "tanh".into())
}

/// Lengths of sequences, weights of peepholes and masks are not computed; PyTorch passes a zero for each.
fn check_dummies(call: &Call, names: &[&str]) -> Result<()> {
    let given =
        names.iter().find(|n| call.given(n).is_some_and(|v| v.elements() != 1 || v.dtype == DType::I32));
    given.map_or(Ok(()), |name| Err(invalid!("{name} is not supported")))
}
