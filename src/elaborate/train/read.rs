//! Converts entries to a recipe.

use super::super::eval::Eval;
use super::super::value::Value;
use super::entries::{Entry, LengthUnit, TrainEntries, lay_over, mark, unit};
use super::keys::{EntryReader, MOST};
use super::unresolved::UnresolvedRecipe;
use crate::base::codes;
use crate::base::diagnostic::Diagnostic;
use crate::ir::{Count, Init, OnError, Recipe, Schedule, Sgd, WeightsFrom};

/// The keys of a `train` block.
pub(super) const KEYS: [&str; 20] = [
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
    "clip_grad_norm",
    "loss",
    "augment",
    "shuffle",
    "seed",
    "on_error",
    "validate",
    "checkpoint",
    "zero_init_residual",
];

/// The keys of `optimizer sgd`.
pub(super) const OPTIMIZER_KEYS: [&str; 6] = ["lr", "momentum", "nesterov", "weight_decay", "decay_norm", "decay_bias"];

/// The maximum batch size, so that a typo cannot use up all memory.
const MAX_BATCH: u64 = 1 << 20;

/// The recipe from all levels, base first; `None` if there is none, or after an error.
pub(in crate::internal::elaborate) fn read(mut levels: Vec<TrainEntries>, eval: &mut Eval<'_>) -> Option<UnresolvedRecipe> {
    let span = levels.first()?.span;
    let errors = eval.diags.len();
    let mut entries: Vec<Entry> = Vec::new();
    let mut counts = LengthUnit::default();
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
    let mut train = UnresolvedRecipe { recipe: Recipe::default(), freeze: Vec::new(), except: Vec::new() };
    let mut reader = EntryReader { program: eval.program, diags: eval.diags };
    reader.known("`train`", &entries, &KEYS);
    // the optimizer first, since the default of the warm-up's learning rate depends on it
    entries.sort_by_key(|entry| entry.key != "optimizer");
    for entry in &entries {
        reader.entry(entry, &mut train);
    }
    if unit(&entries).is_none() && eval.diags.len() == errors {
        let message = "the recipe does not state how long to train";
        let diag = Diagnostic::error(codes::MISSING_ARGUMENT, message, span, "neither `steps` nor `epochs`");
        eval.diags.push(diag.help("`epochs 30` or `steps 64_000`; on the command line --set train.epochs=30"));
    }
    (eval.diags.len() == errors).then_some(train)
}

