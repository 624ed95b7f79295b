//! Resolves names, `use` and parameters, and expands blocks and stages into a graph.
//!
//! [`Program::load`] reads a file and everything it uses; [`Program::elaborate`] builds one network's graph. Shapes are inferred
//! during expansion, since shortcut policies depend on whether dimensions change. The checker reports shape errors.

mod apply;
mod attrs;
mod block;
mod division;
mod eval;
mod expand;
pub mod foreign;
mod function;
mod input;
mod join;
mod keys;
mod labels;
mod lets;
mod lint;
mod load;
mod meta;
mod naming;
mod number_function;
mod numbers;
pub mod operators;
mod policy;
mod precision;
pub mod prelude;
mod set;
mod shortcut;
mod split;
mod stage;
mod suggest;
#[cfg(test)]
mod tests;
mod train;
mod unknowns;
mod unused;
mod value;

use std::cell::Cell;
use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::Arc;

pub use expand::{MAX_DEPTH, MAX_NODES};
pub use load::{DefId, NetworkInfo, Program, ReadError};
pub use suggest::nearest;
pub use train::RecipeLabels;

use crate::base::codes;
use crate::base::diagnostic::{Code, Diagnostic};
use crate::base::file_system::FileSystem;
use crate::base::source::{SourceFile, SourceMap, Span};
use crate::ir;
use crate::syntax::ast;
use eval::{Env, Eval};
use expand::{Cx, Expander};
use load::Def;
use meta::{Level, Meta};
use policy::Policy;
use set::Set;
use value::{Bound, Value};

impl Program {
    /// Loads a file and everything it uses from `files`, and checks its elementwise functions. Problems are added to `diags`; an
    /// error if the file itself cannot be read.
    pub fn load(
        path: &Path,
        files: Arc<dyn FileSystem>,
        sources: &mut SourceMap,
        diags: &mut Vec<Diagnostic>,
    ) -> Result<Program, ReadError> {
        let program = Program::read(path, files, sources, diags)?;
        Ok(program.with_functions(diags))
    }

    /// The same from a text; paths in it are relative to the folder of `file.path`.
    pub fn from_source(
        file: SourceFile,
        files: Arc<dyn FileSystem>,
        sources: &mut SourceMap,
        diags: &mut Vec<Diagnostic>,
    ) -> Program {
        Program::read_source(file, files, sources, diags).with_functions(diags)
    }

    fn with_functions(mut self, diags: &mut Vec<Diagnostic>) -> Program {
        self.functions = function::all(&self, diags);
        self
    }

    /// The networks defined in the root file, in order.
    pub fn networks(&self) -> Vec<NetworkInfo> {
        let Some(module) = self.modules.get(self.root) else { return Vec::new() };
        let mut list = Vec::new();
        for &id in &module.own {
            if let Def::Network(network) = self.def(id) {
                let open = network.params.iter().filter(|p| p.default.is_none()).map(|p| p.name.node.clone()).collect();
                list.push(NetworkInfo {
                    name: network.name.node.clone(),
                    span: network.name.span,
                    open,
                    doc: network.doc.clone(),
                });
            }
        }
        list
    }

    /// Warnings about names that are imported or declared but never used, and errors in blocks that no network uses.
    pub fn lint(&self, diags: &mut Vec<Diagnostic>) {
        lint::run(self, diags);
        unused::run(self, diags);
    }

    /// Expands a network of the root file. `set` assigns open parameters, like `--set name=value`.
    /// Problems are added to `diags`. A partial network is returned even then, without `expects`, so that the checker can report
    /// more.
    pub fn elaborate(
        &self,
        network: &str,
        set: &[(String, String)],
        sources: &mut SourceMap,
        diags: &mut Vec<Diagnostic>,
    ) -> Option<ir::Network> {
        let id = *self.modules.get(self.root)?.scope.get(network)?;
        let Def::Network(top) = self.def(id) else { return None };
        let mut found = Vec::new();
        let work = Cell::new(0);
        let (of_train, set): (Vec<Set>, Vec<Set>) =
            set::parse(set, sources, &mut found).into_iter().partition(|s| s.name.starts_with("train."));
        let given: Vec<(String, Span)> = set.iter().map(|set| (set.name.clone(), set.span)).collect();
        let mut eval = Eval::new(self, &mut found, &work);
        let env = Env::of_module(self.root);
        let train = train::of_command(&of_train, &env, &mut eval);
        let (levels, moved) = self.levels(top, set, &mut eval);
        let out = levels.and_then(|levels| self.expand(top, &levels, moved, train, &mut found, &work));
        // drop errors that merely follow from a syntax error
        found.retain(|d| !self.follows_from_damage(d));
        found.iter_mut().for_each(|diag| set::show(diag, &given, sources));
        expand::once(&mut found);
        diags.append(&mut found);
        out
    }

