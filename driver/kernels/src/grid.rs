//! Sampling of images at places that a grid names, and its gradients.

use vinci_hw::args::{ArgsError, ArgsView, DType};

use crate::lane::{Lane, LaneKind, common_lane};
use crate::rows::Rows;
use crate::tile::for_each;
use crate::view::Tensor;
use crate::{Ctx, KernelFault};

/// Spatial dimensions; those that there are not have size 1.
const SPACE: usize = 3;

/// What a sample takes along one dimension: places, their weights, and how the weights change with the coordinate.
#[derive(Clone, Copy, Default)]
struct Taps {
    place: [Option<usize>; 4],
    weight: [f64; 4],
    slope: [f64; 4],
}

/// Attributes mode (0 linear, 1 nearest, 2 cubic), padding (0 zeros, 1 the border, 2 reflection), whether corners are
/// aligned.
struct Sampling {
    mode: u64,
    padding: u64,
    aligned: bool,
    /// Coordinates are computed in float32, step by step, as their rounding decides which element is nearest.
    single: bool,
}

impl Sampling {
    fn new(args: &ArgsView<'_>, grid: &Tensor) -> Result<Self, KernelFault> {
        let (mode, padding) = (args.attr(0)?, args.attr(1)?);
        if mode > 2 || padding > 2 {
            return Err(KernelFault::Unsupported("a sampling of this mode or padding"));
        }
        Ok(Self { mode, padding, aligned: args.attr(2)? != 0, single: grid.dtype != DType::F64 })
    }

    fn round(&self, v: f64) -> f64 {
        if self.single { f64::from(v as f32) } else { v }
    }

    /// The coordinate in elements, and how it changes with the one of the grid.
    fn scaled(&self, v: f64, size: usize) -> (f64, f64) {
        let (n, r) = (size as f64, |v| self.round(v));
        if self.aligned {
            (r(r(r(v + 1.0) / 2.0) * (n - 1.0)), (n - 1.0) / 2.0)
        } else {
            (r(r(r(r(v + 1.0) * n) - 1.0) / 2.0), n / 2.0)
        }
    }

    /// A coordinate moved inside as the padding asks, and how it changes with the one before.
    fn inside(&self, v: f64, size: usize) -> (f64, f64) {
        let most = size as f64 - 1.0;
        let clip = |v: f64| match v {
            v if v > 0.0 && v < most => (v, 1.0),
            v if v >= most => (most, 0.0),
            _ => (0.0, 0.0), // NaN too
        };
        match self.padding {
            0 => (v, 1.0),
            1 => clip(v),
            _ => {
                let (low, span) = if self.aligned { (0.0, most) } else { (-0.5, size as f64) };
                if span <= 0.0 {
                    return (0.0, 0.0);
                }
                let r = |v| self.round(v);
                let (from, sign) = if v < low { (r(low - v), -1.0) } else { (r(v - low), 1.0) };
                let (rest, turns) = (r(from % span), (from / span).floor());
                let (at, sign) =
                    if turns % 2.0 == 0.0 { (r(rest + low), sign) } else { (r(r(span - rest) + low), -sign) };
                let (at, moved) = clip(at);
                (at, sign * moved)
            }
        }
    }

    fn taps(&self, v: f64, size: usize) -> Taps {
        let (v, scale) = self.scaled(v, size);
        let place = |p: f64| (p >= 0.0 && p < size as f64).then_some(p as usize);
        let mut taps = Taps::default();
        match self.mode {
            0 => {
                let (v, moved) = self.inside(v, size);
                let (low, scale) = (v.floor(), scale * moved);
                let part = self.round(v - low);
                taps.place = [place(low), place(low + 1.0), None, None];
                taps.weight = [1.0 - part, part, 0.0, 0.0];
                taps.slope = [-scale, scale, 0.0, 0.0];
            }
            1 => {
                taps.place[0] = place(self.inside(v, size).0.round_ties_even());
                taps.weight[0] = 1.0;
            }
            _ => {
                let low = v.floor();
                let (weight, slope) = cubic(self.round(v - low));
                for k in 0..4 {
                    taps.place[k] = place(self.inside(low + k as f64 - 1.0, size).0);
                    (taps.weight[k], taps.slope[k]) = (weight[k], slope[k] * scale);
                }
            }
        }
        taps
    }
}

