//! Buffers of f32 that begin at a cache line, as wide loads like them.

use std::collections::TryReserveError;
use std::fmt;
use std::ops::{Deref, DerefMut};

/// Floats in a cache line.
pub const LINE: usize = 16;

#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([f32; LINE]);

/// A buffer of f32 aligned to 64 bytes.
#[derive(Clone, Default)]
pub struct Aligned {
    lines: Vec<Line>,
    len: usize,
}

impl Aligned {
    /// A buffer of `len` zeros.
    pub fn zeroed(len: usize) -> Result<Aligned, TryReserveError> {
        let count = len.div_ceil(LINE);
        let mut lines = Vec::new();
        lines.try_reserve_exact(count)?;
        lines.resize(count, Line([0.0; LINE]));
        Ok(Aligned { lines, len })
    }

    /// A copy of `values`, subnormal numbers flushed to zero: they carry nothing and slow arithmetic down a hundredfold.
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
        // SAFETY: a `Line` is 16 floats without padding (`repr(C)`), and `len` is at most 16 times the lines
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.len) }
    }
}

impl DerefMut for Aligned {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: as in `deref`, and `self` is borrowed mutably
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.len) }
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
        for len in [0, 1, 15, 16, 17, 1000] {
            let mut a = Aligned::zeroed(len).unwrap();
            assert_eq!((a.len(), a.as_ptr() as usize % 64), (len, 0));
            a.fill(1.0);
            assert_eq!(a.iter().sum::<f32>(), len as f32);
        }
    }

    #[test]
    fn weights_lose_subnormal_numbers_alone() {
        let copy = Aligned::from_weights(&[1.0, 1e-40, -1e-40, f32::MIN_POSITIVE, -0.0]).unwrap();
        assert_eq!(&copy[..], [1.0, 0.0, 0.0, f32::MIN_POSITIVE, 0.0]);
    }
}
