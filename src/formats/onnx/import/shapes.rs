//! Constants, and the shape arithmetic that exporters write before `Reshape`.

use super::super::error::OnnxError;
use super::Importer;
use super::call::Call;
use super::dispatch::ImportResult;
use super::flow::Size;
use super::names;
use super::tensors::TensorReader;
use super::values::{Known, MAX_LIST, Rank};
use crate::base::tensor::Tensor;

impl Importer<'_> {
    /// The value of a `Constant` node.
    pub(super) fn constant(&mut self, call: &Call<'_>, reader: &mut TensorReader<'_>) -> Result<ImportResult<Known>, OnnxError> {
        let name = call.node.output.first().cloned().unwrap_or_default();
        if let Some(proto) = call.attribute("value").and_then(|a| a.t.as_ref()) {
            return Ok(Ok(Known::Tensor(name, reader.read(proto)?)));
        }
        let float = |shape: Vec<usize>, values: Vec<f32>| Tensor::from_f32(shape, values).map(|t| Known::Tensor(name.clone(), t));
        let sizes = |values: &[i64], rank| Some(Known::Sizes(values.iter().map(|&n| Size::Number(n)).collect(), rank));
        let known = if let Some(v) = call.float("value_float") {
            float(vec![], vec![v])
        } else if let Some(list) = call.attribute("value_floats").map(|a| a.floats.clone()) {
            float(vec![list.len()], list)
        } else if let Some(n) = call.int("value_int") {
            sizes(&[n], Rank::Scalar)
        } else if let Some(list) = call.ints("value_ints") {
            sizes(list, Rank::List)
        } else {
            None
        };
        Ok(known.ok_or_else(|| "it contains neither a tensor nor numbers".to_owned()))
    }

    /// The shape of a value, or a slice of it.
    pub(super) fn shape_of(&mut self, call: &Call<'_>) -> ImportResult<Known> {
        if let Some(Known::Axes(axes)) = self.known(call, 0) {
            if axes.is_free() {
                return Err("its size depends on the input, whose axes are split".to_owned());
            }
            let own = axes.dims().into_iter().map(|size| Size::Number(i64::try_from(size).unwrap_or(i64::MAX)));
            let all: Vec<Size> = (0..axes.x.lead).map(Size::Batch).chain(own).collect();
            return Ok(Known::Sizes(slice(&all, call.int("start"), call.int("end")), Rank::List));
        }
        let x = self.flow(call, 0)?;
        let batch = (0..x.lead).map(Size::Batch);
        let own = x.dims().iter().enumerate().map(|(axis, &dim)| Size::Of { dim, value: x.value, axis });
        let all: Vec<Size> = batch.chain(own).collect();
        Ok(Known::Sizes(slice(&all, call.int("start"), call.int("end")), Rank::List))
    }

    /// Follows sizes through a node whose operands are all constants, so that it is known later whose sizes they are; `None` for
    /// other nodes.
    pub(super) fn fold(&mut self, call: &Call<'_>) -> ImportResult<Option<Known>> {
        let folded = match call.node.op_type() {
            "Identity" => match (self.known(call, 0).cloned(), call.node.output.first()) {
                // exporters store equal parameters once, and name the others so
                (Some(Known::Tensor(_, tensor)), Some(name)) if names::of_parameter(name).is_some() => {
                    if self.keep_names {
                        self.originals.insert(name.clone(), tensor.clone());
                    }
                    Some(Known::Tensor(name.clone(), tensor))
                }
                (known, _) => known,
            },
            "Cast"
                if matches!(call.int("to"), Some(6 | 7))
                    || self.known(call, 0).is_some_and(|known| known.numbers().is_none()) =>
            {
                self.known(call, 0).filter(|known| known.sizes().is_some()).cloned()
            }
            "Gather" => self.gathered(call),
            "Unsqueeze" | "Squeeze" => self.sizes(call, 0).filter(|(list, _)| list.len() == 1).map(|(list, _)| {
                let rank = if call.node.op_type() == "Squeeze" { Rank::Scalar } else { Rank::List };
                Known::Sizes(list, rank)
            }),
            "Reshape" => {
                let is_list = self.known(call, 1).and_then(Known::numbers).is_some_and(|sizes| sizes.len() == 1);
                self.sizes(call, 0).filter(|_| is_list).map(|(list, _)| Known::Sizes(list, Rank::List))
            }
            "Concat" => {
                let parts: Option<Vec<_>> = (0..call.node.input.len()).map(|slot| self.sizes(call, slot)).collect();
                let list: Option<Vec<Size>> = parts.map(|parts| parts.into_iter().flat_map(|(list, _)| list).collect());
                list.map(|list| Known::Sizes(list, Rank::List))
            }
            "Slice" => self.sliced(call),
            "Add" | "Sub" | "Mul" | "Div" => self.computed(call),
            _ => None,
        };
        match folded {
            Some(Known::Sizes(list, _)) if list.len() > MAX_LIST => Err("its list of numbers is too long".to_owned()),
            folded => Ok(folded),
        }
    }

    fn sizes(&self, call: &Call<'_>, slot: usize) -> Option<(Vec<Size>, Rank)> {
        self.known(call, slot)?.sizes()
    }

    fn gathered(&self, call: &Call<'_>) -> Option<Known> {
        let (list, _) = self.sizes(call, 0)?;
        let (indices, rank) = self.sizes(call, 1)?;
        let take = |index: Size| {
            let index = index.number()?;
            let index = if index < 0 { index.checked_add(list.len() as i64)? } else { index };
            list.get(usize::try_from(index).ok()?).copied()
        };
        Some(Known::Sizes(indices.into_iter().map(take).collect::<Option<_>>()?, rank))
    }

    fn sliced(&self, call: &Call<'_>) -> Option<Known> {
        let (list, _) = self.sizes(call, 0)?;
        let one = |name: &str, slot: usize| match self.list(call, name, slot).ok()??[..] {
            [n] => Some(n),
            _ => None,
        };
        let (start, end) = (one("starts", 1)?, one("ends", 2)?);
        (one("steps", 4).unwrap_or(1) == 1).then(|| Known::Sizes(slice(&list, Some(start), Some(end)), Rank::List))
    }

    /// Arithmetic on known integers.
    fn computed(&self, call: &Call<'_>) -> Option<Known> {
        let ((a, rank), (b, other)) = (self.sizes(call, 0)?, self.sizes(call, 1)?);
        let len = a.len().max(b.len());
        let at = |list: &[Size], i: usize| if list.len() == 1 { list.first().copied() } else { list.get(i).copied() };
        let mut out = Vec::new();
        for i in 0..len {
            let (a, b) = (at(&a, i)?.number()?, at(&b, i)?.number()?);
            out.push(Size::Number(match call.node.op_type() {
                "Add" => a.checked_add(b)?,
                "Sub" => a.checked_sub(b)?,
                "Mul" => a.checked_mul(b)?,
                _ => a.checked_div(b)?,
            }));
        }
        let rank = if rank == Rank::Scalar && other == Rank::Scalar { Rank::Scalar } else { Rank::List };
        Some(Known::Sizes(out, rank))
    }
}

/// The elements from `start` up to `end`. Negative indices count from the end; indices out of range are clamped.
fn slice(list: &[Size], start: Option<i64>, end: Option<i64>) -> Vec<Size> {
    let len = list.len() as i64;
    let counted = |n: i64| (if n < 0 { n.saturating_add(len) } else { n }).clamp(0, len) as usize;
    let (start, end) = (counted(start.unwrap_or(0)), counted(end.unwrap_or(len)));
    list.get(start..end.max(start)).unwrap_or(&[]).to_vec()
}
