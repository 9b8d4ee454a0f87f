//! Rows of matrix products: aclnnMatmul against OpenBLAS in float32 of the same size, float16 against our own float32.

use std::time::Instant;

use anyhow::Result;
use half::{bf16, f16};

use super::acl::{Acl, Direction, Handle};
use super::blas::{Blas, MISSING};
use super::{Effort, Samples, turns};

/// aclDataType of a row.
#[derive(Clone, Copy)]
pub enum Type {
    /// float32
    F32 = 0,
    /// float16
    F16 = 1,
    /// bfloat16
    Bf16 = 27,
}

/// Square matrices on the device: two factors and a place for their product.
pub struct Operands {
    tensors: [Handle; 3],
    /// Where they are.
    pub memory: [Handle; 3],
}

impl Operands {
    /// Factors of that type.
    pub fn new(acl: &Acl, dtype: Type, n: usize, factors: [&[f32]; 2]) -> Result<Self> {
        let encode = |v: &[f32]| -> Vec<u8> {
            match dtype {
                Type::F32 => v.iter().flat_map(|x| x.to_ne_bytes()).collect(),
                Type::F16 => v.iter().flat_map(|x| f16::from_f32(*x).to_ne_bytes()).collect(),
                Type::Bf16 => v.iter().flat_map(|x| bf16::from_f32(*x).to_ne_bytes()).collect(),
            }
        };
        let zeros = vec![0f32; n * n];
        let mut memory = [std::ptr::null_mut(); 3];
        for (place, host) in memory.iter_mut().zip([factors[0], factors[1], &zeros]) {
            let mut bytes = encode(host);
            *place = acl.malloc(bytes.len())?;
            acl.copy(*place, &mut bytes, Direction::ToDevice)?;
        }
        Ok(Self { tensors: memory.map(|at| acl.square(dtype as i32, n as i64, at)), memory })
    }

    /// aclnnMatmul.
    pub fn product(&self, acl: &Acl) -> Result<()> {
        acl.matmul(self.tensors[0], self.tensors[1], self.tensors[2])
    }

    /// Gives the memory back.
    pub fn free(self, acl: &Acl) -> Result<()> {
        self.memory.into_iter().try_for_each(|at| acl.free(at))
    }
}

/// Two matrices of numbers within ±1/2.
pub fn factors(n: usize) -> [Vec<f32>; 2] {
    let value = |i: usize| ((i * 7919) % 1009) as f32 / 1009.0 - 0.5;
    [0, 17].map(|from| (0..n * n).map(|i| value(i + from)).collect())
}

/// GFLOP/s of products of `n`³, as many as a turn takes.
pub fn rate(effort: Effort, n: usize, mut product: impl FnMut() -> Result<()>) -> Result<f64> {
    let (start, mut products) = (Instant::now(), 0u32);
    while products == 0 || start.elapsed() < effort.turn {
        product()?;
        products += 1;
    }
    Ok(2.0 * (n as f64).powi(3) * f64::from(products) / start.elapsed().as_secs_f64() / 1e9)
}

/// GFLOP/s of `n`³ against OpenBLAS.
pub fn measure(effort: Effort, n: usize, dtype: Type) -> Result<(Samples, String)> {
    let acl = Acl::open()?;
    let blas = Blas::open().ok();
    let [a, b] = factors(n);
    let mut c = vec![0f32; n * n];
    let operands = Operands::new(&acl, dtype, n, [&a, &b])?;
    let peer = blas.as_ref().map(|blas| {
        || {
            rate(effort, n, || {
                blas.product(n, &a, &b, &mut c);
                Ok(())
            })
        }
    });
    let samples = turns(effort, || rate(effort, n, || operands.product(&acl)), peer)?;
    operands.free(&acl)?;
    let name = if blas.is_some() { "OpenBLAS float32".into() } else { format!("OpenBLAS {MISSING}") };
    Ok((samples, name))
}

/// GFLOP/s of `n`³ in float16 against our own float32.
pub fn halves(effort: Effort, n: usize) -> Result<(Samples, String)> {
    let acl = Acl::open()?;
    let [a, b] = factors(n);
    let [half, single] = [Type::F16, Type::F32].map(|dtype| Operands::new(&acl, dtype, n, [&a, &b]));
    let (half, single) = (half?, single?);
    let of = |operands: &Operands| rate(effort, n, || operands.product(&acl));
    let samples = turns(effort, || of(&half), Some(|| of(&single)))?;
    half.free(&acl)?;
    single.free(&acl)?;
    Ok((samples, "our float32".into()))
}
