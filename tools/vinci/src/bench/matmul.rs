//! Rows of matrix products: aclnnMatmul against OpenBLAS in float32 of the same size.

use anyhow::Result;
use half::{bf16, f16};

use super::acl::{Acl, Direction};
use super::blas::{Blas, MISSING};
use super::{Effort, Samples, seconds, turns};

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

/// GFLOP/s of `n`³.
pub fn measure(effort: Effort, n: usize, dtype: Type) -> Result<(Samples, String)> {
    let acl = Acl::open()?;
    let blas = Blas::open().ok();
    let value = |i: usize| ((i * 7919) % 1009) as f32 / 1009.0 - 0.5;
    let a: Vec<f32> = (0..n * n).map(value).collect();
    let b: Vec<f32> = (0..n * n).map(|i| value(i + 17)).collect();
    let mut c = vec![0f32; n * n];
    let encode = |v: &[f32]| -> Vec<u8> {
        match dtype {
            Type::F32 => v.iter().flat_map(|x| x.to_ne_bytes()).collect(),
            Type::F16 => v.iter().flat_map(|x| f16::from_f32(*x).to_ne_bytes()).collect(),
            Type::Bf16 => v.iter().flat_map(|x| bf16::from_f32(*x).to_ne_bytes()).collect(),
        }
    };
    let mut tensors = Vec::new();
    let mut memory = Vec::new();
    for host in [Some(&a), Some(&b), None] {
        let mut bytes = encode(host.unwrap_or(&c));
        let device = acl.malloc(bytes.len())?;
        acl.copy(device, &mut bytes, Direction::ToDevice)?;
        tensors.push(acl.square(dtype as i32, n as i64, device));
        memory.push(device);
    }
    let flops = 2.0 * (n as f64).powi(3);
    // A turn of a small size is several products.
    let repeat = (2e10 / flops).clamp(1.0, 20.0) as usize;
    let rate = |s: f64| flops * repeat as f64 / s / 1e9;
    let ours = || {
        let s = seconds(|| (0..repeat).try_for_each(|_| acl.matmul(tensors[0], tensors[1], tensors[2])))?;
        Ok(rate(s))
    };
    let peer = blas.as_ref().map(|blas| {
        || {
            let s = seconds(|| {
                (0..repeat).for_each(|_| blas.product(n, &a, &b, &mut c));
                Ok(())
            })?;
            Ok(rate(s))
        }
    });
    let samples = turns(effort, ours, peer)?;
    for p in memory {
        acl.free(p)?;
    }
    let name = if blas.is_some() { "OpenBLAS float32".into() } else { format!("OpenBLAS {MISSING}") };
    Ok((samples, name))
}
