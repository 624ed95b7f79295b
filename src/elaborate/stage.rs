//! `stage` and `repeat`: a sequence of instances of a unit.

use super::block::merge;
use super::expand::{Cx, Expander, Labeled, MAX_NODES};
use super::foreign;
use super::load::Def;

use super::value::{Bound, Unit, Value};
use crate::base::codes;
use crate::base::diagnostic::Diagnostic;
use crate::base::source::Span;
use crate::ir::{self, MapRule};
use crate::syntax::ast::{Arg, Expr, ExprKind, Stage};

impl Expander<'_> {
    /// Expands `stage LABEL: COUNT of UNIT { … }` or `repeat [LABEL:] COUNT of UNIT { … }`.
    pub(super) fn stage(&mut self, stage: &Stage, span: Span, cx: &mut Cx) {
        let errors = self.diags.len();
        self.instances(stage, span, cx);
        // an error may be the reason why there are no filters for the next stage to double
        cx.filters_lost |= self.diags.len() > errors || cx.current.is_none();
    }

    fn instances(&mut self, stage: &Stage, span: Span, cx: &mut Cx) {
        let count = self.eval(&stage.count, &cx.env);
        // of unknown many instances one is expanded
        let open = self.unknowns.is_some() && count == Value::Unknown;
        let count = match count {
            Value::Int(n) if n >= i64::from(stage.is_stage) && n <= MAX_NODES as i64 => Some(n as usize),
            Value::Unknown if open => Some(1),
            Value::Int(n) => {
                let rule = match stage.is_stage {
                    _ if n > MAX_NODES as i64 => format!("a network has at most {MAX_NODES} nodes"),
                    true => "a stage has at least one block".to_string(),
                    false => "a count is not negative".to_string(),
                };
                let label = format!("out of range: {n}");
                self.error(Diagnostic::error(codes::BAD_VALUE, format!("{n} instances"), stage.count.span, label).rule(rule));
                None
            }
            Value::Unit(_) if self.swapped(stage, cx) => {
                cx.current = None;
                self.remember_stage(stage, cx);
                return;
            }
            other => {
                self.evaluator().mismatch("a whole number", &other, stage.count.span);
                None
            }
        };
        let unit_expr = Expr {
            kind: if stage.unit.args.is_empty() {
                ExprKind::Name(stage.unit.name.node.clone())
            } else {
                ExprKind::Call(stage.unit.name.clone(), stage.unit.args.clone())
            },
            span: stage.unit.span,
        };
        let unit = self.eval(&unit_expr, &cx.env);
        let unit = match self.evaluator().with_prelude(unit) {
            Value::Unit(unit) if matches!(self.program.def(unit.def), Def::Block(_)) => Some(unit),
            Value::Word(word) | Value::WordCall(word, _) => {
                self.unknown_block(&word, stage.unit.name.span, cx.env.module);
                None
            }
            Value::Unit(unit) => {
                let kind = self.program.def(unit.def).kind();
                let message = format!("`{}` is a {kind}, and a stage is made of blocks", unit.name);
                self.error(Diagnostic::error(codes::BAD_VALUE, message, stage.unit.span, "not a block"));
                None
            }
            other => {
                self.evaluator().mismatch("a block", &other, stage.unit.span);
                None
            }
        };
        let keys = self.stage_keys(stage, cx);
        // dimensions that follow from a wrong key would be a second error of one cause
        let input = self.current(span, cx).filter(|_| !keys.failed);
        let (Some(count), Some(unit), Some(input)) = (count, unit, input) else {
            cx.current = None;
            self.remember_stage(stage, cx);
            return;
        };

        let halve = keys.map.0 == MapRule::Halve;
        let param = |name: &str| self.program.def(unit.def).params().iter().find(|p| p.name.node == name);
        let has = |name: &str| param(name).is_some();
        let (has_stride, has_dilation, has_i, has_count) = (has("stride"), has("dilation"), has("i"), has("count"));
        // `map` and `dilate` set a parameter, which the unit must have and the stage must not also give
        let stated = [
            ("map", "stride", has_stride, keys.map.1, halve),
            ("dilate", "dilation", has_dilation, keys.dilate.map(|(_, at)| at), keys.dilate.is_some()),
        ];
        let by_hand = |name: &str| {
            let args = keys.others.iter().copied().chain(&stage.first).filter_map(|a| a.key.as_ref());
            let mut all = args.map(|k| (k.node.as_str(), k.span)).chain(unit_keys(&unit));
            all.find(|(key, _)| *key == name).map(|(_, span)| span)
        };
        let mut fine = true;
        for (key, param, has, at, needed) in stated {
            let Some(at) = at else { continue };
            if needed && !has {
                let message = format!("block `{}` has no parameter `{param}`", unit.name);
                let label = format!("`{key}` sets it");
                let declared = self.program.def(unit.def).name().span;
                self.error(Diagnostic::error(codes::UNKNOWN_KEY, message, at, label).label(declared, "declared here"));
                fine = false;
            } else if let Some(span) = by_hand(param) {
                self.error(
                    Diagnostic::error(codes::GIVEN_TWICE, format!("`{param}` is given twice"), span, "given here")
                        .label(at, "and by this"),
                );
                fine = false;
            }
        }
        if let (Some((_, at)), true, Some(map)) = (keys.dilate, halve, keys.map.1) {
            self.error(
                Diagnostic::error(codes::BAD_VALUE, "a stage either halves its map or dilates", at, "keeps the map")
                    .label(map, "halves it"),
            );
            fine = false;
        }
        fine &= !self.strides_of_all(stage, &keys, count, has_stride);
        if !fine {
            cx.current = None;
            self.remember_stage(stage, cx);
            return;
        }
        // the first block of a dilated stage has the dilation of the previous stage (as in torchvision's
        // `replace_stride_with_dilation`)
        let (first_dilation, dilation) = match keys.dilate {
            Some((Dilate::Double, at)) => match cx.last_dilation.checked_mul(2) {
                Some(twice) => (cx.last_dilation, twice),
                None => {
                    self.error(Diagnostic::error(codes::ARITHMETIC, "the number is too large", at, "overflows"));
                    (cx.last_dilation, cx.last_dilation)
                }
            },
            Some((Dilate::To(n), _)) => (n, n),
            None => (cx.last_dilation, cx.last_dilation),
        };
        let dilates = has_dilation && (keys.dilate.is_some() || dilation != 1);
        cx.last_dilation = dilation;
        // what the unit or a key states is not set by the stage
        let preset = |name: &str| unit_keys(&unit).any(|(key, _)| key == name);
        // a `repeat` states nothing about the map, so that the block's own default holds
        let sets_stride =
            has_stride && !preset("stride") && (stage.is_stage || param("stride").is_some_and(|p| p.default.is_none()));
        let preset_dilation = preset("dilation");
        let mut record = ir::Stage {
            name: String::new(),
            span,
            label_span: stage.label.as_ref().map_or(span, |l| l.span),
            filters: keys.filters.and_then(|(n, s)| Some((n?.unsigned_abs(), s))),
            map: keys.map,
            // a dilated stage keeps the size where it would otherwise be halved
            allow_doubling: keys.allow_doubling || matches!(keys.dilate, Some((Dilate::Double, _))),
            allow_halving: keys.allow_halving,
            input,
            instances: Vec::new(),
        };
        let label = stage.label.as_ref().map(|l| l.node.clone());
        let mut current = Some(input);
        let mut stride = [1usize; 2];
        let (mut last_filters, mut filters_lost) = (keys.filters.and_then(|(n, _)| n), false);
        let number = |n: usize| if open { Value::Unknown } else { Value::Int(n as i64) };
        let mut expand = |this: &mut Self| {
            record.name = this.scope().prefix.clone();
            // arguments can use `i` and `count`, the index and the number of instances
            let mut env = cx.env.clone();
            env.vars.insert("count".to_string(), number(count));
            for i in 0..count {
                let Some(value) = current else { break };
                if this.step(span) {
                    current = None;
                    break;
                }
                env.vars.insert("i".to_string(), number(i));
                // the first instance's own is not that of the others
                last_filters = keys.filters.and_then(|(n, _)| n);
                filters_lost = keys.filters.is_some_and(|(n, _)| n.is_none());
                let mut args: Vec<Bound> = Vec::new();
                let first: &[Arg] = if i == 0 { &stage.first } else { &[] };
                let replaced = |arg: &Arg| first.iter().any(|own| key_of(own) == key_of(arg));
                let others = keys.others.iter().copied().filter(|arg| !replaced(arg));
                let mut policy = keys.policy;
                for arg in others.chain(first) {
                    if key_of(arg) == Some("shortcut") {
                        policy = Some(arg);
                        continue;
                    }
                    let value = this.eval(&arg.value, &env);
                    if let Some(key) = &arg.key {
                        match (key.node.as_str(), &value) {
                            ("filters", Value::Int(n)) => (last_filters, filters_lost) = (Some(*n), false),
                            ("filters", Value::Unknown) => filters_lost = true,
                            _ => {}
                        }
                        args.push(Bound { key: Some((key.node.as_str().into(), key.span)), value, span: arg.value.span });
                    }
                }
                let mut give = |key: &str, value: Value, at: Span| {
                    let given = args.iter().any(|a| a.key.as_ref().is_some_and(|(k, _)| **k == *key));
                    if !given {
                        args.push(Bound { key: Some((key.into(), at)), value, span: at });
                    }
                };
                if let Some((filters, at)) = keys.filters {
                    give("filters", filters.map_or(Value::Unknown, Value::Int), at);
                }
                if sets_stride {
                    give("stride", Value::Int(if halve && i == 0 { 2 } else { 1 }), keys.map.1.unwrap_or(span));
                }
                if dilates && !preset_dilation {
                    give("dilation", Value::Int(if i == 0 { first_dilation } else { dilation }), span);
                }
                if has_i {
                    give("i", number(i), span);
                }
                if has_count {
                    give("count", number(count), span);
                }
                let args = merge(&unit.args, args);
                let policy = policy.map_or_else(|| cx.policy.clone(), |arg| this.policy(&arg.value, &env));
                let instance = Some((i, count));
                let frame = cx.frame;
                let run = |this: &mut Self| this.block(unit.def, &args, value, instance, &policy, span, frame);
                let out = match (&label, &stage.names) {
                    (Some(_), _) => this.in_scope(&i.to_string(), run),
                    (None, Some(names)) => match this.label_text(names, &env) {
                        Some((name, _)) => this.in_statement(Some(&name), run),
                        None => {
                            current = None;
                            break;
                        }
                    },
                    (None, None) => this.in_statement(None, run),
                };
                current = out.value;
                stride = [0, 1].map(|axis| stride[axis].saturating_mul(out.stride[axis]));
                if let (Some(value), Some(frame)) = (out.value, out.frame) {
                    record.instances.push((frame, value));
                }
            }
        };
        let mut in_label = |this: &mut Self| match &label {
            Some(label) => this.in_scope(label, |this| expand(this)),
            None => expand(this),
        };
        if open {
            self.conditionally(in_label)
        } else {
            in_label(self)
        }
        cx.current = current;
        cx.strided(stride);
        cx.last_filters = if filters_lost { None } else { last_filters.or(cx.last_filters) };
        cx.filters_lost |= filters_lost;
        if stage.is_stage {
            self.stages.push(record);
        }
        self.remember_stage(stage, cx);
    }

    /// Reports a stride that a stage gives to each of several blocks, which then differ in size.
    fn strides_of_all(&mut self, stage: &Stage, keys: &Keys<'_>, count: usize, has_stride: bool) -> bool {
        let key = |arg: &&&Arg| arg.key.as_ref().is_some_and(|key| key.node == "stride");
        let Some(arg) = keys.others.iter().find(key).filter(|_| stage.is_stage && count > 1 && has_stride) else { return false };
        let ExprKind::Int(stride @ 2..) = arg.value.kind else { return false };
        let message = format!("each of the {count} blocks would have stride {stride}");
        let diag = Diagnostic::error(codes::STAGE_BLOCKS_DIFFER, message, arg.span, "given to every block")
            .rule("the blocks of a stage have equal output shape");
        self.error(match stride {
            2 => diag.fix("write `map: halve`: the first block then has stride 2, the others 1", arg.span, "map: halve"),
            _ => diag.help("use `repeat`, which has no such rule"),
        });
        true
    }

    fn remember_stage(&mut self, stage: &Stage, cx: &mut Cx) {
        let Some(label) = &stage.label else { return };
        if let Some(first) = cx.labels.get(&label.node) {
            let (name, unit) = (&label.node, &stage.unit.name.node);
            let help = match stage.is_stage {
                true => "give one of them another name".to_string(),
                false => format!("`sequential {name} {{ repeat … of {unit} }}` gives the layers the same names without a label"),
            };
            self.label_is_taken(label, first.span, &help);
        }
        cx.labels.insert(label.node.clone(), Labeled { value: cx.current, span: label.span, must_join: false, used: false });
    }

    /// Reports `stage x: basic of k`, whose count and block are swapped; false where it is something else.
    fn swapped(&mut self, stage: &Stage, cx: &Cx) -> bool {
        let (ExprKind::Name(block), true) = (&stage.count.kind, stage.unit.args.is_empty()) else { return false };
        let name = &stage.unit.name;
        let def = self.program.modules[cx.env.module].scope.get(&name.node).map(|&id| self.program.def(id));
        let before = self.diags.len();
        let count = Expr { kind: ExprKind::Name(name.node.clone()), span: name.span };
        match self.eval(&count, &cx.env) {
            Value::Int(_) => {
                let own = format!("{} of {block}", name.node);
                let span = Span { end: stage.unit.span.end, ..stage.count.span };
                let diag = Diagnostic::error(codes::BAD_VALUE, "the count comes before the block", span, "swapped");
                self.error(diag.fix(format!("write `{own}`"), span, own));
            }
            Value::Unit(_) if matches!(def, Some(Def::Block(_))) => return false,
            // the name of neither a number nor a block: what is wrong with it is one mistake with this
            _ => {
                self.diags.truncate(before);
                let message = format!("`{block}` is a block, and the count comes before it");
                let diag = Diagnostic::error(codes::BAD_VALUE, message, stage.count.span, "a count is expected here");
                self.error(diag.help(format!("write `COUNT of {block}`, with a number or a parameter as the count")));
            }
        }
        true
    }

    /// Whether the block that a stage repeats has that parameter. An unknown block is assumed to have it.
    fn takes(&self, stage: &Stage, param: &str, cx: &Cx) -> bool {
        let id = self.program.modules[cx.env.module].scope.get(&stage.unit.name.node);
        id.is_none_or(|&id| self.program.def(id).params().iter().any(|p| p.name.node == param))
    }

    fn stage_keys<'s>(&mut self, stage: &'s Stage, cx: &Cx) -> Keys<'s> {
        let mut keys = Keys::default();
        for arg in &stage.args {
            let Some(key) = &arg.key else {
                self.error(
                    Diagnostic::error(codes::TOO_MANY_ARGUMENTS, "a stage takes its arguments by key", arg.span, "no key")
                        .help("write `filters: …`"),
                );
                continue;
            };
            match key.node.as_str() {
                // the blocks of a `repeat` may differ, so each evaluates its own
                "filters" if !stage.is_stage && !matches!(&arg.value.kind, ExprKind::Name(word) if word == "double") => {
                    keys.others.push(arg);
                }
                "filters" => {
                    keys.filters = match self.eval(&arg.value, &cx.env) {
                        Value::Word(word) if *word == *"double" => match cx.last_filters.map(|n| n.checked_mul(2)) {
                            Some(Some(n)) => Some((Some(n), arg.span)),
                            Some(None) => {
                                self.error(Diagnostic::error(
                                    codes::ARITHMETIC,
                                    "the number is too large",
                                    arg.span,
                                    "overflows",
                                ));
                                None
                            }
                            None if cx.filters_lost => Some((None, arg.span)),
                            None => {
                                self.error(
                                    Diagnostic::error(
                                        codes::NO_PREVIOUS_STAGE,
                                        "there is no stage before to double",
                                        arg.span,
                                        "nothing to double",
                                    )
                                    .rule("the first stage states its number: `filters: 64`"),
                                );
                                None
                            }
                        },
                        Value::Int(n) => Some((Some(n), arg.span)),
                        value => {
                            self.evaluator().mismatch("a whole number, or `double`", &value, arg.value.span);
                            Some((None, arg.span))
                        }
                    }
                }
                "map" if stage.is_stage => {
                    let rule = match self.eval(&arg.value, &cx.env) {
                        Value::Word(word) if *word == *"keep" => MapRule::Keep,
                        Value::Word(word) if *word == *"halve" => MapRule::Halve,
                        value => {
                            self.evaluator().mismatch("`keep` or `halve`", &value, arg.value.span);
                            keys.failed = true;
                            MapRule::Keep
                        }
                    };
                    keys.map = (rule, Some(arg.span));
                }
                "dilate" => {
                    let dilate = match self.eval(&arg.value, &cx.env) {
                        Value::Word(word) if *word == *"double" => Dilate::Double,
                        Value::Int(n) if n >= 1 => Dilate::To(n),
                        value => {
                            self.evaluator().mismatch("`double`, or a dilation of at least 1", &value, arg.value.span);
                            continue;
                        }
                    };
                    keys.dilate = Some((dilate, arg.span));
                }
                "map" => {
                    let message = "`repeat` has no `map`";
                    self.error(
                        Diagnostic::error(codes::UNKNOWN_KEY, message, key.span, "only a `stage` takes it")
                            .help("write `stage NAME: COUNT of BLOCK { … }` where the feature map is to change"),
                    );
                    keys.failed = true;
                }
                word if foreign::find("stage", word).is_some() && !self.takes(stage, word, cx) => {
                    let kind = if stage.is_stage { "stage" } else { "repeat" };
                    let message = format!("`{kind}` has no `{word}`");
                    let diag = foreign::error("stage", word, codes::UNKNOWN_KEY, key.span, message);
                    diag.into_iter().for_each(|diag| self.error(diag));
                    keys.failed = true;
                }
                "shortcut" => keys.policy = Some(arg),
                _ => keys.others.push(arg),
            }
        }
        for allow in &stage.allows {
            match allow.node.as_str() {
                "doubling" if stage.is_stage => keys.allow_doubling = true,
                "halving" if stage.is_stage => keys.allow_halving = true,
                other => {
                    let message = format!("nothing is called `allow {other}`");
                    let mut diag = Diagnostic::error(codes::UNKNOWN_KEY, message, allow.span, "not known");
                    diag = if stage.is_stage {
                        diag.note("there are `allow doubling` and `allow halving`")
                    } else {
                        diag.note("a `repeat` has no rules to relax")
                    };
                    self.error(diag);
                }
            }
        }
        keys
    }

    fn unknown_block(&mut self, word: &str, span: Span, module: usize) {
        let scope = &self.program.modules[module].scope;
        let blocks =
            scope.iter().filter(|(_, id)| matches!(self.program.def(**id), Def::Block(_))).map(|(name, _)| name.as_str());
        let mut names: Vec<&str> = blocks.collect();
        names.sort_unstable();
        let mut diag = Diagnostic::error(codes::UNKNOWN_OPERATOR, format!("there is no block `{word}`"), span, "not known");
        let own = foreign::block(word).unwrap_or(word);
        if names.contains(&own) {
            diag = diag.fix(format!("write `{own}`"), span, own);
        } else if let Some(near) = super::suggest::nearest(word, names) {
            diag = diag.fix(format!("did you mean `{near}`?"), span, near);
        } else if self.program.std_block(own).is_some() {
            diag = diag.help(format!("it is in the standard library: `use std.blocks: {own}`"));
        }
        self.error(diag);
    }
}

