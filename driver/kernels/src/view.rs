//! Tensors made ready for a kernel: checked, resolved once, and walked in an order that all operands share.

use std::ops::Range;
use std::ptr::NonNull;

use vinci_hw::args::{ArgsError, ArgsView, DType, MAX_RANK, TensorArg};

use crate::{Access, Ctx, KernelFault};

/// Most elements that a kernel visits; a view with zero strides could claim any number.
const MOST_ELEMENTS: u64 = 1 << 40;

/// A resolved tensor. All elements that its dimensions and strides reach may be accessed.
#[derive(Clone, Copy)]
pub struct Tensor {
    /// Address of the element whose indices are all zero.
    pub base: NonNull<u8>,
    /// Element type.
    pub dtype: DType,
    /// Dimensions in use.
    pub rank: usize,
    /// Elements along each dimension.
    pub dims: [usize; MAX_RANK],
    /// Elements from one index to the next.
    pub strides: [isize; MAX_RANK],
    /// Number of elements.
    pub count: usize,
}

// SAFETY: a `Tensor` is an address; what is done with it from several threads is up to the unsafe blocks that
// access it, and device memory is shared by nature.
unsafe impl Send for Tensor {}
// SAFETY: as above.
unsafe impl Sync for Tensor {}

impl Tensor {
    /// Resolves tensor `index` of the arguments to be read.
    pub fn input(ctx: &Ctx<'_>, args: &ArgsView<'_>, index: usize) -> Result<Self, KernelFault> {
        Self::resolve(ctx, &args.tensor(index)?, index, Access::Read)
    }

    /// Resolves tensor `index` of the arguments to be written. Its elements must not share memory.
    pub fn output(ctx: &Ctx<'_>, args: &ArgsView<'_>, index: usize) -> Result<Self, KernelFault> {
        let t = args.tensor(index)?;
        let size = t.dtype().map_or(0, |d| d.size() as u64);
        let room = t.extent().map_or(u64::MAX, |(_, bytes)| bytes);
        let shared = t.dims().iter().zip(t.strides()).any(|(&d, &s)| d > 1 && s == 0);
        if shared || t.elements().is_some_and(|n| n.saturating_mul(size) > room) {
            return Err(KernelFault::Unsupported("an output whose elements share memory"));
        }
        Self::resolve(ctx, &t, index, Access::Write)
    }

    fn resolve(ctx: &Ctx<'_>, t: &TensorArg, index: usize, access: Access) -> Result<Self, KernelFault> {
        let bad = KernelFault::Args(ArgsError::BadTensor(index));
        let dtype = t.dtype().ok_or(bad.clone())?;
        let count = t.elements().ok_or(bad.clone())?;
        let (low, bytes) = t.extent().ok_or(bad)?;
        if count > MOST_ELEMENTS {
            return Err(KernelFault::Unsupported("a tensor of more than 2^40 elements"));
        }
        let base = match bytes {
            0 => NonNull::dangling(),
            // SAFETY: element 0 lies inside the extent that was just resolved.
            _ => unsafe { ctx.memory.resolve(low, bytes, access)?.add((t.va - low) as usize) },
        };
        let mut view =
            Self { base, dtype, rank: 0, dims: [1; MAX_RANK], strides: [0; MAX_RANK], count: count as usize };
        for (&d, &s) in t.dims().iter().zip(t.strides()) {
            view.dims[view.rank] = d as usize;
            view.strides[view.rank] = s as isize;
            view.rank += 1;
        }
        Ok(view)
    }

    /// The dimensions in use.
    pub fn dims(&self) -> &[usize] {
        &self.dims[..self.rank]
    }

    /// An error unless the dimensions are those of `out`.
    pub fn same_dims(self, out: &Self, index: usize) -> Result<Self, KernelFault> {
        if self.dims() == out.dims() { Ok(self) } else { Err(ArgsError::BadTensor(index).into()) }
    }

    /// Pointer to the element `offset` elements from element 0.
    ///
    /// # Safety
    /// `offset` must be one that indices below the dimensions reach.
    #[inline(always)]
    pub unsafe fn at(&self, offset: isize) -> *mut u8 {
        // SAFETY: inside the resolved extent, by the caller's promise.
        unsafe { self.base.as_ptr().offset(offset * self.dtype.size() as isize) }
    }

    /// The bytes that hold elements, as addresses.
    fn extent(&self) -> Range<usize> {
        let size = self.dtype.size() as isize;
        let (mut low, mut high) = (0, if self.count == 0 { 0 } else { size });
        for (&d, &s) in self.dims().iter().zip(&self.strides).filter(|_| self.count > 0) {
            let reach = (d as isize - 1) * s * size;
            *if reach < 0 { &mut low } else { &mut high } += reach;
        }
        let base = self.base.as_ptr() as usize;
        base.wrapping_add_signed(low)..base.wrapping_add_signed(high)
    }

    /// Whether a byte may belong to both.
    pub fn overlaps(&self, other: &Self) -> bool {
        let (a, b) = (self.extent(), other.extent());
        a.start < b.end && b.start < a.end
    }

