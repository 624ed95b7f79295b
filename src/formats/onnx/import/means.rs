//! Means over the whole feature map, in every way that exporters and people write them: over both axes, one after the other, of a
//! flattened map, or as a sum over its size.

use super::Importer;
use super::axes::Axes;
use super::call::Call;
use super::dispatch::ImportResult;
use super::flow::Flow;
use super::values::{HalfReduced, Known};
use crate::ir::Op;

impl Importer<'_> {
    /// A global average, sum or maximum, that of the channels of each place, or half of one over the whole map.
    pub(super) fn reduce(&mut self, call: &Call<'_>) -> ImportResult<Known> {
        match self.known(call, 0).cloned() {
            Some(Known::Half(half)) => return self.second_half(call, &half),
            Some(Known::Axes(axes)) => return self.reduce_axes(call, &axes),
            _ => {}
        }
        let x = self.flow(call, 0)?;
        let op = call.node.op_type();
        if op != "ReduceSum" && self.is_over_channels(call, &x)? {
            return self.over_channels(call, &x).map(Known::Value);
        }
        let axes = self.list(call, "axes", 1)?.unwrap_or_default();
        let mut counted = axes.iter().map(|&axis| x.axis(axis)).collect::<Result<Vec<_>, _>>()?;
        counted.sort_unstable();
        let map: Vec<usize> = (x.lead + 1..x.rank()).collect();
        let keeps = call.int("keepdims") != Some(0);
        match counted[..] {
            _ if !map.is_empty() && counted == map => self.whole_map(call, op, &x, keeps).map(Known::Value),
            [axis] if map.len() == 2 && map.contains(&axis) => {
                let left = if axis == map[0] { 2 } else { 1 };
                Ok(Known::Half(HalfReduced { x, op: op.to_owned(), left, keeps }))
            }
            _ if axes.is_empty() => Err("it reduces all axes, the batch too".to_owned()),
            _ => Err(format!(
                "it reduces the axes {axes:?} of {}, but only reductions over the channels or over all spatial axes are supported",
                x.rank()
            )),
        }
    }

    /// The mean, sum or maximum of a whole feature map.
    pub(super) fn whole_map(&mut self, call: &Call<'_>, op: &str, x: &Flow, keeps: bool) -> ImportResult<Flow> {
        let pool = if op == "ReduceMax" { Op::GlobalMaxPool } else { Op::AdaptiveAvgPool([1, 1]) };
        let mut y = self.add(call, pool, &[x])?;
        if op == "ReduceSum" {
            let sizes = x.dims()[1..].iter().map(|dim| dim.fixed()).collect::<Option<Vec<usize>>>();
            let places: usize = sizes.ok_or("it sums a feature map whose size is free")?.iter().product();
            y = self.affine(call, &y, places as f32, 0.0)?;
        }
        if keeps { Ok(y) } else { self.add(call, Op::Flatten, &[&y]) }
    }

    /// The reduction over the axis that another one has left.
    fn second_half(&mut self, call: &Call<'_>, half: &HalfReduced) -> ImportResult<Known> {
        let HalfReduced { x, op, left, keeps } = half;
        // without the first axis, the other one is the last
        let own = if *keeps { x.lead + left } else { x.lead + 1 };
        let rank = x.rank() - usize::from(!keeps);
        let given = self.list(call, "axes", 1)?.unwrap_or_default();
        let is_left = matches!(given[..], [axis] if (if axis < 0 { axis + rank as i64 } else { axis }) == own as i64);
        let keeps_too = call.int("keepdims") != Some(0);
        if !is_left || op != call.node.op_type() || *keeps != keeps_too {
            return Err(format!("it reduces the axes {given:?} of a value that is reduced over another one"));
        }
        self.whole_map(call, op, x, *keeps).map(Known::Value)
    }

    /// A reduction of a flattened map over its places: `flatten(2).mean(2)`.
    fn reduce_axes(&mut self, call: &Call<'_>, axes: &Axes) -> ImportResult<Known> {
        let given = self.list(call, "axes", 1)?.unwrap_or_default();
        let places = given.iter().map(|&axis| axes.axis(axis)).collect::<Result<Vec<_>, _>>()?;
        let keeps = call.int("keepdims") != Some(0);
        match axes.without_places(&places) {
            Some(()) if !keeps => self.whole_map(call, call.node.op_type(), &axes.x, false).map(Known::Value),
            _ => Err(format!("it reduces the axes {given:?} of {}", axes.change())),
        }
    }
}
