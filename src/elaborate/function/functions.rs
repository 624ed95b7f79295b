//! What is known of the functions of a program while expressions are translated.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::Arc;

use super::primitive;
use super::signature::Signature;
use crate::base::diagnostic::{Diagnostic, Label};
use crate::base::source::Span;
use crate::elaborate::load::{Def, DefId, Program};

/// The functions that expressions call.
pub(in crate::internal::elaborate) struct Functions<'a> {
    pub program: &'a Program,
    pub diags: &'a mut Vec<Diagnostic>,
    pub work: &'a Cell<usize>,
    /// Those checked so far, beside the program's own; `None` after a reported error.
    pub checked: HashMap<DefId, Option<Arc<Signature>>>,
    /// Those being checked: each calls the next.
    pub open: Vec<DefId>,
    /// The nesting depth of the expression that is being translated.
    pub depth: usize,
}

impl<'a> Functions<'a> {
    pub fn new(program: &'a Program, diags: &'a mut Vec<Diagnostic>, work: &'a Cell<usize>) -> Functions<'a> {
        Functions { program, diags, work, checked: HashMap::new(), open: Vec::new(), depth: 0 }
    }

    /// The function of this name in a module.
    pub fn find(&self, name: &str, module: usize) -> Option<DefId> {
        let own = self.program.modules[module].scope.get(name).copied();
        own.or_else(|| self.program.prelude(name)).filter(|&id| matches!(self.program.def(id), Def::Function(_)))
    }

    /// What a name in a module is, if it is no function.
    pub fn kind(&self, name: &str, module: usize) -> Option<&'static str> {
        self.program.modules[module].scope.get(name).map(|&id| self.program.def(id).kind())
    }

    /// The names of what the expressions of a module can call.
    pub fn names(&self, module: usize) -> Vec<&'a str> {
        let program = self.program;
        let own = program.modules[module].scope.values().copied().chain(program.prelude_functions());
        let functions = own.map(|id| program.def(id)).filter(|def| matches!(def, Def::Function(_)));
        let mut names: Vec<&'a str> =
            functions.map(|def| def.name().node.as_str()).chain(primitive::names().map(|name| -> &'a str { name })).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Moves errors, from the one with this number on, to the call that caused them by its numbers.
    pub fn caused_by(&mut self, call: Span, errors: usize) {
        for diag in self.diags.iter_mut().skip(errors) {
            diag.labels.iter_mut().for_each(|label| label.primary = false);
            diag.labels.insert(0, Label { span: call, text: "in this call".to_owned(), primary: true });
        }
    }
}
