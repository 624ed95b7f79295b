//! Entries to a recipe.

use super::super::eval::Eval;
use super::super::value::Value;
use super::keys::{MOST, Reader};
use super::{Entry, Level, Train, Unit, lay_over, mark, unit};
use crate::base::codes;
use crate::base::diagnostic::Diagnostic;
use crate::ir::{Count, Init, OnBroken, Recipe, Schedule, Sgd, WeightsFrom};

/// The keys of a `train` block.
const KEYS: [&str; 20] = [
    "init",
    "from",
    "freeze",
    "optimizer",
    "batch",
    "accumulate",
    "steps",
    "epochs",
    "schedule",
    "warmup",
    "stochastic_depth",
    "clip",
    "loss",
    "augment",
    "shuffle",
    "seed",
    "broken",
    "validate",
    "checkpoint",
    "zero_init_residual",
];

/// The largest batch: a slip of a few digits must not take all memory.
const MAX_BATCH: u64 = 1 << 20;

/// The recipe that the levels state, the base's first; `None` where none is, or an error was found.
pub(in crate::elaborate) fn read(mut levels: Vec<Level>, eval: &mut Eval<'_>) -> Option<Train> {
    let span = levels.first()?.span;
    let errors = eval.diags.len();
    let mut entries: Vec<Entry> = Vec::new();
    let mut counts = Unit::default();
    for level in &mut levels {
        let stated = |key: &str| level.entries.iter().find(|e| e.key == key);
        if let (Some(steps), Some(epochs)) = (stated("steps"), stated("epochs")) {
            let message = "`steps` and `epochs` both say how long training takes";
            let diag = Diagnostic::error(codes::RECIPE_CONFLICT, message, epochs.span, "the one");
            eval.diags.push(diag.label(steps.span, "the other"));
        }
        counts = unit(&level.entries).unwrap_or(counts);
        mark(&mut level.entries, counts);
        lay_over(&mut entries, std::mem::take(&mut level.entries), level.of_command);
    }
    let mut train = Train { recipe: Recipe::default(), freeze: Vec::new(), except: Vec::new() };
    let mut reader = Reader { diags: eval.diags };
    reader.known("`train`", &entries, &KEYS);
    // the optimizer first: the warm-up's rate is stated in relation to its
    entries.sort_by_key(|entry| entry.key != "optimizer");
    for entry in &entries {
        reader.entry(entry, &mut train);
    }
    if unit(&entries).is_none() && eval.diags.len() == errors {
        let message = "the recipe does not say how long training takes";
        let diag = Diagnostic::error(codes::MISSING_ARGUMENT, message, span, "neither `steps` nor `epochs`");
        eval.diags.push(diag.help("`epochs 30` or `steps 64_000`; on the command line --set train.epochs=30"));
    }
    (eval.diags.len() == errors).then_some(train)
}

