//! Branches and joins: `branch`, `parallel`, `add`, `mul`, `concat`.

use std::collections::BTreeMap;

use super::attrs;
use super::expand::{Cx, Expander, Labeled};
use super::foreign;
use super::operators;
use crate::base::codes;
use crate::base::diagnostic::Diagnostic;
use crate::base::source::Span;
use crate::ir::ops::{Attributes, Operator};
use crate::ir::{self, Shape};
use crate::syntax::ast::{Arg, Call, ExprKind, Ident, Label, Spanned, Split, Stmt};

impl Expander<'_> {
    /// `branch [NAME] [from LABEL] { … }`: a branch. A name opens a scope, and is the label of its result.
    pub(super) fn branch(&mut self, name: Option<&Ident>, from: Option<&Ident>, body: &[Stmt], span: Span, cx: &mut Cx) {
        let start = match from {
            Some(label) => self.label(label, cx),
            None => self.current(name.map_or(span, |name| name.span), cx),
        };
        let Some(name) = name else { return self.branch_without_name(start, body, span, cx) };
        if let Some(first) = cx.labels.get(&name.node) {
            let label = &name.node;
            let help = format!("`mul {{ … }} as {label}` joins a branch at once, whose layers are called `{label}.…` too");
            self.label_is_taken(name, first.span, &help);
        }
        let (main, stride, policy) = (cx.current, cx.stride, cx.policy.clone());
        cx.current = start;
        self.in_scope(&name.node, |this| this.body(body, cx));
        let value = cx.current;
        (cx.current, cx.stride, cx.policy) = (main, stride, policy);
        cx.labels.insert(name.node.clone(), Labeled { value, span: name.span, must_join: true, used: false });
    }

    /// `branch from LABEL { … }`, whose layers are in the scope around it. The label of its last statement is that of its result,
    /// unless that is an output.
    fn branch_without_name(&mut self, start: Option<ir::Value>, body: &[Stmt], span: Span, cx: &mut Cx) {
        let (main, stride, policy) = (cx.current, cx.stride, cx.policy.clone());
        cx.current = start;
        self.body(body, cx);
        let value = cx.current;
        (cx.current, cx.stride, cx.policy) = (main, stride, policy);
        let Some(value) = value else { return };
        if self.graph.outputs().iter().any(|(_, output)| *output == value) {
            return;
        }
        match cx.labels.values_mut().find(|label| label.value == Some(value) && Some(value) != start) {
            Some(label) => label.must_join = true,
            None => self.error(
                Diagnostic::error(codes::UNUSED_BRANCH, "this branch is never joined", span, "its result has no name")
                    .help("name the branch (`branch NAME { … }`), or its last statement (`as NAME`)"),
            ),
        }
    }

    /// `mul { … } as NAME`: a branch that is joined at once.
    pub(super) fn joined_at_once(&mut self, join: &Ident, body: &[Stmt], label: Option<&Label>, span: Span, cx: &mut Cx) {
        let Some(operator) = operators::find(&join.node) else { return };
        let name = match label.map(|label| self.label_text(label, &cx.env)) {
            Some(None) => {
                cx.current = None;
                return;
            }
            Some(Some((name, _))) => Some(name),
            None => None,
        };
        let (start, stride, policy) = (self.current(span, cx), cx.stride, cx.policy.clone());
        let own = name.clone().or_else(|| self.scope().number());
        self.in_statement(name.as_deref(), |this| this.body(body, cx));
        let node_name = match own {
            Some(name) => self.scope().full(&name),
            None => self.scope().next(operator.schema.word),
        };
        let side = cx.current;
        (cx.stride, cx.policy) = (stride, policy);
        cx.current = match (start, side) {
            (Some(x), Some(side)) => self.joined(operator, &Attributes::default(), node_name, span, &[x, side], cx),
            _ => None,
        };
        self.remember(label, cx);
    }

    /// `parallel concat [split] { [NAME] { … } … }`: every arm reads the same value, or a share of it; a name opens a scope.
    pub(super) fn parallel(
        &mut self,
        join: &Ident,
        split: Option<&Split>,
        arms: &[(Option<Label>, Vec<Stmt>)],
        label: Option<&Label>,
        span: Span,
        cx: &mut Cx,
    ) {
        let Some(operator) = operators::find(&join.node).filter(|operator| operator.schema.is_join()) else {
            let message = format!("arms cannot be joined by `{}`", join.node);
            let label = "one of `concat`, `add`, `mul`";
            self.error(Diagnostic::error(codes::UNKNOWN_OPERATOR, message, join.span, label));
            cx.current = None;
            return;
        };
        let (start, stride) = (self.current(span, cx), cx.stride);
        let starts = match split {
            Some(split) => self.shares(split, arms.len(), start, span, cx),
            None => vec![start; arms.len()],
        };
        let mut values = Vec::new();
        let mut after = stride;
        for ((arm, body), start) in arms.iter().zip(starts) {
            (cx.current, cx.stride) = (start, stride);
            match arm {
                Some(name) => match self.label_text(name, &cx.env) {
                    Some((name, _)) => self.in_scope(&name, |this| this.body(body, cx)),
                    None => cx.current = None,
                },
                None => self.body(body, cx),
            }
            values.push(cx.current);
            after = cx.stride;
        }
        cx.stride = after;
        let name = self.statement_name(operator.schema.word, label, cx);
        let operands: Option<Vec<ir::Value>> = values.into_iter().collect();
        cx.current = match (operands, name) {
            (Some(operands), Some(name)) => self.joined(operator, &Attributes::default(), name, span, &operands, cx),
            _ => None,
        };
        self.remember(label, cx);
    }

    /// `add shortcut`, `add LABEL, …`, `mul LABEL`, `concat LABEL, …`.
    pub(super) fn join(&mut self, operator: &Operator, call: &Call, span: Span, cx: &mut Cx) {
        let word = operator.schema.word;
        let mut names = Vec::new();
        let mut project_from = None;
        let mut fine = true;
        for arg in &call.args {
            match (&arg.key, &arg.value.kind) {
                (Some(key), ExprKind::Name(name)) if key.node == "project_from" && word == "add" => {
                    project_from = Some(Spanned { node: name.clone(), span: arg.value.span });
                }
                (key, ExprKind::Name(name)) if key.as_ref().is_none_or(|k| k.span == arg.value.span) => {
                    names.push(Spanned { node: name.clone(), span: arg.value.span });
                }
                _ => {
                    self.error(foreign::not_a_label(word, arg));
                    fine = false;
                }
            }
        }
        let current = self.current(span, cx);
        if names.is_empty() && fine {
            self.error(
                Diagnostic::error(codes::MISSING_ARGUMENT, format!("`{word}` needs a label"), span, "nothing to join with").help(
                    match word {
                        "add" => "`add shortcut` adds the block's input; `add NAME` a branch",
                        _ => "name the branch: a `branch NAME { … }` before this line",
                    },
                ),
            );
            fine = false;
        }
        if word == "add" && names.len() == 1 && names[0].node == "shortcut" && !cx.labels.contains_key("shortcut") {
            let from = match project_from {
                Some(label) => match self.label(&label, cx) {
                    Some(value) => Some(value),
                    None => {
                        cx.current = None;
                        return;
                    }
                },
                None => None,
            };
            self.add_shortcut(call.label.as_ref(), from, span, cx);
            return self.remember(call.label.as_ref(), cx);
        }
        if let Some(label) = project_from {
            self.error(
                Diagnostic::error(codes::UNKNOWN_KEY, "`project_from` sets what a shortcut projects", label.span, "not here")
                    .help("use it with `add shortcut`"),
            );
            fine = false;
        }
        let mut operands = vec![current];
        for name in &names {
            operands.push(self.label(name, cx));
        }
        let node_name = self.statement_name(word, call.label.as_ref(), cx);
        let operands: Option<Vec<ir::Value>> = operands.into_iter().collect();
        cx.current = match (operands, node_name) {
            (Some(operands), Some(name)) if fine => self.joined(operator, &Attributes::default(), name, span, &operands, cx),
            _ => None,
        };
        self.remember(call.label.as_ref(), cx);
    }

    /// `upsample nearest, like: LABEL`: an operator that also reads a labeled value.
    pub(super) fn with_labeled(
        &mut self,
        operator: &Operator,
        call: &Call,
        (key, label): (&str, &Ident),
        span: Span,
        cx: &mut Cx,
    ) {
        let schema = &operator.schema;
        let others: Vec<Arg> =
            call.args.iter().filter(|arg| arg.key.as_ref().is_none_or(|own| own.node != key)).cloned().collect();
        let others = self.evaluator().args(&others, &cx.env);
        let operands = [self.current(span, cx), self.label(label, cx)];
        let signal = operands[0].map(|x| self.shape(x)).filter(|x| x.dims().is_some()).map(Shape::is_1d);
        let attributes = attrs::arguments(schema, &others, span, signal, &mut self.evaluator());
        let name = self.statement_name(schema.word, call.label.as_ref(), cx);
        cx.current = match (operands, name, attributes) {
            ([Some(x), Some(other)], Some(name), Some(attributes)) => {
                self.joined(operator, &attributes, name, span, &[x, other], cx)
            }
            _ => None,
        };
        self.remember(call.label.as_ref(), cx);
    }

    /// The join of these values; `None` after a reported error.
    fn joined(
        &mut self,
        operator: &Operator,
        attributes: &Attributes<'_>,
        name: String,
        span: Span,
        operands: &[ir::Value],
        cx: &Cx,
    ) -> Option<ir::Value> {
        let shapes: Vec<Shape> = operands.iter().map(|&operand| self.shape(operand).clone()).collect();
        let op = attrs::read(operator, attributes, &shapes, span, &mut self.evaluator())?;
        Some(self.node(op, name, span, cx.frame, operands))
    }
}

/// The labels visible to `expect` and `output`: all in the network's own body.
pub(super) fn exported(labels: &BTreeMap<String, Labeled>) -> Vec<(String, ir::Value)> {
    labels.iter().filter_map(|(name, label)| Some((name.clone(), label.value?))).collect()
}
