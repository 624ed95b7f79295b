//! Opens weight files, whose format is detected from the contents, and binds them to a network's parameters.

use std::collections::BTreeMap;
use std::path::Path;

use super::expected::{self, Expected};
use super::mismatch::{self, MismatchReport};
use super::tensors::{Tensors, Unread, WeightsError};
use super::{sharded, single};
use crate::base::mmap::Bytes;
use crate::base::tensor::Tensor;
use crate::ir::Checked;
use crate::runtime::ParamStore;

/// Opens a weight file: safetensors, PyTorch's `.pth` (zip or legacy), NumPy's `.npz`, or the index of several files.
pub fn open(path: &Path) -> Result<Tensors, WeightsError> {
    let bytes = Bytes::map(path).map_err(|source| WeightsError::Io { what: "read", path: path.to_owned(), source })?;
    if single::is_index(&bytes) { sharded::read(path, &bytes) } else { single::read(path, &bytes) }
}

/// Binds the parameters of a network to the tensors of a weight file by name.
///
/// `checked` is the network before passes, which derive parameters. A prefix of all names (`module.` from DataParallel, `_orig_mod.` from
/// torch.compile, …) is removed if more names match the network without it. PyTorch's counters (`num_batches_tracked`, `n_averaged`) are
/// ignored. Everything else must match: all differences are reported at once.
pub fn bind(checked: &Checked, tensors: &Tensors) -> Result<ParamStore, MismatchReport> {
    let expected = expected::expected(checked);
    let Stripped { given, unread } = stripped(&expected, tensors);
    let report = mismatch::report(checked, &expected, &given, &unread, tensors.path());
    if !report.diagnostics.is_empty() {
        return Err(report);
    }
    let bound = |(name, needs): (&&str, &Expected<'_>)| Some(((*name).to_owned(), given.get(*name)?.with_sizes(needs.shape)?));
    Ok(expected.iter().filter_map(bound).collect())
}

/// The tensors of a file by a network's names, even if some are missing: like [`bind`], without wrapper prefixes, counters and optimizer
/// state.
pub fn by_name<'a>(checked: &Checked, tensors: &'a Tensors) -> BTreeMap<&'a str, &'a Tensor> {
    stripped(&expected::expected(checked), tensors).given
}

/// The prefix of optimizer state in training checkpoints, before the dot. If the names of a layer have the same prefix, underscores are added
/// until none does.
const OPTIMIZER: &str = "optimizer";

/// A prefix for optimizer state that no parameter's name begins with.
pub fn optimizer_prefix<'n>(parameters: impl Iterator<Item = &'n str> + Clone) -> String {
    let mut prefix = format!("{OPTIMIZER}.");
    while parameters.clone().any(|name| name.starts_with(&prefix)) {
        prefix.insert(prefix.len() - 1, '_');
    }
    prefix
}

/// The parameter whose optimizer state has this name, if it is optimizer state.
fn optimized(name: &str) -> Option<&str> {
    name.strip_prefix(OPTIMIZER)?.trim_start_matches('_').strip_prefix('.')
}

/// Prefixes that wrappers add to all names.
const PREFIXES: [&str; 5] = ["module.", "_orig_mod.", "model.", "state_dict.", "net."];

/// The contents of a file, by names without wrapper prefixes.
struct Stripped<'a> {
    given: BTreeMap<&'a str, &'a Tensor>,
    unread: BTreeMap<&'a str, &'a Unread>,
}

fn stripped<'a>(expected: &BTreeMap<&str, Expected<'_>>, tensors: &'a Tensors) -> Stripped<'a> {
    let is_counter = |name: &str| matches!(name.rsplit('.').next(), Some("num_batches_tracked" | "n_averaged"));
    // a training checkpoint also contains optimizer state: a tensor of the same shape for each trainable parameter
    let is_state = |name: &str, tensor: &Tensor| {
        !expected.contains_key(name)
            && optimized(name).and_then(|of| tensors.get(of)).is_some_and(|of| of.shape() == tensor.shape())
    };
    let mut given: BTreeMap<&str, &Tensor> =
        tensors.iter().filter(|(name, tensor)| !is_counter(name) && !is_state(name, tensor)).collect();
    let mut unread: BTreeMap<&str, &Unread> = tensors.unread().collect();
    // remove the number of prefixes for which most names match the network; if no name ever matches, remove all prefixes, for a readable
    // report
    let common = |names: &[&str]| names.iter().filter(|name| expected.contains_key(**name)).count();
    let numbers = unread.iter().filter(|(_, unread)| unread.is_tensor).map(|(name, _)| *name);
    let mut names: Vec<&str> = given.keys().copied().chain(numbers).collect();
    let first = names.first().copied().unwrap_or_default();
    let (mut dropped, mut best, mut len) = (0, common(&names), 0);
    while let Some(prefix) = PREFIXES.iter().find(|prefix| !names.is_empty() && names.iter().all(|n| n.starts_with(**prefix))) {
        len += prefix.len();
        names = names.iter().map(|name| &name[prefix.len()..]).collect();
        let found = common(&names);
        if found > best || best == 0 {
            (dropped, best) = (len, found);
        }
    }
    if dropped > 0 {
        let prefix = &first[..dropped];
        given = given.into_iter().map(|(name, tensor)| (&name[dropped..], tensor)).collect();
        unread = unread.into_iter().map(|(name, unread)| (name.strip_prefix(prefix).unwrap_or(name), unread)).collect();
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
