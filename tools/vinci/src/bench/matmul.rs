//! Rows of matrix products: aclnnMatmul against OpenBLAS in float32 of the same size.

use std::time::Instant;

use anyhow::Result;
use half::{bf16, f16};

use super::acl::{Acl, Direction};
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
    let rate = |product: &mut dyn FnMut() -> Result<()>| {
        let (start, mut products) = (Instant::now(), 0u32);
        while products == 0 || start.elapsed() < effort.turn {
            product()?;
            products += 1;
        }
        Ok(flops * f64::from(products) / start.elapsed().as_secs_f64() / 1e9)
    };
    let ours = || rate(&mut || acl.matmul(tensors[0], tensors[1], tensors[2]));
    let peer = blas.as_ref().map(|blas| {
        || {
            rate(&mut || {
                blas.product(n, &a, &b, &mut c);
                Ok(())
            })
        }
    });
    let samples = turns(effort, ours, peer)?;
    for p in memory {
        acl.free(p)?;
    }
    let name = if blas.is_some() { "OpenBLAS float32".into() } else { format!("OpenBLAS {MISSING}") };
    Ok((samples, name))
}
