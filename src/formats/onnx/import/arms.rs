//! Channels in groups that are the values of several paths, as selective kernels and split attention stack them: `[2, 64, H, W]` of
//! 128 channels. Their sum is that of slices, and weights of the paths are those of their channels.

use super::Importer;
use super::axes::Axes;
use super::call::Call;
use super::dispatch::ImportResult;
use super::flow::Flow;
use super::readers::ELEMENTWISE;
use super::values::Known;
use crate::ir::{Broadcast, Elementwise, Op, Rearrange, Value};

/// The maximum number of paths.
const MAX_ARMS: usize = 64;

impl Importer<'_> {
    /// The result of a node that reads stacked paths, or other axes that it leaves alone; `None` if it is imported as any other.
    pub(super) fn of_arms(&mut self, call: &Call<'_>) -> Option<ImportResult<Known>> {
        let operands = (0..call.node.input.len()).map(|slot| self.known(call, slot));
        let axes: Vec<Axes> = operands
            .filter_map(|known| match known {
                Some(Known::Axes(axes)) => Some(axes.clone()),
                _ => None,
            })
            .collect();
        match (call.node.op_type(), &axes[..]) {
            (_, []) => None,
            ("ReduceSum", [arms]) if arms.dims().len() == ARM_AXES => Some(self.sum_of_arms(call, arms)),
            ("Mul", [a, b]) if a.dims().len() == ARM_AXES && b.dims().len() == ARM_AXES => Some(self.weighted_arms(call, a, b)),
            ("Concat", all) if all.len() == call.node.input.len() => self.stacked(call, all),
            ("MatMul", [map, weights]) => self.weighted_places(call, map, weights).or_else(|| self.settle(call)),
            ("MatMul", _) => self.settle(call),
            (op, [one]) if ELEMENTWISE.contains(&op) => self.of_values(call, one),
            _ => None,
        }
    }

    /// Makes operands with other axes feature maps, for an operator that reads no others.
    fn settle(&mut self, call: &Call<'_>) -> Option<ImportResult<Known>> {
        for slot in 0..call.node.input.len() {
            let Some(Known::Axes(axes)) = self.known(call, slot) else { continue };
            let axes = axes.clone();
            match self.rearranged(call, &axes) {
                Ok(flow) => {
                    if let Some(own) = self.values.get_mut(call.node.input[slot].as_str()) {
                        *own = Known::Value(flow);
                    }
                }
                Err(reason) => return Some(Err(reason)),
            }
        }
        None
    }

    /// The number of paths, if an operand's first axis is that of paths.
    fn arms(arms: &Axes) -> ImportResult<usize> {
        let groups = arms.groups().filter(|&groups| arms.dims().len() == ARM_AXES && groups <= MAX_ARMS);
        groups.ok_or_else(|| format!("it reads {}, which are no groups of channels", arms.change()))
    }

    fn sum_of_arms(&mut self, call: &Call<'_>, arms: &Axes) -> ImportResult<Known> {
        let count = Self::arms(arms)?;
        let given = self.list(call, "axes", 1)?.unwrap_or_default();
        if !matches!(given[..], [axis] if arms.axis(axis)? == arms.x.lead) {
            return Err(format!("it sums the axes {given:?} of {}", arms.change()));
        }
        let x = self.whole(call, arms)?;
        let paths = match self.concatenated(&x, count) {
            Some(paths) => paths,
            None => {
                let each = x.shape.channels().unwrap_or(0) / count;
                let slice = |i: usize| Op::Slice(i * each..(i + 1) * each);
                (0..count).map(|i| self.add(call, slice(i), &[&x])).collect::<Result<Vec<_>, _>>()?
            }
        };
        let sum = match &paths[..] {
            [one] => one.clone(),
            paths => {
                let sum = Elementwise::add(paths.len()).ok_or("it has too many operands")?;
                self.add(call, sum.into(), &paths.iter().collect::<Vec<_>>())?
            }
        };
        match call.int("keepdims") {
            Some(0) => Ok(Known::Value(sum)),
            _ => Axes::of(sum).with(arms.x.lead).map(Known::Axes),
        }
    }

    /// The values that were concatenated to this one, if they are the paths.
    fn concatenated(&self, x: &Flow, count: usize) -> Option<Vec<Flow>> {
        let node = x.value.node;
        let operands = self.graph.operands(node);
        if self.graph.node(node).op != Op::Concat || operands.len() != count {
            return None;
        }
        let flow = |value: Value| Some(Flow { value, shape: self.shapes.get(value.node.index())?.clone(), lead: x.lead });
        let flows = operands.iter().map(|&value| flow(value)).collect::<Option<Vec<Flow>>>()?;
        let first = flows.first()?.shape.clone();
        flows.iter().all(|flow| flow.shape == first).then_some(flows)
    }

    /// Paths times a number for each of their channels, or times values of the same shape.
    fn weighted_arms(&mut self, call: &Call<'_>, a: &Axes, b: &Axes) -> ImportResult<Known> {
        if Self::arms(a)? != Self::arms(b)? {
            return Err(format!("it multiplies {} by {}", a.change(), b.change()));
        }
        let (x, y) = (self.whole(call, a)?, self.whole(call, b)?);
        if x.shape == y.shape {
            let product = self.add(call, Elementwise::mul(Broadcast::Full).into(), &[&x, &y])?;
            return Ok(Known::Axes(a.on(product)));
        }
        let is_gate = |gate: &Flow| gate.dims()[1..].iter().all(|dim| dim.fixed() == Some(1));
        let (x, gate, axes) = if is_gate(&y) { (x, y, a) } else { (y, x, b) };
        let product = self.add(call, Elementwise::mul(Broadcast::Channel).into(), &[&x, &gate])?;
        Ok(Known::Axes(axes.on(product)))
    }

    /// Paths side by side along a new axis: their channels are concatenated.
    fn stacked(&mut self, call: &Call<'_>, all: &[Axes]) -> Option<ImportResult<Known>> {
        let first = all.first()?;
        let dims = first.dims();
        let [1, channels, height, width] = dims[..] else { return None };
        let is_first = call.int("axis").is_some_and(|axis| first.axis(axis) == Ok(first.x.lead));
        if !is_first || all.iter().any(|path| path.dims() != dims || !path.keeps_order()) {
            return None;
        }
        let paths: Vec<&Flow> = all.iter().map(|path| &path.x).collect();
        let whole = self.add(call, Op::Concat, &paths);
        Some(whole.and_then(|whole| Axes::of(whole).reshaped(&[all.len(), channels, height, width]).map(Known::Axes)))
    }

    /// The feature map of all channels of stacked paths.
    fn whole(&mut self, call: &Call<'_>, arms: &Axes) -> ImportResult<Flow> {
        let dims = arms.dims();
        match (arms.x.dims().len(), &dims[..]) {
            (3, _) => Ok(arms.x.clone()),
            (_, &[paths, channels, height, width]) => {
                let sizes = [paths.saturating_mul(channels), height, width].map(Some);
                self.add(call, Op::Rearrange(Rearrange::Reshape(sizes)), &[&arms.x])
            }
            _ => Err(format!("it reads {}", arms.change())),
        }
    }

    /// A function of each value, wherever its axes are.
    fn of_values(&mut self, call: &Call<'_>, axes: &Axes) -> Option<ImportResult<Known>> {
        let is_axes = |name: &&String| matches!(self.values.get(name.as_str()), Some(Known::Axes(_)));
        let name = call.node.input.iter().find(is_axes)?;
        let is_number = |name: &String| self.values.get(name.as_str()).is_none_or(|known| known.single().is_some());
        if !call.node.input.iter().all(|other| other == name || is_number(other)) {
            return None;
        }
        let own = self.values.get_mut(name.as_str())?;
        let known = std::mem::replace(own, Known::Value(axes.x.clone()));
        let result = self.call(call);
        if let Some(own) = self.values.get_mut(name.as_str()) {
            *own = known;
        }
        Some(result.and_then(|known| match known {
            Known::Value(y) => Ok(Known::Axes(axes.on(y))),
            _ => Err(format!("it reads {}", axes.change())),
        }))
    }
}

/// Paths, channels, height and width.
const ARM_AXES: usize = 4;
