//! How a network is trained, as a script for PyTorch: one process or many (`torchrun`), by the recipe of its source.

use std::collections::HashMap;
use std::path::Path;

use super::TorchError;
use super::names::quoted;
use crate::ir::{Augment, Channels, Checked, Count, Init, NodeId, OnBroken, Op, Preprocess, Recipe, Schedule, imagenet};

/// The script, with lines for some recipes alone and places for what they say.
const TEMPLATE: &str = include_str!("train.py.in");

/// What a script is written for.
#[derive(Clone, Copy, Debug)]
pub struct Script<'a> {
    /// Its own file name.
    pub file: &'a str,
    /// The module that holds the network: the name of its file without the ending.
    pub module: &'a str,
    /// The network's class.
    pub class: &'a str,
}

/// Writes the script. Fails where the network has no recipe, or one that PyTorch cannot follow.
pub fn script(checked: &Checked, script: &Script<'_>) -> Result<String, TorchError> {
    let fails = |reason: &str| TorchError::Recipe(reason.to_owned());
    let network = &checked.network;
    let recipe = network.recipe.as_ref().ok_or_else(|| fails("its source has no `train { … }`"))?;
    let graph = checked.graph();
    let &[input] = graph.inputs() else { return Err(fails("it has several inputs, and a training sample is one image")) };
    let Some(sizes) = checked.shape(input).sizes() else {
        return Err(fails("its input's size is free: derive a network with a fixed one"));
    };
    let Some((_, main)) = graph.outputs().first() else { return Err(fails("it has no output")) };
    let Some([outputs]) = checked.shape(main.node).sizes().and_then(|sizes| <[usize; 1]>::try_from(sizes).ok()) else {
        return Err(fails("its output is a map: the loss is that of a classifier"));
    };
    let mut fill = Fill::default();
    fill.set("network", &network.name);
    fill.set("name", &quoted(&network.name));
    fill.set("file", script.file);
    fill.set("module", script.module);
    fill.set("class", script.class);
    fill.recipe(recipe);
    fill.network(checked, recipe, main.node);
    fill.pictures(network.preprocess.as_ref(), &network.labels, &sizes, outputs, recipe)?;
    Ok(fill.write(TEMPLATE))
}

/// What stands in the template's places, and which of its lines are written.
#[derive(Default)]
struct Fill {
    values: HashMap<&'static str, String>,
    flags: HashMap<&'static str, bool>,
}

impl Fill {
    fn set(&mut self, place: &'static str, text: &str) {
        self.values.insert(place, text.to_owned());
    }

    fn when(&mut self, flag: &'static str, holds: bool) {
        self.flags.insert(flag, holds);
    }

    fn recipe(&mut self, recipe: &Recipe) {
        let optional = |count: Option<Count>| count.map_or_else(|| "None".to_owned(), time);
        self.set("seed", &recipe.seed.to_string());
        self.set("batch", &recipe.batch.to_string());
        self.set("accumulate", &recipe.accumulate.to_string());
        self.set("length", &format!("LENGTH = {}", time(recipe.length)));
        self.set("validate", &optional(recipe.validate));
        self.set("checkpoint", &optional(recipe.checkpoint));
        let sgd = recipe.optimizer;
        self.set("rate", &real(sgd.rate));
        self.set("momentum", &real(sgd.momentum));
        self.set("nesterov", truth(sgd.nesterov));
        self.set("decay", &real(sgd.decay));
        self.when("decay_all", sgd.decay_norms && sgd.decay_biases);
        self.set("decay_norms", truth(sgd.decay_norms));
        self.set("decay_biases", if sgd.decay_biases { "True" } else { "name != \"bias\"" });
        self.set("smoothing", &real(recipe.loss.smoothing));
        self.when("clip", recipe.clip.is_some());
        self.set("clip", &real(recipe.clip.unwrap_or(0.0)));
        self.when("shuffle", recipe.shuffle);
        self.when("skip", recipe.broken == OnBroken::Skip);
        self.when("freeze", !recipe.freeze.is_empty());
        self.set("freeze", &list(&recipe.freeze));
        self.when("from", recipe.from.is_some());
        if let Some(from) = &recipe.from {
            self.set("from", &quoted(&from.path.to_string_lossy()));
            self.set("except", &list(&from.except));
        }
        let (doc, fan) = match recipe.init {
            Init::HeFanIn => (
                "He et al. 2015, equation 10: normal with variance 2 / inputs of a filter.",
                "module.weight[0].numel()".to_owned(),
            ),
            Init::HeFanOut => (
                "He et al. 2015, equation 14: normal with variance 2 / (filters x taps).",
                "module.weight.numel() / module.weight.shape[1] / module.groups".to_owned(),
            ),
        };
        self.set("init_doc", doc);
        self.set("fan", &fan);
        self.schedule(recipe);
    }

