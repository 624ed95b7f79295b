//! Assigns every value its layout: blocked between steps that have blocked kernels, plain at the boundaries, with as few
//! conversions as possible. Convolutions get their strategy here, since it depends on the layout of their input.

use std::collections::HashMap;

use super::strategy::{self, Choice};
use super::{Buffer, BufferId, ConvStrategy, Kernel, Place, Plan, PlanError, Step, WeightLayout, WeightSource};
use crate::kernels::{ConvShape, Layout};

/// A convolution that needs a strategy.
#[derive(Clone, Copy, Debug)]
pub(super) struct ConvQuery<'a> {
    pub name: &'a str,
    pub shape: &'a ConvShape,
    /// Whether its input is plain.
    pub plain: bool,
    /// Whether it computes a gradient.
    pub gradient: bool,
}

/// Chooses the strategy of a convolution.
pub(super) type Pick<'a> = dyn FnMut(&ConvQuery<'_>) -> Choice + 'a;

/// Assigns layouts in a plan whose values are all plain. Does nothing for an instruction set without its own kernels.
pub(super) fn assign(plan: &mut Plan, pick: &mut Pick<'_>) -> Result<(), PlanError> {
    let lanes = plan.options.isa.lanes();
    if lanes == 1 {
        return Ok(());
    }
    let steps = std::mem::take(&mut plan.steps);
    let mut sizes = vec![[1; 4]; plan.buffers.len()];
    for (index, buffer) in plan.buffers.iter().enumerate() {
        if let Place::Input(i) = buffer.place {
            sizes[index] = four(&plan.inputs[i].shape);
        }
    }
    for step in &steps {
        sizes[step.output.0] = four(&step.shape);
    }
    let mut assignment = Assignment { plan, blocked: Layout::Blocked { lanes }, lanes, sizes, copies: HashMap::new() };
    for step in steps {
        assignment.step(step, pick)?;
    }
    Ok(())
}

/// Sizes as samples, channels, height, width. A feature vector is a 1 x 1 feature map.
fn four(shape: &[usize]) -> [usize; 4] {
    [0, 1, 2, 3].map(|i| shape.get(i).copied().unwrap_or(1))
}

struct Assignment<'a> {
    plan: &'a mut Plan,
    blocked: Layout,
    lanes: usize,
    /// The sizes of each buffer.
    sizes: Vec<[usize; 4]>,
    /// Copies of buffers in the other layout.
    copies: HashMap<BufferId, BufferId>,
}

