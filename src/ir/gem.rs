//! Generalized-mean pooling in terms of other operators: a power of each value, their mean, and its root.

use super::{Broadcast, Elementwise, Gem, Graph, Node, NodeId, Op, Param, ParamRole, Precision, Types, Value};
use crate::elementwise::{Binary, Builder, Program, ProgramError, Unary};

/// Replaces each pool by a power, a mean and a root, the last of which keeps its place in the graph. Both functions read the same
/// parameter.
pub(super) fn expand_all(graph: &mut Graph, types: &mut Types) {
    let ids: Vec<NodeId> = graph.ids().collect();
    for id in ids {
        let Op::Gem(Gem { p, eps }) = graph.node(id).op else { continue };
        // a program of a few instructions is never too long
        if let (Ok(power), Ok(root)) = (power(eps as f32), root()) {
            expand(graph, types, id, p as f32, [power, root]);
        }
    }
}

fn expand(graph: &mut Graph, types: &mut Types, id: NodeId, p: f32, [power, root]: [Program; 2]) {
    let Some(&x) = graph.operands(id).first() else { return };
    let Node { name, origin, params, .. } = graph.node(id).clone();
    let params: Vec<Param> = params.into_iter().map(|param| Param { role: ParamRole::Operand(1), ..param }).collect();
    let function = |word: &str, program| {
        let mut function = Elementwise::new(word, vec![Broadcast::Full, Broadcast::Shared { init: p }], program);
        "p".clone_into(&mut function.operands[1].name);
        Op::from(function)
    };
    // computed in f32 inside, and stored in the precision of the pool
    let precision = Precision::F32;
    let powers =
        Node { op: function("gem-power", power), name: format!("{name}.power"), params: params.clone(), precision, origin };
    let powers = graph.add(powers, &[x]);
    let mean = Node { op: Op::AdaptiveAvgPool([1, 1]), name: format!("{name}.mean"), params: Vec::new(), precision, origin };
    let mean = graph.add(mean, &[Value::from(powers)]);
    let node = graph.node_mut(id);
    node.op = function("gem-root", root);
    node.params = params;
    graph.set_operands(id, &[Value::from(mean)]);
    for new in [powers, mean] {
        // the pool's own shape rule accepted the operand
        let _ = types.infer(graph, new);
    }
}

/// `max(x, eps) ^ p`.
fn power(eps: f32) -> Result<Program, ProgramError> {
    let mut b = Builder::new(2);
    let (x, p) = (b.operand(0), b.operand(1));
    let above = b.clamp(x, eps, f32::INFINITY);
    let log = b.unary(Unary::Log, above);
    let product = b.binary(Binary::Mul, p, log);
    let result = b.unary(Unary::Exp, product);
    b.finish(result)
}

/// `x ^ (1 / p)`.
fn root() -> Result<Program, ProgramError> {
    let mut b = Builder::new(2);
    let (x, p) = (b.operand(0), b.operand(1));
    let log = b.unary(Unary::Log, x);
    let quotient = b.binary(Binary::Div, log, p);
    let result = b.unary(Unary::Exp, quotient);
    b.finish(result)
}
