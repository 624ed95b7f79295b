//! What holds for every text: the front end answers, its places are in the text, what it could read around an error is what it reads
//! alone, and what it accepts can be planned, dumped and written again.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use resnetc::internal::base::diagnostic::Diagnostic;
use resnetc::internal::base::file_system::MemoryFiles;
use resnetc::internal::base::render;
use resnetc::internal::base::source::{SourceMap, Span};
use resnetc::internal::check::{at_size, sizes};
use resnetc::internal::decompile::{self, decompile};
use resnetc::internal::driver::Frontend;
use resnetc::internal::grad::{self, GradOptions};
use resnetc::internal::ir::dump::{DumpOptions, dump};
use resnetc::internal::ir::{Checked, Plannable, dot};
use resnetc::internal::kernels::Isa;
use resnetc::internal::plan::{PlanOptions, Settings, plan};
use resnetc::internal::syntax::ast::{Block, File, Function, Item, Network};
use resnetc::internal::{passes, syntax, torch};

/// Far more than any of these texts needs.
const MOST_TIME: Duration = Duration::from_secs(20);
/// The name of the text.
const NAME: &str = "net.resnet";
/// Networks that are checked, of those in a text.
const MOST_NETWORKS: usize = 4;
/// Nodes of a network up to which it is planned.
const MOST_PLANNED: usize = 200;
/// Nodes of a network up to which its source is written: that is compiled again, perhaps several times.
const MOST_DECOMPILED: usize = 40;

pub fn check(text: &str) {
    let start = Instant::now();
    parse(text);
    compile(text);
    assert!(start.elapsed() < MOST_TIME, "{:?} for {} bytes", start.elapsed(), text.len());
}

fn parse(text: &str) {
    let mut sources = SourceMap::default();
    let id = sources.add_text(NAME, text);
    let (file, diagnostics) = syntax::parse(id, text);
    assert_eq!(file.damaged, !diagnostics.is_empty());
    in_the_text(&sources, &diagnostics);
    syntax::dump(&file, text);
    for comment in &file.comments {
        assert_eq!(sources.snippet(comment.span), comment.node);
    }
    for item in &file.items {
        let names = match item {
            Item::Use(item) => &item.names[..],
            Item::Block(Block { name, .. }) | Item::Network(Network { name, .. }) | Item::Function(Function { name, .. }) => {
                std::slice::from_ref(name)
            }
        };
        for name in names {
            assert_eq!(sources.snippet(name.span), name.node, "the place of a name in {text:?}");
        }
        read_alone(&sources, item);
    }
    for (span, replacement) in edits(&diagnostics).take(3) {
        let mut mended = text.to_owned();
        mended.replace_range(span.range(), replacement);
        syntax::parse(SourceMap::default().add_text(NAME, mended.as_str()), &mended);
    }
}

fn edits(diagnostics: &[Diagnostic]) -> impl Iterator<Item = &(Span, String)> {
    diagnostics.iter().flat_map(|diagnostic| &diagnostic.helps).filter_map(|help| help.edit.as_ref())
}

/// Every place that is pointed at is in its text, between characters.
fn in_the_text(sources: &SourceMap, diagnostics: &[Diagnostic]) {
    let labels = diagnostics.iter().flat_map(|diagnostic| &diagnostic.labels).map(|label| label.span);
    for span in labels.chain(edits(diagnostics).map(|(span, _)| *span)) {
        let text = &sources.file(span.file).text;
        assert!(text.get(span.range()).is_some(), "{span:?} of {text:?}");
    }
}

/// An item without errors is the same item if the rest of the file is not there.
fn read_alone(sources: &SourceMap, item: &Item) {
    let (span, damaged) = match item {
        Item::Use(item) => (item.span, false),
        Item::Block(item) => (item.span, item.damaged),
        Item::Network(item) => (item.span, item.damaged),
        Item::Function(item) => (item.span, item.value.is_none()),
    };
    if damaged {
        return;
    }
    let text = format!("resnet {}\n{}\n", syntax::VERSION, sources.snippet(span));
    let (alone, diagnostics) = syntax::parse(SourceMap::default().add_text(NAME, text.as_str()), &text);
    assert!(diagnostics.is_empty(), "{diagnostics:?} in {text:?}");
    let file = File { version: None, items: vec![item.clone()], comments: Vec::new(), damaged: false };
    let lines = |file: &File, text: &str| -> Vec<String> {
        let dump = syntax::dump(file, text);
        // neither their places nor the comments above the item
        let lines = dump.lines().map(|line| line.trim_start().split_once(' ').unwrap_or_default().1.to_owned());
        lines.filter(|line| !line.starts_with(" doc ") && !line.starts_with(" version ")).collect()
    };
    assert_eq!(lines(&file, &sources.file(span.file).text), lines(&alone, &text));
}

fn compile(text: &str) {
    let mut files = MemoryFiles::default();
    files.insert(NAME, text);
    // refused if it is too long
    let Ok(mut front) = Frontend::open_in(Path::new(NAME), Arc::new(files)) else { return };
    for network in front.networks().into_iter().take(MOST_NETWORKS) {
        let set: Vec<(String, String)> = network.open.iter().map(|name| (name.clone(), "2".to_owned())).collect();
        if let Some(checked) = front.check(&network.name, &set) {
            accepted(&checked);
        }
    }
    in_the_text(&front.sources, &front.diagnostics);
    let shown = &front.diagnostics[..front.diagnostics.len().min(50)];
    assert_eq!(render::terminal(shown, &front.sources, false).is_empty(), shown.is_empty());
    for diagnostic in shown.iter().take(10) {
        render::json(diagnostic, &front.sources);
    }
}

fn accepted(checked: &Checked) {
    for fold in [false, true] {
        assert!(!dump(checked, DumpOptions { fold }).is_empty());
    }
    if checked.graph().len() > MOST_PLANNED {
        return;
    }
    dot::dot(checked);
    sizes(checked);
    // not everything has a counterpart there
    let _ = torch::write(checked, None);
    if checked.graph().len() <= MOST_DECOMPILED {
        let options = decompile::Options { network: checked.network.name.clone(), ..decompile::Options::default() };
        let _ = decompile(checked.graph(), &options);
    }
    let Ok(canonical) = at_size(&checked.canonical(), [64, 64]) else { return };
    planned(&passes::inference(canonical.clone()));
    // what cannot be trained is said so
    if let Ok(step) = grad::training(&canonical, &GradOptions::default()) {
        planned(&passes::training(step));
    }
}

/// Plans for every instruction set, whether or not it is there.
fn planned(network: &impl Plannable) {
    for isa in Isa::ALL {
        // sizes that no memory holds are refused
        if let Ok(plan) = plan(network, &PlanOptions::new(2, 2, isa), &Settings::default()) {
            assert!(!plan.to_string().is_empty());
        }
    }
}
