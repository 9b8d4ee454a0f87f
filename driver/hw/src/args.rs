//! How arguments reach a resident kernel: one flat block of memory.
//!
//! An [`ArgsHeader`], then `n_tensors` [`TensorArg`]s, then `n_attrs` 64-bit attributes. What the tensors and
//! attributes mean is each kernel's own (outputs come first). The block lies in memory that the user can
//! change at any time, so the device copies it once and then reads it through [`ArgsView`], which checks it.

use core::fmt;
use vinci_uapi::Payload;

/// Most dimensions of a tensor.
pub const MAX_RANK: usize = 8;
/// [`ArgsHeader::magic`].
pub const MAGIC: u32 = 0x5641_5247;

/// Element type; the numbers are those of AscendCL's aclDataType. No kernel gets a tensor of complex numbers: it gets
/// their real and their imaginary parts as two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum DType {
    /// IEEE binary32.
    F32 = 0,
    /// IEEE binary16.
    F16 = 1,
    /// 8-bit signed.
    I8 = 2,
    /// 32-bit signed.
    I32 = 3,
    /// 8-bit unsigned.
    U8 = 4,
    /// 16-bit signed.
    I16 = 6,
    /// 16-bit unsigned.
    U16 = 7,
    /// 32-bit unsigned.
    U32 = 8,
    /// 64-bit signed.
    I64 = 9,
    /// 64-bit unsigned.
    U64 = 10,
    /// IEEE binary64.
    F64 = 11,
    /// One byte, 0 or 1.
    Bool = 12,
    /// Two of binary32, the real and the imaginary part.
    C64 = 16,
    /// Two of binary64.
    C128 = 17,
    /// bfloat16.
    BF16 = 27,
}

impl DType {
    /// From the number; `None` for one that no resident kernel takes.
    pub const fn from_raw(v: u32) -> Option<Self> {
        Some(match v {
            0 => Self::F32,
            1 => Self::F16,
            2 => Self::I8,
            3 => Self::I32,
            4 => Self::U8,
            6 => Self::I16,
            7 => Self::U16,
            8 => Self::U32,
            9 => Self::I64,
            10 => Self::U64,
            11 => Self::F64,
            12 => Self::Bool,
            27 => Self::BF16,
            _ => return None,
        })
    }

    /// Bytes of an element.
    pub const fn size(self) -> usize {
        match self {
            Self::I8 | Self::U8 | Self::Bool => 1,
            Self::F16 | Self::BF16 | Self::I16 | Self::U16 => 2,
            Self::F32 | Self::I32 | Self::U32 => 4,
            Self::I64 | Self::U64 | Self::F64 | Self::C64 => 8,
            Self::C128 => 16,
        }
    }

    /// The type of the parts of a complex number; `None` of what is none.
    pub const fn part(self) -> Option<Self> {
        match self {
            Self::C64 => Some(Self::F32),
            Self::C128 => Some(Self::F64),
            _ => None,
        }
    }

    /// Whether it is a floating-point type, which no complex one is.
    pub const fn is_float(self) -> bool {
        matches!(self, Self::F32 | Self::F16 | Self::BF16 | Self::F64)
    }
}

/// What stands first in the block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct ArgsHeader {
    /// [`MAGIC`].
    pub magic: u32,
    /// Tensors that follow.
    pub n_tensors: u16,
    /// Attributes behind the tensors.
    pub n_attrs: u16,
    /// Bytes of the whole block.
    pub bytes: u32,
    /// Zero.
    pub reserved: u32,
}

impl ArgsHeader {
    /// Of a block of so many tensors and attributes.
    pub const fn new(n_tensors: u16, n_attrs: u16) -> Self {
        let body = n_tensors as usize * size_of::<TensorArg>() + n_attrs as usize * 8;
        Self { magic: MAGIC, n_tensors, n_attrs, bytes: (size_of::<Self>() + body) as u32, reserved: 0 }
    }
}

/// A strided view of device memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct TensorArg {
    /// Device address of the element whose indices are all zero.
    pub va: u64,
    /// A [`DType`].
    pub dtype: u32,
    /// Dimensions used, at most [`MAX_RANK`]; 0 is a scalar.
    pub rank: u32,
    /// Elements along each dimension.
    pub dims: [i64; MAX_RANK],
    /// Elements (not bytes) from one index to the next; may be zero or negative.
    pub strides: [i64; MAX_RANK],
}