    /// Whether a diagnostic reports something missing in an item that is incomplete because of a syntax error.
    fn follows_from_damage(&self, diag: &Diagnostic) -> bool {
        const OF_ABSENCE: [Code; 6] = [
            codes::MISSING_ARGUMENT,
            codes::NO_INPUT,
            codes::NO_PREVIOUS_STAGE,
            codes::UNKNOWN_LABEL,
            codes::UNKNOWN_NAME,
            codes::UNUSED_BRANCH,
        ];
        let is_damaged = |at: Span| {
            self.defs.iter().any(|(def, _)| {
                let item = def.span();
                def.is_damaged() && item.file == at.file && item.start <= at.start && at.end <= item.end
            })
        };
        match diag.code {
            // a missing parameter may be the cause; the second label is at the declaration
            codes::UNKNOWN_KEY | codes::TOO_MANY_ARGUMENTS => diag.labels[1..].iter().any(|label| is_damaged(label.span)),
            code => OF_ABSENCE.contains(&code) && is_damaged(diag.span()),
        }
    }

    fn expand(
        &self,
        top: &ast::Network,
        levels: &[Level],
        moved: bool,
        train: Option<train::TrainEntries>,
        diags: &mut Vec<Diagnostic>,
        work: &Cell<usize>,
    ) -> Option<ir::Network> {
        let base = levels.last()?;
        let meta = Meta::gather(levels, train, &mut Eval::new(self, diags, work));
        let mut expander = Expander::new(self, diags, work, meta);
        let policy = match expander.meta.shortcut.clone() {
            Some((expr, env)) => expander.policy(&expr, &env),
            None => Policy::DEFAULT,
        };
        let mut cx = Cx {
            env: base.env.clone(),
            frame: None,
            x: None,
            in_block: false,
            current: None,
            stride: [1, 1],
            policy,
            labels: BTreeMap::new(),
            last_filters: None,
            filters_lost: false,
            last_dilation: 1,
        };
        expander.body(&base.network.body, &mut cx);
        if base.network.damaged {
            return None;
        }
        if expander.graph.inputs().is_empty() {
            expander.current(base.network.name.span, &cx);
        }
        // named outputs count as joined
        let outputs: HashSet<ir::Value> = expander.graph.outputs().iter().map(|(_, value)| *value).collect();
        for label in cx.labels.values_mut() {
            label.used |= label.value.is_some_and(|value| outputs.contains(&value));
        }
        expander.unjoined(&cx);
        if let Some(value) = cx.current
            && !outputs.contains(&value)
            && !expander.aborted
        {
            expander.main_output(value, top.name.span);
        }
        if moved || expander.meta.imagenet_of_base {
            // like expectations, class names apply to the parameters' defaults: `--set classes=100` drops them, and a network
            // derived for other classes need not override ImageNet's
            let classes = expander.graph.outputs().first().and_then(|(_, value)| expander.shape(*value).channels());
            if classes.is_some_and(|classes| classes != expander.meta.class_names.len()) {
                expander.meta.class_names.clear();
            }
        }
        let labeled = join::exported(&cx.labels);
        let recipe = expander.meta.train.take().map(|train| train.resolved(&expander.graph, expander.diags));
        let precision = expander.meta.precision.take().map(|given| given.resolved(&expander.graph, expander.diags));
        let Expander { graph, stages, shortcuts, meta, aborted, .. } = expander;
        let failed = aborted || diags.iter().any(Diagnostic::is_error);
        if aborted || graph.is_empty() {
            return None;
        }
        Some(ir::Network {
            name: top.name.node.clone(),
            span: top.name.span,
            graph,
            stages,
            shortcuts,
            labeled,
            expects: if moved || failed { Vec::new() } else { meta.expects },
            preprocess: meta.preprocess,
            precision: precision.unwrap_or_default(),
            labels: meta.class_names,
            weights: meta.weights,
            recipe,
        })
    }

