//! The inputs and outputs of a file.

use super::super::proto::{DataType, GraphProto, ValueInfoProto};
use super::Importer;
use super::ReadOptions;
use super::flow::Flow;
use super::readers;
use super::turned;
use super::values::Known;
use crate::ir::{Axis, Dim, Op, Shape, Value, infer_shape};

impl<'a> Importer<'a> {
    /// Adds the inputs, but for those with given values.
    pub(super) fn inputs(&mut self, graph: &'a GraphProto, options: &ReadOptions) {
        let lead = options.batch_axes;
        // without a batch, shapes are aligned at their last axes, as in ONNX broadcasting
        let axes = |input: &ValueInfoProto| {
            let tensor = input.r#type.as_ref().and_then(|t| t.tensor_type.as_ref());
            tensor.and_then(|t| t.shape.as_ref()).map_or(0, |shape| shape.dim.len())
        };
        let open = graph.input.iter().filter(|input| !self.values.contains_key(input.name()));
        let rank = if lead == 0 { open.map(axes).max().unwrap_or(0) } else { 0 };
        for input in &graph.input {
            let name = input.name();
            if self.values.contains_key(name) {
                continue;
            }
            if !self.uses.contains_key(name) {
                self.notes.insert(format!("no node reads the input `{name}`, so it is left out"));
                continue;
            }
            if lead == 0 && axes(input) > 3 && readers::is_only_flattened(graph, name, axes(input)) {
                self.rows.insert(name);
            }
            let is_turned = lead == 1 && turned::is_turned(graph, input);
            let known = match self.input(input, lead, rank, is_turned) {
                Ok(shape) => {
                    let node = self.names.fresh(name.to_owned());
                    let value: Value = self.push(Op::Input(shape.clone()), node, &[], shape.clone()).into();
                    if is_turned {
                        self.notes.insert(format!("the channels of `{name}` come last in the file; here it is {shape}"));
                        self.is_turned = true;
                        Known::ChannelsLast(Flow { value, shape, lead })
                    } else {
                        Known::Value(Flow { value, shape, lead })
                    }
                }
                Err(reason) => {
                    self.unsupported.add("input", name, reason);
                    Known::Failed
                }
            };
            self.values.insert(name, known);
        }
    }

    /// The shape of an input without its batch, with leading axes of size 1 up to `rank`; `is_turned` if its channels come last.
    pub(super) fn input(&mut self, info: &ValueInfoProto, lead: usize, rank: usize, is_turned: bool) -> Result<Shape, String> {
        let tensor = info.r#type.as_ref().and_then(|t| t.tensor_type.as_ref()).ok_or("it is not a tensor")?;
        match DataType::try_from(tensor.elem_type()) {
            Ok(DataType::Float) => {}
            Ok(kind @ (DataType::Double | DataType::Float16 | DataType::Bfloat16)) => {
                self.notes.insert(format!("the file computes in {kind:?}, but resnetc in float32"));
            }
            _ => return Err("it is not floating-point".to_owned()),
        }
        let sizes = &tensor.shape.as_ref().ok_or("its number of axes is not stated")?.dim;
        if self.rows.contains(info.name()) {
            let values = sizes.iter().try_fold(1usize, |n, size| n.checked_mul(usize::try_from(size.dim_value?).ok()?));
            let shape = Shape::fixed(&[values.ok_or("its sizes are not stated")?]);
            return infer_shape(&Op::Input(shape), &[]).map_err(|error| error.to_string());
        }
        if sizes.len() < lead || !(1..=3).contains(&(sizes.len() - lead)) {
            return Err(format!("it has {} axes, but only 1 to 3 are supported after the batch", sizes.len()));
        }
        let (batch, own) = sizes.split_at(lead);
        for (axis, size) in batch.iter().enumerate() {
            let number = size.dim_value.filter(|&n| n > 0);
            if let (Some(n), [_]) = (number, batch) {
                self.notes.insert(format!("the file's batch is {n}; here it is free"));
            }
            if self.batch[axis].is_some() && number.is_some() && self.batch[axis] != number {
                return Err("its batch differs from that of the first input".to_owned());
            }
            self.batch[axis] = self.batch[axis].or(number);
        }
        let mut own: Vec<_> = own.iter().collect();
        if is_turned {
            own.rotate_right(1);
        }
        let mut dims = vec![Dim::Fixed(1); rank.min(3).saturating_sub(own.len())];
        for (i, size) in own.iter().enumerate() {
            let axis = if i + 1 == own.len() { Axis::W } else { Axis::H };
            dims.push(match size.dim_value {
                Some(n) if n > 0 => Dim::Fixed(usize::try_from(n).map_err(|_| "a size is too large")?),
                // exporters omit an unknown size, or state -1 or 0
                _ if i == 0 => return Err("its number of channels is not stated".to_owned()),
                _ => Dim::axis(axis),
            });
        }
        let shape = Shape::Known(dims);
        infer_shape(&Op::Input(shape.clone()), &[]).map_err(|error| error.to_string())
    }

    /// Declares the outputs.
    pub(super) fn outputs(&mut self, graph: &'a GraphProto) {
        for output in &graph.output {
            let name = output.name();
            match self.values.get(name) {
                Some(Known::Value(flow)) => {
                    let value = flow.value;
                    self.graph.add_output(name, value);
                }
                Some(Known::Failed) => {}
                Some(Known::Lowest(..)) => {
                    self.unsupported.add("output", name, "it is padded with the smallest number".to_owned());
                }
                Some(Known::Condition(_)) => {
                    self.unsupported.add("output", name, "it is a comparison".to_owned());
                }
                Some(Known::Axes(_)) => {
                    self.unsupported.add("output", name, "it is no feature map".to_owned());
                }
                Some(Known::ChannelsLast(_)) => {
                    self.unsupported.add("output", name, "its channels come last".to_owned());
                }
                Some(Known::Norm(..)) => {
                    self.unsupported.add("output", name, "it is a Euclidean norm".to_owned());
                }
                Some(Known::Half(_)) => {
                    self.unsupported.add("output", name, "it is reduced over the rows or columns alone".to_owned());
                }
                Some(Known::Powers(_)) => {
                    self.unsupported.add("output", name, "it is a mean of powers".to_owned());
                }
                Some(Known::Grouped(..)) => {
                    self.unsupported.add("output", name, "its channels are in groups".to_owned());
                }
                Some(Known::Tensor(..) | Known::Sizes(..)) => {
                    self.unsupported.add("output", name, "it does not depend on the input's values".to_owned());
                }
                None => self.unsupported.add("output", name, "no node produces it".to_owned()),
            }
        }
        if graph.output.is_empty() {
            self.unsupported.add("output", "", "the file has none".to_owned());
        }
    }
}
