//! Fuses elementwise functions: where the only user of a function's result is another function, one program computes both.
//!
//! The operations keep their order, so the results are the same, bit by bit.

use std::sync::Arc;

use super::rewrite::{replace, same_precision, single_user};
use crate::elementwise::{Builder, Program};
use crate::ir::{Broadcast, Elementwise, NodeId, Operand, Param, ParamRole, ShapedNetwork, Value};

/// The most values that a fused function reads: more streams than this defeat the prefetching of memory.
const MAX_VALUES: usize = 12;

pub(super) fn run(network: &mut ShapedNetwork) {
    for id in network.graph().order() {
        // as long as another one follows
        while let Some((user, slot)) = single_user(network, Value::from(id))
            && same_precision(network, id, user)
            && let Some((function, operands, params)) = fused(network, id, user, slot)
        {
            let graph = network.graph_mut();
            let node = graph.node_mut(id);
            node.op = function.into();
            node.params = params;
            graph.set_operands(id, &operands);
            replace(network, user, Value::from(id));
        }
    }
}

/// An operand of the fused function: what it is, and where its value comes from.
struct Source {
    operand: Operand,
    value: Option<Value>,
    param: Option<Param>,
}

/// The function of a node and then that of its only user, with its operands and parameters; `None` if they cannot be fused.
fn fused(network: &ShapedNetwork, id: NodeId, user: NodeId, slot: usize) -> Option<(Elementwise, Vec<Value>, Vec<Param>)> {
    let graph = network.graph();
    let first = graph.node(id).op.as_elementwise()?;
    let second = graph.node(user).op.as_elementwise()?;
    let slot = second.values().nth(slot)?;
    // a value that is broadcast would be computed again for each element
    if second.operands[slot].broadcast != Broadcast::Full {
        return None;
    }
    let mut sources: Vec<Source> = Vec::new();
    let inner = places(network, id, first, &mut sources);
    let outer = places(network, user, second, &mut sources);
    // the result of the first function is no operand any more
    let mut kept: Vec<usize> = (0..sources.len()).filter(|&at| sources[at].value != Some(Value::from(id))).collect();
    kept.sort_by_key(|&at| sources[at].operand.broadcast != Broadcast::Full);
    if kept.iter().filter(|&&at| sources[at].value.is_some()).count() > MAX_VALUES {
        return None;
    }
    let place = |at: usize| kept.iter().position(|&k| k == at);
    let mut builder = Builder::new(kept.len());
    let arguments: Option<Vec<_>> = inner.iter().map(|&at| place(at).map(|slot| builder.operand(slot))).collect();
    let result = builder.inline(&first.program, &arguments?);
    let arguments: Vec<_> = outer.iter().map(|&at| place(at).map_or(result, |slot| builder.operand(slot))).collect();
    let result = builder.inline(&second.program, &arguments);
    let program: Program = builder.finish(result).ok()?;
    let operands = kept.iter().map(|&at| sources[at].operand.clone()).collect();
    let values = kept.iter().filter_map(|&at| sources[at].value).collect();
    let role = |slot: usize| ParamRole::Operand(slot as u8);
    let param = |(slot, &at): (usize, &usize)| sources[at].param.clone().map(|param| Param { role: role(slot), ..param });
    let params = kept.iter().enumerate().filter_map(param).collect();
    Some((Elementwise { name: fused_name(first, second), numbers: Vec::new(), operands, program }, values, params))
}

/// Where a function's operands are among `sources`; equal ones are there once.
fn places(network: &ShapedNetwork, id: NodeId, function: &Arc<Elementwise>, sources: &mut Vec<Source>) -> Vec<usize> {
    let node = network.graph().node(id);
    let mut values = network.graph().operands(id).into_iter();
    let mut place = |(slot, operand): (usize, &Operand)| {
        let is_learned = operand.broadcast.is_learned();
        let value = if is_learned { None } else { values.next() };
        let role = ParamRole::Operand(slot as u8);
        let param = if is_learned { node.params.iter().find(|param| param.role == role).cloned() } else { None };
        let equal = |source: &Source| {
            source.operand.broadcast == operand.broadcast && source.value == value && {
                let of = |param: &Option<Param>| param.as_ref().map(|param| param.source.clone());
                of(&source.param) == of(&param)
            }
        };
        sources.iter().position(equal).unwrap_or_else(|| {
            sources.push(Source { operand: operand.clone(), value, param });
            sources.len() - 1
        })
    };
    function.operands.iter().enumerate().map(&mut place).collect()
}

/// The name of two functions in one: `add + relu`.
pub(super) fn fused_name(first: &Elementwise, second: &Elementwise) -> String {
    const LONGEST: usize = 60;
    let name = format!("{} + {}", first.name, second.name);
    if name.len() <= LONGEST { name } else { "fused".to_owned() }
}
