//! `resnetc view --watch`: serves the page, and updates it whenever one of the files changes.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use super::args::Args;
use super::load::{self, Kind};
use crate::base::render;
use crate::base::source::SourceMap;
use crate::cli::failure::{Done, Failure};
use crate::cli::output::Out;
use crate::driver::Frontend;
use crate::view::{Broken, Content, Server};

/// How often the files are checked for changes.
const POLL: Duration = Duration::from_millis(150);
/// How often a source with errors is read again even if no file has changed: a missing file may have been added.
const RETRY: Duration = Duration::from_secs(1);

/// Set by Ctrl-C.
static STOP: AtomicBool = AtomicBool::new(false);

pub(super) fn run(args: &Args, out: &mut Out) -> Done {
    let kind = load::kind(&args.file, &args.select)?;
    // without a handler Ctrl-C also stops the process, with another exit code
    let _ = ctrlc::set_handler(|| STOP.store(true, Ordering::SeqCst));
    let mut seen = Snapshot::read(args, kind);
    let server = Server::start(args.port.unwrap_or(0), &seen.content).map_err(Failure::input)?;
    out.line(format_args!("serving {} at http://{}/; stop with Ctrl-C", args.file.display(), server.address()))?;
    out.flush()?;
    while !STOP.load(Ordering::SeqCst) {
        std::thread::sleep(POLL);
        let broken = matches!(seen.content, Content::Broken(_));
        if seen.files == stamps(seen.files.iter().map(|(path, _)| path.clone())) && !(broken && seen.at.elapsed() >= RETRY) {
            continue;
        }
        seen = Snapshot::read(args, kind);
        if server.update(&seen.content).map_err(Failure::input)? {
            match &seen.content {
                Content::Network(model) => out.note(format_args!("{}: {} operators", model.name, model.nodes.len())),
                Content::Broken(broken) => out.note(broken.error.trim_end()),
            }
        }
    }
    Err(Failure::Stopped)
}

/// A file with its modification time and length; `None` if it does not exist.
type Stamp = (PathBuf, Option<(SystemTime, u64)>);

/// The state of the files at one point in time.
struct Snapshot {
    content: Content,
    files: Vec<Stamp>,
    at: Instant,
}

impl Snapshot {
    /// Reads the file and those that it uses. Stamps are taken before reading, so that a change in between is noticed.
    fn read(args: &Args, kind: Kind) -> Snapshot {
        let file = &args.file;
        let own = stamps([file.clone()]);
        let at = Instant::now();
        let name = file.display().to_string();
        let broken = |error: String, sources: &SourceMap| Content::Broken(Broken::new(&name, error, sources));
        let whole = match kind {
            Kind::Artifact => Some(load::of_artifact(file)),
            Kind::Onnx => Some(load::of_onnx(file)),
            Kind::Source => None,
        };
        if let Some(model) = whole {
            let content = match model {
                Ok(model) => Content::Network(Box::new(model)),
                Err(failure) => broken(message(&failure), &SourceMap::default()),
            };
            return Snapshot { content, files: own, at };
        }
        let mut front = match Frontend::open(file) {
            Ok(front) => front,
            Err(error) => return Snapshot { content: broken(format!("error: {error}"), &SourceMap::default()), files: own, at },
        };
        let paths = front.sources.files().filter_map(|(_, f)| f.path.clone()).filter(|path| path != file);
        let files = own.into_iter().chain(stamps(paths.chain(front.named_files()))).collect();
        let content = match compile(&mut front, args, file) {
            Ok(content) => content,
            Err(error) => broken(error, &front.sources),
        };
        Snapshot { content, files, at }
    }
}

/// The network, or the rendered errors.
fn compile(front: &mut Frontend, args: &Args, file: &Path) -> Result<Content, String> {
    let name = match front.select(args.select.network.as_deref()) {
        Ok(name) => name,
        Err(_) if front.has_errors() => return Err(render::terminal(&front.diagnostics, &front.sources, false)),
        Err(error) => return Err(format!("error: {error}")),
    };
    match front.inspect(&name, &args.select.set) {
        Some(checked) => load::of_source(&checked, file, front).map(|m| Content::Network(Box::new(m))).map_err(|f| message(&f)),
        None => Err(render::terminal(&front.diagnostics, &front.sources, false)),
    }
}

fn message(failure: &Failure) -> String {
    match failure {
        Failure::Input(text) | Failure::Usage(text) => format!("error: {text}"),
        Failure::Said | Failure::Stopped | Failure::Pipe => "error".to_owned(),
    }
}

fn stamps(paths: impl IntoIterator<Item = PathBuf>) -> Vec<Stamp> {
    let stamp = |path: &Path| std::fs::metadata(path).ok().map(|m| (m.modified().unwrap_or(SystemTime::UNIX_EPOCH), m.len()));
    paths.into_iter().map(|path| (stamp(&path), path)).map(|(stamp, path)| (path, stamp)).collect()
}
