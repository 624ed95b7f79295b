//! Views of a plan's buffers. This is the only place where the runtime hands out memory that the borrow checker cannot track.

use std::marker::PhantomData;

use crate::plan::{BufferId, Kernel, Place, Plan, PlanError};

/// Checks what [`Memory`] relies on: within each step, no output overlaps another output or an input, unless the kernel may
/// overwrite that input and both are the same buffer; and every buffer is inside the arena and before the scratch.
pub(super) fn verify(plan: &Plan) -> Result<(), PlanError> {
    let extent = |id: BufferId| {
        let buffer = plan.buffer(id);
        match buffer.place {
            Place::Arena(offset) => (0, 0, offset, offset + buffer.len),
            Place::Input(i) => (1, i, 0, buffer.len),
            Place::Output(i) => (2, i, 0, buffer.len),
        }
    };
    let overlap = |x: BufferId, y: BufferId| {
        let (x, y) = (extent(x), extent(y));
        (x.0, x.1) == (y.0, y.1) && x.2 < y.3 && y.2 < x.3
    };
    for step in &plan.steps {
        let broken = |what: &str| PlanError::Internal(format!("step `{}` {what}", step.name));
        for (at, &output) in step.outputs.iter().enumerate() {
            for (slot, &input) in step.inputs.iter().enumerate() {
                let may = match &step.kernel {
                    Kernel::Train(train) => train.may_overwrite(slot),
                    _ => slot == 0,
                };
                if overlap(input, output) && !(may && input == output) {
                    return Err(broken("reads what it writes"));
                }
            }
            if step.outputs[..at].iter().any(|&other| overlap(other, output)) {
                return Err(broken("writes two results to the same place"));
            }
            if let Place::Input(_) = plan.buffer(output).place {
                return Err(broken("writes an input"));
            }
        }
        for (space, _, _, end) in step.inputs.iter().chain(&step.outputs).map(|&id| extent(id)) {
            if space == 0 && end > plan.scratch_at {
                return Err(broken("leaves the arena"));
            }
        }
        if step.outputs.is_empty() || step.scratch > plan.scratch {
            return Err(broken("has no result, or needs more scratch memory than planned"));
        }
    }
    if plan.scratch.checked_mul(plan.options.threads).and_then(|n| n.checked_add(plan.scratch_at)) != Some(plan.arena) {
        return Err(PlanError::Internal("the scratch is not the end of the arena".to_owned()));
    }
    Ok(())
}

/// The memory of a run: the arena, the caller's inputs, and the outputs.
pub(super) struct Memory<'a> {
    plan: &'a Plan,
    arena: *mut f32,
    inputs: Vec<&'a [f32]>,
    outputs: Vec<*mut f32>,
    /// The seed and the step number, from which dropout derives its mask.
    pub noise: [u64; 2],
    borrowed: PhantomData<&'a mut [f32]>,
}

impl<'a> Memory<'a> {
    /// `None` if a slice does not have the planned length. The plan must have passed [`verify`].
    pub fn new(
        plan: &'a Plan,
        arena: &'a mut [f32],
        inputs: Vec<&'a [f32]>,
        outputs: Vec<&'a mut [f32]>,
        noise: [u64; 2],
    ) -> Option<Memory<'a>> {
        let fits = |place: Place, len: usize| match place {
            Place::Arena(_) => true,
            Place::Input(i) => inputs.get(i).is_some_and(|x| x.len() == len),
            Place::Output(i) => outputs.get(i).is_some_and(|x| x.len() == len),
        };
        if arena.len() < plan.arena || !plan.buffers.iter().all(|b| fits(b.place, b.len)) {
            return None;
        }
        let outputs = outputs.into_iter().map(<[f32]>::as_mut_ptr).collect();
        Some(Memory { plan, arena: arena.as_mut_ptr(), inputs, outputs, noise, borrowed: PhantomData })
    }

    /// The plan that defines the memory layout.
    pub fn plan(&self) -> &'a Plan {
        self.plan
    }

    fn start(&self, id: BufferId) -> (*mut f32, usize) {
        let buffer = self.plan.buffer(id);
        let start = match buffer.place {
            Place::Arena(offset) => self.arena.wrapping_add(offset),
            Place::Input(i) => self.inputs[i].as_ptr().cast_mut(),
            Place::Output(i) => self.outputs[i],
        };
        (start, buffer.len)
    }

    /// A buffer that the current step reads.
    pub fn read(&self, id: BufferId) -> &[f32] {
        let (start, len) = self.start(id);
        // SAFETY: `new` and `verify` ensure that the buffer is within memory borrowed for 'a; the step's outputs, the only
        // other live views, do not overlap it
        unsafe { std::slice::from_raw_parts(start, len) }
    }

    /// An output of a step.
    ///
    /// # Safety
    /// `id` is an output of the current step, no view of that buffer exists (not even as an input), and all views of other
    /// buffers belong to this step.
    #[allow(clippy::mut_from_ref, reason = "disjoint by the plan, as checked by `verify`")]
    pub unsafe fn write(&self, id: BufferId) -> &mut [f32] {
        let (start, len) = self.start(id);
        // SAFETY: as in `read`; `verify` ensures that no network input is written
        unsafe { std::slice::from_raw_parts_mut(start, len) }
    }

    /// The scratch memory of all threads.
    ///
    /// # Safety
    /// No other view of it exists.
    #[allow(clippy::mut_from_ref, reason = "after every buffer, as checked by `verify`")]
    pub unsafe fn scratch(&self) -> &mut [f32] {
        let len = self.plan.arena - self.plan.scratch_at;
        // SAFETY: the end of the arena; `new` checked that the arena is long enough
        unsafe { std::slice::from_raw_parts_mut(self.arena.wrapping_add(self.plan.scratch_at), len) }
    }
}
