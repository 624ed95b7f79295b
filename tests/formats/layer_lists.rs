//! What the tests of Caffe's and Darknet's networks share.

use std::path::{Path, PathBuf};

use resnetc::internal::formats::npy;

use crate::command::{arg, resnetc};
use crate::common::{Rng, distance};

/// A file of `tests/fixtures/`.
pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// Imports `NAME.FORMAT` with `NAME.WEIGHTS`, runs the result on `NAME.x.npy`, and compares it with `NAME.y.npy`. Returns the source.
pub fn agrees(name: &str, format: &str, weights: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let at = |file: &str| folder.path().join(file);
    let of = |end: &str| fixture(&format!("{name}.{end}"));
    let (source, tensors, y) = (at("net.resnet"), at("net.safetensors"), at("y.npy"));
    let given = [of(format), of(weights), of("x.npy")];
    resnetc(&["import", arg(&given[0]), "--weights", arg(&given[1]), "-o", arg(&source), "--weights-out", arg(&tensors)]).fine();
    resnetc(&["check", arg(&source)]).fine();
    resnetc(&["run", arg(&source), "--input", arg(&given[2]), "--output", arg(&y)]).fine();
    let (ours, theirs) = (npy::read(&y).unwrap(), npy::read(&of("y.npy")).unwrap());
    let ours = ours.into_shape_with_order(theirs.shape()).unwrap();
    let far = distance(&ours, &theirs);
    assert!(far < 1e-5, "{name}: {far:e}");
    std::fs::read_to_string(source).unwrap()
}

/// Copies of the bytes with a few changes, in a fixed order: bytes replaced, removed, repeated, and pieces of them exchanged.
pub fn altered(bytes: &[u8], count: u64) -> impl Iterator<Item = Vec<u8>> {
    (0..count).map(move |seed| {
        let (mut rng, mut copy) = (Rng(seed), bytes.to_vec());
        for _ in 0..rng.range(1, 4) {
            let last = copy.len().max(1) - 1;
            let (a, b) = (rng.range(0, last), rng.range(0, last));
            let (from, to) = (a.min(b), a.max(b).min(a.min(b) + 40));
            match rng.range(0, 4) {
                0 => copy.truncate(to),
                1 => drop(copy.drain(from..to)),
                2 => copy.extend_from_within(from..to),
                3 => copy[from..to].reverse(),
                _ => copy[from..=from].fill(rng.one_of(b"0129-{}[]<>:=,#\"\n \x00\xff")),
            }
            if copy.is_empty() {
                break;
            }
        }
        copy
    })
}