    /// The same tensor seen from another of its elements; an empty one stays as it is.
    pub fn shifted(&self, offset: isize) -> Self {
        let by = offset.wrapping_mul(self.dtype.size() as isize);
        let base = NonNull::new(self.base.as_ptr().wrapping_offset(by)).unwrap_or(self.base);
        Self { base, ..*self }
    }

    /// The order of dimensions, outermost first, in which this tensor's elements lie most nearly in sequence.
    pub fn order(&self) -> [u8; MAX_RANK] {
        let mut order = [0, 1, 2, 3, 4, 5, 6, 7];
        // Insertion sort: stable, tiny, and the usual input is sorted already.
        for i in 1..self.rank {
            let mut j = i;
            while j > 0 && self.rate(order[j - 1]) < self.rate(order[j]) {
                order.swap(j - 1, j);
                j -= 1;
            }
        }
        order
    }

    fn rate(&self, dim: u8) -> usize {
        self.strides[usize::from(dim)].unsigned_abs()
    }

    /// The walk over all elements, dimensions in `order`.
    pub fn walk(&self, order: &[u8; MAX_RANK]) -> Walk {
        let mut walk = Walk::default();
        for &dim in &order[..self.rank] {
            walk.push(self.dims[usize::from(dim)], self.strides[usize::from(dim)]);
        }
        walk
    }
}

/// The way through a tensor's elements, with dimensions merged where they continue each other.
#[derive(Clone, Copy, Default)]
pub struct Walk {
    rank: usize,
    dims: [usize; MAX_RANK],
    strides: [isize; MAX_RANK],
}

impl Walk {
    /// Appends a dimension inside the ones that are there.
    pub fn push(&mut self, dim: usize, stride: isize) {
        if dim == 1 {
            return;
        }
        if self.rank > 0 && self.strides[self.rank - 1] == stride.wrapping_mul(dim as isize) {
            // Only an empty tensor, which nobody walks, can have so many.
            self.dims[self.rank - 1] = self.dims[self.rank - 1].wrapping_mul(dim);
            self.strides[self.rank - 1] = stride;
            return;
        }
        self.dims[self.rank] = dim;
        self.strides[self.rank] = stride;
        self.rank += 1;
    }

    /// The one stride that leads through all elements, if there is one.
    pub fn single_stride(&self) -> Option<isize> {
        match self.rank {
            0 => Some(1),
            1 => Some(self.strides[0]),
            _ => None,
        }
    }

    /// Offset of element number `index`.
    pub fn offset(&self, mut index: usize) -> isize {
        let mut offset = 0;
        for d in (0..self.rank).rev() {
            offset += (index % self.dims[d]) as isize * self.strides[d];
            index /= self.dims[d];
        }
        offset
    }

    /// Calls `segment(position, offset, stride, length)` for each run of equally spaced elements among the
    /// `length` elements that start at number `start`; positions count from `start`.
    #[inline]
    pub fn segments(&self, start: usize, length: usize, mut segment: impl FnMut(usize, isize, isize, usize)) {
        if let Some(stride) = self.single_stride() {
            return segment(0, start as isize * stride, stride, length);
        }
        if length == 0 {
            return;
        }
        let mut index = [0; MAX_RANK];
        let mut rest = start;
        let mut offset = 0;
        for d in (0..self.rank).rev() {
            index[d] = rest % self.dims[d];
            rest /= self.dims[d];
            offset += index[d] as isize * self.strides[d];
        }
        let last = self.rank - 1;
        let (inner, stride) = (self.dims[last], self.strides[last]);
        let mut done = 0;
        while done < length {
            let run = (inner - index[last]).min(length - done);
            segment(done, offset, stride, run);
            done += run;
            index[last] += run;
            offset += run as isize * stride;
            let mut d = last;
            while index[d] == self.dims[d] && d > 0 {
                offset -= self.dims[d] as isize * self.strides[d];
                index[d] = 0;
                d -= 1;
                index[d] += 1;
                offset += self.strides[d];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(dims: &[(usize, isize)]) -> Walk {
        let mut w = Walk::default();
        dims.iter().for_each(|&(d, s)| w.push(d, s));
        w
    }

    #[test]
    fn dimensions_merge_where_they_continue() {
        assert_eq!(walk(&[(4, 6), (1, 99), (2, 3), (3, 1)]).single_stride(), Some(1));
        assert_eq!(walk(&[(4, 0), (3, 0)]).single_stride(), Some(0));
        assert_eq!(walk(&[(4, -3), (3, -1)]).single_stride(), Some(-1));
        assert_eq!(walk(&[(4, 1), (3, 4)]).single_stride(), None);
    }

    #[test]
    fn segments_visit_what_offset_says() {
        let w = walk(&[(3, 7), (2, -40), (4, 3), (5, 0)]);
        for start in 0..120 {
            for length in 0..=(120 - start) {
                let mut seen = vec![];
                w.segments(start, length, |p, o, s, n| {
                    assert_eq!(p, seen.len());
                    seen.extend((0..n as isize).map(|i| o + i * s));
                });
                assert!(seen.iter().copied().eq((start..start + length).map(|i| w.offset(i))));
            }
        }
    }
}
