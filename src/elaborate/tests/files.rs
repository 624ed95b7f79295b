//! Programs of several files, in memory.

use std::path::Path;
use std::sync::Arc;

use super::super::Program;
use crate::base::diagnostic::Diagnostic;
use crate::base::file_system::{Disk, FileSystem, MemoryFiles};
use crate::base::source::SourceMap;
use crate::ir::{Network, Op};

fn memory(files: &[(&str, &str)]) -> MemoryFiles {
    let mut memory = MemoryFiles::default();
    files.iter().for_each(|(path, text)| memory.insert(path, *text));
    memory
}

/// Elaborates the network `net` of a file.
fn elaborate(path: &str, files: impl FileSystem + 'static) -> (Option<Network>, Vec<Diagnostic>) {
    let (mut sources, mut diags) = (SourceMap::default(), Vec::new());
    let program = Program::load(Path::new(path), Arc::new(files), &mut sources, &mut diags).unwrap();
    let network = program.elaborate("net", &[], &mut sources, &mut diags);
    (network, diags)
}

fn good(path: &str, files: impl FileSystem + 'static) -> Network {
    let (network, diags) = elaborate(path, files);
    assert!(diags.is_empty(), "{diags:?}");
    network.unwrap()
}

fn error(path: &str, files: &[(&str, &str)]) -> (&'static str, String) {
    let diag = elaborate(path, memory(files)).1.into_iter().find(Diagnostic::is_error).unwrap();
    (diag.code.0, diag.message)
}

fn filters(network: &Network) -> Vec<usize> {
    let conv = |op: &Op| if let Op::Conv(conv) = op { Some(conv.filters) } else { None };
    network.graph.ids().filter_map(|id| conv(&network.graph.node(id).op)).collect()
}

const NET: &str = "resnet 1\nuse \"../lib/blocks.resnet\": unit\nnetwork net {\n  input 3 x 8 x 8\n  unit\n}\n";
const BLOCKS: &str = "resnet 1\nuse \"sizes.resnet\": small\nblock unit() {\n  small\n}\n";
const SIZES: &str = "resnet 1\nblock small() {\n  conv 3x3, filters: 5\n}\n";

#[test]
fn a_used_file_is_found_beside_the_file_that_uses_it() {
    let net =
        good("nets/net.resnet", memory(&[("nets/net.resnet", NET), ("lib/blocks.resnet", BLOCKS), ("lib/sizes.resnet", SIZES)]));
    assert_eq!(filters(&net), [5]);
}

#[test]
fn a_file_is_read_once_under_whatever_path() {
    let twice = "resnet 1\nuse \"a.resnet\": one\nuse \"./lib/../a.resnet\": one\nnetwork net {\n  input 4\n  one\n}\n";
    good("net.resnet", memory(&[("net.resnet", twice), ("a.resnet", "resnet 1\nblock one() {\n  relu\n}\n")]));
}

#[test]
fn a_missing_file_is_an_error_at_its_use() {
    let (code, message) = error("nets/net.resnet", &[("nets/net.resnet", NET)]);
    assert_eq!((code, &*message), ("E0101", "cannot read nets/../lib/blocks.resnet: no such file"));
    let missing = Program::load(Path::new("gone"), Arc::new(memory(&[])), &mut SourceMap::default(), &mut Vec::new());
    assert_eq!(missing.unwrap_err().to_string(), "cannot read gone: no such file");
}

#[test]
fn a_cycle_of_uses_is_an_error() {
    let uses = |other: &str| format!("resnet 1\nuse \"{other}\": x\nnetwork net {{\n  input 4\n  x\n}}\n");
    let (code, _) = error("a.resnet", &[("a.resnet", &uses("sub/b.resnet")), ("sub/b.resnet", &uses("../a.resnet"))]);
    assert_eq!(code, "E0103");
    assert_eq!(error("a.resnet", &[("a.resnet", &uses("./a.resnet"))]).0, "E0103");
}

#[test]
fn a_used_file_is_bounded_text_and_no_artifact() {
    let net = "resnet 1\nuse \"other\": x\nnetwork net {\n  input 4\n  x\n}\n";
    let message = |other: &[u8]| {
        let mut files = memory(&[("net.resnet", net)]);
        files.insert("other", other);
        elaborate("net.resnet", files).1.into_iter().find(|d| d.code.0 == "E0101").unwrap().message
    };
    assert!(message(b"RNXmodel").contains("is an artifact"));
    assert!(message(b"resnet \xff").contains("invalid byte at offset 7"));
    assert!(message(&vec![b' '; crate::syntax::MAX_SOURCE + 1]).contains("larger than 4 MiB"));
}

#[test]
fn class_names_are_read_beside_the_file_that_names_them() {
    let net = "resnet 1\nnetwork net {\n  input 4\n  labels \"names/classes.txt\"\n  linear 2\n}\n";
    let files = [("nets/net.resnet", net), ("nets/names/classes.txt", "cat  \ndog\n\n")];
    assert_eq!(good("nets/net.resnet", memory(&files)).labels, ["cat", "dog"]);
    let (code, message) = error("nets/net.resnet", &files[..1]);
    assert_eq!((code, &*message), ("E0101", "cannot read nets/names/classes.txt: no such file"));
}

#[test]
fn weights_are_named_relative_to_their_file() {
    let net = "resnet 1\nnetwork net {\n  input 4\n  linear 2\n  weights \"../w.npz\"\n  train {\n    epochs 1\n    from \"start.npz\"\n  }\n}\n";
    let net = good("nets/net.resnet", memory(&[("nets/net.resnet", net)]));
    assert_eq!(net.weights.unwrap().0, Path::new("nets/../w.npz"));
    assert_eq!(net.recipe.unwrap().from.unwrap().path, Path::new("nets/start.npz"));
}

#[test]
fn an_unsaved_buffer_shadows_the_file_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    std::fs::create_dir_all(path("nets")).unwrap();
    std::fs::create_dir_all(path("lib")).unwrap();
    for (name, text) in [("nets/net.resnet", NET), ("lib/blocks.resnet", BLOCKS), ("lib/sizes.resnet", SIZES)] {
        std::fs::write(path(name), text).unwrap();
    }
    let root = path("nets/net.resnet").display().to_string();
    assert_eq!(filters(&good(&root, Disk)), [5]);
    let mut files = MemoryFiles::over(Arc::new(Disk));
    files.insert(path("lib/sizes.resnet"), SIZES.replace('5', "7"));
    assert_eq!(filters(&good(&root, files.clone())), [7]);
    files.insert(path("nets/net.resnet"), NET.replace("  unit\n", "  unit\n  unit\n"));
    assert_eq!(filters(&good(&root, files)), [7, 7]);
}
