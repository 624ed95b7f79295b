//! Exports each operator as ONNX nodes.

use std::collections::{HashMap, HashSet};

use prost::bytes::Bytes;

use super::super::proto::{AttributeProto, AttributeType, NodeProto};
use super::ExportError;
use super::file::Weight;
use crate::ir::{
    BatchNorm, Conv, Epilogue, Gem, Linear, Node, NodeId, Op, Pad, PadMode, ParamRole, ParamSource, Shape, ShapedNetwork, Sides,
    Value,
};
use crate::runtime::ParamStore;

/// Collects the nodes and the tensors of a file.
pub(super) struct Emitter<'a> {
    checked: &'a ShapedNetwork,
    params: &'a ParamStore,
    opset: i64,
    nodes: Vec<NodeProto>,
    weights: Vec<Weight>,
    /// The name of each value that was emitted.
    names: HashMap<Value, String>,
    /// The output names of values that are outputs.
    outputs: HashMap<Value, &'a str>,
    taken: HashSet<String>,
}

impl<'a> Emitter<'a> {
    pub fn new(checked: &'a ShapedNetwork, params: &'a ParamStore, opset: i64) -> Emitter<'a> {
        let mut outputs = HashMap::new();
        let mut taken = HashSet::new();
        for (name, value) in checked.graph().outputs() {
            taken.insert(name.clone());
            if !checked.graph().inputs().contains(&value.node) {
                outputs.entry(*value).or_insert(name.as_str());
            }
        }
        for id in checked.graph().ids() {
            taken.extend(checked.graph().node(id).params.iter().filter_map(|p| match &p.source {
                ParamSource::Named(name) => Some(name.clone()),
                ParamSource::FoldedWeight { .. }
                | ParamSource::FoldedBias { .. }
                | ParamSource::Standardized { .. }
                | ParamSource::Scaled { .. }
                | ParamSource::Bf16 { .. } => None,
            }));
        }
        Emitter { checked, params, opset, nodes: Vec::new(), weights: Vec::new(), names: HashMap::new(), outputs, taken }
    }

    /// The name of an emitted value.
    pub fn value(&self, value: Value) -> String {
        self.names.get(&value).cloned().unwrap_or_default()
    }

    /// Makes a value an output with this name.
    pub fn output(&mut self, name: &str, value: Value) {
        let from = self.value(value);
        if from != name {
            self.nodes.push(node("Identity", name, &[&from], name));
        }
    }

    pub fn finish(self) -> (Vec<NodeProto>, Vec<Weight>) {
        (self.nodes, self.weights)
    }

    /// A unique name.
    fn fresh(&mut self, like: &str) -> String {
        let mut name = like.to_owned();
        let mut count = 1;
        while !self.taken.insert(name.clone()) {
            count += 1;
            name = format!("{like}_{count}");
        }
        name
    }

    /// Adds a node with a single result of the same name, and returns the name.
    pub(super) fn push(&mut self, op: &str, name: &str, inputs: &[&str], attributes: Vec<AttributeProto>) -> String {
        let name = self.fresh(name);
        self.nodes.push(NodeProto { attribute: attributes, ..node(op, &name, inputs, &name) });
        name
    }

    /// Adds a list of integers, and returns its name.
    pub(super) fn numbers(&mut self, name: &str, values: &[i64]) -> String {
        let name = self.fresh(name);
        self.weights.push(Weight::i64(name.clone(), values));
        name
    }

    /// Adds an f32 tensor, and returns its name.
    pub(super) fn values(&mut self, name: &str, shape: Vec<usize>, values: Vec<f32>) -> String {
        let name = self.fresh(name);
        self.weights.push(Weight::f32(name.clone(), shape, values.into()));
        name
    }

    /// The shape of a node's first operand.
    pub(super) fn operand(&self, id: NodeId) -> Option<&'a Shape> {
        let first = self.checked.graph().operands(id).first().copied()?;
        Some(self.checked.shape(first))
    }

    /// The shape of a node's result.
    pub(super) fn result(&self, id: NodeId) -> &'a Shape {
        self.checked.shape(id)
    }

    /// The number of spatial axes of a node's operand.
    pub(super) fn rank(&self, id: NodeId) -> usize {
        self.operand(id).and_then(Shape::map).map_or(0, <[_]>::len)
    }

    /// A node of the graph.
    pub(super) fn graph_node(&self, id: NodeId) -> &'a Node {
        self.checked.graph().node(id)
    }

    /// The opset of the file.
    pub(super) fn opset(&self) -> i64 {
        self.opset
    }

    /// Adds the values of a parameter, and returns its name in the file.
    pub(super) fn param(&mut self, node: &Node, role: ParamRole) -> Result<String, ExportError> {
        self.param_with_axes(node, role, 0)
    }

    /// Adds the values of a parameter with this many more axes of size 1.
    pub(super) fn param_with_axes(&mut self, node: &Node, role: ParamRole, axes: usize) -> Result<String, ExportError> {
        let Some(param) = node.params.iter().find(|p| p.role == role) else {
            return Err(unsupported(node, format!("it has no {}", role.suffix())));
        };
        let name = match &param.source {
            ParamSource::Named(name) => name.clone(),
            ParamSource::FoldedWeight { .. }
            | ParamSource::FoldedBias { .. }
            | ParamSource::Standardized { .. }
            | ParamSource::Scaled { .. }
            | ParamSource::Bf16 { .. } => self.fresh(&format!("{}.{}", node.name, role.suffix())),
        };
        let values = self.params.evaluate(&param.source, &param.shape)?;
        let shape = param.shape.iter().copied().chain(std::iter::repeat_n(1, axes)).collect();
        self.weights.push(Weight::f32(name.clone(), shape, values));
        Ok(name)
    }

    /// Emits a node of the graph.
    pub fn node(&mut self, id: NodeId) -> Result<(), ExportError> {
        let node = self.checked.graph().node(id);
        let operands = self.checked.graph().operands(id);
        let x: Vec<String> = operands.iter().map(|v| self.value(*v)).collect();
        let x: Vec<&str> = x.iter().map(String::as_str).collect();
        let one = x.first().copied().unwrap_or_default();
        let before = self.nodes.len();
        let name = node.name.as_str();
        let result = match &node.op {
            Op::Input(_) => self.fresh(name),
            Op::Conv(conv) => self.conv(id, node, conv, &x)?,
            Op::ChannelConv(kernel) => self.channel_conv(id, node, *kernel, one)?,
            Op::ConvTranspose(conv) => self.conv_transpose(id, node, conv, one)?,
            Op::Linear(linear) => self.linear(node, linear, &x)?,
            Op::BatchNorm(norm) => self.norm(node, norm, one)?,
            Op::Gem(Gem { eps, .. }) => self.gem(node, *eps, one)?,
            Op::OverChannels(reduction) => self.over_channels(name, *reduction, one),
            Op::L2Norm(eps) => self.l2_norm(name, *eps, one),
            Op::SampleNorm(norm) => self.sample_norm(id, node, norm, one)?,
            Op::Elementwise(function) => self.elementwise(id, function, &x)?,
            Op::Concat => self.push("Concat", name, &x, vec![int("axis", 1)]),
            Op::Pool(pool) => self.pool(id, node, pool, one),
            Op::AdaptiveAvgPool([1, 1]) => self.push("GlobalAveragePool", name, &[one], Vec::new()),
            Op::AdaptiveAvgPool(_) => self.adaptive(id, node, one)?,
            Op::GlobalMaxPool => self.push("GlobalMaxPool", name, &[one], Vec::new()),
            Op::Flatten => self.push("Flatten", name, &[one], vec![int("axis", 1)]),
            Op::Softmax(None) => self.push("Softmax", name, &[one], vec![int("axis", 1)]),
            Op::Softmax(Some(groups)) => self.grouped_softmax(id, name, *groups, one),
            Op::Dropout(probability) => {
                let ratio = self.values(&format!("{name}.ratio"), Vec::new(), vec![*probability as f32]);
                self.push("Dropout", name, &[one, &ratio], Vec::new())
            }
            Op::Pad(pad) => self.pad(id, name, pad, one),
            Op::Crop(sides) => self.crop(id, name, *sides, one),
            Op::Subsample(stride) => self.subsample(id, name, *stride, one),
            Op::Upsample(upsample) => self.upsample(id, upsample, &x)?,
            Op::Slice(range) => {
                let ends = [("starts", range.start), ("ends", range.end), ("axes", 1)];
                let ends = ends.map(|(key, n)| self.numbers(&format!("{name}.{key}"), &[i64::try_from(n).unwrap_or(i64::MAX)]));
                self.push("Slice", name, &[one, &ends[0], &ends[1], &ends[2]], Vec::new())
            }
            Op::Rearrange(rearrange) => self.rearrange(id, name, rearrange, one),
            Op::Train(_) => return Err(unsupported(node, "it is a training operator".to_owned())),
            Op::Custom(_) => return Err(unsupported(node, "it is not an operator of the language".to_owned())),
        };
        // a value that is an output has the name of the output
        let result = match self.outputs.get(&id.into()).copied() {
            Some(output) if self.nodes.len() > before => {
                if let Some(name) = self.nodes.last_mut().and_then(|n| n.output.first_mut()) {
                    output.clone_into(name);
                }
                output.to_owned()
            }
            _ => result,
        };
        self.names.insert(id.into(), result);
        Ok(())
    }

    fn conv(&mut self, id: NodeId, node: &Node, conv: &Conv, x: &[&str]) -> Result<String, ExportError> {
        // ONNX has no such layer: the weight is written as it is used
        let standardized = conv.standardized(&node.params).map(|params| Node { params, ..node.clone() });
        let node = standardized.as_ref().unwrap_or(node);
        let x0 = x.first().copied().unwrap_or_default();
        let rank = self.rank(id);
        let attributes = vec![
            ints("dilations", &axes(conv.dilation, rank)),
            int("group", conv.groups),
            ints("kernel_shape", &axes(conv.kernel, rank)),
            ints("pads", &sides(conv.pad, rank)),
            ints("strides", &axes(conv.stride, rank)),
        ];
        let y = self.layer("Conv", node, x0, conv.bias, attributes)?;
        Ok(self.epilogue(node, &conv.epilogue, y, x))
    }

    /// Emits a node with a weight and perhaps a bias.
    pub(super) fn layer(
        &mut self,
        op: &str,
        node: &Node,
        x: &str,
        has_bias: bool,
        attributes: Vec<AttributeProto>,
    ) -> Result<String, ExportError> {
        let mut inputs = vec![x.to_owned(), self.param(node, ParamRole::Weight)?];
        if has_bias {
            inputs.push(self.param(node, ParamRole::Bias)?);
        }
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        Ok(self.push(op, &node.name, &inputs, attributes))
    }

    fn linear(&mut self, node: &Node, linear: &Linear, x: &[&str]) -> Result<String, ExportError> {
        let x0 = x.first().copied().unwrap_or_default();
        let y = self.layer("Gemm", node, x0, linear.bias, vec![int("transB", 1)])?;
        Ok(self.epilogue(node, &linear.epilogue, y, x))
    }

    /// Emits a fused epilogue as separate nodes.
    fn epilogue(&mut self, node: &Node, epilogue: &Epilogue, y: String, x: &[&str]) -> String {
        let mut y = y;
        if epilogue.residual
            && let Some(other) = x.last()
        {
            y = self.push("Add", &format!("{}.add", node.name), &[&y, other], Vec::new());
        }
        if let Some(act) = &epilogue.act {
            y = self.activation(&format!("{}.{}", node.name, act.name), act, &y);
        }
        y
    }

    fn norm(&mut self, node: &Node, norm: &BatchNorm, x: &str) -> Result<String, ExportError> {
        let mut inputs = vec![x.to_owned()];
        for role in [ParamRole::Weight, ParamRole::Bias, ParamRole::RunningMean, ParamRole::RunningVar] {
            inputs.push(self.param(node, role)?);
        }
        // momentum is the weight of the old value in ONNX, and of the new value in PyTorch
        let attributes = vec![float("epsilon", norm.eps as f32), float("momentum", (1.0 - norm.momentum) as f32)];
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        Ok(self.push("BatchNormalization", &node.name, &inputs, attributes))
    }

    /// Emits a padding. ONNX lists the padding before all axes (including the batch), then the padding after them.
    pub(super) fn pad(&mut self, id: NodeId, name: &str, pad: &Pad, x: &str) -> String {
        self.padded(id, name, pad, x, None)
    }

    /// Like [`Emitter::pad`], with a named constant instead of zeros.
    pub(super) fn padded(&mut self, id: NodeId, name: &str, pad: &Pad, x: &str, value: Option<&str>) -> String {
        let around = sides(pad.sides, self.rank(id));
        let (before, after) = around.split_at(around.len() / 2);
        let number = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        let mut pads = vec![0, number(pad.channels[0])];
        pads.extend_from_slice(before);
        pads.extend([0, number(pad.channels[1])]);
        pads.extend_from_slice(after);
        let pads = self.numbers(&format!("{name}.pads"), &pads);
        let mode = match pad.mode {
            PadMode::Zeros => "constant",
            PadMode::Reflect => "reflect",
            PadMode::Replicate => "edge",
        };
        let operands: Vec<&str> = [x, &pads].into_iter().chain(value).collect();
        self.push("Pad", name, &operands, vec![text("mode", mode)])
    }

    fn crop(&mut self, id: NodeId, name: &str, sides: Sides, x: &str) -> String {
        let rank = self.rank(id);
        let own = &sides[2 - rank.clamp(1, 2)..];
        let number = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        let starts: Vec<i64> = own.iter().map(|side| number(side[0])).collect();
        let ends: Vec<i64> = own.iter().map(|side| if side[1] == 0 { i64::MAX } else { -number(side[1]) }).collect();
        let over: Vec<i64> = (2..).take(own.len()).collect();
        let [starts, ends, over] =
            [("starts", starts), ("ends", ends), ("axes", over)].map(|(key, list)| self.numbers(&format!("{name}.{key}"), &list));
        self.push("Slice", name, &[x, &starts, &ends, &over], Vec::new())
    }

    fn subsample(&mut self, id: NodeId, name: &str, stride: [usize; 2], x: &str) -> String {
        let steps = axes(stride, self.rank(id));
        let numbers = |of: &dyn Fn(usize) -> i64| (0..steps.len()).map(of).collect::<Vec<i64>>();
        let starts = self.numbers(&format!("{name}.starts"), &numbers(&|_| 0));
        let ends = self.numbers(&format!("{name}.ends"), &numbers(&|_| i64::MAX));
        let over = self.numbers(&format!("{name}.axes"), &numbers(&|axis| axis as i64 + 2));
        let steps = self.numbers(&format!("{name}.steps"), &steps);
        self.push("Slice", name, &[x, &starts, &ends, &over, &steps], Vec::new())
    }
}

