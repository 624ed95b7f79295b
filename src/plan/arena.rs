//! Arena offsets: buffers with disjoint lifetimes share memory.

use super::concat::Views;
use super::{BufferId, Place, Plan, PlanError};
use crate::kernels::aligned::LINE_BYTES;

/// Assigns each arena buffer its offset: largest first, each into the tightest gap between the buffers that are live at the
/// same time. The scratch memory follows. Buffers that are parts of others go with these.
pub(super) fn place(plan: &mut Plan, views: &Views) -> Result<(), PlanError> {
    let count = plan.buffers.len();
    let mut first = vec![usize::MAX; count];
    let mut last = vec![0; count];
    for (index, step) in plan.steps.iter().enumerate() {
        for id in step.buffers().map(|id| views.holder(id).0) {
            first[id.0] = first[id.0].min(index);
            last[id.0] = last[id.0].max(index);
        }
    }
    let mut order: Vec<usize> =
        (0..count).filter(|&i| first[i] != usize::MAX && matches!(plan.buffers[i].place, Place::Arena(_))).collect();
    order.sort_by_key(|&i| (std::cmp::Reverse(plan.buffers[i].len), i));
    let mut placed: Vec<usize> = Vec::new();
    let mut end = 0;
    for &i in &order {
        let mut taken: Vec<(usize, usize)> =
            placed.iter().filter(|&&j| first[i] <= last[j] && first[j] <= last[i]).map(|&j| range(plan, j)).collect();
        taken.sort_unstable();
        let len = plan.buffers[i].len;
        let mut best: Option<(usize, usize)> = None;
        let mut free = 0;
        for (from, to) in taken {
            if from >= free + len && best.is_none_or(|(gap, _)| from - free < gap) {
                best = Some((from - free, free));
            }
            free = free.max(to);
        }
        let offset = best.map_or(free, |(_, at)| at);
        plan.buffers[i].place = Place::Arena(offset);
        end = end.max(range(plan, i).1);
        placed.push(i);
    }
    for id in (0..count).map(BufferId) {
        let (holder, start) = views.holder(id);
        if let (true, Place::Arena(offset)) = (holder != id, plan.buffer(holder).place) {
            plan.buffers[id.0].place = Place::Arena(offset + start);
        }
    }
    let too_large = || PlanError::TooLarge { batch: plan.options.batch, node: plan.name.clone() };
    let scratch = plan.steps.iter().map(|s| s.scratch).max().unwrap_or(0).next_multiple_of(LINE_BYTES);
    let arena = scratch.checked_mul(plan.options.threads).and_then(|n| n.checked_add(end)).ok_or_else(too_large)?;
    (plan.scratch_at, plan.scratch, plan.arena) = (end, scratch, arena);
    Ok(())
}

/// The range of bytes that a placed buffer occupies, up to the end of its last cache line.
fn range(plan: &Plan, buffer: usize) -> (usize, usize) {
    let buffer = plan.buffer(BufferId(buffer));
    match buffer.place {
        Place::Arena(offset) => (offset, offset + buffer.len.next_multiple_of(LINE_BYTES)),
        Place::Input(_) | Place::Output(_) => (0, 0),
    }
}
