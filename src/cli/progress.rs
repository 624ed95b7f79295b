//! The progress bar.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar on standard error, if that is a terminal and the work is long enough to need one.
pub(super) fn progress(len: usize) -> ProgressBar {
    let bar = if len < 8 { ProgressBar::hidden() } else { ProgressBar::new(len as u64) };
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {per_sec}, {eta} left {msg}") {
        bar.set_style(style);
    }
    bar
}
