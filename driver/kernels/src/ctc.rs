//! Connectionist temporal classification: how likely a text is under labels for each step, blanks between them.

use vinci_hw::args::{ArgsError, ArgsView, DType};

use crate::rows::Rows;
use crate::tile::{Source, for_each};
use crate::view::Tensor;
use crate::{Ctx, KernelFault};

const IN_ORDER: [u8; 8] = [0, 1, 2, 3, 4, 5, 6, 7];
const NEVER: f64 = f64::NEG_INFINITY;

/// log(e^a + e^b + …).
fn log_sum(terms: &[f64]) -> f64 {
    let most = terms.iter().copied().fold(NEVER, f64::max);
    if most == NEVER { NEVER } else { most + terms.iter().map(|t| (t - most).exp()).sum::<f64>().ln() }
}

/// One sequence: the logarithms of its labels' probabilities `[T, C]`, and its text.
struct Sequence {
    probabilities: Vec<f64>,
    classes: usize,
    text: Vec<i64>,
    blank: usize,
    steps: usize,
}

impl Sequence {
    /// Places of the text with blanks around its labels.
    fn states(&self) -> usize {
        2 * self.text.len() + 1
    }

    fn label(&self, state: usize) -> usize {
        if state.is_multiple_of(2) { self.blank } else { self.text[state / 2] as usize }
    }

    fn probability(&self, step: usize, label: usize) -> f64 {
        self.probabilities[step * self.classes + label]
    }

    /// Whether the blank between two labels may be left out.
    fn skips(&self, state: usize) -> bool {
        state >= 2 && state % 2 == 1 && self.label(state) != self.label(state - 2)
    }

    /// How likely each place is after each step, from the front.
    fn forward(&self) -> Vec<f64> {
        let n = self.states();
        let mut alpha = vec![NEVER; self.steps * n];
        for step in 0..self.steps {
            for state in 0..n {
                let before = |back: usize| alpha[(step - 1) * n + state - back];
                let come = match step {
                    0 if state < 2 => 0.0,
                    0 => NEVER,
                    _ => {
                        let second = if state >= 1 { before(1) } else { NEVER };
                        log_sum(&[before(0), second, if self.skips(state) { before(2) } else { NEVER }])
                    }
                };
                alpha[step * n + state] = come + self.probability(step, self.label(state));
            }
        }
        alpha
    }

    /// The loss, of what [`Self::forward`] gave.
    fn loss(&self, alpha: &[f64]) -> f64 {
        let n = self.states();
        match self.steps {
            0 if self.text.is_empty() => 0.0,
            0 => f64::INFINITY,
            t => -log_sum(&alpha[t * n - n.min(2)..t * n]),
        }
    }

    /// The loss's derivative by what the logarithms are the log-softmax of, written over them.
    fn gradient(&mut self, alpha: &[f64], loss: f64) {
        let n = self.states();
        let mut beta = vec![NEVER; n];
        for step in (0..self.steps).rev() {
            let last = step + 1 == self.steps;
            let behind = beta.clone();
            for (state, to) in beta.iter_mut().enumerate() {
                let go = |on: usize| behind.get(state + on).copied().unwrap_or(NEVER);
                let come = match last {
                    true if state + 2 >= n => 0.0,
                    true => NEVER,
                    false => {
                        let skips = state + 2 < n && self.skips(state + 2);
                        log_sum(&[go(0), go(1), if skips { go(2) } else { NEVER }])
                    }
                };
                *to = come + self.probability(step, self.label(state));
            }
            let mut both = vec![NEVER; self.classes];
            for state in 0..n {
                let label = self.label(state);
                both[label] = log_sum(&[both[label], alpha[step * n + state] + beta[state]]);
            }
            for (p, both) in self.probabilities[step * self.classes..][..self.classes].iter_mut().zip(both) {
                *p = p.exp() - (both + loss - *p).exp();
            }
        }
    }
}

/// The sequences of log_probs `[T, N, C]`, targets (`[N, S]`, or all texts one behind the other), and the lengths of
/// sequences and texts.
struct Sequences {
    rows: Rows,
    dims: [usize; 3],
    targets: Vec<i64>,
    /// First label of each text.
    starts: Vec<usize>,
    lengths: Vec<i64>,
    texts: Vec<i64>,
    blank: usize,
}

