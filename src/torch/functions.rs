//! Elementwise functions that PyTorch does not have, as Python functions; those with learned operands as modules.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::activations;
use super::code::{Code, shortest};
use super::error::TorchError;
use super::expr::{Arg, Expr, Val};
use super::names;
use super::text::Text;
use crate::elementwise::{Instruction, Program};
use crate::ir::{Broadcast, Checked, Elementwise, Op};

/// The largest number of operations of an expression in place.
const LINE: usize = 16;

/// A function that the file defines.
struct Function {
    /// Its name in Python; that of a class if it has learned operands.
    name: String,
    function: Arc<Elementwise>,
}

/// The functions that the file defines.
#[derive(Default)]
pub(super) struct Functions(Vec<Function>);

impl Functions {
    pub fn of(checked: &Checked) -> Result<Functions, TorchError> {
        let graph = checked.graph();
        let mut all = Functions::default();
        for id in graph.order() {
            let node = graph.node(id);
            let Some(function) = node.op.as_elementwise().filter(|function| is_own(&node.op, function)) else { continue };
            if node.op.is_parameter(&node.name) {
                continue;
            }
            if all.name(function).is_some() {
                continue;
            }
            let operands = function.learned().map(|slot| &function.operands[slot].name);
            if let Some(name) = operands.into_iter().find(|name| !names::is_attribute(name)) {
                let reason = format!("no parameter of a module can be called `{name}`");
                return Err(TorchError::Unsupported { node: node.name.clone(), reason });
            }
            let name = all.fresh(function);
            all.0.push(Function { name, function: function.clone() });
        }
        Ok(all)
    }

    /// The name of a function that the file defines.
    pub fn name(&self, function: &Elementwise) -> Option<&str> {
        let same = |known: &&Function| known.function.program == function.program && known.function.operands == function.operands;
        self.0.iter().find(same).map(|known| known.name.as_str())
    }

    /// Their names.
    pub fn names(&self) -> HashSet<String> {
        self.0.iter().map(|known| known.name.clone()).collect()
    }

    /// Whether a function has this name.
    pub fn contains(&self, name: &str) -> bool {
        self.0.iter().any(|known| known.name == name)
    }

    fn fresh(&self, function: &Elementwise) -> String {
        let own = if function.is_applied() { "elementwise" } else { &function.name };
        let stem = match function.learned().next() {
            Some(_) => names::class(own, "Elementwise"),
            None if names::is_local(own) && own.chars().all(|c| !c.is_ascii_uppercase()) => own.to_owned(),
            None => "elementwise".to_owned(),
        };
        let numbered = (2..).map(|n| format!("{stem}{n}"));
        [stem.clone()].into_iter().chain(numbered).find(|name| !self.contains(name)).unwrap_or_default()
    }

    /// Writes their definitions.
    pub fn write(&self, text: &mut Text) {
        for Function { name, function } in &self.0 {
            text.line("");
            text.line("");
            if function.learned().next().is_some() {
                module(name, function, text);
            } else {
                let operands = operands(function);
                text.def(name, &operands);
                body(&function.program, &operands, text);
                text.close();
            }
        }
    }
}

/// Whether the file must define a function.
fn is_own(op: &Op, function: &Elementwise) -> bool {
    let is_inline = op.is_add() || op.is_mul() || function.program.as_clamp().is_some();
    let is_short = function.is_applied() && function.program.size() <= LINE;
    let is_known = activations::module(function).is_some() || activations::prelu(function, 1).is_some();
    !(is_inline || is_short || is_known)
}

/// Valid and different names of the operands, by slot.
fn operands(function: &Elementwise) -> Vec<String> {
    let mut list: Vec<String> = Vec::new();
    for (slot, operand) in function.operands.iter().enumerate() {
        let is_free = names::is_local(&operand.name) && !list.contains(&operand.name) && !is_temporary(&operand.name);
        list.push(if is_free { operand.name.clone() } else { format!("x{slot}") });
    }
    list
}

/// Whether a name can be that of an intermediate value.
fn is_temporary(name: &str) -> bool {
    ["t", "x"].iter().any(|stem| name.strip_prefix(stem).is_some_and(|rest| rest.parse::<usize>().is_ok()))
}

