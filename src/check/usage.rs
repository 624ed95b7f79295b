//! Checks a network's metadata against its shapes: class names against the output, images against the input.

use crate::base::codes;
use crate::base::diagnostic::Diagnostic;
use crate::ir::{Channels, Checked};

/// Checks `labels` and `preprocess`, if stated.
pub(super) fn check(checked: &Checked, diags: &mut Vec<Diagnostic>) {
    let network = &checked.network;
    let classes = network.graph.outputs().first().and_then(|(_, value)| checked.shape(*value).channels());
    if let Some(classes) = classes
        && !network.labels.is_empty()
        && network.labels.len() != classes
    {
        diags.push(
            Diagnostic::error(
                codes::LABELS_DIFFER,
                format!("`{}` has {} labels and {classes} classes", network.name, network.labels.len()),
                network.span,
                "this network",
            )
            .rule("the main output has one value per label, in the same order")
            .help("a derived network may state `labels` again"),
        );
    }
    let input = network.graph.inputs().first().map(|&input| checked.shape(input));
    if let (Some(how), Some(input)) = (&network.preprocess, input) {
        let (channels, name) = match how.channels {
            Channels::Rgb => (3, "rgb"),
            Channels::Bgr => (3, "bgr"),
            Channels::Gray => (1, "gray"),
        };
        if input.dims().is_some_and(|dims| dims.len() != 3) || input.channels().is_some_and(|n| n != channels) {
            diags.push(
                Diagnostic::error(
                    codes::IMAGE_DIFFERS,
                    format!("`{}` takes {input}, and `{name}` images have {channels} x height x width", network.name),
                    network.span,
                    "this network",
                )
                .rule("`preprocess` describes how an image becomes the first input")
                .help("a derived network may state `preprocess` again: `channels` is `rgb`, `bgr` or `gray`"),
            );
        }
        let values = input.dims().and_then(|dims| dims.iter().try_fold(1usize, |n, dim| n.checked_mul(dim.fixed()?)));
        if let Some(mean) = how.mean_image()
            && values != Some(mean.len())
        {
            diags.push(Diagnostic::error(
                codes::IMAGE_DIFFERS,
                format!("`{}` takes {input}, and its preprocessing has a mean for each of {} values", network.name, mean.len()),
                network.span,
                "this network",
            ));
        }
    }
}
