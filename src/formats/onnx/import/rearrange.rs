//! Imports operators that split, permute and merge axes. Several of them in a row are usually one of the language.

use super::Importer;
use super::axes::{Axes, sizes_text};
use super::call::Call;
use super::dispatch::ImportResult;
use super::flow::{Flow, Size};
use super::values::Known;
use crate::ir::{Op, Rearrange, SquareOrder, Squares};

impl Importer<'_> {
    /// An operand with its axes.
    pub(super) fn axes(&self, call: &Call<'_>) -> ImportResult<Axes> {
        match self.known(call, 0) {
            Some(Known::Axes(axes)) => Ok(axes.clone()),
            _ => self.flow(call, 0).map(Axes::of),
        }
    }

    /// The result of a node: axes, if only operators read it that take any, and a value of the network otherwise. What is one
    /// operator of the language is not joined with what follows.
    pub(super) fn settled(&mut self, call: &Call<'_>, axes: Axes) -> ImportResult<Known> {
        // what follows may take axes that are no feature map
        if axes.dims().len() > 3 {
            return Ok(Known::Axes(axes));
        }
        if axes.is_whole() {
            return Ok(Known::Value(axes.x));
        }
        if let Some(name) = call.node.output.first()
            && self.channels_last.contains(name.as_str())
            && axes.are_channels_last()
        {
            return Ok(Known::ChannelsLast(axes.x));
        }
        let keeps_rank = axes.dims().len() == axes.x.dims().len();
        let is_single = matches!(axes.rearrangements().as_deref(), Some([step]) if !matches!(step, Rearrange::Reshape(_)));
        let is_whole = is_single && keeps_rank;
        match call.node.output.first() {
            Some(name) if !is_whole && self.any_axes.contains(name.as_str()) => Ok(Known::Axes(axes)),
            _ => self.rearranged(call, &axes).map(Known::Value),
        }
    }

    /// The value of the network that has these axes.
    pub(super) fn rearranged(&mut self, call: &Call<'_>, axes: &Axes) -> ImportResult<Flow> {
        let (dims, own) = (axes.dims(), axes.x.dims().len());
        let none = || {
            let what = if axes.keeps_order() { "a reshape that is no flatten" } else { "a transposition that is no shuffle" };
            format!("{what}: {} to {}", axes.x.shape, sizes_text(&dims))
        };
        let mut steps = axes.rearrangements().ok_or_else(none)?;
        if let (true, [c, h, w], true) = (steps.is_empty(), &dims[..], own == 1) {
            steps.push(Rearrange::Reshape([*c, *h, *w].map(Some)));
        }
        let mut flow = axes.x.clone();
        for step in steps {
            flow = self.add(call, Op::Rearrange(step), &[&flow])?;
        }
        if dims.len() == 1 && flow.dims().len() > 1 {
            flow = self.add(call, Op::Flatten, &[&flow])?;
        }
        if flow.dims().len() == dims.len() { Ok(flow) } else { Err(none()) }
    }

    /// A reshape of the axes after the batch.
    pub(super) fn reshaped(&mut self, call: &Call<'_>, goal: &[Size]) -> ImportResult<Known> {
        let axes = self.axes(call)?;
        let lead = axes.x.lead;
        if let ([Size::Number(-1)], 1, [Some(1)]) = (goal, lead, &self.batch[..]) {
            return Ok(Known::Axes(in_one_row(&axes)?));
        }
        let moved = || format!("it reshapes {}, and its batch too", axes.x.shape);
        let (batch, own) = goal.split_at_checked(lead).ok_or_else(moved)?;
        let zero_copies = !call.flag("allowzero");
        let copied = |(axis, size): (usize, &Size)| match size {
            Size::Number(0) if zero_copies => Size::Batch(axis),
            size => *size,
        };
        if !self.is_batch(&axes.x, &batch.iter().enumerate().map(copied).collect::<Vec<_>>()) {
            return Err(moved());
        }
        let present = axes.dims();
        let size = |(i, size): (usize, &Size)| match size {
            Size::Number(-1) => Ok(None),
            Size::Number(0) if zero_copies => Ok(present.get(i).copied()),
            size => axes.number(*size).map(Some).ok_or("its shape depends on the input's values"),
        };
        let mut sizes = own.iter().enumerate().map(size).collect::<Result<Vec<_>, _>>()?;
        let product = |sizes: &[usize]| sizes.iter().try_fold(1usize, |n, &size| n.checked_mul(size)).ok_or("it is too large");
        let stated: Vec<usize> = sizes.iter().copied().flatten().collect();
        let (all, stated) = (product(&present)?, product(&stated)?.max(1));
        for open in sizes.iter_mut().filter(|size| size.is_none()) {
            *open = Some(all / stated);
        }
        let sizes: Vec<usize> = sizes.into_iter().flatten().collect();
        match (axes.reshaped(&sizes), &sizes[..]) {
            (Ok(axes), _) => self.settled(call, axes),
            // sizes without common factors: axes cannot be distinguished
            (Err(_), &[c, h, w]) if !axes.is_free() => {
                let x = self.rearranged(call, &axes)?;
                self.add(call, Op::Rearrange(Rearrange::Reshape([c, h, w].map(Some))), &[&x]).map(Known::Value)
            }
            (Err(reason), _) => Err(reason),
        }
    }

    /// All values in a row, read in order: a reshape, as PyTorch's exporter writes `as_strided`.
    pub(super) fn gather(&mut self, call: &Call<'_>) -> ImportResult<Known> {
        let (Some(Known::Axes(axes)), Some(Known::Tensor(_, indices))) = (self.known(call, 0), self.known(call, 1)) else {
            return Err("it picks values by their index".to_owned());
        };
        let in_order = indices.to_f32().iter().enumerate().all(|(place, &index)| index == place as f32);
        let (1.., [1, own @ ..], 0, true) = (axes.dims().len(), indices.shape(), axes.x.lead, in_order) else {
            return Err("it picks values by their index".to_owned());
        };
        let back = axes.on(Flow { lead: 1, ..axes.x.clone() }).reshaped(own)?;
        self.settled(call, back)
    }

    pub(super) fn transpose(&mut self, call: &Call<'_>) -> ImportResult<Known> {
        let order = call.ints("perm").ok_or("it reverses all axes, the batch too")?;
        if let (Some(Known::Value(x)), Some(name)) = (self.known(call, 0), call.node.output.first())
            && self.channels_last.contains(name.as_str())
            && Self::is_channels_last(x, order, false)
        {
            return Ok(Known::ChannelsLast(x.clone()));
        }
        if let (Some(Known::Value(x)), Some(name), true) = (self.known(call, 0), call.node.output.first(), self.is_turned)
            && self.outputs.contains(name.as_str())
            && Self::is_channels_last(x, order, false)
        {
            let x = x.clone();
            self.notes.insert(format!("the channels of `{name}` come last in the file; here it is {}", x.shape));
            return Ok(Known::Value(x));
        }
        let axes = self.axes(call)?.transposed(order)?;
        self.settled(call, axes)
    }

    /// Adds axes of size 1.
    pub(super) fn unsqueeze(&mut self, call: &Call<'_>) -> ImportResult<Known> {
        let mut axes = self.axes(call)?;
        let given = self.list(call, "axes", 1)?.ok_or("its axes are not stated")?;
        let rank = axes.rank().saturating_add(given.len()) as i64;
        let mut places: Vec<i64> = given.iter().map(|&axis| if axis < 0 { axis.saturating_add(rank) } else { axis }).collect();
        places.sort_unstable();
        for place in places {
            axes = axes.with(usize::try_from(place).map_err(|_| "it adds an axis before the batch")?)?;
        }
        self.settled(call, axes)
    }

    /// Drops axes of size 1.
    pub(super) fn squeezed(&mut self, call: &Call<'_>) -> ImportResult<Known> {
        let mut axes = self.axes(call)?;
        let given = self.list(call, "axes", 1)?.ok_or("it drops all axes of size 1, which may be the batch too")?;
        let mut places = given.iter().map(|&axis| axes.axis(axis)).collect::<Result<Vec<_>, _>>()?;
        places.sort_unstable();
        for place in places.into_iter().rev() {
            axes = axes.without(place)?;
        }
        self.settled(call, axes)
    }

    /// Softmax over an axis of groups.
    pub(super) fn grouped_softmax(&mut self, call: &Call<'_>, axes: &Axes) -> ImportResult<Known> {
        if let Some(result) = self.softmax_of_places(call, axes) {
            return result;
        }
        let axis = axes.axis(call.int("axis").unwrap_or(-1))?;
        let groups = axes.groups().filter(|_| axis == axes.x.lead && self.opset >= 13);
        let groups = groups
            .ok_or_else(|| format!("it normalizes over axis {axis} of {}, which are no groups of channels", axes.rank()))?;
        let x = self.add(call, Op::Softmax(Some(groups)), &[&axes.x])?;
        self.settled(call, axes.on(x))
    }

    /// Squares of pixels as channels, or back.
    pub(super) fn squares(&mut self, call: &Call<'_>) -> ImportResult<Flow> {
        let x = self.flow(call, 0)?;
        let side = call.int("blocksize").and_then(|n| usize::try_from(n).ok()).ok_or("it has no block size")?;
        let order = match call.text("mode", "DCR") {
            "CRD" => SquareOrder::ByChannel,
            "DCR" => SquareOrder::ByPixel,
            other => return Err(format!("its mode is `{other}`, which is neither `DCR` nor `CRD`")),
        };
        let squares = Squares { side, order };
        let rearrange = match call.node.op_type() {
            "SpaceToDepth" => Rearrange::SpaceToDepth(squares),
            _ => Rearrange::DepthToSpace(squares),
        };
        self.add(call, Op::Rearrange(rearrange), &[&x])
    }
}

/// All values of a batch of 1 in a row, which has no batch.
fn in_one_row(axes: &Axes) -> ImportResult<Axes> {
    let all = axes.dims().iter().fold(1usize, |product, &size| product.saturating_mul(size));
    axes.on(Flow { lead: 0, ..axes.x.clone() }).reshaped(&[all])
}
