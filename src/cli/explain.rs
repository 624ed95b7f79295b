//! `resnetc explain`

use super::failure::{Done, Failure};
use super::output::Out;
use crate::base::codes;

/// Prints the page of an error code: the rule, a file that breaks it, and the same file fixed.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  resnetc explain E0301\n  resnetc explain          list all codes")]
pub(super) struct Args {
    /// Error code, such as E0301 [default: list all codes]
    code: Option<String>,
}

pub(super) fn run(args: &Args, out: &mut Out) -> Done {
    match &args.code {
        None => {
            for info in codes::ALL {
                out.line(format_args!("{}  {}", info.code.0, info.title))?;
            }
            Ok(())
        }
        Some(code) => match codes::find(code) {
            Some(info) => out.text(info.page),
            None => Err(Failure::Input(format!("unknown error code `{code}`; `resnetc explain` lists all of them"))),
        },
    }
}
