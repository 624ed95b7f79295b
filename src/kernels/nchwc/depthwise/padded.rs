//! Small feature maps, whose borders would take as long as all the rest: their rows are copied, with zeros around them.

use std::mem::MaybeUninit;
use std::ops::Range;

use super::borders::{complete, reach};
use crate::kernels::ConvShape;

/// Floats of a copy: it stays in the caches.
const SCRATCH: usize = 16_384;

/// The widest feature map that is copied: of a wider one, the copy takes longer than its borders.
const WIDEST: usize = 64;

/// How rows are copied.
#[derive(Clone, Copy)]
pub(super) struct Padded {
    /// Output rows at a time.
    pub lines: usize,
    /// Pixels of a row of the copy.
    pub width: usize,
}

/// Memory for a copy.
pub(super) struct Scratch(MaybeUninit<[f32; SCRATCH]>);

impl Scratch {
    pub fn new() -> Scratch {
        Scratch(MaybeUninit::uninit())
    }

    /// What is at an offset.
    pub fn at(&self, offset: usize) -> *const f32 {
        self.0.as_ptr().cast::<f32>().wrapping_add(offset)
    }

    /// Room for some floats, all of which are to be written.
    fn room(&mut self, len: usize) -> &mut [MaybeUninit<f32>] {
        assert!(len <= SCRATCH);
        // SAFETY: inside the array, as asserted; uninitialized memory is a valid `MaybeUninit`
        unsafe { std::slice::from_raw_parts_mut(self.0.as_mut_ptr().cast(), len) }
    }
}

impl Padded {
    /// `None` if the feature map is better read where it is.
    pub fn new(shape: &ConvShape, lanes: usize) -> Option<Padded> {
        let (w, ow) = (shape.input[1], shape.output[1]);
        if w > WIDEST || complete(shape).len() == ow {
            return None;
        }
        let width = (ow - 1) * shape.stride[1] + reach(shape, 1);
        let rows = SCRATCH / (width * lanes);
        let lines = (rows.checked_sub(reach(shape, 0))? / shape.stride[0] + 1).min(shape.output[0]);
        Some(Padded { lines, width })
    }

    /// Copies what output rows read.
    pub fn copy(self, shape: &ConvShape, plane: &[f32], lines: &Range<usize>, lanes: usize, to: &mut Scratch) {
        let ([h, w], [top, left]) = (shape.input, shape.pad.map(|pad| pad[0]));
        let rows = (lines.len() - 1) * shape.stride[0] + reach(shape, 0);
        let row = self.width * lanes;
        // columns that the kernel does not reach are left out
        let count = w.min(self.width.saturating_sub(left));
        for (index, to) in to.room(rows * row).chunks_exact_mut(row).enumerate() {
            let y = (lines.start * shape.stride[0] + index).checked_sub(top).filter(|&y| y < h);
            let from = y.map_or(&[][..], |y| &plane[y * w * lanes..][..count * lanes]);
            let (before, rest) = to.split_at_mut(left.min(self.width) * lanes);
            let (inside, after) = rest.split_at_mut(from.len());
            inside.iter_mut().zip(from).for_each(|(to, &from)| {
                to.write(from);
            });
            for zeros in [before, after] {
                zeros.fill(MaybeUninit::new(0.0));
            }
        }
    }
}
