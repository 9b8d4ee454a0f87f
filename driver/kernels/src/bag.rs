//! Bags of embeddings: rows of a table, named by indices, as one sum, mean or maximum for each bag.

use vinci_hw::args::{ArgsError, ArgsView};

use crate::lane::{Lane, LaneKind, common_lane};
use crate::rows::Rows;
use crate::tile::{Sink, Source, for_each};
use crate::view::Tensor;
use crate::{Ctx, KernelFault};

const IN_ORDER: [u8; 8] = [0, 1, 2, 3, 4, 5, 6, 7];

/// Attributes mode (0 sum, 1 mean, 2 maximum), whether the offsets end with the last bag's end, the index that counts
/// for nothing (or one out of range).
struct Bags {
    indices: Vec<i64>,
    /// Where each bag begins, and where the last ends.
    bounds: Vec<usize>,
    scale: Option<Vec<f64>>,
    mode: u64,
    nothing: i64,
}

impl Bags {
    fn counted(&self, bag: usize) -> impl Iterator<Item = usize> {
        (self.bounds[bag]..self.bounds[bag + 1]).filter(|&i| self.indices[i] != self.nothing)
    }
}

fn integers(t: &Tensor) -> Vec<i64> {
    let mut all = vec![0; t.count];
    Source::new(t, &IN_ORDER).read(0, &mut all);
    all
}

/// Tensors out `[B, D]`, the bag of each index `[n]`, counted indices of each bag `[B]`, the index of each maximum
/// `[B, D]`; weight `[V, D]`, indices `[n]`, offsets, perhaps a factor for each index `[n]`; attributes as [`Bags`].
pub fn forward(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let out = Tensor::output(ctx, args, 0)?;
    let [bag_of, sizes, places] =
        [Tensor::output(ctx, args, 1)?, Tensor::output(ctx, args, 2)?, Tensor::output(ctx, args, 3)?];
    let weight = Tensor::input(ctx, args, 4)?;
    let [index, offsets] = [Tensor::input(ctx, args, 5)?, Tensor::input(ctx, args, 6)?];
    let factors = if args.tensor_count() > 7 { Some(Tensor::input(ctx, args, 7)?) } else { None };
    let ended = usize::from(args.attr(1)? != 0);
    let (n, fits) = (index.count, out.rank == 2 && weight.rank == 2 && index.rank == 1 && offsets.rank == 1);
    if !fits || out.dims[1] != weight.dims[1] || offsets.count != out.dims[0] + ended {
        return Err(ArgsError::BadTensor(0).into());
    }
    if bag_of.dims() != [n] || sizes.dims() != [out.dims[0]] || places.dims() != out.dims() {
        return Err(ArgsError::BadTensor(1).into());
    }
    if factors.as_ref().is_some_and(|f| f.dims() != index.dims()) {
        return Err(ArgsError::BadTensor(7).into());
    }
    let mut bounds: Vec<usize> =
        integers(&offsets).into_iter().map(|o| usize::try_from(o).unwrap_or(usize::MAX)).collect();
    if ended == 0 {
        bounds.push(n);
    }
    if bounds.first().is_some_and(|&first| first != 0)
        || bounds.windows(2).any(|w| w[0] > w[1])
        || bounds.last() > Some(&n)
    {
        return Err(KernelFault::Exception {
            what: "offsets of bags that do not ascend from 0 to the indices' number",
            value: n as i64,
        });
    }
    let bags = Bags {
        indices: integers(&index),
        bounds,
        scale: factors.map(|f| {
            let mut all = vec![0.0; f.count];
            Source::new(&f, &IN_ORDER).read(0, &mut all);
            all
        }),
        mode: args.attr(0)?,
        nothing: args.attr_i64(2)?,
    };
    let words = weight.dims[0] as i64;
    if let Some(&value) = bags.indices.iter().find(|&&i| !(0..words).contains(&i) && i != bags.nothing) {
        return Err(KernelFault::Exception { what: "index out of range", value });
    }
    let mut owners = vec![0i64; n];
    (0..out.dims[0]).for_each(|bag| owners[bags.bounds[bag]..bags.bounds[bag + 1]].fill(bag as i64));
    Sink::new(&bag_of, &IN_ORDER).write(0, &owners);
    let counts: Vec<i64> = (0..out.dims[0]).map(|bag| bags.counted(bag).count() as i64).collect();
    Sink::new(&sizes, &IN_ORDER).write(0, &counts);
    if out.count > 0 {
        match common_lane(weight.dtype, out.dtype) {
            LaneKind::F64 => bags_in::<f64>(ctx, &bags, &out, &places, &weight),
            _ => bags_in::<f32>(ctx, &bags, &out, &places, &weight),
        }
    }
    Ok(())
}

fn bags_in<L: Lane>(ctx: &Ctx<'_>, bags: &Bags, out: &Tensor, places: &Tensor, weight: &Tensor) {
    let width = out.dims[1];
    let [to, at, from] = [out, places, weight].map(|t| Rows::new(t, |d| d == 1));
    for_each(ctx, out.dims[0], bags.indices.len() * width, &|bag| {
        let mut line = vec![L::ZERO; width];
        let (mut sums, mut place) = (vec![0.0f64; width], vec![0i64; width]);
        let mut count = 0;
        for i in bags.counted(bag) {
            let index = bags.indices[i];
            // Checked above: an index that is counted names a row.
            from.source::<L>(index as usize).read(0, &mut line);
            let factor = bags.scale.as_ref().map_or(1.0, |s| s[i]);
            for ((sum, place), v) in sums.iter_mut().zip(&mut place).zip(&line) {
                let v = v.to_f64();
                if bags.mode != 2 {
                    *sum += v * factor;
                } else if count == 0 || v > *sum {
                    (*sum, *place) = (v, index);
                }
            }
            count += 1;
        }
        if bags.mode == 1 && count > 0 {
            sums.iter_mut().for_each(|s| *s /= f64::from(count));
        }
        line.iter_mut().zip(&sums).for_each(|(o, &s)| *o = L::from_f64(s));
        to.sink::<L>(bag).write(0, &line);
        at.sink::<i64>(bag).write(0, &place);
    });
}
