//! Elementwise functions that the source declares: all but those of the library.

use std::sync::Arc;

use super::names;
use crate::elaborate::prelude;
use crate::ir::{Elementwise, Op};

/// The name of a function of the library that only reads the current value, without numbers: what a block can take as `activation`.
pub(super) fn activation(op: &Op) -> Option<&'static str> {
    let function = op.as_elementwise().filter(|function| function.is_unary() && function.numbers.is_empty())?;
    prelude::functions().iter().map(|known| known.name.as_str()).find(|name| *name == function.name)
}

/// The largest number of operations in a declaration.
const LONGEST: usize = 256;

/// An operator as the source has it: a function that is not in the library becomes one of the declared functions, without numbers,
/// which are part of its program, and with a name of its own.
pub(super) fn declared(op: &Op, functions: &mut Vec<Arc<Elementwise>>) -> Op {
    let own = op.as_elementwise().filter(|function| !(op.is_add() || op.is_mul() || function.is_applied()));
    let Some(function) = own.filter(|function| !prelude::contains(function)) else { return op.clone() };
    let same = |known: &&Arc<Elementwise>| known.program == function.program && known.operands == function.operands;
    if let Some(known) = functions.iter().find(same) {
        return Op::Elementwise(known.clone());
    }
    let stem = names::word(&function.name, "function");
    let taken = |name: &str| names::is_reserved(name) || functions.iter().any(|known| known.name == name);
    let mut name = stem.clone();
    let mut number = 2;
    while taken(&name) {
        name = format!("{stem}_{number}");
        number += 1;
    }
    let known = Arc::new(Elementwise { name, numbers: Vec::new(), ..(**function).clone() });
    functions.push(known.clone());
    Op::Elementwise(known)
}

/// The declaration of a function; `None` if that would be too long.
pub(super) fn declaration(function: &Elementwise) -> Option<String> {
    let parameter = |(slot, operand): (usize, &crate::ir::Operand)| match (slot, operand.broadcast.init()) {
        (0, _) => operand.name.clone(),
        (_, None) => format!("{}: {}", operand.name, operand.broadcast.word()),
        (_, Some(init)) => format!("{}: {} = {init}", operand.name, operand.broadcast.word()),
    };
    let parameters: Vec<String> = function.operands.iter().enumerate().map(parameter).collect();
    let names: Vec<&str> = function.operands.iter().map(|operand| operand.name.as_str()).collect();
    let text = function.program.text(&names, LONGEST)?;
    Some(format!("elementwise {}({}) = {text}", function.name, parameters.join(", ")))
}
