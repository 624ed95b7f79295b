//! Values whose axes are split, permuted and merged by several nodes, until they are feature maps again.

use std::collections::VecDeque;

use super::flow::{Flow, Size};
use crate::ir::{Axis, Dim, Moves, Rearrange, SquareOrder, Squares};

/// What a free height and width count as. Whatever keeps a free axis whole keeps its number.
const FREE: [usize; 2] = [1_000_003, 1_000_033];

/// A value of the network, with its own axes split and in another order.
#[derive(Clone, Debug)]
pub(super) struct Axes {
    /// The value.
    pub x: Flow,
    /// The sizes of the parts of its axes, in order.
    sizes: Vec<usize>,
    /// The parts that each of the present axes consists of.
    axes: Vec<Vec<usize>>,
}

impl Axes {
    /// A value as it is.
    pub fn of(x: Flow) -> Axes {
        let sizes: Vec<usize> = x.dims().iter().copied().map(number).collect();
        let axes = (0..sizes.len()).map(|axis| vec![axis]).collect();
        Axes { x, sizes, axes }
    }

    /// The same axes of another value of the same shape.
    pub fn on(&self, x: Flow) -> Axes {
        Axes { x, ..self.clone() }
    }

    /// Whether its height or width is free.
    pub fn is_free(&self) -> bool {
        self.x.dims().iter().any(|dim| dim.fixed().is_none())
    }

    /// The present sizes, without the batch.
    pub fn dims(&self) -> Vec<usize> {
        let product = |parts: &Vec<usize>| parts.iter().fold(1usize, |product, &part| product.saturating_mul(self.sizes[part]));
        self.axes.iter().map(product).collect()
    }

    /// The number of axes in the file.
    pub fn rank(&self) -> usize {
        self.x.lead + self.axes.len()
    }

    /// Resolves an axis, which may be negative.
    pub fn axis(&self, axis: i64) -> Result<usize, String> {
        let counted = if axis < 0 { axis.checked_add(self.rank() as i64) } else { Some(axis) };
        let counted = counted.and_then(|axis| usize::try_from(axis).ok());
        counted.filter(|&axis| axis < self.rank()).ok_or_else(|| format!("it has no axis {axis}"))
    }

    /// A size that a shape states, as a number; `None` if that is unknown here.
    pub fn number(&self, size: Size) -> Option<usize> {
        match size {
            Size::Number(n) => usize::try_from(n).ok(),
            Size::Of { dim, .. } => (dim.fixed().is_some() || self.x.dims().contains(&dim)).then(|| number(dim)),
            Size::Batch(_) => None,
        }
    }

    /// The same values with these sizes, in the same order.
    pub fn reshaped(&self, goal: &[usize]) -> Result<Axes, String> {
        let mut next = self.clone();
        let mut parts: VecDeque<usize> = self.axes.iter().flatten().copied().collect();
        next.axes = Vec::with_capacity(goal.len());
        let cannot = || format!("a reshape that is no flatten: {} to {}", sizes_text(&self.dims()), sizes_text(goal));
        for &size in goal {
            let (mut own, mut rest) = (Vec::new(), size);
            while rest > 1 {
                let part = parts.pop_front().ok_or_else(cannot)?;
                let has = next.sizes[part];
                if has > rest {
                    // the part is split, and its second half belongs to the next axis
                    if !has.is_multiple_of(rest) {
                        return Err(cannot());
                    }
                    next.split(part, rest);
                    parts.iter_mut().filter(|other| **other > part).for_each(|other| *other += 1);
                    own.iter_mut().filter(|other| **other > part).for_each(|other| *other += 1);
                    parts.push_front(part + 1);
                } else if rest % has != 0 {
                    return Err(cannot());
                }
                own.push(part);
                rest /= next.sizes[part];
            }
            next.axes.push(own);
        }
        // only axes of size 1 may be left
        if parts.iter().any(|&part| next.sizes[part] != 1) {
            return Err(cannot());
        }
        Ok(next)
    }

    /// Splits a part of an axis in two, the first of which has this size.
    fn split(&mut self, part: usize, first: usize) {
        let rest = self.sizes[part] / first;
        self.sizes[part] = first;
        self.sizes.insert(part + 1, rest);
        for other in self.axes.iter_mut().flatten().filter(|other| **other > part) {
            *other += 1;
        }
    }

