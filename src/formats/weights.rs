//! Opens weight files, whose format is detected from the contents, and binds them to a network's parameters.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::contents::contents;
use super::differing::Differing;
use super::expected::{self, Expected};
use super::location::{Location, locate};
use super::mismatch::{self, MismatchReport};
use super::name_list::listed;
pub use super::optimizer_state::optimizer_prefix;
use super::tensors::{Tensors, WeightsError};
use super::{by_order, parts, sharded, single};
use crate::base::mmap::Bytes;
use crate::base::tensor::Tensor;
use crate::ir::Checked;
use crate::runtime::ParamStore;

/// Opens weights: safetensors, PyTorch's `.pth` (zip or legacy), NumPy's `.npz`, or the index of several files. The path may be that of a
/// folder that has them, and may end in `#` and a part of the file: the key of a state dict, or a prefix of names.
pub fn open(path: &Path) -> Result<Tensors, WeightsError> {
    let Location { file, part, is_folder } = locate(path)?;
    if let Some(reason) = parts::advice(&file) {
        return Err(WeightsError::Unsupported { path: file, reason });
    }
    let bytes = Bytes::map(&file).map_err(|source| WeightsError::Io { what: "read", path: file.clone(), source })?;
    let tensors =
        if single::is_index(&bytes) { sharded::read(&file, &bytes)? } else { single::read(&file, &bytes, part.as_deref())? };
    let tensors = match part {
        Some(part) => only(tensors, &part)?.at(path),
        None => with_choice(tensors),
    };
    Ok(if is_folder { tensors.with_note(format!("the weights are those in `{}`", file.display())) } else { tensors })
}

/// Checks that the file that [`open`] reads exists.
pub fn check_exists(path: &Path) -> Result<(), WeightsError> {
    let file = locate(path)?.file;
    std::fs::metadata(&file).map(drop).map_err(|source| WeightsError::Io { what: "read", path: file, source })
}

/// The file that [`open`] reads.
pub fn file(path: &Path) -> PathBuf {
    locate(path).map_or_else(|_| path.to_owned(), |location| location.file)
}

/// The tensors of a part of a file.
fn only(tensors: Tensors, part: &str) -> Result<Tensors, WeightsError> {
    if tensors.state_dicts().is_part {
        return Ok(tensors);
    }
    let prefix = format!("{part}.");
    if tensors.iter().any(|(name, _)| name.starts_with(&prefix)) {
        return Ok(tensors.under(&prefix));
    }
    let dicts = tensors.state_dicts();
    let dicts: Vec<&str> = dicts.others.iter().chain([&dicts.taken]).map(String::as_str).filter(|key| !key.is_empty()).collect();
    let prefixes: BTreeSet<&str> = tensors.iter().filter_map(|(name, _)| Some(name.split_once('.')?.0)).collect();
    let prefixes: Vec<&str> = prefixes.into_iter().collect();
    let has = match (&dicts[..], &prefixes[..]) {
        ([], []) => "its names have no dots".to_owned(),
        ([], names) => format!("its names begin with {}", listed(names)),
        (dicts, names) => format!(
            "it has the state dicts {}, and the names in the one that is read begin with {}",
            listed(dicts),
            listed(names)
        ),
    };
    Err(WeightsError::Unsupported {
        path: tensors.path().to_owned(),
        reason: format!("has no state dict and no names under `{}`: {has}", part.escape_debug()),
    })
}

/// Notes which state dict was taken if there are others, or if it is under an unusual key.
fn with_choice(tensors: Tensors) -> Tensors {
    let dicts = tensors.state_dicts();
    let file = tensors.path().display();
    let place = match dicts.taken.as_str() {
        "" => "at the top level".to_owned(),
        keys => format!("under `{}`", keys.escape_debug()),
    };
    let note = match &dicts.others[..] {
        [] if dicts.is_usual || dicts.taken.is_empty() => return tensors,
        [] => format!("the weights are those {place} in `{file}`"),
        others @ [other, ..] => {
            format!(
                "the weights are those {place} in `{file}`, which also has {}: `{file}#{}`",
                listed(others),
                other.escape_debug()
            )
        }
    };
    tensors.with_note(note)
}

