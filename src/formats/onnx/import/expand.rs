//! Imports `Expand`, where an operation on elements would repeat the value anyway: PyTorch's `x * gate.expand_as(x)`.

use super::Importer;
use super::call::Call;
use super::dispatch::ImportResult;
use super::flow::{Flow, Size};
use super::values::Known;
use crate::ir::Dim;

impl Importer<'_> {
    pub(super) fn expand(&mut self, call: &Call<'_>) -> ImportResult<Flow> {
        let x = self.flow(call, 0)?;
        let (goal, _) = self.known(call, 1).and_then(Known::sizes).ok_or("its sizes depend on the input's values")?;
        let other = call.node.output.first().and_then(|name| self.operands.get(name.as_str()));
        let other = other.and_then(|name| match self.values.get(name) {
            Some(Known::Value(other)) => Some(other),
            _ => None,
        });
        let is_whole =
            |of: &Flow| of.rank() == goal.len() && of.dims().iter().zip(&goal[of.lead..]).all(|(dim, size)| is(*dim, *size));
        let repeats = other.is_some_and(is_whole) && x.rank() == goal.len();
        if is_whole(&x) || repeats {
            Ok(x)
        } else {
            Err("it repeats a value that no operation reads beside one of those sizes".to_owned())
        }
    }
}

/// Whether a size is that of an axis.
fn is(dim: Dim, size: Size) -> bool {
    match size {
        Size::Of { dim: other, .. } => other == dim,
        Size::Number(n) => dim.fixed().is_some_and(|fixed| i64::try_from(fixed) == Ok(n)),
        Size::Batch(_) => false,
    }
}
