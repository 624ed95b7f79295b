//! `resnetc completions`

use clap::Command;
use clap_complete::{Shell, generate};

use super::failure::Done;
use super::output::Out;

/// Prints a script that completes commands and options in a shell.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  resnetc completions bash > ~/.local/share/bash-completion/completions/resnetc\n  \
                  resnetc completions zsh > ~/.zfunc/_resnetc\n  resnetc completions fish > ~/.config/fish/completions/resnetc.fish")]
pub(super) struct Args {
    /// The shell
    #[arg(value_enum, value_name = "SHELL")]
    shell: Shell,
}

pub(super) fn run(args: &Args, mut command: Command, out: &mut Out) -> Done {
    let mut script = Vec::new();
    generate(args.shell, &mut command, "resnetc", &mut script);
    out.text(&String::from_utf8_lossy(&script))
}
