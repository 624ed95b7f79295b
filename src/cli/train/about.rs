//! `run.json` and the sources beside it: what a run is of, so that it can be resumed from its directory alone.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::super::args::Select;
use super::super::open;
use super::super::output::{Failure, Out};
use crate::base::file::write_atomically;
use crate::base::source::SourceFile;
use crate::driver::Frontend;
use crate::ir::Checked;
use crate::train::RunDir;

/// See the module.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct About {
    /// The source, as an absolute path.
    pub file: PathBuf,
    pub network: String,
    pub set: Vec<(String, String)>,
    pub data: String,
    pub valid: Option<String>,
    pub threads: usize,
    pub version: String,
}

impl About {
    /// Makes the run directory, and writes there what the run is of: the source, and those that it uses.
    pub fn write(&self, dir: &RunDir, front: &Frontend) -> Result<(), Failure> {
        let failed = |path: &Path, error: std::io::Error| Failure::Input(format!("cannot write `{}`: {error}", path.display()));
        std::fs::create_dir_all(dir.path()).map_err(|e| failed(dir.path(), e))?;
        let put = |path: &Path, bytes: &[u8]| write_atomically(path, |out| out.write_all(bytes)).map_err(|e| failed(path, e));
        for (_, file) in front.sources.files() {
            if let Some(name) = file.path.as_ref().and_then(|p| p.file_name()) {
                put(&dir.path().join(name), file.text.as_bytes())?;
            }
        }
        let mut text = serde_json::to_string_pretty(self).map_err(Failure::input)?;
        text.push('\n');
        put(&dir.about(), text.as_bytes())
    }

    /// What was written.
    pub fn read(dir: &RunDir) -> Result<About, Failure> {
        let path = dir.about();
        let text = std::fs::read_to_string(&path)
            .map_err(|e| Failure::Input(format!("`{}` is no run directory: cannot read run.json: {e}", dir.path().display())))?;
        serde_json::from_str(&text).map_err(|e| Failure::Input(format!("`{}`: {e}", path.display())))
    }

    /// The network, from the directory's copy of the source. Files that it names stand where they stood, or in the directory.
    pub fn checked(&self, dir: &RunDir, out: &mut Out) -> Result<Checked, Failure> {
        let name = self.file.file_name().unwrap_or_default();
        let copy = dir.path().join(name);
        let text =
            std::fs::read_to_string(&copy).map_err(|e| Failure::Input(format!("cannot read `{}`: {e}", copy.display())))?;
        let path = if self.file.exists() { self.file.clone() } else { copy };
        let file = SourceFile { name: path.display().to_string(), path: Some(path), text: text.into() };
        let mut front = Frontend::source(file);
        let select = Select { network: Some(self.network.clone()), set: self.set.clone() };
        open::check(&mut front, &select, out)
    }
}
