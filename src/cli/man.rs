//! `resnetc man`

use std::path::{Path, PathBuf};

use clap::Command;
use clap_mangen::Man;

use super::failure::{Done, Failure};
use super::output::{Out, save};

/// Writes a manual page for each command.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  resnetc man -o ~/.local/share/man/man1\n  man resnetc-train")]
pub(super) struct Args {
    /// Folder to write resnetc.1, resnetc-check.1, … to
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
}

pub(super) fn run(args: &Args, mut command: Command, out: &mut Out) -> Done {
    let dir = &args.output;
    std::fs::create_dir_all(dir).map_err(|error| Failure::Input(format!("cannot write `{}`: {error}", dir.display())))?;
    command.build();
    let pages = pages(&command, "resnetc", dir)?;
    out.line(format_args!("wrote {pages} pages to {}", dir.display()))
}

/// Writes the page of a command and those of its subcommands, and returns their number.
fn pages(command: &Command, name: &str, dir: &Path) -> Result<usize, Failure> {
    let mut page = Vec::new();
    Man::new(command.clone().display_name(name.to_owned())).render(&mut page)?;
    save(&dir.join(format!("{name}.1")), &page)?;
    let mut count = 1;
    for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
        count += pages(inner, &format!("{name}-{}", inner.get_name()), dir)?;
    }
    Ok(count)
}