    /// Its axes in another order, which includes those of the batch.
    pub fn transposed(&self, order: &[i64]) -> Result<Axes, String> {
        let order = order.iter().map(|&axis| self.axis(axis)).collect::<Result<Vec<_>, _>>()?;
        let is_permutation = order.len() == self.rank() && (0..self.rank()).all(|axis| order.contains(&axis));
        if !is_permutation || order.iter().take(self.x.lead).enumerate().any(|(i, &axis)| i != axis) {
            return Err("it moves the batch".to_owned());
        }
        let axes = order[self.x.lead..].iter().map(|&axis| self.axes[axis - self.x.lead].clone()).collect();
        Ok(Axes { axes, ..self.clone() })
    }

    /// Without an axis of size 1, by its number in the file.
    pub fn without(&self, axis: usize) -> Result<Axes, String> {
        let own = axis.checked_sub(self.x.lead).ok_or("it drops an axis of the batch")?;
        if self.dims()[own] != 1 {
            return Err(format!("axis {axis} is no single one"));
        }
        let mut next = self.clone();
        next.axes.remove(own);
        Ok(next)
    }

    /// With another axis of size 1, by its number in the file.
    pub fn with(&self, axis: usize) -> Result<Axes, String> {
        let own = axis.checked_sub(self.x.lead).filter(|&own| own <= self.axes.len());
        let own = own.ok_or("it adds an axis to the batch")?;
        let mut next = self.clone();
        next.axes.insert(own, Vec::new());
        Ok(next)
    }

    /// The parts in the present order.
    fn moves(&self, result: [usize; 3]) -> Moves {
        // parts that no axis has are of size 1, and may be anywhere
        let mut order: Vec<usize> = self.axes.iter().flatten().copied().collect();
        order.extend((0..self.sizes.len()).filter(|part| !self.axes.iter().flatten().any(|own| own == part)));
        Moves { sizes: self.sizes.clone(), order, result }
    }

    /// Whether every value stays where it is in a sample.
    pub fn keeps_order(&self) -> bool {
        self.moves([1; 3]).keeps_order()
    }

    /// Whether they are those of the value again.
    pub fn is_whole(&self) -> bool {
        self.keeps_order() && self.dims().into_iter().eq(self.x.dims().iter().copied().map(number))
    }

    /// Whether they are those of a feature map with its channels last, which for a map of one place a reshape makes of it too.
    pub fn are_channels_last(&self) -> bool {
        let own = self.x.dims();
        let last: Vec<usize> = own.iter().skip(1).chain(own.first()).copied().map(number).collect();
        let batch = (0..self.x.lead).map(|axis| axis as i64);
        let (rank, first) = (self.rank() as i64, self.x.lead as i64);
        let order: Vec<i64> = batch.chain(first + 1..rank).chain([first]).collect();
        let turned = || Some(Axes::of(self.x.clone()).transposed(&order).ok()?.moves([1; 3]).simplified());
        self.x.lead == 1 && own.len() > 1 && self.dims() == last && turned() == Some(self.moves([1; 3]).simplified())
    }

    /// Something if the channels are all that is left without these axes (by their numbers in the file), which are the places of a
    /// feature map.
    pub fn without_places(&self, axes: &[usize]) -> Option<()> {
        let is_map = self.x.dims().len() > 1;
        let left = (0..self.axes.len()).filter(|axis| !axes.contains(&(self.x.lead + axis)));
        let parts: Vec<usize> =
            left.flat_map(|axis| self.axes[axis].iter().copied()).filter(|&part| self.sizes[part] != 1).collect();
        // the channels are the first parts, in order
        let count = parts.len();
        let channels = parts.iter().try_fold(1usize, |product, &part| product.checked_mul(self.sizes[part]))?;
        let in_order = parts.iter().copied().eq((0..self.sizes.len()).filter(|&part| self.sizes[part] != 1).take(count));
        (is_map && in_order && self.x.shape.channels() == Some(channels)).then_some(())
    }

    /// What became of the value, in words: `1024 x 7 x 7 as 2 x 512 x 49`.
    pub fn change(&self) -> String {
        format!("{} as {}", self.x.shape, sizes_text(&self.dims()))
    }

    /// The groups of channels, if its first axis is that of groups.
    pub fn groups(&self) -> Option<usize> {
        let groups = *self.dims().first()?;
        let channels = self.x.shape.channels()?;
        (self.keeps_order() && groups > 0 && channels.is_multiple_of(groups)).then_some(groups)
    }

