//! Makes the rounding of bf16 layers explicit: their weights are rounded when they are bound, and a function that rounds is added to what
//! they store, and to what they read of other layers. Everything between is f32, so any kernel computes it.

use std::collections::HashMap;
use std::sync::Arc;

use super::fuse_elementwise::fused_name;
use crate::base::tensor::DType;
use crate::elementwise::Program;
use crate::ir::{Elementwise, Node, NodeId, Op, ParamRole, ParamSource, Precision, ShapedNetwork, Value};

/// The name of the function in dumps.
const NAME: &str = "bf16";

pub(super) fn run(network: &mut ShapedNetwork) {
    let mut rounding = Rounding { network, rounded: HashMap::new() };
    for id in rounding.network.graph().order() {
        rounding.node(id);
    }
}

struct Rounding<'a> {
    network: &'a mut ShapedNetwork,
    /// Values that are bf16, and the rounded ones of other values.
    rounded: HashMap<Value, Value>,
}

impl Rounding<'_> {
    fn node(&mut self, id: NodeId) {
        let graph = self.network.graph();
        let (precision, operands) = (graph.node(id).precision, graph.operands(id));
        if precision == Precision::Bf16 {
            for (slot, &operand) in operands.iter().enumerate() {
                if self.is_float(operand) {
                    let rounded = self.operand(operand);
                    self.network.graph_mut().set_operand(id, slot, rounded);
                }
            }
        }
        let operands = self.network.graph().operands(id);
        let op = &self.network.graph().node(id).op;
        let keeps = op.moves_values() && !operands.is_empty() && operands.iter().all(|operand| self.is_rounded(*operand));
        let results: Vec<Value> =
            (0..self.network.types.results(id).len()).map(|port| Value { node: id, port: port as u8 }).collect();
        if keeps {
            self.rounded.extend(results.into_iter().map(|result| (result, result)));
            return;
        }
        if precision != Precision::Bf16 {
            return;
        }
        self.weights(id);
        if self.last(id) {
            self.rounded.insert(id.into(), id.into());
            return;
        }
        for result in results.into_iter().filter(|result| self.is_float(*result)).collect::<Vec<_>>() {
            let new = self.add(result);
            let graph = self.network.graph_mut();
            graph.replace_uses(result, new);
            graph.set_operands(new.node, &[result]);
            self.rounded.insert(new, new);
        }
    }

    fn is_float(&self, value: Value) -> bool {
        self.network.types.get(value).dtype == DType::F32
    }

    fn is_rounded(&self, value: Value) -> bool {
        self.rounded.get(&value) == Some(&value)
    }

    /// The value as a layer reads it.
    fn operand(&mut self, value: Value) -> Value {
        if let Some(&rounded) = self.rounded.get(&value) {
            return rounded;
        }
        let new = self.add(value);
        self.rounded.insert(value, new);
        self.rounded.insert(new, new);
        new
    }

    /// A node that rounds a value.
    fn add(&mut self, value: Value) -> Value {
        let Node { name, precision, origin, .. } = self.network.graph().node(value.node).clone();
        let name = if value.port == 0 { format!("{name}.{NAME}") } else { format!("{name}.{}.{NAME}", value.port) };
        let op = Elementwise::unary(NAME, Program::round_bf16()).into();
        let new = self.network.graph_mut().add(Node { op, name, params: Vec::new(), precision, origin }, &[value]);
        // a function of one value keeps its type
        let of = self.network.types.get(value).clone();
        self.network.types.set(new, vec![of]);
        new.into()
    }

    /// Rounds the weight of a convolution or linear layer. Biases and the parameters of functions and norms stay f32.
    fn weights(&mut self, id: NodeId) {
        let node = self.network.graph_mut().node_mut(id);
        if node.op.is_norm() {
            return;
        }
        for param in node.params.iter_mut().filter(|param| param.role == ParamRole::Weight) {
            let of = Box::new(param.source.clone());
            param.source = ParamSource::Bf16 { stored: format!("{}.weight.bf16", node.name), of };
        }
    }

    /// Rounds as the last step of the node itself; `false` if it has no place for it.
    fn last(&mut self, id: NodeId) -> bool {
        let round = Elementwise::unary(NAME, Program::round_bf16());
        let node = self.network.graph_mut().node_mut(id);
        if let Op::Elementwise(function) = &node.op {
            let Ok(program) = round.program.compose(0, &function.program) else { return false };
            let name = fused_name(function, &round);
            node.op = Elementwise { name, numbers: Vec::new(), operands: function.operands.clone(), program }.into();
            return true;
        }
        let Some(epilogue) = node.op.epilogue_mut() else { return false };
        epilogue.act = Some(Arc::new(match &epilogue.act {
            None => round,
            Some(before) => match round.program.compose(0, &before.program) {
                Ok(program) => Elementwise::unary(fused_name(before, &round), program),
                Err(_) => return false,
            },
        }));
        true
    }
}

#[cfg(test)]
mod tests {
    use crate::driver::Frontend;
    use crate::ir::dump::{DumpOptions, dump};
    use crate::passes::fold;

    fn optimized(body: &str) -> Vec<String> {
        let text = format!("resnet 1\nnetwork net {{\n  input 3 x 8 x 8\n{body}}}\n");
        let checked = Frontend::text("net.resnet", &text).check("net", &[]).unwrap();
        let dumped = dump(&fold(checked), DumpOptions::default());
        let lines = dumped.lines().skip(1).filter(|line| line.starts_with("  "));
        lines
            .map(|line| line.split("  ").map(str::trim).filter(|part| !part.is_empty()).take(2).collect::<Vec<_>>().join(": "))
            .collect()
    }

    #[test]
    fn a_layer_rounds_what_it_reads_and_stores() {
        let found = optimized(
            "  precision { default: bf16 }\n  conv 3x3, filters: 4\n  batchnorm\n  relu\n  maxpool 2x2, stride: 2\n  avgpool global\n",
        );
        assert_eq!(
            found,
            [
                "input: input",
                "input.bf16: bf16",
                "conv1: conv 3x3, 4, bias + relu + bf16",
                "maxpool: maxpool 2x2, stride 2",
                "avgpool: avgpool global",
                "avgpool.bf16: bf16",
            ]
        );
    }

    #[test]
    fn a_layer_that_stays_f32_is_neither_rounded_nor_fused_with_others() {
        let found =
            optimized("  precision { default: f32, fc: bf16 }\n  conv 3x3, filters: 4\n  relu\n  flatten\n  linear 4 as fc\n");
        assert_eq!(
            found,
            ["input: input", "conv1: conv 3x3, 4 + relu", "flatten: flatten", "flatten.bf16: bf16", "fc: linear 4 + bf16",]
        );
    }
}