impl Reader<'_> {
    fn entry(&mut self, entry: &Entry, train: &mut Train) -> Option<()> {
        let Train { recipe, freeze, except } = train;
        match entry.key.as_str() {
            "init" => self.init(entry, recipe)?,
            "zero_init_residual" => recipe.zero_init_residual = self.truth(entry)?,
            "from" => match &entry.values[..] {
                [(Value::Str(path), _)] => recipe.from = Some(from(entry, path)),
                [(Value::Str(path), _), (Value::Word(word), _), labels] if **word == *"except" => {
                    recipe.from = Some(from(entry, path));
                    self.nothing_more(entry, 3);
                    *except = self.labels(entry, Some(labels));
                }
                [(Value::Word(word), _)] if **word == *"none" => recipe.from = None,
                _ => self.wrong(entry, "a file, and what begins again: from: \"resnet50.pth\" except fc"),
            },
            "freeze" => {
                self.nothing_more(entry, 1);
                *freeze = match entry.values.first() {
                    Some((Value::Word(word), _)) if **word == *"none" => Vec::new(),
                    labels => self.labels(entry, labels),
                };
            }
            "optimizer" => self.optimizer(entry, recipe)?,
            "batch" => recipe.batch = self.whole(entry, 1, MAX_BATCH)? as usize,
            "accumulate" => recipe.accumulate = self.whole(entry, 1, MAX_BATCH)? as usize,
            "steps" => recipe.length = Count::Steps(self.whole(entry, 1, MOST)?),
            "epochs" => recipe.length = Count::Epochs(self.whole(entry, 1, MOST)?),
            "schedule" => recipe.schedule = self.schedule(entry)?,
            "warmup" => self.warmup(entry, recipe)?,
            "stochastic_depth" => {
                recipe.stochastic_depth = self.number(entry, |x| (0.0..1.0).contains(&x), "a probability from 0 to below 1")?;
            }
            "clip" if entry.head() == Some("none") => recipe.clip = None,
            "clip" => recipe.clip = Some(self.number(entry, |x| x > 0.0, "a norm above 0")?),
            "loss" => {
                self.word(entry, &["cross_entropy"])?;
                self.known("`loss`", &entry.entries, &["smoothing", "auxiliary"]);
                for key in entry.entries.iter().filter(|e| e.key == "smoothing") {
                    recipe.loss.smoothing = self.number(key, |x| (0.0..1.0).contains(&x), "a number from 0 to below 1")?;
                }
                for key in entry.entries.iter().filter(|e| e.key == "auxiliary") {
                    recipe.loss.auxiliary = self.number(key, |x| x >= 0.0, "a weight of at least 0")?;
                }
            }
            "augment" => recipe.augment = self.augment(entry)?,
            "shuffle" => recipe.shuffle = self.truth(entry)?,
            "seed" => recipe.seed = self.whole(entry, 0, MOST)?,
            "broken" => {
                let skip = self.word(entry, &["skip", "fatal"])? == "skip";
                recipe.broken = if skip { OnBroken::Skip } else { OnBroken::Fatal };
            }
            "validate" if entry.head() == Some("none") => recipe.validate = None,
            "validate" => recipe.validate = Some(self.count(entry, 1)?),
            "checkpoint" if entry.head() == Some("none") => recipe.checkpoint = None,
            "checkpoint" => recipe.checkpoint = Some(self.count(entry, 1)?),
            _ => {}
        }
        Some(())
    }

    fn init(&mut self, entry: &Entry, recipe: &mut Recipe) -> Option<()> {
        self.word(entry, &["he"])?;
        self.known("`init he`", &entry.entries, &["fan"]);
        for key in entry.entries.iter().filter(|e| e.key == "fan") {
            let out = self.word(key, &["in", "out"])? == "out";
            recipe.init = if out { Init::HeFanOut } else { Init::HeFanIn };
        }
        Some(())
    }

    fn optimizer(&mut self, entry: &Entry, recipe: &mut Recipe) -> Option<()> {
        // `--set train.optimizer.rate=0.1` over a file without an optimizer names none
        if !entry.values.is_empty() {
            self.word(entry, &["sgd"])?;
        }
        const KEYS: [&str; 6] = ["rate", "momentum", "nesterov", "decay", "decay_norms", "decay_biases"];
        self.known("`optimizer sgd`", &entry.entries, &KEYS);
        let sgd = &mut recipe.optimizer;
        for key in &entry.entries {
            self.of_sgd(key, sgd);
        }
        if sgd.nesterov && sgd.momentum == 0.0 {
            let message = "Nesterov's way needs a momentum";
            self.diags.push(Diagnostic::error(codes::RECIPE_CONFLICT, message, entry.span, "`momentum` is 0"));
        }
        Some(())
    }

    fn of_sgd(&mut self, key: &Entry, sgd: &mut Sgd) -> Option<()> {
        match key.key.as_str() {
            "rate" => sgd.rate = self.number(key, |x| x > 0.0, "a learning rate above 0")?,
            "momentum" => sgd.momentum = self.number(key, |x| (0.0..1.0).contains(&x), "a number from 0 to below 1")?,
            "nesterov" => sgd.nesterov = self.truth(key)?,
            "decay" => sgd.decay = self.number(key, |x| x >= 0.0, "a number of at least 0")?,
            "decay_norms" => sgd.decay_norms = self.truth(key)?,
            "decay_biases" => sgd.decay_biases = self.truth(key)?,
            _ => {}
        }
        Some(())
    }

    fn schedule(&mut self, entry: &Entry) -> Option<Schedule> {
        let kind = self.word(entry, &["constant", "steps", "cosine", "plateau", "one_cycle"])?;
        let keys: &[&str] = match kind {
            "steps" => &["at", "times"],
            "cosine" => &["end"],
            "plateau" => &["patience", "times", "least"],
            "one_cycle" => &["rise", "start", "end"],
            _ => &[],
        };
        self.known(&format!("`schedule {kind}`"), &entry.entries, keys);
        let find = |key: &str| entry.entries.iter().find(|e| e.key == key);
        let mut real = |key: &str, default: f64, fits: fn(f64) -> bool, takes: &str| match find(key) {
            Some(entry) => self.number(entry, fits, takes),
            None => Some(default),
        };
        let times = |x: f64| x > 0.0 && x < 1.0;
        Some(match kind {
            "steps" => {
                let times = real("times", 0.1, times, "a factor between 0 and 1")?;
                let Some(at) = find("at") else {
                    let message = "`schedule steps` needs `at`, the moments when the rate falls";
                    self.diags.push(
                        Diagnostic::error(codes::MISSING_ARGUMENT, message, entry.span, "`at` is not given")
                            .help("schedule steps { at: [32_000, 48_000], times: 0.1 }"),
                    );
                    return None;
                };
                Schedule::Steps { at: self.counts(at)?, times }
            }
            "cosine" => Schedule::Cosine { end: real("end", 0.0, |x| x >= 0.0, "a rate of at least 0")? },
            "plateau" => {
                let times = real("times", 0.1, times, "a factor between 0 and 1")?;
                let least = real("least", 0.0, |x| x >= 0.0, "a rate of at least 0")?;
                let patience = match find("patience") {
                    Some(entry) => self.whole(entry, 0, 1_000_000)?,
                    None => 10,
                };
                Schedule::Plateau { patience, times, least }
            }
            "one_cycle" => Schedule::OneCycle {
                rise: real("rise", 0.3, |x| x > 0.0 && x < 1.0, "a part between 0 and 1")?,
                start: real("start", 25.0, |x| x >= 1.0, "a divisor of at least 1")?,
                end: real("end", 1e4, |x| x >= 1.0, "a divisor of at least 1")?,
            },
            _ => Schedule::Constant,
        })
    }

    fn warmup(&mut self, entry: &Entry, recipe: &mut Recipe) -> Option<()> {
        if entry.head() == Some("none") {
            recipe.warmup = None;
            return Some(());
        }
        self.known("`warmup`", &entry.entries, &["rate", "rises"]);
        let length = self.count(entry, 1)?;
        let (mut rate, mut rises) = (recipe.optimizer.rate / 10.0, true);
        for key in &entry.entries {
            match key.key.as_str() {
                "rate" => rate = self.number(key, |x| x >= 0.0, "a rate of at least 0")?,
                "rises" => rises = self.truth(key)?,
                _ => {}
            }
        }
        recipe.warmup = Some(crate::ir::Warmup { rate, length, rises });
        Some(())
    }
}

fn from(entry: &Entry, path: &str) -> WeightsFrom {
    let folder = entry.folder.clone().unwrap_or_default();
    WeightsFrom { path: folder.join(path), except: Vec::new() }
}