/// The weights of four places (a = −0.75) for a point `t` behind the second, and their derivatives.
fn cubic(t: f64) -> ([f64; 4], [f64; 4]) {
    const A: f64 = -0.75;
    let near =
        |x: f64| (((A + 2.0) * x - (A + 3.0)) * x * x + 1.0, (3.0 * (A + 2.0) * x - 2.0 * (A + 3.0)) * x);
    let far =
        |x: f64| (((A * x - 5.0 * A) * x + 8.0 * A) * x - 4.0 * A, (3.0 * A * x - 10.0 * A) * x + 8.0 * A);
    let all = [far(t + 1.0), near(t), near(1.0 - t), far(2.0 - t)];
    let back = [1.0, 1.0, -1.0, -1.0];
    (all.map(|w| w.0), std::array::from_fn(|k| all[k].1 * back[k]))
}

/// An image `[N, C, D0, D1, D2]` and a grid `[N, L0, L1, L2, 3]`, whose last dimension begins with the last of the
/// image.
struct Job {
    sampling: Sampling,
    /// Dimensions in use: 2 or 3, the last ones.
    along: usize,
    size: [usize; SPACE],
    grid: Rows,
    points: usize,
}

impl Job {
    fn new(
        args: &ArgsView<'_>,
        image: &Tensor,
        grid: &Tensor,
        results: &Tensor,
    ) -> Result<Self, KernelFault> {
        let fits = image.rank == 5
            && grid.rank == 5
            && results.rank == 5
            && image.dims[0] == grid.dims[0]
            && image.dims[..2] == results.dims[..2]
            && grid.dims[1..4] == results.dims[2..5]
            && matches!(grid.dims[4], 2 | 3);
        if !fits {
            return Err(ArgsError::BadTensor(0).into());
        }
        Ok(Self {
            sampling: Sampling::new(args, grid)?,
            along: grid.dims[4],
            size: [image.dims[2], image.dims[3], image.dims[4]],
            grid: Rows::new(grid, |d| d > 0),
            points: grid.dims[1..4].iter().product(),
        })
    }

    /// What each point of one image takes, along the three dimensions.
    fn taps(&self, image: usize) -> Vec<[Taps; SPACE]> {
        let mut grid = vec![0.0f64; self.points * self.along];
        self.grid.source::<f64>(image).read(0, &mut grid);
        let point = |at: &[f64]| {
            std::array::from_fn(|d| match (SPACE - 1 - d < self.along).then(|| at[SPACE - 1 - d]) {
                Some(v) => self.sampling.taps(v, self.size[d]),
                None => {
                    Taps { place: [Some(0), None, None, None], weight: [1.0, 0.0, 0.0, 0.0], slope: [0.0; 4] }
                }
            })
        };
        grid.chunks(self.along).map(point).collect()
    }

    fn plane(&self) -> usize {
        self.size.iter().product()
    }

    /// Calls `tap(element, [weight along each dimension], [slope along each])` for each element that a point takes.
    fn each(&self, taps: &[Taps; SPACE], mut tap: impl FnMut(usize, [f64; SPACE], [f64; SPACE])) {
        let [a, b, c] = taps;
        for i in 0..4 {
            let Some(p) = a.place[i] else { continue };
            for j in 0..4 {
                let Some(q) = b.place[j] else { continue };
                for k in 0..4 {
                    let Some(r) = c.place[k] else { continue };
                    let at = (p * self.size[1] + q) * self.size[2] + r;
                    tap(at, [a.weight[i], b.weight[j], c.weight[k]], [a.slope[i], b.slope[j], c.slope[k]]);
                }
            }
        }
    }
}

