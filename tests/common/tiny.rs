//! A network that trains in a second, with its data.

#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::path::{Path, PathBuf};

use resnetc::internal::base::tensor::Tensor;
use resnetc::internal::formats::weights;

/// Number of classes.
pub const CLASSES: usize = 4;
/// Number of samples in the training split.
pub const SAMPLES: usize = 96;

/// Two blocks, for gray images of 8 x 8 pixels.
pub const TINY: &str = "resnet 1
use std.blocks: basic

network tiny(classes = 4) {
  input 1 x 8 x 8
  preprocess { channels: gray, mean: [0.5], std: [0.25] }
  stem {
    conv 3x3, filters: 16
    batchnorm
    relu
  }
  shortcut: projection
  stage layer1: 1 of basic { filters: 16 }
  stage layer2: 1 of basic { filters: double, map: halve }
  head {
    avgpool global
    dropout 0.1
    linear classes as fc
  }
  train {
    optimizer sgd { lr: 0.05, momentum: 0.9, weight_decay: 1e-4 }
    batch 16
    epochs 20
    schedule cosine
    augment { pad: 1, crop: 8, cutout: 2 }
    checkpoint 3 steps
    validate 5 epochs
    seed 3
  }
}
";

/// A network without batch norms, for normalized samples.
pub const PLAIN: &str = "resnet 1

network plain(classes = 4) {
  input 1 x 8 x 8
  conv 3x3, filters: 8, stride: 2, bias: true
  relu
  avgpool global
  linear classes as fc
  train {
    optimizer sgd { lr: 0.1, momentum: 0.9, weight_decay: 0.001 }
    batch 16
    steps 6
  }
}
";

/// An image whose class is its bright quadrant, with noise.
pub fn picture(class: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut noise = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 57) as u8
    };
    let bright = |i: usize| (i / 8 / 4 * 2 + i % 8 / 4) == class;
    (0..64).map(|i| noise() / 2 + if bright(i) { 120 } else { 60 }).collect()
}

/// An IDX file.
pub fn idx(sizes: &[u32], data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, sizes.len() as u8];
    bytes.extend(sizes.iter().flat_map(|s| s.to_be_bytes()));
    bytes.extend_from_slice(data);
    bytes
}

/// Writes training and test splits as IDX files to a folder.
pub fn write_idx(folder: &Path) {
    std::fs::create_dir_all(folder).unwrap();
    for (name, count, seed) in [("train", SAMPLES, 1), ("t10k", 32, 10_000)] {
        let labels: Vec<u8> = (0..count).map(|i| (i * 7 % CLASSES) as u8).collect();
        let images: Vec<u8> = labels.iter().enumerate().flat_map(|(i, &l)| picture(l.into(), seed + i as u64)).collect();
        std::fs::write(folder.join(format!("{name}-images-idx3-ubyte")), idx(&[count as u32, 8, 8], &images)).unwrap();
        std::fs::write(folder.join(format!("{name}-labels-idx1-ubyte")), idx(&[count as u32], &labels)).unwrap();
    }
}

/// A `.npy` file.
pub fn npy(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let mut dict = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
    dict.push_str(&" ".repeat((64 - (dict.len() + 11) % 64) % 64));
    dict.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend_from_slice(&(dict.len() as u16).to_le_bytes());
    bytes.extend_from_slice(dict.as_bytes());
    bytes.extend_from_slice(data);
    bytes
}

/// Writes normalized samples and their labels to a folder, and returns the argument for `--data`: `X.npy,Y.npy`.
pub fn write_npy(folder: &Path, count: usize) -> String {
    let value = |p: u8| (f32::from(p) / 255.0 - 0.4) * 4.0;
    let samples: Vec<u8> = (0..count).flat_map(|i| picture(i % CLASSES, i as u64)).flat_map(|p| value(p).to_le_bytes()).collect();
    let labels: Vec<u8> = (0..count).map(|i| (i % CLASSES) as u8).collect();
    let (x, y) = (folder.join("x.npy"), folder.join("y.npy"));
    std::fs::write(&x, npy("<f4", &format!("({count}, 1, 8, 8)"), &samples)).unwrap();
    std::fs::write(&y, npy("|u1", &format!("({count},)"), &labels)).unwrap();
    format!("{},{}", x.display(), y.display())
}

/// A folder with `tiny.resnet`, `plain.resnet` and `data/`.
pub struct Place {
    pub dir: tempfile::TempDir,
}

impl Place {
    pub fn new() -> Place {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("tiny.resnet"), TINY).unwrap();
        std::fs::write(dir.path().join("plain.resnet"), PLAIN).unwrap();
        write_idx(&dir.path().join("data"));
        Place { dir }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn arg(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// `train tiny.resnet --data data -o NAME --threads 2`, and further arguments.
    pub fn train(&self, name: &str, more: &[&str]) -> Vec<String> {
        let mut args: Vec<String> =
            ["train", &self.arg("tiny.resnet"), "--data", &self.arg("data"), "-o", &self.arg(name)].map(str::to_owned).to_vec();
        args.extend(["--threads", "2"].into_iter().chain(more.iter().copied()).map(str::to_owned));
        args
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }
}

/// A file's tensors by name.
pub fn tensors(path: &Path) -> Vec<(String, Tensor)> {
    let mut list: Vec<(String, Tensor)> =
        weights::open(path).unwrap().iter().map(|(name, tensor)| (name.to_owned(), tensor.clone())).collect();
    list.sort_by(|a, b| a.0.cmp(&b.0));
    list
}

/// One of a file's tensors.
pub fn tensor(path: &Path, name: &str) -> Vec<f32> {
    weights::open(path).unwrap().get(name).unwrap_or_else(|| panic!("no {name}")).to_f32().into_owned()
}