/// The parameters of a network, and the choices made in binding them, for users.
pub struct Bound {
    /// The parameters.
    pub params: ParamStore,
    /// Sentences without a period.
    pub notes: Vec<String>,
}

/// Binds the parameters of a network to the tensors of a weight file by name.
///
/// `checked` is the network before passes, which derive parameters. The prefix of a wrapper (`module.` from DataParallel, `backbone.`, …) is
/// dropped if more names match the network without it. PyTorch's counters (`num_batches_tracked`, `n_averaged`) are ignored. Everything
/// else must match: all differences are reported at once.
pub fn bind(checked: &Checked, tensors: &Tensors) -> Result<ParamStore, MismatchReport> {
    bind_noting(checked, tensors).map(|bound| bound.params)
}

/// Like [`bind`], with the choices that were made.
pub fn bind_noting(checked: &Checked, tensors: &Tensors) -> Result<Bound, MismatchReport> {
    let expected = expected::expected(checked);
    let found = contents(&expected, tensors);
    let report = mismatch::report(checked, &expected, &found, tensors);
    if !report.diagnostics.is_empty() {
        return Err(report);
    }
    let bound =
        |(name, needs): (&&str, &Expected<'_>)| Some(((*name).to_owned(), found.given.get(*name)?.with_sizes(needs.shape)?));
    let notes = tensors.notes().iter().cloned().chain(found.note()).collect();
    Ok(Bound { params: expected.iter().filter_map(bound).collect(), notes })
}

/// The `--rename` options with which the layers that a file lacks are those that it has under other names, if their order and sizes fit.
/// `needs` says which tensors are wanted.
pub fn renames_by_order(checked: &Checked, tensors: &Tensors, needs: impl Fn(&str) -> bool) -> Option<String> {
    let expected = expected::expected(checked);
    let found = contents(&expected, tensors);
    let mut differing = Differing::new(checked, &expected, &found, tensors);
    differing.missing.retain(|name| needs(name));
    by_order::renames(&differing).map(|renames| renames.options())
}

/// The tensors of a file by a network's names, even if some are missing: like [`bind`], without wrapper prefixes, counters and optimizer
/// state.
pub fn by_name<'a>(checked: &Checked, tensors: &'a Tensors) -> BTreeMap<&'a str, &'a Tensor> {
    let mut found = contents(&expected::expected(checked), tensors);
    found.given.extend(found.beside.iter().filter_map(|name| Some((*name, tensors.get(name)?))));
    found.given
}

#[cfg(test)]
mod tests {
    use super::super::tensors::Unread;
    use super::*;
    use crate::driver::Frontend;

    fn checked(body: &str) -> Checked {
        let mut front = Frontend::text("test", &format!("resnet 1\nnetwork net {{\n  input 2 x 4 x 4\n{body}\n}}\n"));
        let Some(checked) = front.check("net", &[]) else { panic!("{:?}", front.diagnostics) };
        checked
    }

    fn file(names: &[&str]) -> Tensors {
        let tensor = Tensor::from_f32(vec![2, 2, 1, 1], vec![0.5; 4]).unwrap();
        Tensors::new("w", names.iter().map(|name| ((*name).to_owned(), tensor.clone())))
    }

    /// The names of the bound parameters, or the message.
    fn bound(checked: &Checked, tensors: &Tensors) -> Result<Vec<String>, String> {
        let params = bind(checked, tensors).map_err(|report| report.to_string())?;
        Ok(params.iter().map(|(name, _)| name.to_owned()).collect())
    }