impl Assignment<'_> {
    fn step(&mut self, mut step: Step, pick: &mut Pick<'_>) -> Result<(), PlanError> {
        let is_blocked = |&id: &BufferId| self.plan.buffer(id).layout == self.blocked || self.copies.contains_key(&id);
        let some = step.inputs.iter().any(is_blocked);
        let blocked = match &mut step.kernel {
            Kernel::Conv { shape, strategy, .. } => {
                let plain = !is_blocked(&step.inputs[0]);
                let (weight, bias) = (step.weights.first(), step.weights.get(1));
                let gradient = weight.is_some_and(|w| matches!(self.plan.weights[w.0].source, WeightSource::Turned { .. }));
                let asked = ConvQuery { name: &step.name, shape, plain, gradient };
                let Choice { strategy: chosen, scratch, forms, why, .. } = pick(&asked);
                if let Some(weight) = weight {
                    self.plan.weights[weight.0].form = forms.0;
                }
                if let Some(bias) = bias {
                    self.plan.weights[bias.0].form = forms.1;
                }
                (*strategy, step.scratch, step.why) = (chosen, scratch, why);
                match chosen {
                    ConvStrategy::Gemm(_) | ConvStrategy::Taps => false,
                    ConvStrategy::Direct { plain: true, .. } => {
                        // only the residual is blocked
                        let input = step.inputs[0];
                        let first = self.view(input, Layout::Nchw)?;
                        for slot in 1..step.inputs.len() {
                            step.inputs[slot] = self.view(step.inputs[slot], self.blocked)?;
                        }
                        step.inputs[0] = first;
                        return self.push(step, self.blocked);
                    }
                    ConvStrategy::Direct { plain: false, .. } | ConvStrategy::Winograd(_) | ConvStrategy::Depthwise => true,
                }
            }
            // fused from two blocked convolutions, after layouts are assigned
            Kernel::FusedConvPair { .. } => true,
            Kernel::Linear { .. } | Kernel::Softmax { .. } | Kernel::Convert { .. } => false,
            Kernel::Train(_) => return self.train(step),
            Kernel::Add { .. }
            | Kernel::Mul { .. }
            | Kernel::ChannelMul { .. }
            | Kernel::ScaleShift { .. }
            | Kernel::Activate { .. }
            | Kernel::Concat { .. }
            | Kernel::Pool(_)
            | Kernel::AdaptiveAvg { .. }
            | Kernel::Pad(_)
            | Kernel::Subsample { .. }
            | Kernel::Upsample { .. }
            | Kernel::Clamp { .. }
            | Kernel::Scale { .. } => some,
        };
        let layout = if blocked { self.blocked } else { Layout::Nchw };
        for slot in 0..step.inputs.len() {
            step.inputs[slot] = self.view(step.inputs[slot], layout)?;
        }
        self.push(step, layout)
    }

    /// A training step is blocked if a feature map that it reads is blocked, or has the same order in both layouts. Unbatched
    /// values stay plain.
    fn train(&mut self, mut step: Step) -> Result<(), PlanError> {
        let Kernel::Train(train) = &mut step.kernel else { return self.push(step, Layout::Nchw) };
        let in_blocks: Vec<bool> = (0..step.inputs.len())
            .map(|slot| {
                let id = step.inputs[slot];
                let held = self.plan.buffer(id).layout == self.blocked || self.copies.contains_key(&id);
                train.is_map(slot) && (held || self.is_either(id))
            })
            .collect();
        if train.supports_blocked() && in_blocks.contains(&true) {
            train.layout = self.blocked;
            train.plain = train.conv().is_some_and(|conv| !in_blocks[0] && strategy::reads_plain(&conv));
        }
        let options = &self.plan.options;
        step.scratch = train.scratch(options.isa, options.threads).div_ceil(options.threads);
        let (layout, plain) = (train.layout, train.plain);
        let maps: Vec<bool> = (0..step.inputs.len()).map(|slot| train.is_map(slot)).collect();
        let is_map = train.op.is_batched();
        for (slot, is_map) in maps.into_iter().enumerate() {
            let layout = if !is_map || plain && slot == 0 { Layout::Nchw } else { layout };
            step.inputs[slot] = self.view(step.inputs[slot], layout)?;
        }
        self.push(step, if is_map { layout } else { Layout::Nchw })
    }

    /// Whether a value has the same order in both layouts: 1 x 1 pixels, and channels that fill whole blocks.
    fn is_either(&self, id: BufferId) -> bool {
        let [_, channels, h, w] = self.sizes[id.0];
        h * w == 1 && channels.is_multiple_of(self.lanes)
    }

    /// The value of a buffer in a layout: the buffer itself, or a converted copy.
    fn view(&mut self, id: BufferId, layout: Layout) -> Result<BufferId, PlanError> {
        if self.plan.buffer(id).layout == layout || self.is_either(id) {
            return Ok(id);
        }
        if let Some(&copy) = self.copies.get(&id) {
            return Ok(copy);
        }
        let copy = self.buffer(self.sizes[id.0], layout)?;
        self.convert(id, copy);
        self.copies.insert(id, copy);
        self.copies.insert(copy, id);
        Ok(copy)
    }

    fn push(&mut self, mut step: Step, layout: Layout) -> Result<(), PlanError> {
        let output = step.output;
        let sizes = self.sizes[output.0];
        if layout == Layout::Nchw {
            self.plan.steps.push(step);
            return Ok(());
        }
        if let Place::Output(_) = self.plan.buffer(output).place {
            // outputs are plain
            let inner = self.buffer(sizes, layout)?;
            step.output = inner;
            self.plan.steps.push(step);
            self.convert(inner, output);
            self.copies.insert(output, inner);
            self.copies.insert(inner, output);
            return Ok(());
        }
        self.plan.buffers[output.0] = Buffer { len: self.len(sizes, layout)?, layout, place: Place::Arena(0) };
        self.plan.steps.push(step);
        Ok(())
    }

    fn convert(&mut self, from: BufferId, to: BufferId) {
        let blocked = self.plan.buffer(to).layout == self.blocked;
        let sizes = self.sizes[from.0];
        self.plan.steps.push(Step {
            name: if blocked { "to blocks of channels" } else { "to plain maps" }.to_owned(),
            kernel: Kernel::Convert { sizes, blocked },
            inputs: vec![from],
            output: to,
            weights: Vec::new(),
            scratch: 0,
            shape: sizes.to_vec(),
            why: String::new(),
        });
    }

    fn buffer(&mut self, sizes: [usize; 4], layout: Layout) -> Result<BufferId, PlanError> {
        let len = self.len(sizes, layout)?;
        self.plan.buffers.push(Buffer { len, layout, place: Place::Arena(0) });
        self.sizes.push(sizes);
        Ok(BufferId(self.plan.buffers.len() - 1))
    }

    fn len(&self, sizes: [usize; 4], layout: Layout) -> Result<usize, PlanError> {
        let len = layout.len(sizes).filter(|&n| n < isize::MAX as usize >> 6);
        len.ok_or_else(|| PlanError::TooLarge { batch: self.plan.options.batch, node: self.plan.name.clone() })
    }
}

/// The layouts of a convolution's weight and bias if values are plain.
pub(super) const PLAIN: (WeightLayout, WeightLayout) = (WeightLayout::Plain, WeightLayout::Plain);