impl Sequences {
    fn new(ctx: &Ctx<'_>, args: &ArgsView<'_>, first: usize) -> Result<Self, KernelFault> {
        let tensor = |i: usize| Tensor::input(ctx, args, first + i);
        let (log_probs, targets) = (tensor(0)?, tensor(1)?);
        let integers = |t: &Tensor| {
            let mut all = vec![0i64; t.count];
            Source::new(t, &IN_ORDER).read(0, &mut all);
            all
        };
        let (lengths, texts) = (integers(&tensor(2)?), integers(&tensor(3)?));
        let blank = args.attr(0)? as usize;
        let [t, n, c] = [log_probs.dims[0], log_probs.dims[1], log_probs.dims[2]];
        let fits = log_probs.rank == 3 && lengths.len() == n && texts.len() == n && targets.rank <= 2;
        if !fits || targets.dtype.is_float() || blank >= c || targets.rank == 2 && targets.dims[0] != n {
            return Err(ArgsError::BadTensor(first).into());
        }
        let bad = |value: i64| KernelFault::Exception { what: "the length of a sequence or a text", value };
        if let Some(&value) = lengths.iter().find(|&&l| !(0..=t as i64).contains(&l)) {
            return Err(bad(value));
        }
        let mut starts = Vec::with_capacity(n);
        let mut end = 0;
        for (i, &length) in texts.iter().enumerate() {
            let start = if targets.rank == 2 { i * targets.dims[1] } else { end };
            let room = if targets.rank == 2 { targets.dims[1] } else { targets.count - end };
            end =
                usize::try_from(length).ok().filter(|&l| l <= room).map(|l| start + l).ok_or(bad(length))?;
            starts.push(start);
        }
        let targets = integers(&targets);
        for (start, &length) in starts.iter().zip(&texts) {
            if let Some(&value) =
                targets[*start..][..length as usize].iter().find(|&&l| !(0..c as i64).contains(&l))
            {
                return Err(KernelFault::Exception { what: "a label out of range", value });
            }
        }
        let rows = Rows::new(&log_probs, |d| d != 1);
        Ok(Self { rows, dims: [t, n, c], targets, starts, lengths, texts, blank })
    }

    fn sequence(&self, i: usize) -> Sequence {
        let mut probabilities = vec![0.0; self.dims[0] * self.dims[2]];
        self.rows.source::<f64>(i).read(0, &mut probabilities);
        Sequence {
            probabilities,
            classes: self.dims[2],
            text: self.targets[self.starts[i]..][..self.texts[i] as usize].to_vec(),
            blank: self.blank,
            steps: self.lengths[i] as usize,
        }
    }

    fn work(&self) -> usize {
        self.targets.len().max(1) * self.dims[0] * 16
    }
}

/// Tensors loss `[N]`, alpha `[N, T, S]` (S ≥ 2 labels of the longest text + 1); log_probs, targets, the lengths of
/// sequences, of texts; attributes blank, whether an infinite loss is 0.
pub fn forward(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let loss = Tensor::output(ctx, args, 0)?;
    let alpha = Tensor::output(ctx, args, 1)?;
    let all = Sequences::new(ctx, args, 2)?;
    let zero = args.attr(1)? != 0;
    let longest = all.texts.iter().copied().max().unwrap_or(0) as usize;
    let fits =
        alpha.rank == 3 && alpha.dims[..2] == [all.dims[1], all.dims[0]] && alpha.dims[2] > 2 * longest;
    if !fits || loss.dims() != [all.dims[1]] || loss.dtype == DType::Bool {
        return Err(ArgsError::BadTensor(1).into());
    }
    let (to, one) = (Rows::new(&alpha, |d| d > 0), Rows::new(&loss, |_| false));
    for_each(ctx, all.dims[1], all.work(), &|i| {
        let sequence = all.sequence(i);
        let (found, n) = (sequence.forward(), sequence.states());
        let mut wide = vec![NEVER; all.dims[0] * alpha.dims[2]];
        found.chunks(n).zip(wide.chunks_mut(alpha.dims[2])).for_each(|(f, w)| w[..n].copy_from_slice(f));
        to.sink::<f64>(i).write(0, &wide);
        let loss = sequence.loss(&found);
        one.sink::<f64>(i).write(0, &[if zero && loss == f64::INFINITY { 0.0 } else { loss }]);
    });
    Ok(())
}

/// Tensors grad_in `[T, N, C]`; log_probs, targets, the lengths of sequences, of texts, grad_out `[N]`; attributes as
/// [`forward`].
pub fn backward(ctx: &Ctx<'_>, args: &ArgsView<'_>) -> Result<(), KernelFault> {
    let out = Tensor::output(ctx, args, 0)?;
    let all = Sequences::new(ctx, args, 1)?;
    let given = Tensor::input(ctx, args, 5)?;
    let zero = args.attr(1)? != 0;
    if out.dims() != all.dims || given.dims() != [all.dims[1]] {
        return Err(ArgsError::BadTensor(0).into());
    }
    let mut factors = vec![0.0f64; all.dims[1]];
    Source::new(&given, &IN_ORDER).read(0, &mut factors);
    let to = Rows::new(&out, |d| d != 1);
    for_each(ctx, all.dims[1], all.work(), &|i| {
        let mut sequence = all.sequence(i);
        let alpha = sequence.forward();
        let loss = sequence.loss(&alpha);
        let mut slopes = vec![0.0; all.dims[0] * all.dims[2]];
        if !(zero && loss == f64::INFINITY) {
            sequence.gradient(&alpha, loss);
            let used = sequence.steps * sequence.classes;
            slopes[..used].iter_mut().zip(&sequence.probabilities).for_each(|(s, p)| *s = p * factors[i]);
        }
        to.sink::<f64>(i).write(0, &slopes);
    });
    Ok(())
}
