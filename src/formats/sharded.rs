//! Weights in several files, with an index that says where each tensor is: `model.safetensors.index.json` or
//! `pytorch_model.bin.index.json`, as Hugging Face's libraries write them. The files are read by what they hold.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path};

use serde::Deserialize;

use super::tensors::{Tensors, Unread, WeightsError};
use super::weights;
use crate::base::mmap::Bytes;
use crate::base::tensor::Tensor;

/// The largest index that is read, in bytes.
const MAX_INDEX: usize = 64 << 20;

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// Whether a file might be an index.
pub(super) fn is_index(bytes: &[u8]) -> bool {
    bytes.trim_ascii_start().starts_with(b"{")
}

/// The tensors that an index names, from the files beside it.
pub fn read(path: &Path, bytes: &Bytes) -> Result<Tensors, WeightsError> {
    let damaged = |reason: String| WeightsError::Damaged { path: path.to_owned(), reason };
    if bytes.len() > MAX_INDEX {
        let reason = format!("has {} bytes; an index of at most {MAX_INDEX} is read", bytes.len());
        return Err(WeightsError::Unsupported { path: path.to_owned(), reason });
    }
    let index: Index = serde_json::from_slice(bytes)
        .map_err(|e| WeightsError::Unsupported { path: path.to_owned(), reason: format!("is no index of weights ({e})") })?;
    let mut list: Vec<(String, Tensor)> = Vec::with_capacity(index.weight_map.len());
    let mut passed = Vec::new();
    for file in index.weight_map.values().collect::<BTreeSet<_>>() {
        let mut parts = Path::new(file).components();
        let (Some(Component::Normal(_)), None) = (parts.next(), parts.next()) else {
            return Err(damaged(format!("it names the file `{}`, and its files stand beside it", file.escape_debug())));
        };
        let shard = path.with_file_name(file);
        if !shard.exists() {
            let reason = format!("names the file `{}`, which is not beside it: all of its files are needed", file.escape_debug());
            return Err(WeightsError::Unsupported { path: path.to_owned(), reason });
        }
        let bytes = Bytes::map(&shard).map_err(|source| WeightsError::Io { what: "read", path: shard.clone(), source })?;
        let tensors = weights::read_file(&shard, &bytes)?;
        let unread: BTreeMap<&str, &Unread> = tensors.unread().collect();
        for name in index.weight_map.iter().filter(|(_, f)| *f == file).map(|(name, _)| name) {
            if let Some(&holds) = unread.get(name.as_str()) {
                passed.push((name.clone(), holds.clone()));
                continue;
            }
            let tensor = tensors.get(name).ok_or_else(|| {
                damaged(format!("it says that `{}` is in `{}`, which does not have it", name.escape_debug(), file.escape_debug()))
            })?;
            list.push((name.clone(), tensor.clone()));
        }
    }
    Ok(Tensors::new(path, list).with_unread(passed))
}

#[cfg(test)]
mod tests {
    use super::super::safetensors;
    use super::*;

    #[test]
    fn tensors_come_from_the_files_that_the_index_names() {
        let dir = tempfile::tempdir().unwrap();
        let tensor = |v: f32| Tensor::from_f32(vec![2], vec![v; 2]).unwrap();
        let (a, b) = (tensor(1.0), tensor(2.0));
        safetensors::write(&dir.path().join("one.safetensors"), [("a", &a), ("beside", &b)]).unwrap();
        safetensors::write(&dir.path().join("two.safetensors"), [("b", &b)]).unwrap();
        let path = dir.path().join("model.safetensors.index.json");
        let open = |map: &str| {
            std::fs::write(&path, format!(r#"{{"metadata": {{"total_size": 16}}, "weight_map": {map}}}"#)).unwrap();
            weights::open(&path)
        };
        let tensors = open(r#"{"a": "one.safetensors", "b": "two.safetensors"}"#).unwrap();
        assert_eq!((tensors.len(), &*tensors.get("b").unwrap().to_f32()), (2, &[2.0f32, 2.0][..]));
        let said = |map: &str| open(map).unwrap_err().to_string();
        assert!(said(r#"{"c": "one.safetensors"}"#).contains("`c` is in `one.safetensors`, which does not have it"));
        assert!(said(r#"{"a": "three.safetensors"}"#).contains("`three.safetensors`, which is not beside it"));
        std::fs::write(dir.path().join("nested"), r#"{"weight_map": {}}"#).unwrap();
        assert!(said(r#"{"a": "nested"}"#).contains("is an index of other files"));
        for outside in ["../one.safetensors", "/etc/passwd", "sub/one.safetensors", "", ".", ".."] {
            assert!(said(&format!(r#"{{"a": "{outside}"}}"#)).contains("stand beside it"), "{outside}");
        }
        assert!(said("3").contains("no index of weights"));
    }

    #[test]
    fn files_of_an_index_may_be_pytorchs() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::copy("tests/fixtures/tiny.pth", dir.path().join("pytorch_model-00001-of-00002.bin")).unwrap();
        std::fs::copy("tests/fixtures/views.pth", dir.path().join("pytorch_model-00002-of-00002.bin")).unwrap();
        let path = dir.path().join("pytorch_model.bin.index.json");
        let map = r#"{"conv1.weight": "pytorch_model-00001-of-00002.bin", "sliced": "pytorch_model-00002-of-00002.bin",
                      "complex": "pytorch_model-00002-of-00002.bin"}"#;
        std::fs::write(&path, format!(r#"{{"metadata": {{}}, "weight_map": {map}}}"#)).unwrap();
        let tensors = weights::open(&path).unwrap();
        assert_eq!(tensors.len(), 2);
        assert_eq!(*tensors.get("sliced").unwrap().to_f32(), [8., 9., 10., 14., 15., 16.]);
        assert_eq!(tensors.unread().map(|(name, _)| name).collect::<Vec<_>>(), ["complex"]);
        std::fs::remove_file(dir.path().join("pytorch_model-00002-of-00002.bin")).unwrap();
        let said = weights::open(&path).unwrap_err().to_string();
        assert!(said.contains("`pytorch_model-00002-of-00002.bin`, which is not beside it"), "{said}");
    }
}