/// The value of `dilate`.
#[derive(Clone, Copy)]
enum Dilate {
    /// Twice the previous stage's dilation, which the first block still has.
    Double,
    /// This dilation in every block.
    To(i64),
}

/// The key of an argument.
fn key_of(arg: &Arg) -> Option<&str> {
    arg.key.as_ref().map(|key| key.node.as_str())
}

/// The preset arguments of a unit.
fn unit_keys(unit: &Unit) -> impl Iterator<Item = (&str, Span)> {
    unit.args.iter().filter_map(|a| a.key.as_ref().map(|(key, span)| (&**key, *span)))
}

/// The keys of a stage; all others belong to its unit.
struct Keys<'s> {
    /// Its number; `None` in it if that is unknown.
    filters: Option<(Option<i64>, Span)>,
    map: (MapRule, Option<Span>),
    dilate: Option<(Dilate, Span)>,
    /// The policy, which may depend on the instance.
    policy: Option<&'s Arg>,
    allow_doubling: bool,
    allow_halving: bool,
    others: Vec<&'s Arg>,
    /// Whether a key was wrong in a way that changes the stage's dimensions.
    failed: bool,
}

impl Default for Keys<'_> {
    fn default() -> Self {
        Keys {
            filters: None,
            map: (MapRule::Keep, None),
            dilate: None,
            policy: None,
            allow_doubling: false,
            allow_halving: false,
            others: Vec::new(),
            failed: false,
        }
    }
}
