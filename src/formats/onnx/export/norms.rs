//! Exports norms of each sample.

use super::ExportError;
use super::emit::{Emitter, float, int, ints, signed};
use crate::ir::{Node, NodeId, NormOver, ParamRole, Reduction, SampleNorm, Shape};

/// The first opset with `LayerNormalization`.
const LAYER_NORM: i64 = 17;

/// The first opset whose `GroupNormalization` has a weight for each channel.
const GROUP_NORM: i64 = 21;

impl Emitter<'_> {
    pub(super) fn sample_norm(&mut self, id: NodeId, node: &Node, norm: &SampleNorm, x: &str) -> Result<String, ExportError> {
        let channels = node.params.first().map_or_else(|| self.channels(id), |param| param.shape[0]);
        match norm.over {
            NormOver::Groups(groups) if self.opset() >= GROUP_NORM => {
                let [weight, bias] = self.weights(node, norm, channels)?;
                let attributes = vec![float("epsilon", norm.eps as f32), int("num_groups", groups)];
                Ok(self.push("GroupNormalization", &node.name, &[x, &weight, &bias], attributes))
            }
            NormOver::Groups(groups) => self.groups_as_channels(id, node, norm, groups, x),
            NormOver::Places => {
                let [weight, bias] = self.weights(node, norm, channels)?;
                let eps = vec![float("epsilon", norm.eps as f32)];
                Ok(self.push("InstanceNormalization", &node.name, &[x, &weight, &bias], eps))
            }
            NormOver::Channels | NormOver::All if self.opset() < LAYER_NORM => self.layer_norm_by_steps(id, node, norm, x),
            NormOver::Channels if self.rank(id) > 0 => {
                let rank = self.rank(id) as i64;
                let name = &node.name;
                let last: Vec<i64> = [0].into_iter().chain(2..=rank + 1).chain([1]).collect();
                let back: Vec<i64> = [0, rank + 1].into_iter().chain(1..=rank).collect();
                let x = self.push("Transpose", &format!("{name}.channels_last"), &[x], vec![ints("perm", &last)]);
                let y = self.layer_norm(node, norm, channels, &format!("{name}.normalized"), -1, &x)?;
                Ok(self.push("Transpose", name, &[&y], vec![ints("perm", &back)]))
            }
            NormOver::Channels | NormOver::All => self.layer_norm(node, norm, channels, &node.name, 1, x),
        }
    }

    fn channels(&self, id: NodeId) -> usize {
        self.operand(id).and_then(Shape::channels).unwrap_or(1)
    }

    /// Its weight and bias; ones and zeros, as many as given, if it has none.
    fn weights(&mut self, node: &Node, norm: &SampleNorm, count: usize) -> Result<[String; 2], ExportError> {
        if norm.affine {
            return Ok([self.param(node, ParamRole::Weight)?, self.param(node, ParamRole::Bias)?]);
        }
        let mut constant = |what: &str, value| self.values(&format!("{}.{what}", node.name), vec![count], vec![value; count]);
        Ok([constant("ones", 1.0), constant("zeros", 0.0)])
    }

    fn layer_norm(
        &mut self,
        node: &Node,
        norm: &SampleNorm,
        channels: usize,
        name: &str,
        axis: i64,
        x: &str,
    ) -> Result<String, ExportError> {
        let attributes = vec![signed("axis", axis), float("epsilon", norm.eps as f32)];
        if norm.affine {
            let [weight, bias] = self.weights(node, norm, channels)?;
            return Ok(self.push("LayerNormalization", name, &[x, &weight, &bias], attributes));
        }
        // a weight broadcasts along all axes
        let count = if norm.over == NormOver::All { 1 } else { channels };
        let ones = self.values(&format!("{}.ones", node.name), vec![count], vec![1.0; count]);
        Ok(self.push("LayerNormalization", name, &[x, &ones], attributes))
    }

    /// Layer norm by the steps of its definition.
    fn layer_norm_by_steps(&mut self, id: NodeId, node: &Node, norm: &SampleNorm, x: &str) -> Result<String, ExportError> {
        let name = &node.name;
        let last = if norm.over == NormOver::All { self.rank(id) as i64 + 1 } else { 1 };
        let axes: Vec<i64> = (1..=last).collect();
        let over = || vec![ints("axes", &axes), int("keepdims", 1)];
        let step = |step: &str| format!("{name}.{step}");
        let mean = self.push("ReduceMean", &step("mean"), &[x], over());
        let centered = self.push("Sub", &step("centered"), &[x, &mean], Vec::new());
        let squares = self.push("Mul", &step("squares"), &[&centered, &centered], Vec::new());
        let variance = self.push("ReduceMean", &step("variance"), &[&squares], over());
        let eps = self.values(&step("eps"), Vec::new(), vec![norm.eps as f32]);
        let shifted = self.push("Add", &step("shifted"), &[&variance, &eps], Vec::new());
        let deviation = self.push("Sqrt", &step("deviation"), &[&shifted], Vec::new());
        let end = if norm.affine { step("normalized") } else { name.clone() };
        let y = self.push("Div", &end, &[&centered, &deviation], Vec::new());
        let axes = if norm.over == NormOver::All { 0 } else { self.rank(id) };
        if norm.affine { self.scale_and_shift(node, axes, &y) } else { Ok(y) }
    }

    /// Group norm as PyTorch's exporter writes it: each group becomes a channel, whose instance norm it is.
    fn groups_as_channels(
        &mut self,
        id: NodeId,
        node: &Node,
        norm: &SampleNorm,
        groups: usize,
        x: &str,
    ) -> Result<String, ExportError> {
        let name = &node.name;
        let step = |step: &str| format!("{name}.{step}");
        let goal = self.numbers(&step("grouped_shape"), &[0, i64::try_from(groups).unwrap_or(i64::MAX), -1]);
        let grouped = self.push("Reshape", &step("grouped"), &[x, &goal], Vec::new());
        let ones = self.values(&step("ones"), vec![groups], vec![1.0; groups]);
        let zeros = self.values(&step("zeros"), vec![groups], vec![0.0; groups]);
        let eps = vec![float("epsilon", norm.eps as f32)];
        let y = self.push("InstanceNormalization", &step("normalized"), &[&grouped, &ones, &zeros], eps);
        let shape = self.push("Shape", &step("shape"), &[x], Vec::new());
        let end = if norm.affine { step("channels") } else { name.clone() };
        let y = self.push("Reshape", &end, &[&y, &shape], Vec::new());
        if norm.affine { self.scale_and_shift(node, self.rank(id), &y) } else { Ok(y) }
    }

    /// Multiplies by the weight and adds the bias; `axes` follow the channels.
    fn scale_and_shift(&mut self, node: &Node, axes: usize, y: &str) -> Result<String, ExportError> {
        let weight = self.param_with_axes(node, ParamRole::Weight, axes)?;
        let bias = self.param_with_axes(node, ParamRole::Bias, axes)?;
        let y = self.push("Mul", &format!("{}.scaled", node.name), &[y, &weight], Vec::new());
        Ok(self.push("Add", &node.name, &[&y, &bias], Vec::new()))
    }

    /// From opset 18 on, the axes are an operand.
    fn reduce(&mut self, op: &str, name: &str, x: &str) -> String {
        if self.opset() < 18 {
            return self.push(op, name, &[x], vec![ints("axes", &[1]), int("keepdims", 1)]);
        }
        let axes = self.numbers(&format!("{name}.axes"), &[1]);
        self.push(op, name, &[x, &axes], vec![int("keepdims", 1)])
    }

    pub(super) fn over_channels(&mut self, name: &str, reduction: Reduction, x: &str) -> String {
        match reduction {
            Reduction::Mean => self.reduce("ReduceMean", name, x),
            Reduction::Max => self.reduce("ReduceMax", name, x),
        }
    }

    /// As PyTorch exports `F.normalize`.
    pub(super) fn l2_norm(&mut self, name: &str, eps: f64, x: &str) -> String {
        let norm = self.reduce("ReduceL2", &format!("{name}.norm"), x);
        let least = self.values(&format!("{name}.eps"), Vec::new(), vec![eps as f32]);
        let norm = self.push("Max", &format!("{name}.divisor"), &[&norm, &least], Vec::new());
        self.push("Div", name, &[x, &norm], Vec::new())
    }

    /// A power, a mean and a root.
    pub(super) fn gem(&mut self, node: &Node, eps: f64, x: &str) -> Result<String, ExportError> {
        let step = |step: &str| format!("{}.{step}", node.name);
        let p = self.param(node, ParamRole::Operand(0))?;
        let least = self.values(&step("eps"), Vec::new(), vec![eps as f32]);
        let x = self.push("Clip", &step("clipped"), &[x, &least], Vec::new());
        let powers = self.push("Pow", &step("powers"), &[&x, &p], Vec::new());
        let mean = self.push("GlobalAveragePool", &step("mean"), &[&powers], Vec::new());
        let root = self.push("Reciprocal", &step("root"), &[&p], Vec::new());
        Ok(self.push("Pow", &node.name, &[&mean, &root], Vec::new()))
    }
}