// SAFETY: repr(C) integers, no padding (asserted below).
unsafe impl Payload for ArgsHeader {}
// SAFETY: repr(C) integers, no padding (asserted below).
unsafe impl Payload for TensorArg {}
const _: () = assert!(size_of::<ArgsHeader>() == 16 && size_of::<TensorArg>() == 144);

/// Why a block cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArgsError {
    /// Shorter than its header or than the header says, or of the wrong magic.
    Malformed,
    /// Tensor `0` has a type that no kernel takes, too many dimensions, or a negative one.
    BadTensor(usize),
    /// The kernel wants an argument that is not there.
    Missing(usize),
    /// An [`ArgsBuilder`] is full.
    Full,
}

impl fmt::Display for ArgsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => write!(f, "the argument block is malformed"),
            Self::BadTensor(i) => write!(f, "tensor argument {i} has a type or shape that cannot be"),
            Self::Missing(i) => write!(f, "argument {i} is missing"),
            Self::Full => write!(f, "too many arguments for one block"),
        }
    }
}

impl core::error::Error for ArgsError {}

impl TensorArg {
    /// A tensor from its parts; `None` beyond [`MAX_RANK`] or if the lengths differ.
    pub fn new(va: u64, dtype: DType, dims: &[i64], strides: &[i64]) -> Option<Self> {
        if dims.len() > MAX_RANK || dims.len() != strides.len() {
            return None;
        }
        let mut t = Self {
            va,
            dtype: dtype as u32,
            rank: dims.len() as u32,
            dims: [0; MAX_RANK],
            strides: [0; MAX_RANK],
        };
        t.dims[..dims.len()].copy_from_slice(dims);
        t.strides[..strides.len()].copy_from_slice(strides);
        Some(t)
    }

    /// Element type, if it is one.
    pub fn dtype(&self) -> Option<DType> {
        DType::from_raw(self.dtype)
    }

    /// The dimensions in use.
    pub fn dims(&self) -> &[i64] {
        &self.dims[..(self.rank as usize).min(MAX_RANK)]
    }

    /// The strides in use, in elements.
    pub fn strides(&self) -> &[i64] {
        &self.strides[..(self.rank as usize).min(MAX_RANK)]
    }

    /// Number of elements, `None` if it overflows.
    pub fn elements(&self) -> Option<u64> {
        self.dims().iter().try_fold(1u64, |n, &d| n.checked_mul(u64::try_from(d).ok()?))
    }

    /// The bytes the view touches, as `(lowest address, length)`; length 0 for an empty tensor, `None` if the
    /// view leaves the 64-bit address space.
    pub fn extent(&self) -> Option<(u64, u64)> {
        if self.elements()? == 0 {
            return Some((self.va, 0));
        }
        let size = self.dtype()?.size() as i128;
        let (mut low, mut high) = (0i128, 1i128);
        for (&d, &s) in self.dims().iter().zip(self.strides()) {
            let reach = i128::from(d - 1) * i128::from(s);
            let end = if reach < 0 { &mut low } else { &mut high };
            *end = end.checked_add(reach)?;
        }
        let start = i128::from(self.va).checked_add(low.checked_mul(size)?)?;
        let end = i128::from(self.va).checked_add(high.checked_mul(size)?)?;
        let length = u64::try_from(end.checked_sub(start)?).ok()?;
        Some((u64::try_from(start).ok()?, length)).filter(|_| end <= i128::from(u64::MAX))
    }

    fn is_sound(&self) -> bool {
        self.dtype().is_some() && self.rank as usize <= MAX_RANK && self.dims().iter().all(|&d| d >= 0)
    }
}

/// Checked reader of a block that has been copied out of the user's reach.
#[derive(Clone, Copy)]
pub struct ArgsView<'a> {
    tensors: &'a [u8],
    attrs: &'a [u8],
}

