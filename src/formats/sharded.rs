//! Weights in several files, with an index that maps each tensor to its file: `model.safetensors.index.json` or
//! `pytorch_model.bin.index.json`, as written by Hugging Face's libraries. The format of each file is detected from its contents.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path};

use serde::Deserialize;

use super::single;
use super::tensors::{Tensors, Unread, WeightsError};
use crate::base::mmap::Bytes;
use crate::base::tensor::Tensor;

/// The largest index that is read, in bytes.
const MAX_INDEX: usize = 64 << 20;

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// Reads the tensors in an index, from the files next to it.
pub fn read(path: &Path, bytes: &Bytes) -> Result<Tensors, WeightsError> {
    let damaged = |reason: String| WeightsError::Damaged { path: path.to_owned(), reason };
    if bytes.len() > MAX_INDEX {
        let reason = format!("has {} bytes; the limit for an index is {MAX_INDEX}", bytes.len());
        return Err(WeightsError::Unsupported { path: path.to_owned(), reason });
    }
    let index: Index = serde_json::from_slice(bytes)
        .map_err(|e| WeightsError::Unsupported { path: path.to_owned(), reason: format!("is not an index of weights ({e})") })?;
    let mut list: Vec<(String, Tensor)> = Vec::with_capacity(index.weight_map.len());
    let mut skipped = Vec::new();
    for file in index.weight_map.values().collect::<BTreeSet<_>>() {
        let mut parts = Path::new(file).components();
        let (Some(Component::Normal(_)), None) = (parts.next(), parts.next()) else {
            return Err(damaged(format!(
                "it lists the file `{}`, but its files must be in the same folder",
                file.escape_debug()
            )));
        };
        let shard = path.with_file_name(file);
        if !shard.exists() {
            let reason =
                format!("lists the file `{}`, which is not in the same folder: all of its files are needed", file.escape_debug());
            return Err(WeightsError::Unsupported { path: path.to_owned(), reason });
        }
        let bytes = Bytes::map(&shard).map_err(|source| WeightsError::Io { what: "read", path: shard.clone(), source })?;
        let tensors = single::read(&shard, &bytes, None)?;
        let unread: BTreeMap<&str, &Unread> = tensors.unread().collect();
        for name in index.weight_map.iter().filter(|(_, f)| *f == file).map(|(name, _)| name) {
            if let Some(&tensor) = unread.get(name.as_str()) {
                skipped.push((name.clone(), tensor.clone()));
                continue;
            }
            let tensor = tensors.get(name).ok_or_else(|| {
                damaged(format!("it lists `{}` in `{}`, which does not contain it", name.escape_debug(), file.escape_debug()))
            })?;
            list.push((name.clone(), tensor.clone()));
        }
    }
    Ok(Tensors::new(path, list).with_unread(skipped))
}

#[cfg(test)]
mod tests {
    use super::super::{safetensors, weights};
    use super::*;

    #[test]
    fn tensors_are_read_from_the_files_in_the_index() {
        let dir = tempfile::tempdir().unwrap();
        let tensor = |v: f32| Tensor::from_f32(vec![2], vec![v; 2]).unwrap();
        let (a, b) = (tensor(1.0), tensor(2.0));
        safetensors::write(&dir.path().join("one.safetensors"), [("a", &a), ("unlisted", &b)]).unwrap();
        safetensors::write(&dir.path().join("two.safetensors"), [("b", &b)]).unwrap();
        let path = dir.path().join("model.safetensors.index.json");
        let open = |map: &str| {
            std::fs::write(&path, format!(r#"{{"metadata": {{"total_size": 16}}, "weight_map": {map}}}"#)).unwrap();
            weights::open(&path)
        };
        let tensors = open(r#"{"a": "one.safetensors", "b": "two.safetensors"}"#).unwrap();
        assert_eq!((tensors.len(), &*tensors.get("b").unwrap().to_f32()), (2, &[2.0f32, 2.0][..]));
        let message = |map: &str| open(map).unwrap_err().to_string();
        assert!(message(r#"{"c": "one.safetensors"}"#).contains("`c` in `one.safetensors`, which does not contain it"));
        assert!(message(r#"{"a": "three.safetensors"}"#).contains("`three.safetensors`, which is not in the same folder"));
        std::fs::write(dir.path().join("nested"), r#"{"weight_map": {}}"#).unwrap();
        assert!(message(r#"{"a": "nested"}"#).contains("is an index of other files"));
        for outside in ["../one.safetensors", "/etc/passwd", "sub/one.safetensors", "", ".", ".."] {
            assert!(message(&format!(r#"{{"a": "{outside}"}}"#)).contains("must be in the same folder"), "{outside}");
        }
        assert!(message("3").contains("not an index of weights"));
    }

    #[test]
    fn an_index_may_list_pytorch_files() {
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
        let message = weights::open(&path).unwrap_err().to_string();
        assert!(message.contains("`pytorch_model-00002-of-00002.bin`, which is not in the same folder"), "{message}");
    }
}
