//! The state of an evaluation in a file, so that it can be interrupted.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::ensemble::{Ensemble, EnsembleMember};
use super::error::EvalError;
use super::measures::Counts;
use super::options::{EvalOptions, describe};
use crate::base::file::write_atomically;
use crate::data::Dataset;
use crate::ir::dump::{DumpOptions, dump};

/// How often the file is written.
const INTERVAL: Duration = Duration::from_secs(15);
/// The version of the file's format.
const VERSION: u32 = 1;
/// The longest file that is read: a confusion matrix of two thousand classes, and a long list of images.
const MAX_BYTES: u64 = 256 << 20;

#[derive(Serialize, Deserialize)]
struct Stored {
    resnetc_eval: u32,
    /// What is evaluated, and how: what must be the same to continue. Values are texts for people, or checksums.
    of: BTreeMap<String, String>,
    threads: usize,
    counts: Counts,
}

/// The file of a state.
pub(super) struct State {
    path: PathBuf,
    of: BTreeMap<String, String>,
    threads: usize,
    written: Instant,
}

/// What a state's file held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Resumed {
    /// The number of threads that it was started with, if that is another: results then differ in the last bits.
    pub other_threads: Option<usize>,
    /// The number of threads of this evaluation.
    pub threads: usize,
    /// Whether nothing is left to do.
    pub is_finished: bool,
}

impl State {
    /// Reads the state of an evaluation of `len` images if the file exists, and otherwise starts one. `of` is what must be the same
    /// to continue: the [`facts`], and others.
    pub fn open(
        path: &Path,
        of: BTreeMap<String, String>,
        threads: usize,
        len: usize,
    ) -> Result<(State, Counts, Resumed), EvalError> {
        let mut resumed = Resumed { other_threads: None, threads, is_finished: false };
        let mut counts = Counts::default();
        if let Some(stored) = read(path)? {
            check(path, &stored, &of, len)?;
            resumed.other_threads = Some(stored.threads).filter(|&before| before != threads);
            resumed.is_finished = stored.counts.next == len;
            counts = stored.counts;
        }
        Ok((State { path: path.to_path_buf(), of, threads, written: Instant::now() }, counts, resumed))
    }

    /// Writes the counts, if it is time to or it is `due`.
    pub fn keep(&mut self, counts: &Counts, due: bool) -> Result<(), EvalError> {
        if !due && self.written.elapsed() < INTERVAL {
            return Ok(());
        }
        let stored = Stored { resnetc_eval: VERSION, of: self.of.clone(), threads: self.threads, counts: counts.clone() };
        let text = serde_json::to_vec(&stored).map_err(io::Error::from);
        text.and_then(|text| write_atomically(&self.path, |out| out.write_all(&text)))
            .map_err(|source| EvalError::Write { path: self.path.clone(), source })?;
        self.written = Instant::now();
        Ok(())
    }
}

/// Checks that a state is one of these networks, data and options.
fn check(path: &Path, stored: &Stored, of: &BTreeMap<String, String>, len: usize) -> Result<(), EvalError> {
    let path = path.to_path_buf();
    for (key, wanted) in of {
        let found = stored.of.get(key).map_or("not stated", String::as_str);
        // as state files of before describe views
        let found = found.replace(", and mirrored", ", and flipped horizontally");
        if found != *wanted {
            return Err(EvalError::OtherRun { path, key: key.clone(), found, wanted: wanted.clone() });
        }
    }
    if stored.counts.next > len {
        return Err(EvalError::DamagedState { path });
    }
    Ok(())
}

fn read(path: &Path) -> Result<Option<Stored>, EvalError> {
    let io = |source: io::Error| EvalError::Read { path: path.to_path_buf(), source };
    let kind = match std::fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        kind => kind.map_err(io)?,
    };
    let wrong = |why: &dyn Display| EvalError::NoState { path: path.to_path_buf(), reason: why.to_string() };
    if !kind.is_file() || kind.len() > MAX_BYTES {
        return Err(wrong(&"no regular file of at most 256 MiB"));
    }
    let text = std::fs::read(path).map_err(io)?;
    let stored: Stored = serde_json::from_slice(&text).map_err(|error| wrong(&error))?;
    if stored.resnetc_eval != VERSION {
        return Err(wrong(&format_args!("version {}, and this resnetc reads {VERSION}", stored.resnetc_eval)));
    }
    Ok(Some(stored))
}

/// What decides the results, except for the number of threads.
pub(super) fn facts(ensemble: &Ensemble, data: &dyn Dataset, options: &EvalOptions) -> BTreeMap<String, String> {
    let members = ensemble.members();
    let networks = members.iter().enumerate().map(|(i, member)| {
        (format!("network {}", i + 1), format!("{} with checksum {:08x}", member.title(), network_checksum(member)))
    });
    let others = [
        ("number of networks", members.len().to_string()),
        ("data", format!("{} images with checksum {:08x}", data.len(), data_checksum(data))),
        ("views", describe(&options.views, options.average)),
        ("batch", options.batch.to_string()),
        ("number of worst images", options.worst.to_string()),
    ];
    networks.chain(others.map(|(key, value)| (key.to_owned(), value))).collect()
}

/// The checksum of a network's graph, weights and preprocessing.
fn network_checksum(member: &EnsembleMember) -> u32 {
    let model = member.session().model();
    let mut crc = crc32fast::Hasher::new();
    crc.update(dump(model.optimized(), DumpOptions::default()).as_bytes());
    // preprocessing that cannot be written as JSON cannot be stated
    crc.update(&serde_json::to_vec(&model.network().preprocess).unwrap_or_default());
    for (name, tensor) in model.params().iter() {
        crc.update(name.as_bytes());
        crc.update(&tensor.to_le_bytes());
    }
    crc.finalize()
}

/// The checksum of the file names and classes of a dataset's images. Their folder may have been moved.
fn data_checksum(data: &dyn Dataset) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    for index in 0..data.len() {
        let name = data.name(index);
        let file = name.rsplit(['/', '\\']).next().unwrap_or_default();
        crc.update(file.as_bytes());
        crc.update(&data.label(index).to_le_bytes());
    }
    crc.finalize()
}
