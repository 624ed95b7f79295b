//! Buffers of f32 that start at a cache line, for wide loads.

use std::collections::TryReserveError;
use std::fmt;
use std::ops::{Deref, DerefMut};

/// Floats per cache line.
pub const LINE: usize = 16;

/// Bytes per cache line.
pub const LINE_BYTES: usize = LINE * size_of::<f32>();

#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([f32; LINE]);

/// Buffers of at least this many bytes get their own mapping: a huge page on x86-64.
const HUGE: usize = 2 << 20;

/// A buffer of f32 aligned to 64 bytes.
#[derive(Default)]
pub struct Aligned {
    memory: Memory,
    len: usize,
}

enum Memory {
    /// A small buffer.
    Lines(Vec<Line>),
    /// A large buffer: zero on first access, and in huge pages where the system supports them. Huge pages make the first access
    /// about five times cheaper and reduce TLB misses.
    Mapped(memmap2::MmapMut),
}

impl Default for Memory {
    fn default() -> Memory {
        Memory::Lines(Vec::new())
    }
}

impl Aligned {
    /// A buffer of `len` zeros.
    pub fn zeroed(len: usize) -> Result<Aligned, TryReserveError> {
        if let Some(bytes) = len.checked_mul(size_of::<f32>()).filter(|&n| n >= HUGE)
            && let Ok(map) = memmap2::MmapMut::map_anon(bytes)
        {
            #[cfg(target_os = "linux")]
            {
                // this is only a hint: without huge pages it is just slower
                let _ = map.advise(memmap2::Advice::HugePage);
            }
            return Ok(Aligned { memory: Memory::Mapped(map), len });
        }
        let count = len.div_ceil(LINE);
        let mut lines = Vec::new();
        lines.try_reserve_exact(count)?;
        lines.resize(count, Line([0.0; LINE]));
        Ok(Aligned { memory: Memory::Lines(lines), len })
    }

    /// A copy of `values` with subnormal numbers flushed to zero: they are negligible but make arithmetic a hundred times slower.
    pub fn from_weights(values: &[f32]) -> Result<Aligned, TryReserveError> {
        let mut copy = Aligned::zeroed(values.len())?;
        for (to, &v) in copy.iter_mut().zip(values) {
            *to = if v.is_subnormal() { 0.0 } else { v };
        }
        Ok(copy)
    }
}

impl Deref for Aligned {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        let start: *const f32 = match &self.memory {
            Memory::Lines(lines) => lines.as_ptr().cast(),
            Memory::Mapped(map) => map.as_ptr().cast(),
        };
        // SAFETY: a `Line` is 16 floats without padding (`repr(C)`), and `len` is at most 16 times the number of lines; a mapping
        // starts at a page and holds `len` floats, and any bytes are valid floats
        unsafe { std::slice::from_raw_parts(start, self.len) }
    }
}

impl DerefMut for Aligned {
    fn deref_mut(&mut self) -> &mut [f32] {
        let start: *mut f32 = match &mut self.memory {
            Memory::Lines(lines) => lines.as_mut_ptr().cast(),
            Memory::Mapped(map) => map.as_mut_ptr().cast(),
        };
        // SAFETY: as in `deref`, and `self` is mutably borrowed
        unsafe { std::slice::from_raw_parts_mut(start, self.len) }
    }
}

impl fmt::Debug for Aligned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Aligned({} f32)", self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn begins_at_a_cache_line_and_holds_its_length() {
        for len in [0, 1, 15, 16, 17, 1000, HUGE / 4 - 1, HUGE / 4, HUGE / 4 + 1] {
            let mut a = Aligned::zeroed(len).unwrap();
            assert_eq!((a.len(), a.as_ptr() as usize % 64), (len, 0));
            assert!(a.iter().all(|&v| v == 0.0));
            a.fill(1.0);
            assert_eq!(a.iter().sum::<f32>(), len as f32);
        }
    }

    #[test]
    fn weights_lose_only_subnormal_numbers() {
        let copy = Aligned::from_weights(&[1.0, 1e-40, -1e-40, f32::MIN_POSITIVE, -0.0]).unwrap();
        assert_eq!(&copy[..], [1.0, 0.0, 0.0, f32::MIN_POSITIVE, 0.0]);
    }
}