/// The statements of a function. What it reads more than once gets a variable.
fn body(program: &Program, operands: &[String], text: &mut Text) {
    let operands: Vec<Expr> = operands.iter().map(Expr::text).collect();
    let mut uses = vec![0; program.instructions().len()];
    program.instructions().iter().flat_map(|instruction| instruction.reads()).for_each(|read| uses[usize::from(read)] += 1);
    let mut code = Code { program, operands: &operands, variables: HashMap::new() };
    for (register, instruction) in (0..=program.result()).zip(program.instructions()) {
        let is_leaf = matches!(instruction, Instruction::Operand(_) | Instruction::Constant(_));
        if !is_leaf && uses[usize::from(register)] > 1 {
            let name = format!("t{}", code.variables.len() + 1);
            text.long(&format!("{name} = "), &code.value(register).0, "");
            code.variables.insert(register, name);
        }
    }
    text.long("return ", &code.result(), "");
}

/// A module with a function's learned operands.
fn module(name: &str, function: &Elementwise, text: &mut Text) {
    let names = operands(function);
    text.open(&format!("class {name}(nn.Module):"));
    let takes: Vec<String> =
        ["self".to_owned()].into_iter().chain(has_channels(function).then(|| "channels".to_owned())).collect();
    text.def("__init__", &takes);
    text.line("super().__init__()");
    for slot in function.learned() {
        let operand = &function.operands[slot];
        let count = if matches!(operand.broadcast, Broadcast::Shared { .. }) { "1" } else { "channels" };
        let init = Val::Float(shortest(operand.broadcast.init().unwrap_or_default()));
        text.line(&format!("self.{} = nn.Parameter(torch.full(({count},), {init}))", operand.name));
    }
    text.close();
    text.line("");
    let takes = function.values().map(|slot| names[slot].clone());
    text.def("forward", &["self".to_owned()].into_iter().chain(takes).collect::<Vec<_>>());
    for slot in function.learned() {
        let attribute = &function.operands[slot].name;
        text.line(&format!("{} = self.{attribute}.view(-1, *[1] * ({}.dim() - 2))", names[slot], names[0]));
    }
    body(&function.program, &names, text);
    text.close();
    text.close();
}

fn has_channels(function: &Elementwise) -> bool {
    function.operands.iter().any(|operand| matches!(operand.broadcast, Broadcast::Parameter { .. }))
}

/// How the module of a function with learned operands is constructed.
pub(super) fn make(name: &str, function: &Elementwise, channels: usize) -> Expr {
    let channels = has_channels(function).then(|| Arg::plain(Expr::channels("channels", channels)));
    Expr::call(name, channels.into_iter().collect())
}

/// The parameter that is all there is of a layer.
pub(super) fn parameter(function: &Elementwise, channels: usize) -> Expr {
    let operand = function.learned().next().map(|slot| function.operands[slot].broadcast);
    let count = match operand {
        Some(Broadcast::Parameter { .. }) => Expr::channels("channels", channels),
        _ => Expr::text("1"),
    };
    let init = Val::Float(shortest(operand.and_then(Broadcast::init).unwrap_or_default()));
    let shape = Expr::Seq(vec![Expr::text("("), count, Expr::text(",)")]);
    let full = Expr::call("torch.full", vec![Arg::plain(shape), Arg::plain(Expr::text(init.to_string()))]);
    Expr::call("nn.Parameter", vec![Arg::plain(full)])
}

/// A function in place with its only parameter, for values with this many axes after the channels.
pub(super) fn with_parameter(function: &Elementwise, parameter: Expr, values: Vec<Expr>, rank: usize) -> Expr {
    let view = format!(".view(-1{})", ", 1".repeat(rank));
    let (mut values, mut parameter) = (values.into_iter(), Some(Expr::Seq(vec![parameter, Expr::text(view)])));
    let is_learned = |slot: usize| function.learned().any(|learned| learned == slot);
    let operands =
        (0..function.operands.len()).filter_map(|slot| if is_learned(slot) { parameter.take() } else { values.next() });
    let operands: Vec<Expr> = operands.collect();
    inline(function, &operands)
}

/// The call of a function that the file defines.
pub(super) fn call(name: &str, operands: Vec<Expr>) -> Expr {
    Expr::call(name, operands.into_iter().map(Arg::plain).collect())
}

/// A function as an expression in place.
pub(super) fn inline(function: &Elementwise, operands: &[Expr]) -> Expr {
    Code { program: &function.program, operands, variables: HashMap::new() }.result()
}

/// Whether an expression in place of a function contains its first operand once.
pub(super) fn reads_once(function: &Elementwise) -> bool {
    let program = &function.program;
    let operand = program.instructions().iter().position(|i| matches!(i, Instruction::Operand(0)));
    let reads = program.instructions().iter().flat_map(|i| i.reads()).filter(|read| Some(usize::from(*read)) == operand);
    reads.count() <= 1
}
