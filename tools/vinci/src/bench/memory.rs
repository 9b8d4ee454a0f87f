//! Rows of memory: copies against plain memcpy, allocation against its target.

use std::time::Instant;

use anyhow::Result;

use super::acl::{Acl, Direction};
use super::{Effort, Samples, seconds, turns};

const BYTES: usize = 64 << 20;

/// GB/s of aclrtMemcpy of 64 MiB.
pub fn copy(effort: Effort, direction: Direction) -> Result<(Samples, String)> {
    let acl = Acl::open()?;
    let (mut host, mut other) = (vec![1u8; BYTES], vec![2u8; BYTES]);
    let plain_source = host.clone();
    let device = acl.malloc(BYTES)?;
    acl.copy(device, &mut host, Direction::ToDevice)?;
    let rate = |s: f64| BYTES as f64 / s / 1e9;
    let ours = || seconds(|| acl.copy(device, &mut host, direction)).map(rate);
    let peer = || {
        let s = seconds(|| {
            other.copy_from_slice(std::hint::black_box(&plain_source));
            // What nobody reads would not be copied at all.
            std::hint::black_box(&mut other);
            Ok(())
        })?;
        Ok(rate(s))
    };
    // One copy takes milliseconds: more turns cost little.
    let effort = Effort { turns: effort.turns * 5, ..effort };
    let samples = turns(effort, ours, Some(peer))?;
    acl.free(device)?;
    Ok((samples, "memcpy".into()))
}

/// ns of aclrtMalloc and aclrtFree of 1 MiB.
pub fn malloc_free(effort: Effort) -> Result<(Samples, String)> {
    let acl = Acl::open()?;
    let ours = || {
        let (start, mut n) = (Instant::now(), 0u32);
        while start.elapsed() < effort.turn / 5 {
            for _ in 0..100 {
                acl.free(acl.malloc(1 << 20)?)?;
            }
            n += 100;
        }
        Ok(start.elapsed().as_secs_f64() * 1e9 / f64::from(n))
    };
    let samples = turns(effort, ours, Some(|| Ok(1000.0)))?;
    Ok((samples, "the target of 1 µs".into()))
}
