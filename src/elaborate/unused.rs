//! Blocks that no network uses. Each is expanded by itself, with the defaults of its parameters, so that a mistake is found before
//! the block's first use. Parameters without a default, and the shape of the input, are unknown: only what is wrong whatever they
//! are is reported.

use std::cell::Cell;
use std::collections::HashSet;

use super::eval::{Env, exhausted};
use super::expand::{self, Cx, Expander, MAX_STEPS};
use super::lint;
use super::load::{Def, DefId, Program};
use super::meta::Meta;
use super::policy::Policy;
use super::unknowns::Unknowns;
use super::value::{Bound, Value};
use crate::base::codes;
use crate::base::diagnostic::{Code, Diagnostic};
use crate::base::source::Span;
use crate::ir::{self, Op, Shape};
use crate::syntax::ast::{Block, Stmt};

/// The maximum number of statements that are expanded for all unused blocks of a program.
const MAX_UNUSED_STEPS: usize = 200_000;

/// Reports the mistakes in unused blocks of every file outside the standard library. After other errors it reports nothing: they
/// may be the cause.
pub(super) fn run(program: &Program, diags: &mut Vec<Diagnostic>) {
    if diags.iter().any(Diagnostic::is_error) {
        return;
    }
    let used = used(program);
    let work = Cell::new(0);
    let mut steps = 0;
    let mut found = Vec::new();
    for id in program.ids().filter(|id| !used.contains(id) && !program.modules[program.module_of(*id)].is_std) {
        let Def::Block(block) = program.def(id) else { continue };
        if steps > MAX_UNUSED_STEPS || exhausted(&work) {
            break;
        }
        steps = expand(program, id, block, steps, &work, &mut found);
    }
    expand::once(&mut found);
    diags.append(&mut found);
}

/// What the networks of the root file name, directly or through other definitions.
fn used(program: &Program) -> HashSet<DefId> {
    let is_network = |id: &DefId| matches!(program.def(*id), Def::Network(_));
    let mut open: Vec<DefId> = program.modules[program.root].own.iter().copied().filter(is_network).collect();
    let mut used: HashSet<DefId> = open.iter().copied().collect();
    while let Some(id) = open.pop() {
        let scope = &program.modules[program.module_of(id)].scope;
        for name in lint::names_of(program.def(id)) {
            if let Some(&named) = scope.get(&name)
                && used.insert(named)
            {
                open.push(named);
            }
        }
    }
    used
}

/// Expands a block by itself, and returns the number of steps so far.
fn expand(program: &Program, id: DefId, block: &Block, steps: usize, work: &Cell<usize>, diags: &mut Vec<Diagnostic>) -> usize {
    let mut found = Vec::new();
    let open = block.params.iter().filter(|param| param.default.is_none());
    let unknown = |name: &str, span: Span| Bound { key: Some((name.into(), span)), value: Value::Unknown, span };
    let args: Vec<Bound> = open.map(|param| unknown(&param.name.node, param.name.span)).collect();
    let mut expander = Expander::new(program, &mut found, work, Meta::default());
    expander.steps = steps;
    let span = block.name.span;
    let value = expander.node(Op::Input(Shape::Unknown), "input".into(), span, None, &[]);
    expander.unknowns = Some(Unknowns { value, conditions: 0, texts: 0, left_out: false });
    expander.block(id, &args, value, None, &Policy::DEFAULT, span, None);
    let steps = expander.steps;
    let mut uncertain: Vec<Code> = vec![codes::TOO_LARGE];
    if let Some(unknowns) = &expander.unknowns {
        if unknowns.texts > 0 {
            uncertain.push(codes::UNKNOWN_LABEL);
        }
        if unknowns.left_out {
            uncertain.extend([codes::DUPLICATE_NODE, codes::DUPLICATE_NAME]);
        }
    }
    found.retain(|diag| !uncertain.contains(&diag.code));
    let name = &block.name;
    diags.extend(
        found
            .into_iter()
            .map(|diag| diag.note(format!("no network uses `{}`: it is checked by itself, with its defaults", name.node))),
    );
    steps
}

impl Expander<'_> {
    /// The value that a statement reads if no other is known; `None` in a network, where that is an error.
    pub(super) fn unknown_value(&self) -> Option<ir::Value> {
        self.unknowns.as_ref().map(|unknowns| unknowns.value)
    }

    /// The maximum number of statements.
    pub(super) fn most_steps(&self) -> usize {
        if self.unknowns.is_some() { MAX_UNUSED_STEPS } else { MAX_STEPS }
    }

    /// Whether it is unknown if the current statement is expanded at all. The blocks that it calls are not expanded: they may call
    /// each other without end.
    pub(super) fn is_conditional(&self) -> bool {
        self.unknowns.as_ref().is_some_and(|unknowns| unknowns.conditions > 0)
    }

    /// A text that no other label has, for an unknown part of a label; `None` in a network, where that is an error.
    pub(super) fn unknown_text(&mut self) -> Option<String> {
        let unknowns = self.unknowns.as_mut()?;
        unknowns.texts += 1;
        Some(format!("_{}", unknowns.texts))
    }

    /// Both bodies of an unknown condition, side by side.
    #[cold]
    pub(super) fn either(&mut self, then: &[Stmt], otherwise: &[Stmt], cx: &mut Cx) {
        let before = cx.clone();
        let mut other = cx.clone();
        self.conditionally(|this| {
            this.body(then, cx);
            this.body(otherwise, &mut other);
        });
        cx.merge(other, &before);
    }

    /// Expands what may be left out. Its numbers are only computed if it is not, so their errors are dropped.
    pub(super) fn conditionally(&mut self, expand: impl FnOnce(&mut Self)) {
        const OF_NUMBERS: [Code; 2] = [codes::ARITHMETIC, codes::BAD_INDEX];
        let errors = self.diags.len();
        if let Some(unknowns) = &mut self.unknowns {
            unknowns.conditions += 1;
            unknowns.left_out = true;
        }
        expand(self);
        if let Some(unknowns) = &mut self.unknowns {
            unknowns.conditions -= 1;
        }
        let mut at = 0;
        self.diags.retain(|diag| {
            at += 1;
            at <= errors || !OF_NUMBERS.contains(&diag.code)
        });
    }
}

impl Cx {
    /// What is known after one of two bodies, this or the other.
    fn merge(&mut self, other: Cx, before: &Cx) {
        self.current = None;
        merge_names(&mut self.env, &other.env);
        for (name, label) in other.labels {
            match self.labels.get_mut(&name) {
                Some(own) => own.used |= label.used,
                None => drop(self.labels.insert(name, label)),
            }
        }
        for (name, label) in &mut self.labels {
            // it may be joined under another condition
            label.must_join &= before.labels.contains_key(name);
        }
        self.filters_lost |= other.filters_lost;
        if self.last_filters != other.last_filters {
            (self.last_filters, self.filters_lost) = (None, true);
        }
    }
}

/// A name that has different values, or one of them only, has an unknown one.
fn merge_names(env: &mut Env, other: &Env) {
    for (name, value) in &mut env.vars {
        if other.vars.get(name) != Some(value) {
            *value = Value::Unknown;
        }
    }
    for name in other.vars.keys().filter(|name| !env.vars.contains_key(*name)).cloned().collect::<Vec<_>>() {
        env.vars.insert(name, Value::Unknown);
    }
}
