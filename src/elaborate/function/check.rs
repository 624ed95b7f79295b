//! The functions of a program: each is checked once, also if nothing calls it.

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::functions::Functions;
use super::signature::{Role, Signature};
use super::term::Term;
use super::translate::{Names, Translator};
use crate::base::codes;
use crate::base::diagnostic::Diagnostic;
use crate::base::source::Span;
use crate::elaborate::eval::Env;
use crate::elaborate::lint;
use crate::elaborate::load::{Def, DefId, Program};
use crate::elementwise;
use crate::syntax::ast::{Expr, Function};

/// A function with its numbers known.
#[derive(Clone, Debug)]
pub(in crate::internal::elaborate) struct Compiled {
    pub program: elementwise::Program,
    /// The value of each number, and each learned operand's initial value, by the index of its parameter.
    pub values: Vec<Option<f32>>,
    /// Whether this is the default.
    pub is_default: Vec<bool>,
}

/// The signatures of all functions of a program.
pub(in crate::internal::elaborate) fn all(
    program: &Program,
    diags: &mut Vec<Diagnostic>,
) -> HashMap<DefId, Option<Arc<Signature>>> {
    let work = Cell::new(0);
    let mut functions = Functions::new(program, diags, &work);
    for id in program.ids().filter(|&id| matches!(program.def(id), Def::Function(_))) {
        functions.signature(id, program.def(id).name().span);
    }
    functions.checked
}

impl Functions<'_> {
    /// What a function takes; `None` after a reported error. `call` is where it is called.
    pub fn signature(&mut self, id: DefId, call: Span) -> Option<Arc<Signature>> {
        if let Some(known) = self.program.functions.get(&id).or_else(|| self.checked.get(&id)) {
            return known.clone();
        }
        if let Some(at) = self.open.iter().position(|&open| open == id) {
            self.cycle(at, call);
            return None;
        }
        self.open.push(id);
        let signature = self.check(id);
        self.open.pop();
        // a cycle through it has no signature
        self.checked.entry(id).or_insert(signature).clone()
    }

    /// Reports the functions that are open from this one on.
    fn cycle(&mut self, from: usize, call: Span) {
        let program = self.program;
        let name = |id: DefId| program.def(id).name().node.as_str();
        let cycle = &self.open[from..];
        let first = cycle[0];
        let message = match cycle {
            [only] => format!("function `{}` calls itself", name(*only)),
            _ => "functions call each other in a cycle".to_owned(),
        };
        let mut diag = Diagnostic::error(codes::FUNCTION_CYCLE, message, call, "which leads back here");
        diag = diag.label(program.def(first).name().span, "declared here");
        if cycle.len() > 1 {
            let chain: Vec<&str> = cycle.iter().chain([&first]).map(|&id| name(id)).collect();
            diag = diag.note(chain.join(" calls "));
        }
        self.diags.push(diag.rule("a function computes the same steps for each element, so it ends: there is no recursion"));
        self.checked.extend(cycle.iter().map(|&id| (id, None)));
    }

    fn check(&mut self, id: DefId) -> Option<Arc<Signature>> {
        let Def::Function(function) = self.program.def(id) else { return None };
        let value = function.value.as_ref()?;
        let names: HashSet<&str> = function.params.iter().map(|param| param.name.node.as_str()).collect();
        if names.len() < function.params.len() {
            return None; // already reported
        }
        let signature = Signature::read(function, self.diags)?;
        let used = self.operands_are_used(function, &signature, value);
        self.compile(id, &signature, &BTreeMap::new())?;
        used.then(|| Arc::new(signature))
    }

    fn operands_are_used(&mut self, function: &Function, signature: &Signature, value: &Expr) -> bool {
        let used = lint::names(value);
        let operands = signature.parameters.iter().filter(|parameter| parameter.role != Role::Number).map(|p| &p.name);
        let mut fine = true;
        for name in std::iter::once(&signature.current).chain(operands).filter(|name| !used.contains(&name.node)) {
            let message = format!("operand `{}` is never used", name.node);
            let diag = Diagnostic::error(codes::UNUSED_OPERAND, message, name.span, "changes nothing");
            self.diags.push(diag.label(function.name.span, "in this function"));
            fine = false;
        }
        fine
    }

    /// A function with these numbers, by the index of their parameters; `None` after a reported error.
    pub fn compile(&mut self, id: DefId, signature: &Signature, given: &BTreeMap<usize, f64>) -> Option<Compiled> {
        let program = self.program;
        let Def::Function(function) = program.def(id) else { return None };
        let value = function.value.as_ref()?;
        let errors = self.diags.len();
        let operands = 1 + signature.parameters.iter().filter(|parameter| parameter.role != Role::Number).count();
        let module = program.module_of(id);
        let mut translator = Translator::new(self, operands);
        let mut own = BTreeMap::from([(signature.current.node.clone(), translator.operand(0))]);
        let (mut values, mut is_default) = (Vec::new(), Vec::new());
        let mut slot = 0;
        for (i, parameter) in signature.parameters.iter().enumerate() {
            let names = Names { module, own: own.clone(), env: None };
            let default = parameter.default.as_ref();
            let at = default.map_or(parameter.name.span, |default| default.span);
            let (number, usual) = match (given.get(&i), default) {
                (Some(x), Some(default)) => (Term::Number(*x), translator.untaken(|this| this.default(default, &names))),
                (Some(x), None) => (Term::Number(*x), Term::Unknown),
                (None, Some(default)) => (translator.default(default, &names), Term::Unknown),
                (None, None) => (Term::Unknown, Term::Unknown),
            };
            let value = translator.float(&number, at);
            is_default.push(!given.contains_key(&i) || translator.untaken(|this| this.float(&usual, at)) == value);
            values.push(value);
            let term = match parameter.role {
                Role::Number => number,
                Role::Operand(_) => {
                    slot += 1;
                    translator.operand(slot)
                }
            };
            own.insert(parameter.name.node.clone(), term);
        }
        let result = translator.term(value, &Names { module, own, env: None });
        let what = format!("function `{}`", function.name.node);
        let program = translator.finish(result, value, &what, function.name.span)?;
        (self.diags.len() == errors).then_some(Compiled { program, values, is_default })
    }

    /// The program of `apply EXPRESSION`.
    pub fn apply(&mut self, value: &Expr, env: &Env) -> Option<elementwise::Program> {
        let errors = self.diags.len();
        let mut translator = Translator::new(self, 1);
        let own = BTreeMap::from([("x".to_owned(), translator.operand(0))]);
        let result = translator.term(value, &Names { module: env.module, own, env: Some(env) });
        let program = translator.finish(result, value, "the expression", value.span);
        if self.diags.len() == errors && !lint::names(value).contains("x") {
            let message = "the expression does not use `x`, the current value";
            self.diags.push(Diagnostic::error(codes::UNUSED_OPERAND, message, value.span, "is the same for every value"));
            return None;
        }
        program
    }
}