impl<'a> ArgsView<'a> {
    /// Checks header, sizes, types and shapes. An empty slice is a block without arguments.
    pub fn new(block: &'a [u8]) -> Result<Self, ArgsError> {
        if block.is_empty() {
            return Ok(Self { tensors: &[], attrs: &[] });
        }
        let header = ArgsHeader::from_bytes(block).ok_or(ArgsError::Malformed)?;
        let tensor_bytes = usize::from(header.n_tensors) * size_of::<TensorArg>();
        let end = size_of::<ArgsHeader>() + tensor_bytes + usize::from(header.n_attrs) * 8;
        if header.magic != MAGIC || header.bytes as usize != end || header.reserved != 0 {
            return Err(ArgsError::Malformed);
        }
        let body = block.get(size_of::<ArgsHeader>()..end).ok_or(ArgsError::Malformed)?;
        let (tensors, attrs) = body.split_at(tensor_bytes);
        let view = Self { tensors, attrs };
        match (0..view.tensor_count()).find(|&i| !view.raw_tensor(i).is_some_and(|t| t.is_sound())) {
            Some(i) => Err(ArgsError::BadTensor(i)),
            None => Ok(view),
        }
    }

    fn raw_tensor(&self, i: usize) -> Option<TensorArg> {
        TensorArg::from_bytes(self.tensors.get(i.checked_mul(size_of::<TensorArg>())?..)?)
    }

    /// Number of tensors.
    pub fn tensor_count(&self) -> usize {
        self.tensors.len() / size_of::<TensorArg>()
    }

    /// Number of attributes.
    pub fn attr_count(&self) -> usize {
        self.attrs.len() / 8
    }

    /// Tensor `i`.
    pub fn tensor(&self, i: usize) -> Result<TensorArg, ArgsError> {
        self.raw_tensor(i).ok_or(ArgsError::Missing(i))
    }

    /// Attribute `i` as bits.
    pub fn attr(&self, i: usize) -> Result<u64, ArgsError> {
        let at = i.checked_mul(8).ok_or(ArgsError::Missing(i))?;
        let bytes = self.attrs.get(at..at.saturating_add(8)).ok_or(ArgsError::Missing(i))?;
        Ok(u64::from_ne_bytes(bytes.try_into().map_err(|_| ArgsError::Missing(i))?))
    }

    /// Attribute `i` as a signed integer.
    pub fn attr_i64(&self, i: usize) -> Result<i64, ArgsError> {
        self.attr(i).map(|v| v as i64)
    }

    /// Attribute `i` as a float.
    pub fn attr_f64(&self, i: usize) -> Result<f64, ArgsError> {
        self.attr(i).map(f64::from_bits)
    }

    /// Attribute `i` as an element type.
    pub fn attr_dtype(&self, i: usize) -> Result<DType, ArgsError> {
        u32::try_from(self.attr(i)?).ok().and_then(DType::from_raw).ok_or(ArgsError::Missing(i))
    }
}

/// Writes a block into a fixed buffer of `WORDS` 64-bit words; all tensors before the first attribute.
pub struct ArgsBuilder<const WORDS: usize = 256> {
    words: [u64; WORDS],
    used: usize,
    tensors: u16,
    attrs: u16,
}

impl<const WORDS: usize> Default for ArgsBuilder<WORDS> {
    fn default() -> Self {
        Self { words: [0; WORDS], used: size_of::<ArgsHeader>() / 8, tensors: 0, attrs: 0 }
    }
}

impl<const WORDS: usize> ArgsBuilder<WORDS> {
    /// An empty block.
    pub fn new() -> Self {
        Self::default()
    }

    fn push(&mut self, value: u64) -> Result<(), ArgsError> {
        *self.words.get_mut(self.used).ok_or(ArgsError::Full)? = value;
        self.used += 1;
        Ok(())
    }

    /// Appends a tensor.
    pub fn tensor(&mut self, tensor: &TensorArg) -> Result<&mut Self, ArgsError> {
        let room = (self.words.len() - self.used) * 8;
        if self.attrs != 0 || room < size_of::<TensorArg>() || self.tensors == u16::MAX {
            return Err(ArgsError::Full);
        }
        words(tensor.bytes()).try_for_each(|word| self.push(word))?;
        self.tensors += 1;
        Ok(self)
    }

    /// Appends an attribute as bits.
    pub fn attr(&mut self, bits: u64) -> Result<&mut Self, ArgsError> {
        self.push(bits)?;
        self.attrs = self.attrs.checked_add(1).ok_or(ArgsError::Full)?;
        Ok(self)
    }

    /// Appends a signed integer.
    pub fn attr_i64(&mut self, value: i64) -> Result<&mut Self, ArgsError> {
        self.attr(value as u64)
    }

