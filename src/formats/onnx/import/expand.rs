//! Imports `Expand`, which repeats a value along axes of size 1.

use super::Importer;
use super::call::Call;
use super::dispatch::ImportResult;
use super::flow::{Flow, Size};
use crate::ir::{Dim, Op, Target, Upsample};

impl Importer<'_> {
    pub(super) fn expand(&mut self, call: &Call<'_>) -> ImportResult<Flow> {
        let x = self.flow(call, 0)?;
        let goal = self.known(call, 1).and_then(|known| known.sizes()).ok_or("its shape depends on the input's values")?.0;
        let keeps = |i: usize, size: &Size| match (i.checked_sub(x.lead).and_then(|own| x.dims().get(own)), *size) {
            (_, Size::Number(1)) | (None, _) => true,
            (Some(dim), Size::Of { dim: other, .. }) => *dim == other,
            (Some(dim), size) => size.number().is_some_and(|n| dim.fixed() == usize::try_from(n).ok()),
        };
        let is_same = goal.len() <= x.rank() && goal.iter().enumerate().all(|(i, size)| keeps(i + x.rank() - goal.len(), size));
        // whoever combines it with another value repeats it there
        let is_combined = call.node.output.first().is_some_and(|name| self.combined.contains(name.as_str()));
        if is_same || is_combined {
            return Ok(x);
        }
        let [Dim::Fixed(_), Dim::Fixed(1), Dim::Fixed(1)] = x.dims() else {
            return Err(format!("it repeats {}", x.shape));
        };
        let size = |axis: usize| {
            let at = (x.lead + axis + goal.len()).checked_sub(x.rank())?;
            usize::try_from(goal.get(at)?.number()?).ok()
        };
        match (size(0), size(1), size(2)) {
            (Some(channels), Some(height), Some(width)) if matches!(channels, 1) || x.shape.channels() == Some(channels) => {
                self.add(call, Op::Upsample(Upsample::nearest(Target::Size([height, width]))), &[&x])
            }
            _ => Err(format!("it repeats {} to a size that is not fixed", x.shape)),
        }
    }
}
