//! Turns a flat graph into a source that a person could have written.
//!
//! ```text
//! Graph --net--> Net --tree--> items and joins --group--> scopes --find_blocks--> blocks --stage--> policies --print--> source
//! ```
//!
//! - `net` removes nodes that no output needs; `tree` finds where paths fork and join.
//! - `group` groups items by the names of their layers; if the names are meaningless, `synth` invents names from the structure.
//! - `body` converts scopes to statements; `find_blocks` turns those that differ only in numbers into a block, preferring
//!   those of the standard library (`standard`), and `unify` finds its parameters; `blocks` derives the arguments of stages from
//!   their calls, and `stage` the shortcut policy that gives their shortcuts.
//! - `print` writes the source, with `writer` for lines and `names` for valid names; regions without a simple structure are
//!   written statement by statement (`irregular`).
//!
//! None of these needs to be correct: the source is compiled again, and `iso` checks that the graph is the same. If it is not, the
//! next simpler style is tried, down to one statement per node.

mod attrs;
mod blocks;
mod body;
mod calls;
mod error;
mod find_blocks;
mod function;
mod group;
mod irregular;
mod iso;
mod joins;
mod names;
mod net;
mod print;
mod ranges;
mod stage;
mod standard;
mod stmt;
mod synth;
mod tree;
mod unify;
mod writer;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use crate::base::diagnostic::Diagnostic;
use crate::base::file_system::MemoryFiles;
use crate::base::source::{SourceFile, SourceMap};
use crate::check;
use crate::elaborate::Program;
use crate::ir::summary::Totals;
use crate::ir::{Checked, Graph};
pub use error::DecompileError;
use find_blocks::find_blocks;
use group::Path;
use net::{Id, Net};
use print::{Header, Printer};
use stage::Policies;
use standard::Standard;
use tree::Item;

/// What the source contains besides the graph.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The network's name; invalid characters are replaced.
    pub network: String,
    /// Its doc comment: `Imported from net.onnx.`
    pub doc: Option<String>,
    /// Makes the number of classes a parameter if the network ends in a linear layer.
    pub classes: bool,
    /// Prefers a source whose layers have the graph's names over a shorter one.
    pub keep_names: bool,
}

/// A source, and its relation to the graph.
#[derive(Clone, Debug)]
pub struct Decompiled {
    /// The text of a file with one network.
    pub source: String,
    /// The network's name in it.
    pub network: String,
    /// For each layer with tensors, its name in the graph and its name in the source, in graph order. They differ if the graph's names
    /// are meaningless, or not valid in the language.
    pub layers: Vec<(String, String)>,
    /// Remarks for the user: renamed layers, and parts without blocks.
    pub notes: Vec<String>,
}

impl Decompiled {
    /// The layers whose names differ.
    pub fn renamed(&self) -> impl Iterator<Item = (&str, &str)> {
        self.layers.iter().filter(|(old, new)| old != new).map(|(old, new)| (old.as_str(), new.as_str()))
    }

    /// The graph's tensors by their names in the source.
    pub fn rename<T>(&self, tensors: BTreeMap<String, T>) -> BTreeMap<String, T> {
        let names: BTreeMap<&str, &str> = self.renamed().collect();
        let rename = |name: String| match name.rsplit_once('.').and_then(|(layer, role)| Some((names.get(layer)?, role))) {
            Some((layer, role)) => format!("{layer}.{role}"),
            // the only parameter of a function may have the layer's own name
            None => names.get(name.as_str()).map(|layer| of_function(&name, layer)).unwrap_or(name),
        };
        tensors.into_iter().map(|(name, tensor)| (rename(name), tensor)).collect()
    }
}

/// The tensor of a function's only parameter, whose layer has another name now.
fn of_function(tensor: &str, layer: &str) -> String {
    let own = |name: &str| name.rsplit('.').next().unwrap_or_default().to_owned();
    if own(layer) == own(tensor) { layer.to_owned() } else { format!("{layer}.{}", own(tensor)) }
}

/// The style of a source, from the most readable to the simplest.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    /// Blocks and stages according to the layers' names.
    Named,
    /// Blocks and stages according to the structure only.
    Structural,
    /// Statements, with branches where paths fork.
    Plain,
    /// One statement per node.
    Flat,
}

