//! A network's metadata: preprocessing, labels, weights, expectations, and statements of a derived network that
//! override its base's.

use std::path::PathBuf;
use std::sync::Arc;

use super::eval::{Env, Eval, number};
use super::foreign;
use super::load::read;
use super::precision;
use super::suggest::nearest;
use super::train;
use super::value::Value;
use crate::base::codes;
use crate::base::diagnostic::Diagnostic;
use crate::base::source::Span;
use crate::ir::{self, Channels, Expect, ExpectValue, Metric, Preprocess, Resampling};
use crate::syntax::ast::{self, Arg, Expr, ExprKind, Stmt, StmtKind};

/// The maximum number of class names.
const MAX_CLASSES: usize = 1_000_000;

/// A network in a derivation chain, with its parameters bound.
pub(super) struct Level {
    pub network: Arc<ast::Network>,
    pub env: Env,
}

/// See the module.
#[derive(Default)]
pub(super) struct Meta {
    pub preprocess: Option<Preprocess>,
    pub class_names: Vec<String>,
    /// Whether they are a base's `labels imagenet`, which a derived network with another number of classes does not inherit.
    pub imagenet_of_base: bool,
    pub weights: Option<(PathBuf, Span)>,
    /// The precisions of layers, by names that are not yet resolved.
    pub precision: Option<precision::Unresolved>,
    pub expects: Vec<Expect>,
    /// The input dimensions of a derived network that override its base's.
    pub input: Option<(Vec<Expr>, Env)>,
    /// The same for the network's shortcut policy.
    pub shortcut: Option<(Expr, Env)>,
    /// The training recipe.
    pub train: Option<train::UnresolvedRecipe>,
}

impl Meta {
    /// Gathers the metadata of a derivation chain, the derived network first.
    #[allow(clippy::collapsible_match, reason = "as match guards, failed conditions would fall through to the arms below")]
    pub fn gather(levels: &[Level], set: Option<train::TrainEntries>, eval: &mut Eval<'_>) -> Meta {
        let mut meta = Meta::default();
        let mut trains: Vec<train::TrainEntries> = set.into_iter().collect();
        let (mut has_class_names, mut has_preprocess) = (false, false);
        for (depth, level) in levels.iter().enumerate() {
            let derived = depth + 1 < levels.len();
            let (mut seen, mut has_layers) = (Vec::new(), false);
            for stmt in &level.network.body {
                if let Some(word) = keyword_once(&stmt.kind, derived) {
                    if seen.contains(&word) {
                        eval.diags.push(Diagnostic::error(
                            codes::MISPLACED,
                            format!("the network states its `{word}` already"),
                            stmt.span,
                            "the second one",
                        ));
                        continue;
                    }
                    seen.push(word);
                }
                match &stmt.kind {
                    StmtKind::Expect(expect) => {
                        // expectations are not inherited
                        if depth == 0
                            && let Some(expect) = read_expect(expect, stmt.span, &level.env, eval)
                        {
                            meta.expects.push(expect);
                        }
                    }
                    StmtKind::Preprocess(args) => {
                        if !has_preprocess {
                            has_preprocess = true;
                            meta.preprocess = preprocess(args, stmt.span, &level.env, eval);
                        }
                    }
                    StmtKind::Labels(expr) => {
                        if !has_class_names {
                            has_class_names = true;
                            meta.class_names = class_names(expr, &level.env, eval);
                            meta.imagenet_of_base = depth > 0 && is_word(expr, "imagenet");
                        }
                    }
                    StmtKind::Precision(entries) => {
                        if meta.precision.is_none() {
                            meta.precision = Some(precision::read(entries, &level.env, eval));
                        }
                    }
                    StmtKind::Weights(path) => {
                        if meta.weights.is_none() {
                            meta.weights = Some((eval.program.resolve(level.env.module, &path.node), path.span));
                        }
                    }
                    StmtKind::Train(entries) => {
                        trains.push(train::level(entries, stmt.span, &level.env, eval));
                    }
                    StmtKind::Input { name, dims } if derived => {
                        if let Some(name) = name {
                            eval.diags.push(Diagnostic::error(
                                codes::MISPLACED,
                                "a derived network states its base's one input again, without a name",
                                name.span,
                                "not here",
                            ));
                        } else if meta.input.is_none() {
                            meta.input = Some((dims.clone(), level.env.clone()));
                        }
                    }
                    StmtKind::Shortcut(expr) if derived => {
                        if meta.shortcut.is_none() {
                            meta.shortcut = Some((expr.clone(), level.env.clone()));
                        }
                    }
                    // what follows has the same reason
                    _ if derived && has_layers => {}
                    _ if derived => {
                        has_layers = true;
                        misplaced(stmt, &level.network, levels, eval.diags);
                    }
                    // the base's other statements are expanded
                    _ => {}
                }
            }
        }
        // base first
        trains.reverse();
        meta.train = train::read(trains, eval);
        meta
    }
}

