//! Recognizes functions in the elementwise nodes of a file. Exporters write many as chains: `x * sigmoid(x)` for `silu`.
//!
//! First, regions of nodes that compute a function of the library become a call of it. What remains of arithmetic on one value
//! becomes an expression, if that is short, and a number that is added to a layer becomes its bias. Functions of several values that
//! are left get names.

mod affine;
mod library;
mod region;

use std::collections::HashMap;

use super::Importer;
use super::names;
use crate::base::tensor::Tensor;
use crate::elaborate::prelude;
use crate::elementwise::{Binary, Instruction, Program};
use crate::ir::{Elementwise, NodeId, Op};
pub(super) use library::Library;
use region::{Region, regions};

/// The largest number of operations of an expression in place.
const SHORT: usize = 10;

impl Importer<'_> {
    /// Turns regions of elementwise nodes into single ones.
    pub(super) fn recognize(&mut self) {
        if !self.unsupported.rows.is_empty() {
            return;
        }
        let order = self.graph.order();
        let place: HashMap<NodeId, usize> = order.iter().copied().zip(0..).collect();
        for pass in [Importer::call_library, Importer::merge, Importer::add_to_bias, Importer::name_function] {
            for &node in order.iter().rev() {
                // a region may have absorbed it
                if self.graph.is_used(node) {
                    pass(self, node, &place);
                }
            }
        }
    }

    /// Gives functions of several values different names.
    fn name_function(&mut self, node: NodeId, _: &HashMap<NodeId, usize>) {
        let op = &self.graph.node(node).op;
        let function = op.as_elementwise().filter(|function| self.is_arithmetic(node) && function.values().count() > 1);
        if let Some(function) = function.filter(|_| !(op.is_add() || op.is_mul())) {
            let named = self.functions.named(function);
            self.graph.node_mut(node).op = named.into();
        }
    }

    /// Replaces the largest region with this result that computes a function of the library.
    fn call_library(&mut self, root: NodeId, place: &HashMap<NodeId, usize>) {
        if !self.is_arithmetic(root) {
            return;
        }
        let found = regions(&self.graph, place, root, |_, _| true);
        let known = found.iter().rev().find_map(|region| {
            let program = region.program(&self.graph)?;
            Some((region, self.library.find(&program)?))
        });
        if let Some((region, function)) = known {
            self.replace(region, function.into());
        }
    }

    /// Replaces the largest region of arithmetic with this result by an expression.
    fn merge(&mut self, root: NodeId, place: &HashMap<NodeId, usize>) {
        if !self.is_arithmetic(root) {
            return;
        }
        let found = regions(&self.graph, place, root, |op, is_inner| is_inner && is_operation(op));
        let merged = found.iter().rev().filter(|region| region.nodes.len() > 1).find_map(|region| {
            let program = region.program(&self.graph)?;
            let program = affine::normal(&program).unwrap_or(program);
            (program.size() <= SHORT).then_some((region, program))
        });
        if let Some((region, program)) = merged {
            self.replace(region, Elementwise::unary(Elementwise::APPLY, program).into());
        }
    }

    /// Turns the sum of a layer's result and a number into its bias, if the layer has none and nothing else reads its result.
    fn add_to_bias(&mut self, node: NodeId, _: &HashMap<NodeId, usize>) {
        let Some(shift) = self.graph.node(node).op.as_elementwise().and_then(|function| shift(&function.program)) else { return };
        let [layer] = self.graph.operands(node)[..] else { return };
        if self.graph.users(layer).len() != 1 || self.graph.is_output(layer) {
            return;
        }
        let Some(channels) = self.shapes.get(layer.node.index()).and_then(|shape| shape.channels()) else { return };
        let Some((has_bias, _)) = self.graph.node_mut(layer.node).op.bias_mut().filter(|(has_bias, _)| !**has_bias) else {
            return;
        };
        let Some(bias) = Tensor::from_f32(vec![channels], vec![shift; channels]) else { return };
        *has_bias = true;
        let name = format!("{}.bias", self.graph.node(layer.node).name);
        self.tensors.insert(name, bias);
        self.graph.replace_uses(node.into(), layer);
        self.graph.remove(node);
    }

    /// Whether a node is elementwise, without parameters, and no call of a function of the library.
    fn is_arithmetic(&self, node: NodeId) -> bool {
        let op = &self.graph.node(node).op;
        let is_free = |function: &Elementwise| !prelude::has(&function.name) && function.learned().next().is_none();
        op.is_add() || op.is_mul() || op.as_elementwise().is_some_and(|function| is_free(function))
    }

    /// Puts an operator in the place of a region.
    fn replace(&mut self, region: &Region, op: Op) {
        let root = region.root();
        if let Some((name, of)) = self.origins.get(&root) {
            let name = names::of_node(name, of, op.word());
            if self.graph.node(root).name != name {
                self.graph.node_mut(root).name = self.names.fresh(name);
            }
        }
        self.graph.node_mut(root).op = op;
        self.graph.set_operands(root, &[region.input]);
        // users before what they read; a value that is read elsewhere too stays
        for &node in region.nodes.iter().rev().filter(|&&node| node != root) {
            if !self.graph.is_used(node) {
                self.graph.remove(node);
            }
        }
    }
}

/// Whether an operator is an operation on numbers, which an expression can contain: not ReLU, which is a choice.
fn is_operation(op: &Op) -> bool {
    op.as_elementwise().is_some_and(|function| {
        let is_choice = |instruction: &Instruction| matches!(instruction, Instruction::Select { .. });
        function.is_applied() || region::primitive(function).is_some() || !function.program.instructions().iter().any(is_choice)
    })
}

/// The number that a program adds to its operand.
fn shift(program: &Program) -> Option<f32> {
    match program.instructions() {
        [Instruction::Operand(_), Instruction::Constant(shift), Instruction::Binary(Binary::Add, ..)]
        | [Instruction::Constant(shift), Instruction::Operand(_), Instruction::Binary(Binary::Add, ..)] => Some(*shift),
        _ => None,
    }
}
