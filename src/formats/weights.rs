//! Weight files: opened by what they hold, not by their name; and bound to a network's parameters.

use std::collections::BTreeMap;
use std::path::Path;

use super::mismatch::{self, MismatchReport, Wanted};
use super::tensors::{Tensors, Unread, WeightsError};
use super::{kind, npz, pth, safetensors, sharded};
use crate::base::mmap::Bytes;
use crate::base::tensor::Tensor;
use crate::ir::Checked;
use crate::runtime::ParamStore;

/// Opens a weight file: safetensors, PyTorch's `.pth` of either form, NumPy's `.npz`, or the index of several of them.
pub fn open(path: &Path) -> Result<Tensors, WeightsError> {
    let bytes = Bytes::map(path).map_err(|source| WeightsError::Io { what: "read", path: path.to_owned(), source })?;
    if is_index(&bytes) { sharded::read(path, &bytes) } else { read_file(path, &bytes) }
}

fn is_index(bytes: &[u8]) -> bool {
    sharded::is_index(bytes) && !safetensors::is_magic(bytes)
}

/// The tensors of one file whose bytes these are; `path` is for messages.
pub(super) fn read_file(path: &Path, bytes: &Bytes) -> Result<Tensors, WeightsError> {
    if pth::is_zip(bytes) {
        return if npz::is_npz(bytes) { npz::read(path, bytes) } else { pth::read(path, bytes) };
    }
    if safetensors::is_magic(bytes) {
        return safetensors::read(path, bytes);
    }
    // asked after safetensors, whose header's length may begin as a pickle does
    if pth::is_legacy(bytes) {
        return pth::read(path, bytes);
    }
    let found = match kind::of(bytes) {
        Some(found) => found,
        None if is_index(bytes) => "is an index of other files, where one of weights is needed",
        None => "is of no known format: weights are read from safetensors, from PyTorch's `.pth` and from NumPy's `.npz`",
    };
    Err(WeightsError::Unknown { path: path.to_owned(), found })
}

/// The values of a network's parameters, taken from a weight file by name.
///
/// `checked` is the network as checked, before passes derive parameters. A prefix that all names of the file share (`module.` of
/// DataParallel, `_orig_mod.` of torch.compile, …) is dropped where that gives more of the network's names; PyTorch's counters
/// (`num_batches_tracked`, `n_averaged`) are ignored. Everything else must agree: what does not is reported all at once.
pub fn bind(checked: &Checked, tensors: &Tensors) -> Result<ParamStore, MismatchReport> {
    let wanted = mismatch::wanted(checked);
    let Stripped { given, unread } = stripped(&wanted, tensors);
    let report = mismatch::report(checked, &wanted, &given, &unread, tensors.path());
    if !report.diagnostics.is_empty() {
        return Err(report);
    }
    Ok(wanted.keys().filter_map(|name| Some(((*name).to_owned(), (*given.get(*name)?).clone()))).collect())
}

/// The tensors of a file by the names that a network has for them, whether it has them all or not: as [`bind`] takes them, without wrappers'
/// prefixes, counters and what is an optimizer's.
pub fn by_name<'a>(checked: &Checked, tensors: &'a Tensors) -> BTreeMap<&'a str, &'a Tensor> {
    stripped(&mismatch::wanted(checked), tensors).given
}

/// What the names of an optimizer's tensors begin with in a checkpoint of training, before the dot. Where a layer's names begin so too,
/// underscores are added until none does.
const OPTIMIZER: &str = "optimizer";

/// What a checkpoint's names of the optimizer's tensors begin with: nothing that a parameter's name begins with.
pub fn optimizer_prefix<'n>(parameters: impl Iterator<Item = &'n str> + Clone) -> String {
    let mut prefix = format!("{OPTIMIZER}.");
    while parameters.clone().any(|name| name.starts_with(&prefix)) {
        prefix.insert(prefix.len() - 1, '_');
    }
    prefix
}

/// The parameter that a tensor of that name is the optimizer's state of, if it is one's.
fn optimized(name: &str) -> Option<&str> {
    name.strip_prefix(OPTIMIZER)?.trim_start_matches('_').strip_prefix('.')
}

/// Prefixes that wrappers put before all names.
const PREFIXES: [&str; 5] = ["module.", "_orig_mod.", "model.", "state_dict.", "net."];

/// What a file holds, by its names without wrappers' prefixes.
struct Stripped<'a> {
    given: BTreeMap<&'a str, &'a Tensor>,
    unread: BTreeMap<&'a str, &'a Unread>,
}

