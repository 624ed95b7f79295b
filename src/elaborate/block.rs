//! Block calls: arguments, bodies, and unjoined branches.

use std::collections::{BTreeMap, HashSet};

use super::expand::{Cx, Expander, MAX_DEPTH};
use super::load::{Def, DefId};
use super::policy::Policy;
use super::value::{Bound, Unit, Value};
use crate::base::codes;
use crate::base::diagnostic::Diagnostic;
use crate::base::source::Span;
use crate::ir::{self, Frame, FrameId};
use crate::syntax::ast::Call;

/// An expanded block.
pub(super) struct Expanded {
    /// Its result; `None` after an error.
    pub value: Option<ir::Value>,
    /// The frame of its nodes; `None` if it was not expanded.
    pub frame: Option<FrameId>,
    /// The product of the strides on its path.
    pub stride: [usize; 2],
}

impl Expanded {
    const FAILED: Expanded = Expanded { value: None, frame: None, stride: [1, 1] };
}

impl Expander<'_> {
    /// A block as a statement: `basic 64, stride: 2 as NAME`.
    pub(super) fn block_call(&mut self, unit: &Unit, call: &Call, span: Span, cx: &mut Cx) {
        let mut args = self.evaluator().args(&call.args, &cx.env);
        // a first argument without a key is the first parameter that is not preset
        if let Some(first) = args.first_mut().filter(|a| a.key.is_none()) {
            let given = |name: &str| unit.args.iter().any(|a| a.key.as_ref().is_some_and(|(k, _)| **k == *name));
            let param = self.program.def(unit.def).params().iter().find(|p| !given(&p.name.node));
            match param {
                Some(param) => first.key = Some((param.name.node.as_str().into(), first.span)),
                None => {
                    let (message, at) = (format!("block `{}` takes no argument", unit.name), first.span);
                    self.error(Diagnostic::error(codes::TOO_MANY_ARGUMENTS, message, at, "not expected here"));
                    cx.current = None;
                    return;
                }
            }
        }
        let label = match &call.label {
            Some(label) => match self.label_text(label, &cx.env) {
                Some((text, _)) => Some(text),
                None => {
                    cx.current = None;
                    return;
                }
            },
            None => None,
        };
        let Some(input) = self.current(span, cx) else { return self.remember(call.label.as_ref(), cx) };
        let args = merge(&unit.args, args);
        let policy = cx.policy.clone();
        let frame = cx.frame;
        let expand = |this: &mut Self| this.block(unit.def, &args, input, None, &policy, span, frame);
        let out = self.in_statement(label.as_deref(), expand);
        cx.current = out.value;
        // a block's stride is part of the path of the calling block
        cx.strided(out.stride);
        self.remember(call.label.as_ref(), cx);
    }

    /// Also labels the use site of errors in a block from another file, since users can usually edit only their own file.
    fn label_use_site(&mut self, from: usize, block: Span, call: Span) {
        let file = block.file;
        for diag in self.diags.iter_mut().skip(from) {
            if call.file != file && diag.labels.iter().all(|label| label.span.file == file) {
                *diag = diag.clone().label(call, "used here");
            }
        }
    }

    /// Expands a block on a value, in the current scope.
    #[allow(clippy::too_many_arguments)] // each describes the call; a struct would only be built at each call and destructured here
    pub(super) fn block(
        &mut self,
        def: DefId,
        args: &[Bound],
        input: ir::Value,
        instance: Option<(usize, usize)>,
        policy: &Policy,
        call: Span,
        parent: Option<FrameId>,
    ) -> Expanded {
        let program = self.program;
        let Def::Block(block) = program.def(def) else {
            self.error(Diagnostic::error(codes::BAD_VALUE, "a network is not a block", call, "used as a block"));
            return Expanded::FAILED;
        };
        if self.step(call) {
            return Expanded::FAILED;
        }
        if self.depth > MAX_DEPTH {
            self.too_deep(call, Some(block.name.span));
            return Expanded::FAILED;
        }
        let errors = self.diags.len();
        let width = self.shape(input).channels().and_then(|channels| i64::try_from(channels).ok());
        let in_channels = width.map_or(Value::Unknown, Value::Int);
        let env = self.evaluator().bind(def, args, call, Some(in_channels));
        let broken = self.diags.len() > errors;
        if self.is_conditional() {
            return Expanded::FAILED;
        }
        let scope = self.scope().prefix.clone();
        let frame = self.graph.add_frame(Frame { parent, scope, unit: block.name.node.clone(), span: call, instance });
        let mut cx = Cx {
            env,
            frame: Some(frame),
            x: Some(input),
            in_block: true,
            current: Some(input),
            stride: [1, 1],
            policy: policy.clone(),
            labels: BTreeMap::new(),
            last_filters: None,
            filters_lost: false,
            last_dilation: 1,
        };
        self.body(&block.body, &mut cx);
        if !block.damaged {
            self.unjoined(&cx);
        }
        self.label_use_site(errors, block.name.span, call);
        let value = if broken || block.damaged { None } else { cx.current };
        Expanded { value, frame: Some(frame), stride: cx.stride }
    }

    /// Reports unjoined branches of a finished body.
    pub(super) fn unjoined(&mut self, cx: &Cx) {
        if self.aborted {
            return;
        }
        for (name, label) in &cx.labels {
            if label.must_join && !label.used {
                if !cx.in_block && self.graph.inputs().iter().any(|&input| label.value == Some(input.into())) {
                    self.error(
                        Diagnostic::error(codes::UNUSED_INPUT, format!("input `{name}` is never read"), label.span, "not used")
                            .rule("the first input is the current value; the others are read by name: `branch NAME from INPUT`"),
                    );
                    continue;
                }
                self.error(
                    Diagnostic::error(
                        codes::UNUSED_BRANCH,
                        format!("branch `{name}` is never joined"),
                        label.span,
                        "its result is unused",
                    )
                    .rule("a branch ends in an `add`, `mul` or `concat`, or is an output: `output NAME from LABEL`"),
                );
            }
        }
    }
}

/// Preset arguments, overridden by those of the call.
pub(super) fn merge(before: &[Bound], call: Vec<Bound>) -> Vec<Bound> {
    let keys: HashSet<_> = call.iter().filter_map(|a| a.key.as_ref().map(|(k, _)| k.clone())).collect();
    let kept = before.iter().filter(|a| a.key.as_ref().is_none_or(|(k, _)| !keys.contains(k))).cloned();
    kept.chain(call.iter().cloned()).collect()
}
