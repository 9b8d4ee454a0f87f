//! Mixtures of experts: which row goes where, and rows that are handed out and brought together again.

use vinci_hw::args::{ArgsError, ArgsView};

use crate::rows::Rows;
use crate::simd::{Task, vectorize};
use crate::tile::{Sink, Source, for_each};
use crate::view::Tensor;
use crate::{Ctx, KernelFault};

/// More would be a broadcast tensor that claims any number.
const MOST_INDICES: usize = 1 << 28;
const ROW_MAJOR: [u8; 8] = [0, 1, 2, 3, 4, 5, 6, 7];

/// All integers of a tensor, in row-major order.
fn integers(t: &Tensor) -> Result<Vec<i64>, KernelFault> {
    if t.dtype.is_float() {
        return Err(KernelFault::Unsupported("indices that are floats"));
    }
    if t.count > MOST_INDICES {
        return Err(KernelFault::Unsupported("more than 2^28 indices"));
    }
    let mut values = vec![0; t.count];
    Source::<i64>::new(t, &ROW_MAJOR).read(0, &mut values);
    Ok(values)
}

fn write(t: &Tensor, values: &[i64]) {
    Sink::<i64>::new(t, &ROW_MAJOR).write(0, values);
}

/// Tensors position `[M]`, source `[P]`, sorted `[M]`, counts `[E]`, experts `[M]`; attributes the first expert that takes
/// part, rows that an expert takes (0 for all), whether only the E experts from the first on take part.
///
/// Row m is placed at position\[m\]: among all that take part, in order of their experts; or, where an expert takes
/// some rows only, among those of its expert, whose places begin at a multiple of that number. −1 if nowhere. source is
/// the way back, −1 where nothing is.
pub fn route(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let position = Tensor::output(ctx, args, 0)?;
    let source = Tensor::output(ctx, args, 1)?;
    let sorted = Tensor::output(ctx, args, 2)?;
    let counts = Tensor::output(ctx, args, 3)?;
    let experts = Tensor::input(ctx, args, 4)?;
    let (first, capacity, ranged) = (args.attr_i64(0)?, args.attr(1)? as usize, args.attr(2)? != 0);
    let (m, e) = (experts.count, counts.count);
    let places = if capacity == 0 { m } else { e.saturating_mul(capacity) };
    if position.count != m || sorted.count != m || source.count != places || (capacity > 0 && !ranged) {
        return Err(ArgsError::BadTensor(1).into());
    }
    let experts = integers(&experts)?;
    let number = |i: usize| usize::try_from(experts[i].checked_sub(first)?).ok().filter(|&x| x < e);
    let out = |i: usize| ranged && number(i).is_none();
    let mut order: Vec<usize> = (0..m).collect();
    order.sort_by_key(|&i| (out(i), experts[i]));
    let (mut at, mut from, mut found) = (vec![-1; m], vec![-1; places], vec![0; e]);
    for (rank, &i) in order.iter().enumerate().take_while(|&(_, &i)| !out(i)) {
        let mut nth = 0;
        if let Some(x) = number(i) {
            nth = found[x] as usize;
            found[x] += 1;
        }
        let place = match number(i) {
            _ if capacity == 0 => rank,
            Some(x) if nth < capacity => x * capacity + nth,
            _ => continue,
        };
        (at[i], from[place]) = (place as i64, i as i64);
    }
    write(&position, &at);
    write(&source, &from);
    write(&sorted, &order.iter().map(|&i| experts[i]).collect::<Vec<_>>());
    write(&counts, &found);
    Ok(())
}

/// Tensors token `[P]`, flat `[P]`, back `[P]`, map `[T, E]`; attribute rows that an expert takes (0 for those that the map
/// names). Place p, in order of the experts, is for token\[p\], whose element of the map has number flat\[p\]; back sorts
/// token. An expert that takes a number of rows takes those of its tokens first, then others.
pub fn map(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let token = Tensor::output(ctx, args, 0)?;
    let flat = Tensor::output(ctx, args, 1)?;
    let back = Tensor::output(ctx, args, 2)?;
    let map = Tensor::input(ctx, args, 3)?;
    let capacity = args.attr(0)? as usize;
    let [tokens, experts] = *map.dims() else { return Err(ArgsError::BadTensor(3).into()) };
    if flat.count != token.count || back.count != token.count || capacity > tokens {
        return Err(ArgsError::BadTensor(1).into());
    }
    let named = integers(&map)?;
    let mut places = Vec::with_capacity(token.count);
    for e in (0..experts).take_while(|_| tokens > 0) {
        let all = (0..tokens).map(|t| t * experts + e);
        let (yes, no): (Vec<_>, Vec<_>) = all.partition(|&i| named[i] != 0);
        match capacity {
            0 => places.extend(yes),
            n => places.extend(yes.into_iter().chain(no).take(n)),
        }
    }
    // A map may name more places than there are, of which the last are left out, or fewer: what comes behind those is
    // nobody's promise, but it is of this map.
    if places.len() < token.count {
        let all = (0..experts).flat_map(|e| (0..tokens).map(move |t| t * experts + e));
        places.extend(all.filter(|&i| named[i] == 0));
        if places.is_empty() {
            return Err(KernelFault::Exception { what: "a routing map without tokens", value: 0 });
        }
        let there = places.len();
        (there..token.count).for_each(|p| places.push(places[p - there]));
    }
    places.truncate(token.count);
    let mut order: Vec<usize> = (0..places.len()).collect();
    order.sort_by_key(|&p| places[p] / experts);
    let list =
        |value: &dyn Fn(usize) -> usize| (0..places.len()).map(|p| value(p) as i64).collect::<Vec<_>>();
    write(&token, &list(&|p| places[p] / experts));
    write(&flat, &list(&|p| places[p]));
    write(&back, &list(&|p| order[p]));
    Ok(())
}