    /// The derivation chain from the requested network to the one with layers, with bound parameters, and
    /// whether `set` changed a parameter from its default.
    fn levels(&self, top: &Arc<ast::Network>, mut sets: Vec<Set>, eval: &mut Eval<'_>) -> (Option<Vec<Level>>, bool) {
        let mut levels: Vec<Level> = Vec::new();
        let mut moved = false;
        let mut known: Vec<String> = Vec::new();
        let mut next = self.modules[self.root].scope.get(&top.name.node).copied();
        let mut args: Vec<Bound> = Vec::new();
        let mut call = top.name.span;
        while let Some(id) = next {
            let Def::Network(network) = self.def(id) else { return (None, moved) };
            if levels.len() >= MAX_DEPTH {
                let diag = Diagnostic::error(
                    codes::TOO_DEEP,
                    format!("networks derive from each other more than {MAX_DEPTH} deep"),
                    call,
                    "ends here",
                )
                .rule("a network cannot derive from itself");
                eval.diags.push(diag);
                return (None, moved);
            }
            for param in &network.params {
                let name = &param.name.node;
                known.push(name.clone());
                let Some(at) = sets.iter().position(|s| s.name == *name) else { continue };
                let given = sets.remove(at);
                if let Some(bound) = args.iter().find(|a| a.key.as_ref().is_some_and(|(k, _)| **k == **name)) {
                    eval.diags.push(
                        Diagnostic::error(codes::SET_FIXED, format!("`{name}` is fixed in this network"), given.span, "set here")
                            .label(bound.span, "given here")
                            .rule("`--set` assigns parameters that are left open"),
                    );
                    continue;
                }
                let env = Env::of_module(self.module_of(id));
                let value = eval.eval(&given.expr, &env);
                if let Some(default) = &param.default
                    && let default = eval.eval(default, &env)
                    && is_of_another_kind(&default, &value)
                {
                    let message = format!("`{name}` needs {}, as its default is: {default}", default.kind());
                    eval.diags.push(
                        Diagnostic::error(codes::BAD_VALUE, message, given.span, format!("is {}", value.kind()))
                            .label(param.name.span, "declared here"),
                    );
                    return (None, moved);
                }
                moved |= match &param.default {
                    Some(default) => {
                        let default = eval.eval(default, &env);
                        !eval.equal(&default, &value, given.span)
                    }
                    None => true,
                };
                args.push(Bound { key: Some((name.as_str().into(), given.span)), value, span: given.span });
            }
            let errors = eval.diags.len();
            let env = eval.bind(id, &args, call, None);
            if let Some(last) =
                eval.diags.get(errors..).and_then(|new| new.iter().position(|d| d.code == codes::MISSING_ARGUMENT))
                && levels.is_empty()
            {
                let open: Vec<_> =
                    network.params.iter().filter(|p| p.default.is_none()).map(|p| format!("--set {}=…", p.name.node)).collect();
                eval.diags[errors + last].helps.push(crate::base::diagnostic::Help {
                    text: format!(
                        "give it on the command line ({}), or derive a network: `network NAME = {}(…)`",
                        open.join(" "),
                        network.name.node
                    ),
                    edit: None,
                });
            }
            if eval.diags.len() > errors {
                return (None, moved);
            }
            args = Vec::new();
            next = None;
            if let Some(base) = &network.base {
                call = base.span;
                match self.base(base, &env, eval) {
                    Some((id, bound)) => {
                        next = Some(id);
                        args = bound;
                    }
                    None => return (None, moved),
                }
            }
            levels.push(Level { network: network.clone(), env });
        }
        for given in sets {
            let mut diag = Diagnostic::error(
                codes::SET_UNKNOWN,
                format!("`{}` has no parameter `{}`", top.name.node, given.name),
                given.name_span,
                "set here",
            );
            // `num_classes` for `classes`
            let within = || known.iter().map(String::as_str).find(|known| given.name.ends_with(&format!("_{known}")));
            if let Some(near) = nearest(&given.name, known.iter().map(String::as_str)).or_else(within) {
                diag = diag.fix(format!("did you mean `{near}`?"), given.name_span, near);
            } else if let Some(path) = train::path(&given.name) {
                diag = diag.fix(format!("it is a key of the recipe: `--set {path}=…`"), given.name_span, path);
            } else if !known.is_empty() {
                diag = diag.note(format!("it has {}", known.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ")));
            }
            eval.diags.push(diag);
        }
        (Some(levels), moved)
    }

    /// The base network after `=`, and its arguments.
    fn base(&self, base: &ast::UnitRef, env: &Env, eval: &mut Eval<'_>) -> Option<(DefId, Vec<Bound>)> {
        let module = &self.modules[env.module];
        let id = module.scope.get(&base.name.node).copied().filter(|&id| matches!(self.def(id), Def::Network(_)));
        let Some(id) = id else {
            let names = module.scope.iter().filter(|(_, id)| matches!(self.def(**id), Def::Network(_))).map(|(n, _)| n.as_str());
            let mut names: Vec<&str> = names.collect();
            names.sort_unstable();
            let message = format!("there is no network `{}`", base.name.node);
            let mut diag = Diagnostic::error(codes::UNKNOWN_NAME, message, base.name.span, "not known");
            if let Some(near) = nearest(&base.name.node, names) {
                diag = diag.fix(format!("did you mean `{near}`?"), base.name.span, near);
            }
            eval.diags.push(diag);
            return None;
        };
        let expr = ast::Expr { kind: ast::ExprKind::Call(base.name.clone(), base.args.clone()), span: base.span };
        match eval.eval(&expr, env) {
            Value::Unit(unit) if unit.args.iter().all(|a| a.value != Value::Unknown) => Some((id, unit.args.clone())),
            _ => None,
        }
    }
}

/// Whether a parameter with this default most likely cannot take this value.
fn is_of_another_kind(default: &Value, value: &Value) -> bool {
    match default {
        Value::Int(_) | Value::Float(_) => matches!(value, Value::List(_) | Value::Str(_) | Value::Word(_) | Value::Bool(_)),
        Value::List(_) => matches!(value, Value::Int(_) | Value::Float(_) | Value::Str(_) | Value::Word(_) | Value::Bool(_)),
        Value::Bool(_) => !matches!(value, Value::Bool(_) | Value::Unknown),
        _ => false,
    }
}
