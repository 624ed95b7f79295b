//! Weight files: opened by what they hold, not by their name; and bound to a network's parameters.

use std::collections::BTreeMap;
use std::path::Path;

use super::mismatch::{self, MismatchReport, Wanted};
use super::tensors::{Tensors, WeightsError};
use super::{npz, pth, safetensors, sharded};
use crate::base::mmap::Bytes;
use crate::base::tensor::Tensor;
use crate::ir::Checked;
use crate::runtime::ParamStore;

/// Opens a weight file: safetensors, the index of several, PyTorch's `.pth` of either form, or NumPy's `.npz`.
pub fn open(path: &Path) -> Result<Tensors, WeightsError> {
    let bytes = Bytes::map(path).map_err(|source| WeightsError::Io { what: "read", path: path.to_owned(), source })?;
    if pth::is_zip(&bytes) {
        return if npz::is_npz(&bytes) { npz::read(path, &bytes) } else { pth::read(path, &bytes) };
    }
    if safetensors::is_magic(&bytes) {
        return safetensors::read(path, &bytes);
    }
    // asked after safetensors, whose header's length may begin as a pickle does
    if pth::is_legacy(&bytes) {
        return pth::read(path, &bytes);
    }
    if sharded::is_index(&bytes) {
        return sharded::read(path, &bytes);
    }
    let found = match &bytes[..] {
        [] => "is empty",
        [0x89, b'H', b'D', b'F', ..] => "is an HDF5 file (Keras?)",
        [0x08, _, 0x12, ..] => "is an ONNX file",
        [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => "is a single npy array",
        [b'v', b'e', b'r', b's', b'i', b'o', b'n', b' ', b'h', b't', b't', b'p', ..] => {
            "is a pointer of Git LFS, not the file itself (`git lfs pull` fetches it)"
        }
        [b'<', ..] => "is a web page, not what was to be downloaded",
        _ => "is of no known format",
    };
    Err(WeightsError::Unknown { path: path.to_owned(), found })
}

/// The values of a network's parameters, taken from a weight file by name.
///
/// `checked` is the network as checked, before passes derive parameters. A prefix that all names of the file share (`module.` of
/// DataParallel, `_orig_mod.` of torch.compile, …) is dropped where the network's own names do not have it;
/// `num_batches_tracked` is ignored. Everything else must agree: what does not is reported all at once.
pub fn bind(checked: &Checked, tensors: &Tensors) -> Result<ParamStore, MismatchReport> {
    let wanted = mismatch::wanted(checked);
    let given = stripped(&wanted, tensors);
    let report = mismatch::report(checked, &wanted, &given, tensors.path());
    if !report.diagnostics.is_empty() {
        return Err(report);
    }
    Ok(wanted.keys().filter_map(|name| Some(((*name).to_owned(), (*given.get(*name)?).clone()))).collect())
}

/// The tensors of a file by the names that a network has for them, whether it has them all or not: as [`bind`] takes them, without wrappers'
/// prefixes, counters and what is an optimizer's.
pub fn by_name<'a>(checked: &Checked, tensors: &'a Tensors) -> BTreeMap<&'a str, &'a Tensor> {
    stripped(&mismatch::wanted(checked), tensors)
}

/// What the names of an optimizer's tensors begin with in a checkpoint.
pub const OPTIMIZER: &str = "optimizer.";

/// Prefixes that wrappers put before all names.
const PREFIXES: [&str; 5] = ["module.", "_orig_mod.", "model.", "state_dict.", "net."];

/// The tensors of the file by their names without wrappers' prefixes.
fn stripped<'a>(wanted: &BTreeMap<&str, Wanted<'_>>, tensors: &'a Tensors) -> BTreeMap<&'a str, &'a Tensor> {
    let is_counter = |name: &str| name == "num_batches_tracked" || name.ends_with(".num_batches_tracked");
    // a checkpoint of training holds the optimizer's state as well
    let is_other = |name: &str| is_counter(name) || name.starts_with(OPTIMIZER);
    let mut given: BTreeMap<&str, &Tensor> = tensors.iter().filter(|(name, _)| !is_other(name)).collect();
    while let Some(prefix) = PREFIXES.iter().find(|prefix| {
        !given.is_empty()
            && given.keys().all(|name| name.starts_with(**prefix))
            && !wanted.keys().all(|name| name.starts_with(**prefix))
    }) {
        given = given.into_iter().map(|(name, tensor)| (&name[prefix.len()..], tensor)).collect();
    }
    given
}