    fn schedule(&mut self, recipe: &Recipe) {
        let mut lines: Vec<String> = Vec::new();
        let mut line = |text: &str| lines.push(format!("    {text}"));
        self.flags.insert("plateau", false);
        match &recipe.schedule {
            Schedule::Constant => line("return RATE"),
            Schedule::Steps { at, times } => {
                let all: Vec<String> = at.iter().map(|count| time(*count)).collect();
                line(&format!("times = {}", listed(&all, 4)));
                line(&format!("return RATE * {} ** sum(steps(at, epoch_steps) <= step for at in times)", real(*times)));
            }
            Schedule::Cosine { end } => {
                line(&format!("return {0} + (RATE - {0}) * (1 + math.cos(math.pi * step / total)) / 2", real(*end)));
            }
            Schedule::Plateau { patience, times, least } => {
                line(&format!("return max(RATE * factor, {})", real(least.min(recipe.optimizer.rate))));
                self.flags.insert("plateau", true);
                self.values.insert("patience", patience.to_string());
                self.values.insert("times", real(*times));
            }
            Schedule::OneCycle { rise, start, end } => {
                line("# up and down along cosines, as `OneCycleLR` counts the steps of both phases");
                line(&format!("top, last, first = {} * total - 1, total - 1, RATE / {}", real(*rise), real(*start)));
                line("if step <= top:");
                line("    return RATE + (first - RATE) * (1 + math.cos(math.pi * step / top)) / 2");
                line(&format!("part, end = min((step - top) / (last - top), 1), first / {}", real(*end)));
                line("return end + (RATE - end) * (1 + math.cos(math.pi * part)) / 2");
            }
        }
        self.set("schedule", &lines.join("\n"));
        let is_plateau = self.flags.get("plateau") == Some(&true);
        self.set("factor", if is_plateau { "plateau.factor" } else { "1.0" });
        self.when("warmup", recipe.warmup.is_some());
        if let Some(warmup) = recipe.warmup {
            self.set("warmup", &time(warmup.length));
            let rate = real(warmup.rate);
            self.set("warmup_rate", &if warmup.rises { format!("{rate} + (rate - {rate}) * step / length") } else { rate });
        }
    }

    fn network(&mut self, checked: &Checked, recipe: &Recipe, main: NodeId) {
        let graph = checked.graph();
        let outputs = graph.outputs();
        let classes = checked.shape(main);
        let auxiliary: Vec<String> = outputs[1..]
            .iter()
            .filter(|(_, value)| recipe.loss.auxiliary != 0.0 && checked.shape(value.node) == classes)
            .map(|(name, _)| name.clone())
            .collect();
        self.when("auxiliary", !auxiliary.is_empty());
        self.set("auxiliary", &real(recipe.loss.auxiliary));
        self.set("auxiliary_names", &auxiliary.join(" and "));
        self.set("auxiliary_list", &list(&auxiliary));
        // parameters that the loss does not reach have no gradient
        self.set("unused", truth(outputs.len() > 1 && auxiliary.len() + 1 < outputs.len()));
        let is_softmax = graph.node(main).op == Op::Softmax;
        self.when("softmax", is_softmax);
        let wrapped = |text: String| if is_softmax { format!("logits({text})") } else { text };
        let first = quoted(&outputs[0].0);
        self.when("several", outputs.len() > 1);
        self.set("scores", &wrapped(format!("outputs[{first}]")));
        self.set("single", &wrapped("model(x)".to_owned()));
        let measured = if outputs.len() > 1 { format!("model(x)[{first}]") } else { "model(x)".to_owned() };
        self.set("measure_scores", &wrapped(measured));
        let path = |add: NodeId| graph.operands(add).first().map(|v| v.node);
        let norms: Vec<String> = checked
            .network
            .shortcuts
            .iter()
            .filter_map(|s| path(s.add))
            .filter(|&id| matches!(graph.node(id).op, Op::BatchNorm(_)))
            .map(|id| graph.node(id).name.clone())
            .collect();
        self.when("zero_init", recipe.zero_init_residual && !norms.is_empty());
        self.set("zero_init", &list(&norms));
    }

