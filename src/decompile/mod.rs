//! From a flat graph back to a source that a person would have written.
//!
//! ```text
//! Graph --net--> Net --tree--> steps and joins --group--> scopes --unit--> blocks --stage--> runs, policies --print--> source
//! ```
//!
//! - [`net`] leaves out what no output needs, [`tree`] finds where paths part and meet.
//! - [`group`] gathers steps by the names of their layers; where names say nothing, [`synth`] gives those that the structure suggests.
//! - [`unit`] makes bodies that say the same one block, asking [`standard`] first; [`stage`] reads off the arguments of a run and
//!   which shortcut policy gives its shortcuts.
//! - [`print`] writes; what has no simple form [`irregular`] writes statement by statement.
//!
//! None of these needs to be right: the source is compiled again, and [`iso`] says whether the graph is the same. Where it is not, the
//! next plainer form is tried, down to one statement a node.

mod attrs;
mod group;
mod irregular;
mod iso;
mod layout;
mod net;
mod print;
mod stage;
mod standard;
mod steps;
mod synth;
mod text;
mod tree;
mod unit;

use std::collections::HashSet;
use std::sync::Arc;

use thiserror::Error;

use crate::base::diagnostic::Diagnostic;
use crate::base::file_system::MemoryFiles;
use crate::base::source::{SourceFile, SourceMap};
use crate::check;
use crate::elaborate::Program;
use crate::ir::summary::Totals;
use crate::ir::{Checked, Graph, ShapeError};
use group::Path;
use net::{Id, Net};
use print::{Frame, Printer};
use stage::Policies;
use standard::Standard;
use tree::Item;
use unit::Units;

/// What the source is to say beside the graph.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The network's name; characters that no name has are replaced.
    pub network: String,
    /// Its doc comment: `Imported from net.onnx.`
    pub doc: Option<String>,
    /// Makes the number of classes a parameter, where a linear layer ends the network.
    pub classes: bool,
}

/// A source, and how it relates to the graph.
#[derive(Clone, Debug)]
pub struct Decompiled {
    /// The text of a file with one network.
    pub source: String,
    /// The network's name in it.
    pub network: String,
    /// For each layer with tensors its name in the graph, and its name in the source's network, in the order of the graph. They differ
    /// where the graph's names mean nothing, or cannot be said.
    pub layers: Vec<(String, String)>,
    /// What a reader should know: names that changed, what fell back to plainer statements.
    pub notes: Vec<String>,
}

impl Decompiled {
    /// The layers whose names differ.
    pub fn renamed(&self) -> impl Iterator<Item = (&str, &str)> {
        self.layers.iter().filter(|(old, new)| old != new).map(|(old, new)| (old.as_str(), new.as_str()))
    }
}

/// Why there is no source for a graph.
#[derive(Clone, Debug, Error)]
pub enum DecompileError {
    /// No input, or no output.
    #[error("the graph has no input, or no output")]
    Empty,
    /// An operator that no statement stands for.
    #[error("`{node}` is `{op}` in a form that the language has no statement for")]
    Unsupported {
        /// The node.
        node: String,
        /// Its operator.
        op: &'static str,
    },
    /// An operator that does not fit its operands.
    #[error("`{node}` does not fit what it reads: {error}")]
    Shape {
        /// The node.
        node: String,
        /// Why.
        error: ShapeError,
    },
    /// An input of a shape that cannot be declared.
    #[error("the input `{node}` has a shape that cannot be declared")]
    Input {
        /// The node.
        node: String,
    },
    /// Not even one statement a node gives the graph again.
    #[error("the graph cannot be said in the language: {why}")]
    Inexpressible {
        /// What the compiler says of the plainest form.
        why: String,
    },
}

/// How a source is made.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Blocks and stages by the layers' names.
    Named,
    /// Blocks and stages by the structure alone.
    Structural,
    /// Statements, with branches where paths part.
    Plain,
    /// A statement a node.
    Flat,
}

