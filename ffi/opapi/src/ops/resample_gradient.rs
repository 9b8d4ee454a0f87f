//! Gradients of interpolation.

use std::sync::Arc;

use super::conv_gradient::five;
use super::declare::operators;
use super::elementwise::check_shape;
use crate::error::{Result, invalid};
use crate::program::Attr::{Float, Int};
use crate::program::Program;
use crate::view::View;

operators! {
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
    "upsample_linear1d_backward" { /// out = gradient of aclnnUpsampleLinear1d.
        aclnnUpsampleLinear1dBackward(gradOut: Tensor, outputSize: Ints, inputSize: Ints, alignCorners: Bool, scales: Double, out: Out) => |p, g, _, i, c, a, o| resample(p, g, i, LINEAR, c, &[a], o); }
    "upsample_bilinear2d_backward" { /// out = gradient of aclnnUpsampleBilinear2d.
        aclnnUpsampleBilinear2dBackward(gradOut: Tensor, outputSize: Ints, inputSize: Ints, alignCorners: Bool, scalesH: Double, scalesW: Double, out: Out) => |p, g, _, i, c, a, b, o| resample(p, g, i, LINEAR, c, &[a, b], o); }
    "upsample_bilinear2d_backward_v2" { /// out = gradient of aclnnUpsampleBilinear2d.
        aclnnUpsampleBilinear2dBackwardV2(gradOut: Tensor, outputSize: Ints, inputSize: Ints, alignCorners: Bool, scalesH: Double, scalesW: Double, out: Out) => |p, g, _, i, c, a, b, o| resample(p, g, i, LINEAR, c, &[a, b], o); }
    "upsample_trilinear3d_backward" { /// gradInput = gradient of aclnnUpsampleTrilinear3d.
        aclnnUpsampleTrilinear3dBackward(gradOut: Tensor, outputSize: Ints, inputSize: Ints, alignCorners: Bool, scalesD: Double, scalesH: Double, scalesW: Double, gradInput: Out) => |p, g, _, i, k, a, b, c, o| resample(p, g, i, LINEAR, k, &[a, b, c], o); }
    "upsample_bicubic2d_backward" { /// gradInput = gradient of aclnnUpsampleBicubic2d.
        aclnnUpsampleBicubic2dBackward(gradOut: Tensor, outputSize: Ints, inputSize: Ints, alignCorners: Bool, scalesH: Double, scalesW: Double, gradInput: Out) => |p, g, _, i, c, a, b, o| resample(p, g, i, CUBIC, c, &[a, b], o); }
}

const NEAREST: i64 = 0;
const EXACT: i64 = 1;
const LINEAR: i64 = 2;
const CUBIC: i64 = 3;

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
    if out.rank() != scales.len() + 2 {
        return Err(invalid!("gradInput has shape {:?}; {} dimensions are needed", out.dims, scales.len() + 2));
    }
    let (grad, out) = (five("gradOutput", &grad)?, five("gradInput", &out)?);
    // The dimensions that there are not come first.
    let missing = 3 - scales.len();
    let scale = |d: usize| Float(d.checked_sub(missing).map_or(1.0, |d| scales[d]));
    p.launch("resample_backward", &[&out], &[&grad], &[Int(mode), Int(aligned.into()), scale(0), scale(1), scale(2)])
}