/// The keyword of a statement that is allowed at most once. A network without a base may have several inputs, and change its
/// shortcut policy in between; a derived one only overrides its base's.
fn keyword_once(stmt: &StmtKind, derived: bool) -> Option<&'static str> {
    match stmt {
        StmtKind::Preprocess(_) => Some("preprocess"),
        StmtKind::Precision(_) => Some("precision"),
        StmtKind::Labels(_) => Some("labels"),
        StmtKind::Weights(_) => Some("weights"),
        StmtKind::Train(_) => Some("train"),
        StmtKind::Input { .. } if derived => Some("input"),
        StmtKind::Shortcut(_) if derived => Some("shortcut"),
        _ => None,
    }
}

/// Reports a statement of a derived network that only the one with the layers can have: the last of the levels.
fn misplaced(stmt: &Stmt, network: &ast::Network, levels: &[Level], diags: &mut Vec<Diagnostic>) {
    let mut diag =
        Diagnostic::error(codes::MISPLACED, "a derived network has exactly the layers of its base", stmt.span, "not here");
    if let Some(base) = &network.base {
        diag = diag.label(base.span, "derived from this");
    }
    diag = diag.rule("it may state `input`, `shortcut`, `preprocess`, `precision`, `labels`, `weights`, `train` and `expect`");
    if let Some(Level { network: base, .. }) = levels.last() {
        let name = &base.name.node;
        diag = diag.label(base.name.span, "its layers are here").help(format!(
            "to change layers, such as the head, copy `network {name}` to this file, with what it uses, and change the copy"
        ));
        if let Some(classes) = base.params.iter().find(|param| param.name.node == "classes") {
            let classes = &classes.name.node;
            diag = diag.help(format!("for another number of classes, `network NAME = {name}(…, {classes}: 10)` is enough"));
        }
    }
    diags.push(diag);
}

fn read_expect(expect: &ast::Expect, span: Span, env: &Env, eval: &mut Eval<'_>) -> Option<Expect> {
    let metric = match expect.metric.node.as_str() {
        "layers" => Metric::Layers,
        "params" => Metric::Params,
        "macs" => Metric::Macs,
        "output" => Metric::Output(None),
        label => Metric::Output(Some(label.to_string())),
    };
    let shape_metric = matches!(metric, Metric::Output(_));
    let value = match &expect.value {
        ast::ExpectValue::Number(text) if !shape_metric => number_expected(text, expect.about, eval)?,
        ast::ExpectValue::Number(text) => {
            let digits: String = text.node.chars().filter(|c| *c != '_').collect();
            match digits.parse::<usize>() {
                Ok(n) if n > 0 && !expect.about => ExpectValue::Shape(ir::Shape::fixed(&[n])),
                _ => return bad(eval, text.span, "a shape consists of integers, and is expected with `:`"),
            }
        }
        ast::ExpectValue::Shape(dims, at) if shape_metric && !expect.about => {
            let mut sizes = Vec::new();
            for dim in dims {
                match eval.eval(dim, env) {
                    Value::Int(n) if n > 0 => sizes.push(n as usize),
                    Value::Unknown => return None,
                    _ => return bad(eval, dim.span, "a shape consists of positive integers"),
                }
            }
            let _ = at;
            ExpectValue::Shape(ir::Shape::fixed(&sizes))
        }
        ast::ExpectValue::Shape(dims, at) => {
            // a count given by an expression: `expect layers: 6 * n + 2`
            let [dim] = &dims[..] else { return bad(eval, *at, "this is a count, not a shape") };
            match eval.eval(dim, env) {
                Value::Int(n) if n >= 0 && !shape_metric => {
                    if expect.about {
                        ExpectValue::About { value: n as f64, unit: 1.0 }
                    } else {
                        ExpectValue::Exactly(n.unsigned_abs())
                    }
                }
                Value::Unknown => return None,
                _ => return bad(eval, dim.span, "an integer is expected"),
            }
        }
    };
    Some(Expect { metric, value, span })
}

fn bad<T>(eval: &mut Eval<'_>, span: Span, why: &str) -> Option<T> {
    eval.diags.push(Diagnostic::error(codes::BAD_VALUE, why, span, "cannot be expected"));
    None
}

