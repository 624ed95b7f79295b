//! The state of a run in a file, so that it can be interrupted.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::super::output::{Failure, Out, STOPPED, save};
use super::Args;
use super::members::{EnsembleMember, Members};
use super::report::describe;
use super::score::Counts;
use crate::data::{Dataset, Views};
use crate::ir::dump::{DumpOptions, dump};

/// How often it is written.
const EVERY: Duration = Duration::from_secs(15);
/// The version of the file's format.
const VERSION: u32 = 1;
/// The longest file that is read: a table of two thousand classes, and a long list of images.
const MAX_BYTES: u64 = 256 << 20;

/// Set by Ctrl-C.
static STOP: AtomicBool = AtomicBool::new(false);

#[derive(Serialize, Deserialize)]
struct Stored {
    resnetc_eval: u32,
    /// What is judged, and how: what must be the same to go on. Values are texts for people or checksums.
    of: BTreeMap<String, String>,
    threads: usize,
    counts: Counts,
}

/// A run's state, and the file that it is kept in.
pub(super) struct State {
    path: PathBuf,
    of: BTreeMap<String, String>,
    threads: usize,
    /// As the file holds them.
    pub counts: Counts,
    written: Instant,
}

/// Reads the state where the file is there, and begins one where it is not. From then on Ctrl-C is waited for.
pub(super) fn begin(
    path: &Path,
    args: &Args,
    members: &Members,
    data: &dyn Dataset,
    views: &Views,
    out: &mut Out,
) -> Result<State, Failure> {
    let of = what(args, members, data, views);
    let threads = members.list.first().map_or(1, |m| m.session.threads());
    let counts = match read(path)? {
        None => Counts::default(),
        Some(stored) => {
            let file = path.display();
            for (key, wanted) in &of {
                let found = stored.of.get(key).map_or("not stated", String::as_str);
                if found != wanted {
                    return Err(Failure::Input(format!(
                        "`{file}` holds the state of another run ({key}: {found} there, and {wanted} here)"
                    )));
                }
            }
            if stored.counts.next > data.len() {
                return Err(Failure::Input(format!("`{file}` is damaged: it has gone on behind the last image")));
            }
            if stored.threads != threads {
                let before = stored.threads;
                out.note(format_args!(
                    "note: the run was begun with {before} threads; with {threads} its results differ in the last bits"
                ));
            }
            if stored.counts.next == data.len() {
                out.note(format_args!(
                    "note: `{file}` holds a finished run, whose results these are; without the file it begins again"
                ));
            }
            stored.counts
        }
    };
    // without a handler Ctrl-C ends the process at once, and the last state that was written is the one to go on from
    let _ = ctrlc::set_handler(|| {
        if STOP.swap(true, Ordering::SeqCst) {
            std::process::exit(STOPPED.into());
        }
    });
    Ok(State { path: path.to_path_buf(), of, threads, counts, written: Instant::now() })
}

impl State {
    /// Whether Ctrl-C was pressed.
    pub fn is_stopped(&self) -> bool {
        STOP.load(Ordering::SeqCst)
    }

    /// Writes the counts, where it is time to or it is `due`.
    pub fn keep(&mut self, counts: &Counts, due: bool) -> Result<(), Failure> {
        if !due && self.written.elapsed() < EVERY {
            return Ok(());
        }
        let stored = Stored { resnetc_eval: VERSION, of: self.of.clone(), threads: self.threads, counts: counts.clone() };
        let text = serde_json::to_vec(&stored).map_err(Failure::input)?;
        save(&self.path, &text)?;
        self.written = Instant::now();
        Ok(())
    }
}

fn read(path: &Path) -> Result<Option<Stored>, Failure> {
    let file = path.display();
    let io = |error: io::Error| Failure::Input(format!("cannot read `{file}`: {error}"));
    let kind = match std::fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        kind => kind.map_err(io)?,
    };
    let wrong = |why: &dyn Display| Failure::Input(format!("`{file}` is no state of `resnetc eval`: {why}"));
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

/// What decides the results, but for the number of threads.
fn what(args: &Args, members: &Members, data: &dyn Dataset, views: &Views) -> BTreeMap<String, String> {
    let mut of = BTreeMap::new();
    let mut say = |key: String, value: String| drop(of.insert(key, value));
    for (i, member) in members.list.iter().enumerate() {
        say(format!("network {}", i + 1), format!("{} with checksum {:08x}", member.title, checksum(member)));
    }
    say("number of networks".into(), members.list.len().to_string());
    say("data".into(), format!("{} images with checksum {:08x}", data.len(), names(data)));
    say("views".into(), describe(views, args.average));
    say("batch".into(), args.batch.to_string());
    say("number of worst images".into(), args.worst.to_string());
    say("planning".into(), format!("{:?}", args.model.planning));
    of
}

/// Of a network's graph, weights and preprocessing.
fn checksum(member: &EnsembleMember) -> u32 {
    let model = member.session.model();
    let mut crc = crc32fast::Hasher::new();
    crc.update(dump(model.optimized(), DumpOptions::default()).as_bytes());
    // what cannot be written as JSON is not there to begin with
    crc.update(&serde_json::to_vec(&model.network().preprocess).unwrap_or_default());
    for (name, tensor) in model.params().iter() {
        crc.update(name.as_bytes());
        crc.update(&tensor.to_le_bytes());
    }
    crc.finalize()
}

/// Of a dataset's images, by the ends of their names, and of their classes: the folder that they lie in may have been moved.
fn names(data: &dyn Dataset) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    for index in 0..data.len() {
        let name = data.name(index);
        let end = name.rsplit(['/', '\\']).next().unwrap_or_default();
        crc.update(end.as_bytes());
        crc.update(&data.label(index).to_le_bytes());
    }
    crc.finalize()
}