/// sum += factor · row
struct Accumulate<'a> {
    sum: &'a mut [f32],
    row: &'a [f32],
    factor: f32,
}

impl Task for Accumulate<'_> {
    type Output = ();
    #[inline(always)]
    fn call(self) {
        self.sum.iter_mut().zip(self.row).for_each(|(s, &v)| *s += self.factor * v);
    }
}

/// Rows that indices `[T, K]` name; an index outside the range, or behind the last row, names none.
struct Named {
    index: Vec<i64>,
    k: usize,
    range: std::ops::Range<i64>,
    rows: usize,
}

impl Named {
    fn row(&self, t: usize, k: usize) -> Option<usize> {
        let i = self.index[t * self.k + k];
        let row = usize::try_from(i.checked_sub(self.range.start)?).ok()?;
        (self.range.contains(&i) && row < self.rows).then_some(row)
    }
}

/// Bits of the attribute that says which optional tensors there are.
const WEIGHT: u64 = 1;
const BIAS: u64 = 2;

/// A bias for each expert, and the experts `[T, K]`.
struct Bias {
    rows: Rows,
    experts: Vec<i64>,
}

impl Bias {
    fn new(
        ctx: &Ctx<'_>,
        args: &ArgsView<'_>,
        at: usize,
        shape: &Tensor,
        h: usize,
    ) -> Result<Self, KernelFault> {
        let bias = Tensor::input(ctx, args, at)?;
        let experts = integers(&Tensor::input(ctx, args, at + 1)?.same_dims(shape, at + 1)?)?;
        if bias.rank != 2 || bias.dims[1] != h {
            return Err(ArgsError::BadTensor(at).into());
        }
        if let Some(&value) = experts.iter().find(|e| !(0..bias.dims[0] as i64).contains(e)) {
            return Err(KernelFault::Exception { what: "an expert that there is not", value });
        }
        Ok(Self { rows: Rows::new(&bias, |d| d == 1), experts })
    }
}

/// Tensors out `[T, H]`, a `[R, H]`, index `[T, K]`, \[weight `[T, K]`\], \[bias `[E, H]`, experts `[T, K]`\], others `[T, H]`;
/// attributes which of them there are (1 weight, 2 bias), number of the others, first index and end of the indices
/// that name rows. out = the others + Σ over K of weight · (the row of a that index names + the bias of its expert),
/// summed in float32.
pub fn combine(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let out = Tensor::output(ctx, args, 0)?;
    let a = Tensor::input(ctx, args, 1)?;
    let index = Tensor::input(ctx, args, 2)?;
    let (there, others) = (args.attr(0)?, args.attr(1)? as usize);
    let range = args.attr_i64(2)?..args.attr_i64(3)?;
    if out.rank != 2
        || a.rank != 2
        || index.rank != 2
        || a.dims[1] != out.dims[1]
        || index.dims[0] != out.dims[0]
    {
        return Err(ArgsError::BadTensor(1).into());
    }
    let (k, h) = (index.dims[1], out.dims[1]);
    let mut at = 3;
    let mut weight = None;
    if there & WEIGHT != 0 {
        weight = Some(Rows::new(&Tensor::input(ctx, args, at)?.same_dims(&index, at)?, |d| d == 1));
        at += 1;
    }
    let mut bias = None;
    if there & BIAS != 0 {
        bias = Some(Bias::new(ctx, args, at, &index, h)?);
        at += 2;
    }
    if others > 2 {
        return Err(ArgsError::Missing(1).into());
    }
    let other = |i: usize| Ok(Rows::new(&Tensor::input(ctx, args, i)?.same_dims(&out, i)?, |d| d == 1));
    let others = (at..at + others).map(other).collect::<Result<Vec<_>, KernelFault>>()?;
    let named = Named { index: integers(&index)?, k, range, rows: a.dims[0] };
    let (from, to) = (Rows::new(&a, |d| d == 1), Rows::new(&out, |d| d == 1));
    if out.count == 0 {
        return Ok(());
    }
    for_each(ctx, out.dims[0], out.count.saturating_mul(k + 1), &|t| {
        let (mut sum, mut row, mut factors) = (vec![0f32; h], vec![0f32; h], vec![1f32; k]);
        let mut add = |rows: &Rows, n: usize, factor: f32| {
            rows.source::<f32>(n).read(0, &mut row);
            vectorize(Accumulate { sum: &mut sum, row: &row, factor });
        };
        others.iter().for_each(|rows| add(rows, t, 1.0));
        if let Some(weight) = &weight {
            weight.source::<f32>(t).read(0, &mut factors);
        }
        for (i, &factor) in factors.iter().enumerate() {
            if let Some(n) = named.row(t, i) {
                add(&from, n, factor);
            }
            if let Some(bias) = &bias {
                add(&bias.rows, bias.experts[t * k + i] as usize, factor);
            }
        }
        to.sink::<f32>(t).write(0, &sum);
    });
    Ok(())
}

