//! Finds blocks of the standard library. The library is not duplicated here: a block is expanded with candidate arguments, and the
//! result is compared.

use std::collections::HashMap;
use std::sync::Arc;

use super::attrs::{self, Val};
use super::body::{self, Built};
use super::group::{self, Path};
use super::net::Net;
use super::stmt::{Hole, Stmt, without_names};
use super::tree::{self, Scope};
use super::unify::Param;
use crate::base::file_system::MemoryFiles;
use crate::base::source::{SourceFile, SourceMap};
use crate::elaborate::Program;

/// A block of the library, and its parameters with their defaults.
struct StandardBlock {
    name: &'static str,
    params: &'static [(&'static str, Option<i64>)],
}

/// The blocks that are tried. If the library differs from this list, nothing matches, and a block is written instead.
const BLOCKS: &[StandardBlock] = &[
    StandardBlock { name: "basic", params: &[("filters", None), ("stride", Some(1)), ("dilation", Some(1))] },
    StandardBlock {
        name: "bottleneck",
        params: &[
            ("filters", None),
            ("stride", Some(1)),
            ("expansion", Some(4)),
            ("groups", Some(1)),
            ("widen", Some(1)),
            ("dilation", Some(1)),
        ],
    },
    StandardBlock { name: "bottleneck_v1", params: &[("filters", None), ("stride", Some(1)), ("expansion", Some(4))] },
    StandardBlock { name: "pre_basic", params: &[("filters", None), ("stride", Some(1))] },
    StandardBlock { name: "pre_bottleneck", params: &[("filters", None), ("stride", Some(1)), ("expansion", Some(4))] },
    StandardBlock {
        name: "conv_norm_relu",
        params: &[("filters", None), ("kernel", Some(3)), ("stride", Some(1)), ("groups", Some(1))],
    },
];

/// The standard projections.
const PROJECTIONS: &[&str] = &["projection", "projection_conv", "projection_pool"];

/// A block that matches.
pub(super) struct Found {
    pub name: &'static str,
    pub params: Vec<Param>,
    /// The arguments of each body, by parameter.
    pub args: Vec<Vec<Val>>,
    /// Whether it has an `add shortcut`.
    pub residual: bool,
}

/// The expansion of a block.
type Expansion = (Vec<Stmt>, Vec<Hole>);

pub(super) struct Standard {
    /// Whether the names of layers must match.
    named: bool,
    /// Cached expansions, by the text of the call.
    probes: HashMap<String, Option<Expansion>>,
}

/// The input with which a block is expanded.
#[derive(Clone, Copy, Debug)]
struct Input {
    channels: usize,
    /// Whether it has one spatial axis.
    signal: bool,
}

/// The attributes of a body's convolutions.
struct Convs {
    filters: Vec<i64>,
    kernel: i64,
    stride: i64,
    dilation: i64,
    groups: i64,
}

impl Convs {
    fn of(stmts: &[Stmt], holes: &[Hole]) -> Option<Convs> {
        let mut out = Convs { filters: Vec::new(), kernel: 1, stride: 1, dilation: 1, groups: 1 };
        let mut at = 0;
        for stmt in stmts {
            match stmt {
                Stmt::Op { word, keys, .. } => {
                    for (key, hole) in keys.iter().zip(&holes[at..]).filter(|_| word == "conv") {
                        match (key.as_str(), hole.value) {
                            ("kernel", Val::Size([h, w])) if h == w && out.filters.is_empty() => out.kernel = h as i64,
                            ("kernel", Val::Int(n)) if out.filters.is_empty() => out.kernel = n,
                            ("filters", Val::Int(n)) => out.filters.push(n),
                            ("stride", Val::Int(n)) => out.stride = out.stride.max(n),
                            ("dilation", Val::Int(n)) => out.dilation = out.dilation.max(n),
                            ("groups", Val::Int(n)) => out.groups = out.groups.max(n),
                            ("stride" | "dilation", _) => return None,
                            _ => {}
                        }
                    }
                    at += keys.len();
                }
                Stmt::Activation => at += 1,
                Stmt::Shortcut => {}
                _ => return None,
            }
        }
        (!out.filters.is_empty()).then_some(out)
    }

    /// Candidate arguments that could give these attributes, most likely first.
    fn args(&self, known: &StandardBlock) -> Vec<Vec<i64>> {
        let has = |name: &str| known.params.iter().any(|(p, _)| *p == name);
        let (Some(&first), Some(&last)) = (self.filters.first(), self.filters.last()) else { return Vec::new() };
        let mut widths = Vec::new();
        if has("expansion") {
            if last % 4 == 0 && first % (last / 4).max(1) == 0 && (has("widen") || first == last / 4) {
                widths.push((last / 4, 4, first / (last / 4).max(1)));
            }
            if last % first.max(1) == 0 {
                widths.push((first, last / first.max(1), 1));
            }
        } else {
            widths.push((first, 1, 1));
        }
        let value = |name: &str, (filters, expansion, widen): (i64, i64, i64)| match name {
            "filters" => filters,
            "expansion" => expansion,
            "widen" => widen,
            "stride" => self.stride,
            "dilation" => self.dilation,
            "groups" => self.groups,
            _ => self.kernel,
        };
        widths.into_iter().map(|w| known.params.iter().map(|(p, _)| value(p, w)).collect()).collect()
    }
}

