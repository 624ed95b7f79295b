//! Buffers of f32 that start at a cache line, for wide loads.

use std::collections::TryReserveError;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::Arc;

use crate::base::mmap::HUGE_PAGE;

/// Floats per cache line.
pub const LINE: usize = 16;

/// Bytes per cache line.
pub const LINE_BYTES: usize = LINE * size_of::<f32>();

#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([f32; LINE]);

/// Buffers that take at least this many bytes together share a [`Slab`].
const SHARED: usize = HUGE_PAGE / 2;

/// A buffer of f32 aligned to 64 bytes.
#[derive(Default)]
pub struct Aligned {
    memory: Memory,
    len: usize,
}

enum Memory {
    /// A small buffer.
    Lines(Vec<Line>),
    /// A part of a slab that no other buffer overlaps.
    Part { start: NonNull<f32>, _slab: Arc<Slab> },
}

impl Default for Memory {
    fn default() -> Memory {
        Memory::Lines(Vec::new())
    }
}

// SAFETY: a part is reached through its buffer alone, as the elements of a vector are
unsafe impl Send for Memory {}
// SAFETY: as above
unsafe impl Sync for Memory {}

/// Anonymous memory that begins at a huge page and ends with one, zero on first access. The system is asked for huge pages: they make
/// the first access about five times cheaper, and reading much faster where small pages miss the TLB. Without them, it is
/// ordinary memory.
struct Slab {
    start: NonNull<f32>,
    _map: memmap2::MmapMut,
}

// SAFETY: it only keeps the mapping alive; what is in it is reached through the buffers
unsafe impl Send for Slab {}
// SAFETY: as above
unsafe impl Sync for Slab {}

impl Slab {
    /// At least `bytes`; `None` if the system refuses.
    fn new(bytes: usize) -> Option<Slab> {
        let whole = bytes.checked_next_multiple_of(HUGE_PAGE)?;
        // the system chooses the address, so the first huge page may begin almost one later; what is never accessed takes no memory
        let mut map = memmap2::MmapMut::map_anon(whole.checked_add(HUGE_PAGE)?).ok()?;
        let before = map.as_ptr().align_offset(HUGE_PAGE);
        #[cfg(target_os = "linux")]
        {
            // this is only a hint
            let _ = map.advise_range(memmap2::Advice::HugePage, before, whole);
        }
        let start = NonNull::new(map[before..].as_mut_ptr().cast())?;
        Some(Slab { start, _map: map })
    }
}

/// Floats of a buffer, up to the next cache line.
fn in_lines(len: usize) -> Option<usize> {
    len.checked_next_multiple_of(LINE)
}

impl Aligned {
    /// A buffer of `len` zeros.
    pub fn zeroed(len: usize) -> Result<Aligned, TryReserveError> {
        Ok(Aligned::zeroed_all(&[len])?.swap_remove(0))
    }

    /// A buffer of zeros for each length. They are neighbors in the same huge pages, which are freed when the last one is dropped.
    pub fn zeroed_all(lens: &[usize]) -> Result<Vec<Aligned>, TryReserveError> {
        let floats = lens.iter().try_fold(0usize, |sum, &len| sum.checked_add(in_lines(len)?));
        let bytes = floats.and_then(|floats| floats.checked_mul(size_of::<f32>()));
        if let Some(slab) = bytes.filter(|&bytes| bytes >= SHARED).and_then(Slab::new) {
            return Ok(Aligned::parts(lens, &Arc::new(slab)));
        }
        lens.iter().map(|&len| Aligned::lines(len)).collect()
    }

    /// The parts of a slab that is long enough for them.
    fn parts(lens: &[usize], slab: &Arc<Slab>) -> Vec<Aligned> {
        let mut start = slab.start;
        let part = |&len: &usize| {
            let memory = Memory::Part { start, _slab: Arc::clone(slab) };
            // SAFETY: the slab is at least as long as all parts together
            start = unsafe { start.add(len.next_multiple_of(LINE)) };
            Aligned { memory, len }
        };
        lens.iter().map(part).collect()
    }

