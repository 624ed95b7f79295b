//! Elementwise statements: calls of functions, and `apply`.

use std::collections::{BTreeMap, BTreeSet};

use super::eval::number;
use super::expand::{Cx, Expander};
use super::foreign;
use super::function::{Compiled, Functions, Parameter, Role, Signature};
use super::suggest::nearest;
use super::value::{Unit, Value};
use crate::base::codes;
use crate::base::diagnostic::Diagnostic;
use crate::base::source::Span;
use crate::ir::{self, Broadcast, Elementwise, Number, Operand};
use crate::syntax::ast::{Arg, Call, Expr, ExprKind, Ident, Label, Spanned};

/// The arguments of a statement, by the index of their parameters.
#[derive(Default)]
struct Given {
    numbers: BTreeMap<usize, f64>,
    labels: BTreeMap<usize, Ident>,
    /// Those of the statement itself, rather than preset.
    written: BTreeSet<usize>,
}

impl Expander<'_> {
    /// The functions that a statement or an expression can call.
    pub(super) fn functions(&mut self) -> Functions<'_> {
        Functions::new(self.program, self.diags, self.work)
    }

    /// A function as a statement: `elu alpha: 0.5`, `gated gate, bias: 1 as NAME`.
    pub(super) fn function_call(&mut self, unit: &Unit, call: &Call, span: Span, cx: &mut Cx) {
        cx.current = self.function_value(unit, call, span, cx);
        self.remember(call.label.as_ref(), cx);
    }

    fn function_value(&mut self, unit: &Unit, call: &Call, span: Span, cx: &mut Cx) -> Option<ir::Value> {
        let name = self.statement_name(&unit.name, call.label.as_ref(), cx);
        let current = self.current(span, cx);
        self.read_labels(call, cx);
        let signature = self.program.functions.get(&unit.def).cloned().flatten()?;
        let given = self.given(unit, &signature, call, cx)?;
        let mut operands = vec![current];
        for (i, parameter) in signature.parameters.iter().enumerate().filter(|(_, p)| p.is_label()) {
            match given.labels.get(&i) {
                Some(label) => operands.push(self.label(label, cx)),
                None => return self.missing(unit, parameter, span),
            }
        }
        let errors = self.diags.len();
        let mut functions = self.functions();
        let compiled = functions.compile(unit.def, &signature, &given.numbers);
        functions.caused_by(span, errors);
        let op = operator(&unit.name, &signature, compiled?);
        let operands: Vec<ir::Value> = operands.into_iter().collect::<Option<_>>()?;
        Some(self.node(op.into(), name?, span, cx.frame, &operands))
    }

    /// Marks the labels of a call as used, whatever becomes of it.
    pub(super) fn read_labels(&mut self, call: &Call, cx: &mut Cx) {
        for arg in &call.args {
            if let ExprKind::Name(name) = &arg.value.kind
                && let Some(label) = cx.labels.get_mut(name)
            {
                label.used = true;
            }
        }
    }

    fn missing<T>(&mut self, unit: &Unit, parameter: &Parameter, span: Span) -> Option<T> {
        let name = &parameter.name.node;
        let message = format!("function `{}` needs `{name}`", unit.name);
        let diag = Diagnostic::error(codes::MISSING_ARGUMENT, message, span, format!("`{name}` is not given"));
        let diag = diag.label(parameter.name.span, "declared here");
        self.error(diag.help(format!("name a value by its label: `{} {name}: LABEL`", unit.name)));
        None
    }

    /// The arguments of a call; `None` after a reported error.
    fn given(&mut self, unit: &Unit, signature: &Signature, call: &Call, cx: &Cx) -> Option<Given> {
        let mut given = Given::default();
        let mut fine = true;
        for bound in &unit.args {
            let Some((key, at)) = &bound.key else { continue };
            match self.parameter(unit, signature, key, *at) {
                Some((i, parameter)) if parameter.role == Role::Number => {
                    fine &= self.number(&bound.value, bound.span).map(|x| given.numbers.insert(i, x)).is_some();
                }
                Some((_, parameter)) => {
                    let message = format!("`{}` is given by a label, where the function is a statement", parameter.name.node);
                    self.error(Diagnostic::error(codes::BAD_VALUE, message, *at, "not a number"));
                    fine = false;
                }
                None => fine = false,
            }
        }
        for arg in &call.args {
            let found = match &arg.key {
                Some(key) => self.parameter(unit, signature, &key.node, key.span),
                None => {
                    let preset = |i: usize| given.numbers.contains_key(&i);
                    let mut open = signature.parameters.iter().enumerate();
                    let first = open.find(|(i, parameter)| parameter.is_given() && !preset(*i));
                    if first.is_none() {
                        self.takes_nothing(unit, arg.span);
                    }
                    first
                }
            };
            let Some((i, parameter)) = found else {
                fine = false;
                continue;
            };
            fine &= self.argument(i, parameter, arg, &mut given, cx);
        }
        fine.then_some(given)
    }

    fn argument(&mut self, i: usize, parameter: &Parameter, arg: &Arg, given: &mut Given, cx: &Cx) -> bool {
        let name = &parameter.name.node;
        if !given.written.insert(i) {
            let at = arg.key.as_ref().map_or(arg.span, |key| key.span);
            self.error(Diagnostic::error(codes::GIVEN_TWICE, format!("`{name}` is given twice"), at, "the second time"));
            return false;
        }
        match (parameter.role, &arg.value.kind) {
            (Role::Number, _) => {
                let value = self.eval(&arg.value, &cx.env);
                self.number(&value, arg.value.span).map(|x| given.numbers.insert(i, x)).is_some()
            }
            (Role::Operand(_), ExprKind::Name(label)) => {
                given.labels.insert(i, Spanned { node: label.clone(), span: arg.value.span });
                true
            }
            (Role::Operand(_), _) => {
                let message = format!("operand `{name}` takes a label");
                let diag = Diagnostic::error(codes::UNKNOWN_LABEL, message, arg.value.span, "not a label");
                let diag = diag.label(parameter.name.span, "declared here");
                self.error(
                    diag.rule("a `branch NAME`, a stage or a statement with `as NAME` before this line gives a value a name"),
                );
                false
            }
        }
    }

    /// The parameter of a key; reports a wrong one.
    fn parameter<'s>(&mut self, unit: &Unit, signature: &'s Signature, key: &str, at: Span) -> Option<(usize, &'s Parameter)> {
        let name = &unit.name;
        let found = signature.parameters.iter().enumerate().find(|(_, parameter)| parameter.name.node == key);
        if let Some((i, parameter)) = found.filter(|(_, parameter)| parameter.is_given()) {
            return Some((i, parameter));
        }
        if let Some((_, parameter)) = found {
            let message = format!("`{key}` of `{name}` is learned, and not given");
            let diag = Diagnostic::error(codes::UNKNOWN_KEY, message, at, "a tensor of the layer");
            self.error(diag.label(parameter.name.span, "declared here").note("its initial value is part of the declaration"));
            return None;
        }
        let message = format!("`{name}` has no `{key}`");
        if let Some(diag) = foreign::error(name, key, codes::UNKNOWN_KEY, at, message.clone()) {
            self.error(diag);
            return None;
        }
        let mut diag = Diagnostic::error(codes::UNKNOWN_KEY, message, at, "not one of its keys");
        let keys = || signature.parameters.iter().filter(|parameter| parameter.is_given()).map(|p| p.name.node.as_str());
        if signature.current.node == key {
            diag = diag.note(format!("`{key}` is the current value, which a statement reads by itself"));
        } else if let Some(near) = nearest(key, keys()) {
            diag = diag.fix(format!("did you mean `{near}`?"), at, near);
        } else if keys().next().is_some() {
            let list: Vec<_> = keys().map(|key| format!("`{key}`")).collect();
            diag = diag.note(format!("it takes {}", list.join(", ")));
        }
        self.error(diag.label(self.program.def(unit.def).name().span, "declared here"));
        None
    }

    fn takes_nothing(&mut self, unit: &Unit, at: Span) {
        let message = format!("`{}` takes nothing", unit.name);
        self.error(Diagnostic::error(codes::TOO_MANY_ARGUMENTS, message, at, "not expected here"));
    }

    /// A number that fits in float32; reports another value.
    fn number(&mut self, value: &Value, span: Span) -> Option<f64> {
        match number(value) {
            Some(x) if (x as f32).is_finite() => Some(x),
            Some(x) => {
                let message = format!("{x:e} is too large for a value of the network");
                self.error(Diagnostic::error(codes::BAD_VALUE, message, span, "does not fit in float32"));
                None
            }
            None => {
                self.evaluator().mismatch("a number", value, span);
                None
            }
        }
    }

    /// `apply 1 - x as NAME`.
    pub(super) fn apply(&mut self, value: &Expr, label: Option<&Label>, span: Span, cx: &mut Cx) {
        let name = self.statement_name("apply", label, cx);
        let current = self.current(span, cx);
        let program = self.functions().apply(value, &cx.env);
        cx.current = match (program, name, current) {
            (Some(program), Some(name), Some(current)) => {
                let op = Elementwise::unary(Elementwise::APPLY, program);
                Some(self.node(op.into(), name, span, cx.frame, &[current]))
            }
            _ => None,
        };
        self.remember(label, cx);
    }
}

/// The operator of a call.
pub(super) fn operator(name: &str, signature: &Signature, compiled: Compiled) -> Elementwise {
    let mut operands = vec![Operand { name: signature.current.node.clone(), broadcast: Broadcast::Full }];
    let mut numbers = Vec::new();
    let values = compiled.values.into_iter().zip(compiled.is_default);
    for (parameter, (value, is_default)) in signature.parameters.iter().zip(values) {
        let key = parameter.name.node.clone();
        match (parameter.role, value) {
            (Role::Number, Some(value)) => numbers.push(Number { key, value, is_default }),
            (Role::Number, None) => {}
            (Role::Operand(kind), init) => {
                let broadcast = match (kind, init) {
                    (Broadcast::Parameter { .. }, Some(init)) => Broadcast::Parameter { init },
                    (Broadcast::Shared { .. }, Some(init)) => Broadcast::Shared { init },
                    _ => kind,
                };
                operands.push(Operand { name: key, broadcast });
            }
        }
    }
    Elementwise { name: name.to_owned(), numbers, operands, program: compiled.program }
}
