//! Safetensors in several files, with an index that says where each tensor is: `model.safetensors.index.json`, as Hugging Face's
//! libraries write it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path};

use serde::Deserialize;

use super::safetensors;
use super::tensors::{Tensors, WeightsError};
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
    for file in index.weight_map.values().collect::<BTreeSet<_>>() {
        let mut parts = Path::new(file).components();
        let (Some(Component::Normal(_)), None) = (parts.next(), parts.next()) else {
            return Err(damaged(format!("it names the file `{}`, and its files stand beside it", file.escape_debug())));
        };
        let shard = path.with_file_name(file);
        let bytes = Bytes::map(&shard).map_err(|source| WeightsError::Io { what: "read", path: shard.clone(), source })?;
        let tensors = safetensors::read(&shard, &bytes)?;
        for name in index.weight_map.iter().filter(|(_, f)| *f == file).map(|(name, _)| name) {
            let tensor = tensors.get(name).ok_or_else(|| {
                damaged(format!("it says that `{}` is in `{}`, which does not have it", name.escape_debug(), file.escape_debug()))
            })?;
            list.push((name.clone(), tensor.clone()));
        }
    }
    Ok(Tensors::new(path, list))
}

#[cfg(test)]
mod tests {
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
            super::super::weights::open(&path)
        };
        let tensors = open(r#"{"a": "one.safetensors", "b": "two.safetensors"}"#).unwrap();
        assert_eq!((tensors.len(), &*tensors.get("b").unwrap().to_f32()), (2, &[2.0f32, 2.0][..]));
        let said = |map: &str| open(map).unwrap_err().to_string();
        assert!(said(r#"{"c": "one.safetensors"}"#).contains("`c` is in `one.safetensors`, which does not have it"));
        assert!(said(r#"{"a": "three.safetensors"}"#).contains("three.safetensors"));
        for outside in ["../one.safetensors", "/etc/passwd", "sub/one.safetensors", "", ".", ".."] {
            assert!(said(&format!(r#"{{"a": "{outside}"}}"#)).contains("stand beside it"), "{outside}");
        }
        assert!(said("3").contains("no index of weights"));
    }
}
