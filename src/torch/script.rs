//! Writes a training script for PyTorch that follows the recipe in the source, for one process or several (`torchrun`).

use std::collections::HashMap;
use std::path::Path;

use super::error::TorchError;
use super::names::quoted;
use crate::ir::{
    Augment, Channels, Checked, Count, Init, NodeId, OnError, Op, Preprocess, Recipe, Resampling, Schedule, imagenet,
};

/// The script's template, with conditional lines and placeholders.
const TEMPLATE: &str = include_str!("train.py.in");

/// Names used in a script.
#[derive(Clone, Copy, Debug)]
pub struct Script<'a> {
    /// The script's file name.
    pub file: &'a str,
    /// The Python module with the network: its file name without the extension.
    pub module: &'a str,
    /// The network's class.
    pub class: &'a str,
}

/// Writes the script. Fails if the network has no recipe, or one that PyTorch cannot follow.
pub fn script(checked: &Checked, script: &Script<'_>) -> Result<String, TorchError> {
    let fails = |reason: &str| TorchError::Recipe(reason.to_owned());
    let network = &checked.network;
    let recipe = network.recipe.as_ref().ok_or_else(|| fails("its source has no `train { … }`"))?;
    let graph = checked.graph();
    let &[input] = graph.inputs() else { return Err(fails("it has several inputs, but a training sample is a single image")) };
    let Some(sizes) = checked.shape(input).sizes() else {
        return Err(fails("its input size is free: derive a network with a fixed size"));
    };
    let Some((_, main)) = graph.outputs().first() else { return Err(fails("it has no output")) };
    let Some([outputs]) = checked.shape(*main).sizes().and_then(|sizes| <[usize; 1]>::try_from(sizes).ok()) else {
        return Err(fails("its output is a feature map, but the loss is that of a classifier"));
    };
    let mut fill = Fill::default();
    fill.set("network", &network.name);
    fill.set("name", &quoted(&network.name));
    fill.set("file", script.file);
    fill.set("module", script.module);
    fill.set("class", script.class);
    fill.recipe(recipe);
    fill.network(checked, recipe, main.node);
    fill.images(network.preprocess.as_ref(), &network.labels, &sizes, outputs, recipe)?;
    Ok(fill.write(TEMPLATE))
}