/// Sum of the products of two rows.
struct Dot<'a>(&'a [f32], &'a [f32]);

impl Task for Dot<'_> {
    type Output = f32;
    #[inline(always)]
    fn call(self) -> f32 {
        const WIDTH: usize = 16;
        let mut sums = [0f32; WIDTH];
        let (a, b) = (self.0.chunks_exact(WIDTH), self.1.chunks_exact(WIDTH));
        let rest: f32 = a.remainder().iter().zip(b.remainder()).map(|(x, y)| x * y).sum();
        for (a, b) in a.zip(b) {
            (0..WIDTH).for_each(|i| sums[i] += a[i] * b[i]);
        }
        sums.iter().sum::<f32>() + rest
    }
}

/// Tensors rows `[R, H]` (only those that index names are written), then, if there is an a, its weight's gradient `[T, K]`;
/// g `[T, H]`, index `[T, K]`, \[weight `[T, K]`\], \[a `[R, H]`\], \[bias `[E, H]`, experts `[T, K]`\]; attributes which of them
/// there are (1 weight, 2 bias, 4 a), first index and end of the indices that name rows. The row that index names is
/// weight · g; the gradient is the product of g with that row of a and the bias: what [`combine`] does, backwards.
pub fn spread(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    const A: u64 = 4;
    let there = args.attr(0)?;
    let range = args.attr_i64(1)?..args.attr_i64(2)?;
    let rows = Tensor::output(ctx, args, 0)?;
    let mut at = 1;
    let mut next = || {
        at += 1;
        at - 1
    };
    let gradient = if there & A != 0 { Some(Tensor::output(ctx, args, next())?) } else { None };
    let (g, index) = (Tensor::input(ctx, args, next())?, Tensor::input(ctx, args, next())?);
    if rows.rank != 2
        || g.rank != 2
        || index.rank != 2
        || g.dims[1] != rows.dims[1]
        || index.dims[0] != g.dims[0]
    {
        return Err(ArgsError::BadTensor(1).into());
    }
    let (k, h) = (index.dims[1], g.dims[1]);
    let along = |t: &Tensor| Rows::new(t, |d| d == 1);
    let weight = if there & WEIGHT != 0 {
        let i = next();
        Some(along(&Tensor::input(ctx, args, i)?.same_dims(&index, i)?))
    } else {
        None
    };
    let gradient = match gradient {
        Some(t) => {
            let i = next();
            Some((along(&t.same_dims(&index, 1)?), along(&Tensor::input(ctx, args, i)?.same_dims(&rows, i)?)))
        }
        None => None,
    };
    let bias = if there & BIAS != 0 { Some(Bias::new(ctx, args, next(), &index, h)?) } else { None };
    let named = Named { index: integers(&index)?, k, range, rows: rows.dims[0] };
    let (from, to) = (along(&g), along(&rows));
    if index.count == 0 {
        return Ok(());
    }
    if h > MOST_INDICES {
        return Err(KernelFault::Unsupported("rows of more than 2^28 elements"));
    }
    for_each(ctx, g.dims[0], g.count.saturating_mul(k + 1), &|t| {
        let (mut g, mut row, mut factors) = (vec![0f32; h], vec![0f32; h], vec![1f32; k]);
        let mut slopes = vec![0f32; k];
        from.source::<f32>(t).read(0, &mut g);
        if let Some(weight) = &weight {
            weight.source::<f32>(t).read(0, &mut factors);
        }
        for i in 0..k {
            let place = named.row(t, i);
            if let (Some(place), Some((_, a))) = (place, &gradient) {
                a.source::<f32>(place).read(0, &mut row);
                slopes[i] += vectorize(Dot(&row, &g));
            }
            if let (Some(bias), Some(_)) = (&bias, &gradient) {
                bias.rows.source::<f32>(bias.experts[t * k + i] as usize).read(0, &mut row);
                slopes[i] += vectorize(Dot(&row, &g));
            }
            if let Some(place) = place {
                row.iter_mut().zip(&g).for_each(|(r, &g)| *r = g * factors[i]);
                to.sink::<f32>(place).write(0, &row);
            }
        }
        if let Some((gradient, _)) = &gradient {
            gradient.sink::<f32>(t).write(0, &slopes);
        }
    });
    Ok(())
}