/// A number as written: `25_557_032`, `3.8e9`. With `~=`, one unit of its last digit is the tolerance.
fn number_expected(text: &ast::Ident, about: bool, eval: &mut Eval<'_>) -> Option<ExpectValue> {
    let digits: String = text.node.chars().filter(|c| *c != '_').collect();
    if !about {
        return match digits.parse::<u64>() {
            Ok(n) => Some(ExpectValue::Exactly(n)),
            Err(_) => bad(eval, text.span, "`:` takes an integer, `~=` a number such as 3.8e9"),
        };
    }
    let (mantissa, exponent) = match digits.split_once(['e', 'E']) {
        Some((m, e)) => (m, e.parse::<i32>().ok().filter(|e| e.abs() < 300)),
        None => (digits.as_str(), Some(0)),
    };
    let decimals = mantissa.split_once('.').map_or(0, |(_, d)| d.len() as i32);
    match (digits.parse::<f64>(), exponent) {
        (Ok(value), Some(exponent)) if value.is_finite() => {
            Some(ExpectValue::About { value, unit: 10f64.powi(exponent - decimals) })
        }
        _ => bad(eval, text.span, "not a number"),
    }
}

fn preprocess(args: &[Arg], span: Span, env: &Env, eval: &mut Eval<'_>) -> Option<Preprocess> {
    const KEYS: [&str; 6] = ["resize", "crop", "interpolation", "channels", "mean", "std"];
    let mut out = Preprocess {
        resize: None,
        crop: None,
        interpolation: Resampling::default(),
        channels: Channels::Rgb,
        mean: Vec::new(),
        std: Vec::new(),
        mean_from: None,
    };
    let errors = count_errors(eval.diags);
    for arg in eval.args(args, env) {
        let Some((key, key_span)) = &arg.key else {
            eval.diags.push(Diagnostic::error(
                codes::TOO_MANY_ARGUMENTS,
                "`preprocess` takes its arguments by key",
                arg.span,
                "no key",
            ));
            continue;
        };
        match (&**key, &arg.value) {
            (_, Value::Unknown) => {}
            ("resize", Value::Int(n)) if (1..=65_536).contains(n) => out.resize = Some(*n as usize),
            ("crop", Value::Int(n)) if (1..=65_536).contains(n) => out.crop = Some([*n as usize; 2]),
            ("crop", Value::Size(h, w)) if (1..=65_536).contains(h) && (1..=65_536).contains(w) => {
                out.crop = Some([*h as usize, *w as usize])
            }
            ("interpolation", Value::Word(word)) if **word == *"bilinear" => out.interpolation = Resampling::Bilinear,
            ("interpolation", Value::Word(word)) if **word == *"bicubic" => out.interpolation = Resampling::Bicubic,
            ("channels", Value::Word(word)) if **word == *"rgb" => out.channels = Channels::Rgb,
            ("channels", Value::Word(word)) if **word == *"bgr" => out.channels = Channels::Bgr,
            ("channels", Value::Word(word)) if matches!(&**word, "gray" | "grey") => out.channels = Channels::Gray,
            ("mean", Value::List(items)) => {
                out.mean = numbers(items, |_| true, arg.span, eval);
                larger_than_pixels("mean", &out.mean, arg.span, eval);
            }
            ("mean", Value::Str(path)) => out.mean_from = Some((eval.program.resolve(env.module, path), arg.span)),
            ("std", Value::List(items)) => {
                out.std = numbers(items, |x| x > 0.0, arg.span, eval);
                larger_than_pixels("std", &out.std, arg.span, eval);
            }
            (name, value) if KEYS.contains(&name) => {
                let takes = match name {
                    "resize" => "pixels, 1 to 65536",
                    "crop" => "a size in pixels, 1 to 65536",
                    "interpolation" => "`bilinear` or `bicubic`",
                    "channels" => "`rgb`, `bgr` or `gray`",
                    "mean" => "a list of numbers, one per channel, or a file with an array of the input's shape",
                    _ => "a list of numbers, one per channel",
                };
                eval.diags.push(Diagnostic::error(
                    codes::BAD_VALUE,
                    format!("`{name}` takes {takes}"),
                    arg.span,
                    format!("is {value}"),
                ));
            }
            (name, _) => {
                let message = format!("`preprocess` has no `{name}`");
                if let Some(diag) = foreign::error("preprocess", name, codes::UNKNOWN_KEY, *key_span, message.clone()) {
                    eval.diags.push(diag);
                    continue;
                }
                let mut diag = Diagnostic::error(codes::UNKNOWN_KEY, message, *key_span, "not one of its keys");
                if let Some(near) = nearest(name, KEYS) {
                    diag = diag.fix(format!("did you mean `{near}`?"), *key_span, near);
                }
                eval.diags.push(diag);
            }
        }
    }
    if count_errors(eval.diags) > errors {
        return None;
    }
    let channels = if out.channels == Channels::Gray { 1 } else { 3 };
    for (name, list, neutral) in [("mean", &mut out.mean, 0.0), ("std", &mut out.std, 1.0)] {
        if list.is_empty() {
            *list = vec![neutral; channels];
        } else if list.len() != channels {
            let message = format!("`{name}` has {} numbers for {channels} channels", list.len());
            eval.diags.push(Diagnostic::error(codes::BAD_VALUE, message, span, "one number per channel"));
            return None;
        }
    }
    Some(out)
}

