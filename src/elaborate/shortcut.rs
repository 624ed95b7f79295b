//! Shortcut policies (He et al. 2016, section 3.3), and `add shortcut`, which applies them.

use std::sync::Arc;

use super::block::merge;
use super::eval::Env;
use super::expand::{Cx, Expander};
use super::foreign;
use super::load::Def;
use super::policy::Policy;
use super::suggest::nearest;
use super::value::{Bound, Unit, Value};
use crate::base::codes;
use crate::base::diagnostic::Diagnostic;
use crate::base::source::Span;
use crate::ir::{self, Op, Pad, Shortcut, ShortcutUse};
use crate::syntax::ast::{Expr, Label};

const POLICIES: [&str; 4] = ["identity", "pad", "projection", "none"];

impl Expander<'_> {
    /// Reads a policy: `identity`, `pad[(zeros: end|split)]`, `projection[(when: always|change, unit: BLOCK)]`, `none`.
    pub(super) fn policy(&mut self, expr: &Expr, env: &Env) -> Policy {
        let value = self.eval(expr, env);
        self.policy_of(&value, expr.span)
    }

    pub(super) fn policy_of(&mut self, value: &Value, span: Span) -> Policy {
        let fallback = Policy { span: Some(span), ..Policy::DEFAULT };
        let (word, args): (&str, &[Bound]) = match value {
            Value::Word(word) => (word, &[]),
            Value::WordCall(word, args) => (word, args),
            // a block cannot shadow a policy: `projection` is also the name of a standard block
            Value::Unit(unit) if POLICIES.contains(&&*unit.name) => (&unit.name, &unit.args),
            Value::Unknown => return fallback,
            other => {
                let other = other.clone();
                self.evaluator().mismatch("a shortcut policy", &other, span);
                return fallback;
            }
        };
        let allowed: &[&str] = match word {
            "pad" => &["zeros"],
            "projection" => &["when", "unit"],
            "identity" | "none" => &[],
            _ => {
                let message = format!("there is no shortcut policy `{word}`");
                if let Some(diag) = foreign::error("policy", word, codes::UNKNOWN_NAME, span, message) {
                    self.error(diag);
                    return fallback;
                }
                let mut diag =
                    Diagnostic::error(codes::UNKNOWN_NAME, format!("there is no shortcut policy `{word}`"), span, "not a policy")
                        .rule("a policy is `identity`, `pad` (option A), `projection` (option B; `projection(when: always)` is C) or `none`");
                if let Some(near) = nearest(word, POLICIES) {
                    diag = diag.fix(format!("did you mean `{near}`?"), span, near);
                }
                self.error(diag);
                return fallback;
            }
        };
        let mut policy = Policy {
            kind: match word {
                "pad" => Shortcut::Pad { split: false },
                "projection" => Shortcut::Projection,
                "none" => Shortcut::None,
                _ => Shortcut::Identity,
            },
            unit: None,
            span: Some(span),
        };
        for arg in args {
            let Some((key, key_span)) = arg.key.as_ref().filter(|(k, _)| allowed.contains(&&**k)) else {
                let (name, at) = arg.key.as_ref().map_or(("", arg.span), |(k, s)| (&**k, *s));
                let mut diag =
                    Diagnostic::error(codes::UNKNOWN_KEY, format!("`{word}` has no `{name}`"), at, "not one of its keys");
                diag = match nearest(name, allowed.iter().copied()) {
                    Some(near) => diag.fix(format!("did you mean `{near}`?"), at, near),
                    None => diag,
                };
                self.error(diag);
                continue;
            };
            let choice = match &arg.value {
                Value::Word(word) => word.to_string(),
                _ => String::new(),
            };
            match (&**key, choice.as_str(), &arg.value) {
                ("zeros", "end", _) => policy.kind = Shortcut::Pad { split: false },
                ("zeros", "split", _) => policy.kind = Shortcut::Pad { split: true },
                ("when", "always", _) => policy.kind = Shortcut::ProjectionAlways,
                ("when", "change", _) => policy.kind = Shortcut::Projection,
                ("unit", _, Value::Unit(unit)) => policy.unit = Some(unit.clone()),
                (_, _, Value::Unknown) => {}
                _ => {
                    let takes = match &**key {
                        "zeros" => "`end` or `split`",
                        "when" => "`change` or `always`",
                        _ => "a block",
                    };
                    self.error(
                        Diagnostic::error(codes::BAD_VALUE, format!("`{key}` is {takes}"), arg.span, "something else")
                            .label(*key_span, "for this key"),
                    );
                }
            }
        }
        policy
    }

    /// `add shortcut`: `F(x) + x`, `F(x) + Ws x`, or nothing, according to the current policy.
    pub(super) fn add_shortcut(&mut self, label: Option<&Label>, project_from: Option<ir::Value>, span: Span, cx: &mut Cx) {
        let Some(x) = cx.x else {
            if cx.in_block {
                cx.current = None;
            } else {
                self.error(
                    Diagnostic::error(
                        codes::MISPLACED,
                        "`add shortcut` is outside a block",
                        span,
                        "there is no block's input to add",
                    )
                    .help("name the value (`as NAME`, or a `branch`) and `add NAME`, or put the path into a block"),
                );
            }
            return;
        };
        let policy = cx.policy.clone();
        if policy.kind == Shortcut::None {
            self.scope().skip(); // keeps names the same with and without shortcuts
            return;
        }
        let Some(f) = self.current(span, cx) else { return };
        let (from, to) = (self.shape(x).channels(), self.shape(f).channels());
        let strided = cx.stride != [1, 1];
        let changes = strided || (from.is_some() && to.is_some() && from != to);
        let shortcut = match policy.kind {
            Shortcut::Identity | Shortcut::None => Some(x),
            Shortcut::Pad { split } => {
                let mut value = x;
                if strided {
                    let name = self.scope().count("subsample");
                    value = self.node(Op::Subsample(cx.stride), name, span, cx.frame, &[value]);
                }
                if let (Some(from), Some(to)) = (from, to)
                    && to > from
                {
                    let before = if split { (to - from) / 2 } else { 0 };
                    let pad = Pad::channels([before, to - from - before]);
                    let name = self.scope().count("pad");
                    value = self.node(Op::Pad(pad), name, span, cx.frame, &[value]);
                }
                Some(value)
            }
            Shortcut::Projection if !changes => Some(x),
            Shortcut::Projection | Shortcut::ProjectionAlways => self.project(project_from.unwrap_or(x), to, &policy, span, cx),
        };
        let name = self.statement_name("add", label, cx);
        cx.current = match (shortcut, name) {
            (Some(shortcut), Some(name)) => {
                let add = self.node(Op::add(), name, span, cx.frame, &[f, shortcut]);
                let stride = cx.stride[0].max(cx.stride[1]);
                let condition = self.condition(from, to, cx);
                let (policy, policy_span) = (policy.kind, policy.span);
                self.shortcuts.push(ShortcutUse { add: add.node, policy, policy_span, x, stride, condition });
                Some(add)
            }
            _ => None,
        };
    }

    /// When a block keeps its input's shape, in the names that it has for that. `None` if it does, if it has none, or if nobody can
    /// edit it.
    fn condition(&self, from: Option<usize>, to: Option<usize>, cx: &Cx) -> Option<String> {
        let (strided, from, to) = (cx.stride != [1, 1], from?, to?);
        if self.program.modules[cx.env.module].is_std || (!strided && from == to) {
            return None;
        }
        let is =
            |name: &str, n: usize| cx.env.get(name).is_some_and(|value| i64::try_from(n).is_ok_and(|n| *value == Value::Int(n)));
        let keeps_map = cx.env.vars.contains_key("stride").then_some("stride == 1");
        let keeps_channels = (is("in_channels", from) && is("filters", to)).then_some("in_channels == filters");
        let is_named = (keeps_map.is_some() || !strided) && (keeps_channels.is_some() || from == to);
        is_named.then(|| keeps_map.into_iter().chain(keeps_channels).collect::<Vec<_>>().join(" and "))
    }

    fn project(&mut self, x: ir::Value, filters: Option<usize>, policy: &Policy, span: Span, cx: &Cx) -> Option<ir::Value> {
        let filters = filters?;
        let unit = match &policy.unit {
            Some(unit) => unit.clone(),
            None => {
                let def = self.program.std_block("projection")?;
                Arc::new(Unit { def, name: "projection".into(), args: Vec::new(), depth: 0 })
            }
        };
        let at = policy.span.unwrap_or(span);
        let stride = match cx.stride {
            [h, w] if h == w => Value::Int(i64::try_from(h).ok()?),
            [h, w] => Value::Size(h as u64, w as u64),
        };
        let declared = self.program.def(unit.def);
        if !matches!(declared, Def::Block(_)) {
            self.error(Diagnostic::error(codes::BAD_VALUE, "a projection needs a block", at, "not a block"));
            return None;
        }
        let mut args = Vec::new();
        let keeps_channels = self.shape(x).channels() == Some(filters);
        let filters = Value::Int(i64::try_from(filters).ok()?);
        for (key, value, is_plain) in [("filters", filters, keeps_channels), ("stride", stride, cx.stride == [1, 1])] {
            // a unit needs no parameter for what it does not change
            if !is_plain || declared.params().iter().any(|p| p.name.node == key) {
                args.push(Bound { key: Some((key.into(), at)), value, span: at });
            }
        }
        let inner = Policy { span: policy.span, ..Policy::DEFAULT };
        self.block(unit.def, &merge(&unit.args, args), x, None, &inner, span, cx.frame).value
    }
}