impl EntryReader<'_> {
    fn entry(&mut self, entry: &Entry, train: &mut UnresolvedRecipe) -> Option<()> {
        let UnresolvedRecipe { recipe, freeze, except } = train;
        match entry.key.as_str() {
            "init" => self.init(entry, recipe)?,
            "zero_init_residual" => recipe.zero_init_residual = self.truth(entry)?,
            "from" => match &entry.values[..] {
                [(Value::Str(path), _)] => recipe.from = Some(self.weights_from(entry, path)),
                [(Value::Str(path), _), (Value::Word(word), _), labels] if **word == *"except" => {
                    recipe.from = Some(self.weights_from(entry, path));
                    self.nothing_more(entry, 3);
                    *except = self.labels(entry, Some(labels));
                }
                [(Value::Word(word), _)] if **word == *"none" => recipe.from = None,
                _ => self.wrong(entry, "a file, and the layers to initialize from scratch: from: \"resnet50.pth\" except fc"),
            },
            "freeze" => {
                self.nothing_more(entry, 1);
                self.known("`freeze`", &entry.entries, &["running_stats"]);
                for key in entry.entries.iter().filter(|e| e.key == "running_stats") {
                    recipe.freeze_running_stats = self.truth(key)?;
                }
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
            "clip_grad_norm" if entry.head() == Some("none") => recipe.clip_grad_norm = None,
            "clip_grad_norm" => recipe.clip_grad_norm = Some(self.number(entry, |x| x > 0.0, "a norm above 0")?),
            "loss" => {
                self.word(entry, &["cross_entropy"])?;
                self.known("`loss`", &entry.entries, &["label_smoothing", "auxiliary"]);
                for key in entry.entries.iter().filter(|e| e.key == "label_smoothing") {
                    recipe.loss.label_smoothing = self.number(key, |x| (0.0..1.0).contains(&x), "a number from 0 to below 1")?;
                }
                for key in entry.entries.iter().filter(|e| e.key == "auxiliary") {
                    recipe.loss.auxiliary = self.number(key, |x| x >= 0.0, "a weight of at least 0")?;
                }
            }
            "augment" => recipe.augment = self.augment(entry)?,
            "shuffle" => recipe.shuffle = self.truth(entry)?,
            "seed" => recipe.seed = self.whole(entry, 0, MOST)?,
            "on_error" => {
                let skip = self.word(entry, &["skip", "fatal"])? == "skip";
                recipe.on_error = if skip { OnError::Skip } else { OnError::Fatal };
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
        // `--set train.optimizer.lr=0.1` on a file without an optimizer has no name
        if !entry.values.is_empty() {
            self.word(entry, &["sgd"])?;
        }
        self.known("`optimizer sgd`", &entry.entries, &OPTIMIZER_KEYS);
        let sgd = &mut recipe.optimizer;
        for key in &entry.entries {
            self.of_sgd(key, sgd);
        }
        if sgd.nesterov && sgd.momentum == 0.0 {
            let message = "Nesterov momentum needs a `momentum` above 0";
            self.diags.push(Diagnostic::error(codes::RECIPE_CONFLICT, message, entry.span, "`momentum` is 0"));
        }
        Some(())
    }

    fn of_sgd(&mut self, key: &Entry, sgd: &mut Sgd) -> Option<()> {
        match key.key.as_str() {
            "lr" => sgd.lr = self.number(key, |x| x > 0.0, "a learning rate above 0")?,
            "momentum" => sgd.momentum = self.number(key, |x| (0.0..1.0).contains(&x), "a number from 0 to below 1")?,
            "nesterov" => sgd.nesterov = self.truth(key)?,
            "weight_decay" => sgd.weight_decay = self.number(key, |x| x >= 0.0, "a number of at least 0")?,
            "decay_norm" => sgd.decay_norm = self.truth(key)?,
            "decay_bias" => sgd.decay_bias = self.truth(key)?,
            _ => {}
        }
        Some(())
    }

    fn schedule(&mut self, entry: &Entry) -> Option<Schedule> {
        let kind = self.word(entry, &["constant", "steps", "cosine", "plateau", "one_cycle"])?;
        let keys: &[&str] = match kind {
            "steps" => &["at", "gamma"],
            "cosine" => &["eta_min"],
            "plateau" => &["patience", "factor", "min_lr"],
            "one_cycle" => &["pct_start", "div_factor", "final_div_factor"],
            _ => &[],
        };
        self.known(&format!("`schedule {kind}`"), &entry.entries, keys);
        let find = |key: &str| entry.entries.iter().find(|e| e.key == key);
        let mut real = |key: &str, default: f64, fits: fn(f64) -> bool, takes: &str| match find(key) {
            Some(entry) => self.number(entry, fits, takes),
            None => Some(default),
        };
        let factor = |x: f64| x > 0.0 && x < 1.0;
        Some(match kind {
            "steps" => {
                let gamma = real("gamma", 0.1, factor, "a factor between 0 and 1")?;
                let Some(at) = find("at") else {
                    let message = "`schedule steps` needs `at`, the times when the learning rate falls";
                    self.diags.push(
                        Diagnostic::error(codes::MISSING_ARGUMENT, message, entry.span, "`at` is not given")
                            .help("schedule steps { at: [32_000, 48_000], gamma: 0.1 }"),
                    );
                    return None;
                };
                Schedule::Steps { at: self.counts(at)?, gamma }
            }
            "cosine" => Schedule::Cosine { eta_min: real("eta_min", 0.0, |x| x >= 0.0, "a learning rate of at least 0")? },
            "plateau" => {
                let factor = real("factor", 0.1, factor, "a factor between 0 and 1")?;
                let min_lr = real("min_lr", 0.0, |x| x >= 0.0, "a learning rate of at least 0")?;
                let patience = match find("patience") {
                    Some(entry) => self.whole(entry, 0, 1_000_000)?,
                    None => 10,
                };
                Schedule::Plateau { patience, factor, min_lr }
            }
            "one_cycle" => Schedule::OneCycle {
                pct_start: real("pct_start", 0.3, |x| x > 0.0 && x < 1.0, "a fraction between 0 and 1")?,
                div_factor: real("div_factor", 25.0, |x| x >= 1.0, "a divisor of at least 1")?,
                final_div_factor: real("final_div_factor", 1e4, |x| x >= 1.0, "a divisor of at least 1")?,
            },
            _ => Schedule::Constant,
        })
    }

    fn warmup(&mut self, entry: &Entry, recipe: &mut Recipe) -> Option<()> {
        if entry.head() == Some("none") {
            recipe.warmup = None;
            return Some(());
        }
        self.known("`warmup`", &entry.entries, &["start_lr", "ramp"]);
        let length = self.count(entry, 1)?;
        let (mut start_lr, mut ramp) = (recipe.optimizer.lr / 10.0, true);
        for key in &entry.entries {
            match key.key.as_str() {
                "start_lr" => start_lr = self.number(key, |x| x >= 0.0, "a learning rate of at least 0")?,
                "ramp" => ramp = self.truth(key)?,
                _ => {}
            }
        }
        recipe.warmup = Some(crate::ir::Warmup { start_lr, length, ramp });
        Some(())
    }

    fn weights_from(&self, entry: &Entry, path: &str) -> WeightsFrom {
        let path = entry.module.map_or_else(|| path.into(), |module| self.program.resolve(module, path));
        WeightsFrom { path, except: Vec::new() }
    }
}