    fn pictures(
        &mut self,
        preprocess: Option<&Preprocess>,
        labels: &[String],
        sizes: &[usize],
        outputs: usize,
        recipe: &Recipe,
    ) -> Result<(), TorchError> {
        let is_picture = matches!(sizes, [1 | 3, _, _]);
        self.when("images", is_picture);
        // ImageNet's folders are called by their synsets, whose order is that of the classes
        self.when("labels", is_picture && !labels.is_empty() && labels != imagenet::names());
        self.set("labels", &list(labels));
        self.set("classes", &outputs.to_string());
        let changes: Vec<String> = recipe.augment.iter().filter_map(change_of_values).collect();
        self.when("changes", !changes.is_empty());
        self.when("transforms", is_picture || !changes.is_empty());
        let is_skipping = is_picture && recipe.broken == OnBroken::Skip;
        let mut imports = vec!["DistributedSampler", "Subset"];
        if is_skipping || !changes.is_empty() {
            imports.insert(0, "Dataset");
        }
        if changes.is_empty() {
            imports.push("TensorDataset");
        }
        self.set("imports", &imports.join(", "));
        self.set("changes", &changes.join(", "));
        let has = |which: fn(&Augment) -> bool| recipe.augment.iter().any(which);
        self.when("lighting", is_picture && has(|a| matches!(a, Augment::Lighting { .. })));
        self.when("cutout", has(|a| matches!(a, Augment::Cutout { .. })));
        let &[channels, height, width] = sizes else { return Ok(()) };
        if !is_picture {
            return Ok(());
        }
        self.set("size", &format!("({height}, {width})"));
        let default = Preprocess {
            resize: None,
            crop: None,
            channels: if channels == 1 { Channels::Gray } else { Channels::Rgb },
            mean: vec![0.0; channels],
            std: vec![1.0; channels],
            mean_from: None,
        };
        let how = preprocess.unwrap_or(&default);
        let numbers = |values: &[f32]| format!("[{}]", values.iter().map(|v| shortest(*v)).collect::<Vec<_>>().join(", "));
        self.when("mean_file", how.mean_picture().is_some());
        match (&how.mean_from, how.mean_picture()) {
            (Some(_), Some(_)) => {}
            (None, Some(_)) => {
                let reason = "it subtracts a mean for each pixel, whose file is not known: export from the source".to_owned();
                return Err(TorchError::Recipe(reason));
            }
            (_, None) => self.set("mean", &numbers(&how.mean)),
        }
        self.set("std", &numbers(&how.std));
        self.when("bgr", how.channels == Channels::Bgr);
        let indent = " ".repeat(8);
        // ImageFolder reads images as RGB
        let convert = if how.channels == Channels::Gray { "v2.Grayscale()," } else { "" };
        self.set("convert", &if convert.is_empty() { String::new() } else { format!("{indent}{convert}") });
        let [h, w] = how.crop.unwrap_or([height, width]);
        let fit = match how.resize {
            Some(side) => format!("v2.Resize({side}), v2.CenterCrop(({h}, {w}))"),
            None => "v2.Resize(SIZE)".to_owned(),
        };
        self.set("fit", &fit);
        let mut lines: Vec<String> = Vec::new();
        if !convert.is_empty() {
            lines.push(convert.to_owned());
        }
        let fits = |a: &Augment| matches!(a, Augment::ScaleJitter { .. } | Augment::RandomResizedCrop { .. });
        if !recipe.augment.iter().any(fits) {
            lines.push("*TO_INPUT,".to_owned());
        }
        let (mut late, mut last) = (Vec::new(), Vec::new());
        for augment in &recipe.augment {
            match augment {
                Augment::Lighting { .. } => late.extend(change(augment)),
                Augment::Cutout { .. } => last.extend(change(augment)),
                // as the paper has it, the mean of each pixel is subtracted first: what is padded is 0
                _ if how.mean_picture().is_some() => last.extend(change(augment)),
                _ => lines.extend(change(augment)),
            }
        }
        lines.push("v2.ToImage(),".to_owned());
        lines.push("v2.ToDtype(torch.float32, scale=True),".to_owned());
        lines.extend(late);
        lines.push("Normalize(),".to_owned());
        lines.extend(last);
        self.set("augment", &lines.iter().map(|line| format!("{indent}{line}")).collect::<Vec<_>>().join("\n"));
        Ok(())
    }