pub(super) fn unsupported(node: &Node, reason: String) -> ExportError {
    ExportError::Unsupported { node: node.name.clone(), reason }
}

fn node(op: &str, name: &str, inputs: &[&str], output: &str) -> NodeProto {
    NodeProto {
        input: inputs.iter().map(|&s| s.to_owned()).collect(),
        output: vec![output.to_owned()],
        name: Some(name.to_owned()),
        op_type: Some(op.to_owned()),
        domain: None,
        attribute: Vec::new(),
    }
}

/// Height and width, or only the width for 1-D inputs.
pub(super) fn axes(pair: [usize; 2], rank: usize) -> Vec<i64> {
    pair[2 - rank.clamp(1, 2)..].iter().map(|&n| i64::try_from(n).unwrap_or(i64::MAX)).collect()
}

/// The padding before each axis, then after each axis.
pub(super) fn sides(pad: [[usize; 2]; 2], rank: usize) -> Vec<i64> {
    [0, 1].into_iter().flat_map(|side| axes([pad[0][side], pad[1][side]], rank)).collect()
}

fn attribute(name: &str, kind: AttributeType) -> AttributeProto {
    AttributeProto { name: Some(name.to_owned()), r#type: Some(kind as i32), ..AttributeProto::default() }
}

pub(super) fn int(name: &str, value: usize) -> AttributeProto {
    signed(name, i64::try_from(value).unwrap_or(i64::MAX))
}

pub(super) fn signed(name: &str, value: i64) -> AttributeProto {
    AttributeProto { i: Some(value), ..attribute(name, AttributeType::Int) }
}

pub(super) fn ints(name: &str, values: &[i64]) -> AttributeProto {
    AttributeProto { ints: values.to_vec(), ..attribute(name, AttributeType::Ints) }
}

pub(super) fn float(name: &str, value: f32) -> AttributeProto {
    AttributeProto { f: Some(value), ..attribute(name, AttributeType::Float) }
}

pub(super) fn text(name: &str, value: &str) -> AttributeProto {
    AttributeProto { s: Some(Bytes::copy_from_slice(value.as_bytes())), ..attribute(name, AttributeType::String) }
}
