//! Loops over counted rows: steps that run once for each chunk of rows, so that memory is planned for a chunk and not for all rows
//! that there could be.

use std::ops::Range;

use super::{BufferId, Place, Plan};

/// The largest value of a chunk in bytes, unless a single row is larger: it should stay in a shared cache.
const CHUNK_BYTES: usize = 8 << 20;

/// Steps that run over counted rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowLoop {
    /// The steps.
    pub steps: Range<usize>,
    /// The number of rows of each sample, an i32 each.
    pub counts: BufferId,
    /// The largest number of rows of a sample.
    pub bound: usize,
    /// Rows of a chunk. Buffers of counted values hold that many; in the last chunk the rest is filled up.
    pub rows: usize,
}

/// The number of rows of a chunk, by the bytes of a row's largest value and the number of rows that there could be.
pub(super) fn chunk_rows(row_bytes: usize, most: usize) -> usize {
    (CHUNK_BYTES / row_bytes.max(1)).clamp(1, most.max(1))
}

impl Plan {
    /// The steps from the first to the last at which each buffer holds its value. Outputs live to the end (`usize::MAX`), and so
    /// does, within a loop, what the loop does not compute anew in each chunk. A buffer that no step uses has no lifetime.
    pub(super) fn lifetimes(&self) -> Vec<Option<(usize, usize)>> {
        let mut lives: Vec<Option<(usize, usize)>> = vec![None; self.buffers.len()];
        for (index, step) in self.steps.iter().enumerate() {
            for id in step.buffers() {
                let (first, _) = lives[id.0].unwrap_or((index, index));
                lives[id.0] = Some((first, index));
            }
        }
        for RowLoop { steps, counts, .. } in &self.loops {
            let inside = self.steps[steps.clone()].iter().flat_map(|step| step.buffers()).chain([*counts]);
            for id in inside {
                if let Some((first, last)) = &mut lives[id.0]
                    && !(steps.contains(first) && steps.contains(last))
                {
                    *first = steps.start.min(*first);
                    // past the last step of the loop, which therefore cannot overwrite it
                    *last = steps.end.max(*last);
                }
            }
        }
        for (buffer, life) in self.buffers.iter().zip(&mut lives) {
            if let (Place::Output(_), Some((_, last))) = (buffer.place, life) {
                *last = usize::MAX;
            }
        }
        lives
    }

    /// Removes a step.
    pub(super) fn remove_step(&mut self, at: usize) {
        self.steps.remove(at);
        for RowLoop { steps, .. } in &mut self.loops {
            steps.start -= usize::from(at < steps.start);
            steps.end -= usize::from(at < steps.end);
        }
    }
}