/// The values of the template's placeholders, and the conditions of its lines.
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
        let optional = |count: Option<Count>| count.map_or_else(|| "None".to_owned(), py_duration);
        self.set("seed", &recipe.seed.to_string());
        self.set("batch", &recipe.batch.to_string());
        self.set("accumulate", &recipe.accumulate.to_string());
        self.set("length", &format!("LENGTH = {}", py_duration(recipe.length)));
        self.set("validate", &optional(recipe.validate));
        self.set("checkpoint", &optional(recipe.checkpoint));
        let sgd = recipe.optimizer;
        self.set("rate", &py_float(sgd.lr));
        self.set("momentum", &py_float(sgd.momentum));
        self.set("nesterov", py_bool(sgd.nesterov));
        self.set("decay", &py_float(sgd.weight_decay));
        self.when("decay_all", sgd.decay_norm && sgd.decay_bias);
        self.when("decay_some", !(sgd.decay_norm && sgd.decay_bias));
        self.set("decay_norm", py_bool(sgd.decay_norm));
        self.set("decay_bias", if sgd.decay_bias { "True" } else { "name != \"bias\"" });
        self.set("smoothing", &py_float(recipe.loss.label_smoothing));
        self.when("clip", recipe.clip_grad_norm.is_some());
        self.set("clip", &py_float(recipe.clip_grad_norm.unwrap_or(0.0)));
        self.when("shuffle", recipe.shuffle);
        self.when("skip", recipe.on_error == OnError::Skip);
        self.when("freeze", !recipe.freeze.is_empty());
        self.set("freeze", &list(&recipe.freeze));
        self.when("keep_stats", recipe.freeze_running_stats && !recipe.freeze.is_empty());
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
                "He et al. 2015, equation 14: normal with variance 2 / (filters x kernel elements).",
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
            Schedule::Constant => line("return LR"),
            Schedule::Steps { at, gamma } => {
                let all: Vec<String> = at.iter().map(|count| py_duration(*count)).collect();
                line(&format!("times = {}", listed(&all, 4)));
                line(&format!("return LR * {} ** sum(steps(at, epoch_steps) <= step for at in times)", py_float(*gamma)));
            }
            Schedule::Cosine { eta_min } => {
                line(&format!("return {0} + (LR - {0}) * (1 + math.cos(math.pi * step / total)) / 2", py_float(*eta_min)));
            }
            Schedule::Plateau { patience, factor, min_lr } => {
                line(&format!("return max(LR * factor, {})", py_float(min_lr.min(recipe.optimizer.lr))));
                self.flags.insert("plateau", true);
                self.values.insert("patience", patience.to_string());
                self.values.insert("plateau_factor", py_float(*factor));
            }
            Schedule::OneCycle { pct_start, div_factor, final_div_factor } => {
                line("# cosine annealing up and down, with the phase lengths of `OneCycleLR`");
                line(&format!(
                    "top, last, first = {} * total - 1, total - 1, LR / {}",
                    py_float(*pct_start),
                    py_float(*div_factor)
                ));
                line("if step <= top:");
                line("    return LR + (first - LR) * (1 + math.cos(math.pi * step / top)) / 2");
                line(&format!("part, end = min((step - top) / (last - top), 1), first / {}", py_float(*final_div_factor)));
                line("return end + (LR - end) * (1 + math.cos(math.pi * part)) / 2");
            }
        }
        self.set("schedule", &lines.join("\n"));
        let is_plateau = self.flags.get("plateau") == Some(&true);
        self.set("factor", if is_plateau { "plateau.factor" } else { "1.0" });
        self.when("warmup", recipe.warmup.is_some());
        if let Some(warmup) = recipe.warmup {
            self.set("warmup", &py_duration(warmup.length));
            let rate = py_float(warmup.start_lr);
            self.set("warmup_rate", &if warmup.ramp { format!("{rate} + (lr - {rate}) * step / length") } else { rate });
        }
    }

    fn network(&mut self, checked: &Checked, recipe: &Recipe, main: NodeId) {
        let graph = checked.graph();
        let outputs = graph.outputs();
        let classes = checked.shape(main);
        let auxiliary: Vec<String> = outputs[1..]
            .iter()
            .filter(|(_, value)| recipe.loss.auxiliary != 0.0 && checked.shape(*value) == classes)
            .map(|(name, _)| name.clone())
            .collect();
        self.when("auxiliary", !auxiliary.is_empty());
        self.set("auxiliary", &py_float(recipe.loss.auxiliary));
        self.set("auxiliary_names", &auxiliary.join(" and "));
        self.set("auxiliary_list", &list(&auxiliary));
        // parameters that the loss does not depend on have no gradient
        self.set("unused", py_bool(outputs.len() > 1 && auxiliary.len() + 1 < outputs.len()));
        let is_softmax = graph.node(main).op == Op::Softmax(None);
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
            .filter(|&id| graph.node(id).op.is_norm() && !graph.node(id).params.is_empty())
            .map(|id| graph.node(id).name.clone())
            .collect();
        self.when("zero_init", recipe.zero_init_residual && !norms.is_empty());
        self.set("zero_init", &list(&norms));
    }

    fn images(
        &mut self,
        preprocess: Option<&Preprocess>,
        labels: &[String],
        sizes: &[usize],
        outputs: usize,
        recipe: &Recipe,
    ) -> Result<(), TorchError> {
        let is_image = matches!(sizes, [1 | 3, _, _]);
        self.when("images", is_image);
        // ImageNet's folders are named by synset, and their order is that of the classes
        self.when("labels", is_image && !labels.is_empty() && labels != imagenet::names());
        self.set("labels", &list(labels));
        self.set("classes", &outputs.to_string());
        let changes: Vec<String> = recipe.augment.iter().filter_map(array_transform).collect();
        self.when("changes", !changes.is_empty());
        self.when("transforms", is_image || !changes.is_empty());
        let is_skipping = is_image && recipe.on_error == OnError::Skip;
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
        self.when("lighting", is_image && has(|a| matches!(a, Augment::Lighting { .. })));
        self.when("cutout", has(|a| matches!(a, Augment::Cutout { .. })));
        let &[channels, height, width] = sizes else { return Ok(()) };
        if !is_image {
            return Ok(());
        }
        self.set("size", &format!("({height}, {width})"));
        let default = Preprocess {
            resize: None,
            crop: None,
            interpolation: Resampling::Bilinear,
            channels: if channels == 1 { Channels::Gray } else { Channels::Rgb },
            mean: vec![0.0; channels],
            std: vec![1.0; channels],
            mean_from: None,
        };
        let how = preprocess.unwrap_or(&default);
        let numbers = |values: &[f32]| format!("[{}]", values.iter().map(|v| shortest(*v)).collect::<Vec<_>>().join(", "));
        self.when("mean_file", how.mean_image().is_some());
        match (&how.mean_from, how.mean_image()) {
            (Some(_), Some(_)) => {}
            (None, Some(_)) => {
                let reason = "it subtracts a per-pixel mean, but the file is not known: export from the source".to_owned();
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
        let by = interpolation(how.interpolation);
        let fit = match how.resize {
            Some(side) => format!("v2.Resize({side}{by}), v2.CenterCrop(({h}, {w}))"),
            None => format!("v2.Resize(SIZE{by})"),
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
                Augment::Lighting { .. } => late.extend(change(augment, by)),
                Augment::Cutout { .. } => last.extend(change(augment, by)),
                // with a per-pixel mean, it is subtracted first, as in the paper, so that padding is 0
                _ if how.mean_image().is_some() => last.extend(change(augment, by)),
                _ => lines.extend(change(augment, by)),
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

    /// The template with conditions evaluated and placeholders filled.
    fn write(&self, template: &str) -> String {
        let mut out = String::new();
        // the values of the enclosing conditions
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
            // a placeholder for lines that are all absent
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
        while let Some((before, after)) = rest.split_once("{{") {
            let Some((place, after)) = after.split_once("}}") else { break };
            out.push_str(before);
            out.push_str(self.values.get(place).map_or("", String::as_str));
            rest = after;
        }
        out.push_str(rest);
        out
    }
}

/// The argument of a transform that resizes; none for its default.
fn interpolation(by: Resampling) -> &'static str {
    match by {
        Resampling::Bilinear => "",
        Resampling::Bicubic => ", interpolation=v2.InterpolationMode.BICUBIC",
    }
}

/// An augmentation as a torchvision transform; `by` is the argument of those that resize.
fn change(augment: &Augment, by: &str) -> Vec<String> {
    match augment {
        Augment::PadCrop { pad: 0, crop: [h, w] } => vec![format!("v2.RandomCrop(({h}, {w})),")],
        Augment::PadCrop { pad, crop: [h, w] } => vec![format!("v2.RandomCrop(({h}, {w}), padding={pad}),")],
        Augment::Flip { probability } => vec![format!("v2.RandomHorizontalFlip({}),", shortest(*probability))],
        Augment::ScaleJitter { min, max, crop: [h, w] } => {
            vec![format!("v2.RandomShortestSize(list(range({min}, {})){by}),", max + 1), format!("v2.RandomCrop(({h}, {w})),")]
        }
        Augment::RandomResizedCrop { size: [h, w], scale, ratio } => {
            let pair = |[a, b]: [f32; 2]| format!("({}, {})", shortest(a), shortest(b));
            vec![format!("v2.RandomResizedCrop(({h}, {w}), scale={}, ratio={}{by}),", pair(*scale), pair(*ratio))]
        }
        Augment::Lighting { deviation } => vec![format!("Lighting({}),", shortest(*deviation))],
        Augment::ColorJitter { brightness, contrast, saturation } => {
            let [b, c, s] = [brightness, contrast, saturation].map(|n| shortest(*n));
            vec![format!("v2.ColorJitter(brightness={b}, contrast={c}, saturation={s}),")]
        }
        Augment::Cutout { size } => vec![format!("Cutout({size}),")],
    }
}

/// The same for normalized samples; augmentations defined on bytes are rejected by `resnetc` in this case.
fn array_transform(augment: &Augment) -> Option<String> {
    match augment {
        Augment::PadCrop { .. } | Augment::Flip { .. } | Augment::Cutout { .. } => {
            Some(change(augment, "").concat().trim_end_matches(',').to_owned())
        }
        Augment::ScaleJitter { .. }
        | Augment::RandomResizedCrop { .. }
        | Augment::Lighting { .. }
        | Augment::ColorJitter { .. } => None,
    }
}

/// The extension of the per-pixel mean file next to the script.
pub const MEAN_EXTENSION: &str = "mean.npy";

/// The file with the per-pixel mean, if the script needs a copy of it.
pub fn mean_file(checked: &Checked) -> Option<&Path> {
    let how = checked.network.preprocess.as_ref()?;
    how.mean_image()?;
    how.mean_from.as_ref().map(|(path, _)| &**path)
}

fn py_duration(count: Count) -> String {
    match count {
        Count::Steps(n) => format!("({n}, \"steps\")"),
        Count::Epochs(n) => format!("({n}, \"epochs\")"),
    }
}

fn py_float(x: f64) -> String {
    format!("{x:?}")
}

/// The shortest text that parses to the same number.
fn shortest(x: f32) -> String {
    format!("{x:?}")
}

fn py_bool(holds: bool) -> &'static str {
    if holds { "True" } else { "False" }
}

/// A list at the start of a line, split over several lines if too long.
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
