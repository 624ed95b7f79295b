//! `resnetc run`

mod args;
mod classify;
mod images;
mod prepare;
mod raw;

use super::failure::{Done, Failure};
use super::output::Out;
pub(super) use args::Args;

pub(super) fn run(args: &Args, out: &mut Out) -> Done {
    if args.input.is_none() && !args.output.is_empty() {
        return Err(Failure::Usage(
            "--output needs --input: for images, --prepared X.npy writes what the network reads, for --input X.npy".into(),
        ));
    }
    match &args.input {
        Some(input) => raw::run(args, input, out),
        None if args.images.is_empty() => {
            Err(Failure::Usage("nothing to run: give images or folders, or --input X.npy --output Y.npy".into()))
        }
        None => match &args.prepared {
            Some(path) => prepare::run(args, path, out),
            None => classify::run(args, out),
        },
    }
}
