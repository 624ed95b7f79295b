//! Views of a plan's buffers. This is the only place where the runtime hands out memory that the borrow checker cannot track.

use std::marker::PhantomData;

use crate::base::tensor::{DType, Element};
use crate::ir::{Slice, SliceMut};
use crate::kernels::aligned::LINE_BYTES;
use crate::plan::{Buffer, BufferId, Kernel, Place, Plan, PlanError, RowLoop};

/// Checks what [`Memory`] relies on: within each step, no output overlaps another output or an input, unless the kernel may
/// overwrite that input and both are the same buffer; every buffer is inside the arena, before the scratch, and aligned; and
/// kernels get elements of the type that they compute with.
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
                if overlap(input, output) && !(step.kernel.may_overwrite(slot) && input == output) {
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
        for &id in step.inputs.iter().chain(&step.outputs) {
            let Buffer { dtype, place, .. } = *plan.buffer(id);
            if let Place::Arena(offset) = place
                && (extent(id).3 > plan.scratch_at || offset % dtype.size() != 0)
            {
                return Err(broken("leaves the arena, or is not aligned in it"));
            }
            let computes = match &step.kernel {
                Kernel::Custom(_) => matches!(dtype, DType::F32 | DType::I64 | DType::I32),
                _ => dtype == DType::F32,
            };
            if !computes {
                return Err(broken(&format!("cannot compute with {dtype}")));
            }
        }
        if step.outputs.is_empty() || step.scratch > plan.scratch {
            return Err(broken("has no result, or needs more scratch memory than planned"));
        }
    }
    let mut end = 0;
    for RowLoop { steps, counts, rows, .. } in &plan.loops {
        let Buffer { dtype, len, .. } = *plan.buffer(*counts);
        let fits = dtype == DType::I32 && len == plan.options.batch * dtype.size() && *rows > 0;
        if !fits || steps.start < end || steps.is_empty() || steps.end > plan.steps.len() {
            return Err(PlanError::Internal("a loop over counted rows is not what it should be".to_owned()));
        }
        end = steps.end;
    }
    if plan.scratch.checked_mul(plan.options.threads).and_then(|n| n.checked_add(plan.scratch_at)) != Some(plan.arena) {
        return Err(PlanError::Internal("the scratch is not the end of the arena".to_owned()));
    }
    if !plan.scratch_at.is_multiple_of(LINE_BYTES) {
        return Err(PlanError::Internal("the scratch does not begin at a cache line".to_owned()));
    }
    Ok(())
}

/// The memory of a run: the arena, the caller's inputs, and the outputs.
pub(super) struct Memory<'a> {
    plan: &'a Plan,
    arena: *mut u8,
    inputs: Vec<&'a [u8]>,
    outputs: Vec<*mut u8>,
    /// The seed and the step number, from which dropout derives its mask.
    pub noise: [u64; 2],
    borrowed: PhantomData<&'a mut [u8]>,
}

