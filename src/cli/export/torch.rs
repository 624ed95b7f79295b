//! `resnetc export torch`

use std::path::PathBuf;

use super::super::args::Select;
use super::super::open;
use super::super::output::{Done, Failure, Out, save};
use crate::driver::Frontend;
use crate::formats::artifact;
use crate::torch;

/// Writes PyTorch source.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  resnetc export torch models/resnet.resnet --network resnet50 -o resnet50.py\n  \
                  resnetc export torch models/cifar.resnet --network resnet20 -o resnet20.py --train-script train.py")]
pub(super) struct Args {
    /// A source (.resnet), or an artifact (.rnx) that `resnetc compile` wrote
    file: PathBuf,
    #[command(flatten)]
    select: Select,
    /// The file to write
    #[arg(short, long, value_name = "NET.py")]
    output: PathBuf,
}

pub(super) fn run(args: &Args, out: &mut Out) -> Done {
    let checked = if artifact::is_artifact(&args.file) {
        if args.select.network.is_some() || !args.select.set.is_empty() {
            return Err(Failure::Usage("an artifact holds its network: --network and --set belong to sources".into()));
        }
        artifact::read(&args.file).map_err(Failure::input)?.checked
    } else {
        let mut front = Frontend::open(&args.file).map_err(Failure::input)?;
        open::check(&mut front, &args.select, out)?
    };
    let source = torch::write(&checked, None).map_err(Failure::input)?;
    save(&args.output, source.text.as_bytes())?;
    out.line(format_args!("wrote {}: network {} as class {}", args.output.display(), checked.network.name, source.class))
}
