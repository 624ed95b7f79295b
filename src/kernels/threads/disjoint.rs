//! Slices that several threads write.

use std::marker::PhantomData;

/// A slice that several threads write in disjoint parts.
#[derive(Clone, Copy)]
pub(crate) struct Disjoint<'a> {
    start: *mut f32,
    len: usize,
    lifetime: PhantomData<&'a mut [f32]>,
}

// SAFETY: access is only through `unsafe` functions, whose callers ensure that parts do not overlap
unsafe impl Sync for Disjoint<'_> {}
// SAFETY: as above
unsafe impl Send for Disjoint<'_> {}

impl<'a> Disjoint<'a> {
    pub(crate) fn new(slice: &'a mut [f32]) -> Self {
        Disjoint { start: slice.as_mut_ptr(), len: slice.len(), lifetime: PhantomData }
    }

    /// Number of floats.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The `len` floats from `start`.
    ///
    /// # Safety
    /// While the result lives, no other thread or slice accesses these floats.
    ///
    /// # Panics
    /// If the range is out of bounds.
    pub(crate) unsafe fn slice(&self, start: usize, len: usize) -> &'a mut [f32] {
        assert!(start <= self.len && len <= self.len - start, "{start}..+{len} of {}", self.len);
        // SAFETY: inside the slice that `new` borrowed for `'a`; the caller ensures the rest
        unsafe { std::slice::from_raw_parts_mut(self.start.add(start), len) }
    }

    /// A pointer to the float at `start`.
    ///
    /// # Panics
    /// If `start..start + len` is out of bounds.
    pub(crate) fn pointer(&self, start: usize, len: usize) -> *mut f32 {
        assert!(start <= self.len && len <= self.len - start, "{start}..+{len} of {}", self.len);
        self.start.wrapping_add(start)
    }
}