/// Tensors out `[N, C, L0, L1, L2]`, image `[N, C, D0, D1, D2]`, grid `[N, L0, L1, L2, 2 or 3]`; attributes as
/// [`Sampling`].
pub fn forward(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let out = Tensor::output(ctx, args, 0)?;
    let image = Tensor::input(ctx, args, 1)?;
    let grid = Tensor::input(ctx, args, 2)?;
    let job = Job::new(args, &image, &grid, &out)?;
    if out.count == 0 {
        return Ok(());
    }
    match common_lane(image.dtype, out.dtype) {
        LaneKind::F64 => forward_in::<f64>(ctx, &job, &out, &image),
        _ => forward_in::<f32>(ctx, &job, &out, &image),
    }
    Ok(())
}

fn forward_in<L: Lane>(ctx: &Ctx<'_>, job: &Job, out: &Tensor, image: &Tensor) {
    let (channels, plane) = (out.dims[1], job.plane());
    let [to, from] = [out, image].map(|t| Rows::new(t, |d| d > 1));
    for n in 0..out.dims[0] {
        let taps = job.taps(n);
        for_each(ctx, channels, out.count, &|c| {
            let mut values = vec![L::ZERO; plane];
            from.source::<L>(n * channels + c).read(0, &mut values);
            let sample = |taps| {
                let mut sum = 0.0;
                job.each(taps, |at, w, _| sum += w[0] * w[1] * w[2] * values[at].to_f64());
                L::from_f64(sum)
            };
            let results: Vec<L> = taps.iter().map(sample).collect();
            to.sink::<L>(n * channels + c).write(0, &results);
        });
    }
}

/// Tensors image_grad (as image), grid_grad (as grid), out_grad, image, grid; attributes as [`Sampling`].
pub fn backward(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let image_grad = Tensor::output(ctx, args, 0)?;
    let grid_grad = Tensor::output(ctx, args, 1)?;
    let grad = Tensor::input(ctx, args, 2)?;
    let image = Tensor::input(ctx, args, 3)?.same_dims(&image_grad, 3)?;
    let grid = Tensor::input(ctx, args, 4)?.same_dims(&grid_grad, 4)?;
    let job = Job::new(args, &image, &grid, &grad)?;
    let (channels, plane, points) = (grad.dims[1], job.plane(), job.points);
    let [to, from, given] = [&image_grad, &image, &grad].map(|t| Rows::new(t, |d| d > 1));
    let moved = Rows::new(&grid_grad, |d| d > 0);
    for n in 0..grad.dims[0] {
        let taps = job.taps(n);
        let read = |rows: &Rows, c: usize, count: usize| {
            let mut values = vec![0.0f64; count];
            rows.source::<f64>(n * channels + c).read(0, &mut values);
            values
        };
        for_each(ctx, channels, grad.count, &|c| {
            let given = read(&given, c, points);
            let mut sums = vec![0.0f64; plane];
            for (taps, g) in taps.iter().zip(&given) {
                job.each(taps, |at, w, _| sums[at] += g * w[0] * w[1] * w[2]);
            }
            to.sink::<f64>(n * channels + c).write(0, &sums);
        });
        let mut slopes = vec![0.0f64; points * job.along];
        for c in 0..channels {
            let (values, given) = (read(&from, c, plane), read(&given, c, points));
            for ((taps, g), slope) in taps.iter().zip(&given).zip(slopes.chunks_mut(job.along)) {
                job.each(taps, |at, w, s| {
                    let v = g * values[at];
                    let by = [s[0] * w[1] * w[2], w[0] * s[1] * w[2], w[0] * w[1] * s[2]];
                    slope.iter_mut().zip(by.iter().rev()).for_each(|(slope, by)| *slope += v * by);
                });
            }
        }
        moved.sink::<f64>(n).write(0, &slopes);
    }
    Ok(())
}
