//! The weight file of a folder: of a run, of a snapshot from Hugging Face's hub, or of a DeepSpeed checkpoint.

use std::io::Read;
use std::path::{Component, Path, PathBuf};

use super::name_list::listed;
use super::parts;
use super::tensors::WeightsError;

/// The names of weight files, most specific first: those of a run (its last checkpoint, if it has not ended), then those that Hugging Face's
/// libraries write.
const NAMES: [&str; 6] = [
    "weights.safetensors",
    "checkpoint.safetensors",
    "model.safetensors.index.json",
    "model.safetensors",
    "pytorch_model.bin.index.json",
    "pytorch_model.bin",
];

/// What the names of other weight files end in.
const ENDINGS: [&str; 8] = ["safetensors", "pth", "pt", "th", "bin", "ckpt", "tar", "npz"];

/// DeepSpeed's file of weights, in the folder that the file `latest` names.
const DEEPSPEED: &str = "mp_rank_00_model_states.pt";

/// The longest reference to another folder, in bytes.
const MAX_REFERENCE: u64 = 200;

/// The weight file of a folder.
pub(super) fn weights_in(folder: &Path) -> Result<PathBuf, WeightsError> {
    let inner = current(folder);
    let folder = inner.as_deref().unwrap_or(folder);
    if let Some(file) = NAMES.iter().chain([&DEEPSPEED]).map(|name| folder.join(name)).find(|file| file.is_file()) {
        return Ok(file);
    }
    let wrong = |reason| WeightsError::Unsupported { path: folder.to_owned(), reason };
    if let Some(advice) = parts::advice(folder) {
        return Err(wrong(advice));
    }
    let entries = std::fs::read_dir(folder);
    let entries = entries.map_err(|source| WeightsError::Io { what: "read", path: folder.to_owned(), source })?;
    let is_weights = |path: &PathBuf| {
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        ENDINGS.contains(&ending.to_ascii_lowercase().as_str()) && path.is_file()
    };
    let mut files: Vec<PathBuf> = entries.filter_map(Result::ok).map(|entry| entry.path()).filter(is_weights).collect();
    files.sort();
    match &files[..] {
        [only] => Ok(only.clone()),
        [] => Err(wrong(format!("is a folder without weights: it should have a file such as {}", listed(&NAMES[..4])))),
        several => {
            let names: Vec<_> = several.iter().filter_map(|path| path.file_name()).map(|name| name.to_string_lossy()).collect();
            Err(wrong(format!("is a folder with several weight files: name one of {}", listed(&names))))
        }
    }
}

/// The folder that another refers to: the snapshot of a repository in the cache of Hugging Face's hub, the last step of a DeepSpeed run.
fn current(folder: &Path) -> Option<PathBuf> {
    let snapshot = || Some(folder.join("snapshots").join(reference(&folder.join("refs/main"))?));
    let step = || Some(folder.join(reference(&folder.join("latest"))?));
    snapshot()
        .filter(|inner| inner.is_dir())
        .or_else(|| step().filter(|inner| inner.join(DEEPSPEED).is_file() || parts::advice(inner).is_some()))
}

/// The name of a folder in a file.
fn reference(file: &Path) -> Option<String> {
    let mut text = String::new();
    std::fs::File::open(file).ok()?.take(MAX_REFERENCE).read_to_string(&mut text).ok()?;
    let name = text.trim();
    let mut parts = Path::new(name).components();
    let is_name = matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None));
    is_name.then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn make(folder: &Path, files: &[&str]) {
        for name in files {
            let file = folder.join(name);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, "").unwrap();
        }
    }

    #[test]
    fn the_weights_of_a_folder_are_found() {
        for (files, expected) in [
            (&["run.json", "train.jsonl", "checkpoint.safetensors", "weights.safetensors"][..], "weights.safetensors"),
            (&["run.json", "checkpoint.safetensors"], "checkpoint.safetensors"),
            (&["config.json", "model.safetensors", "pytorch_model.bin"], "model.safetensors"),
            (&["config.json", "pytorch_model.bin"], "pytorch_model.bin"),
            (
                &["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "model.safetensors.index.json"],
                "model.safetensors.index.json",
            ),
            (&["args.yaml", "model_best.pth.tar"], "model_best.pth.tar"),
            (&["epoch=3-step=40.ckpt"], "epoch=3-step=40.ckpt"),
        ] {
            let dir = tempfile::tempdir().unwrap();
            make(dir.path(), files);
            assert_eq!(weights_in(dir.path()).unwrap(), dir.path().join(expected));
        }
    }

    #[test]
    fn a_folder_may_refer_to_another() {
        let dir = tempfile::tempdir().unwrap();
        make(
            dir.path(),
            &["hub/snapshots/4e51/model.safetensors", "hub/refs/main", "ds/global_step7/mp_rank_00_model_states.pt"],
        );
        std::fs::write(dir.path().join("hub/refs/main"), "4e51").unwrap();
        assert_eq!(weights_in(&dir.path().join("hub")).unwrap(), dir.path().join("hub/snapshots/4e51/model.safetensors"));
        std::fs::write(dir.path().join("ds/latest"), "global_step7\n").unwrap();
        assert_eq!(weights_in(&dir.path().join("ds")).unwrap(), dir.path().join("ds/global_step7").join(DEEPSPEED));
        for outside in ["../ds", "/etc", "..", ""] {
            std::fs::write(dir.path().join("hub/refs/main"), outside).unwrap();
            assert!(weights_in(&dir.path().join("hub")).is_err(), "{outside}");
        }
    }

    #[test]
    fn a_folder_without_one_weight_file_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let message = || weights_in(dir.path()).unwrap_err().to_string();
        assert!(message().contains("is a folder without weights"), "{}", message());
        make(dir.path(), &["b.pth", "a.pth", "notes.txt"]);
        assert!(message().contains("name one of `a.pth`, `b.pth`"), "{}", message());
    }
}