/// Writes the source of a graph. It is compiled again, and gives the same graph: see [`Decompiled::layers`].
pub fn decompile(graph: &Graph, options: &Options) -> Result<Decompiled, DecompileError> {
    let mut net = Net::of(graph)?;
    let mut notes = Vec::new();
    if net.dead > 0 {
        notes.push(format!("{} nodes that no output needs are left out", net.dead));
    }
    interface(&mut net, &mut notes)?;
    let network = text::word(&options.network, "net");
    let mut why = String::new();
    let mut best: Option<Attempt> = None;
    let named = names(&net);
    for form in [Form::Named, Form::Structural, Form::Plain, Form::Flat] {
        if best.is_some() && form != Form::Structural || form == Form::Named && named.is_none() {
            continue;
        }
        // names that are good, but tell no blocks apart, give a long text
        if best.as_ref().is_some_and(|b| b.source.lines().count() < LONG) {
            continue;
        }
        match attempt(&net, named.as_deref(), form, &network, options) {
            Ok(found) => {
                let lines = |a: &Attempt| a.source.lines().count();
                if best.as_ref().is_none_or(|b| 2 * lines(&found) < lines(b)) {
                    best = Some(found);
                }
            }
            Err(message) => why = message,
        }
    }
    let Some(Attempt { source, to, names: theirs, irregulars, form }) = best else {
        return Err(DecompileError::Inexpressible { why });
    };
    match form {
        Form::Named | Form::Structural => {}
        Form::Plain => notes.push("no blocks were found whose stages give the graph again: plain statements".to_string()),
        Form::Flat => notes.push("the structure is irregular: a statement for each node".to_string()),
    }
    for (from, to, count) in irregulars.iter().take(MOST_REGIONS) {
        notes.push(format!("irregular between `{from}` and `{to}`: {count} plain statements, with branches and labels"));
    }
    if irregulars.len() > MOST_REGIONS {
        notes.push(format!("irregular at {} more places", irregulars.len() - MOST_REGIONS));
    }
    let layers: Vec<(String, String)> = (0..net.nodes.len())
        .filter(|&id| net.node(id).named)
        .map(|id| (net.node(id).name.clone(), theirs[to[id]].clone()))
        .collect();
    let changed = layers.iter().filter(|(a, b)| a != b).count();
    if changed > 0 {
        notes.push(format!("{changed} of {} layers have other names in the source than in the graph", layers.len()));
    }
    Ok(Decompiled { source, network, layers, notes })
}

/// What `expect` asks of a whole network, so that no stage of such a name can be asked for.
const METRICS: [&str; 4] = ["layers", "params", "macs", "output"];

/// How many irregular regions are reported one by one.
const MOST_REGIONS: usize = 3;

/// Beyond so many lines another form is tried too.
const LONG: usize = 70;

/// A source that gives the graph again.
struct Attempt {
    source: String,
    /// The nodes of the source's network by the graph's, and their names.
    to: Vec<Id>,
    names: Vec<String>,
    /// Knots: from where to where, and how many nodes.
    irregulars: Vec<(String, String, usize)>,
    form: Form,
}

/// Gives inputs and outputs names that can be said.
fn interface(net: &mut Net, notes: &mut Vec<String>) -> Result<(), DecompileError> {
    let mut taken: HashSet<String> = HashSet::new();
    for (i, id) in net.inputs.clone().into_iter().enumerate() {
        let node = &mut net.nodes[id];
        if attrs::input(&node.shape).is_none() {
            return Err(DecompileError::Input { node: node.name.clone() });
        }
        let otherwise = if i == 0 { "input".to_string() } else { format!("input{}", i + 1) };
        let fits = node.name == "input" || text::is_word(&node.name) && !text::is_reserved(&node.name);
        let name = if fits && !taken.contains(&node.name) { node.name.clone() } else { otherwise };
        if name != node.name {
            notes.push(format!("the input `{}` is called `{name}`", node.name));
            node.name.clone_from(&name);
        }
        taken.insert(name);
    }
    let mut outputs: HashSet<String> = HashSet::new();
    for (i, (name, _)) in net.outputs.iter_mut().enumerate() {
        let fits = text::is_word(name) && !outputs.contains(name) && (i == 0 || name != "output");
        if !fits {
            let new = if i == 0 {
                "output".to_string()
            } else {
                (i + 1..).map(|n| format!("output{n}")).find(|n| !outputs.contains(n)).unwrap_or_default()
            };
            notes.push(format!("the output `{name}` is called `{new}`"));
            *name = new;
        }
        outputs.insert(name.clone());
    }
    // an output that is stated twice is stated once
    Ok(())
}

/// The names of layers by their parts; `None` where they say nothing, or cannot be said.
fn names(net: &Net) -> Option<Vec<Path>> {
    let mut seen = HashSet::new();
    let mut paths = Vec::with_capacity(net.nodes.len());
    for node in &net.nodes {
        if !node.named {
            paths.push(Path::new());
            continue;
        }
        if !text::is_layer(&node.name) || !seen.insert(node.name.as_str()) {
            return None;
        }
        paths.push(node.name.split('.').map(str::to_string).collect());
    }
    Some(paths)
}

