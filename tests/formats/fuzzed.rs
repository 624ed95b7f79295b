//! Files at random: what the fuzz targets check, for a few seconds, on files that a generator chooses and on altered ones.

#![cfg(feature = "cli")]

use std::path::Path;

use crate::common::Rng;
use crate::layer_lists::{altered, fixture};
use crate::{any_image, any_onnx, any_weights};

/// Bytes that decide what is made of them.
fn at_random(seed: u64, most: usize) -> Vec<u8> {
    let mut rng = Rng(seed);
    (0..rng.range(0, most)).map(|_| rng.next() as u8).collect()
}

/// Altered copies of the files of a folder of `tests/fixtures/` with these endings.
fn altered_files(folder: &str, endings: &[&str], count: u64, check: fn(&[u8])) {
    let entries = std::fs::read_dir(fixture(folder)).unwrap().map(|entry| entry.unwrap().path());
    let is_wanted = |path: &Path| path.is_file() && endings.iter().any(|ending| path.to_str().unwrap().ends_with(ending));
    let mut files: Vec<_> = entries.filter(|path| is_wanted(path)).collect();
    files.sort();
    assert!(!files.is_empty());
    for file in files {
        let bytes = std::fs::read(&file).unwrap();
        check(&bytes);
        altered(&bytes, count).for_each(|copy| check(&copy));
    }
}

#[test]
fn onnx_files() {
    altered_files("onnx", &[".onnx"], 10, any_onnx::check_any);
    let returned = (0..150).filter(|&seed| any_onnx::chosen(&at_random(seed, 120))).count();
    assert!(returned > 30, "only {returned} files came back");
}

#[test]
fn pytorch_files() {
    altered_files("", &[".pth"], 40, any_weights::pth);
    altered_files("checkpoints", &["r", "h", "t"], 40, any_weights::pth);
    (0..3000).for_each(|seed| any_weights::pth(&at_random(seed, 40)));
}

#[test]
fn safetensors_files() {
    altered_files("", &[".safetensors"], 100, any_weights::safetensors);
    let header = br#"{"a":{"dtype":"F32","shape":[3,4],"data_offsets":[0,48]},"__metadata__":{"b":"c"}}"#;
    any_weights::safetensors(header);
    altered(header, 2000).for_each(|copy| any_weights::safetensors(&copy));
}

#[test]
fn numpy_files() {
    altered_files("", &[".npy"], 200, any_weights::npy);
    let header = b"{'descr': '<f4', 'fortran_order': True, 'shape': (3, 4), }";
    any_weights::npy(header);
    altered(header, 2000).for_each(|copy| any_weights::npy(&copy));
}

#[test]
fn png_files() {
    altered_files("images", &[".png"], 30, any_image::png);
    (0..3000).for_each(|seed| any_image::png(&at_random(seed, 2000)));
}

#[test]
fn jpeg_files() {
    altered_files("images", &[".jpg"], 60, any_image::jpeg);
    (0..3000).for_each(|seed| any_image::jpeg(&at_random(seed, 1000)));
}