    /// A buffer on the heap.
    fn lines(len: usize) -> Result<Aligned, TryReserveError> {
        let count = len.div_ceil(LINE);
        let mut lines = Vec::new();
        lines.try_reserve_exact(count)?;
        lines.resize(count, Line([0.0; LINE]));
        Ok(Aligned { memory: Memory::Lines(lines), len })
    }

    /// A copy of `values` with subnormal numbers flushed to zero: they are negligible but make arithmetic a hundred times slower.
    pub fn from_weights(values: &[f32]) -> Result<Aligned, TryReserveError> {
        let mut copy = Aligned::zeroed(values.len())?;
        copy.copy_weights(values);
        Ok(copy)
    }

    /// Copies `values` as [`Aligned::from_weights`] does.
    ///
    /// # Panics
    /// If it does not have as many values.
    pub fn copy_weights(&mut self, values: &[f32]) {
        assert_eq!(self.len, values.len());
        for (to, &v) in self.iter_mut().zip(values) {
            *to = if v.is_subnormal() { 0.0 } else { v };
        }
    }
}

impl Deref for Aligned {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        let start: *const f32 = match &self.memory {
            Memory::Lines(lines) => lines.as_ptr().cast(),
            Memory::Part { start, .. } => start.as_ptr(),
        };
        // SAFETY: a `Line` is 16 floats without padding (`repr(C)`), and `len` is at most 16 times the number of lines; a part
        // holds `len` floats that no other buffer has, and any bytes are valid floats
        unsafe { std::slice::from_raw_parts(start, self.len) }
    }
}

impl DerefMut for Aligned {
    fn deref_mut(&mut self) -> &mut [f32] {
        let start: *mut f32 = match &mut self.memory {
            Memory::Lines(lines) => lines.as_mut_ptr().cast(),
            Memory::Part { start, .. } => start.as_ptr(),
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
        for len in [0, 1, 15, 16, 17, 1000, HUGE_PAGE / 4 - 1, HUGE_PAGE / 4, HUGE_PAGE / 4 + 1] {
            let mut a = Aligned::zeroed(len).unwrap();
            assert_eq!((a.len(), a.as_ptr() as usize % 64), (len, 0));
            assert!(a.iter().all(|&v| v == 0.0));
            a.fill(1.0);
            assert_eq!(a.iter().sum::<f32>(), len as f32);
        }
    }

    #[test]
    fn buffers_of_a_slab_are_apart_and_begin_at_a_huge_page() {
        let lens = [3, HUGE_PAGE / 4 + 5, 0, 17, 1];
        let mut all = Aligned::zeroed_all(&lens).unwrap();
        assert_eq!(all[0].as_ptr() as usize % HUGE_PAGE, 0);
        for (index, buffer) in all.iter_mut().enumerate() {
            assert!(buffer.as_ptr().align_offset(64) == 0 && buffer.iter().all(|&v| v == 0.0));
            buffer.fill(index as f32);
        }
        assert!(all.iter().enumerate().all(|(index, buffer)| buffer.iter().all(|&v| v == index as f32)));
        // a buffer outlives its neighbors
        let last = all.swap_remove(3);
        drop(all);
        assert_eq!(&last[..], [3.0; 17]);
        // nothing can hold these
        assert!(Aligned::zeroed_all(&[usize::MAX / 2, usize::MAX / 2, 5]).is_err());
    }

    #[test]
    fn small_buffers_take_no_huge_page() {
        let all = Aligned::zeroed_all(&[100; 10]).unwrap();
        assert!(all.iter().all(|buffer| matches!(buffer.memory, Memory::Lines(_))));
    }

    #[test]
    fn weights_lose_only_subnormal_numbers() {
        let copy = Aligned::from_weights(&[1.0, 1e-40, -1e-40, f32::MIN_POSITIVE, -0.0]).unwrap();
        assert_eq!(&copy[..], [1.0, 0.0, 0.0, f32::MIN_POSITIVE, 0.0]);
    }
}
