//! Interpolation and its gradients.

use std::sync::Arc;

use super::conv_gradient::five;
use super::declare::operators;
use super::elementwise::check_shape;
use crate::error::{Result, invalid};
use crate::program::Attr::{Float, Int};
use crate::program::Program;
use crate::view::View;

operators! {
    "upsample_linear_1d" { /// out = self [N, C, L] resized, on lines between elements.
        aclnnUpsampleLinear1d(self_: Tensor, outputSize: Ints, alignCorners: Bool, scales: Double, out: Out) => |p, x, _, c, a, o| forward(p, x, LINEAR, c, &[a], o); }
    "upsample_bilinear_2d" { /// out = self [N, C, H, W] resized, on lines between elements.
        aclnnUpsampleBilinear2d(self_: Tensor, outputSize: Ints, alignCorners: Bool, scalesH: Double, scalesW: Double, out: Out) => |p, x, _, c, a, b, o| forward(p, x, LINEAR, c, &[a, b], o); }
    "upsample_trilinear_3d" { /// out = self [N, C, D, H, W] resized, on lines between elements.
        aclnnUpsampleTrilinear3d(self_: Tensor, outputSize: Ints, alignCorners: Bool, scalesD: Double, scalesH: Double, scalesW: Double, out: Out) => |p, x, _, k, a, b, c, o| forward(p, x, LINEAR, k, &[a, b, c], o); }
    "upsample_bicubic_2d" { /// out = self [N, C, H, W] resized, on cubic curves between elements.
        aclnnUpsampleBicubic2d(self_: Tensor, outputSize: Ints, alignCorners: Bool, scalesH: Double, scalesW: Double, out: Out) => |p, x, _, c, a, b, o| forward(p, x, CUBIC, c, &[a, b], o); }
    "upsample_nearest_1d_v2" { /// As aclnnUpsampleNearest1d; a scale above 0 counts instead of the sizes' ratio.
        aclnnUpsampleNearest1dV2(self_: Tensor, outputSize: Ints, scaleL: Float, out: Out) => |p, x, _, a: f32, o| forward(p, x, NEAREST, false, &[a.into()], o); }
    "upsample_nearest_2d_v2" { /// As aclnnUpsampleNearest1dV2, of images.
        aclnnUpsampleNearest2dV2(self_: Tensor, outputSize: Ints, scalesH: Float, scalesW: Float, out: Out) =>
            |p, x, _, a: f32, b: f32, o| forward(p, x, NEAREST, false, &[a.into(), b.into()], o); }
    "upsample_nearest_3d" { /// out = self [N, C, D, H, W] resized, each element from the nearest before it.
        aclnnUpsampleNearest3d(self_: Tensor, outputSize: Ints, scalesD: Double, scalesH: Double, scalesW: Double, out: Out) => |p, x, _, a, b, c, o| forward(p, x, NEAREST, false, &[a, b, c], o); }
    "upsample_nearest_exact1d" { /// out = self [N, C, L] resized, each element from the nearest.
        aclnnUpsampleNearestExact1d(self_: Tensor, outputSize: Ints, scales: Double, out: Out) => |p, x, _, a, o| forward(p, x, EXACT, false, &[a], o); }
    "upsample_nearest_exact2d" { /// out = self [N, C, H, W] resized, each element from the nearest.
        aclnnUpsampleNearestExact2d(self_: Tensor, outputSize: Ints, scalesH: Double, scalesW: Double, out: Out) => |p, x, _, a, b, o| forward(p, x, EXACT, false, &[a, b], o); }
    "upsample_nearest_exact3d" { /// out = self [N, C, D, H, W] resized, each element from the nearest.
        aclnnUpsampleNearestExact3d(self_: Tensor, outputSize: Ints, scalesD: Double, scalesH: Double, scalesW: Double, out: Out) => |p, x, _, a, b, c, o| forward(p, x, EXACT, false, &[a, b, c], o); }
    "upsample_nearest_1d_backward" { /// out = gradient of aclnnUpsampleNearest1d.
        aclnnUpsampleNearest1dBackward(gradOut: Tensor, outputSize: Ints, inputSize: Ints, scales: Double, out: Out) => |p, g, _, i, a, o| resample(p, g, i, NEAREST, false, &[a], o); }
    "upsample_nearest_2d_backward" { /// gradInput = gradient of aclnnUpsampleNearest2d.
        aclnnUpsampleNearest2dBackward(gradOut: Tensor, outputSize: Ints, inputSize: Ints, scalesH: Double, scalesW: Double, gradInput: Out) => |p, g, _, i, a, b, o| resample(p, g, i, NEAREST, false, &[a, b], o); }
    "upsample_nearest_3d_backward" { /// gradInput = gradient of aclnnUpsampleNearest3d.
        aclnnUpsampleNearest3dBackward(gradOut: Tensor, outputSize: Ints, inputSize: Ints, scalesD: Double, scalesH: Double, scalesW: Double, gradInput: Out) => |p, g, _, i, a, b, c, o| resample(p, g, i, NEAREST, false, &[a, b, c], o); }
    "upsample_nearest_exact1d_backward" { /// out = gradient of aclnnUpsampleNearestExact1d.
        aclnnUpsampleNearestExact1dBackward(gradOutput: Tensor, outputSize: Ints, inputSize: Ints, scales: Double, out: Out) => |p, g, _, i, a, o| resample(p, g, i, EXACT, false, &[a], o); }
    "upsample_nearest_exact2d_backward" { /// out = gradient of aclnnUpsampleNearestExact2d.
        aclnnUpsampleNearestExact2dBackward(gradOutput: Tensor, outputSize: Ints, inputSize: Ints, scalesH: Double, scalesW: Double, out: Out) => |p, g, _, i, a, b, o| resample(p, g, i, EXACT, false, &[a, b], o); }
    "upsample_nearest_exact3d_backward" { /// gradInput = gradient of aclnnUpsampleNearestExact3d.
        aclnnUpsampleNearestExact3dBackward(gradOut: Tensor, outputSize: Ints, inputSize: Ints, scalesD: Double, scalesH: Double, scalesW: Double, gradInput: Out) => |p, g, _, i, a, b, c, o| resample(p, g, i, EXACT, false, &[a, b, c], o); }
    "upsample_linear_1d_backward" { /// out = gradient of aclnnUpsampleLinear1d.
        aclnnUpsampleLinear1dBackward(gradOut: Tensor, outputSize: Ints, inputSize: Ints, alignCorners: Bool, scales: Double, out: Out) => |p, g, _, i, c, a, o| resample(p, g, i, LINEAR, c, &[a], o); }
    "upsample_bilinear_2d_backward" { /// out = gradient of aclnnUpsampleBilinear2d.
        aclnnUpsampleBilinear2dBackward(gradOut: Tensor, outputSize: Ints, inputSize: Ints, alignCorners: Bool, scalesH: Double, scalesW: Double, out: Out) => |p, g, _, i, c, a, b, o| resample(p, g, i, LINEAR, c, &[a, b], o); }
    "upsample_bilinear_2d_backward_v2" { /// out = gradient of aclnnUpsampleBilinear2d.
        aclnnUpsampleBilinear2dBackwardV2(gradOut: Tensor, outputSize: Ints, inputSize: Ints, alignCorners: Bool, scalesH: Double, scalesW: Double, out: Out) => |p, g, _, i, c, a, b, o| resample(p, g, i, LINEAR, c, &[a, b], o); }
    "upsample_trilinear_3d_backward" { /// gradInput = gradient of aclnnUpsampleTrilinear3d.
        aclnnUpsampleTrilinear3dBackward(gradOut: Tensor, outputSize: Ints, inputSize: Ints, alignCorners: Bool, scalesD: Double, scalesH: Double, scalesW: Double, gradInput: Out) => |p, g, _, i, k, a, b, c, o| resample(p, g, i, LINEAR, k, &[a, b, c], o); }
    "upsample_bicubic_2d_backward" { /// gradInput = gradient of aclnnUpsampleBicubic2d.
        aclnnUpsampleBicubic2dBackward(gradOut: Tensor, outputSize: Ints, inputSize: Ints, alignCorners: Bool, scalesH: Double, scalesW: Double, gradInput: Out) => |p, g, _, i, c, a, b, o| resample(p, g, i, CUBIC, c, &[a, b], o); }
}

