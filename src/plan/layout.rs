//! Assigns every value its layout: blocked between steps that have blocked kernels, plain at the boundaries, with as few
//! conversions as possible. Convolutions get their strategy here, since it depends on the layout of their input.

use std::collections::HashMap;

use super::strategy::{self, Choice, ConvLayout, ConvQuery};
use super::{Buffer, BufferId, Kernel, Place, Plan, PlanError, RowLoop, Step, WeightId, WeightLayout, WeightSource};
use crate::ir::{NormOver, SampleNorm, Train};
use crate::kernels::Layout;

/// The layouts of a plan's values. They do not depend on the strategies of its convolutions.
pub(super) struct Layouts {
    lanes: usize,
    /// Empty if all values are plain.
    steps: Vec<StepLayout>,
}

/// The layout of a step's values.
#[derive(Clone, Copy)]
struct StepLayout {
    /// Whether its feature maps are blocked.
    blocked: bool,
    /// Whether its first input is plain all the same.
    plain_input: bool,
}

impl Layouts {
    /// The layouts for a plan whose values are all plain. They stay so for an instruction set without its own kernels.
    pub fn of(plan: &Plan) -> Layouts {
        let lanes = plan.options.isa.lanes();
        let mut layouts = Layouts { lanes, steps: Vec::new() };
        if lanes > 1 {
            let mut has_blocked = vec![false; plan.buffers.len()];
            layouts.steps = plan.steps.iter().map(|step| layouts.step(plan, step, &mut has_blocked)).collect();
        }
        layouts
    }

    /// The convolutions whose strategies [`Layouts::assign`] needs, in its order.
    pub fn queries<'a>(&self, plan: &'a Plan) -> Vec<ConvQuery<'a>> {
        let query = |(step, layout): (&'a Step, &StepLayout)| {
            let Kernel::Conv { shape, .. } = &step.kernel else { return None };
            let is_gradient = |w: &WeightId| matches!(plan.weights[w.0].source, WeightSource::Transposed { .. });
            let gradient = step.weights.first().is_some_and(is_gradient);
            let layout = match *layout {
                StepLayout { blocked: false, .. } => ConvLayout::Plain,
                StepLayout { plain_input: true, .. } => ConvLayout::FromPlain,
                StepLayout { .. } => ConvLayout::Blocked,
            };
            Some(ConvQuery { name: &step.name, shape, layout, gradient })
        };
        plan.steps.iter().zip(&self.steps).filter_map(query).collect()
    }

    /// Converts values between layouts where needed, and applies the strategies of the convolutions.
    pub fn assign(self, plan: &mut Plan, choices: Vec<Choice>) -> Result<(), PlanError> {
        if self.steps.is_empty() {
            return Ok(());
        }
        let Layouts { lanes, steps: layouts } = self;
        let steps = std::mem::take(&mut plan.steps);
        let mut choices = choices.into_iter();
        let mut assignment = Assignment { plan, blocked: Layout::Blocked { lanes }, lanes, copies: HashMap::new() };
        let loops = std::mem::take(&mut assignment.plan.loops);
        for (index, step) in steps.iter().enumerate() {
            if let Some(rows) = loops.iter().find(|rows| rows.steps.start == index) {
                assignment.before_loop(&steps[rows.steps.clone()], &layouts[rows.steps.clone()])?;
                let start = assignment.plan.steps.len();
                assignment.plan.loops.push(RowLoop { steps: start..start, ..rows.clone() });
            }
            assignment.step(step.clone(), layouts[index], &mut choices)?;
            let end = assignment.plan.steps.len();
            if loops.iter().any(|rows| rows.steps.contains(&index))
                && let Some(moved) = assignment.plan.loops.last_mut()
            {
                moved.steps.end = end;
            }
        }
        Ok(())
    }

    /// The layout of a step. `has_blocked` says which buffers have blocked values, or a blocked copy of them.
    fn step(&self, plan: &Plan, step: &Step, has_blocked: &mut [bool]) -> StepLayout {
        let any_blocked = step.inputs.iter().any(|id| has_blocked[id.0]);
        let (blocked, plain_input) = match &step.kernel {
            Kernel::Conv { shape, .. } => match strategy::layout(shape, !has_blocked[step.inputs[0].0], plan.options.isa) {
                ConvLayout::Plain => (false, false),
                ConvLayout::FromPlain => (true, true),
                ConvLayout::Blocked => (true, false),
            },
            // fused from two blocked convolutions, after layouts are assigned
            Kernel::FusedConvPair { .. } => (true, false),
            Kernel::ChannelConv(_)
            | Kernel::Linear { .. }
            | Kernel::Softmax { .. }
            | Kernel::Rearrange { .. }
            | Kernel::Convert { .. }
            | Kernel::Custom(_) => (false, false),
            Kernel::Train(train) => {
                // blocked if a feature map that it reads is blocked, or has the same order in both layouts
                let in_blocks = |slot: usize| {
                    let id = step.inputs[slot];
                    train.is_map(slot) && (has_blocked[id.0] || is_either(plan.buffer(id).sizes, self.lanes))
                };
                let blocked = train.supports_blocked() && (0..step.inputs.len()).any(in_blocks);
                (blocked, blocked && !in_blocks(0) && train.conv().is_some_and(|conv| strategy::reads_plain(&conv)))
            }
            // each value has its weight, in the plain order
            Kernel::SampleNorm { norm: SampleNorm { over: NormOver::All, .. }, .. } => (false, false),
            Kernel::Elementwise(_)
            | Kernel::ScaleShift { .. }
            | Kernel::SampleNorm { .. }
            | Kernel::OverChannels(_)
            | Kernel::L2Norm { .. }
            | Kernel::Copy
            | Kernel::Concat { .. }
            | Kernel::Pool(_)
            | Kernel::AdaptiveAvg { .. }
            | Kernel::Pad(_)
            | Kernel::Subsample { .. }
            | Kernel::Slice { .. }
            | Kernel::Shuffle { .. }
            | Kernel::Upsample(_)
            | Kernel::Interpolate(_) => (any_blocked && !reads_flattened(plan, step), false),
        };
        let layout = StepLayout { blocked, plain_input };
        for (slot, id) in step.inputs.iter().enumerate() {
            has_blocked[id.0] |= layout.reads_blocked(step, slot) && !is_either(plan.buffer(*id).sizes, self.lanes);
        }
        has_blocked[step.output().0] |= layout.writes_blocked(step);
        layout
    }
}

