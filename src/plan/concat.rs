//! Lets the steps before a concatenation write their results where these belong in it, so that nothing is left to copy.
//!
//! A part can lie in the result if its bytes are adjacent there, and if nothing overwrites them while the part is still read.
//! Parts may be concatenations themselves: a block of a DenseNet grows in one buffer.

use std::ops::Range;

use super::{Buffer, BufferId, Kernel, Place, Plan, Step};
use crate::kernels::Layout;
use crate::kernels::aligned::LINE_BYTES;

/// The part of the memory by which it may grow: a block of DenseNet-121 in one buffer needs a twentieth more.
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

    /// [`Plan::lifetimes`], where a buffer lives as long as its parts, and these have no lifetimes of their own.
    pub fn lifetimes(&self, plan: &Plan) -> Vec<Option<(usize, usize)>> {
        let mut lives = plan.lifetimes();
        for (part, holder) in self.parts() {
            if let Some(of_part) = lives[part.0].take() {
                lives[holder.0] = Some(lives[holder.0].map_or(of_part, |of_holder| joined(of_part, of_holder)));
            }
        }
        lives
    }

    /// Places the parts of buffers that are placed.
    pub fn place(&self, plan: &mut Plan) {
        for (part, _) in self.parts() {
            let (holder, start) = self.holder(part);
            if let Place::Arena(offset) = plan.buffer(holder).place {
                plan.buffers[part.0].place = Place::Arena(offset + start);
            }
        }
    }

    /// The buffers that are parts of others, with what holds them in the end.
    fn parts(&self) -> impl Iterator<Item = (BufferId, BufferId)> {
        let ids = (0..self.0.len()).map(BufferId).filter(|id| self.0[id.0].is_some());
        ids.map(|id| (id, self.holder(id).0))
    }
}

/// Places the parts of concatenations in their results, and removes the copies. A part from long before is copied all the same:
/// the result would take its room all that time. Memory grows by a part in [`GROWTH`] at most.
pub(super) fn place_parts(plan: &mut Plan) -> Views {
    let mut views = Views(vec![None; plan.buffers.len()]);
    let mut uses = Uses::of(plan);
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
                uses[output.0].life = joined(of_part.life, of_whole.life);
                views.0[input.0] = Some((output, start));
                copied[slot] = false;
            }
        }
        keep(&mut plan.steps[index].kernel, &copied);
        let mut copied = copied.into_iter();
        plan.steps[index].inputs.retain(|_| copied.next() == Some(true));
    }
    let is_empty = |step: &Step| matches!(&step.kernel, Kernel::Concat { parts, .. } if parts.is_empty());
    for index in (0..plan.steps.len()).rev() {
        if is_empty(&plan.steps[index]) {
            plan.remove_step(index);
        }
    }
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
    (batch == 1 && has_whole_blocks && start.is_multiple_of(LINE_BYTES)).then_some(start)
}

/// The steps that use a buffer.
struct Uses {
    /// From the first one to the last, those of its parts included.
    life: (usize, usize),
    /// Those that write it.
    writes: Vec<usize>,
}

impl Uses {
    /// Of each buffer; empty for one that no step uses.
    fn of(plan: &Plan) -> Vec<Uses> {
        let life = |life: Option<(usize, usize)>| life.unwrap_or((usize::MAX, 0));
        let mut uses: Vec<Uses> = plan.lifetimes().into_iter().map(|of| Uses { life: life(of), writes: Vec::new() }).collect();
        for (index, step) in plan.steps.iter().enumerate() {
            step.outputs.iter().for_each(|id| uses[id.0].writes.push(index));
        }
        uses
    }

    /// Whether a part may lie in the result of the concatenation at `index`.
    fn may_lie_in(&self, whole: &Uses, index: usize) -> bool {
        let is_final = self.writes.last().is_some_and(|&last| last < index);
        let is_kept = whole.writes.get(1).is_none_or(|&next| self.life.1 < next);
        is_final && is_kept && whole.writes.first() == Some(&index)
    }
}

/// The lifetime of a result with a part in it.
fn joined(part: (usize, usize), whole: (usize, usize)) -> (usize, usize) {
    (part.0.min(whole.0), part.1.max(whole.1))
}

/// The bytes that are in use during each step.
struct Memory {
    live: Vec<usize>,
    /// The most that may be.
    most: usize,
}

impl Memory {
    fn new(plan: &Plan, uses: &[Uses]) -> Memory {
        // a loop's values live up to the step after it
        let mut live = vec![0; plan.steps.len() + 1];
        for (buffer, Uses { life: (first, last), .. }) in plan.buffers.iter().zip(uses) {
            if let Place::Arena(_) = buffer.place {
                (*first..=*last).for_each(|step| live[step] += buffer.len);
            }
        }
        let peak = live.iter().copied().max().unwrap_or(0);
        Memory { live, most: peak + peak / GROWTH }
    }

    /// Puts a part in a result, unless that takes too many.
    fn joins(&mut self, (part, of_part): (&Buffer, &Uses), (whole, of_whole): (&Buffer, &Uses)) -> bool {
        let lives = |uses: &Uses, step: usize| (uses.life.0..=uses.life.1).contains(&step);
        let (first, last) = joined(of_part.life, of_whole.life);
        let after = |step: usize| {
            let more = if lives(of_whole, step) { 0 } else { whole.len };
            let less = if lives(of_part, step) { part.len } else { 0 };
            self.live[step] + more - less
        };
        let live: Vec<usize> = (first..=last).map(after).collect();
        let fits = live.iter().all(|&bytes| bytes <= self.most);
        if fits {
            self.live[first..=last].copy_from_slice(&live);
        }
        fits
    }
}