    /// The template with its conditions decided and its places filled.
    fn write(&self, template: &str) -> String {
        let mut out = String::new();
        // whether lines are written, by condition around them
        let mut around: Vec<bool> = Vec::new();
        for line in template.lines() {
            if let Some(condition) = line.strip_prefix("#: ") {
                match condition.strip_prefix("if ") {
                    Some(flag) => around.push(self.flags.get(flag).copied().unwrap_or(false)),
                    None if condition == "else" => around.iter_mut().last().into_iter().for_each(|holds| *holds = !*holds),
                    None => drop(around.pop()),
                }
                continue;
            }
            if around.contains(&false) {
                continue;
            }
            let filled = self.filled(line);
            // a place for lines of which there are none
            if filled.is_empty() && !line.is_empty() {
                continue;
            }
            out.push_str(&filled);
            out.push('\n');
        }
        out
    }

    fn filled(&self, line: &str) -> String {
        let mut out = String::new();
        let mut rest = line;
        while let Some((before, behind)) = rest.split_once("{{") {
            let Some((place, behind)) = behind.split_once("}}") else { break };
            out.push_str(before);
            out.push_str(self.values.get(place).map_or("", String::as_str));
            rest = behind;
        }
        out.push_str(rest);
        out
    }
}

/// A change of a training image as torchvision has it.
fn change(augment: &Augment) -> Vec<String> {
    match augment {
        Augment::PadCrop { pad: 0, crop: [h, w] } => vec![format!("v2.RandomCrop(({h}, {w})),")],
        Augment::PadCrop { pad, crop: [h, w] } => vec![format!("v2.RandomCrop(({h}, {w}), padding={pad}),")],
        Augment::Flip { probability } => vec![format!("v2.RandomHorizontalFlip({}),", shortest(*probability))],
        Augment::ScaleJitter { min, max, crop: [h, w] } => {
            vec![format!("v2.RandomShortestSize(list(range({min}, {}))),", max + 1), format!("v2.RandomCrop(({h}, {w})),")]
        }
        Augment::RandomResizedCrop { size: [h, w], scale, ratio } => {
            let pair = |[a, b]: [f32; 2]| format!("({}, {})", shortest(a), shortest(b));
            vec![format!("v2.RandomResizedCrop(({h}, {w}), scale={}, ratio={}),", pair(*scale), pair(*ratio))]
        }
        Augment::Lighting { deviation } => vec![format!("Lighting({}),", shortest(*deviation))],
        Augment::ColorJitter { brightness, contrast, saturation } => {
            let [b, c, s] = [brightness, contrast, saturation].map(|n| shortest(*n));
            vec![format!("v2.ColorJitter(brightness={b}, contrast={c}, saturation={s}),")]
        }
        Augment::Cutout { size } => vec![format!("Cutout({size}),")],
    }
}

/// The same for normalized samples; those that are defined on bytes, `resnetc` refuses there.
fn change_of_values(augment: &Augment) -> Option<String> {
    match augment {
        Augment::PadCrop { .. } | Augment::Flip { .. } | Augment::Cutout { .. } => {
            Some(change(augment).concat().trim_end_matches(',').to_owned())
        }
        Augment::ScaleJitter { .. }
        | Augment::RandomResizedCrop { .. }
        | Augment::Lighting { .. }
        | Augment::ColorJitter { .. } => None,
    }
}

/// The ending, in place of the script's, of the mean of each pixel that it reads beside itself.
pub const MEAN_ENDING: &str = "mean.npy";

/// Where the mean of each pixel is now, where the script is to have one beside itself.
pub fn beside(checked: &Checked) -> Option<&Path> {
    let how = checked.network.preprocess.as_ref()?;
    how.mean_picture()?;
    how.mean_from.as_ref().map(|(path, _)| &**path)
}

fn time(count: Count) -> String {
    match count {
        Count::Steps(n) => format!("({n}, \"steps\")"),
        Count::Epochs(n) => format!("({n}, \"epochs\")"),
    }
}

fn real(x: f64) -> String {
    format!("{x:?}")
}

/// The shortest text that reads as the same number.
fn shortest(x: f32) -> String {
    format!("{x:?}")
}

fn truth(holds: bool) -> &'static str {
    if holds { "True" } else { "False" }
}

/// A list at the beginning of a line, on several where one would be too long.
fn listed(items: &[String], indent: usize) -> String {
    let line = items.join(", ");
    if line.len() <= 90 {
        return format!("[{line}]");
    }
    let space = " ".repeat(indent);
    let lines: String = items.iter().map(|item| format!("{space}    {item},\n")).collect();
    format!("[\n{lines}{space}]")
}

fn list(names: &[String]) -> String {
    listed(&names.iter().map(|name| quoted(name)).collect::<Vec<_>>(), 0)
}