impl StepLayout {
    /// Whether the step reads an input in blocks. Values of the whole batch are always plain.
    fn reads_blocked(self, step: &Step, slot: usize) -> bool {
        let is_map = match &step.kernel {
            Kernel::Train(train) => train.is_map(slot),
            Kernel::Elementwise(function) => function.has_result_layout(slot),
            _ => true,
        };
        self.blocked && is_map && !(self.plain_input && slot == 0)
    }

    /// Whether the step writes its result in blocks.
    fn writes_blocked(self, step: &Step) -> bool {
        let is_map = match &step.kernel {
            Kernel::Train(train) => train.yields_per_sample,
            // a single channel
            Kernel::OverChannels(_) => false,
            _ => true,
        };
        self.blocked && is_map
    }
}

/// Whether a step reads a feature map as the vector of its features, whose order is that of the plain layout.
fn reads_flattened(plan: &Plan, step: &Step) -> bool {
    let is_map = |id: &BufferId| {
        let [.., h, w] = plan.buffer(*id).sizes;
        h * w > 1
    };
    step.shape.len() == 2 && step.inputs.iter().any(is_map)
}

/// Whether a value has the same order in both layouts: 1 x 1 pixels, and channels that fill whole blocks.
fn is_either([_, channels, h, w]: [usize; 4], lanes: usize) -> bool {
    h * w == 1 && channels.is_multiple_of(lanes)
}

struct Assignment<'a> {
    plan: &'a mut Plan,
    blocked: Layout,
    lanes: usize,
    /// Copies of buffers in the other layout.
    copies: HashMap<BufferId, BufferId>,
}