fn attempt(net: &Net, named: Option<&[Path]>, form: Form, network: &str, options: &Options) -> Result<Attempt, String> {
    let (items, _) = match form {
        Form::Flat => (tree::flat(net), true),
        Form::Named | Form::Structural | Form::Plain => tree::tree(net),
    };
    let mut paths = match form {
        Form::Structural => synth::names(net, &items),
        Form::Named | Form::Plain | Form::Flat => named.map_or_else(|| vec![Path::new(); net.nodes.len()], <[Path]>::to_vec),
    };
    let mut items = match form {
        Form::Named | Form::Structural => group::group(net, &paths, items),
        Form::Plain | Form::Flat => items,
    };
    if form == Form::Named {
        let mut ids = items.iter().map(largest).max().unwrap_or(0);
        synth::sequences(net, &mut items, 0, &mut paths, &mut ids);
    }
    let mut standard = Standard::new(form == Form::Named);
    let (units, body) = Units::find(net, &paths, &items, &mut standard);
    let policies = Policies::find(&units, &mut standard);
    let classes = options.classes && form != Form::Flat;
    let frame = Frame { name: network, doc: options.doc.as_deref(), classes, expects: &[] };
    let (source, stages) = Printer::new(net, &units, &policies).source(&body, &frame);
    let (checked, _) = compile(&source, network)?;
    // what was counted is said, and checked with all else
    let mut expects = expectations(&checked);
    if form != Form::Flat {
        expects.extend(stages.iter().filter_map(|(label, value)| {
            let shape = &net.node(*value).shape;
            (shape.sizes().is_some() && !METRICS.contains(&label.as_str())).then(|| format!("expect {label}: {shape}"))
        }));
    }
    let frame = Frame { expects: &expects, ..frame };
    let (source, _) = Printer::new(net, &units, &policies).source(&body, &frame);
    let (checked, _) = compile(&source, network)?;
    let theirs = Net::of(checked.graph()).map_err(|error| error.to_string())?;
    let to = iso::same(net, &theirs).ok_or("the source gives another graph")?;
    let mut irregulars = Vec::new();
    if form != Form::Flat {
        items.iter().for_each(|item| {
            item.irregulars(&mut |irregular| {
                irregulars.push((
                    net.node(irregular.from).name.clone(),
                    net.node(irregular.to).name.clone(),
                    irregular.nodes.len(),
                ));
            });
        });
    }
    Ok(Attempt { source, to, names: theirs.nodes.into_iter().map(|n| n.name).collect(), irregulars, form })
}

/// The largest number of a scope.
fn largest(item: &Item) -> usize {
    match item {
        Item::Scope(scope) => scope.body.iter().map(largest).max().unwrap_or(0).max(scope.id),
        Item::Join(join) => join.arms.iter().flatten().map(largest).max().unwrap_or(0),
        Item::Side(side) => side.body.iter().map(largest).max().unwrap_or(0),
        Item::Op(_) | Item::Irregular(_) | Item::Output(_) => 0,
    }
}

/// Compiles a source as a user would; what is wrong with it, else.
fn compile(source: &str, network: &str) -> Result<(Checked, Vec<Diagnostic>), String> {
    let (mut sources, mut diags) = (SourceMap::default(), Vec::new());
    let file = SourceFile { name: "decompiled".to_string(), path: None, text: source.into() };
    let program = Program::from_source(file, Arc::new(MemoryFiles::default()), &mut sources, &mut diags);
    let checked = program.elaborate(network, &[], &mut sources, &mut diags).and_then(|net| check::check(net, &mut diags));
    match (checked, diags.iter().find(|d| d.is_error())) {
        (Some(checked), None) => Ok((checked, diags)),
        (_, Some(error)) => Err(error.message.clone()),
        (None, None) => Err("the source does not compile".to_string()),
    }
}

fn expectations(checked: &Checked) -> Vec<String> {
    let totals = Totals::of(checked);
    let mut list = vec![
        format!("expect layers: {}", text::grouped(totals.layers)),
        format!("expect params: {}", text::grouped(totals.params)),
    ];
    list.extend(totals.macs.map(|macs| format!("expect macs: {}", text::grouped(macs))));
    list
}
