//! Lets the steps before a concatenation write their results where these belong in it, so that nothing is left to copy.
//!
//! A part can lie in the result if its bytes are adjacent there, and if nothing overwrites them while the part is still read.
//! Parts may be concatenations themselves: a block of a DenseNet grows in one buffer.

use std::ops::{Range, RangeInclusive};

use super::{Buffer, BufferId, Kernel, Place, Plan};
use crate::kernels::Layout;
use crate::kernels::aligned::LINE_BYTES;

/// The part of the memory by which it may grow: of a DenseNet's blocks, all but the last layer needs less than before, and that
/// one a twentieth more.
const GROWTH: usize = 8;

/// The buffers that are parts of others, each with the byte at which it begins there.
pub(super) struct Views(Vec<Option<(BufferId, usize)>>);

impl Views {
    /// The buffer that holds a buffer, and the byte at which it begins there. A buffer that is no part of another holds itself.
    pub fn holder(&self, id: BufferId) -> (BufferId, usize) {
        let (mut holder, mut start) = (id, 0);
        while let Some((next, at)) = self.0[holder.0] {
            (holder, start) = (next, start + at);
        }
        (holder, start)
    }
}

/// Places the parts of concatenations in their results, and removes the copies. A part from long before is copied all the same:
/// the result would take its room all that time. Memory grows by a part in [`GROWTH`] at most.
pub(super) fn place_parts(plan: &mut Plan) -> Views {
    let mut views = Views(vec![None; plan.buffers.len()]);
    let mut uses = uses(plan);
    let mut memory = Memory::new(plan, &uses);
    for index in 0..plan.steps.len() {
        let step = &plan.steps[index];
        let Kernel::Concat { parts, .. } = &step.kernel else { continue };
        let (output, whole) = (step.output(), plan.buffer(step.output()));
        let mut copied = vec![true; parts.len()];
        for (slot, (&input, range)) in step.inputs.iter().zip(parts).enumerate() {
            let part = plan.buffer(input);
            // no other input may lie in the result: a step cannot read what it writes
            let is_once = step.inputs.iter().filter(|&&other| views.holder(other).0 == input).count() == 1;
            let (Some(start), true) = (start(part, whole, range), is_once) else { continue };
            let (of_part, of_whole) = (&uses[input.0], &uses[output.0]);
            if of_part.may_lie_in(of_whole, index) && memory.joins((part, of_part), (whole, of_whole)) {
                uses[output.0].span = joined(of_part, of_whole);
                views.0[input.0] = Some((output, start));
                copied[slot] = false;
            }
        }
        keep(&mut plan.steps[index].kernel, &copied);
        let mut copied = copied.into_iter();
        plan.steps[index].inputs.retain(|_| copied.next() == Some(true));
    }
    plan.steps.retain(|step| !matches!(&step.kernel, Kernel::Concat { parts, .. } if parts.is_empty()));
    views
}

/// Removes the parts of a concatenation that are not copied.
fn keep(kernel: &mut Kernel, copied: &[bool]) {
    let Kernel::Concat { parts, placed } = kernel else { return };
    let mut is_copied = copied.iter();
    parts.retain(|_| is_copied.next() == Some(&true));
    *placed = copied.len() - parts.len();
}

/// The byte of the result at which a part begins, if the part's bytes are adjacent there. `range` are its floats in each sample.
fn start(part: &Buffer, whole: &Buffer, range: &Range<usize>) -> Option<usize> {
    let (Place::Arena(_), Place::Arena(_)) = (part.place, whole.place) else { return None };
    let [batch, channels, height, width] = whole.sizes;
    let lanes = match whole.layout {
        Layout::Nchw => 1,
        Layout::Blocked { lanes } => lanes,
    };
    let plane = height * width;
    let (first, end) = (range.start / plane, range.end / plane);
    let has_whole_blocks = first.is_multiple_of(lanes) && (end.is_multiple_of(lanes) || end == channels);
    let start = range.start * whole.dtype.size();
    let is_adjacent = batch == 1 || end - first == channels;
    (has_whole_blocks && is_adjacent && start.is_multiple_of(LINE_BYTES)).then_some(start)
}

/// The steps that use a buffer.
struct Uses {
    /// From the first one to the last, those of its parts included.
    span: RangeInclusive<usize>,
    /// Those that write it.
    writes: Vec<usize>,
}

impl Uses {
    /// Whether a part may lie in the result of the concatenation at `index`.
    fn may_lie_in(&self, whole: &Uses, index: usize) -> bool {
        let is_final = self.writes.last().is_some_and(|&last| last < index);
        let is_kept = whole.writes.get(1).is_none_or(|next| self.span.end() < next);
        is_final && is_kept && whole.writes.first() == Some(&index)
    }
}

/// The span of a result with a part in it.
fn joined(part: &Uses, whole: &Uses) -> RangeInclusive<usize> {
    *part.span.start().min(whole.span.start())..=*part.span.end().max(whole.span.end())
}

fn uses(plan: &Plan) -> Vec<Uses> {
    let mut uses: Vec<Uses> = plan.buffers.iter().map(|_| Uses { span: usize::MAX..=0, writes: Vec::new() }).collect();
    for (index, step) in plan.steps.iter().enumerate() {
        for id in step.buffers() {
            let span = &mut uses[id.0].span;
            *span = index.min(*span.start())..=index;
        }
        for id in &step.outputs {
            uses[id.0].writes.push(index);
        }
    }
    uses
}

/// The bytes that are in use during each step.
struct Memory {
    live: Vec<usize>,
    /// The most that may be.
    most: usize,
}

impl Memory {
    fn new(plan: &Plan, uses: &[Uses]) -> Memory {
        let mut live = vec![0; plan.steps.len()];
        let in_arena = |buffer: &&Buffer| matches!(buffer.place, Place::Arena(_));
        for (buffer, uses) in plan.buffers.iter().zip(uses).filter(|(buffer, _)| in_arena(buffer)) {
            uses.span.clone().for_each(|step| live[step] += buffer.len);
        }
        let peak = live.iter().copied().max().unwrap_or(0);
        let most = peak + peak / GROWTH;
        Memory { live, most }
    }

    /// Puts a part in a result, unless that takes too many.
    fn joins(&mut self, (part, of_part): (&Buffer, &Uses), (whole, of_whole): (&Buffer, &Uses)) -> bool {
        let after = |step: usize| {
            let more = if of_whole.span.contains(&step) { 0 } else { whole.len };
            let less = if of_part.span.contains(&step) { part.len } else { 0 };
            self.live[step] + more - less
        };
        let span = joined(of_part, of_whole);
        let live: Vec<usize> = span.clone().map(after).collect();
        let fits = live.iter().all(|&bytes| bytes <= self.most);
        if fits {
            self.live[span].copy_from_slice(&live);
        }
        fits
    }
}