    /// Appends a float.
    pub fn attr_f64(&mut self, value: f64) -> Result<&mut Self, ArgsError> {
        self.attr(value.to_bits())
    }

    /// Appends an element type.
    pub fn attr_dtype(&mut self, value: DType) -> Result<&mut Self, ArgsError> {
        self.attr(u64::from(value as u32))
    }

    /// The finished block.
    pub fn finish(&mut self) -> &[u8] {
        let bytes = self.used * 8;
        let header = ArgsHeader::new(self.tensors, self.attrs);
        self.words.iter_mut().zip(words(header.bytes())).for_each(|(to, word)| *to = word);
        // SAFETY: the words are initialised integers; a byte view of the first `used` of them is in bounds.
        unsafe { core::slice::from_raw_parts(self.words.as_ptr().cast(), bytes) }
    }
}

/// The words of a structure that is made of such.
pub fn words(bytes: &[u8]) -> impl Iterator<Item = u64> + '_ {
    bytes.chunks_exact(8).map(|chunk| u64::from_ne_bytes(chunk.try_into().expect("8 bytes")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_built_is_read() {
        let t = TensorArg::new(0x1000, DType::BF16, &[2, 3], &[3, 1]).unwrap();
        let mut b = ArgsBuilder::<64>::new();
        b.tensor(&t).unwrap().attr_f64(0.5).unwrap().attr_i64(-3).unwrap().attr_dtype(DType::I64).unwrap();
        let v = ArgsView::new(b.finish()).unwrap();
        assert_eq!((v.tensor_count(), v.attr_count()), (1, 3));
        assert_eq!(v.tensor(0).unwrap(), t);
        assert_eq!(v.attr_f64(0).unwrap(), 0.5);
        assert_eq!(v.attr_i64(1).unwrap(), -3);
        assert_eq!(v.attr_dtype(2).unwrap(), DType::I64);
        assert_eq!(v.attr(3), Err(ArgsError::Missing(3)));
        assert_eq!(v.tensor(1), Err(ArgsError::Missing(1)));
    }

    #[test]
    fn every_truncation_and_flip_is_refused_or_read_safely() {
        let mut b = ArgsBuilder::<64>::new();
        b.tensor(&TensorArg::new(8, DType::F32, &[4], &[1]).unwrap()).unwrap().attr(1).unwrap();
        let mut block = [0u8; 64 * 8];
        let len = b.finish().len();
        block[..len].copy_from_slice(b.finish());
        assert!((1..len).all(|n| ArgsView::new(&block[..n]).is_err()));
        for i in 0..len {
            for bit in 0..8 {
                block[i] ^= 1 << bit;
                if let Ok(v) = ArgsView::new(&block[..len]) {
                    let _ = (v.tensor(0).unwrap().extent(), v.attr(0));
                }
                block[i] ^= 1 << bit;
            }
        }
    }

    #[test]
    fn extent_covers_negative_and_zero_strides() {
        let t = |d: &[i64], s: &[i64]| TensorArg::new(0x1000, DType::F32, d, s).unwrap().extent();
        assert_eq!(t(&[], &[]), Some((0x1000, 4)));
        assert_eq!(t(&[3, 2], &[2, 1]), Some((0x1000, 24)));
        assert_eq!(t(&[3], &[-1]), Some((0x1000 - 8, 12)));
        assert_eq!(t(&[1000], &[0]), Some((0x1000, 4)));
        assert_eq!(t(&[0, 5], &[5, 1]), Some((0x1000, 0)));
        assert_eq!(t(&[2], &[i64::MIN]), None);
        assert_eq!(t(&[i64::MAX, i64::MAX], &[1, 1]), None);
        // No overflow on the way, either.
        for s in [i64::MIN, i64::MAX] {
            assert_eq!(TensorArg::new(8, DType::F64, &[1 << 62], &[s]).unwrap().extent(), None);
            let sum = TensorArg::new(8, DType::F64, &[1 << 31, 1 << 31], &[s, s]).unwrap();
            assert_eq!(sum.extent(), None);
        }
    }

    #[test]
    fn a_full_builder_says_so() {
        let mut b = ArgsBuilder::<4>::new();
        assert!(b.tensor(&TensorArg::new(0, DType::F32, &[], &[]).unwrap()).is_err());
        assert!(b.attr(1).is_ok() && b.attr(2).is_ok() && b.attr(3).is_err());
    }
}
