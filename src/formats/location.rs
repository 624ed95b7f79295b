//! Where weights are: a file, a part of one (`FILE#model_ema`), or a folder that has one.

use std::path::{Path, PathBuf};

use super::folder;
use super::tensors::WeightsError;

/// A weight file, and the part of it that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Location {
    pub file: PathBuf,
    /// The key of a state dict, or a prefix of names without the last dot.
    pub part: Option<String>,
    /// Whether the path is that of a folder.
    pub is_folder: bool,
}

/// Finds the file that a path leads to.
pub(super) fn locate(path: &Path) -> Result<Location, WeightsError> {
    let (place, part) = split(path);
    let is_folder = place.is_dir();
    let file = if is_folder { folder::weights_in(&place)? } else { place };
    Ok(Location { file, part, is_folder })
}

/// Splits `FILE#PART`. A file whose name contains `#` is itself.
fn split(path: &Path) -> (PathBuf, Option<String>) {
    let whole = || (path.to_owned(), None);
    if path.exists() {
        return whole();
    }
    match path.to_str().and_then(|text| text.rsplit_once('#')) {
        Some((place, part)) if !part.is_empty() && Path::new(place).exists() => (PathBuf::from(place), Some(part.to_owned())),
        _ => whole(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_follows_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let [file, sharp] = ["w.pth", "w#1.pth"].map(|name| dir.path().join(name));
        std::fs::write(&file, "").unwrap();
        std::fs::write(&sharp, "").unwrap();
        let of = |name: &str| split(&dir.path().join(name));
        assert_eq!(of("w.pth"), (file.clone(), None));
        assert_eq!(of("w.pth#model_ema"), (file.clone(), Some("model_ema".to_owned())));
        assert_eq!(of("w#1.pth"), (sharp.clone(), None));
        assert_eq!(of("w#1.pth#state.model"), (sharp, Some("state.model".to_owned())));
        for name in ["w.pth#", "none.pth#model", "none.pth"] {
            assert_eq!(of(name), (dir.path().join(name), None));
        }
    }
}
