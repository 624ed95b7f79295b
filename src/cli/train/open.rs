//! The parts of a run: the checked network, the initial parameters, the data.

use std::path::Path;

use super::super::args::Select;
use super::super::classes::note_classes;
use super::super::failure::Failure;
use super::super::open;
use super::super::output::Out;
use crate::data::{self, DatasetOptions, Part, Split};
use crate::driver::{Frontend, Weights};
use crate::formats::weights;
use crate::ir::{Checked, Precisions, Recipe};
use crate::runtime::ParamStore;
use crate::train::{self, Feed, GraphEngine};

/// How many tensors are listed by name.
const MAX_LISTED: usize = 8;

/// The parts that the training loop works with.
pub(super) struct Parts {
    pub engine: GraphEngine,
    pub train: Box<dyn Feed>,
    pub valid: Option<Box<dyn Feed>>,
    /// Where the validation samples are.
    pub valid_place: Option<String>,
    pub classes: usize,
}

impl Parts {
    pub fn new(
        checked: &Checked,
        params: &ParamStore,
        recipe: &Recipe,
        train: Part,
        valid: Option<Part>,
        threads: usize,
    ) -> Result<Parts, Failure> {
        let feed = |part: Part, training| train::feed(part.dataset, checked, recipe, threads, training).map_err(Failure::input);
        let valid = valid.filter(|_| recipe.validate.is_some());
        Ok(Parts {
            valid_place: valid.as_ref().map(|part| part.place.clone()),
            train: feed(train, true)?,
            valid: valid.map(|part| feed(part, false)).transpose()?,
            engine: train::engine(checked, params, recipe, threads).map_err(Failure::input)?,
            classes: train::classes(checked).unwrap_or(0),
        })
    }
}

/// The checked network of a source. Errors are shown.
pub(in crate::internal::cli) fn checked(file: &Path, select: &Select, out: &mut Out) -> Result<(Frontend, Checked), Failure> {
    if crate::formats::artifact::is_artifact(file) {
        return Err(Failure::Input(format!("`{}` is an artifact: training needs its source", file.display())));
    }
    let mut front = open::source(file)?;
    let mut checked = open::check(&mut front, select, out)?;
    // training computes in f32, also when it measures the accuracy
    checked.set_precision(Precisions::default());
    Ok((front, checked))
}

/// The training data, and the validation data if any.
pub(in crate::internal::cli) fn datasets(
    checked: &Checked,
    spec: &str,
    valid: Option<&str>,
    out: &Out,
) -> Result<(Part, Option<Part>), Failure> {
    let options =
        DatasetOptions { class_names: &checked.network.labels, classes: train::classes(checked), ..DatasetOptions::default() };
    let train = data::open_part(spec, Split::Train, &options).map_err(Failure::input)?;
    note_classes(&*train.dataset, &checked.network.labels, train::classes(checked).unwrap_or(0), out);
    // classes have the same indices as in training, even if the folders differ
    let known = train.dataset.classes().to_vec();
    let options = match &known[..] {
        [] => options,
        known => DatasetOptions { class_names: known, strict: true, ..options },
    };
    let valid = match valid {
        Some(spec) => Some(data::open_part(spec, Split::Valid, &options).map_err(Failure::input)?),
        None => data::open_valid_split(spec, &options).map_err(Failure::input)?,
    };
    Ok((train, valid))
}

/// Checks that what a run reads exists, before any of it is read: its weights, which may take long, and its data.
pub(in crate::internal::cli) fn check_exist<'a>(
    weights: Option<&Path>,
    data: impl IntoIterator<Item = &'a str>,
) -> Result<(), Failure> {
    data.into_iter().try_for_each(data::check_exists).map_err(Failure::input)?;
    weights.map_or(Ok(()), |path| weights::check_exists(path).map_err(Failure::input))
}

/// The initial parameters: from the command's weight file, from the recipe's, or random.
pub(super) fn initial_params(
    checked: &Checked,
    front: &Frontend,
    recipe: &Recipe,
    given: Option<&Weights>,
    out: &mut Out,
) -> Result<ParamStore, Failure> {
    if let Some(Weights::File(_)) = given {
        return open::bind(checked, front, given, out);
    }
    let Some(from) = &recipe.from else {
        open::without_renames(front)?;
        return Ok(train::init::initial_params(checked, recipe, None).map_err(Failure::input)?.params);
    };
    let tensors = front.tensors(&from.path).map_err(Failure::input)?;
    for note in tensors.notes() {
        out.note(format_args!("note: {note}"));
    }
    let initial = train::init::initial_params(checked, recipe, Some((&tensors, &from.except))).map_err(Failure::input)?;
    let list = |names: &[String]| {
        let more = names.len().saturating_sub(MAX_LISTED);
        let first = names.iter().take(MAX_LISTED).map(String::as_str).collect::<Vec<_>>().join(", ");
        if more > 0 { format!("{first} and {more} more") } else { first }
    };
    out.note(format_args!("{} tensors from {}", initial.params.len().saturating_sub(initial.random.len()), from.path.display()));
    if !initial.random.is_empty() {
        out.note(format_args!("randomly initialized: {}", list(&initial.random)));
    }
    if !initial.unused.is_empty() {
        out.note(format_args!("not used: {}", list(&initial.unused)));
    }
    Ok(initial.params)
}