/// Writes the source of a graph. The source is checked to compile to the same graph, up to names: see [`Decompiled::layers`].
pub fn decompile(graph: &Graph, options: &Options) -> Result<Decompiled, DecompileError> {
    let mut net = Net::of(graph)?;
    if options.keep_names {
        net.name_norms();
    }
    let mut notes = Vec::new();
    if net.dead > 0 {
        notes.push(format!("{} nodes that no output depends on are omitted", net.dead));
    }
    interface(&mut net, &mut notes)?;
    let mut network = names::word(&options.network, "net");
    if net.functions.iter().any(|function| function.name == network) {
        network.push_str("_net");
    }
    let named = layer_paths(&net);
    let mut search = Search { net: &net, named: named.as_deref(), network: &network, options, why: String::new() };
    let kept = if options.keep_names { search.with_names() } else { None };
    let best = kept.or_else(|| search.most_readable());
    let why = search.why;
    let Some(Attempt { source, to, names: theirs, irregulars, style }) = best else {
        return Err(DecompileError::Inexpressible { why });
    };
    match style {
        Style::Named | Style::Structural => {}
        Style::Plain => notes.push("no blocks were found that give the same graph: the source has plain statements".to_string()),
        Style::Flat => notes.push("the structure is irregular: the source has one statement per node".to_string()),
    }
    for (from, to, count) in irregulars.iter().take(MAX_LISTED_REGIONS) {
        notes.push(format!("irregular between `{from}` and `{to}`: {count} plain statements, with branches and labels"));
    }
    if irregulars.len() > MAX_LISTED_REGIONS {
        notes.push(format!("irregular in {} more places", irregulars.len() - MAX_LISTED_REGIONS));
    }
    let layers: Vec<(String, String)> = (0..net.nodes.len())
        .filter(|&id| net.node(id).named)
        .map(|id| (net.node(id).name.clone(), theirs[to[id]].clone()))
        .collect();
    let changed = layers.iter().filter(|(a, b)| a != b).count();
    if changed > 0 {
        notes.push(format!("{changed} of {} layers have different names in the source and in the graph", layers.len()));
    }
    Ok(Decompiled { source, network, layers, notes })
}

/// The metrics of `expect`: a stage with such a name cannot have an `expect` line.
const METRICS: [&str; 4] = ["layers", "params", "macs", "output"];

/// How many irregular regions are listed in notes.
const MAX_LISTED_REGIONS: usize = 3;

/// For longer sources, in lines, another style is tried too.
const LONG_SOURCE: usize = 70;

/// A source that gives the same graph.
struct Attempt {
    source: String,
    /// For each node of the graph, the corresponding node of the source's network.
    to: Vec<Id>,
    /// The names of the nodes of the source's network.
    names: Vec<String>,
    /// Irregular regions: first and last value, and number of nodes.
    irregulars: Vec<(String, String, usize)>,
    style: Style,
}

/// What a source is looked for with.
struct Search<'a> {
    net: &'a Net,
    /// The components of the layers' names, if they are valid in the language.
    named: Option<&'a [Path]>,
    network: &'a str,
    options: &'a Options,
    /// Why the last style did not give a source.
    why: String,
}

impl Search<'_> {
    fn attempt(&mut self, style: Style) -> Option<Attempt> {
        match attempt(self.net, self.named, style, self.network, self.options) {
            Ok(found) => Some(found),
            Err(message) => {
                self.why = message;
                None
            }
        }
    }

    fn most_readable(&mut self) -> Option<Attempt> {
        let mut best: Option<Attempt> = None;
        for style in [Style::Named, Style::Structural, Style::Plain, Style::Flat] {
            if best.is_some() && style != Style::Structural || style == Style::Named && self.named.is_none() {
                continue;
            }
            // valid names that do not distinguish blocks give a long source
            if best.as_ref().is_some_and(|b| b.source.lines().count() < LONG_SOURCE) {
                continue;
            }
            let lines = |a: &Attempt| a.source.lines().count();
            let found = self.attempt(style);
            if found.as_ref().is_some_and(|found| best.as_ref().is_none_or(|best| 2 * lines(found) < lines(best))) {
                best = found;
            }
        }
        best
    }

    /// The most readable of the sources that change the fewest names; `None` if the names are not valid.
    fn with_names(&mut self) -> Option<Attempt> {
        self.named?;
        let mut best: Option<(usize, Attempt)> = None;
        for style in [Style::Named, Style::Plain, Style::Flat] {
            let Some(found) = self.attempt(style) else { continue };
            let changed = self.changed(&found);
            if changed == 0 {
                return Some(found);
            }
            if best.as_ref().is_none_or(|(fewest, _)| changed < *fewest) {
                best = Some((changed, found));
            }
        }
        best.map(|(_, found)| found)
    }

    /// How many layers have another name in a source.
    fn changed(&self, found: &Attempt) -> usize {
        let layers = (0..self.net.nodes.len()).filter(|&id| self.net.node(id).named);
        layers.filter(|&id| self.net.node(id).name != found.names[found.to[id]]).count()
    }
}