fn count_errors(diags: &[Diagnostic]) -> usize {
    diags.iter().filter(|diag| diag.is_error()).count()
}

/// Warns of statistics of values up to 255.
fn larger_than_pixels(key: &str, list: &[f32], span: Span, eval: &mut Eval<'_>) {
    let Some(large) = list.iter().copied().find(|x| *x > 1.0) else { return };
    let message = format!("a `{key}` of {large}, though pixels are between 0 and 1");
    let scaled: Vec<String> = list.iter().map(|x| format!("{:.3}", x / 255.0)).collect();
    let diag = Diagnostic::warning(codes::PIXELS, message, span, "larger than any pixel")
        .rule("values are divided by 255 before `mean` is subtracted and before they are divided by `std`");
    eval.diags.push(diag.help(format!("if these are for values up to 255, divide them too: `{key}: [{}]`", scaled.join(", "))));
}

fn numbers(items: &[Value], fits: impl Fn(f64) -> bool, span: Span, eval: &mut Eval<'_>) -> Vec<f32> {
    let mut out = Vec::new();
    for item in items.iter().take(64) {
        match number(item) {
            Some(x) if x.is_finite() && fits(x) => out.push(x as f32),
            _ => {
                eval.diags.push(Diagnostic::error(
                    codes::BAD_VALUE,
                    format!("{item} is not allowed here"),
                    span,
                    "numbers are needed; a standard deviation is positive",
                ));
                return Vec::new();
            }
        }
    }
    out
}

fn is_word(expr: &Expr, word: &str) -> bool {
    matches!(&expr.kind, ExprKind::Name(name) if name == word)
}

fn class_names(expr: &Expr, env: &Env, eval: &mut Eval<'_>) -> Vec<String> {
    let list: Vec<String> = match eval.eval(expr, env) {
        Value::List(items) => {
            let mut list = Vec::with_capacity(items.len());
            for (i, item) in items.iter().enumerate() {
                match item {
                    Value::Str(text) => list.push(text.to_string()),
                    Value::Unknown => return Vec::new(),
                    other => {
                        let span = match &expr.kind {
                            ExprKind::List(exprs) => exprs.get(i).map_or(expr.span, |e| e.span),
                            _ => expr.span,
                        };
                        eval.mismatch("a text", other, span);
                        return Vec::new();
                    }
                }
            }
            list
        }
        Value::Str(path) => match read(eval.program.files(), &eval.program.resolve(env.module, &path)) {
            // ignore a blank line at the end
            Ok(text) => text.trim_end().lines().map(|line| line.trim_end().to_string()).collect(),
            Err(error) => {
                eval.diags.push(Diagnostic::error(codes::NO_SUCH_FILE, error.to_string(), expr.span, "named here"));
                return Vec::new();
            }
        },
        Value::Word(word) if *word == *"imagenet" => ir::imagenet::names(),
        Value::Unknown => return Vec::new(),
        other => {
            eval.mismatch("a list of texts, a file's path, or `imagenet`", &other, expr.span);
            return Vec::new();
        }
    };
    if list.is_empty() || list.len() > MAX_CLASSES {
        eval.diags.push(Diagnostic::error(
            codes::BAD_VALUE,
            format!("{} labels", list.len()),
            expr.span,
            "one per class is needed",
        ));
    }
    let mut seen = std::collections::HashSet::new();
    if let Some(twice) = list.iter().find(|name| !seen.insert(name.as_str())) {
        eval.diags.push(Diagnostic::warning(
            codes::DUPLICATE_CLASS,
            format!("two classes are called `{twice}`"),
            expr.span,
            "in this list",
        ));
    }
    list
}
