//! `resnetc new`

use std::io::Write;
use std::path::PathBuf;

use super::failure::{Done, Failure};
use super::output::Out;
use crate::elaborate::operators;
use crate::syntax::words;

/// Creates NAME.resnet: a small residual network with comments that can be checked, trained and run.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  resnetc new mynet && resnetc check mynet.resnet")]
pub(super) struct Args {
    /// Name of the network, or path of the file
    name: String,
}

const STARTER: &str = include_str!("starter.resnet");

pub(super) fn run(args: &Args, out: &mut Out) -> Done {
    let mut path = PathBuf::from(&args.name);
    if path.extension().is_none_or(|e| e != "resnet") {
        path.as_mut_os_string().push(".resnet");
    }
    let name = path.file_stem().and_then(|s| s.to_str()).unwrap_or_default().to_string();
    if !words::is_name(&name) || name.starts_with('_') || operators::is_reserved(&name) {
        return Err(Failure::Input(format!(
            "`{name}` is not a valid network name: use letters, digits and `_`, starting with a letter, and no reserved word"
        )));
    }
    // `create_new` refuses to overwrite, without a race
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).open(&path).map_err(|e| match e.kind() {
        std::io::ErrorKind::AlreadyExists => Failure::Input(format!("`{}` already exists", path.display())),
        _ => Failure::Input(format!("cannot create `{}`: {e}", path.display())),
    })?;
    let text = STARTER.replace("starter", &name);
    if let Err(error) = file.write_all(text.as_bytes()) {
        drop(file);
        let _ = std::fs::remove_file(&path);
        return Err(Failure::Input(format!("cannot write {}: {error}", path.display())));
    }
    out.line(format_args!("wrote {}; next: resnetc check {}", path.display(), path.display()))
}