impl Assignment<'_> {
    fn step(&mut self, mut step: Step, layout: StepLayout, choices: &mut impl Iterator<Item = Choice>) -> Result<(), PlanError> {
        match &mut step.kernel {
            Kernel::Conv { strategy, .. } => {
                let missing = || PlanError::Internal(format!("`{}` has no strategy", step.name));
                let choice = choices.next().ok_or_else(missing)?;
                for (weight, layout) in step.weights.iter().zip([choice.layouts.0, choice.layouts.1]) {
                    self.plan.weights[weight.0].layout = layout;
                }
                (*strategy, step.scratch, step.why) = (choice.strategy, choice.scratch * size_of::<f32>(), choice.why);
            }
            Kernel::SampleNorm { norm: SampleNorm { over: NormOver::Channels, .. }, .. } if layout.blocked => {
                self.fill_blocks(&step.weights);
            }
            Kernel::Train(train) => {
                if layout.blocked {
                    train.layout = self.blocked;
                    if let Train::SampleNormGradInput(SampleNorm { over: NormOver::Channels, .. }) = train.op {
                        self.fill_blocks(&step.weights);
                    }
                }
                train.plain = layout.plain_input;
                let options = &self.plan.options;
                step.scratch = train.scratch(options.isa, options.threads).div_ceil(options.threads) * size_of::<f32>();
            }
            Kernel::Interpolate(map) if layout.blocked => step.scratch = map.scratch(self.lanes) * size_of::<f32>(),
            _ => {}
        }
        let inputs: Vec<Layout> = (0..step.inputs.len()).map(|slot| self.reads(&step, layout, slot)).collect();
        let output = if layout.writes_blocked(&step) { self.blocked } else { Layout::Nchw };
        for (id, layout) in step.inputs.iter_mut().zip(inputs) {
            *id = self.view(*id, layout)?;
        }
        self.push(step, output)
    }

    /// Fills weights of one number for each channel up to whole blocks.
    fn fill_blocks(&mut self, weights: &[WeightId]) {
        for weight in weights {
            self.plan.weights[weight.0].layout = WeightLayout::Channels { lanes: self.lanes };
        }
    }

    /// The layout in which a step reads an input.
    fn reads(&self, step: &Step, layout: StepLayout, slot: usize) -> Layout {
        if layout.reads_blocked(step, slot) { self.blocked } else { Layout::Nchw }
    }

    /// Converts what the steps of a loop read from before it, so that no chunk does it again.
    fn before_loop(&mut self, steps: &[Step], layouts: &[StepLayout]) -> Result<(), PlanError> {
        for (step, &layout) in steps.iter().zip(layouts) {
            for (slot, &id) in step.inputs.iter().enumerate() {
                if !steps.iter().any(|inner| inner.outputs.contains(&id)) {
                    self.view(id, self.reads(step, layout, slot))?;
                }
            }
        }
        Ok(())
    }

    /// The value of a buffer in a layout: the buffer itself, or a converted copy.
    fn view(&mut self, id: BufferId, layout: Layout) -> Result<BufferId, PlanError> {
        let buffer = self.plan.buffer(id);
        if buffer.layout == layout || is_either(buffer.sizes, self.lanes) {
            return Ok(id);
        }
        if let Some(&copy) = self.copies.get(&id) {
            return Ok(copy);
        }
        let copy = self.buffer_like(id, layout)?;
        self.convert(id, copy);
        self.copies.insert(id, copy);
        self.copies.insert(copy, id);
        Ok(copy)
    }

    fn push(&mut self, mut step: Step, layout: Layout) -> Result<(), PlanError> {
        let output = step.output();
        if layout == Layout::Nchw {
            self.plan.steps.push(step);
            return Ok(());
        }
        if let Place::Output(_) = self.plan.buffer(output).place {
            // outputs are plain
            let inner = self.buffer_like(output, layout)?;
            step.outputs = vec![inner];
            self.plan.steps.push(step);
            self.convert(inner, output);
            self.copies.insert(output, inner);
            self.copies.insert(inner, output);
            return Ok(());
        }
        self.plan.buffers[output.0] = self.in_layout(output, layout)?;
        self.plan.steps.push(step);
        Ok(())
    }

    fn convert(&mut self, from: BufferId, to: BufferId) {
        let blocked = self.plan.buffer(to).layout == self.blocked;
        let sizes = self.plan.buffer(from).sizes;
        self.plan.steps.push(Step {
            name: if blocked { "to blocks of channels" } else { "to plain maps" }.to_owned(),
            kernel: Kernel::Convert { sizes, blocked },
            inputs: vec![from],
            outputs: vec![to],
            weights: Vec::new(),
            scratch: 0,
            shape: sizes.to_vec(),
            why: String::new(),
        });
    }

    /// A new buffer for the value of another one, in this layout.
    fn buffer_like(&mut self, id: BufferId, layout: Layout) -> Result<BufferId, PlanError> {
        let buffer = self.in_layout(id, layout)?;
        self.plan.buffers.push(buffer);
        Ok(BufferId(self.plan.buffers.len() - 1))
    }

    fn in_layout(&self, id: BufferId, layout: Layout) -> Result<Buffer, PlanError> {
        let Buffer { sizes, dtype, .. } = *self.plan.buffer(id);
        let too_large = || PlanError::TooLarge { batch: self.plan.options.batch, node: self.plan.name.clone() };
        Buffer::new(&sizes, dtype, layout, Place::Arena(0)).ok_or_else(too_large)
    }
}
