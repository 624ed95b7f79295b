//! Imports operators that only change shapes; identities are dropped.

use super::Importer;
use super::call::Call;
use super::dispatch::ImportResult;
use super::flow::{Flow, Size};
use super::values::Known;
use crate::ir::{Dim, Op};

/// ONNX's number of the type of conditions.
const BOOL: i64 = 9;

impl Importer<'_> {
    pub(super) fn identity(&mut self, call: &Call<'_>) -> ImportResult<Flow> {
        self.flow(call, 0)
    }

    pub(super) fn cast(&mut self, call: &Call<'_>) -> ImportResult<Known> {
        let condition = match self.known(call, 0) {
            Some(Known::Condition(condition)) => Some(condition.clone()),
            _ => None,
        };
        match (call.int("to"), condition) {
            // f32, f16, f64, bf16: all computations are in f32
            (Some(1 | 10 | 11 | 16), Some(condition)) => self.truth(call, &condition).map(Known::Value),
            (Some(1 | 10 | 11 | 16), None) => self.flow(call, 0).map(Known::Value),
            (Some(BOOL), Some(condition)) => Ok(Known::Condition(condition)),
            _ => Err("its result is not floating-point".to_owned()),
        }
    }

    pub(super) fn dropout(&mut self, call: &Call<'_>) -> ImportResult<Flow> {
        let x = self.flow(call, 0)?;
        let training = self.tensor(call, 2, "mode")?.is_some_and(|(_, mode)| mode.to_f32().iter().any(|&v| v != 0.0));
        if training {
            return Err("it is in training mode, so its result is random".to_owned());
        }
        let ratio = self.number(call, 1, "ratio")?.or(call.float("ratio")).unwrap_or(0.5);
        if !(0.0..1.0).contains(&ratio) {
            return Err(format!("its ratio is {ratio}"));
        }
        self.add(call, Op::Dropout(ratio.to_string().parse().unwrap_or(0.5)), &[&x])
    }

    pub(super) fn concat(&mut self, call: &Call<'_>) -> ImportResult<Flow> {
        let flows = (0..call.node.input.len()).map(|slot| self.flow(call, slot)).collect::<Result<Vec<_>, _>>()?;
        let first = flows.first().ok_or("it has no operand")?;
        let axis = first.axis(call.int("axis").unwrap_or(1))?;
        if axis != first.lead {
            return Err(format!("it concatenates along axis {axis}, but the language's `concat` along the channels"));
        }
        match &flows[..] {
            [one] => Ok(one.clone()),
            _ => self.add(call, Op::Concat, &flows.iter().collect::<Vec<_>>()),
        }
    }

    pub(super) fn flatten(&mut self, call: &Call<'_>) -> ImportResult<Flow> {
        if let Some(Known::Axes(axes)) = self.known(call, 0) {
            let axes = axes.clone();
            let axis = axes.axis(call.int("axis").unwrap_or(1))?;
            let features = axes.dims().iter().fold(1, |product: usize, &size| product.saturating_mul(size));
            let features = axes.reshaped(&[features])?;
            return if axis == axes.x.lead { self.rearranged(call, &features) } else { Err("it flattens the batch".to_owned()) };
        }
        let x = self.flow(call, 0)?;
        if call.node.input.first().is_some_and(|name| self.rows.contains(name.as_str())) {
            return Ok(Flow { lead: 1, ..x });
        }
        let axis = x.axis(call.int("axis").unwrap_or(1))?;
        // axes of size 1 may be on either side
        let (batch, own) = (self.batch.get(axis..x.lead).unwrap_or(&[]), &x.dims()[..axis.saturating_sub(x.lead)]);
        if batch.iter().any(|size| *size != Some(1)) || own.iter().any(|dim| *dim != Dim::Fixed(1)) {
            return Err(format!("it keeps the first {axis} axes, but the language's `flatten` keeps only the batch"));
        }
        self.flattened(call, x, 1)
    }

    /// Flattens the values after the batch to features; the result has `lead` batch axes.
    fn flattened(&mut self, call: &Call<'_>, x: Flow, lead: usize) -> ImportResult<Flow> {
        let y = if x.dims().len() > 1 { self.add(call, Op::Flatten, &[&x])? } else { x };
        Ok(Flow { lead, ..y })
    }

    /// Drops axes of size 1: all spatial axes, which is a flattening, or some.
    pub(super) fn squeeze(&mut self, call: &Call<'_>) -> ImportResult<Known> {
        let Some(Known::Value(x)) = self.known(call, 0).cloned() else { return self.squeezed(call) };
        let map: Vec<usize> = (x.lead + 1..x.rank()).collect();
        let axes = match self.list(call, "axes", 1)? {
            Some(axes) => axes.iter().map(|&axis| x.axis(axis)).collect::<Result<Vec<_>, _>>()?,
            None => map.clone(),
        };
        let single = x.dims().iter().skip(1).all(|d| *d == Dim::Fixed(1));
        if !single || axes.len() != map.len() || !map.iter().all(|axis| axes.contains(axis)) {
            return self.squeezed(call);
        }
        let lead = x.lead;
        self.flattened(call, x, lead).map(Known::Value)
    }

    pub(super) fn reshape(&mut self, call: &Call<'_>) -> ImportResult<Known> {
        // whatever it is split into, the same shape as before is the same value
        let (x, is_grouped) = match self.known(call, 0) {
            Some(Known::Grouped(x, _)) => (Some(x.clone()), true),
            Some(Known::Value(x)) => (Some(x.clone()), false),
            _ => (None, false),
        };
        let goal = match self.known(call, 1) {
            Some(known) => known.sizes().ok_or("its shape depends on the input's values")?.0,
            None => call.ints("shape").ok_or("it has no shape")?.iter().map(|&n| Size::Number(n)).collect(),
        };
        let Some(x) = x else { return self.reshaped(call, &goal) };
        let zero_copies = !call.flag("allowzero");
        let goal: Vec<Size> =
            goal.into_iter().enumerate().map(|(i, size)| if zero_copies { copied_size(&x, i, size) } else { size }).collect();
        // the number of batch axes afterwards: as before, or one
        for lead in [x.lead, 1] {
            let Some((batch, own)) = goal.split_at_checked(lead) else { continue };
            if !self.is_batch(&x, batch) {
                continue;
            }
            let open = batch.contains(&Size::Number(-1));
            if own.len() == x.dims().len() && own.iter().zip(x.dims()).all(|(size, dim)| is_dim(*size, *dim, open)) {
                return Ok(Known::Value(Flow { lead, ..x }));
            }
            if is_grouped {
                continue;
            }
            if let Some(groups) = self.grouped(call, &x, own) {
                return Ok(Known::Grouped(x, groups));
            }
            let features = x.dims().iter().try_fold(1i64, |n, dim| n.checked_mul(i64::try_from(dim.fixed()?).ok()?));
            if let [size] = *own
                && ((size == Size::Number(-1) && !open) || (size.number().is_some() && size.number() == features))
            {
                return self.flattened(call, x, lead).map(Known::Value);
            }
        }
        self.reshaped(call, &goal)
    }

    /// Whether the first axes of a reshaped value are still its batch.
    pub(super) fn is_batch(&self, x: &Flow, sizes: &[Size]) -> bool {
        let stated = |axis: usize| self.batch.get(axis).copied().flatten();
        if sizes.len() == x.lead {
            let open = sizes.iter().filter(|size| **size == Size::Number(-1)).count();
            return open <= 1
                && sizes.iter().enumerate().all(|(i, size)| match *size {
                    Size::Batch(axis) => axis == i,
                    Size::Number(-1) => true,
                    Size::Number(n) => stated(i) == Some(n),
                    Size::Of { .. } => false,
                });
        }
        // several axes merged into one, or one new axis of size 1
        let all = (0..x.lead).try_fold(1i64, |n, axis| n.checked_mul(stated(axis)?));
        sizes.len() == 1 && (sizes[0] == Size::Number(-1) || (all.is_some() && sizes[0].number() == all))
    }
}

/// Replaces a 0, which means the operand's size of this axis.
fn copied_size(x: &Flow, axis: usize, size: Size) -> Size {
    match (size, axis.checked_sub(x.lead)) {
        (Size::Number(0), None) => Size::Batch(axis),
        (Size::Number(0), Some(own)) => match x.dims().get(own) {
            Some(&dim) => Size::Of { dim, value: x.value, axis: own },
            None => size,
        },
        _ => size,
    }
}

fn is_dim(size: Size, dim: Dim, open: bool) -> bool {
    match size {
        Size::Number(-1) => !open,
        Size::Number(n) => dim.fixed().is_some_and(|m| i64::try_from(m) == Ok(n)),
        Size::Of { dim: other, .. } => dim == other,
        Size::Batch(_) => false,
    }
}