impl Standard {
    pub fn new(named: bool) -> Standard {
        Standard { named, probes: HashMap::new() }
    }

    /// The block of which all these bodies are instances.
    pub fn block(&mut self, net: &Net, members: &[(&Scope, Built)]) -> Option<Found> {
        let stmts = &members[0].1.stmts;
        let residual = stmts.contains(&Stmt::Shortcut);
        let convs = Convs::of(stmts, &members[0].1.holes)?;
        for known in BLOCKS {
            // compare the statements first, with one expansion
            let Some(sample) = convs.args(known).first().cloned() else { continue };
            let signal = attrs::is_signal(Some(&net.node(members[0].0.from).shape));
            let x = Input { channels: 16, signal };
            let mut plain = false;
            let fits = self.expand(known, &sample, x, false).is_some_and(|(found, _)| self.same(&found, stmts))
                || (!residual && {
                    plain = true;
                    self.expand(known, &sample, x, true).is_some_and(|(found, _)| self.same(&found, stmts))
                });
            if !fits {
                continue;
            }
            let args: Option<Vec<Vec<i64>>> = members
                .iter()
                .map(|(scope, built)| {
                    let shape = &net.node(scope.from).shape;
                    let x = Input { channels: shape.channels()?, signal: attrs::is_signal(Some(shape)) };
                    Convs::of(&built.stmts, &built.holes)?.args(known).into_iter().find(|args| {
                        self.expand(known, args, x, plain)
                            .is_some_and(|(stmts, holes)| self.same(&stmts, &built.stmts) && values(&holes, &built.holes))
                    })
                })
                .collect();
            let Some(args) = args else { continue };
            let param = |(name, default): &(&str, Option<i64>)| Param {
                name: (*name).to_string(),
                default: default.map(Val::Int),
                is_width: *name == "filters",
            };
            return Some(Found {
                name: known.name,
                params: known.params.iter().map(param).collect(),
                args: args.into_iter().map(|list| list.into_iter().map(Val::Int).collect()).collect(),
                residual: residual || plain,
            });
        }
        None
    }

    /// The standard projection of which all these are instances, each with its filters and stride.
    pub fn projection(&mut self, arms: &[(&Built, usize, i64)], signal: bool) -> Option<&'static str> {
        PROJECTIONS.iter().copied().find(|name| {
            arms.iter().all(|(built, filters, stride)| {
                self.probe(&format!("{name} filters: {filters}, stride: {stride}"), Input { channels: 16, signal }, false)
                    .is_some_and(|(stmts, holes)| self.same(&stmts, &built.stmts) && values(&holes, &built.holes))
            })
        })
    }

    fn same(&self, a: &[Stmt], b: &[Stmt]) -> bool {
        if self.named { a == b } else { without_names(a) == without_names(b) }
    }

    fn expand(&mut self, known: &StandardBlock, args: &[i64], x: Input, plain: bool) -> Option<Expansion> {
        let given = known.params.iter().zip(args).filter(|((_, default), value)| *default != Some(**value));
        let args: Vec<String> = given.map(|((name, _), value)| format!("{name}: {value}")).collect();
        self.probe(&format!("{} {}", known.name, args.join(", ")), x, plain)
    }

    /// The expansion of a call of a standard block; `None` if it does not compile.
    fn probe(&mut self, call: &str, x: Input, plain: bool) -> Option<Expansion> {
        let key = format!("{plain} {x:?} {call}");
        if let Some(found) = self.probes.get(&key) {
            return found.clone();
        }
        let found = expand(call, x, plain);
        self.probes.insert(key, found.clone());
        found
    }
}

/// Whether the values are the same, regardless of defaults.
fn values(a: &[Hole], b: &[Hole]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.value == b.value)
}

fn expand(call: &str, x: Input, plain: bool) -> Option<Expansion> {
    let policy = if plain { "none" } else { "identity" };
    let dims = if x.signal { format!("{} x 64", x.channels) } else { format!("{} x 64 x 64", x.channels) };
    let name = call.split(' ').next()?;
    let text =
        format!("resnet 1\nuse std.blocks: {name}\nnetwork probe {{\n  input {dims}\n  shortcut: {policy}\n  {call}\n}}\n");
    let (mut sources, mut diags) = (SourceMap::default(), Vec::new());
    let file = SourceFile { name: "probe".to_string(), path: None, text: text.into() };
    let program = Program::from_source(file, Arc::new(MemoryFiles::default()), &mut sources, &mut diags);
    let network = program.elaborate("probe", &[], &mut sources, &mut diags)?;
    if !diags.is_empty() {
        return None;
    }
    // shapes may not match, since every shortcut is the identity here
    let net = Net::read(&network.graph, false).ok()?;
    let paths: Vec<Path> =
        net.nodes.iter().map(|n| if n.named { n.name.split('.').map(str::to_string).collect() } else { Path::new() }).collect();
    let items = tree::tree(&net).0;
    let items = if name.starts_with("projection") { group::side(&net, &paths, items) } else { group::group(&net, &paths, items) };
    let built = body::expanded(&net, &paths, &items, 0);
    Some((built.stmts, built.holes))
}
