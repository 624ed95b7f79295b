//! Arena offsets: buffers with disjoint lifetimes share memory.

use super::concat::Views;
use super::{BufferId, Place, Plan, PlanError};
use crate::kernels::aligned::LINE_BYTES;

/// Assigns each arena buffer its offset: largest first, each into the tightest gap between the buffers that are live at the
/// same time. Buffers that are parts of others lie in these. The scratch memory follows.
pub(super) fn place(plan: &mut Plan, views: &Views) -> Result<(), PlanError> {
    let lives = views.lifetimes(plan);
    let mut order: Vec<usize> =
        (0..lives.len()).filter(|&i| lives[i].is_some() && matches!(plan.buffers[i].place, Place::Arena(_))).collect();
    order.sort_by_key(|&i| (std::cmp::Reverse(plan.buffers[i].len), i));
    let together = |i: usize, j: usize| match (lives[i], lives[j]) {
        (Some((first, last)), Some((other_first, other_last))) => first <= other_last && other_first <= last,
        _ => false,
    };
    let mut placed: Vec<usize> = Vec::new();
    let mut end = 0;
    for &i in &order {
        let mut taken: Vec<(usize, usize)> = placed.iter().filter(|&&j| together(i, j)).map(|&j| range(plan, j)).collect();
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
    views.place(plan);
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
