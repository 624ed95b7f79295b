//! Slices that several threads write.

use std::marker::PhantomData;

/// A slice that several threads write in disjoint parts.
#[derive(Clone, Copy)]
pub(crate) struct Disjoint<'a, T = f32> {
    start: *mut T,
    len: usize,
    lifetime: PhantomData<&'a mut [T]>,
}

// SAFETY: access is only through `unsafe` functions, whose callers ensure that parts do not overlap
unsafe impl<T: Send> Sync for Disjoint<'_, T> {}
// SAFETY: as above
unsafe impl<T: Send> Send for Disjoint<'_, T> {}

impl<'a, T> Disjoint<'a, T> {
    pub(crate) fn new(slice: &'a mut [T]) -> Self {
        Disjoint { start: slice.as_mut_ptr(), len: slice.len(), lifetime: PhantomData }
    }

    /// Number of elements.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The `len` elements from `start`.
    ///
    /// # Safety
    /// While the result lives, no other thread or slice accesses these elements.
    ///
    /// # Panics
    /// If the range is out of bounds.
    pub(crate) unsafe fn slice(&self, start: usize, len: usize) -> &'a mut [T] {
        assert!(start <= self.len && len <= self.len - start, "{start}..+{len} of {}", self.len);
        // SAFETY: inside the slice that `new` borrowed for `'a`; the caller ensures the rest
        unsafe { std::slice::from_raw_parts_mut(self.start.add(start), len) }
    }

    /// A pointer to the element at `start`.
    ///
    /// # Panics
    /// If `start..start + len` is out of bounds.
    pub(crate) fn pointer(&self, start: usize, len: usize) -> *mut T {
        assert!(start <= self.len && len <= self.len - start, "{start}..+{len} of {}", self.len);
        self.start.wrapping_add(start)
    }
}