/// Gives inputs and outputs valid names.
fn interface(net: &mut Net, notes: &mut Vec<String>) -> Result<(), DecompileError> {
    let mut taken: HashSet<String> = HashSet::new();
    for (i, id) in net.inputs.clone().into_iter().enumerate() {
        let node = &mut net.nodes[id];
        if attrs::input(&node.shape).is_none() {
            return Err(DecompileError::Input { node: node.name.clone() });
        }
        let fallback = if i == 0 { "input".to_string() } else { format!("input{}", i + 1) };
        let is_valid = node.name == "input" || names::is_word(&node.name) && !names::is_reserved(&node.name);
        let name = if is_valid && !taken.contains(&node.name) { node.name.clone() } else { fallback };
        if name != node.name {
            notes.push(format!("the input `{}` was renamed to `{name}`", node.name));
            node.name.clone_from(&name);
        }
        taken.insert(name);
    }
    let mut outputs: HashSet<String> = HashSet::new();
    for (i, (name, _)) in net.outputs.iter_mut().enumerate() {
        let is_valid = names::is_word(name) && !outputs.contains(name) && (i == 0 || name != "output");
        if !is_valid {
            let new = if i == 0 {
                "output".to_string()
            } else {
                (i + 1..).map(|n| format!("output{n}")).find(|n| !outputs.contains(n)).unwrap_or_default()
            };
            notes.push(format!("the output `{name}` was renamed to `{new}`"));
            *name = new;
        }
        outputs.insert(name.clone());
    }
    Ok(())
}

/// The components of each layer's name; `None` if a name is not unique, or not valid in the language.
fn layer_paths(net: &Net) -> Option<Vec<Path>> {
    let mut seen = HashSet::new();
    let mut paths = Vec::with_capacity(net.nodes.len());
    for node in &net.nodes {
        if !node.named {
            paths.push(Path::new());
            continue;
        }
        if !names::is_layer(&node.name) || !seen.insert(node.name.as_str()) {
            return None;
        }
        paths.push(node.name.split('.').map(str::to_string).collect());
    }
    Some(paths)
}

fn attempt(net: &Net, named: Option<&[Path]>, style: Style, network: &str, options: &Options) -> Result<Attempt, String> {
    let (items, _) = match style {
        Style::Flat => (tree::flat(net), true),
        Style::Named | Style::Structural | Style::Plain => tree::tree(net),
    };
    let mut paths = match style {
        Style::Structural => synth::layer_paths(net, &items),
        Style::Named | Style::Plain | Style::Flat => named.map_or_else(|| vec![Path::new(); net.nodes.len()], <[Path]>::to_vec),
    };
    let mut items = match style {
        Style::Named | Style::Structural => group::group(net, &paths, items),
        Style::Plain | Style::Flat => items,
    };
    if style == Style::Named {
        let mut ids = items.iter().map(largest_id).max().unwrap_or(0);
        synth::sequences(net, &mut items, 0, &mut paths, &mut ids);
    }
    let mut standard = Standard::new(style == Style::Named);
    let (blocks, body) = find_blocks(net, &paths, &items, &mut standard);
    let policies = Policies::find(&blocks, &mut standard);
    let classes = options.classes && style != Style::Flat;
    let header = Header { name: network, doc: options.doc.as_deref(), classes, expects: &[] };
    let (source, stages) = Printer::new(net, &blocks, &policies).source(&body, &header);
    let (checked, _) = compile(&source, network)?;
    // state the totals, so that they are checked too
    let mut expects = expectations(&checked);
    if style != Style::Flat {
        expects.extend(stages.iter().filter_map(|(label, value)| {
            let shape = &net.node(*value).shape;
            (shape.sizes().is_some() && !METRICS.contains(&label.as_str())).then(|| format!("expect {label}: {shape}"))
        }));
    }
    let header = Header { expects: &expects, ..header };
    let (source, _) = Printer::new(net, &blocks, &policies).source(&body, &header);
    let (checked, _) = compile(&source, network)?;
    let theirs = Net::of(checked.graph()).map_err(|error| error.to_string())?;
    let to = iso::same(net, &theirs).ok_or("the source gives another graph")?;
    let mut irregulars = Vec::new();
    if style != Style::Flat {
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
    Ok(Attempt { source, to, names: theirs.nodes.into_iter().map(|n| n.name).collect(), irregulars, style })
}

/// The largest scope id inside an item.
fn largest_id(item: &Item) -> usize {
    match item {
        Item::Scope(scope) => scope.body.iter().map(largest_id).max().unwrap_or(0).max(scope.id),
        Item::Join(join) => join.arms.iter().flatten().map(largest_id).max().unwrap_or(0),
        Item::Side(side) => side.body.iter().map(largest_id).max().unwrap_or(0),
        Item::Op(_) | Item::Irregular(_) | Item::Output(_) => 0,
    }
}

/// Compiles a source; fails with the first error message.
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
        format!("expect layers: {}", names::grouped(totals.layers)),
        format!("expect params: {}", names::grouped(totals.params)),
    ];
    list.extend(totals.macs.map(|macs| format!("expect macs: {}", names::grouped(macs))));
    list
}