fn stripped<'a>(wanted: &BTreeMap<&str, Wanted<'_>>, tensors: &'a Tensors) -> Stripped<'a> {
    let is_counter = |name: &str| matches!(name.rsplit('.').next(), Some("num_batches_tracked" | "n_averaged"));
    // a checkpoint of training holds the optimizer's state as well: a tensor of the same sizes for each that is trained
    let is_state = |name: &str, tensor: &Tensor| {
        !wanted.contains_key(name)
            && optimized(name).and_then(|of| tensors.get(of)).is_some_and(|of| of.shape() == tensor.shape())
    };
    let mut given: BTreeMap<&str, &Tensor> =
        tensors.iter().filter(|(name, tensor)| !is_counter(name) && !is_state(name, tensor)).collect();
    let mut unread: BTreeMap<&str, &Unread> = tensors.unread().collect();
    // of the names without none, one, two, … prefixes, those that have the most in common with the network's; where none has anything,
    // those without any are what a report should show
    let common = |names: &[&str]| names.iter().filter(|name| wanted.contains_key(**name)).count();
    let numbers = unread.iter().filter(|(_, holds)| holds.is_tensor).map(|(name, _)| *name);
    let mut names: Vec<&str> = given.keys().copied().chain(numbers).collect();
    let first = names.first().copied().unwrap_or_default();
    let (mut dropped, mut most, mut len) = (0, common(&names), 0);
    while let Some(prefix) = PREFIXES.iter().find(|prefix| !names.is_empty() && names.iter().all(|n| n.starts_with(**prefix))) {
        len += prefix.len();
        names = names.iter().map(|name| &name[prefix.len()..]).collect();
        let found = common(&names);
        if found > most || most == 0 {
            (dropped, most) = (len, found);
        }
    }
    if dropped > 0 {
        let prefix = &first[..dropped];
        given = given.into_iter().map(|(name, tensor)| (&name[dropped..], tensor)).collect();
        unread = unread.into_iter().map(|(name, holds)| (name.strip_prefix(prefix).unwrap_or(name), holds)).collect();
    }
    Stripped { given, unread }
}

#[cfg(test)]
mod tests {
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

    /// The names that a network took, or what is said.
    fn bound(checked: &Checked, tensors: &Tensors) -> Result<Vec<String>, String> {
        let params = bind(checked, tensors).map_err(|report| report.to_string())?;
        Ok(params.iter().map(|(name, _)| name.to_owned()).collect())
    }

    #[test]
    fn layers_called_optimizer_keep_their_weights() {
        let one = checked("conv 1x1, filters: 2 as conv\nconv 1x1, filters: 2 as optimizer");
        assert_eq!(bound(&one, &file(&["conv.weight", "optimizer.weight"])).unwrap(), ["conv.weight", "optimizer.weight"]);
        // a checkpoint of training: a velocity for each weight
        let trained = ["conv.weight", "optimizer.weight", "optimizer_.conv.weight", "optimizer_.optimizer.weight"];
        assert_eq!(bound(&one, &file(&trained)).unwrap(), ["conv.weight", "optimizer.weight"]);
        let plain = checked("conv 1x1, filters: 2 as conv");
        assert_eq!(bound(&plain, &file(&["conv.weight", "optimizer.conv.weight"])).unwrap(), ["conv.weight"]);
        // what is no state of a weight is left over
        assert!(bound(&plain, &file(&["conv.weight", "optimizer.weight"])).unwrap_err().contains("`optimizer.weight`"));
        // a layer of the same name inside
        let scope = checked("conv 1x1, filters: 2 as conv\nscope optimizer { conv 1x1, filters: 2 as conv }");
        let names = ["conv.weight", "optimizer.conv.weight"];
        assert_eq!(bound(&scope, &file(&names)).unwrap(), names);
        assert_eq!(optimizer_prefix(names.into_iter()), "optimizer_.");
        assert_eq!(optimizer_prefix(["optimizer_.a", "optimizer.b"].into_iter()), "optimizer__.");
        assert_eq!(optimizer_prefix(["optimizers.a", "conv"].into_iter()), "optimizer.");
    }

    #[test]
    fn names_that_mean_something_elsewhere_are_names_of_layers() {
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
            // one that lacks the other layer still has this one
            let said = bound(&net, &file(&expected[..1])).unwrap_err();
            assert!(said.contains("`other.weight`") && !said.contains(&format!("`{name}.weight`")), "{said}");
        }
    }

    #[test]
    fn an_averaged_models_counter_is_passed_over() {
        let net = checked("conv 1x1, filters: 2 as conv");
        for prefix in ["", "module.", "module._orig_mod."] {
            let weight = format!("{prefix}conv.weight");
            assert_eq!(bound(&net, &file(&["n_averaged", &weight])).unwrap(), ["conv.weight"]);
        }
        let said = bound(&net, &file(&["n_averaged", "module.other.weight"])).unwrap_err();
        assert!(said.contains("E0508"), "{said}");
    }

    #[test]
    fn what_is_not_read_is_an_error_where_it_is_needed() {
        let net = checked("conv 1x1, filters: 2 as conv");
        let with = |given: &[&str], name: &str, is_tensor| {
            let unread = Unread { holds: "complex numbers".to_owned(), is_tensor };
            bound(&net, &file(given).with_unread([(name.to_owned(), unread)]))
        };
        for is_tensor in [true, false] {
            let said = with(&[], "conv.weight", is_tensor).unwrap_err();
            assert!(said.contains("E0509") && said.contains("has complex numbers for weights: `conv.weight`"), "{said}");
            assert!(!said.contains("E0506"), "{said}");
        }
        assert!(with(&[], "module.conv.weight", true).unwrap_err().contains("E0509"));
        assert_eq!(with(&["conv.weight"], "classes", false).unwrap(), ["conv.weight"]);
        assert_eq!(with(&["module.conv.weight"], "classes", false).unwrap(), ["conv.weight"]);
        // numbers without a place may mean that a layer is missing
        assert!(with(&["conv.weight"], "other.weight", true).unwrap_err().contains("E0507"));
    }
}
