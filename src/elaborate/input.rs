//! The `input` statement.

use super::eval::Env;
use super::expand::{Cx, Expander, Labeled};
use super::value::Value;
use crate::base::codes;
use crate::base::diagnostic::Diagnostic;
use crate::base::source::Span;
use crate::ir::{self, Op, Shape};
use crate::syntax::ast::{Expr, Ident};

impl Expander<'_> {
    pub(super) fn input(&mut self, name: Option<&Ident>, dims: &[Expr], span: Span, cx: &mut Cx) {
        if cx.in_block {
            self.error(
                Diagnostic::error(codes::MISPLACED, "a block has no `input`", span, "not here")
                    .rule("a block reads the current value"),
            );
            return;
        }
        if name.is_none() && !self.graph.inputs().is_empty() {
            self.error(
                Diagnostic::error(codes::MISPLACED, "the network already has an input", span, "the second one")
                    .help("a second input has a name: `input NAME: 3 x 32 x 32`"),
            );
            return;
        }
        let shape = match self.meta.input.clone() {
            Some((dims, env)) => self.input_shape(&dims, &env),
            None => self.input_shape(dims, &cx.env),
        };
        let name = name.map_or_else(|| "input".to_string(), |n| n.node.clone());
        let value = self.node(Op::Input(shape), name.clone(), span, cx.frame, &[]);
        let first = self.graph.inputs().len() == 1;
        if name != "input" {
            cx.labels.insert(name, Labeled { value: Some(value), span, must_join: !first, used: false });
        }
        if first {
            cx.current = Some(value);
        }
    }

    fn input_shape(&mut self, dims: &[Expr], env: &Env) -> Shape {
        let mut out = Vec::new();
        for (i, dim) in dims.iter().enumerate() {
            match self.eval(dim, env) {
                Value::Int(n) if (1..=1 << 40).contains(&n) => out.push(ir::Dim::Fixed(n as usize)),
                Value::Int(n) => {
                    self.error(Diagnostic::error(
                        codes::BAD_VALUE,
                        format!("a dimension of {n}"),
                        dim.span,
                        "must be at least 1, and below 2^40",
                    ));
                    return Shape::Unknown;
                }
                Value::Word(word) if dims.len() == 3 && i == 1 && *word == *"H" => out.push(ir::Dim::axis(ir::Axis::H)),
                Value::Word(word) if dims.len() == 3 && i == 2 && *word == *"W" => out.push(ir::Dim::axis(ir::Axis::W)),
                Value::Word(word) if dims.len() == 2 && i == 1 && *word == *"W" => out.push(ir::Dim::axis(ir::Axis::W)),
                Value::Unknown => return Shape::Unknown,
                value => {
                    let value = value.clone();
                    if let Value::Word(word) = &value {
                        self.error(
                            Diagnostic::error(
                                codes::UNKNOWN_NAME,
                                format!("`{word}` is not a dimension"),
                                dim.span,
                                "unknown name",
                            )
                            .rule("height and width (`input 3 x H x W`) and the length of a 1-D input (`input 1 x W`) can be free; channels cannot"),
                        );
                    } else {
                        self.evaluator().mismatch("a whole number, or a free `H` or `W`", &value, dim.span);
                    }
                    return Shape::Unknown;
                }
            }
        }
        if !(1..=3).contains(&out.len()) {
            let span = match (dims.first(), dims.last()) {
                (Some(a), Some(b)) => a.span.to(b.span),
                _ => return Shape::Unknown,
            };
            self.error(
                Diagnostic::error(
                    codes::BAD_VALUE,
                    format!("an input of {} dimensions", out.len()),
                    span,
                    "one to three are possible",
                )
                .rule("a feature map is channels x height x width, a 1-D input channels x length, a vector features; the batch is implicit"),
            );
            return Shape::Unknown;
        }
        Shape::Known(out)
    }
}
