//! Element types: aclDataType's numbers, and how types combine.

pub use vinci_hw::args::DType;

/// From aclDataType's number; `None` for one that no operator here takes.
pub fn of(raw: i32) -> Option<DType> {
    let complex = [DType::C64, DType::C128].into_iter().find(|d| *d as i32 == raw);
    complex.or_else(|| DType::from_raw(u32::try_from(raw).ok()?))
}

/// Whether it is a type of complex numbers.
pub fn is_complex(d: DType) -> bool {
    d.part().is_some()
}

/// Rank of a type among those that combine: bool < integers < floats < complex numbers.
fn category(d: DType) -> u32 {
    match d {
        DType::Bool => 0,
        d if is_complex(d) => 3,
        d if d.is_float() => 2,
        _ => 1,
    }
}

/// The type in which values of two types are combined, as PyTorch has it.
pub fn promote(a: DType, b: DType) -> DType {
    use DType::*;
    if a == b {
        return a;
    }
    let (low, high) = if category(a) <= category(b) { (a, b) } else { (b, a) };
    if is_complex(high) {
        return if [a, b].iter().any(|d| matches!(d, F64 | C128)) { C128 } else { C64 };
    }
    if category(low) != category(high) {
        return high;
    }
    if high.is_float() {
        return match (low, high) {
            (F64, _) | (_, F64) => F64,
            _ => F32, // float16 with bfloat16 too
        };
    }
    let signed = |d| matches!(d, I8 | I16 | I32 | I64);
    if signed(low) == signed(high) {
        return if low.size() >= high.size() { low } else { high };
    }
    // An unsigned type fits only into a wider signed one.
    let (s, u) = if signed(low) { (low, high) } else { (high, low) };
    match (u.size(), s.size()) {
        (n, m) if m > n => s,
        (1, _) => I16,
        (2, _) => I32,
        _ => I64,
    }
}

/// The type in which a tensor is combined with a scalar: the scalar counts only if it is of a higher category.
pub fn promote_scalar(tensor: DType, scalar: DType) -> DType {
    match category(scalar) > category(tensor) {
        false => tensor,
        true if is_complex(scalar) => {
            if tensor == DType::F64 {
                DType::C128
            } else {
                DType::C64
            }
        }
        true if scalar.is_float() => DType::F32,
        true => scalar,
    }
}

/// `d`, or float32 where an operator (a division, an exponential) always gives a float or a complex number.
pub fn floating(d: DType) -> DType {
    if d.is_float() || is_complex(d) { d } else { DType::F32 }
}

#[cfg(test)]
mod tests {
    use super::DType::*;
    use super::*;

    #[test]
    fn types_combine_as_in_pytorch() {
        for (a, b, c) in [
            (F16, BF16, F32),
            (F16, F32, F32),
            (I64, F16, F16),
            (Bool, U8, U8),
            (U8, I8, I16),
            (U8, I32, I32),
            (I16, I64, I64),
            (F32, F64, F64),
            (F16, C64, C64),
            (I64, C64, C64),
            (F64, C64, C128),
            (C64, C128, C128),
        ] {
            assert_eq!((promote(a, b), promote(b, a)), (c, c), "{a:?} {b:?}");
        }
        assert_eq!(promote_scalar(F16, F64), F16);
        assert_eq!(promote_scalar(I32, F64), F32);
        assert_eq!(promote_scalar(Bool, I64), I64);
        assert_eq!([F16, F64, C64].map(|t| promote_scalar(t, C128)), [C64, C128, C64]);
        assert_eq!((of(16), of(17), of(12), of(33), of(-1)), (Some(C64), Some(C128), Some(Bool), None, None));
    }
}
