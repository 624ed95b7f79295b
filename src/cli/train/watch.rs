//! Progress of a run: a progress bar on a terminal, or else a line from time to time; and a line per epoch.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::super::args::Format;
use super::super::output::Out;
use crate::train::log::Line;
use crate::train::{Event, Flow};

/// Weight of the last step in the moving averages shown.
const SMOOTHING: f64 = 0.05;

/// Time between lines without a terminal.
const INTERVAL: Duration = Duration::from_secs(30);

/// Shows the progress of a run.
pub(super) struct Watch {
    bar: ProgressBar,
    samples: usize,
    epochs: u64,
    /// Loss, error and samples per second, averaged over the last steps.
    shown: Option<[f64; 3]>,
    /// When the last line was written.
    last_line: Instant,
    shows: Shown,
}

/// What is shown, and how.
#[derive(Clone, Copy)]
pub(super) struct Shown {
    /// Only warnings.
    pub quiet: bool,
    /// In JSON, the lines of the log go to standard output.
    pub format: Format,
}

impl Watch {
    pub fn new(steps: u64, samples: usize, epoch_steps: u64, shows: Shown) -> Watch {
        let bar = ProgressBar::new(steps);
        if shows.quiet || shows.format == Format::Json {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        let style = "{bar:30} {pos}/{len} {msg} {eta} left";
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style);
        }
        let epochs = steps.div_ceil(epoch_steps.max(1));
        Watch { bar, samples, epochs, shown: None, last_line: Instant::now(), shows }
    }

    pub fn event(&mut self, event: Event<'_>, stop: bool, out: &mut Out) -> Flow {
        match event {
            Event::Logged(line) if self.shows.format == Format::Json => {
                if let (false, Ok(text)) = (self.shows.quiet, serde_json::to_string(line)) {
                    // a closed pipe must not stop the training
                    let _ = out.line(text).and_then(|()| out.flush());
                }
            }
            Event::Notice(text) if self.shows.format == Format::Json => out.note(text),
            Event::Logged(Line::Step { step, loss, error, images_per_s, .. }) => {
                let last = [*loss, *error, *images_per_s];
                let shown = match self.shown {
                    Some(old) => [0, 1, 2].map(|i| old[i] + SMOOTHING * (last[i] - old[i])),
                    None => {
                        // the remaining time is estimated from the steps of this session
                        self.bar.set_position(*step);
                        self.bar.reset_eta();
                        last
                    }
                };
                self.shown = Some(shown);
                self.bar.set_position(*step);
                let text = format!("loss {:.3}, error {:.1} %, {:.0} images/s,", shown[0], 100.0 * shown[1], shown[2]);
                if self.bar.is_hidden() && self.last_line.elapsed() >= INTERVAL {
                    let (steps, left) = (self.bar.length().unwrap_or(0), HumanDuration(self.left(*step, shown[2])));
                    self.say(format!("step {step}/{steps}: {text} {left} left"));
                }
                self.bar.set_message(text);
            }
            Event::Logged(Line::Epoch { epoch, loss, error, seconds, .. }) => self.say(format!(
                "epoch {epoch}/{}: training loss {loss:.4}, error {:.2} %, {:.1} min",
                self.epochs,
                100.0 * error,
                seconds / 60.0
            )),
            Event::Logged(Line::Valid { step, loss, error, .. }) => {
                self.say(format!("step {step}: validation loss {loss:.4}, error {:.2} %", 100.0 * error));
            }
            Event::Logged(Line::Start { .. }) | Event::Checkpoint => {}
            Event::Notice(text) => self.warn(text.to_owned()),
        }
        if stop { Flow::Stop } else { Flow::Continue }
    }

    /// The remaining time at this speed.
    fn left(&self, step: u64, images_per_s: f64) -> Duration {
        let steps = self.bar.length().unwrap_or(0).saturating_sub(step);
        Duration::try_from_secs_f64(steps as f64 * self.samples as f64 / images_per_s).unwrap_or(Duration::MAX)
    }

    /// Shows a line unless the run is quiet.
    fn say(&mut self, text: String) {
        self.last_line = Instant::now();
        if !self.shows.quiet {
            self.warn(text);
        }
    }

    /// Shows a line, above the progress bar if there is one.
    fn warn(&self, text: String) {
        if self.bar.is_hidden() {
            // a closed pipe (`2>&1 | head`) must not stop the training
            let _ = writeln!(io::stderr(), "{text}");
        } else {
            self.bar.println(text);
        }
    }

    pub fn finish(&mut self) {
        self.bar.finish_and_clear();
        // in JSON, nothing was averaged
        if let (Some([_, _, images_per_s]), true) = (self.shown, self.samples > 0) {
            self.say(format!("{images_per_s:.1} images/s"));
        }
    }
}