impl<'a> Memory<'a> {
    /// `None` if a slice does not have the planned length, or is not aligned. The plan must have passed [`verify`].
    pub fn new(
        plan: &'a Plan,
        arena: &'a mut [f32],
        inputs: Vec<&'a [u8]>,
        outputs: Vec<&'a mut [u8]>,
        noise: [u64; 2],
    ) -> Option<Memory<'a>> {
        let arena: &mut [u8] = bytemuck::cast_slice_mut(arena);
        let fits = |buffer: &Buffer| {
            let bytes: Option<&[u8]> = match buffer.place {
                Place::Arena(_) => return (arena.as_ptr() as usize).is_multiple_of(buffer.dtype.size()),
                Place::Input(i) => inputs.get(i).copied(),
                Place::Output(i) => outputs.get(i).map(|y| &**y),
            };
            bytes.is_some_and(|x| x.len() == buffer.len && (x.as_ptr() as usize).is_multiple_of(buffer.dtype.size()))
        };
        if arena.len() < plan.arena || !plan.buffers.iter().all(fits) {
            return None;
        }
        let outputs = outputs.into_iter().map(<[u8]>::as_mut_ptr).collect();
        Some(Memory { plan, arena: arena.as_mut_ptr(), inputs, outputs, noise, borrowed: PhantomData })
    }

    /// The plan that defines the memory layout.
    pub fn plan(&self) -> &'a Plan {
        self.plan
    }

    /// The start of a buffer, and its number of elements. A kernel that asks for another type than the buffer's panics, which the
    /// run reports as an error.
    fn start<T: Element>(&self, id: BufferId) -> (*mut T, usize) {
        let buffer = self.plan.buffer(id);
        assert_eq!(buffer.dtype, T::DTYPE, "the type of a buffer");
        let start = match buffer.place {
            Place::Arena(offset) => self.arena.wrapping_add(offset),
            Place::Input(i) => self.inputs[i].as_ptr().cast_mut(),
            Place::Output(i) => self.outputs[i],
        };
        (start.cast(), buffer.len / size_of::<T>())
    }

    /// A buffer that the current step reads.
    pub fn read<T: Element>(&self, id: BufferId) -> &[T] {
        let (start, len) = self.start(id);
        // SAFETY: `new` and `verify` ensure that the buffer is aligned and within memory borrowed for 'a, and any bytes are valid
        // elements; the step's outputs, the only other live views, do not overlap it
        unsafe { std::slice::from_raw_parts(start, len) }
    }

    /// An output of a step.
    ///
    /// # Safety
    /// `id` is an output of the current step, no view of that buffer exists (not even as an input), and all views of other
    /// buffers belong to this step.
    #[allow(clippy::mut_from_ref, reason = "disjoint by the plan, as checked by `verify`")]
    pub unsafe fn write<T: Element>(&self, id: BufferId) -> &mut [T] {
        let (start, len) = self.start(id);
        // SAFETY: as in `read`; `verify` ensures that no network input is written
        unsafe { std::slice::from_raw_parts_mut(start, len) }
    }

    /// Like [`Memory::read`], for a buffer of any type that an operator of the program may have.
    pub fn slice(&self, id: BufferId) -> Slice<'_> {
        match self.plan.buffer(id).dtype {
            DType::I64 => Slice::I64(self.read(id)),
            DType::I32 => Slice::I32(self.read(id)),
            // panics if it is another one, which `verify` rules out
            _ => Slice::F32(self.read(id)),
        }
    }

    /// Like [`Memory::write`], for a buffer of any type that an operator of the program may have.
    ///
    /// # Safety
    /// As for [`Memory::write`].
    pub unsafe fn slice_mut(&self, id: BufferId) -> SliceMut<'_> {
        // SAFETY: the caller's
        unsafe {
            match self.plan.buffer(id).dtype {
                DType::I64 => SliceMut::I64(self.write(id)),
                DType::I32 => SliceMut::I32(self.write(id)),
                _ => SliceMut::F32(self.write(id)),
            }
        }
    }

    /// The scratch memory of all threads.
    ///
    /// # Safety
    /// No other view of it exists.
    #[allow(clippy::mut_from_ref, reason = "after every buffer, as checked by `verify`")]
    pub unsafe fn scratch(&self) -> &mut [f32] {
        let len = (self.plan.arena - self.plan.scratch_at) / size_of::<f32>();
        // SAFETY: the end of the arena, from a whole cache line; `new` checked that the arena is long enough
        unsafe { std::slice::from_raw_parts_mut(self.arena.wrapping_add(self.plan.scratch_at).cast(), len) }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;
    use crate::driver::Frontend;
    use crate::kernels::{Aligned, Isa};
    use crate::passes;
    use crate::plan::{PlanOptions, Settings, Step, plan};

    /// Two convolutions, and a sum of both: three buffers in the arena.
    fn planned() -> Plan {
        let text = "resnet 1\nnetwork net {\ninput 4 x 8 x 8\nconv 3x3, filters: 4 as a\nconv 3x3, filters: 4\nadd a\n\
                    conv 3x3, filters: 4\nflatten\n}\n";
        let mut front = Frontend::text("net.resnet", text);
        let checked = front.check("net", &[]).unwrap();
        plan(&passes::inference(checked.canonical()), &PlanOptions::new(2, 1, Isa::Portable), &Settings::default()).unwrap()
    }

    #[test]
    fn a_plan_that_breaks_what_views_rely_on_is_refused() {
        assert_eq!(verify(&planned()), Ok(()));
        let refused = |change: &dyn Fn(&mut Plan)| {
            let mut plan = planned();
            change(&mut plan);
            verify(&plan).unwrap_err().to_string()
        };
        let in_arena = |plan: &Plan| plan.steps.iter().map(Step::output).find(|id| is_in_arena(plan, *id)).unwrap();
        let said = refused(&|plan| {
            let id = in_arena(plan).0;
            plan.buffers[id].dtype = DType::I32;
        });
        assert!(said.contains("cannot compute with I32"), "{said}");
        let said = refused(&|plan| {
            let id = in_arena(plan).0;
            plan.buffers[id].place = Place::Arena(2);
        });
        assert!(said.contains("is not aligned in it"), "{said}");
        let said = refused(&|plan| {
            let id = in_arena(plan).0;
            plan.buffers[id].place = Place::Arena(plan.scratch_at);
        });
        assert!(said.contains("leaves the arena"), "{said}");
        let said = refused(&|plan| {
            let output = plan.steps[0].output();
            plan.steps[0].outputs.push(output);
        });
        assert!(said.contains("writes two results to the same place"), "{said}");
        let said = refused(&|plan| plan.steps[0].outputs.clear());
        assert!(said.contains("has no result"), "{said}");
        let said = refused(&|plan| plan.steps[0].outputs = plan.steps[0].inputs.clone());
        assert!(said.contains("reads what it writes") || said.contains("writes an input"), "{said}");
        let said = refused(&|plan| {
            let counts = plan.steps[0].output();
            plan.loops.push(RowLoop { steps: 1..2, counts, bound: 4, rows: 1 });
        });
        assert!(said.contains("a loop over counted rows"), "{said}");
    }

    fn is_in_arena(plan: &Plan, id: BufferId) -> bool {
        matches!(plan.buffer(id).place, Place::Arena(_))
    }

    #[test]
    fn a_view_of_another_type_is_an_error() {
        let plan = planned();
        let (input, mut output) = (vec![0f32; 2 * 4 * 64], vec![0f32; 2 * 4 * 64]);
        let (mut arena, mut other) = (Aligned::zeroed(plan.arena / 4).unwrap(), Aligned::zeroed(plan.arena / 4).unwrap());
        let inputs = || vec![bytemuck::cast_slice(&input)];
        let mut short = output[1..].to_vec();
        assert!(Memory::new(&plan, &mut other, inputs(), vec![bytemuck::cast_slice_mut(&mut short)], [0; 2]).is_none());
        let memory = Memory::new(&plan, &mut arena, inputs(), vec![bytemuck::cast_slice_mut(&mut output)], [0; 2]).unwrap();
        let id = plan.steps[0].output();
        assert_eq!(memory.read::<f32>(id).len(), 2 * 4 * 64);
        assert!(catch_unwind(AssertUnwindSafe(|| memory.read::<i32>(id).len())).is_err());
        assert!(matches!(memory.slice(id), Slice::F32(_)));
    }
}
