//! Writes the description of a run and copies of its sources, and reads its network from them.

use std::path::{Path, PathBuf};

use super::super::about::{About, plain};
use super::super::args::Select;
use super::super::failure::Failure;
use super::super::open;
use super::super::output::{self, Out};
use crate::base::file::write_atomically;
use crate::base::source::Span;
use crate::driver::Frontend;
use crate::ir::Checked;
use crate::train::RunDir;

/// How many times former words are replaced: a replacement may reveal another one.
const MAX_ROUNDS: usize = 8;

impl About {
    /// Creates the run directory, and writes `run.json` and copies of the source and the files that it uses, with the same relative
    /// paths.
    pub fn write(&mut self, dir: &RunDir, front: &Frontend) -> Result<(), Failure> {
        let failed = |path: &Path, error: std::io::Error| Failure::Input(format!("cannot write `{}`: {error}", path.display()));
        let make = |path: &Path| std::fs::create_dir_all(path).map_err(|e| failed(path, e));
        let put = |path: &Path, bytes: &[u8]| write_atomically(path, |out| out.write_all(bytes)).map_err(|e| failed(path, e));
        make(dir.path())?;
        let sources = front.sources.files().filter_map(|(_, f)| Some((plain(f.path.as_ref()?), f.text.as_bytes().to_vec())));
        // a file that does not exist was not needed
        let named = front.named_files().into_iter().filter_map(|path| Some((plain(&path), std::fs::read(&path).ok()?)));
        let files: Vec<(PathBuf, Vec<u8>)> = sources.chain(named).collect();
        let root = common_folder(files.iter().map(|(path, _)| &**path));
        for (path, bytes) in &files {
            let copy = dir.path().join(path.strip_prefix(&root).unwrap_or(path));
            copy.parent().map_or(Ok(()), make)?;
            put(&copy, bytes)?;
        }
        self.copy = plain(&self.file).strip_prefix(&root).map(Path::to_path_buf).unwrap_or_default();
        self.save(dir)
    }

    /// Writes `run.json` only.
    pub fn save(&self, dir: &RunDir) -> Result<(), Failure> {
        let mut text = serde_json::to_string_pretty(self).map_err(Failure::input)?;
        text.push('\n');
        output::save(&dir.about(), text.as_bytes())
    }

    /// The network, from the copies in the run directory.
    pub fn checked(&mut self, dir: &RunDir, out: &mut Out) -> Result<(Frontend, Checked), Failure> {
        let path = self.source(dir);
        self.update_words(&path, dir, out)?;
        let mut front = open::source(&path)?;
        let select = Select { network: Some(self.network.clone()), set: self.set.clone(), rename: self.rename.clone() };
        let checked = open::check(&mut front, &select, out)?;
        Ok((front, checked))
    }
}

impl About {
    /// Replaces former words in a run of an earlier release: in its copies of the sources, and in its `--set` options.
    fn update_words(&mut self, source: &Path, dir: &RunDir, out: &Out) -> Result<(), Failure> {
        let root = plain(dir.path());
        for _ in 0..MAX_ROUNDS {
            let mut front = open::source(source)?;
            // errors are reported when the network is checked again
            let _ = front.check(&self.network, &self.set);
            let mut edits: Vec<(Span, &str)> = (front.diagnostics.iter().filter(|d| d.is_error() && d.renamed))
                .flat_map(|d| &d.helps)
                .filter_map(|help| help.edit.as_ref().map(|(span, word)| (*span, word.as_str())))
                .collect();
            // from the end of each file, so that earlier positions stay valid
            edits.sort_by_key(|(span, _)| std::cmp::Reverse((span.file, span.start)));
            edits.dedup();
            let mut changed = false;
            for group in edits.chunk_by(|a, b| a.0.file == b.0.file) {
                let file = front.sources.file(group[0].0.file);
                let mut text = file.text.to_string();
                group.iter().for_each(|(span, word)| text.replace_range(span.start as usize..span.end as usize, word));
                match &file.path {
                    Some(path) if plain(path).starts_with(&root) => {
                        write_atomically(path, |out| out.write_all(text.as_bytes()))
                            .map_err(|e| Failure::Input(format!("cannot write `{}`: {e}", path.display())))?;
                        out.note(format_args!("note: updated former words in `{}` of the run", path.display()));
                        changed = true;
                    }
                    Some(_) => {}
                    None => changed |= self.update_set(&file.text, &text),
                }
            }
            if !changed {
                break;
            }
        }
        Ok(())
    }

    /// Replaces the `--set` option displayed as `before` by the one displayed as `after`.
    fn update_set(&mut self, before: &str, after: &str) -> bool {
        let option = |text: &str| {
            let (name, value) = text.split_once('=')?;
            Some((name.to_owned(), value.to_owned()))
        };
        let (Some(before), Some(after)) = (option(before), option(after)) else { return false };
        let mut changed = false;
        for set in self.set.iter_mut().filter(|set| **set == before) {
            set.clone_from(&after);
            changed = true;
        }
        changed
    }
}

/// A dataset argument with absolute paths, for both files of `X.npy,Y.npy`.
pub(super) fn absolute_data(spec: &str) -> String {
    let absolute = |part: &str| plain(Path::new(part)).display().to_string();
    match spec.split_once(',') {
        Some((samples, labels)) if !Path::new(spec).exists() => {
            format!("{},{}", absolute(samples.trim()), absolute(labels.trim()))
        }
        _ => absolute(spec),
    }
}

/// The deepest folder that contains all files.
fn common_folder<'a>(mut files: impl Iterator<Item = &'a Path>) -> PathBuf {
    let folder = |path: &Path| path.parent().map(Path::to_path_buf).unwrap_or_default();
    let first = files.next().map(folder).unwrap_or_default();
    files.fold(first, |mut root, path| {
        while !path.starts_with(&root) && root.pop() {}
        root
    })
}