    /// The sizes of the operand as a feature map.
    fn map(&self) -> [usize; 3] {
        match *self.x.dims() {
            [channels, length] => [number(channels), 1, number(length)],
            ref dims => [0, 1, 2].map(|axis| dims.get(axis).copied().map_or(1, number)),
        }
    }

    /// The operators that make it a feature map of its present sizes, or the features of its only axis, from the operand on;
    /// `None` if the language has none.
    pub fn rearrangements(&self) -> Option<Vec<Rearrange>> {
        let dims = self.dims();
        let result = match dims[..] {
            [c, h, w] => [c, h, w],
            [c, l] => [c, 1, l],
            [features] => [features, 1, 1],
            _ => return None,
        };
        let moves = self.moves(result);
        let (from, is_map) = (self.map(), dims.len() > 1);
        if moves.keeps_order() && (!is_map || from == result) {
            return Some(Vec::new());
        }
        let simplified = moves.simplified();
        let fits = |candidate: &Rearrange| {
            let other = candidate.moves(from);
            (!is_map || other.result == result) && other.simplified() == simplified
        };
        if let Some(found) = self.candidates().into_iter().filter(|candidate| divides(candidate, from)).find(fits) {
            return Some(vec![found]);
        }
        self.in_steps(&moves, from, is_map)
    }

    /// A reshape to at most three axes, a transposition, and a reshape to the result.
    fn in_steps(&self, moves: &Moves, from: [usize; 3], is_map: bool) -> Option<Vec<Rearrange>> {
        let (mut sizes, mut order) = moves.simplified();
        if self.is_free() || sizes.len() > 3 {
            return None;
        }
        while sizes.len() < 3 {
            order.push(sizes.len());
            sizes.push(1);
        }
        let of = |sizes: [usize; 3]| Rearrange::Reshape(sizes.map(Some));
        let (split, order): ([usize; 3], [usize; 3]) = (sizes.try_into().ok()?, order.try_into().ok()?);
        let turned = order.map(|axis| split[axis]);
        let mut steps = Vec::new();
        if split != from {
            steps.push(of(split));
        }
        if order != [0, 1, 2] {
            steps.push(Rearrange::Transpose(order));
        }
        if is_map && turned != moves.result {
            steps.push(of(moves.result));
        }
        Some(steps)
    }

    /// Single operators that may be the same.
    fn candidates(&self) -> Vec<Rearrange> {
        let mut list: Vec<Rearrange> =
            self.sizes.iter().filter(|&&size| size > 1).map(|&size| Rearrange::Shuffle(size)).collect();
        list.extend(Rearrange::PERMUTATIONS.iter().filter_map(|name| Rearrange::transpose(name)));
        if !self.is_free() {
            let orders = [SquareOrder::ByChannel, SquareOrder::ByPixel];
            let squares = self.sizes.iter().filter(|&&side| side > 1);
            let squares = squares.flat_map(|&side| orders.map(|order| Squares { side, order }));
            list.extend(squares.flat_map(|of| [Rearrange::SpaceToDepth(of), Rearrange::DepthToSpace(of)]));
        }
        list
    }
}

/// Whether a rearrangement fits an operand of these sizes.
fn divides(rearrange: &Rearrange, [c, h, w]: [usize; 3]) -> bool {
    match *rearrange {
        Rearrange::Shuffle(groups) => c.is_multiple_of(groups),
        Rearrange::SpaceToDepth(Squares { side, .. }) => h.is_multiple_of(side) && w.is_multiple_of(side),
        Rearrange::DepthToSpace(Squares { side, .. }) => c.is_multiple_of(side.saturating_mul(side)),
        Rearrange::Transpose(_) | Rearrange::Reshape(_) => true,
    }
}

/// Sizes as a shape is written: `2 x 512 x 49`.
pub(super) fn sizes_text(sizes: &[usize]) -> String {
    let text = |size: &usize| match FREE.iter().position(|free| free == size) {
        Some(0) => "H".to_owned(),
        Some(_) => "W".to_owned(),
        None => size.to_string(),
    };
    sizes.iter().map(text).collect::<Vec<_>>().join(" x ")
}

/// A size as a number.
fn number(dim: Dim) -> usize {
    match dim {
        Dim::Fixed(n) => n,
        Dim::Free { axis: Axis::H, .. } => FREE[0],
        Dim::Free { axis: Axis::W, .. } => FREE[1],
    }
}
