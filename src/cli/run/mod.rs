//! `resnetc run`

mod args;
mod classify;
mod images;
mod outputs;
mod prepare;
mod raw;

use super::failure::{Done, Failure};
use super::output::Out;
pub(super) use args::Args;

pub(super) fn run(args: &Args, out: &mut Out) -> Done {
    if args.input.is_empty() && !args.output.is_empty() {
        return Err(Failure::Usage(
            "--output needs --input: for images, --prepared X.npy writes what the network reads, for --input X.npy".into(),
        ));
    }
    match &args.prepared {
        _ if !args.input.is_empty() => raw::run(args, out),
        _ if args.images.is_empty() => {
            Err(Failure::Usage("nothing to run: give images or folders, or a tensor with --input X.npy".into()))
        }
        Some(path) => prepare::run(args, path, out),
        None => classify::run(args, out),
    }
}