const NEAREST: i64 = 0;
const EXACT: i64 = 1;
const LINEAR: i64 = 2;
const CUBIC: i64 = 3;

/// Launches a kernel between a big and a small image; the dimensions that there are not come first.
fn launch(p: &mut Program, k: &'static str, to: &View, from: &View, mode: i64, aligned: bool, scales: &[f64]) -> Result<()> {
    if to.rank() != scales.len() + 2 {
        return Err(invalid!("the result has shape {:?}; {} dimensions are needed", to.dims, scales.len() + 2));
    }
    let (to, from) = (five("the result", to)?, five("the input", from)?);
    let missing = 3 - scales.len();
    let scale = |d: usize| Float(d.checked_sub(missing).map_or(1.0, |d| scales[d]));
    p.launch(k, &[&to], &[&from], &[Int(mode), Int(aligned.into()), scale(0), scale(1), scale(2)])
}

fn forward(p: &mut Program, x: View, mode: i64, aligned: bool, scales: &[f64], out: View) -> Result<()> {
    if x.rank() != out.rank() || x.dims[..2] != out.dims[..2] {
        return Err(invalid!("self has shape {:?} and out {:?}", x.dims, out.dims));
    }
    launch(p, "resample", &out, &x, mode, aligned, scales)
}

fn resample(
    p: &mut Program,
    grad: View,
    input: Arc<[i64]>,
    mode: i64,
    aligned: bool,
    scales: &[f64],
    out: View,
) -> Result<()> {
    check_shape(&out, &input)?;
    launch(p, "resample_backward", &out, &grad, mode, aligned, scales)
}