    #[test]
    fn layers_named_optimizer_keep_their_weights() {
        let one = checked("conv 1x1, filters: 2 as conv\nconv 1x1, filters: 2 as optimizer");
        assert_eq!(bound(&one, &file(&["conv.weight", "optimizer.weight"])).unwrap(), ["conv.weight", "optimizer.weight"]);
        // a training checkpoint with a velocity for each weight
        let trained = ["conv.weight", "optimizer.weight", "optimizer_.conv.weight", "optimizer_.optimizer.weight"];
        assert_eq!(bound(&one, &file(&trained)).unwrap(), ["conv.weight", "optimizer.weight"]);
        let plain = checked("conv 1x1, filters: 2 as conv");
        assert_eq!(bound(&plain, &file(&["conv.weight", "optimizer.conv.weight"])).unwrap(), ["conv.weight"]);
        // a tensor that is not the state of a weight is unused
        assert!(bound(&plain, &file(&["conv.weight", "optimizer.weight"])).unwrap_err().contains("`optimizer.weight`"));
        // a scope named `optimizer`
        let scope = checked("conv 1x1, filters: 2 as conv\nscope optimizer { conv 1x1, filters: 2 as conv }");
        let names = ["conv.weight", "optimizer.conv.weight"];
        assert_eq!(bound(&scope, &file(&names)).unwrap(), names);
        assert_eq!(optimizer_prefix(names.into_iter()), "optimizer_.");
        assert_eq!(optimizer_prefix(["optimizer_.a", "optimizer.b"].into_iter()), "optimizer__.");
        assert_eq!(optimizer_prefix(["optimizers.a", "conv"].into_iter()), "optimizer.");
    }

    #[test]
    fn names_with_a_meaning_elsewhere_may_be_layers() {
        for name in ["epoch", "state", "scheduler", "model", "module", "net", "state_dict", "step", "ema", "args"] {
            let net = checked(&format!("conv 1x1, filters: 2 as {name}\nconv 1x1, filters: 2 as other"));
            let names = [format!("{name}.weight"), "other.weight".to_owned()];
            let expected: Vec<&str> = names.iter().map(String::as_str).collect();
            let found = bound(&net, &file(&expected)).unwrap();
            assert!(found.len() == 2 && names.iter().all(|name| found.contains(name)), "{found:?}");
            let only = checked(&format!("conv 1x1, filters: 2 as {name}"));
            assert_eq!(bound(&only, &file(&expected[..1])).unwrap(), names[..1], "{name}");
            let wrapped = format!("module.{name}.weight");
            assert_eq!(bound(&only, &file(&[&wrapped])).unwrap(), names[..1], "{name}");
            // a file without the other layer still has this one
            let message = bound(&net, &file(&expected[..1])).unwrap_err();
            assert!(message.contains("`other.weight`") && !message.contains(&format!("`{name}.weight`")), "{message}");
        }
    }

    #[test]
    fn the_counter_of_an_averaged_model_is_ignored() {
        let net = checked("conv 1x1, filters: 2 as conv");
        for prefix in ["", "module.", "module._orig_mod."] {
            let weight = format!("{prefix}conv.weight");
            assert_eq!(bound(&net, &file(&["n_averaged", &weight])).unwrap(), ["conv.weight"]);
        }
        let message = bound(&net, &file(&["n_averaged", "module.other.weight"])).unwrap_err();
        assert!(message.contains("E0508"), "{message}");
    }

    #[test]
    fn an_unread_tensor_is_an_error_if_it_is_needed() {
        let net = checked("conv 1x1, filters: 2 as conv");
        let with = |given: &[&str], name: &str, is_tensor| {
            let unread = Unread { contents: "complex numbers".to_owned(), is_tensor };
            bound(&net, &file(given).with_unread([(name.to_owned(), unread)]))
        };
        for is_tensor in [true, false] {
            let message = with(&[], "conv.weight", is_tensor).unwrap_err();
            assert!(message.contains("E0509") && message.contains("has complex numbers for weights: `conv.weight`"), "{message}");
            assert!(!message.contains("E0506"), "{message}");
        }
        assert!(with(&[], "module.conv.weight", true).unwrap_err().contains("E0509"));
        assert_eq!(with(&["conv.weight"], "classes", false).unwrap(), ["conv.weight"]);
        assert_eq!(with(&["module.conv.weight"], "classes", false).unwrap(), ["conv.weight"]);
        // unused numbers may mean that a layer is missing
        assert!(with(&["conv.weight"], "other.weight", true).unwrap_err().contains("E0507"));
    }
}
